"""Read JSON in which Tweets or their ids stand: JSON Lines, arrays, and answers of X's APIs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.collections import tweets
from airflow_provider_engagement.collections.columns import Columns
from airflow_provider_engagement.collections.json_stream import JsonStream
from airflow_provider_engagement.collections.records import TweetRecord
from airflow_provider_engagement.collections.tweet_ids import find_id_name, parse_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_engagement.collections.lines import Lines
    from airflow_provider_engagement.collections.records import Source

__all__ = ["ARCHIVE", "read_json", "read_value"]

ARCHIVE: Final = "window.YTD."

# Arrays that are read an element at a time. Those of API v2 need what follows them.
_STREAMED: Final = ("results", "statuses")
_OF_IDS: Final = ("ids", "tweet_ids")
_CURSORS: Final = frozenset({"next_cursor", "next_cursor_str", "previous_cursor"})

# A page of 500 Tweets has 5 MB. A longer document is read an element at a time.
_LONGEST_PAGE: Final = 8 * 2**20

# What says that an object with an id is a user, a media or another thing, and not a Tweet.
_NOT_OF_TWEETS: Final = frozenset(
    {"screen_name", "username", "name", "media_key", "objectType", "verb", "full_name", "type"}
)


def read_json(first: str, lines: Lines, source: Source) -> Iterator[TweetRecord]:
    """Read a file of JSON, or a ``tweets.js`` of an archive.

    :param first: the first line that is not blank.
    :param lines: the lines after it.
    :param source: its place, and how to read it.
    :raises InvalidArgumentError: if it is not JSON, or holds something else than Tweets.
    """
    if first.lstrip().startswith("{") and len(first) < _LONGEST_PAGE and _is_json(first):
        yield from _read_lines(first, lines, source)
    else:
        yield from _read_stream(first, lines, source)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _read_lines(first: str, lines: Lines, source: Source) -> Iterator[TweetRecord]:
    yield from read_value(json.loads(first), source)
    loads = json.loads
    for line in lines:
        try:
            value = loads(line)
        except (ValueError, RecursionError):
            if not line.strip():
                continue
            cut = "ends inside a JSON value." if not lines.ended else "is not JSON."
            raise source.place.error(cut) from None
        record = _read_tweet(value, source) if isinstance(value, dict) else None
        if record is not None:
            yield record
        else:
            yield from read_value(value, source)


def _read_stream(first: str, lines: Lines, source: Source) -> Iterator[TweetRecord]:
    stream = JsonStream(first, lines, source.place)
    archived = first.lstrip().startswith(ARCHIVE)
    if archived:
        stream.skip_past("=")
    while stream.peek():
        if stream.take("["):
            for element in stream.elements():
                yield from read_value(_wrapped(element) if archived else element, source)
            stream.take(";")
        elif stream.take("{"):
            yield from _read_document(stream, source)
        else:
            stream.fail()


def _wrapped(element: object) -> object:
    """Return an entry of an archive in the form of later archives: ``{"tweet": {...}}``."""
    return {"tweet": element} if isinstance(element, dict) and "id_str" in element else element


def _read_document(stream: JsonStream, source: Source) -> Iterator[TweetRecord]:
    """Read an object that spans lines: an answer of an API, or one Tweet."""
    rest: dict[str, Any] = {}
    streamed = False
    for key in stream.keys():  # noqa: SIM118 - not a dictionary
        if key in _STREAMED and stream.take("["):
            streamed = True
            for element in stream.elements():
                yield from read_value(element, source)
        else:
            rest[key] = stream.value()
    if not streamed:
        yield from read_value(rest, source)


def read_value(value: object, source: Source) -> Iterator[TweetRecord]:
    """Read the Tweets of a parsed value: an id, a Tweet, or a page of Tweets.

    What is not a Tweet is counted in ``source.skipped``.

    :param value: the value.
    :param source: its place, and how to read it.
    :raises InvalidArgumentError: if an id in it is not one, or its ids are of users.
    """
    if isinstance(value, dict):
        yield from _read_object(value, source)
    else:
        yield TweetRecord(parse_id(value, source.place))


def _read_each(values: list[object], source: Source) -> Iterator[TweetRecord]:
    for value in values:
        yield from read_value(value, source)


def _read_object(value: dict[str, Any], source: Source) -> Iterator[TweetRecord]:
    record = _read_tweet(value, source)
    if record is not None:
        yield record
        return
    for key in _STREAMED:
        if isinstance(value.get(key), list):
            yield from _read_each(value[key], source)
            return
    data = value.get("data")
    if isinstance(data, (list, dict)):
        yield from _read_page(
            data, tweets.Includes(tweets.object_of(value.get("includes"))), source
        )
        return
    for key in _OF_IDS:
        if isinstance(value.get(key), list):
            yield from _read_ids(key, value, source)
            return
    _skip(value, source)


def _read_page(
    data: list[Any] | dict[str, Any], includes: tweets.Includes, source: Source
) -> Iterator[TweetRecord]:
    for tweet in tweets.objects(data) if isinstance(data, list) else [data]:
        record = _read_tweet(tweet, source, includes)
        if record is None:
            source.skipped["others"] += 1
        else:
            yield record


def _read_ids(key: str, value: dict[str, Any], source: Source) -> Iterable[TweetRecord]:
    if _CURSORS & value.keys():
        raise source.place.error(
            'is an answer of user ids: it has a cursor beside "ids", as lists of followers have.',
            "Pass the ids of Tweets.",
        )
    return _read_each(value[key], source)


def _skip(value: dict[str, Any], source: Source) -> None:
    """Count an object that is not a Tweet, unless it is a part of an answer without Tweets."""
    if "delete" in value or value.get("verb") == "delete":
        source.skipped["deletes"] += 1
    elif not value.keys() <= {"info", "meta", "errors", "next", "requestParameters"}:
        source.skipped["others"] += 1


def _read_tweet(
    value: dict[str, Any], source: Source, includes: tweets.Includes | None = None
) -> TweetRecord | None:
    """Read a Tweet of any shape, or a row; None if the object is neither."""
    archived = value.get("tweet") if len(value) == 1 else None
    tweet = archived if isinstance(archived, dict) else value
    if "verb" in tweet or tweet.get("objectType") == "activity":
        return _read_activity(tweet, source)
    given = tweet.get("id_str") or tweet.get("id")
    if given is None or ("text" not in tweet and "full_text" not in tweet):
        return _read_row(tweet, source)
    tweet_id = parse_id(_chosen(tweet, given, source), source.place)
    if not source.options.with_attributes:
        repost = tweets.is_archived_repost(tweet) if archived else tweets.is_repost(tweet)
        return TweetRecord(tweet_id, tweet_type="repost" if repost else None)
    if archived:
        return tweets.from_archive(tweet, tweet_id)
    if "id_str" in tweet or "user" in tweet:
        return tweets.from_status(tweet, tweet_id)
    return tweets.from_v2(tweet, tweet_id, includes or _NOTHING_INCLUDED)


def _chosen(tweet: dict[str, Any], given: object, source: Source) -> object:
    """Return the Tweet's own id, or what stands at the key that the user chose."""
    key = source.options.id_column
    if key is None:
        return given
    if key not in tweet:
        raise source.place.error("has a Tweet without the key that id_column names.")
    return tweet[key]


