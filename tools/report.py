"""What the demo shows of the tables that it filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.clients import BigQuery, Gcs

__all__ = ["coverage", "objects", "top_tweets", "totals"]

# One row a Tweet. A count that the API does not give has no row, so it is null here: never 0.
_BY_TWEET: Final = """
    SELECT
        tweet_id,
        ANY_VALUE(DATE(tweet_created_at)) AS created,
        MAX(IF(engagement_type = 'impressions', value, NULL)) AS impressions,
        MAX(IF(engagement_type = 'engagements', value, NULL)) AS engagements,
        MAX(IF(engagement_type = 'favorites', value, NULL)) AS favorites
    FROM {table}
    GROUP BY tweet_id
    ORDER BY engagements DESC, tweet_id
    LIMIT {tweets}
"""

# A Tweet that lacks more types than this has none at all: those too old for a type lack three.
_MANY: Final = 5

_FATES: Final = """
    SELECT status, access, reason, missing_types, COUNT(*) AS tweets
    FROM {table}_coverage
    GROUP BY status, access, reason, missing_types
    ORDER BY tweets DESC, reason
"""


def totals(bigquery: BigQuery, table: str) -> tuple[int, int]:
    """Return how many counts the table holds, and of how many Tweets."""
    (found,) = bigquery.rows(
        f"SELECT COUNT(*) AS counts, COUNT(DISTINCT tweet_id) AS tweets FROM {table}"  # noqa: S608 - ours
    )
    return found["counts"], found["tweets"]


def top_tweets(bigquery: BigQuery, table: str, tweets: int = 8) -> Iterator[str]:
    """Yield a line a Tweet, those with the most engagements first."""
    layout = "  {:<20} {:<11} {:>12} {:>12} {:>10} {:>8}"
    yield layout.format("tweet", "created", "impressions", "engagements", "favorites", "rate")
    for row in bigquery.rows(_BY_TWEET.format(table=table, tweets=tweets)):
        counts = (_count(row[name]) for name in ("impressions", "engagements", "favorites"))
        yield layout.format(row["tweet_id"], str(row["created"]), *counts, _rate(row))


def coverage(bigquery: BigQuery, table: str) -> Iterator[str]:
    """Yield a line for each way that Tweets fared: answered, in part, or not at all."""
    layout = "  {:>6}  {:<11} {:<25} {}"
    yield layout.format("tweets", "status", "without", "why")
    for row in bigquery.rows(_FATES.format(table=table)):
        missing = (row["missing_types"] or "-").split(",")
        without = ", ".join(missing) if len(missing) < _MANY else "all counts"
        yield layout.format(row["tweets"], row["status"], without, row["reason"] or "-")


def objects(gcs: Gcs, bucket: str) -> Iterator[str]:
    """Yield the objects that the run wrote, folder by folder, with their sizes in bytes."""
    folder = ""
    for blob in gcs.client.list_blobs(bucket, prefix="engagement/"):
        path, name = blob.name.rsplit("/", 1)
        if path != folder:
            folder = path
            yield f"  {folder}/"
        yield f"  {blob.size:>9,} bytes  {name}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _rate(row: dict[str, Any]) -> str:
    """Return engagements per impression, where there are both."""
    if not row["impressions"] or row["engagements"] is None:
        return "-"
    return f"{row['engagements'] / row['impressions']:.2%}"
