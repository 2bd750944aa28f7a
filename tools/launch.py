"""Becomes another command that ends when its parent ends, however that ends.

``python launch.py PARENT COMMAND...`` asks the kernel for a SIGKILL at the parent's death, then
turns into the command. On Linux only; elsewhere the command outlives a parent that is killed.
The death that counts is that of the *thread* that started this: start from the main one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be asked for
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - to become the command is the point


if __name__ == "__main__":
    main()
