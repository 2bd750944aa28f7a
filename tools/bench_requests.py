"""Measures requests: how many a pull sends, how fast, and how much of a contract it uses."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.plan import Plan, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.api.tweet_id import created_at, first_id_at
from airflow_provider_engagement.api.window import Window
from tools.measuring import FOUR_WEEKS, MIDNIGHT, NOW, median_of, pull_all, say, served

if TYPE_CHECKING:
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.pull import PullStats

__all__ = ["mapped", "pace", "throughput", "year"]


def throughput() -> None:
    """Pull 10,000 ids of /totals from a service without a limit that answers in 200 ms.

    With a limit in the connection all requests start at once; without one the first request is
    sent alone.
    """
    query = build_query("totals", has_owner=True)
    with (
        served("--latency", "0.2", tweets=10_000) as (settings, ids),
        tempfile.TemporaryDirectory() as folder,
    ):
        plan = make_plan(query, ids, now=NOW)
        stated = replace(settings, requests_per_minute={EndpointName.TOTALS: 6000.0})
        hand, ours, alone = median_of(
            3,
            lambda: by_hand(settings, plan),
            lambda: pull_all(stated, plan, Path(folder)),
            lambda: pull_all(settings, plan, Path(folder)),
        )
    say(
        "10,000 ids on totals, 200 ms an answer, over by hand", f"{hand / ours:.1f}x", "6x at least"
    )
    say("  where the connection states no contract", f"{hand / alone:.1f}x", "none set")


def by_hand(settings: Settings, plan: Plan) -> None:
    """Send one request after another on one connection, as a DAG author would."""
    import requests
    from requests_oauthlib import OAuth1

    held = settings.credentials
    secrets = held.consumer_key, held.consumer_secret, held.access_token, held.access_token_secret
    auth = OAuth1(*(secret.reveal() for secret in secrets if secret))
    rows = []
    with requests.Session() as session:
        for request in plan.requests:
            body = plan.query.body(request)
            url = settings.host + plan.query.endpoint.path
            answer = session.post(url, json=body, auth=auth, headers={"Accept-Encoding": "gzip"})
            for tweet_id, counts in answer.json()["total"].items():
                for name, value in counts.items():
                    rows.append({"tweet_id": tweet_id, "type": name, "value": int(value)})


def pace() -> None:
    """Pull a plan of 600 requests with a limit of 300 per minute."""
    limit = {EndpointName.TOTALS: 300.0}
    options = ("--requests-per-minute", "300", "--latency", "0.05")
    with (
        served(*options, tweets=20, requests_per_minute=limit) as (settings, ids),
        tempfile.TemporaryDirectory() as folder,
    ):
        began = time.monotonic()
        tally = _paced(settings, ids, 600, Path(folder))
        minutes = (time.monotonic() - began) / 60
    accepted = (tally.requests - tally.rate_limited) / minutes / 300
    say("600 requests, contract of 300 a minute: pace", f"{accepted:.3f} R", "0.98 R at least")
    say("  of them refused", f"{tally.rate_limited / tally.requests:.2%}", "under 1 %")


def _paced(settings: Settings, ids: list[str], requests: int, folder: Path) -> PullStats:
    query = build_query("totals", has_owner=True)
    plan = make_plan(query, ids, now=NOW)
    more = tuple(plan.requests[n % len(plan.requests)] for n in range(requests))
    plan = Plan(query=query, tweet_ids=plan.tweet_ids, requests=more, too_old={})
    return pull_all(settings, plan, folder)


def mapped() -> None:
    """Pull in 4 processes at once on one app with a limit of 300 per minute."""
    limit = {EndpointName.TOTALS: 300.0}
    options = ("--requests-per-minute", "300", "--latency", "0.05")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with (
        served(*options, tweets=20, requests_per_minute=limit) as (settings, ids),
        tempfile.TemporaryDirectory() as folder,
    ):
        tasks = [
            context.Process(target=_mapped, args=(settings, ids, Path(folder), results))
            for _ in range(4)
        ]
        began = time.monotonic()
        for task in tasks:
            task.start()
        found = [results.get() for _ in tasks]
        minutes = (time.monotonic() - began) / 60
        for task in tasks:
            task.join()
    sent, refused = (sum(column) for column in zip(*found, strict=True))
    say(
        "4 tasks at once on one app: pace together",
        f"{(sent - refused) / minutes / 300:.3f} R",
        "0.95 R at least",
    )
    say("  of them refused", f"{refused / sent:.2%}", "under 1 %")


def _mapped(settings: Settings, ids: list[str], folder: Path, results: Any) -> None:
    tally = _paced(settings, ids, 150, folder)
    results.put((tally.requests, tally.rate_limited))


def year() -> None:
    """Count the requests of one pull over a year with 1,000 Tweets, created evenly over it."""
    query = build_query("historical", has_owner=True)
    start = MIDNIGHT - timedelta(days=365)
    ids = [str(first_id_at(start + timedelta(days=365) * n / 1000) + 1) for n in range(1000)]
    plan = make_plan(query, ids, now=NOW, window=Window(start, MIDNIGHT))
    lives = [MIDNIGHT - created for item in ids if (created := created_at(item))]
    least = -(-sum(-(-life // FOUR_WEEKS) for life in lives) // 25)
    hand = 1000 // 25 * -(-timedelta(days=365) // FOUR_WEEKS)
    say(
        "a year of 1,000 Tweets: requests over the least",
        f"{len(plan.requests)}/{least} = {len(plan.requests) / least:.3f}x",
        "1.05x at most",
    )
    say("  by hand, every window for every batch", f"{hand / least:.2f}x", "above ours")
