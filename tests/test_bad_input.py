from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from run_operator import CONN_ID, NOW, connect, run

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tools.clients import BigQuery, Gcs

    Make = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("airflow_home")

SNAPSHOT = NOW - timedelta(hours=1)
WORLD = World(seed=9, accounts=("acme",), now=NOW)
IDS = WORLD.tweets("acme", 3, since=NOW - timedelta(days=9), until=SNAPSHOT)
SECRET = "hunter2-of-another-file"


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Simulate the service, which must not hear of any of this."""
    with Simulator(WORLD) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator
        assert simulator.requests == []


@pytest.fixture(params=["to a file", "to BigQuery", "to GCS"])
def make(request: pytest.FixtureRequest, simulator: Simulator, tmp_path: Path) -> Iterator[Make]:
    """Give what makes each of the operators, none of which may write anything."""
    assert simulator.url
    held: dict[str, Any] = {"task_id": "bad", "tweet_ids": IDS, "engagement_conn_id": CONN_ID}
    if request.param == "to a file":
        out = tmp_path / "out"
        held["output_path"] = f"file://{out}/counts.jsonl"
        yield lambda **changes: EngagementTotalsOperator(**(held | changes))
        assert not out.exists()
    elif request.param == "to BigQuery":
        bigquery: BigQuery = request.getfixturevalue("bigquery")
        dataset = request.getfixturevalue("dataset")
        held["destination_table"] = f"{dataset}.totals"
        yield lambda **changes: EngagementToBigQueryOperator(**(held | changes))
        assert list(bigquery.client.list_tables(dataset)) == []
    else:
        gcs: Gcs = request.getfixturevalue("gcs")
        bucket = gcs.make_bucket()
        held["bucket"] = bucket.name
        yield lambda **changes: EngagementToGCSOperator(**(held | changes))
        assert list(bucket.list_blobs()) == []


def refusal(operator: Any) -> str:
    with pytest.raises(AirflowFailException) as caught:
        run(operator, at=SNAPSHOT)
    return str(caught.value)


def test_correct_input_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(WORLD) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        operator = EngagementTotalsOperator(
            task_id="good", tweet_ids=IDS, engagement_conn_id=CONN_ID
        )
        assert len(run(operator, at=SNAPSHOT).value) == 21


@pytest.mark.parametrize("empty", [[], ()])
def test_an_empty_literal_list(make: Make, empty: object) -> None:
    with pytest.raises(InvalidArgumentError, match="tweet_ids is an empty list"):
        make(tweet_ids=empty)


@pytest.mark.parametrize(
    ("types", "fault"),
    [
        (["favorites", "likes"], "engagement_types holds 'likes', which is not an engagement type"),
        ("favorites, likes", "engagement_types holds 'likes', which is not an engagement type"),
        (["url_clicks"], "engagement_types holds 'url_clicks', which is not served by totals"),
    ],
)
def test_an_unknown_type_and_one_of_another_endpoint(make: Make, types: object, fault: str) -> None:
    message = refusal(make(engagement_types=types))
    assert fault in message
    assert "totals serves: impressions, engagements, favorites, retweets" in message


@pytest.mark.parametrize(
    ("groupings", "fault", "allowed"),
    [
        (
            {"mine": {"group_by": ["tweet.id", "engagement.day"]}},
            "groupings['mine'] groups by 'engagement.day'",
            "a level is one of: tweet.id, engagement.type",
        ),
        (
            {"mine": {"group_by": ["Tweet.id"]}},
            "groupings['mine'] groups by 'Tweet.id'",
            "a level is one of: tweet.id, engagement.type",
        ),
        (
            {name: {"group_by": ["tweet.id"]} for name in "abcd"},
            "groupings is 4 groupings",
            "1 to 3 entries",
        ),
        ({"errors": {"group_by": ["tweet.id"]}}, "groupings['errors']", "Choose another"),
    ],
)
def test_an_illegal_grouping(make: Make, groupings: object, fault: str, allowed: str) -> None:
    for given in (groupings, json.dumps(groupings)):
        message = refusal(make(groupings=given))
        assert fault in message
        assert allowed in message


@pytest.mark.parametrize("render", [list, ",".join, json.dumps, str])
def test_an_id_with_letters(make: Make, render: Callable[[list[str]], Any]) -> None:
    message = refusal(make(tweet_ids=render([*IDS, f"20{SECRET}"])))
    assert "tweet_ids[3] is not a Tweet id" in message
    assert "whole number from 1 to 9223372036854775807" in message
    assert SECRET not in message


def test_an_empty_connection(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, {"conn_type": "engagement"})
    message = refusal(make())
    assert f"Connection '{CONN_ID}' is empty" in message
    assert "login (API key), password (API secret)" in message
    assert "access_token and access_token_secret" in message


def test_http_to_another_host(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = simulator.connection("acme") | {"host": "http://data-api.x.com"}
    connect(monkeypatch, connection)
    message = refusal(make())
    assert "host is http://data-api.x.com: only https is allowed" in message
    assert "http to this machine (localhost, 127.0.0.1, ::1)" in message


@pytest.mark.parametrize("name", ["data'set.totals", 'dataset."totals"', "dataset.`totals`"])
def test_a_table_name_with_a_quote(
    simulator: Simulator, bigquery: BigQuery, dataset: str, name: str
) -> None:
    operator = EngagementToBigQueryOperator(
        task_id="bad", tweet_ids=IDS, destination_table=name, engagement_conn_id=CONN_ID
    )
    message = refusal(operator)
    assert f"destination_table is {name!r}" in message
    assert "project.dataset.table or dataset.table" in message
    assert list(bigquery.client.list_tables(dataset)) == []
    assert simulator.url


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "another kind of text": (f"{IDS[0]}\n{IDS[1]}\n{SECRET}\n".encode(), "line 3 is not a Tweet"),
    "a line too many": (f"{IDS[0]}\n{SECRET * 999}\n".encode(), "line 2 is not a Tweet id"),
    "no text": (b"\xff\xfe" + SECRET.encode(), "cannot be read from its start"),
    "half a gzip file": (gzip.compress(SECRET.encode() * 9)[:-9], "cannot be read from its start"),
}


@pytest.mark.parametrize("place", ["file", "gs"])
@pytest.mark.parametrize(("content", "fault"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_of_ids_that_cannot_be_read(
    make: Make, request: pytest.FixtureRequest, place: str, content: bytes, fault: str
) -> None:
    if place == "file":
        path = request.getfixturevalue("tmp_path") / "ids.txt"
        path.write_bytes(content)
        uri = f"file://{path}"
    else:
        bucket = request.getfixturevalue("gcs").make_bucket()
        bucket.blob("ids.txt").upload_from_string(content)
        uri = f"gs://{bucket.name}/ids.txt"
    message = refusal(make(tweet_ids=uri))
    assert f"tweet_ids: {uri}" in message
    assert fault in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("file:///nowhere/ids.txt", "does not exist"),
        ("file:///tmp", "cannot be opened: Is a directory"),
        ("gs://nowhere/ids.txt", "does not exist"),
        ("gs://bucket", "names no object: it must read gs://bucket/path/to/object"),
        ("s3://bucket/ids.txt", "cannot be reached"),
        ("nothing://bucket/ids.txt", "cannot be reached"),
    ],
)
def test_a_file_of_ids_that_does_not_exist(make: Make, gcs: Gcs, uri: str, fault: str) -> None:
    assert gcs.url
    message = refusal(make(tweet_ids=uri))
    assert message.startswith(f"tweet_ids: {uri}")
    assert fault in message


@pytest.mark.parametrize("changes", [{"max_missing_share": "most"}, {"max_missing_share": 1.5}])
def test_a_wrong_share(make: Make, changes: dict[str, Any]) -> None:
    message = refusal(make(**changes))
    assert "max_missing_share must be a number from 0 to 1; got" in message
    assert repr(str(changes["max_missing_share"])).strip("'") in message


def test_a_granularity_of_another_endpoint(make: Make) -> None:
    with pytest.raises(
        InvalidArgumentError, match="granularity is 'hour'; on totals it must be one of"
    ):
        make(granularity="hour")
