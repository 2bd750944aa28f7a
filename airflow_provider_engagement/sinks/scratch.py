"""Temporary folders of a pull, which a later pull deletes if their process was killed."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

__all__ = ["ScratchFolder"]

log = logging.getLogger(__name__)

_PREFIX: Final = "engagement-"
_MARKER: Final = ".engagement-owner"

# Seconds. A folder is marked and locked right after it is created; this allows for a slow machine.
_MIN_AGE: Final = 600.0


class ScratchFolder:
    """A temporary folder, deleted by ``remove``, or by a later pull after its process was killed.

    The process holds a lock on a file in the folder as long as it lives. Creating a folder deletes
    the user's folders whose lock is free.
    """

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock: int | None = os.open(
            self.path / _MARKER, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600
        )
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Delete the folder. Never raises, and may be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(lock)


def _sweep(folder: Path) -> None:
    """Delete the folders of killed processes. Never raises: a later pull tries again."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{_PREFIX}*/{_MARKER}"):
            with contextlib.suppress(OSError):
                _remove_if_abandoned(path)


def _remove_if_abandoned(marker: Path) -> None:
    folder = marker.parent
    for path, is_kind in ((folder, stat.S_ISDIR), (marker, stat.S_ISREG)):
        # lstat: a link could lead to a folder that is not a pull's.
        found = path.lstat()
        if not is_kind(found.st_mode) or found.st_uid != os.getuid():
            return
    if time.time() - found.st_mtime < _MIN_AGE:
        return
    lock = os.open(marker, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if the owner lives
        shutil.rmtree(folder, ignore_errors=True)
        log.info("Deleted %s, which a killed task had left.", folder)
    finally:
        os.close(lock)
