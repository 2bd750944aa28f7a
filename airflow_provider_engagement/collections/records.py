"""What the readers of all formats yield, and what they need to know."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MEDIA_TYPES",
    "TWEET_TYPES",
    "Place",
    "ReadOptions",
    "Reposts",
    "Source",
    "TweetRecord",
]

Reposts = Literal["drop", "keep"]

TWEET_TYPES: Final = ("post", "reply", "quote", "repost")
MEDIA_TYPES: Final = ("none", "photo", "video", "animated_gif", "mixed")


class TweetRecord(NamedTuple):
    """A Tweet as its source describes it. None means that the source does not say.

    The first nine are the columns of :data:`schema.ATTRIBUTES` that are stored.
    """

    tweet_id: str
    author_id: str | None = None
    author_username: str | None = None
    text: str | None = None
    lang: str | None = None
    tweet_type: str | None = None
    media_type: str | None = None
    has_link: bool | None = None
    hashtags: list[str] | None = None
    labels: Mapping[str, str] | None = None


class Place:
    """Where a reader is, for its errors: a file's name and the line, if lines are counted.

    :param name: what to call the source.
    """

    __slots__ = ("line", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.line = 0

    def __str__(self) -> str:
        return f"{self.name}, line {self.line}" if self.line else self.name

    def error(self, fault: str, advice: str = "") -> InvalidArgumentError:
        """Return an error that names this place and the fault."""
        return InvalidArgumentError(f"{self} {fault}", advice=advice)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a collection.

    :param id_column: the column, or key, that holds the ids; None to go by the known names.
    :param with_attributes: whether to read more than ids.
    """

    id_column: str | None = None
    with_attributes: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one value, that is being read.

    :param place: where the reader is.
    :param options: how to read it.
    :param skipped: how many entries were not read, by kind: ``deletes``, ``others``.
    """

    place: Place
    options: ReadOptions = ReadOptions()
    skipped: Counter[str] = field(default_factory=Counter)
