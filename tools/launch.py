"""Replaces itself with another command, which ends when its parent ends.

``python launch.py PARENT COMMAND...`` asks the kernel to send a SIGKILL when the parent ends, then
executes the command. This works on Linux only; elsewhere the command outlives a killed parent.
The kernel watches the *thread* that started this process, so start it from the main thread.

The command starts with the default SIGINT and SIGPIPE. A shell makes the background jobs of a
script ignore SIGINT, and children inherit that: such a command could not be interrupted.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, and execute the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the kernel was asked
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python itself ignores it
    os.execvp(command[0], command)  # noqa: S606 - replacing this process is the purpose


if __name__ == "__main__":
    main()
