"""The one place that reads an Airflow connection of type ``engagement``."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
)
from airflow_provider_engagement.api.secret import Secret
from airflow_provider_engagement.api.settings import (
    DEFAULT_HOST,
    DEFAULT_OAUTH2_ENDPOINT,
    Credentials,
    Settings,
)
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.collections.parsing import is_given, parse_literal
from airflow_provider_engagement.hooks import form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_engagement.api.client import EngagementClient

__all__ = ["EngagementHook"]

# What Airflow keeps of a test's message, where it keeps it.
_LONGEST_MESSAGE = 1999

_SECRET_EXTRAS = ("access_token", "access_token_secret", "bearer_token")
_PLAIN_EXTRAS = (
    "oauth2_endpoint",
    "requests_per_minute",
    "max_concurrency",
    "account",
    "timeout",
    "strict_range",
)


class EngagementHook(BaseHook):
    """Reads a connection to the X Enterprise Engagement API and gives a client for it.

    One connection is one owner of Tweets: ``login`` and ``password`` are the app's key and
    secret, the extra holds the owner's tokens. Every secret that is read or received is masked in
    Airflow's logs, in the encoded forms it travels in too.

    :param engagement_conn_id: the connection's id.
    """

    conn_name_attr = "engagement_conn_id"
    default_conn_name = "engagement_default"
    conn_type = "engagement"
    hook_name = "X Engagement API"

    def __init__(self, engagement_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.engagement_conn_id = engagement_conn_id

    def get_conn(self) -> EngagementClient:
        """Give a client for the connection. It has sent nothing yet; close it after use.

        :raises AuthenticationError: if the connection does not hold what it must.
        :raises InvalidArgumentError: if one of its fields makes no sense.
        """
        from airflow_provider_engagement.api.client import EngagementClient

        return EngagementClient(self.get_settings(), on_secret=self.mask)

    def get_settings(self) -> Settings:
        """Read the connection.

        :raises AuthenticationError: if it does not hold what it must.
        :raises InvalidArgumentError: if one of its fields makes no sense.
        """
        return self._read(*self._fields(self._connection()))

    async def aget_settings(self) -> Settings:
        """Read the connection without holding up an event loop, such as the triggerer's.

        :raises AuthenticationError: if it does not hold what it must.
        :raises InvalidArgumentError: if one of its fields makes no sense.
        """
        secrets, fields = self._fields(await self._aconnection())
        # In a thread, since masking asks the triggerer's other process.
        return await asyncio.to_thread(self._read, secrets, fields)

    def mask(self, secret: Secret) -> None:
        """Let Airflow's logs show a secret that was received no more, in any form of it."""
        self._mask([secret])

    def _read(self, secrets: dict[str, Secret], fields: dict[str, Any]) -> Settings:
        self._mask(secrets.values())
        problem = fields.pop("problem", None)
        if problem:
            raise InvalidArgumentError(f"Connection {self.engagement_conn_id!r}: {problem}")
        if fields.pop("missing", False):
            raise AuthenticationError(
                f"There is no connection {self.engagement_conn_id!r}.",
                advice="Make one of type engagement, or set engagement_conn_id.",
            )
        if not any(secrets.values()):
            raise AuthenticationError(
                f"Connection {self.engagement_conn_id!r} is empty.",
                advice="Set login (API key), password (API secret) and, for private counts, "
                "access_token and access_token_secret in its extra.",
            )
        try:
            return self._settings(secrets, fields)
        except (AuthenticationError, InvalidArgumentError) as error:
            message = f"Connection {self.engagement_conn_id!r}: {error.message}"
            raise type(error)(message, advice=error.advice) from None

    def _settings(self, secrets: dict[str, Secret], fields: dict[str, Any]) -> Settings:
        return Settings(
            credentials=Credentials(**secrets),
            account=str(fields.get("account") or self.engagement_conn_id),
            host=str(fields.get("host") or DEFAULT_HOST),
            oauth2_endpoint=str(fields.get("oauth2_endpoint") or DEFAULT_OAUTH2_ENDPOINT),
            requests_per_minute=_limits(fields.get("requests_per_minute")),
            max_concurrency=_whole(fields.get("max_concurrency"), "max_concurrency", 8),
            timeout=_number(fields.get("timeout"), "timeout", 60.0),
            strict_range=_flag(fields.get("strict_range")),
        )

    def test_connection(self) -> tuple[bool, str]:
        """Find out what the connection's credentials can reach, in four requests or so.

        Airflow runs this where "Test" is pressed, which is its API server, and shows the text.
        Nothing there masks secrets, and an exception's text would be shown as it is: so nothing
        is raised, and no secret is logged.

        :returns: whether they do, and what they reach or what is wrong with them.
        """
        from airflow_provider_engagement.api.probe import probe

        try:
            settings = self.get_settings()
            reach = probe(settings, on_secret=self.mask)
        except EngagementError as error:
            # Airflow made the id up for this.
            text = str(error).replace(f"Connection {self.engagement_conn_id!r}", "The connection")
            return False, text[:_LONGEST_MESSAGE]
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold a secret
            return False, f"The test broke off: {type(error).__name__}."
        named = settings.account != self.engagement_conn_id
        whose = f"Account {settings.account}" if named else "Account named by the connection's id"
        return True, f"{whose}, at {settings.host}. {reach}"[:_LONGEST_MESSAGE]

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Tell Airflow 2 how its own fields look. Airflow 3 reads the provider's metadata."""
        return form.field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Give Airflow 2 the form's own fields. Airflow 3 reads the provider's metadata."""
        return form.widgets()

    def _connection(self) -> Any:
        try:
            return self.get_connection(self.engagement_conn_id)
        except AirflowNotFoundException:
            return None

    async def _aconnection(self) -> Any:
        from airflow.providers.common.compat.connection import get_async_connection

        try:
            return await get_async_connection(self.engagement_conn_id)
        except AirflowNotFoundException:
            return None

    def _fields(self, connection: Any) -> tuple[dict[str, Secret], dict[str, Any]]:
        """Take the connection apart, by named key.

        Nothing is raised here, nor in any frame that holds the connection: a traceback that shows
        its frames' variables would show it, and its repr holds the password.
        """
        if connection is None:
            return {}, {"missing": True}
        fields: dict[str, Any] = {"host": _base_url(connection)}
        # Not extra_dejson: it takes text that is not JSON for an empty extra.
        try:
            extra = json.loads(connection.extra or "{}")
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            extra = {}
            fields["problem"] = "its extra is no JSON object."
        unknown = sorted(map(str, set(extra) - {*_SECRET_EXTRAS, *_PLAIN_EXTRAS}))
        if unknown:
            # A misspelt token would otherwise turn the connection into an app-only one, unseen.
            self.log.warning(
                "Connection %s has extra fields that mean nothing here: %s.",
                self.engagement_conn_id,
                ", ".join(unknown),
            )
        held = {name: extra.get(name) for name in _SECRET_EXTRAS}
        held |= {"consumer_key": connection.login, "consumer_secret": connection.password}
        secrets = {name: Secret(str(value).strip()) for name, value in held.items() if value}
        fields |= {name: extra.get(name) for name in _PLAIN_EXTRAS}
        return secrets, fields

    @staticmethod
    def _mask(secrets: Iterable[Secret]) -> None:
        from airflow_provider_engagement.compat import mask_secret

        for secret in secrets:
            for text in secret.encoded_variants():
                mask_secret(text)


def _base_url(connection: Any) -> str:
    """Put scheme, host and port together again, which Airflow takes apart when given a URI."""
    host = str(connection.host or "").strip()
    if not host:
        return ""
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    scheme, _, rest = host.partition("://")
    authority, slash, path = rest.partition("/")
    # https's own is left out: the app's pace is kept by this URL, whichever way it is written.
    own = (scheme, connection.port) == ("https", 443)
    if connection.port and not own and not re.search(r":\d*$", authority):
        authority = f"{authority}:{connection.port}"
    return f"{scheme}://{authority}{slash}{path}"


def _limits(value: object) -> dict[EndpointName, float]:
    """Read ``requests_per_minute``: a number, or one per endpoint; as text too."""
    if not is_given(value):
        return {}
    if isinstance(value, str):
        value = parse_literal(value)
    if isinstance(value, Mapping):
        unknown = sorted(str(name) for name in value if name not in list(EndpointName))
        if unknown:
            msg = (
                f"requests_per_minute names {', '.join(unknown)}; "
                f"its keys are: {', '.join(EndpointName)}."
            )
            raise InvalidArgumentError(msg)
        return {
            EndpointName(name): _number(limit, f"requests_per_minute for {name}", 0)
            for name, limit in value.items()
        }
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return dict.fromkeys(EndpointName, float(value))
    msg = (
        "requests_per_minute must be a number, or an object with one per endpoint such as "
        '{"totals": 300, "28hr": 60, "historical": 60}.'
    )
    raise InvalidArgumentError(msg)


def _number(value: object, name: str, default: float) -> float:
    if value is None or value == "":
        return default
    try:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    msg = f"{name} must be a number."
    raise InvalidArgumentError(msg)


def _whole(value: object, name: str, default: int) -> int:
    number = float(_number(value, name, default))
    if not number.is_integer():
        msg = f"{name} is {number}; it must be a whole number."
        raise InvalidArgumentError(msg)
    return int(number)


def _flag(value: object) -> bool:
    return str(value).strip().lower() in {"true", "1", "yes", "on"}
