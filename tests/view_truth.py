"""The views of a pulled world, computed from the world: no table and no SQL is read."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_provider_engagement.api.spec import (
    AGE_LIMITS,
    ENDPOINTS,
    ENGAGEMENT_TYPES,
    PUBLIC_TYPES,
)
from airflow_provider_engagement.simulator.world import created, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_engagement.simulator import World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TO_DATE = ENDPOINTS["totals"].engagement_types
SERIES = ENDPOINTS["historical"].engagement_types
AGES = {"1 hour": 1, "6 hours": 6, "24 hours": 24, "7 days": 168, "28 days": 672}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A pull of counts to date.

    :param account: the connection's account.
    :param at: the snapshot, and the world's clock.
    :param unavailable: Tweets that were deleted or protected then.
    :param app_only: whether the connection has no tokens of an owner.
    """

    account: str
    at: datetime
    tweet_ids: Sequence[str]
    unavailable: frozenset[str]
    app_only: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """A pull of whole days or hours.

    :param step: a day or an hour.
    :param start: the window's start, a whole day or hour; ``end`` likewise.
    """

    account: str
    step: timedelta
    start: datetime
    end: datetime
    tweet_ids: Sequence[str]
    types: Sequence[str]
    unavailable: frozenset[str]


@dataclass
class Truth:
    """What the views of some pulls must show.

    :param tweets: each Tweet's attributes, by id.
    :param labels: labels of each Tweet, by id.
    """

    world: World
    snapshots: list[Snapshot] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    tweets: Mapping[str, Row] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def created(self, tweet_id: str) -> datetime:
        at = int(created(np.array([int(tweet_id)], dtype=np.uint64))[0])
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at)

    # ---- By post ----------------------------------------------------------------------------

    def _counts(self, pull: Snapshot, tweet_id: str) -> tuple[str, dict[str, int]] | None:
        """Return the access and counts that a snapshot has of a Tweet."""
        owns = self.world.owner_of(tweet_id) == pull.account and not pull.app_only
        if tweet_id in pull.unavailable:
            return None
        age = pull.at - self.created(tweet_id)
        names = TO_DATE if owns else PUBLIC_TYPES
        served = [name for name in names if age <= AGE_LIMITS.get(name, age)]
        moments = np.array([milliseconds(pull.at)])
        values = self.world.counts([tweet_id], tuple(served), moments)[0, :, 0].tolist()
        return ("owner" if owns else "public"), dict(zip(served, values, strict=True))

    @cached_property
    def latest(self) -> list[Row]:
        found: dict[tuple[str, str], Row] = {}
        for pull in sorted(self.snapshots, key=lambda each: each.at):
            for tweet_id in pull.tweet_ids:
                counts = self._counts(pull, tweet_id)
                if counts is None:
                    continue
                row = found.setdefault(
                    (pull.account, tweet_id),
                    {
                        "account": pull.account,
                        "tweet_id": tweet_id,
                        "created_at": self.created(tweet_id),
                        **dict.fromkeys(TO_DATE),
                        **dict.fromkeys(f"{name}_at" for name in TO_DATE),
                    },
                )
                row |= {"access": counts[0], "snapshot_at": pull.at, **counts[1]}
                row |= {f"{name}_at": pull.at for name in counts[1]}
        for row in found.values():
            same = row["impressions_at"] == row["engagements_at"]
            row["engagement_rate"] = rate([row]) if same else None
        return list(found.values())

    @cached_property
    def top(self) -> list[Row]:
        rows = []
        ranked = defaultdict(list)
        for row in self.latest:
            for name in TO_DATE:
                if row[name] is not None:
                    ranked[row["account"], row["access"], name].append(row)
        for (account, access, name), group in ranked.items():
            values = sorted(-row[name] for row in group)
            for row in group:
                known = self.tweets.get(row["tweet_id"], {})
                rows.append(
                    {
                        "account": account,
                        "access": access,
                        "engagement_type": name,
                        "rank": values.index(-row[name]) + 1,
                        "tweet_id": row["tweet_id"],
                        "value": row[name],
                        "snapshot_at": row[f"{name}_at"],
                        "created_at": row["created_at"],
                        "author_username": known.get("author_username"),
                        "text": known.get("text"),
                        "url": self._url(row["tweet_id"]),
                    }
                )
        return rows

    @cached_property
    def types(self) -> list[Row]:
        groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in self.latest:
            if row["access"] != "owner":
                continue
            known = self.tweets.get(row["tweet_id"], {})
            link = {True: "link", False: "no link", None: None}[known.get("has_link")]
            kinds = {
                "media": known.get("media_type"),
                "link": link,
                "type": known.get("tweet_type"),
                "hour": f"{row['created_at']:%H}",
            }
            for dimension, kind in kinds.items():
                if kind is not None:
                    groups[row["account"], dimension, kind].append(row)
        return [
            {
                "account": account,
                "dimension": dimension,
                "kind": kind,
                "tweets": len(rows),
                "rated_tweets": len(known_of(rows, "engagement_rate")),
                **{
                    f"median_{name}": median(values) if (values := known_of(rows, name)) else None
                    for name in ("impressions", "engagements", "engagement_rate")
                },
                "engagement_rate": rate(row for row in rows if row["engagement_rate"] is not None),
            }
            for (account, dimension, kind), rows in groups.items()
        ]

    @cached_property
    def benchmark(self) -> list[Row]:
        by_account: dict[str, list[Row]] = defaultdict(list)
        for row in self.latest:
            by_account[row["account"]].append(row)
        own = {}
        for account, rows in by_account.items():
            access = min(row["access"] for row in rows)
            own[account] = access, [row for row in rows if row["access"] == access]
        found = []
        for account, (access, rows) in own.items():
            others = [
                row
                for other, (its_access, its_rows) in own.items()
                if other != account and its_access == "public"
                for row in its_rows
            ]
            found.append(
                {
                    "account": account,
                    "access": access,
                    "tweets": len(rows),
                    **{f"{name}_per_tweet": average(rows, name) for name in PUBLIC_TYPES},
                    "other_tweets": len(others) or None,
                    **{f"other_{name}_per_tweet": average(others, name) for name in PUBLIC_TYPES},
                }
            )
        return found

    # ---- By day -----------------------------------------------------------------------------

    def _known(self, step: timedelta) -> dict[tuple[str, str, str], set[datetime]]:
        """Return the days or hours that were pulled, by account, Tweet and type."""
        found: dict[tuple[str, str, str], set[datetime]] = defaultdict(set)
        for pull in self.series:
            if pull.step != step:
                continue
            buckets = []
            bucket = pull.start
            while bucket < pull.end:
                buckets.append(bucket)
                bucket += step
            for tweet_id in pull.tweet_ids:
                if tweet_id in pull.unavailable or self.world.owner_of(tweet_id) != pull.account:
                    continue
                born = self.created(tweet_id)
                lived = {each for each in buckets if each + step > born}
                for name in pull.types:
                    found[pull.account, tweet_id, name] |= lived
        return found

    @cached_property
    def hours(self) -> dict[tuple[str, str, str], set[datetime]]:
        return self._known(HOUR)

    @cached_property
    def whole_days(self) -> dict[tuple[str, str, str], set[datetime]]:
        """The days that are known, from the day itself or from all of its hours."""
        found = self._known(DAY)
        for key, hours in self.hours.items():
            first_hour = floor(self.created(key[1]), HOUR)
            for day in {floor(hour, DAY) for hour in hours}:
                needed = {day + n * HOUR for n in range(24) if day + n * HOUR >= first_hour}
                if needed <= hours:
                    found[key].add(day)
        return found

    def between(self, tweet_id: str, name: str, start: datetime, end: datetime) -> int:
        return self.world.count_between(tweet_id, name, start, end)

    @cached_property
    def days(self) -> list[Row]:
        found: dict[tuple[str, str, datetime], Row] = {}
        for (account, tweet_id, name), days in self.whole_days.items():
            ordered = sorted(days)
            edges = np.array(
                [milliseconds(moment) for day in ordered for moment in (day, day + DAY)]
            )
            values = self.world.counts([tweet_id], (name,), edges)[0, 0, :].reshape(-1, 2)
            for day, (before, after) in zip(ordered, values.tolist(), strict=True):
                row = found.setdefault(
                    (account, tweet_id, day),
                    {
                        "account": account,
                        "tweet_id": tweet_id,
                        "date": day.date(),
                        "created_at": self.created(tweet_id),
                        **dict.fromkeys(SERIES),
                    },
                )
                row[name] = after - before
        return list(found.values())

    @cached_property
    def daily(self) -> list[Row]:
        groups: dict[tuple[str, Any], list[Row]] = defaultdict(list)
        for row in self.days:
            groups[row["account"], row["date"]].append(row)
        totals = {
            key: {
                "tweets": len(rows),
                **{name: total(rows, name) for name in SERIES},
                "engagement_rate": rate(rows),
            }
            for key, rows in groups.items()
        }
        nothing = dict.fromkeys(("tweets", *SERIES, "engagement_rate"))
        found = []
        for (account, day), row in totals.items():
            before = totals.get((account, day - DAY), nothing)
            week_before = totals.get((account, day - 7 * DAY), nothing)
            three = ("impressions", "engagements", "engagement_rate")
            found.append(
                {
                    "account": account,
                    "date": day,
                    **row,
                    **{f"previous_{name}": value for name, value in before.items()},
                    **{f"week_before_{name}": week_before[name] for name in three},
                }
            )
        return found

    @cached_property
    def rollup(self) -> list[Row]:
        found = []
        for row in self.days:
            known = self.tweets.get(row["tweet_id"], {})
            found.append(
                {
                    "created_timestamp": row["created_at"],
                    "post_id": row["tweet_id"],
                    "post_message": known.get("text"),
                    "page_id": known.get("author_id"),
                    "page_name": known.get("author_username") or row["account"],
                    "post_url": self._url(row["tweet_id"]),
                    "platform": "twitter",
                    "clicks": row["url_clicks"],
                    "impressions": row["impressions"],
                    "likes": row["favorites"],
                    "shares": row["retweets"],
                    "comments": row["replies"],
                    "date_day": row["date"],
                }
            )
        return found

    # ---- At an age --------------------------------------------------------------------------

    @cached_property
    def growth(self) -> list[Row]:
        found: dict[tuple[str, str, str], Row] = {}
        for basis, step, known in (("hour", HOUR, self.hours), ("day", DAY, self.whole_days)):
            for (account, tweet_id, name), buckets in known.items():
                born = self.created(tweet_id)
                for age, hours in AGES.items():
                    if basis == "day" and hours < AGES["7 days"]:
                        continue
                    start, end = floor(born, step), ceiling(born + hours * HOUR, step)
                    needed = int((end - start) / step)
                    lived = sorted(buckets)
                    covered = bisect_right(lived, end - step) - bisect_right(
                        lived, start - timedelta(microseconds=1)
                    )
                    row = found.get((account, tweet_id, age))
                    if covered < needed or (row is not None and row["basis"] != basis):
                        continue
                    if row is None:
                        row = found[account, tweet_id, age] = {
                            "account": account,
                            "tweet_id": tweet_id,
                            "age": age,
                            "age_hours": hours,
                            "created_at": born,
                            "window_end": end,
                            "basis": basis,
                            **dict.fromkeys(SERIES),
                        }
                    row[name] = self.between(tweet_id, name, start, end)
        for row in found.values():
            row["engagement_rate"] = rate([row])
        return list(found.values())

    @cached_property
    def campaigns(self) -> list[Row]:
        at_age: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.latest:
            at_age[row["tweet_id"], "all"].append({**row, "age_hours": None})
        for row in self.growth:
            if row["age_hours"] in {24, 168, 672}:
                at_age[row["tweet_id"], row["age"]].append(row)
        once = {
            key: min(rows, key=lambda row: row.get("access", "owner"))
            for key, rows in at_age.items()
        }
        members: dict[tuple[str, str], list[str]] = defaultdict(list)
        for tweet_id, labels in self.labels.items():
            for label in labels.items():
                members[label].append(tweet_id)
        found = []
        for (label, campaign), tweet_ids in members.items():
            for age in ("all", "24 hours", "7 days", "28 days"):
                rows = [once[item, age] for item in tweet_ids if (item, age) in once]
                if not rows:
                    continue
                rated = [row for row in rows if row["engagement_rate"] is not None]
                found.append(
                    {
                        "label": label,
                        "campaign": campaign,
                        "age": age,
                        "age_hours": AGES.get(age),
                        "labelled_tweets": len(tweet_ids),
                        "tweets": len(rows),
                        "rated_tweets": len(rated),
                        **{name: total(rows, name) for name in ENGAGEMENT_TYPES},
                        "engagement_rate": rate(rated),
                    }
                )
        return found

    def _url(self, tweet_id: str) -> str:
        name = self.tweets.get(tweet_id, {}).get("author_username") or "i"
        return f"https://x.com/{name}/status/{tweet_id}"


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the start of a moment's hour or day."""
    return moment - (moment - datetime(1970, 1, 1, tzinfo=UTC)) % step


def ceiling(moment: datetime, step: timedelta) -> datetime:
    """Return the first start of an hour or day that is not before a moment."""
    down = floor(moment, step)
    return down if down == moment else down + step


def known_of(rows: Iterable[Mapping[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows if row.get(name) is not None]


def total(rows: Iterable[Mapping[str, Any]], name: str) -> int | None:
    values = known_of(rows, name)
    return sum(values) if values else None


def average(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = known_of(rows, name)
    return sum(values) / len(values) if values else None


def rate(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the engagement rate of the rows that have both counts."""
    both = [
        row for row in rows if row["impressions"] is not None and row["engagements"] is not None
    ]
    seen = sum(row["impressions"] for row in both)
    return sum(row["engagements"] for row in both) / seen if seen else None
