"""What the demo shows of the tables and files that it has written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.clients import BigQuery, Gcs

__all__ = ["coverage", "last_days", "save_files", "top_tweets", "totals"]

# A count that the API does not return has no row, so that it is null here, never 0.
_COUNTS: Final = """
    MAX(IF(engagement_type = 'impressions', value, NULL)) AS impressions,
    MAX(IF(engagement_type = 'engagements', value, NULL)) AS engagements,
    MAX(IF(engagement_type = 'favorites', value, NULL)) AS favorites
"""

_BY_TWEET: Final = f"""
    SELECT tweet_id, ANY_VALUE(DATE(tweet_created_at)) AS created, {_COUNTS},
      ANY_VALUE(text) AS text, ANY_VALUE(url) AS url
    FROM {{table}} JOIN {{table}}_tweets USING (tweet_id)
    WHERE granularity = 'lifetime'
    GROUP BY tweet_id
    ORDER BY engagements DESC, tweet_id
    LIMIT {{rows}}
"""  # noqa: S608 - no user input

_BY_DAY: Final = f"""
    SELECT date, {_COUNTS.replace("MAX(", "SUM(")}
    FROM {{table}}
    WHERE granularity = 'day'
    GROUP BY date
    ORDER BY date DESC
    LIMIT {{rows}}
"""  # noqa: S608 - no user input

_SHOWN: Final = ("impressions", "engagements", "favorites")
_LINE: Final = "  {:<20} {:<11} {:>12} {:>12} {:>10} {:>8}"

# A Tweet with more missing types than this has no counts. Too old Tweets miss up to three.
_MANY: Final = 5

# Two pulls request /historical. The pull of days has the later date and asks for all types, so its
# outcome is shown.
_OUTCOMES: Final = """
    SELECT endpoint, status, reason, missing_types, COUNT(*) AS tweets
    FROM (
      SELECT *, ROW_NUMBER() OVER (PARTITION BY endpoint, tweet_id ORDER BY date DESC) AS place
      FROM {table}_coverage
    )
    WHERE place = 1
    GROUP BY endpoint, status, reason, missing_types
    ORDER BY endpoint, tweets DESC, reason
"""


def totals(bigquery: BigQuery, table: str) -> tuple[int, int]:
    """Return the number of counts in the table, and of Tweets."""
    (found,) = bigquery.rows(
        f"SELECT COUNT(*) AS counts, COUNT(DISTINCT tweet_id) AS tweets FROM {table}"  # noqa: S608 - no user input
    )
    return found["counts"], found["tweets"]


def top_tweets(bigquery: BigQuery, table: str, rows: int = 5) -> Iterator[str]:
    """Yield the counts, text and link of each Tweet, the most engagements to date first."""
    yield _LINE.format("tweet", "created", "impressions", "engagements", "favorites", "rate")
    for row in bigquery.rows(_BY_TWEET.format(table=table, rows=rows)):
        yield _line(row["tweet_id"], row["created"], row)
        yield f"    {row['text']}  {row['url']}"


def last_days(bigquery: BigQuery, table: str, rows: int = 5) -> Iterator[str]:
    """Yield a line per day, the latest first."""
    yield _LINE.format("day", "", "impressions", "engagements", "favorites", "rate")
    for row in bigquery.rows(_BY_DAY.format(table=table, rows=rows)):
        yield _line(row["date"], "", row)


def coverage(bigquery: BigQuery, table: str) -> Iterator[str]:
    """Yield a line for each outcome: answered, answered in part, or not answered."""
    layout = "  {:>6}  {:<11} {:<25} {}"
    endpoint = ""
    for row in bigquery.rows(_OUTCOMES.format(table=table)):
        if row["endpoint"] != endpoint:
            endpoint = row["endpoint"]
            yield layout.format("tweets", f"/{endpoint}", "missing", "reason")
        missing = (row["missing_types"] or "-").split(",")
        without = ", ".join(missing) if len(missing) < _MANY else "all counts"
        yield layout.format(row["tweets"], row["status"], without, row["reason"] or "-")


def save_files(gcs: Gcs, bucket: str, folder: Path) -> list[Path]:
    """Copy the report's files from the bucket to a folder, which then holds nothing else.

    :returns: the files, the page first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for blob in gcs.client.list_blobs(bucket, prefix="reports/"):
        blob.download_to_filename(str(folder / blob.name.rpartition("/")[2]))
    return sorted(folder.iterdir(), key=lambda path: (path.suffix != ".html", path.name))


def _line(name: object, created: object, row: dict[str, Any]) -> str:
    """Format the counts of a Tweet or of a day."""
    counts = ("-" if row[kind] is None else f"{row[kind]:,}" for kind in _SHOWN)
    rate = "-"
    if row["impressions"] and row["engagements"] is not None:
        rate = f"{row['engagements'] / row['impressions']:.2%}"
    return _LINE.format(str(name), str(created), *counts, rate)
