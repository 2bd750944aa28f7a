"""Airflow as it is deployed: PostgreSQL, Redis, the CeleryExecutor and several workers.

Every part is a process of this machine. What the parts of a real deployment do not share is not
shared here either: each has a home and a temporary folder of its own, and its settings come from
the environment. Nothing is left running, however the process that started it ends.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self, TypeVar

from tools import sessions
from tools.env import ENVIRONMENTS, Workshop
from tools.ports import free_ports
from tools.process import Process, ProcessFailure
from tools.servers import PostgresServer, RedisServer, postgres_server, redis_server
from tools.services import airflow_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["VERSIONS", "Deployment", "TaskTry"]

T = TypeVar("T")

VERSIONS: Final = {
    "3.3": ("api-server", "scheduler", "dag-processor"),
    "2.11": ("scheduler",),  # it reads the DAG files too
}
"""The parts of each Airflow, beside the workers."""

_MIGRATES_WITHIN: Final = 300
_ANSWERS_WITHIN: Final = 180

# Seconds after which a task whose worker is gone is tried again.
_LOST_AFTER: Final = 30

_SERIALIZED: Final = "SELECT 1 FROM serialized_dag WHERE dag_id = '{dag}'"

_STATE: Final = "SELECT state FROM dag_run WHERE run_id = '{run}'"

# As JSON, because only so PostgreSQL writes the time in ISO 8601.
_START: Final = "SELECT to_jsonb(start_date) ->> 0 FROM dag_run WHERE run_id = '{run}'"

_TRIES: Final = """
    SELECT task_id, map_index, try_number, state,
           extract(epoch FROM start_date), extract(epoch FROM end_date)
      FROM {table} WHERE run_id = '{run}'
