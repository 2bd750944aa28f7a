"""A secrets backend that fails, as a remote one may: Airflow is configured to ask it first."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.secrets import BaseSecretsBackend

NAME = f"{__name__}.FailingBackend"
SECRET = "hunter2-planted"


class FailingBackend(BaseSecretsBackend):
    """Fails some times, and then has a connection or none."""

    failures: ClassVar[int] = 0
    value: ClassVar[str | None] = None

    def get_conn_value(self, conn_id: str, **_: Any) -> str | None:
        if type(self).failures:
            type(self).failures -= 1
            raise TimeoutError(f"https://vault.example.com/{conn_id}?token={SECRET}")
        return self.value