def _read_activity(activity: dict[str, Any], source: Source) -> TweetRecord | None:
    verb, given = activity.get("verb"), activity.get("id")
    if verb not in ("post", "share") or given is None:
        return None
    tweet_id = parse_id(_chosen(activity, given, source), source.place)
    if source.options.with_attributes:
        return tweets.from_activity(activity, tweet_id)
    return TweetRecord(tweet_id, tweet_type="repost" if verb == "share" else None)


def _read_row(value: dict[str, Any], source: Source) -> TweetRecord | None:
    """Read a row of a table, as a query's result in JSON has them; None if it is not one."""
    names = list(value)
    if any(isinstance(each, (dict, list)) for each in value.values()):
        return None
    name = find_id_name(names, source.options.id_column, where=source.place)
    if name is None or (name in {"id", "id_str"} and _NOT_OF_TWEETS & value.keys()):
        return None
    tweet_id = parse_id(value[name], source.place)
    columns = Columns(names, names.index(name))
    row = ["" if each is None else _as_text(each) for each in value.values()]
    if source.options.with_attributes:
        return columns.read(tweet_id, row)
    return TweetRecord(tweet_id, tweet_type="repost" if columns.is_repost(row) else None)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_NOTHING_INCLUDED: Final = tweets.Includes({})
