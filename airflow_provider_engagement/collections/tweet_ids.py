"""Read Tweet ids from what a user, a template or an upstream task passes."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.tweet_id import MAX_TWEET_ID, parse_tweet_id
from airflow_provider_engagement.collections.parsing import is_given, parse_list
from airflow_provider_engagement.collections.rounding import AS_TEXT, check_rounding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import TypeIs

__all__ = [
    "find_id_name",
    "holds_tweets",
    "is_plain_id",
    "is_uri",
    "join_tags",
    "normalized_name",
    "parse_id",
    "tweet_ids_from_value",
]

# A web address is not a file: the posts' own URLs are ids.
_URI: Final = re.compile(r"\s*(?!https?:)[a-z][a-z0-9+.-]*://\S.*", re.IGNORECASE | re.DOTALL)

_LARGEST: Final = str(MAX_TWEET_ID)

_FORMS: Final = re.compile(
    r"""
    (?:https?://)? (?:www\.|mobile\.|m\.)? (?:x|twitter)\.com/ (?:\#!/)? (?:[^\s/?#]+/){0,3}?
        status(?:es)?/ (?P<url>\d+) (?:[/?\#]\S*)?
    | id:(?P<prefixed>\d+)
    | (?:tag|object):[^\s:]+:(?:[^\s:]+:)*(?P<tag>\d+)  # Activity Streams
    | ="(?P<formula>\d+)"                               # keeps Excel from reading a number
    | '(?P<apostrophe>\d+)                              # as Excel shows text
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
# The comma in a tag, which does not separate ids.
_TAG_COMMA: Final = re.compile(r"\b(tag:[^\s,:;]+),(\d{4}[-\d]*:)", re.IGNORECASE)

_ROUNDED: Final = re.compile(r"[+-]?\d+(?:[.,]\d*)?(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)

_PATH: Final = re.compile(
    r"[^\s,;]*(?:/[^\s,;]*|\.(?:txt|csv|tsv|jsonl?|js|gz|zip|xlsx?))", re.IGNORECASE
)

# The names of an id's column or key, the most specific first; case, blanks and underscores aside.
_ID_NAMES: Final = ("tweetid", "tweetids", "postid", "statusid", "idstr", "id")


def is_uri(value: object) -> bool:
    """Return whether ``tweet_ids`` names a file or folder of ids rather than holding them."""
    return isinstance(value, str) and _URI.fullmatch(value) is not None


def is_plain_id(text: str) -> bool:
    """Return whether text is an id as the service wants it, of today's length."""
    if not (text.isascii() and text.isdigit() and text[0] != "0"):
        return False
    return 15 < len(text) < len(_LARGEST) or (len(text) == len(_LARGEST) and text <= _LARGEST)  # noqa: PLR2004 - Snowflakes have 15 digits and more


def join_tags(text: str) -> str:
    """Remove the comma of ``tag:search.twitter.com,2005:…``, so that text can be split at commas.

    :param text: ids between separators.
    """
    return _TAG_COMMA.sub(r"\1\2", text) if "tag:" in text.lower() else text


def parse_id(value: object, where: object) -> str:
    """Read one id.

    :param value: a whole number, or text: digits, a post's URL, ``ID:…``, ``tag:…:…``, ``="…"``.
    :param where: the place, for the message; it is turned into text only then.
    :returns: decimal digits without leading zeros.
    :raises InvalidArgumentError: if it is not an id. The message never repeats it.
    """
    if isinstance(value, str):
        return value if is_plain_id(value) else _parse_text(value.strip(), where)
    if isinstance(value, float):
        raise InvalidArgumentError(
            f"{where} is not a Tweet id: got a value of type float, which has lost digits.",
            advice=AS_TEXT,
        )
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return parse_tweet_id(int(value), where=str(where))
    with suppress(TypeError):
        if not isinstance(value, bool):
            value = operator.index(value)  # type: ignore[arg-type]  # numpy's whole numbers
    return parse_tweet_id(value, where=str(where))


def _parse_text(text: str, where: object) -> str:
    found = _FORMS.fullmatch(text)
    if found is not None:
        digits = found[found.lastgroup or 0]
        return digits if is_plain_id(digits) else parse_tweet_id(digits, where=str(where))
    if _ROUNDED.fullmatch(text) and not text.isdigit():
        raise InvalidArgumentError(
            f"{where} is not a Tweet id: got a number with a decimal point or an exponent, "
            "as a spreadsheet or a float writes it. Its last digits are lost.",
            advice=AS_TEXT,
        )
    if text.lower().startswith(("http://", "https://")):
        raise InvalidArgumentError(
            f"{where} is a web address, and not a post's.",
            advice="Of web addresses, those of posts are read: https://x.com/name/status/ID. "
            "Files are read from gs://, file:/// and the other schemes of object storage.",
        )
    return parse_tweet_id(text, where=str(where))


def find_id_name(names: Sequence[str], id_column: str | None, *, where: object) -> str | None:
    """Return which of these names is the id's: of a file's columns, or of an object's keys.

    :param names: the names.
    :param id_column: the name that the user chose; None to go by the known ones.
    :param where: the place, for the message.
    :raises InvalidArgumentError: if two of them are.
    """
    if id_column is not None and id_column in names:
        return id_column
    for known in _ID_NAMES if id_column is None else (normalized_name(id_column),):
        found = [name for name in names if normalized_name(name) == known]
        if len(found) > 1:
            raise InvalidArgumentError(
                f"{where} has {len(found)} columns that may hold the ids.",
                advice="Pass the name of the right one as id_column.",
            )
        if found:
            return found[0]
    return None


def normalized_name(name: str) -> str:
    """Return a column's name in lower case, without blanks and underscores.

    :param name: the name as it is written.
    """
    return re.sub(r"[\s_]+", "", name).casefold()


def holds_tweets(value: object) -> bool:
    """Return whether a list holds Tweet objects. Rows of a query have neither text nor objects."""
    return isinstance(value, (list, tuple)) and any(
        "text" in item or any(isinstance(each, (dict, list)) for each in item.values())
        for item in value
        if isinstance(item, dict)
    )


def tweet_ids_from_value(value: object, *, id_column: str | None = None) -> list[str]:
    """Read the ids that a parameter holds, each once, in their first order.

    :param value: ids, in any form that :func:`parse_list` reads; or the one-column rows of a
        query; or the results of mapped tasks, each of which may be any of these.
    :param id_column: which key of rows that have several holds the ids.
    :raises InvalidArgumentError: naming the place of the first one that is not an id, or if the ids
        have been rounded.
    """
    _check_given(value)
    ids = list(dict.fromkeys(_ids_in(value, "tweet_ids", id_column)))
    if any(item.endswith("00") for item in ids):  # as every rounded id does
        check_rounding(ids, name="tweet_ids")
    return ids


def _check_given(value: object) -> None:
    if isinstance(value, str) and value.strip() and not is_given(value):
        msg = f"tweet_ids is the text {value.strip()!r}: what its template names has no value."
        raise InvalidArgumentError(msg)
    if isinstance(value, str) and _PATH.fullmatch(text := value.strip()):
        if _FORMS.fullmatch(text) or "://" in text or text.startswith(("[", "(", "{")):
            return
        raise InvalidArgumentError(
            "tweet_ids is a path without a scheme.",
            advice=f"Write it as file://{text if text.startswith('/') else '/folder/' + text}: "
            "the scheme, and the path from the root.",
        )


def _ids_in(value: object, where: str, id_column: str | None) -> Iterator[str]:
    if _is_of_mapped_tasks(value):
        for index, item in enumerate(value):
            yield from _ids_in(_without_fill(item), f"{where}[{index}]", id_column)
        return
    items = parse_list(join_tags(value) if isinstance(value, str) else value, name=where)
    for index, item in enumerate(items):
        if isinstance(item, str) and is_plain_id(item):
            yield item
        else:
            place = f"{where}[{index}]"
            yield parse_id(_cell(item, place, id_column), place)


def _is_of_mapped_tasks(value: object) -> TypeIs[Sequence[object]]:
    """Return whether this is what Airflow makes of mapped tasks' results."""
    return isinstance(value, Sequence) and type(value).__module__.startswith("airflow.")


def _without_fill(item: object) -> object:
    """Return what one task instance returned, or zip() paired, without the fill value."""
    if isinstance(item, tuple):
        return [each for each in item if each is not None]
    return [] if item is None else item


def _cell(row: object, where: str, id_column: str | None) -> object:
    """Return the id in a row of a query's result; anything else as it is."""
    if isinstance(row, Mapping) or (hasattr(row, "keys") and hasattr(row, "__getitem__")):
        return _by_name(row, where, id_column)
    if isinstance(row, Sequence) and not isinstance(row, (str, bytes)):
        if len(row) == 1:
            return row[0]
        raise InvalidArgumentError(
            f"{where} is a row of {len(row)} values.",
            advice="Pass rows of one column, the ids'; join lists of ids into one list.",
        )
    return row


def _is_of_users(name: str) -> bool:
    return normalized_name(name) in {"userid", "authorid", "accountid"}


def _by_name(row: Any, where: str, id_column: str | None) -> object:
    names = list(row.keys())
    found = find_id_name([str(name) for name in names], id_column, where=where)
    if found is None and id_column is None and len(names) == 1 and not _is_of_users(names[0]):
        (found,) = names
    if found is None:
        raise InvalidArgumentError(
            f"{where} is a row of {len(row)} columns, and none of them is named tweet_id or id.",
            advice="Pass the name of the ids' column as id_column, or rows of one column.",
        )
    return row[found]
