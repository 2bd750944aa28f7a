"""Read a row of a table: known columns are attributes of its Tweet, all others are labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.collections.parsing import parse_literal
from airflow_provider_engagement.collections.records import MEDIA_TYPES, TWEET_TYPES, TweetRecord
from airflow_provider_engagement.collections.tweet_ids import normalized_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Columns"]

# By the normalized name: the attribute's own, and what exports of X and of tools call it.
_ATTRIBUTES: Final = {
    "authorid": "author_id",
    "userid": "author_id",
    "authorusername": "author_username",
    "username": "author_username",
    "screenname": "author_username",
    "userscreenname": "author_username",
    "text": "text",
    "fulltext": "text",
    "tweettext": "text",
    "posttext": "text",
    "lang": "lang",
    "language": "lang",
    "tweettype": "tweet_type",
    "mediatype": "media_type",
    "haslink": "has_link",
    "hashtags": "hashtags",
    "url": "url",
    "postlink": "url",
    "tweetpermalink": "url",
}
# The time is read from the id.
_DERIVED: Final = "createdat"

_POST_URL: Final = re.compile(
    r"https?://(?:\w+\.)?(?:twitter|x)\.com/(\w{1,15})/status(?:es)?/\d+.*"
)
_TAGS: Final = re.compile(r"[\s,;|]+")
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class Columns:
    """The columns of a table, or the keys of an object.

    :param names: the names, as they are written.
    :param id_position: which of them holds the ids.
    """

    def __init__(self, names: Sequence[str], id_position: int) -> None:
        self._attributes: list[tuple[int, str, str, Callable[[str], object]]] = []
        self._labels: list[tuple[int, str]] = []
        self._type_position: int | None = None
        taken: set[str] = set()
        for position, name in enumerate(names):
            known = _ATTRIBUTES.get(normalized_name(name))
            if position == id_position or not name or normalized_name(name) == _DERIVED:
                continue
            if known is None or known in taken:
                self._labels.append((position, name))
                continue
            taken.add(known)
            self._attributes.append((position, known, name, _READERS.get(known, _text)))
            if known == "tweet_type":
                self._type_position = position

    def read(self, tweet_id: str, row: Sequence[str]) -> TweetRecord:
        """Read a row, which may be shorter than the header.

        A value that is not of its attribute's kind is a label.

        :param tweet_id: its id.
        :param row: its values as text.
        """
        labels = {
            name: value
            for position, name in self._labels
            if position < len(row) and (value := row[position].strip())
        }
        found: dict[str, Any] = {}
        for position, attribute, name, read in self._attributes:
            value = row[position].strip() if position < len(row) else ""
            if not value:
                continue
            found[attribute] = read(value)
            if found[attribute] is None:
                labels[name] = value
        if (username := found.pop("url", None)) and not found.get("author_username"):
            found["author_username"] = username
        return TweetRecord(tweet_id=tweet_id, labels=labels or None, **found)

    def is_repost(self, row: Sequence[str]) -> bool:
        """Return whether a row says that its Tweet is a repost.

        :param row: its values as text.
        """
        position = self._type_position
        return position is not None and position < len(row) and _type(row[position]) == "repost"


def _text(value: str) -> str:
    return value


def _username(value: str) -> str:
    return value.removeprefix("@")


def _username_in_url(value: str) -> str | None:
    found = _POST_URL.fullmatch(value)
    return found[1] if found and found[1] != "i" else None


def _type(value: str) -> str | None:
    return kind if (kind := value.strip().lower()) in TWEET_TYPES else None


def _media(value: str) -> str | None:
    return kind if (kind := value.lower()) in MEDIA_TYPES else None


def _hashtags(value: str) -> list[str] | None:
    listed = parse_literal(value) if value.startswith("[") else None
    parts = listed if isinstance(listed, list) else _TAGS.split(value)
    return [str(part).removeprefix("#") for part in parts if part]


_READERS: Final[dict[str, Callable[[str], object]]] = {
    "author_username": _username,
    "url": _username_in_url,
    "tweet_type": _type,
    "media_type": _media,
    "has_link": lambda value: _BOOLEANS.get(value.lower()),
    "hashtags": _hashtags,
}
