"""``make demo``: an example DAG, from the API to a report, on this machine.

The API, BigQuery and GCS are local stand-ins. Airflow is real, with its home in a temporary folder.
Both are removed at the end. The report is kept.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools import report
from tools.env import ROOT
from tools.power_track import campaigns_file, power_track_files
from tools.process import Process, run_to_end
from tools.services import (
    airflow_environment,
    bigquery_emulator,
    gcs_emulator,
    google_environment,
    simulator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.clients import BigQuery, Gcs

__all__ = ["main"]

DAG_ID: Final = "engagement_weekly_report"
DAG_FILE: Final = f"example_dags/{DAG_ID}.py"
ACCOUNT: Final = "acme"
BUCKET: Final = "acme-engagement"
DATASET: Final = "reporting"
TABLE: Final = f"{DATASET}.engagement"
TWEETS: Final = 200
TWEET_IDS: Final = f"gs://{BUCKET}/inbox/"

# A world with the faults of a real one: Tweets of other accounts, deleted, protected and old ones
# (the simulator spreads them over 120 days), and an API that fails now and then.
WORLD: Final = (
    *("--account", ACCOUNT, "--seed", "7", "--tweets", str(TWEETS)),
    *("--foreign-share", "0.03", "--deleted-share", "0.04", "--protected-share", "0.02"),
    *("--latency", "0.1", "--faults", "0.1"),
)


AIRFLOW: Final = Path(sys.executable).with_name("airflow")

# Airflow retries a failed task after minutes. The demo stops instead.
_FAILED: Final = "up_for_retry"

# Longer than any step takes on a slow machine.
_PATIENCE: Final = 600


@dataclass(frozen=True, slots=True)
class Parts:
    """The services of the demo.

    :param bigquery: holds the table.
    :param gcs: holds the collection and the files.
    :param settings: the environment of an Airflow that uses them all.
    """

    bigquery: BigQuery
    gcs: Gcs
    settings: dict[str, str]


def main(kept: Path = ROOT / "build" / "demo") -> int:
    """Run the demo and print its results.

    :param kept: where the report is kept.
    :returns: 1 if it failed, 130 if it was interrupted.
    """
    return run_to_end(lambda: _show_all(kept))


def _show_all(kept: Path) -> int:
    began = time.monotonic()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="engagement-demo-"))
        parts, log = _run(stack, Path(folder))
        files = report.save_files(parts.gcs, BUCKET, kept)
        print("\n".join(_shown(parts, log, files, time.monotonic() - began)))
    return 0


def _run(stack: ExitStack, folder: Path) -> tuple[Parts, str]:
    """Start the services and run the DAG. Return them, and Airflow's log."""
    print(f"The example DAG {DAG_ID}, on stand-ins for the Engagement API, BigQuery and GCS.")
    print(f"Its files are in {folder} while it runs.\n")
    with _step("Start the stand-ins and create an Airflow home"):
        parts = _start(stack, folder)
    with _step(f"Put an export of {TWEETS} Tweets into {TWEET_IDS}"):
        parts.bigquery.make_dataset(DATASET)
        bucket = parts.gcs.make_bucket(BUCKET)
        tweet_ids = (folder / "ids.txt").read_text().split()
        files = power_track_files(tweet_ids, ACCOUNT) | {"campaigns.csv": campaigns_file(tweet_ids)}
        for name, text in files.items():
            bucket.blob(f"inbox/{name}").upload_from_string(text)
    with _step("airflow pools set engagement_api 4 --include-deferred"):
        pool = ("pools", "set", "engagement_api", "4", "The API's contract", "--include-deferred")
        _airflow(*pool, log=folder / "pool.log", settings=parts.settings)
    with _step(f"airflow dags test {DAG_ID}"):
        _airflow("dags", "test", DAG_ID, log=folder / "run.log", settings=parts.settings)
    return parts, (folder / "run.log").read_text(errors="replace")


def _start(stack: ExitStack, folder: Path) -> Parts:
    """Start all services at once, and wait until they are ready."""
    settings = airflow_environment(folder / "airflow", ROOT / "example_dags")
    migration = Process([AIRFLOW, "db", "migrate"], folder / "migrate.log", settings)
    stack.enter_context(migration)
    gcs = stack.enter_context(gcs_emulator(folder))
    bigquery = stack.enter_context(bigquery_emulator(folder))
    api = stack.enter_context(simulator(folder, *WORLD, "--ids-file", folder / "ids.txt"))
    # Google's packages take a second to import. The services start meanwhile.
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
    """Print a step, and then its duration."""
    began = time.monotonic()
    print(f"  {what} ".ljust(74, "."), end=" ", flush=True)
    yield
    print(f"{time.monotonic() - began:5.1f} s", flush=True)


def _shown(parts: Parts, log: str, files: Sequence[Path], took: float) -> Iterator[str]:
    """Yield what the tables hold, and where the report is."""
    counts, tweets = report.totals(parts.bigquery, TABLE)
    yield ""
    yield _bold(f"{TABLE}: {counts:,} counts of {tweets:,} Tweets")
    yield _bold(f"The Tweets with the most engagements to date, with {TABLE}_tweets:")
    yield from report.top_tweets(parts.bigquery, TABLE)
    yield ""
    yield _bold("All Tweets by day:")
    yield from report.last_days(parts.bigquery, TABLE)
    yield ""
    yield _bold(f"{TABLE}_coverage: the outcome of each of the {TWEETS} Tweets")
    yield from report.coverage(parts.bigquery, TABLE)
    yield ""
    faults = log.count("failed and is repeated")
    yield f"The API failed {faults} times on purpose. The requests were repeated."
    yield f"The demo took {took:.0f} s."
    yield f"Next: copy {DAG_FILE} into your DAGs folder. README.md lists"
    yield "the connections, variables and the pool that it reads. `make test` runs all tests."
    yield ""
    yield _bold("The report on the week, with the same numbers as CSV files beside it:")
    yield f"  {files[0].as_uri()}"


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
