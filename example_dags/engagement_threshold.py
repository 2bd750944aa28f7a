"""Wait until a Tweet of a collection crosses a threshold, then act.

The sensor waits in the triggerer and occupies no worker slot. Trigger the DAG by hand, or from
another DAG that has posted Tweets. Set an Airflow Variable, a connection
(``engagement_default``) and a pool, and deploy this file as it is:

``engagement_tweet_ids``
    the collection: a list of ids, or the URI of a file with one a line

The pool keeps tasks on several machines, deferred ones included, within the rate limit of the
app's contract:
``airflow pools set engagement_api 4 "requests to the Engagement API" --include-deferred``
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor

with DAG(
    dag_id="engagement_threshold",
    description="Waits for a Tweet to cross a threshold, then acts",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["engagement"],
    doc_md=__doc__,
):
    crossed = EngagementThresholdSensor(
        task_id="wait_for_likes",
        tweet_ids="{{ var.value.engagement_tweet_ids }}",
        thresholds={"favorites": 100, "engagements/impressions": ">= 0.2"},
        pool="engagement_api",
        deferrable=True,
        poke_interval=60,
        timeout=timedelta(days=2),
        soft_fail=True,  # skip, not fail, if no Tweet crosses a threshold in two days
    )

    @task
    def act(found: dict[str, Any]) -> list[str]:
        """Replace this with your action, such as to pin the Tweet or to message a channel."""
        for crossing in found["crossings"]:
            print("{tweet_id} has {threshold}: {value}".format(**crossing))  # noqa: T201 - the task's log
        return [crossing["tweet_id"] for crossing in found["crossings"]]

    act(crossed.output)
