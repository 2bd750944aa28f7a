"""What both triggers share: their parameters, and polls through a connection."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import (
    EngagementError,
    InvalidArgumentError,
    ServiceError,
)
from airflow_provider_engagement.collections.tweet_ids import is_uri
from airflow_provider_engagement.hooks.storage import read_tweet_ids
from airflow_provider_engagement.thresholds.poll_loop import PollLoop
from airflow_provider_engagement.thresholds.rules import Rule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_engagement.thresholds.schedule import PollSchedule

__all__ = ["PollSettings", "serialize_tweet_ids"]

# Characters. The ids of shorter texts are read within 5 ms.
_LONG_TEXT: Final = 50_000


def serialize_tweet_ids(value: object, id_column: str | None = None) -> str:
    """Return ``tweet_ids`` in the form that a trigger carries: a URI, or ids joined by commas.

    Airflow stores, sends and reads one text faster than a list of many.

    :raises InvalidArgumentError: if a value is not an id.
    """
    if is_uri(value) or _is_serialized(value):
        return str(value).strip()
    return ",".join(read_tweet_ids(value, id_column=id_column))


def _is_serialized(value: object) -> bool:
    """Return whether a value is a long text of ids joined by commas.

    The ids in it are checked when they are read, in a thread: the event loop waits for this.
    """
    if not isinstance(value, str) or len(value) < _LONG_TEXT or not value.isascii():
        return False
    return not value.encode().translate(None, b",0123456789")


@dataclass(frozen=True, slots=True)
class PollSettings:
    """What a trigger polls, and what it waits for.

    :param tweet_ids: as :func:`serialize_tweet_ids` returns it.
    :param rule: the thresholds, and how many Tweets must cross them.
    :param match: ``any`` or ``all`` of the thresholds.
    :param endpoint: the endpoint.
    :param engagement_conn_id: the connection's id: no trigger carries a secret.
    :param id_column: the column of the ids in a file; None to go by the known names.
    """

    tweet_ids: str
    rule: Rule
    match: str
    endpoint: str
    engagement_conn_id: str
    id_column: str | None = None

    @classmethod
    def parse(
        cls,
        *,
        tweet_ids: Sequence[str | int] | str,
        thresholds: Mapping[str, float | str] | str,
        match: str,
        require: str | int,
        endpoint: str,
        engagement_conn_id: str,
        id_column: str | None = None,
    ) -> PollSettings:
        """Read the parameters of a trigger.

        :raises InvalidArgumentError: naming the parameter, what was given and what is allowed.
        """
        rule = parse_rule(thresholds, match=match, require=require, endpoint=endpoint)
        ids = serialize_tweet_ids(tweet_ids, id_column)
        return cls(ids, rule, match, str(endpoint), engagement_conn_id, id_column)

    def serialize(self) -> dict[str, Any]:
        """Return the parameters from which these settings are parsed again."""
        return {
            "tweet_ids": self.tweet_ids,
            "id_column": self.id_column,
            "thresholds": self.rule.serialize(),
            "match": self.match,
            "require": self.rule.require,
            "endpoint": self.endpoint,
            "engagement_conn_id": self.engagement_conn_id,
        }

    def loop(self, schedule: PollSchedule, *, waits_out_all: bool = False) -> PollLoop:
        """Return a loop that polls with these settings."""
        from airflow_provider_engagement.hooks.engagement import EngagementHook

        hook = EngagementHook(self.engagement_conn_id)
        return PollLoop(
            self.endpoint,
            self.rule.engagement_types,
            schedule,
            read_settings=hook.aget_settings,
            read_tweet_ids=_Collection(self.tweet_ids, self.id_column).read,
            on_secret=hook.mask,
            waits_out_all=waits_out_all,
        )


class _Collection:
    """The Tweets of a trigger, read in a thread: ids once, a file at each poll.

    :param tweet_ids: as :func:`serialize_tweet_ids` returns it.
    :param id_column: the column of the ids in a file; None to go by the known names.
    """

    def __init__(self, tweet_ids: str, id_column: str | None) -> None:
        self._tweet_ids = tweet_ids
        self._id_column = id_column
        self._read: list[str] | None = None

    async def read(self) -> list[str]:
        """Return the ids.

        :raises InvalidArgumentError: if they cannot be read.
        """
        if self._read is not None:
            return self._read
        if not is_uri(self._tweet_ids):
            self._read = await asyncio.to_thread(_read_ids, self._tweet_ids)
            return self._read
        return await asyncio.to_thread(_read_file, self._tweet_ids, self._id_column)


def _read_ids(text: str) -> list[str]:
    return read_tweet_ids(text.split(",") if text else [])


def _read_file(uri: str, id_column: str | None) -> list[str]:
    try:
        return read_tweet_ids(uri, id_column=id_column)
    except InvalidArgumentError as error:
        if not uri.startswith("file:"):
            raise
        msg = f"{error.message} It was looked for in the triggerer, on host {socket.gethostname()}."
        advice = error.advice or "Put it where the triggerer can read it, such as into a bucket."
        raise InvalidArgumentError(msg, advice=advice) from None
    except EngagementError:
        raise
    except Exception as error:
        raise ServiceError(f"{uri} cannot be read: {type(error).__name__}.") from error
