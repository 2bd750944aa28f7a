"""Measures how fast, and in how much memory, collections of a million Tweets are read."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.measuring import peak_mib

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_engagement.collections.collection import CollectionReader

__all__ = ["lines_over_json", "peak_above_ids"]

FIRST_ID = 1_600_000_000_000_000_001
STEP = 4_194_317  # a millisecond and a little: the last digits differ, as they do in real ids


def lines_over_json(
    median_of: Callable[..., list[float]], clock: Callable[[], float], lines: int = 20_000
) -> tuple[float, float]:
    """Return how much longer than ``json.loads`` of each line it takes to read Tweets.

    :param median_of: measures functions in turn.
    :param clock: returns the seconds of processor time.
    :param lines: the number of lines.
    :returns: the ratio for ids, and for ids with all attributes.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tweets.jsonl"
        _write(path, lines)

        def parse() -> None:
            with path.open(encoding="utf-8") as file:
                for line in file:
                    json.loads(line)

        loads, ids, whole = median_of(
            5,
            parse,
            lambda: _read(path, with_attributes=False).tweet_ids(),
            lambda: _read(path, with_attributes=True).collection(),
            clock=clock,
        )
    return ids / loads, whole / loads


def peak_above_ids(lines: int = 1_000_000) -> tuple[float, float]:
    """Return the peak memory of reading a file of Tweets, in MiB above the process that starts.

    :param lines: the number of lines.
    :returns: of reading the ids, and of reading ids with all attributes.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tweets.jsonl"
        _write(path, lines)
        return _peak(path, with_attributes=False), _peak(path, with_attributes=True)


def _write(path: Path, lines: int) -> None:
    """Write Tweets in the original format of PowerTrack, each with a text of its own."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            tweet_id = str(FIRST_ID + number * STEP)
            file.write(json.dumps(_tweet(tweet_id, f"Order {number} is ready to be sent")) + "\n")


def _tweet(tweet_id: str, text: str) -> dict[str, Any]:
    link = {"url": "https://t.co/a", "expanded_url": "https://example.com/a", "indices": [30, 44]}
    return {
        "created_at": "Wed Sep 13 00:00:00 +0000 2023",
        "id": int(tweet_id),
        "id_str": tweet_id,
        "text": f"{text} https://t.co/a",
        "source": '<a href="https://example.com" rel="nofollow">Example for Web</a>',
        "truncated": False,
        "in_reply_to_status_id": None,
        "in_reply_to_status_id_str": None,
        "user": {
            "id": 2244994945,
            "id_str": "2244994945",
            "name": "Acme",
            "screen_name": "acme",
            "location": "Everywhere",
            "description": "What Acme makes, and where it can be found.",
            "verified": False,
            "followers_count": 1024,
            "friends_count": 64,
            "statuses_count": 4096,
            "created_at": "Sat Dec 14 04:35:55 +0000 2013",
            "profile_image_url_https": "https://example.com/profile_images/1/normal.jpg",
        },
        "is_quote_status": False,
        "quote_count": 0,
        "reply_count": 0,
        "retweet_count": 0,
        "favorite_count": 0,
        "entities": {
            "hashtags": [{"text": "orders", "indices": [0, 7]}],
            "urls": [link],
            "user_mentions": [],
            "symbols": [],
        },
        "favorited": False,
        "retweeted": False,
        "filter_level": "low",
        "lang": "en",
        "timestamp_ms": "1694563200000",
        "matching_rules": [{"tag": None, "id": 1, "id_str": "1"}],
    }


def _read(path: Path, *, with_attributes: bool) -> CollectionReader:
    from airflow_provider_engagement.collections.reading import PlainFiles, read_source
    from airflow_provider_engagement.collections.records import ReadOptions

    options = ReadOptions(with_attributes=with_attributes)
    return read_source(f"file://{path}", store=PlainFiles(), options=options)


def _peak(path: Path, *, with_attributes: bool) -> float:
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    process = context.Process(target=_measure, args=(path, with_attributes, results))
    process.start()
    peak: float = results.get(timeout=900)
    process.join()
    return peak


def _measure(path: Path, with_attributes: bool, results: Any) -> None:
    import pyarrow.compute  # noqa: F401 - what is imported is not what is measured

    before = peak_mib()
    reader = _read(path, with_attributes=with_attributes)
    held = reader.collection() if with_attributes else reader.tweet_ids()
    results.put(peak_mib() - before)
    del held
