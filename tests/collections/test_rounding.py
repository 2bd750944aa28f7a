from __future__ import annotations

import json
import logging
import random
from datetime import UTC, datetime

import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.tweet_id import first_id_at
from airflow_provider_engagement.collections.rounding import check_rounding
from airflow_provider_engagement.collections.tweet_ids import tweet_ids_from_value
from airflow_provider_engagement.simulator import World

FROM = first_id_at(datetime(2012, 1, 1, tzinfo=UTC))
UNTIL = first_id_at(datetime(2026, 1, 1, tzinfo=UTC))
RANDOM = random.Random(7)  # noqa: S311 - a test's


def uniform(n: int, low: int = FROM) -> list[int]:
    return [RANDOM.randrange(low, UNTIL) for _ in range(n)]


def of_quiet_moments(n: int) -> list[int]:
    """Return ids whose sequence number is 0: the first of their millisecond and machine."""
    return [number >> 12 << 12 for number in uniform(n)]


def spreadsheet(number: int) -> int:
    """Keep 15 digits, as Excel, Google Sheets and LibreOffice do."""
    cut = 10 ** max(0, len(str(number)) - 15)
    return number // cut * cut


def javascript(number: int) -> int:
    """Print a double as JavaScript does: the shortest digits that read back, then zeros."""
    digits, _, exponent = f"{float(number)!r}".partition("e")
    if not exponent:
        return int(float(number))
    whole, _, fraction = digits.partition(".")
    return int((whole + fraction).ljust(int(exponent) + 1, "0"))


def texts(numbers: list[int]) -> list[str]:
    return list(map(str, numbers))


@pytest.mark.parametrize("draw", [uniform, of_quiet_moments])
@pytest.mark.parametrize(("n", "times"), [(1, 3000), (10, 1000), (1000, 100), (1_000_000, 1)])
def test_honest_ids_are_never_refused(draw: object, n: int, times: int) -> None:
    assert callable(draw)
    for _ in range(times):
        check_rounding(texts(draw(n)), name="ids")


def test_the_simulators_ids_are_accepted(caplog: pytest.LogCaptureFixture) -> None:
    since, until = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3))
    ids = World(seed=1, accounts=("acme",)).tweets("acme", 5000, since=since, until=until)
    check_rounding(ids, name="ids")
    assert not caplog.records


@pytest.mark.parametrize(
    ("rounded", "least", "cause"),
    [(spreadsheet, 3, "a spreadsheet"), (javascript, 6, "JavaScript, or a float,")],
)
def test_rounded_ids_are_refused_from_a_few_on(rounded: object, least: int, cause: str) -> None:
    assert callable(rounded)
    for n in (least, 10, 1000, 100_000):
        ids = texts([rounded(number) for number in uniform(n, 10**18)])
        with pytest.raises(InvalidArgumentError, match=rf"^ids: .*{cause} has rounded") as caught:
            check_rounding(ids, name="ids")
        assert "Export the ids as text" in str(caught.value)


@pytest.mark.parametrize("rounded", [spreadsheet, javascript])
def test_rounded_ids_of_18_digits_are_refused(rounded: object) -> None:
    assert callable(rounded)
    numbers = [RANDOM.randrange(2 * 10**17, 10**18) for _ in range(50)]
    with pytest.raises(InvalidArgumentError, match="has rounded"):
        check_rounding(texts([rounded(number) for number in numbers]), name="ids")


@pytest.mark.parametrize("rounded", [spreadsheet, javascript])
def test_a_rounded_part_of_a_collection_is_refused(rounded: object) -> None:
    assert callable(rounded)
    numbers = uniform(900, 10**18) + [rounded(number) for number in uniform(100, 10**18)]
    with pytest.raises(InvalidArgumentError, match="has rounded"):
        check_rounding(texts(numbers), name="ids")


@pytest.mark.parametrize(
    "ids",
    [
        ["1260294888811340000"],
        ["1260294888811348000"],
        ["1260294888811340000", "1050118621198920000"],
        ["1260294888811348000", "1050118621198921700"],
        ["1260294888811340000", "20"],
    ],
)
def test_one_or_two_ids_that_may_be_rounded_are_a_warning(
    ids: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    check_rounding(ids, name="ids")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "has rounded" in record.getMessage()
    assert "as text" in record.getMessage()


def test_few_honest_collections_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for n in (1, 3, 10, 30, 100, 1000):
        for _ in range(200):
            check_rounding(texts(uniform(n)), name="ids")
    assert len(caplog.records) < 0.04 * 6 * 200


def test_ids_from_before_snowflake_are_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    check_rounding([f"{number}000" for number in range(1, 1000)], name="ids")
    assert not caplog.records


@pytest.mark.parametrize(
    "text", ["1.26E+18", "1.26029488881135E+18", "1,26E+18", "1.26e18", "20.0"]
)
def test_a_number_in_scientific_notation_is_refused_with_its_cause(text: str) -> None:
    for value in ([text], text):
        with pytest.raises(InvalidArgumentError, match=r"an exponent, as a spreadsheet.*as text"):
            tweet_ids_from_value(value)


def test_rounded_ids_are_refused_in_a_value() -> None:
    ids = [javascript(number) for number in uniform(10, 10**18)]
    with pytest.raises(InvalidArgumentError, match=r"^tweet_ids: .*JavaScript.*in quotes in JSON"):
        tweet_ids_from_value(json.dumps(ids))
