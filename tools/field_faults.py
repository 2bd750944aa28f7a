"""What goes wrong in real deployments, what comes of it, and the tests that show it.

docs/reference/faults.md shows this list as tables; a test checks that each named test exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FIELD_FAULTS", "FieldFault"]


@dataclass(frozen=True, slots=True)
class FieldFault:
    """A kind of fault.

    :param number: its number in the list that the project works from.
    :param area: where it occurs: the title of its table.
    :param kind: the fault, in words.
    :param outcome: what the provider does.
    :param tests: the tests that show it, each as ``path::name`` below ``tests/``.
    """

    number: int
    area: str
    kind: str
    outcome: str
    tests: tuple[str, ...]


_IDS: Final = "Tweet ids"
_RUNS: Final = "Runs that would succeed with wrong data"
_PASSING: Final = "Faults that pass"
_STORAGE: Final = "Buckets and tables"
_PLATFORMS: Final = "Networks and platforms"

FIELD_FAULTS: Final = (
    FieldFault(
        1,
        _IDS,
        "a CSV file whose ids are not its only column, or a file with several values on a line",
        "With a header, only the id column is read. Without one, a second value on a line is "
        "refused with the line's number.",
        (),
    ),
    FieldFault(
        2,
        _IDS,
        "ids that a spreadsheet or JavaScript has rounded",
        "Refused, or a warning where only one or two ids look rounded. The error says how to "
        "export ids as text.",
        (),
    ),
    FieldFault(
        3,
        _IDS,
        "ids as other tasks return them: XComs of mapped tasks, sets, rows of one column, numpy "
        "and pandas columns",
        "All are read as ids.",
        (),
    ),
    FieldFault(
        4,
        _IDS,
        "`None` or an empty text from a template",
        "The parameter has its default. Lists and groupings are read from Python text as well as "
        "from JSON.",
        (),
    ),
    FieldFault(
        5,
        _IDS,
        "a post's URL, `ID:…` or `tag:…` in place of an id; a path without a scheme",
        "URLs and prefixed ids are read as their id. A path is refused with what to write.",
        (),
    ),
    FieldFault(
        6,
        _RUNS,
        "`soft_fail=True` with wrong keys, no connection or a misspelt metric",
        "The task fails. Only a timeout, or Tweets that can no longer reach the thresholds, skip "
        "it.",
        (),
    ),
    FieldFault(
        7,
        _RUNS,
        "mapped tasks with the same `output_path`",
        "Refused before the first request.",
        (),
    ),
    FieldFault(
        8,
        _RUNS,
        "`/totals` in a manual run whose data interval is long past",
        "The run pulls the counts of now. Only a scheduled or backfilled run can be too late.",
        (),
    ),
    FieldFault(
        9,
        _RUNS,
        "partition keys with a time, or in another time zone; a key that cannot be read",
        "The key is read as the partition's own time. An unreadable key is refused by its name. "
        "A window that is cut short is a warning.",
        (),
    ),
    FieldFault(
        10,
        _RUNS,
        "favorites, retweets and replies before 2015-09-15 on `/historical`, which the API counts "
        "as 0",
        "No row is written, and the coverage lists the types as missing.",
        (),
    ),
    FieldFault(
        11,
        _RUNS,
        "a snapshot in a bucket that is pulled again with more Tweets",
        "Existing Tweets keep their counts. New Tweets are added.",
        (),
    ),
    FieldFault(
        12,
        _PASSING,
        "an outage; a proxy's page as a 4xx; one 401 among many answers; a connection that cannot "
        "be read for a moment; a failed token exchange",
        "The request is tried until a time budget is spent, then Airflow retries the task. "
        "Finished requests are not lost.",
        (),
    ),
    FieldFault(
        13,
        _PASSING,
        "a write that fails after all requests were answered",
        "Only the write is repeated.",
        (),
    ),
    FieldFault(
        14,
        _STORAGE,
        "other objects below the staging folder; a bucket with a retention policy",
        "Only objects with names that this provider makes are deleted. A delete that fails does "
        "not fail the task.",
        (),
    ),
    FieldFault(
        15,
        _STORAGE,
        "two tries of a task that run at once",
        "The manifest lists the objects of one try. A try deletes only its own objects.",
        (),
    ),
    FieldFault(
        16,
        _STORAGE,
        "a mapped list that is reordered",
        "The folder is named by what is requested, so an account is written once.",
        (),
    ),
    FieldFault(
        17,
        _STORAGE,
        "many tasks that write to BigQuery at once",
        "Each target has its own lock. Conflicts are retried for longer the more there are.",
        (),
    ),
    FieldFault(
        18,
        _STORAGE,
        "a bucket in another region; a REQUIRED column that is unknown; a partition filter on "
        "another column; no billing; more partitions than a job may write",
        "Refused before the first request, or split into several jobs.",
        (),
    ),
    FieldFault(
        19,
        _STORAGE,
        "queries that must carry labels, or stay below a number of bytes",
        "`labels` and `maximum_bytes_billed` are passed to the jobs.",
        (),
    ),
    FieldFault(
        20,
        _PLATFORMS,
        "Airflow with the older packages that its own constraints pin",
        "The provider installs and runs beside them.",
        (
            "test_constrained.py::test_requirements_allow_what_airflow_pins",
            "test_constrained.py::test_pull_and_sensors_run_with_the_pinned_provider",
        ),
    ),
    FieldFault(
        21,
        _PLATFORMS,
        "SOCKS proxies; `HTTP_PROXY` and a loopback host; an untrusted certificate; a proxy that "
        "asks for a password",
        "Loopback requests never use a proxy. Certificate and proxy errors fail at once and say "
        "so.",
        (),
    ),
    FieldFault(
        22,
        _PLATFORMS,
        "an `AIRFLOW_CONN_…` variable that cannot be parsed",
        "The error says so, instead of that there is no connection.",
        (),
    ),
    FieldFault(
        23,
        _PLATFORMS,
        "100,000 Tweets in a deferred sensor; a collection file that the triggerer does not have",
        "The triggerer's loop is not blocked. The error says on which machine the file was looked "
        "for.",
        (),
    ),
    FieldFault(
        24,
        _PLATFORMS,
        "a task that is killed during a BigQuery job",
        "The job is cancelled. Temporary folders of killed tasks are deleted later.",
        (),
    ),
    FieldFault(
        25,
        _PLATFORMS,
        "a collection of a million ids",
        "Memory stays below 700 MiB, because outcomes are shared and coverage is written in "
        "chunks.",
        (),
    ),
)
"""All kinds, in the order of their numbers."""
