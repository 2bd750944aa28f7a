"""What a pull leaves for people to see: rows, links, metrics, asset events, rendered fields."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from airflow.providers.common.compat.sdk import Asset
from run_operator import NOW, counts, expected_counts

from airflow_provider_engagement.api.plan import ReportingPeriod
from airflow_provider_engagement.api.settings import Secret
from airflow_provider_engagement.api.spec import ENDPOINTS, PUBLIC_TYPES
from airflow_provider_engagement.api.window import Window
from airflow_provider_engagement.operators.reporting import console_url, describe_assets
from airflow_provider_engagement.sinks.base import WriteResult

if TYPE_CHECKING:
    from tests.operators.conftest import Watched

has_partitions = pytest.mark.skipif(
    not importlib.util.find_spec("airflow.sdk"), reason="Airflow 2 has no partitions"
)

DAY = timedelta(days=1)
TODAY = NOW.replace(hour=0, minute=0, second=0)
TYPES = ENDPOINTS["totals"].engagement_types
SERIES = len(ENDPOINTS["historical"].engagement_types)

CONSOLE = "https://console.cloud.google.com/"


def text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


# ---- Rows, of a task for each owner ----------------------------------------------------------


def test_each_owner_has_a_task_with_retries(watched: Watched) -> None:
    tasks = {key: task for key, task in watched.tasks.items() if key.startswith("owners")}
    assert {key: (task["state"], task["tries"]) for key, task in tasks.items()} == {
        "owners[0]": ("success", 4),
        "owners[1]": ("success", 4),
    }
    assert [task["rendered"]["engagement_conn_id"] for task in tasks.values()] == [
        "engagement_acme",
        "engagement_bolt",
    ]


def test_the_table_holds_what_each_owner_may_see(watched: Watched) -> None:
    rows = watched.bigquery.rows(f"SELECT * FROM {watched.table}")  # noqa: S608 - a table of ours
    owners = set(watched.tweets)
    assert {row["account"] for row in rows} == owners
    for owner, snapshot in {(row["account"], row["snapshot_at"]) for row in rows}:
        (other,) = owners - {owner}
        found = counts(
            [row for row in rows if (row["account"], row["snapshot_at"]) == (owner, snapshot)]
        )
        own = expected_counts(watched.world, watched.tweets[owner], TYPES)
        public = expected_counts(watched.world, watched.tweets[other], PUBLIC_TYPES)
        assert found == own | public


# ---- Links -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["to_table[-1]", "owners[0]", "owners[1]"])
def test_the_link_leads_to_the_table(watched: Watched, task: str) -> None:
    dataset, table = watched.table.split(".")
    (link,) = watched.tasks[task]["links"].items()
    assert link == (
        "Destination",
        f"{CONSOLE}bigquery?project=test&ws=!1m5!1m4!4m3!1stest!2s{dataset}!3s{table}",
    )


def test_the_link_leads_to_the_folder_of_the_objects(watched: Watched) -> None:
    link = watched.tasks["to_bucket[-1]"]["links"]["Destination"]
    place = link.removeprefix(f"{CONSOLE}storage/browser/")
    assert place.startswith(f"{watched.bucket.name}/reports%20of%20to_bucket/historical/acme/")
    folder = unquote(place).removeprefix(f"{watched.bucket.name}/")
    names = [blob.name for blob in watched.bucket.list_blobs(prefix=f"{folder}/")]
    kinds = sorted(name.removeprefix(f"{folder}/").partition("-")[0] for name in names)
    assert kinds == ["coverage", "manifest.json", "part"]


def test_a_task_that_wrote_nothing_has_no_link(watched: Watched) -> None:
    assert watched.tasks["to_nowhere[-1]"]["state"] == "success"
    assert watched.tasks["to_nowhere[-1]"]["links"] == {"Destination": None}


@pytest.mark.parametrize(
    ("table", "resource"),
    [
        ("my-project.reporting.counts", "!1smy-project!2sreporting!3scounts"),
        # Old projects have a domain before their names, which holds dots of its own.
        ("example.com:app.reporting.counts", "!1sexample.com%3Aapp!2sreporting!3scounts"),
    ],
)
def test_the_console_page_of_a_table(table: str, resource: str) -> None:
    url = console_url(WriteResult(rows=1, table=table, uris=(), coverage=""))
    assert url is not None
    assert url.endswith(f"&ws=!1m5!1m4!4m3{resource}")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("gs://acme/part-0.parquet", "acme"),
        ("gs://acme/a b/c#1@2/part-0.parquet", "acme/a%20b/c%231%402"),
        ("gs://my_connection@acme/counts/all.jsonl", "acme/counts"),
        ("file:///data/counts.jsonl", None),
        ("s3://acme/counts.jsonl", None),
    ],
)
def test_the_console_page_of_a_folder(uri: str, expected: str | None) -> None:
    url = console_url(WriteResult(rows=1, table=None, uris=(uri,), coverage=""))
    assert url == (expected and f"{CONSOLE}storage/browser/{expected}")


def test_rows_in_memory_have_no_console_page() -> None:
    assert console_url(WriteResult(rows=1, table=None, uris=(), coverage="")) is None


# ---- Metrics ---------------------------------------------------------------------------------


def test_requests_rate_limits_and_retries_are_counted(watched: Watched) -> None:
    sent = Counter(request.endpoint for request in watched.requests)
    assert sent["totals"] > 9
    assert watched.metrics["engagement.requests"] == sent
    assert watched.metrics["engagement.rate_limited"] == {"totals": 1, "historical": 0, "28hr": 0}
    assert watched.metrics["engagement.retries"] == {"totals": 3, "historical": 0, "28hr": 0}


def test_rows_are_counted_of_a_pull_that_fails_too(watched: Watched) -> None:
    acme, bolt = (len(ids) for ids in watched.tweets.values())
    by_acme, by_bolt = acme * 7 + bolt * 5, bolt * 7 + acme * 5  # others' counts are public ones
    by_file = 2 * 2  # the favorites of two Tweets, for each owner
    by_hour = 2 * SERIES * 48 if "to_days[-1]" in watched.tasks else 0
    assert watched.tasks["refused[-1]"]["state"] == "failed"
    assert f"{bolt} of {acme + bolt} Tweets were counted" in watched.said
    assert watched.metrics["engagement.rows"] == {
        "totals": by_acme * 2 + by_bolt + by_file,
        "historical": 2 * 2 * 4 + by_hour,
        "28hr": bolt * SERIES,
    }


# ---- Asset events ----------------------------------------------------------------------------


def test_an_event_holds_rows_window_and_table(watched: Watched) -> None:
    (event,) = watched.events_of("to_table")
    (snapshot,) = event["extra"]["window"].values()
    # `dags test` starts a run by hand, so its counts are of the start of the run.
    assert NOW <= datetime.fromisoformat(snapshot) <= datetime.now(UTC)
    rows = watched.bigquery.rows(
        f"SELECT * FROM {watched.table} WHERE account = 'acme' "  # noqa: S608 - a table of ours
        f"AND snapshot_at = '{snapshot}'"
    )
    assert len(rows) > 600
    assert event == {
        "extra": {
            "rows": len(rows),
            "window": {"snapshot_at": snapshot},
            "table": f"test.{watched.table}",
        },
        "dag": "to_table",
        "partition": None,
    }


def test_an_event_holds_rows_window_and_objects(watched: Watched) -> None:
    (event,) = watched.events_of("to_bucket")
    (uri,) = event["extra"].pop("uris")
    name = uri.removeprefix(f"gs://{watched.bucket.name}/")
    assert watched.bucket.blob(name).exists()
    # Whole days, two of them by the lookback.
    window = {"start": text(TODAY - 6 * DAY), "end": text(TODAY - 2 * DAY)}
    assert event == {
        "extra": {"rows": 16, "window": window},
        "dag": "to_bucket",
        "partition": None,
    }


def test_an_event_starts_the_dags_that_wait_for_the_asset(watched: Watched) -> None:
    assert [one for one in watched.queued if one[0] == "after_table"] == [["after_table", None]]


@has_partitions
def test_each_utc_day_has_an_event_where_the_task_sets_partitions(watched: Watched) -> None:
    start, end = TODAY - timedelta(days=3, hours=2), TODAY - timedelta(days=1, hours=2)
    # 48 hours, of three days.
    days = [f"{start + n * DAY:%Y-%m-%d}" for n in range(3)]
    events = watched.events_of("to_days")
    assert sorted(event["partition"] for event in events) == days
    for event in events:
        assert event["extra"]["rows"] == 2 * SERIES * 48
        assert event["extra"]["window"] == {"start": text(start), "end": text(end)}
    queued = [one for one in watched.queued if one[0] == "after_day"]
    assert sorted(queued) == [["after_day", day] for day in days]


def events_of_task(period: Window | None, timetable: object) -> list[dict[str, Any]]:
    """Give what Airflow makes of the events of a task, in a DAG of some schedule."""
    from airflow.sdk.execution_time.context import OutletEventAccessors
    from airflow.sdk.execution_time.task_runner import _serialize_outlet_events

    events, asset = OutletEventAccessors(), Asset("engagement://days/")
    describe_assets(
        {"outlet_events": events, "dag": SimpleNamespace(timetable=timetable)},
        ReportingPeriod(datetime(2026, 3, 2, 5, tzinfo=UTC), period),
        WriteResult(rows=1, table="a.b.c", uris=(), coverage=""),
        [asset, "no asset"],
    )
    return list(_serialize_outlet_events(events))


@has_partitions
def test_the_partition_of_a_snapshot_is_its_day() -> None:
    from airflow.sdk import PartitionedAtRuntime

    (event,) = events_of_task(None, PartitionedAtRuntime())
    assert event["partition_key"] == "2026-03-02"


@has_partitions
def test_airflow_passes_on_the_partition_of_a_run() -> None:
    from airflow.sdk import CronPartitionTimetable

    (event,) = events_of_task(None, CronPartitionTimetable("0 0 * * *", timezone="UTC"))
    assert "partition_key" not in event


@has_partitions
def test_at_most_400_partitions_have_events(caplog: pytest.LogCaptureFixture) -> None:
    from airflow.sdk import PartitionedAtRuntime

    start = datetime(2023, 1, 1, tzinfo=UTC)
    events = events_of_task(Window(start, start + 1000 * DAY), PartitionedAtRuntime())
    keys = sorted(str(event["partition_key"]) for event in events)
    assert (len(keys), keys[0], keys[-1]) == (400, "2023-01-01", "2024-02-04")
    assert "the first 400 of 1000 days only" in caplog.text


# ---- Rendered fields -------------------------------------------------------------------------


def test_rendered_fields_are_readable(watched: Watched) -> None:
    rendered = watched.tasks["to_bucket[-1]"]["rendered"]
    assert rendered == {
        "tweet_ids": watched.tweets["acme"][:2],
        "id_column": None,
        "shard": None,
        "engagement_types": ["favorites", "impressions"],
        "groupings": None,
        "start": f"{TODAY - timedelta(days=3, hours=19):%Y-%m-%d %H:%M:%S}+00:00",
        "end": f"{TODAY - 2 * DAY:%Y-%m-%d}",
        "lookback": "2 days, 0:00:00",
        "since_posting": None,
        "max_missing_share": 0.25,
        "max_snapshot_age": "1 day, 0:00:00",
        "plan_only": False,
        "engagement_conn_id": "engagement_default",
        "gcp_conn_id": "google_cloud_default",
        "impersonation_chain": None,
        "bucket": watched.bucket.name,
        "object_prefix": "reports of to_bucket",
    }


def test_a_large_collection_is_truncated(watched: Watched) -> None:
    shown = watched.tasks["to_table[-1]"]["rendered"]["tweet_ids"]
    assert watched.tweets["acme"][0] in shown
    assert watched.tweets["acme"][-1] not in shown
    assert len(shown) < 4200


def test_nothing_that_airflow_keeps_holds_a_secret(watched: Watched) -> None:
    stored = json.dumps([watched.tasks, watched.events, watched.metrics])
    secrets = watched.world.credentials("acme")
    assert len(secrets) >= 5
    for name, secret in secrets.items():
        assert not [form for form in Secret(secret).encoded_variants() if form in stored], name
