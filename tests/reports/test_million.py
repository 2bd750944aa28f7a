"""A report on a million Tweets: the memory of its process, and the size of its page."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from made_counts import make_totals

from tools.env import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long

TWEETS = 1_000_000

# Prints what the report adds to the memory of a process that has imported all that it needs.
REPORT = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
import airflow, duckdb, jinja2, matplotlib.figure, pyarrow.parquet, sqlglot
from airflow_provider_engagement.collections.files import LocalFiles
from airflow_provider_engagement.reports import report
from airflow_provider_engagement.reports.content import ReportOptions
from airflow_provider_engagement.reports.duckdb_engine import DuckDBEngine

def peak():
    # Not getrusage, whose peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

before = peak()
engine = DuckDBEngine(sys.argv[1], sys.argv[2], store=LocalFiles())
options = ReportOptions(table="engagement", made_at=datetime.now(UTC))
made, paths = report.make_report(engine, options, Path(sys.argv[3]))
engine.close()
print(json.dumps({"mib": peak() - before, "page": paths[-1].stat().st_size, **made.summary()}))
"""


def test_million_tweets_fit_into_memory_and_onto_a_page(tmp_path: Path) -> None:
    made = make_totals(tmp_path, TWEETS)
    command = [sys.executable, "-c", REPORT, made.table, made.tweets_table, tmp_path]
    done = subprocess.run(  # noqa: S603 - the code above
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tweets"] == TWEETS
    assert found["campaigns"] == 4
    assert found["mib"] <= 300
    assert found["page"] < 1_000_000
