"""A DAG whose tasks pass ids on; what is read of each value is written to a folder."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_engagement.hooks.storage import read_tweet_ids

IDS = ["1260294888811347969", "1050118621198921728"]

with DAG("upstreams", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

    @task
    def one(place: int) -> str:
        return IDS[place]

    @task
    def several(place: int) -> list[int]:
        return [int(IDS[place])]

    @task
    def rows() -> list[list[str]]:
        return [[each] for each in IDS]

    @task
    def unordered() -> set[str]:
        return set(IDS)

    @task
    def read(name: str, value: Any) -> None:
        kind = f"{type(value).__module__}.{type(value).__name__}"
        folder = Path(os.environ["UPSTREAMS_FOLDER"])
        (folder / name).write_text(json.dumps({"type": kind, "ids": read_tweet_ids(value)}))

    mapped, lists = one.expand(place=[0, 1]), several.expand(place=[0, 1])
    for name, value in {
        "output": mapped,
        "lists": lists,
        "map": mapped.map(lambda each: f"https://x.com/acme/status/{each}"),
        "concat": mapped.concat(lists),
        "zip": mapped.zip(lists),
        "rows": rows(),
        "set": unordered(),
    }.items():
        read.override(task_id=f"read_{name}")(name, value)
