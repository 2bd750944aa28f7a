"""Measures the memory of running processes."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tools import sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PeakMemory"]

_EVERY: Final = 0.5
_KIB: Final = 2**10


class PeakMemory:
    """A context manager that watches the memory of several trees of processes.

    Pages that processes share, as a worker's pool does, are counted once.

    :param leaders: the id of the session of each tree, by its name.
    """

    def __init__(self, leaders: Mapping[str, int]) -> None:
        self.trees: dict[str, float] = dict.fromkeys(leaders, 0.0)
        """The highest sum of a tree so far, in MiB."""
        self.process = 0.0
        """The highest memory of one process so far, in MiB."""
        self._leaders = dict(leaders)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_EVERY):
            for name, leader in self._leaders.items():
                each = [_proportional(pid) for pid in sessions.members({leader})]
                self.trees[name] = max(self.trees[name], sum(each))
                self.process = max(self.process, *each, 0.0)


def _proportional(pid: int) -> float:
    """Return a process's share of the memory that it uses, in MiB; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / _KIB
    return 0.0
