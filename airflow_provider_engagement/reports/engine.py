"""What runs the SQL of views and reports: BigQuery for tables, DuckDB for folders of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from airflow_provider_engagement.reports.views import BLOCKS, filled, view

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

    import pyarrow as pa

__all__ = ["Engine", "Parameter", "placeholders"]

Parameter: TypeAlias = "str | int | float | bool | date | datetime | Sequence[str]"


class Engine(Protocol):
    """Runs GoogleSQL over counts, Tweets and the views of both."""

    def create_views(self) -> list[str]:
        """Make or replace all views.

        :returns: their names, or where they are.
        :raises InvalidArgumentError: if the counts or Tweets do not exist, or are something else.
        """

    def ensure_views(self) -> None:
        """Make the views, unless all are there.

        It raises what :meth:`create_views` does.
        """

    def query(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> pa.Table:
        """Run a query.

        :param sql: GoogleSQL. ``{rows}``, ``{coverage}``, ``{tweets}``, ``{labels}`` and the names
            of the views, such as ``{latest}``, stand for the tables. ``@name`` is a parameter.
        :param parameters: the values of the parameters by name.
        :returns: the rows. Times are in UTC, in microseconds.
        """

    def publish(self, put_file: Callable[[Path, str], None]) -> list[str]:
        """Write what others need to read the views, beside what they are made of.

        :param put_file: copies a local file to a URI, whole or not at all.
        :returns: the URIs of scripts; empty if all readers share the database of the views.
        """

    def close(self) -> None:
        """Delete what is temporary, and stop what still runs. Never raises."""


def placeholders(names: Mapping[str, str]) -> dict[str, str]:
    """Return the SQL for each placeholder: the given names, and the blocks that read them.

    :param names: the SQL for each source and view.
    """
    blocks = {name: f"(\n{filled(view(name).sql, names)}\n)" for name in BLOCKS}
    return {**names, **blocks}
