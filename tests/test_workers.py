"""Workers with temporary folders of their own, as on several machines, under one contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.bench_workers import (
    STORES,
    Workers,
    kill_and_start,
    measure_workers,
    most_in,
    rate_store,
)

if TYPE_CHECKING:
    from airflow_provider_engagement.api.settings import RateStoreSettings
    from tools.bench_workers import Shared

pytestmark = pytest.mark.integration

LIMIT = 300


def check(shared: Shared, *, least: float, refused: float) -> None:
    received, due = shared.counts
    assert received == due
    assert shared.per_minute >= least * LIMIT
    assert shared.refused_share < refused


def test_two_workers_share_a_contract_through_redis(redis_store: RateStoreSettings) -> None:
    shared = measure_workers(Workers(number=2, requests=20, limit=LIMIT, store=redis_store))
    check(shared, least=0.85, refused=0.01)  # of a few seconds, in which one slot counts
    assert most_in(shared.moments, 1) <= LIMIT / 60 + 1


@pytest.mark.long
@pytest.mark.parametrize("kind", STORES)
def test_four_workers_share_a_contract_through_a_store(kind: str) -> None:
    with rate_store(kind) as (_, settings):
        shared = measure_workers(Workers(limit=LIMIT, store=settings))
    check(shared, least=0.95, refused=0.01)
    assert most_in(shared.moments, 1, end=1) <= LIMIT / 60 + 1
    assert most_in(shared.moments, 60) <= LIMIT


@pytest.mark.long
@pytest.mark.parametrize("kind", STORES)
def test_four_workers_never_exceed_the_contract_while_their_store_is_killed(kind: str) -> None:
    with rate_store(kind) as (server, settings):
        shared = measure_workers(
            Workers(limit=LIMIT, requests=150, store=settings),
            lambda: kill_and_start(server, after=30, away=20),
        )
    check(shared, least=0.95, refused=0.01)
    assert most_in(shared.moments, 1, end=1) <= LIMIT / 60 + 1
    assert most_in(shared.moments, 60) <= LIMIT


@pytest.mark.long
@pytest.mark.parametrize("is_stated", [True, False], ids=["stated", "not stated"])
def test_four_workers_without_a_store_learn_from_the_headers(is_stated: bool) -> None:
    shared = measure_workers(Workers(limit=LIMIT, requests=225, is_stated=is_stated))
    check(shared, least=0.90, refused=0.02)
