"""Act the moment a Tweet crosses a threshold: an event starts this DAG. Needs Airflow 3.3.

A watcher in the triggerer polls a collection, and reports to Airflow all Tweets that have crossed a
threshold since the last poll. Airflow starts a run, which handles each Tweet in a task of its own.
A Tweet that is above a threshold in its first poll is not reported.

Set a connection (``engagement_default``) and, for the triggerer and the DAG processor, the
environment variable ``ENGAGEMENT_TWEET_IDS``: the URI of a file of ids, one a line. It is read
again at each poll, so that the collection can grow. The DAG must be unpaused.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_engagement.triggers.engagement import EngagementThresholdEventTrigger

# A watcher is not a task, so templates are not rendered here.
TWEET_IDS = os.environ.get("ENGAGEMENT_TWEET_IDS", "gs://my-bucket/tweet_ids.txt")
POLL_INTERVAL = 60.0

popular = Asset(
    "engagement_popular_tweets",
    watchers=[
        AssetWatcher(
            name="engagement_likes",
            trigger=EngagementThresholdEventTrigger(
                asset_name="engagement_popular_tweets",
                tweet_ids=TWEET_IDS,
                thresholds={"favorites": 100},
                poll_interval=POLL_INTERVAL,
            ),
        )
    ],
)

with DAG(
    dag_id="engagement_on_event",
    description="Handles each Tweet that has crossed a threshold",
    schedule=[popular],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["engagement"],
    doc_md=__doc__,
):

    @task
    def crossings(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """Collect the crossings. After a crash, a run may have the same event twice."""
        events = {
            event.extra["payload"]["event_id"]: event.extra["payload"]
            for event in triggering_asset_events[popular]
            if event.extra.get("from_trigger")
        }
        return [crossing for event in events.values() for crossing in event["crossings"]]

    @task
    def act(crossing: dict[str, Any]) -> str:
        """Replace this with your action, such as a message to a channel."""
        print("{tweet_id} has {threshold}: {value}".format(**crossing))  # noqa: T201 - the task's log
        return str(crossing["tweet_id"])

    act.expand(crossing=crossings())
