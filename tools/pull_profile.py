"""Counts the modules and functions of the package that one pull of one request enters.

``python -m tools.pull_profile`` pulls the counts of one Tweet from the simulator with
``EngagementTotalsOperator`` and prints both figures; ``--list`` prints the functions as well. The
modules are imported before the pull, unless ``--imports`` is given: then those that the pull itself
imports count too, with the code of their bodies and classes.

The tool relies on nothing inside the package, so that figures of two trees can be compared::

    python tools/pull_profile.py --tree /path/to/another/checkout
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, FrameType

__all__ = ["PullProfile", "main", "profile_pull", "task_context"]

_PACKAGE: Final = "airflow_provider_engagement"
_NOW: Final = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class PullProfile:
    """What one pull entered.

    :param code: each piece of code: its module's path below the package, and its qualified name.
    """

    code: frozenset[tuple[str, str]]

    @property
    def modules(self) -> set[str]:
        """The paths of the modules."""
        return {module for module, _ in self.code}

    @property
    def functions(self) -> set[tuple[str, str]]:
        """The functions and methods: not the bodies of modules, lambdas and comprehensions."""
        return {place for place in self.code if not place[1].endswith(">")}


@dataclass(slots=True)
class _Recorder:
    """A profile function that notes each function of the package when it is called.

    :param folder: the package's folder.
    """

    folder: str
    entered: set[CodeType] = field(default_factory=set)

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or code in self.entered or not code.co_filename.startswith(self.folder):
            return
        if not self._is_of_simulator(frame):
            self.entered.add(code)

    def _is_of_simulator(self, frame: FrameType | None) -> bool:
        """Return whether the simulator runs the function, in a thread of this process."""
        simulator = f"{self.folder}simulator{os.sep}"
        while frame is not None:
            if frame.f_code.co_filename.startswith(simulator):
                return True
            frame = frame.f_back
        return False

    def profile(self) -> PullProfile:
        places = (
            (os.path.relpath(code.co_filename, self.folder), code.co_qualname)
            for code in self.entered
        )
        return PullProfile(frozenset(places))


def profile_pull(*, imports: bool = False) -> PullProfile:
    """Pull one request of ``/totals`` with the operator, and return what it entered.

    :param imports: count the modules that the pull imports, instead of importing all before.
    """
    package = importlib.import_module(_PACKAGE)
    if not imports:
        _import_modules(package.__path__)
    recorder = _Recorder(f"{package.__path__[0]}{os.sep}")
    simulator = importlib.import_module(f"{_PACKAGE}.simulator")
    world = simulator.World(seed=3, accounts=("acme",), now=_NOW)
    made = {"since": _NOW - timedelta(days=9), "until": _NOW - timedelta(days=2)}
    ids = world.tweets("acme", 1, **made)
    with tempfile.TemporaryDirectory() as folder, simulator.Simulator(world) as service:
        tempfile.tempdir = folder  # for the state that tasks of one machine share
        os.environ["AIRFLOW_CONN_ENGAGEMENT_PROFILED"] = json.dumps(service.connection("acme"))
        rows = _pull(ids, recorder)
        tempfile.tempdir = None
        if not rows or len(service.requests) != 1:
            raise RuntimeError(f"{len(service.requests)} requests brought {len(rows)} rows.")
    return recorder.profile()


def _import_modules(path: Sequence[str]) -> None:
    for module in pkgutil.walk_packages(path, f"{_PACKAGE}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _pull(ids: list[str], recorder: _Recorder) -> list[dict[str, Any]]:
    """Make, render and execute an operator under the profile; return its rows."""
    module = importlib.import_module(f"{_PACKAGE}.operators.engagement")
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    try:
        operator = module.EngagementTotalsOperator(
            task_id="pull", tweet_ids=ids, engagement_conn_id="engagement_profiled"
        )
        context = task_context(operator)
        operator.render_template_fields(context)
        rows: list[dict[str, Any]] = operator.execute(context)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return rows


def task_context(operator: Any) -> dict[str, Any]:
    """Return a stand-in for Airflow's context, with what an operator reads.

    :param operator: the operator that is to be executed.
    """
    instance = SimpleNamespace(
        dag_id="a_dag",
        task_id=operator.task_id,
        run_id="manual__1",
        map_index=-1,
        try_number=1,
        max_tries=0,
        xcom_push=lambda key, value: json.dumps([key, value]),
    )
    run = SimpleNamespace(run_after=_NOW, partition_key=None, run_id="manual__1", start_date=_NOW)
    return {
        "ti": instance,
        "task_instance": instance,
        "task": operator,
        "dag_run": run,
        "logical_date": _NOW,
        "data_interval_start": _NOW - timedelta(days=1),
        "data_interval_end": _NOW,
    }


def _lines(profile: PullProfile, *, functions: bool) -> Iterator[str]:
    yield f"modules {len(profile.modules)}, functions {len(profile.functions)}"
    if functions:
        for module, name in sorted(profile.functions):
            yield f"  {module}  {name}"


def main(argv: Sequence[str] | None = None) -> int:
    """Profile a pull, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tools.pull_profile", description=__doc__)
    parser.add_argument("--imports", action="store_true", help="count what the pull imports, too")
    parser.add_argument("--list", action="store_true", help="print each function")
    parser.add_argument("--tree", type=Path, help="a checkout whose package is profiled instead")
    options = parser.parse_args(argv)
    if options.tree:
        sys.path.insert(0, str(options.tree))
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        profile = profile_pull(imports=options.imports)
    print("\n".join(_lines(profile, functions=options.list)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
