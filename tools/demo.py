"""``make demo``: the example DAG, from the API to a BigQuery table, on this machine alone.

The API, BigQuery and GCS are stand-ins that start here and end here; Airflow is the real one, with
a home of its own in a temporary folder. Nothing is left behind.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from tools import report
from tools.env import ROOT
from tools.process import Process, ProcessFailure
from tools.services import (
    airflow_environment,
    bigquery_emulator,
    gcs_emulator,
    google_environment,
    simulator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.clients import BigQuery, Gcs

__all__ = ["main"]

DAG_ID: Final = "engagement_daily"
DAG_FILE: Final = f"example_dags/{DAG_ID}.py"
ACCOUNT: Final = "acme"
BUCKET: Final = "acme-engagement"
DATASET: Final = "reporting"
TABLE: Final = f"{DATASET}.engagement"
TWEETS: Final = 300
TWEET_IDS: Final = f"gs://{BUCKET}/tweet_ids.txt"

# A world with all that goes wrong in a real one: others' Tweets among ours, deleted and protected
# ones, old ones (the simulator makes them up over 120 days), and a service that falters.
WORLD: Final = (
    *("--account", ACCOUNT, "--seed", "7", "--tweets", str(TWEETS)),
    *("--foreign-share", "0.03", "--deleted-share", "0.04", "--protected-share", "0.02"),
    *("--latency", "0.1", "--faults", "0.1"),
)


AIRFLOW: Final = Path(sys.executable).with_name("airflow")

# A task that fails is tried again after minutes, as it should be; a demo has seen enough.
_FAILED: Final = "up_for_retry"

# Longer than any step takes on a slow machine.
_PATIENCE: Final = 300


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs during the demo.

    :param bigquery: where the table lands.
    :param gcs: where the ids lie, and the files land.
    :param settings: the environment of an Airflow that uses them all.
    """

    bigquery: BigQuery
    gcs: Gcs
    settings: dict[str, str]


def main() -> int:
    """Run the demo, and show what came of it; 1 if it failed, 130 if it was interrupted."""
    signal.signal(signal.SIGTERM, _end)
    # A background job of a script starts with SIGINT ignored, and could not be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="engagement-demo-"))
            parts, log = _run(stack, Path(folder))
            print("\n".join(_shown(parts, log, time.monotonic() - began)))
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.")
        return 130
    except ProcessFailure as failure:
        print(f"\n\n{failure}", file=sys.stderr)
        return 1
    return 0


def _run(stack: ExitStack, folder: Path) -> tuple[Parts, str]:
    """Start the parts and run the DAG; return them, and what Airflow logged."""
    print(f"The example DAG {DAG_ID}, on stand-ins for the Engagement API, BigQuery and GCS.")
    print(f"While it runs, all of it is in {folder}\n")
    with _step("Start the stand-ins, and make an Airflow home"):
        parts = _start(stack, folder)
    with _step(f"Put {TWEETS} Tweet ids into {TWEET_IDS}"):
        parts.bigquery.make_dataset(DATASET)
        parts.gcs.make_bucket(BUCKET).blob("tweet_ids.txt").upload_from_filename(folder / "ids.txt")
    with _step("airflow pools set engagement_api 4 --include-deferred"):
        pool = ("pools", "set", "engagement_api", "4", "The API's contract", "--include-deferred")
        _airflow(*pool, log=folder / "pool.log", settings=parts.settings)
    with _step(f"airflow dags test {DAG_ID}"):
        _airflow("dags", "test", DAG_ID, log=folder / "run.log", settings=parts.settings)
    return parts, (folder / "run.log").read_text(errors="replace")


def _start(stack: ExitStack, folder: Path) -> Parts:
    """Start everything at once, and wait until all is ready."""
    settings = airflow_environment(folder / "airflow", ROOT / "example_dags")
    migration = Process([AIRFLOW, "db", "migrate"], folder / "migrate.log", settings)
    stack.enter_context(migration)
    gcs = stack.enter_context(gcs_emulator(folder))
    bigquery = stack.enter_context(bigquery_emulator(folder))
    api = stack.enter_context(simulator(folder, *WORLD, "--ids-file", folder / "ids.txt"))
    # Google's packages take a second to import, which is free while the parts start.
    from tools.clients import BigQuery, Gcs

    migration.finish(_PATIENCE)
    variables = {
        "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(api.connections[ACCOUNT]),
        "AIRFLOW_VAR_ENGAGEMENT_BUCKET": BUCKET,
        "AIRFLOW_VAR_ENGAGEMENT_TABLE": TABLE,
        "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": TWEET_IDS,
        "TMPDIR": str(folder),
    }
    settings |= google_environment(bigquery=bigquery.url, gcs=gcs.url) | variables
    return Parts(BigQuery(bigquery.url), Gcs(gcs.url, folder / "store"), settings)


def _airflow(*arguments: str, log: Path, settings: dict[str, str]) -> None:
    """Run an ``airflow`` command to its end."""
    with Process([AIRFLOW, *arguments], log, settings) as process:
        process.finish(_PATIENCE, _FAILED)


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Show a step, and then how long it took."""
    began = time.monotonic()
    print(f"  {what} ".ljust(74, "."), end=" ", flush=True)
    yield
    print(f"{time.monotonic() - began:5.1f} s", flush=True)


def _shown(parts: Parts, log: str, took: float) -> Iterator[str]:
    """Yield the lines that a person wants to see."""
    counts, tweets = report.totals(parts.bigquery, TABLE)
    yield ""
    yield _bold(f"{TABLE}: {counts:,} counts of {tweets:,} Tweets. To date, the top ones:")
    yield from report.top_tweets(parts.bigquery, TABLE)
    yield ""
    yield _bold("The same table by the day, all Tweets together:")
    yield from report.last_days(parts.bigquery, TABLE)
    yield ""
    yield _bold(f"{TABLE}_coverage: what came of each of the {TWEETS} Tweets")
    yield from report.coverage(parts.bigquery, TABLE)
    yield ""
    yield _bold(f"gs://{BUCKET}: the counts to date as files")
    yield from report.objects(parts.gcs, BUCKET)
    yield ""
    faults = log.count("trying again")
    yield f"The API failed {faults} times on purpose, and was asked again. It took {took:.0f} s."
    yield f"Next: copy {DAG_FILE} into your DAGs folder; README.md says which"
    yield "connections, variables and pool it reads. `make test` checks everything."


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def _end(*_: object) -> NoReturn:
    """Leave on SIGTERM as on any exception: with all that was started ended."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
