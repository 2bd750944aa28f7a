"""What a type checker accepts and refuses of calls of the operators, as an editor shows it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tools.env import ROOT

HEAD = """\
from datetime import date, datetime, timedelta

from airflow.sdk import Asset, Variable

from airflow_provider_engagement.operators.engagement import (
    Engagement28HrOperator,
    EngagementHistoricalOperator,
    EngagementTotalsOperator,
)
from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor
from airflow_provider_engagement.transfers.engagement_gcs_to_bigquery import (
    EngagementGCSToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator
from airflow_provider_engagement.transfers.engagement_tweets_to_bigquery import (
    EngagementTweetsToBigQueryOperator,
)
from airflow_provider_engagement.triggers.engagement import EngagementThresholdEventTrigger

ids = EngagementTotalsOperator(task_id="ids", tweet_ids="gs://bucket/ids.txt")
"""

CORRECT = """\
EngagementTotalsOperator(task_id="a", tweet_ids=["20", 21], retries=5, outlets=[Asset("x")])
EngagementTotalsOperator(task_id="a", tweet_ids="{{ params.ids }}", max_snapshot_age="PT48H")
EngagementTotalsOperator(task_id="a", tweet_ids=ids.output, engagement_types="favorites, replies")
EngagementTotalsOperator(task_id="a", tweet_ids={"20"}, plan_only="{{ params.dry }}")
EngagementTotalsOperator(task_id="a", tweet_ids=[("20",), ("21",)])
EngagementTotalsOperator(task_id="a", tweet_ids=[{"id": "20"}], pool="engagement")
Engagement28HrOperator(task_id="a", tweet_ids=20, granularity="total", incomplete="drop")
EngagementHistoricalOperator(task_id="a", tweet_ids=(20,), start=date(2026, 1, 1), end="2026-01-02")
EngagementHistoricalOperator(task_id="a", tweet_ids=["20"], lookback=timedelta(days=9))
EngagementHistoricalOperator(
    task_id="a",
    tweet_ids=["20"],
    groupings={"mine": {"group_by": ["tweet.id", "engagement.type"]}},
    execution_timeout=timedelta(hours=1),
)
EngagementToGCSOperator(task_id="a", tweet_ids=["20"], bucket="b", file_format="jsonl.gz")
EngagementToBigQueryOperator(
    task_id="a",
    endpoint="historical",
    tweet_ids=["20"],
    destination_table="d.t",
    write_mode="append",
    layout="wide",
    start=datetime(2026, 1, 1),
    end=datetime(2026, 1, 2),
    impersonation_chain=["a@example.com"],
    labels={"team": "social"},
    maximum_bytes_billed=10**9,
)
to_gcs = EngagementToGCSOperator(task_id="b", tweet_ids=["20"], bucket="b", shard="{{ 1 }}/8")
EngagementGCSToBigQueryOperator(task_id="a", uris=to_gcs.output, destination_table="d.t")
EngagementGCSToBigQueryOperator(
    task_id="a", uris=["gs://b/f", {"uris": ["gs://b/g"]}], destination_table="d.t", layout="wide"
)
EngagementTweetsToBigQueryOperator(
    task_id="a",
    tweet_ids="gs://bucket/inbox/",
    destination_table="d.tweets",
    coverage_table="d.t_coverage",
    reposts="keep",
    keep_text="{{ params.keep }}",
    outlets=[Asset("x")],
)
EngagementThresholdSensor(
    task_id="a",
    tweet_ids=ids.output,
    thresholds={"favorites": 100, "replies": "< 5", "engagements/impressions": 0.05},
    require="{{ params.tweets }}",
    mode="reschedule",
    poke_interval=timedelta(minutes=5),
    timeout=3600,
    soft_fail=True,
    exponential_backoff=True,
    max_wait=600,
    pool="engagement",
)
EngagementThresholdSensor(
    task_id="a", tweet_ids={"20"}, thresholds="{{ params.thresholds }}", deferrable=True, require=3
)
EngagementThresholdEventTrigger(
    asset_name="a", tweet_ids=["20", 21], thresholds={"favorites": 100}, poll_interval=60
)
"""

# By the wrong call: what mypy says of it.
WRONG = {
    'EngagementTotalsOperator(task_id="a", tweet_id=["20"])': (
        'Unexpected keyword argument "tweet_id"'
    ),
    'EngagementTotalsOperator(tweet_ids=["20"])': 'Missing named argument "task_id"',
    'EngagementTotalsOperator(task_id="a")': 'Missing named argument "tweet_ids"',
    'EngagementTotalsOperator(task_id="a", tweet_ids=["20"], start=date.today())': (
        'Unexpected keyword argument "start"'
    ),
    'Engagement28HrOperator(task_id="a", tweet_ids=["20"], lookback=timedelta(days=1))': (
        'Unexpected keyword argument "lookback"'
    ),
    'EngagementTotalsOperator(task_id="a", tweet_ids=["20"], retrys=5)': (
        'Unexpected keyword argument "retrys"'
    ),
    'EngagementTotalsOperator(task_id="a", tweet_ids=["20"], retries="5")': "incompatible type",
    'EngagementTotalsOperator(task_id="a", tweet_ids=20.5)': "incompatible type",
    'EngagementTotalsOperator(task_id="a", tweet_ids=["20"], granularity="day")': (
        "incompatible type"
    ),
    'Engagement28HrOperator(task_id="a", tweet_ids=["20"], granularity="day")': "incompatible type",
    'EngagementHistoricalOperator(task_id="a", tweet_ids=["20"], start=5)': "incompatible type",
    'EngagementHistoricalOperator(task_id="a", tweet_ids=["20"], lookback=9)': "incompatible type",
    'EngagementTotalsOperator(task_id="a", tweet_ids=["20"], incomplete="keeps")': (
        "incompatible type"
    ),
    'EngagementTotalsOperator(task_id="a", tweet_ids=["20"], bucket="b")': (
        'Unexpected keyword argument "bucket"'
    ),
    'EngagementToGCSOperator(task_id="a", tweet_ids=["20"])': 'Missing named argument "bucket"',
    'EngagementToGCSOperator(task_id="a", tweet_ids=["20"], bucket="b", file_format="csv")': (
        "incompatible type"
    ),
    'EngagementToBigQueryOperator(task_id="a", tweet_ids=["20"], destination_table="d.t", '
    'endpoint="total")': "incompatible type",
    'EngagementToBigQueryOperator(task_id="a", tweet_ids=["20"], destination_table="d.t", '
    'write_mode="merge")': "incompatible type",
    'EngagementToBigQueryOperator(task_id="a", tweet_ids=["20"], destination_table="d.t", '
    'labels=["social"])': "incompatible type",
    'EngagementTweetsToBigQueryOperator(task_id="a", tweet_ids=["20"], destination_table="d.t", '
    'reposts="original")': "incompatible type",
    'EngagementTweetsToBigQueryOperator(task_id="a", tweet_ids=["20"])': (
        'Missing named argument "destination_table"'
    ),
    'EngagementThresholdSensor(task_id="a", tweet_id=["20"], thresholds={"favorites": 1})': (
        'Unexpected keyword argument "tweet_id"'
    ),
    'EngagementThresholdSensor(task_id="a", tweet_ids=["20"])': (
        'Missing named argument "thresholds"'
    ),
    'EngagementThresholdSensor(task_id="a", tweet_ids=["20"], thresholds=["favorites"])': (
        "incompatible type"
    ),
    'EngagementThresholdSensor(task_id="a", tweet_ids=["20"], thresholds={}, '
    'endpoint="historical")': "incompatible type",
    'EngagementThresholdSensor(task_id="a", tweet_ids=["20"], thresholds={}, mode="deferrable")': (
        "incompatible type"
    ),
    'EngagementThresholdSensor(task_id="a", tweet_ids=["20"], thresholds={}, softfail=True)': (
        'Unexpected keyword argument "softfail"'
    ),
    'EngagementThresholdEventTrigger(asset_name="a", tweet_id=["20"], thresholds={})': (
        'Unexpected keyword argument "tweet_id"'
    ),
    'EngagementThresholdEventTrigger(asset_name="a", tweet_ids=["20"], thresholds={}, '
    "poke_interval=60)": 'Unexpected keyword argument "poke_interval"',
}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[str]]:
    """Return what mypy says of the calls, by line."""
    pytest.importorskip("airflow.sdk", reason="types are checked on Airflow 3")
    path = tmp_path_factory.mktemp("typing") / "calls.py"
    path.write_text(HEAD + CORRECT + "\n".join(WRONG) + "\n")
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", path],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    found: dict[int, list[str]] = {}
    for line, text in re.findall(r"calls\.py:(\d+): error: (.*)", ran.stdout):
        found.setdefault(int(line), []).append(text)
    assert found, ran.stdout + ran.stderr
    return found


def test_correct_calls_are_accepted(problems: dict[int, list[str]]) -> None:
    first_wrong = len((HEAD + CORRECT).splitlines()) + 1
    assert {line: text for line, text in problems.items() if line < first_wrong} == {}


@pytest.mark.parametrize("place", range(len(WRONG)), ids=list(WRONG))
def test_wrong_calls_are_refused(problems: dict[int, list[str]], place: int) -> None:
    first_wrong = len((HEAD + CORRECT).splitlines()) + 1
    (text,) = problems[first_wrong + place]
    assert list(WRONG.values())[place] in text
