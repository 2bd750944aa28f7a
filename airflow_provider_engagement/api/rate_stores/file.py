"""The rate that the tasks of one machine share, in a small file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import tempfile
import time
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.rate_stores.minute import ServiceMinute
from airflow_provider_engagement.api.rate_stores.state import RateState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_engagement.api.rate_stores.base import RateReport, Status, Turn

__all__ = ["FileStore"]

_FORMAT: Final = struct.Struct("<10d")


class FileStore:
    """The shared file of one app at one endpoint.

    :param name: the file's name.
    :param directory: where the files lie; None for this user's folder in the system's temporary
        folder.
    :param clock: returns Unix seconds.
    """

    def __init__(
        self,
        name: str,
        directory: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        folder = directory or Path(tempfile.gettempdir()) / f"airflow-engagement-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / name
        self._clock = clock

    def take(self, contract: float | None) -> Turn:
        """Take the next slot."""
        with self._open() as state:
            return state.take(self._clock(), contract)

    def record(self, report: RateReport) -> float:
        """Record what a response says."""
        with self._open() as state:
            return state.record(self._clock(), report)

    def status(self) -> Status:
        """Return what the file holds."""
        with self._open() as state:
            return state.status(self._clock())

    def close(self) -> None:
        """Do nothing: the file is open for a moment only."""

    @contextlib.contextmanager
    def _open(self) -> Iterator[RateState]:
        """Lock and yield the state. Changes to it are written."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            raw = os.pread(descriptor, _FORMAT.size, 0)
            state = _unpack(raw) if len(raw) == _FORMAT.size else RateState()
            yield state
            *own, minute = astuple(state)
            os.pwrite(descriptor, _FORMAT.pack(*own, *minute), 0)
        finally:
            os.close(descriptor)


def _unpack(raw: bytes) -> RateState:
    next_slot, blocked_until, limit, refusals, *minute = _FORMAT.unpack(raw)
    return RateState(next_slot, blocked_until, limit, refusals, ServiceMinute(*minute))
