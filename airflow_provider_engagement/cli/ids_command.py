"""`engagement ids`: read a collection of Tweets, and tell what is in it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.cli.exit_codes import ExitCode
from airflow_provider_engagement.cli.sources import read_sources

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_engagement.cli.terminal import Terminal
    from airflow_provider_engagement.collections.collection import Collection

__all__ = ["ids"]


def ids(options: Namespace, _terminal: Terminal) -> int:
    """Read a collection, and print its ids or what it holds.

    :param options: the arguments.
    :raises InvalidArgumentError: if it cannot be read.
    """
    reader = read_sources(
        options.tweets,
        id_column=options.id_column,
        reposts=options.reposts,
        with_attributes=not options.list,
    )
    if options.list:
        sys.stdout.writelines(f"{tweet_id}\n" for tweet_id in reader.tweet_ids())
        return ExitCode.OK
    facts = _facts(reader.collection())
    text = json.dumps(facts, indent=2, ensure_ascii=False) if options.json else _text(facts)
    print(text)
    return ExitCode.OK


def _facts(collection: Collection) -> dict[str, Any]:
    import pyarrow.compute as pc

    times = sorted(filter(None, map(created_at, collection.tweet_ids)))
    table, labels = collection.attributes, collection.labels
    filled = {name: len(table) - table[name].null_count for name in table.column_names[1:]}
    counted = pc.value_counts(labels["label"]).to_pylist() if len(labels) else []
    return {
        "tweets": len(collection.tweet_ids),
        "first_created": f"{times[0]:%Y-%m-%dT%H:%M:%SZ}" if times else None,
        "last_created": f"{times[-1]:%Y-%m-%dT%H:%M:%SZ}" if times else None,
        "attributes": {name: count for name, count in filled.items() if count},
        "labels": {entry["values"]: entry["counts"] for entry in counted},
        "skipped": dict(collection.skipped),
    }


def _text(facts: dict[str, Any]) -> str:
    tweets = facts["tweets"]
    lines = [f"{tweets:,} {'Tweet' if tweets == 1 else 'Tweets'}"]
    if facts["first_created"]:
        lines.append(f"created from {facts['first_created']} to {facts['last_created']}")
    for name in ("attributes", "labels", "skipped"):
        counts = facts[name].items()
        if counts:
            lines.append(f"{name}: " + ", ".join(f"{key} ({count:,})" for key, count in counts))
    return "\n".join(lines)
