"""Savepoints of two writers on SQLite, as Airflow's API and its scheduler are."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tools.env import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# One reads in a savepoint, the other writes, then the one writes: to SQLite's mind, too late.
WRITERS = """
import sqlite3, sys
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

if sys.argv[2] == "with":
    from tools.sqlite import airflow_local_settings

other = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
other.execute("PRAGMA journal_mode=WAL")
other.execute("CREATE TABLE t (n)")
engine = create_engine("sqlite:///" + sys.argv[1])
with Session(engine) as session:
    with session.begin_nested():
        session.execute(text("SELECT COUNT(*) FROM t")).scalar()
        try:
            other.execute("INSERT INTO t VALUES (1)")
        except sqlite3.OperationalError as error:
            print("the other:", error)
        session.execute(text("INSERT INTO t VALUES (2)"))
    session.commit()
other.execute("INSERT INTO t VALUES (3)")
print(sorted(n for (n,) in other.execute("SELECT n FROM t")))
"""


@pytest.mark.parametrize("settings", ["with", "without"])
def test_savepoint_takes_the_write_lock_before_it_writes(tmp_path: Path, settings: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", WRITERS, tmp_path / "some.db", settings],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if settings == "with":
        assert done.stdout.splitlines() == ["the other: database is locked", "[2, 3]"]
    else:  # what the settings are for
        assert "(sqlite3.OperationalError) database is locked" in done.stderr
