"""Measures the figures of docs/: ratios of two times from one run.

The comparison is what an author would write by hand: one connection, one request after another,
nested loops into dictionaries. ``make bench`` runs all, ``make bench ARGS="payload pace"`` some.
"""

from __future__ import annotations

import sys
import time

from tools.bench_collections import lines_over_json, peak_above_ids
from tools.bench_memory import memory, million
from tools.bench_payload import payload
from tools.bench_requests import mapped, pace, throughput, year
from tools.bench_workers import say_workers
from tools.measuring import median_of, say


def collections() -> None:
    """Read Tweets from JSON Lines, over ``json.loads``; and a million lines, in bounded memory."""
    ids, whole = lines_over_json(median_of, time.process_time)
    say("JSON Lines to ids, over json.loads", f"{ids:.2f}x", "2.50x at most")
    say("JSON Lines to ids and attributes, over json.loads", f"{whole:.2f}x", "2.50x at most")
    of_ids, of_all = peak_above_ids()
    say("a million lines to ids, peak memory", f"{of_ids:.0f} MiB", "the ids")
    above = f"+{of_all - of_ids:.0f} MiB"
    say("the same with attributes, above the ids", above, "+300 MiB at most")


def workers() -> None:
    """Pull in 4 processes that share nothing but a store, or not even that."""
    say_workers(say)


BENCHMARKS = (payload, throughput, year, memory, million, collections, pace, mapped, workers)


def main(names: list[str]) -> int:
    """Run the benchmarks, or those that are named."""
    known = {benchmark.__name__: benchmark for benchmark in BENCHMARKS}
    unknown = set(names) - known.keys()
    if unknown:
        print(f"Unknown benchmarks: {', '.join(sorted(unknown))}. Known are: {', '.join(known)}")
        return 2
    for name, benchmark in known.items():
        if not names or name in names:
            benchmark()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
