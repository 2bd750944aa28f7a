"""``make scale``: a million Tweets over two Celery workers, one of which is killed midway.

The Engagement API, BigQuery and GCS are local stand-ins. Airflow, PostgreSQL, Redis and Celery are
real. Everything lies in a temporary folder, and nothing is left running.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.deployment import VERSIONS
from tools.process import run_to_end
from tools.scale.scenario import Figures, Options, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

MOST_LOAD_JOBS: Final = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the scenario and print its figures; return 1 if a goal was missed.

    :param argv: the arguments of the command line; None takes those of the process.
    """
    options = _options(argv)
    return run_to_end(lambda: _measure(options))


def _measure(options: Options) -> int:
    with tempfile.TemporaryDirectory(prefix="engagement-scale-") as folder:
        print(f"{options.tweets:,} Tweets on Airflow {options.airflow}, in {folder}", flush=True)
        figures = measure(options, Path(folder))
    print("\n".join(_shown(figures)))
    failures = list(missed(figures))
    print("\n".join(failures) or "All goals are met.")
    return 1 if failures else 0


def missed(figures: Figures) -> Iterator[str]:
    """Yield the goals that were missed."""
    if figures.wrong:
        yield f"These cells differ from the truth: {figures.wrong}."
    most = figures.planned + figures.in_flight
    if not figures.planned <= figures.answered <= most:
        yield f"{figures.answered:,} requests were answered, not {figures.planned:,} to {most:,}."
    if figures.load_jobs > MOST_LOAD_JOBS:
        yield f"There were {figures.load_jobs} load jobs, not {MOST_LOAD_JOBS} at most."
    if not figures.merges or max(figures.merges.values()) > 1:
        yield f"There was not one MERGE a table: {figures.merges}."


def _options(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    standard = Options()
    parser.add_argument("--tweets", type=int, default=standard.tweets, help="how many Tweets")
    parser.add_argument("--airflow", choices=[*VERSIONS], default=standard.airflow)
    parser.add_argument("--no-kill", action="store_true", help="kill no worker")
    parser.add_argument(
        "--requests-per-minute",
        type=int,
        default=standard.requests_per_minute,
        help="the contract, which the stand-in of the API enforces",
    )
    given = parser.parse_args(argv)
    return Options(given.tweets, given.airflow, not given.no_kill, given.requests_per_minute)


def _shown(figures: Figures) -> Iterator[str]:
    """Yield the lines of the report."""
    yield ""
    for name, seconds in figures.stages.items():
        yield f"{name:<62} {seconds:8.1f} s"
    tries = len(figures.tries)
    again = sum(each.number > 1 for each in figures.tries)
    yield f"{'tasks of the killed worker':<62} {figures.killed:>8}"
    yield f"{'tries of tasks, of them repeated':<62} {tries:>8} {again:>8}"
    numbers = (figures.planned, figures.answered, figures.refused)
    requests = " ".join(f"{number:>8,}" for number in numbers)
    yield f"{'requests planned, answered, refused':<62} {requests}"
    yield f"{'load jobs':<62} {figures.load_jobs:>8}"
    for table, merges in figures.merges.items():
        yield f"{f'MERGEs into {table}':<62} {merges:>8}"
    for name, peak in figures.peaks.items():
        yield f"{f'peak memory of {name}':<62} {peak:8.0f} MiB"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