"""


@dataclass(frozen=True, slots=True)
class TaskTry:
    """One try of a task instance.

    :param task: the task's id.
    :param map_index: its place in the map; -1 if it is not mapped.
    :param number: the number of the try; the first is 1.
    :param state: its state; empty before it is scheduled.
    :param start: when it started, in Unix seconds; 0 before that.
    :param end: when it ended; 0 before that.
    """

    task: str
    map_index: int
    number: int
    state: str
    start: float
    end: float


class Deployment:
    """A context manager that runs Airflow with Celery workers.

    DAGs find the servers by the Airflow connections ``redis`` and ``postgres``. They run only when
    they are triggered, whatever their schedule.

    :param folder: the folder of its data, its logs, and the folders of its parts.
    :param dags_folder: the folder of its DAG files.
    :param version: a key of ``VERSIONS``.
    :param workers: the names of the Celery workers.
    :param concurrency: how many tasks a worker runs at once.
    :param settings: environment variables of all parts, on top of those that isolate them.
    """

    def __init__(
        self,
        folder: Path,
        dags_folder: Path,
        version: str,
        *,
        workers: Sequence[str],
        concurrency: int,
        settings: Mapping[str, str],
    ) -> None:
        self.postgres: PostgresServer = postgres_server(folder)
        self.redis: RedisServer = redis_server(folder)
        self.workers: dict[str, Process] = {}
        self._folder = folder
        self._dags_folder = dags_folder
        self._python = Workshop().python(ENVIRONMENTS[f"airflow-{version}-celery"])
        self._parts = VERSIONS[version]
        self._concurrency = concurrency
        self._names = workers
        self._extra = settings
        self._port = free_ports(3)
        self._keys = (secrets.token_hex(), base64.urlsafe_b64encode(secrets.token_bytes(32)))
        self._stack = ExitStack()
        self._sessions = sessions.Sessions()
        self._running: dict[str, Process] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.postgres)
            stack.enter_context(self.redis)
            stack.enter_context(self._sessions)
            self.run("db", "migrate", within=_MIGRATES_WITHIN)
            for part in self._parts:
                self._start(part, part)
            for name in self._names:
                self.start_worker(name)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._running.values():
            sessions.kill({process.pid})
            process.__exit__()
        self._stack.__exit__(None, None, None)

    def start_worker(self, name: str) -> None:
        """Start a Celery worker.

        :param name: its name, which its folder has too.
        """
        options = ("--concurrency", str(self._concurrency), "--celery-hostname", f"{name}@%h")
        self.workers[name] = self._start(name, "celery", "worker", "--skip-serve-logs", *options)

    def tasks_of(self, worker: str) -> int:
        """Return how many tasks a worker runs now."""
        pids = self.postgres.query("SELECT pid FROM task_instance WHERE state = 'running'")
        mine = sessions.members({self.workers[worker].pid})
        return sum(pid != "" and int(pid) in mine for (pid,) in pids)

    def kill_worker(self, name: str) -> None:
        """Kill a worker with all its tasks, as when its machine is lost."""
        process = self._running.pop(name)
        sessions.kill({process.pid})
        process.__exit__()

    def run(self, *command: str, within: float = _ANSWERS_WITHIN) -> None:
        """Run a command of Airflow to its end.

        :param command: what follows ``airflow``.
        :param within: the seconds to wait at most.
        :raises ProcessFailure: if it fails.
        """
        with self._process("cli", *command) as process:
            process.finish(within)

    def has_read(self, dag: str) -> bool:
        """Return whether Airflow has read the file of a DAG.

        :raises ProcessFailure: if a file cannot be imported. The text has the traceback.
        """
        for (trace,) in self.postgres.query("SELECT stacktrace FROM import_error"):
            raise ProcessFailure(trace)
        return bool(self.postgres.query(_SERIALIZED.format(dag=dag)))

    def trigger(self, dag: str, run: str) -> None:
        """Start a run of a DAG, whose file Airflow has read.

        :param dag: the DAG's id.
        :param run: the id of the run.
        """
        self.run("dags", "trigger", dag, "--run-id", run)

    def tries(self, run: str) -> list[TaskTry]:
        """Return all tries of all task instances of a run so far, in the order of their starts."""
        latest = self.postgres.query(_TRIES.format(table="task_instance", run=run))
        earlier = self.postgres.query(_TRIES.format(table="task_instance_history", run=run))
        # An instance that waits for its next try has its last one in both tables.
        rows = {tuple(row[:3]): row for row in (*latest, *earlier)}.values()
        tries = [
            TaskTry(task, int(place), int(number), state, *map(_seconds, times))
            for task, place, number, state, *times in rows
        ]
        return sorted(tries, key=lambda each: (each.start or float("inf"), each.task))

    def state_of(self, run: str) -> str:
        """Return the state of a run; empty text if the run does not exist yet."""
        found = self.postgres.query(_STATE.format(run=run))
        return found[0][0] if found else ""

    def start_of(self, run: str) -> datetime:
        """Return when a run started."""
        ((found,),) = self.postgres.query(_START.format(run=run))
        return datetime.fromisoformat(found)

    def wait_for(self, poll: Callable[[], T | None], timeout: float = _ANSWERS_WITHIN) -> T:
        """Call a function until it returns something other than None, and return that.

        :param poll: called twice a second.
        :param timeout: the seconds to wait at most.
        :raises ProcessFailure: if a part ends first, or the time is up.
        """
        deadline = time.monotonic() + timeout
        while (found := poll()) is None:
            for name, process in self._running.items():
                if process.exit_code is not None:
                    raise ProcessFailure(
                        f"{name} ended with {process.exit_code}:\n{process.tail()}"
                    )
            if time.monotonic() > deadline:
                raise ProcessFailure(f"Nothing after {timeout:.0f} s.\n{self.tails()}")
            time.sleep(0.5)
        return found

    def tails(self) -> str:
        """Return the ends of the logs of all parts."""
        return "\n".join(f"--- {name}\n{part.tail(30)}" for name, part in self._running.items())

    def _start(self, name: str, *command: str) -> Process:
        process = self._process(name, *command).__enter__()
        self._running[name] = process
        self._sessions.add(process.pid)
        return process

    def _process(self, name: str, *command: str) -> Process:
        """Return a command of Airflow, not yet started, with a folder of its own."""
        folder = self._folder / name
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        log = self._folder / f"{name}.log"
        settings = {**self._settings(folder), "TMPDIR": str(folder / "tmp"), **self._extra}
        return Process([self._python, "-m", "airflow", *command], log, settings)

    def _settings(self, home: Path) -> dict[str, str]:
        """Return the settings of a part, other than those of the caller."""
        database = self.postgres.url.partition("://")[2]
        secret, fernet = self._keys
        lost, look = str(_LOST_AFTER), "5"
        return {
            **airflow_environment(home, self._dags_folder, self._port),
            "AIRFLOW_CONN_POSTGRES": json.dumps(self.postgres.connection()),
            "AIRFLOW_CONN_REDIS": json.dumps(self.redis.connection()),
            "AIRFLOW__API_AUTH__JWT_SECRET": secret,
            "AIRFLOW__API__SECRET_KEY": secret,
            "AIRFLOW__WEBSERVER__SECRET_KEY": secret,
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "3600",
            "AIRFLOW__CELERY__BROKER_URL": f"{self.redis.url}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__FERNET_KEY": fernet.decode(),
            "AIRFLOW__CORE__PARALLELISM": "32",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
            "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": lost,
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": lost,
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": look,
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": look,
            "PYTHONSAFEPATH": "1",  # the installed package is run, not the source tree
        }


def _seconds(text: str) -> float:
    return float(text or 0)
