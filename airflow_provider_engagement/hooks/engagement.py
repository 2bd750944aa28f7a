"""The hook: a client, or rows in memory, for a connection of type ``engagement``."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_engagement.api.errors import EngagementError, InvalidArgumentError
from airflow_provider_engagement.api.spec import EndpointName

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.settings import Secret, Settings
    from airflow_provider_engagement.api.window import Window
    from airflow_provider_engagement.hooks.connection import ConnectionFields
    from airflow_provider_engagement.hooks.rate_store import RateStoreFields

__all__ = ["EngagementHook"]

_Fields = TypeVar("_Fields", "ConnectionFields", "RateStoreFields")

# Airflow cuts the message of a connection test to this length.
_MAX_MESSAGE = 1999


class EngagementHook(BaseHook):
    """Reads a connection to the X Enterprise Engagement API, and returns a client or rows.

    One connection is one owner of Tweets: ``login`` and ``password`` are the app's key and
    secret, the extra holds the owner's tokens. Every secret that is read or received is masked in
    Airflow's logs, in its encoded forms too.

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
        """Return a client for the connection. It has sent nothing yet; close it after use.

        :raises AuthenticationError: if the connection does not exist, or has no credentials.
        :raises InvalidArgumentError: if one of its fields is not allowed.
        :raises EngagementError: if it cannot be read now, which a retry may mend.
        """
        from airflow_provider_engagement.api.client import EngagementClient

        return EngagementClient(self.get_settings(), on_secret=self.mask)

    def get_totals(
        self,
        tweet_ids: object,
        *,
        engagement_types: object = None,
        granularity: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the counts of Tweets to date, from ``/totals``, as rows in memory.

        The rules are those of ``EngagementTotalsOperator``: ids that cannot be counted are left out
        and logged, requests are retried and paced.

        :param tweet_ids: ids, as text, not numbers; text that a list can be read from; or the URI
            of a file of ids.
        :param engagement_types: the counts; by default all that the credentials allow.
        :param granularity: ``"total"``.
        :returns: one object per count, with the columns of the long layout; times as ISO 8601 text.
        :raises EngagementError: if no Tweet can be counted, or a request stays unanswered.
        """
        return self._rows(EndpointName.TOTALS, tweet_ids, engagement_types, granularity)

    def get_28hr(
        self,
        tweet_ids: object,
        *,
        engagement_types: object = None,
        granularity: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the counts of the last 28 hours, from ``/28hr``, as rows in memory.

        :param tweet_ids: as for :meth:`get_totals`.
        :param engagement_types: the counts; by default all.
        :param granularity: ``"hour"``, which is the default, or ``"total"``.
        :returns: as for :meth:`get_totals`.
        :raises EngagementError: if no Tweet can be counted, or a request stays unanswered.
        """
        return self._rows(EndpointName.LAST_28_HOURS, tweet_ids, engagement_types, granularity)

    def get_historical(
        self,
        tweet_ids: object,
        *,
        engagement_types: object = None,
        granularity: str | None = None,
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
        since_posting: timedelta | None = None,
    ) -> list[dict[str, Any]]:
        """Return the counts of a window, from ``/historical``, as rows in memory.

        :param tweet_ids: as for :meth:`get_totals`.
        :param engagement_types: the counts; by default all.
        :param granularity: ``"day"``, which is the default, ``"hour"`` or ``"total"``.
        :param start: the first moment of the window: a datetime, a date, or ISO 8601 text.
        :param end: the first moment after the window.
        :param since_posting: instead of start and end: count each Tweet from its posting for this
            long, by day or hour.
        :returns: as for :meth:`get_totals`.
        :raises InvalidArgumentError: if start or end is missing, or given with since_posting.
        :raises EngagementError: if no Tweet can be counted, or a request stays unanswered.
        """
        from airflow_provider_engagement.api.window import Window, as_moment

        if since_posting is not None and start is None and end is None:
            return self._rows(
                EndpointName.HISTORICAL,
                tweet_ids,
                engagement_types,
                granularity,
                since_posting=since_posting,
            )
        if start is None or end is None or since_posting is not None:
            raise InvalidArgumentError(
                "get_historical needs start and end, or since_posting alone; got "
                f"start={start!r}, end={end!r}, since_posting={since_posting!r}.",
                advice="Pass both, such as data_interval_start and data_interval_end of the task's "
                "context.",
            )
        window = Window(as_moment(start, name="start"), as_moment(end, name="end"))
        return self._rows(
            EndpointName.HISTORICAL, tweet_ids, engagement_types, granularity, window=window
        )

    def get_settings(self) -> Settings:
        """Read the connection.

        :raises EngagementError: as :meth:`get_conn`.
        """
        return self._settings(self._read_fields())

    async def aget_settings(self) -> Settings:
        """Read the connection without blocking an event loop, such as the triggerer's.

        :raises EngagementError: as :meth:`get_conn`.
        """
        fields = await self._aread_fields()
        # In a thread, because masking asks another process of the triggerer.
        return await asyncio.to_thread(self._settings, fields)

    def read_rate_store(self, conn_id: str) -> RateStoreFields:
        """Read the connection of the store of the shared rate.

        :param conn_id: a connection of type ``redis`` or ``postgres``.
        :returns: its fields, or an error that is not raised yet.
        """
        from airflow_provider_engagement.hooks.rate_store import RateStoreFields

        return self._read(conn_id, RateStoreFields)

    def mask(self, secret: Secret) -> None:
        """Mask a secret that was received in Airflow's logs, in all its encoded forms."""
        self._mask([secret])

    def _rows(
        self,
        endpoint: EndpointName,
        tweet_ids: object,
        engagement_types: object,
        granularity: str | None,
        *,
        window: Window | None = None,
        since_posting: timedelta | None = None,
    ) -> list[dict[str, Any]]:
        from airflow_provider_engagement.api.plan import period_of_snapshot, period_of_window
        from airflow_provider_engagement.api.query import build_query
        from airflow_provider_engagement.api.since_posting import (
            around_tweets,
            period_since_posting,
        )
        from airflow_provider_engagement.collections.parsing import parse_list
        from airflow_provider_engagement.hooks.storage import read_tweet_ids
        from airflow_provider_engagement.pull.pull import has_tweets, plan_requests, pull
        from airflow_provider_engagement.sinks.memory import MemorySink

        types = None
        if engagement_types is not None:
            types = parse_list(engagement_types, name="engagement_types")
        sink = MemorySink()
        with self.get_conn() as client:
            query = build_query(
                endpoint,
                has_owner=client.settings.credentials.has_owner,
                engagement_types=types,
                granularity=granularity,
                groupings=None,
            )
            ids = read_tweet_ids(tweet_ids)
            if since_posting is not None:
                period = period_since_posting(query, since_posting, datetime.now(UTC))
                period = around_tweets(period, ids, query)
            elif window is not None:
                period = period_of_window(window, query)
            else:
                period = period_of_snapshot(datetime.now(UTC))
            plan = plan_requests(query, ids, period, client.settings)
            if plan is not None and has_tweets(plan):
                result = pull(client, plan, sink, period=period)
                self.log.info("Done: %s", result)
        return sink.rows()

    def _read_fields(self) -> ConnectionFields:
        from airflow_provider_engagement.hooks.connection import ConnectionFields

        fields = self._read(self.engagement_conn_id, ConnectionFields)
        if fields.rate_limit_conn_id:
            fields.rate_store = self.read_rate_store(fields.rate_limit_conn_id)
        return fields

    async def _aread_fields(self) -> ConnectionFields:
        from airflow_provider_engagement.hooks.connection import ConnectionFields
        from airflow_provider_engagement.hooks.rate_store import RateStoreFields

        fields = await self._aread(self.engagement_conn_id, ConnectionFields)
        if fields.rate_limit_conn_id:
            fields.rate_store = await self._aread(fields.rate_limit_conn_id, RateStoreFields)
        return fields

    def _read(self, conn_id: str, kind: type[_Fields]) -> _Fields:
        try:
            connection = self.get_connection(conn_id)
        except Exception as error:  # noqa: BLE001 - a secrets backend may raise anything
            return self._ask_again(conn_id, kind, error)
        return kind.read(conn_id, connection)

    async def _aread(self, conn_id: str, kind: type[_Fields]) -> _Fields:
        from airflow.providers.common.compat.connection import get_async_connection

        try:
            connection = await get_async_connection(conn_id)
        except Exception as error:  # noqa: BLE001 - a secrets backend may raise anything
            return await asyncio.to_thread(self._ask_again, conn_id, kind, error)
        return kind.read(conn_id, connection)

    @staticmethod
    def _ask_again(conn_id: str, kind: type[_Fields], failure: Exception) -> _Fields:
        """Ask the secrets backends, because Airflow reports a backend that fails as not found."""
        from airflow_provider_engagement.compat import ask_secrets_backends
        from airflow_provider_engagement.hooks.connection_errors import unavailable

        if not isinstance(failure, AirflowNotFoundException):
            return kind(error=unavailable(conn_id, failure))
        try:
            connection = ask_secrets_backends(conn_id)
        except Exception as error:  # noqa: BLE001 - a secrets backend may raise anything
            return kind(error=unavailable(conn_id, error))
        if connection is None:
            return kind(error=kind.not_found(conn_id))
        return kind.read(conn_id, connection)

    def _settings(self, fields: ConnectionFields) -> Settings:
        from airflow_provider_engagement.hooks.connection import read_settings

        self._mask(fields.secrets.values())
        if fields.rate_store:
            self._mask(fields.rate_store.secrets)
        return read_settings(self.engagement_conn_id, fields)

    def test_connection(self) -> tuple[bool, str]:
        """Test what the connection's credentials can request, with about four requests.

        Airflow runs this in its API server when "Test" is pressed, and shows the text. Secrets are
        not masked there, and the text of an exception would be shown. Therefore nothing is raised
        and no secret is logged.

        :returns: whether the credentials work, and what they can request or what is wrong.
        """
        from airflow_provider_engagement.api.probe import probe

        try:
            settings = self.get_settings()
            report = probe(settings, on_secret=self.mask)
        except EngagementError as error:
            # Airflow has made up an id for the test.
            text = str(error).replace(f"Connection {self.engagement_conn_id!r}", "The connection")
            return False, text[:_MAX_MESSAGE]
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold a secret
            return False, f"The test failed: {type(error).__name__}."
        named = settings.account != self.engagement_conn_id
        account = f"Account {settings.account}" if named else "Account named by the connection's id"
        return True, f"{account}, at {settings.host}. {report}"[:_MAX_MESSAGE]

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how Airflow 2 shows its own fields. Airflow 3 reads the provider's metadata."""
        from airflow_provider_engagement.hooks import form

        return form.field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's fields for Airflow 2. Airflow 3 reads the provider's metadata."""
        from airflow_provider_engagement.hooks import form

        return form.widgets()

    @staticmethod
    def _mask(secrets: Iterable[Secret]) -> None:
        from airflow_provider_engagement.compat import mask_secret

        for secret in secrets:
            for text in secret.encoded_variants():
                mask_secret(text)
