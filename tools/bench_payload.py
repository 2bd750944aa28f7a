"""Measures how fast a response becomes columns, over ``json.loads`` and over rows by hand."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_engagement.api.plan import ReportingPeriod
from airflow_provider_engagement.api.query import PlannedRequest, build_query
from airflow_provider_engagement.api.response import read_response
from airflow_provider_engagement.api.spec import Access
from airflow_provider_engagement.api.transport import Reply
from airflow_provider_engagement.api.tweet_id import first_id_at
from airflow_provider_engagement.api.window import Window
from airflow_provider_engagement.rows.flatten import flatten
from tools.measuring import FOUR_WEEKS, MIDNIGHT, NOW, median_of, say

__all__ = ["payload"]


def payload() -> None:
    """Decode a response of 4 weeks by the hour to all columns."""
    query = build_query("historical", has_owner=True, granularity="hour")
    window = Window(MIDNIGHT - FOUR_WEEKS, MIDNIGHT)
    ids = [str(first_id_at(window.start - timedelta(days=n))) for n in range(1, 26)]
    body = hourly_answer(ids, query.engagement_types, window)
    request = PlannedRequest(tuple(ids), query.engagement_types, Access.OWNER, window)
    period = ReportingPeriod(NOW, window)

    def ours() -> object:
        reply = Reply(200, {}, body, NOW)
        response = read_response(reply, grouping_names=["hour"])
        if response is None:
            raise AssertionError
        return flatten(response, query=query, request=request, account="acme", period=period)

    def loads() -> object:
        return json.loads(body)

    # Rows by hand are measured apart: their objects scatter the memory of what runs after them.
    parsed, by_us = median_of(15, loads, ours, clock=time.process_time)
    parsed_again, by_hand = median_of(
        3, loads, lambda: rows_by_hand(json.loads(body)), clock=time.process_time
    )
    say("hourly payload to columns, over json.loads", f"{by_us / parsed:.2f}x", "2.60x at most")
    say("the same by hand, over json.loads", f"{by_hand / parsed_again:.2f}x", "above ours")


def hourly_answer(ids: list[str], types: tuple[str, ...], window: Window) -> bytes:
    """Make a response with every hour of a window."""
    days = [f"{window.start + timedelta(days=n):%Y-%m-%d}" for n in range(28)]
    counts = {
        item: {
            name: {
                day: {f"{hour:02}": str(at * len(name) * hour % 997) for hour in range(24)}
                for at, day in enumerate(days)
            }
            for name in types
        }
        for item in ids
    }
    start, end = window.body().values()
    return json.dumps({"start": start, "end": end, "hour": counts}).encode()


def rows_by_hand(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Flatten a response as a DAG author would."""
    return [
        {
            "tweet_id": tweet_id,
            "engagement_type": name,
            "period_start": datetime.strptime(f"{day}T{hour}Z", "%Y-%m-%dT%HZ").replace(tzinfo=UTC),
            "value": int(value),
        }
        for tweet_id, by_type in document["hour"].items()
        for name, by_day in by_type.items()
        for day, by_hour in by_day.items()
        for hour, value in by_hour.items()
    ]
