"""The exit codes of `engagement`."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    IncompleteDataError,
    InvalidArgumentError,
    PermissionDeniedError,
)

__all__ = ["MEANINGS", "ExitCode", "code_of"]


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    PARTIAL = 3
    NOT_WRITTEN = 4
    ACCESS = 5
    UNAVAILABLE = 6
    REJECTED = 7
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS: Final = {
    ExitCode.OK: "Done.",
    ExitCode.UNEXPECTED: "An unexpected error. `--verbose` shows its traceback.",
    ExitCode.USAGE: "An argument, a setting or a file is not allowed. Nothing was sent.",
    ExitCode.PARTIAL: "The rows are written, but not every Tweet has counts.",
    ExitCode.NOT_WRITTEN: "Nothing was written: too few Tweets have counts, or the output cannot "
    "be written.",
    ExitCode.ACCESS: "The credentials are missing, wrong or revoked, or do not allow this.",
    ExitCode.UNAVAILABLE: "The service cannot be reached, fails, or is rate limited. Try later.",
    ExitCode.REJECTED: "The service rejected a request. A repeated request would be rejected too.",
    ExitCode.INTERRUPTED: "Interrupted, by Ctrl-C.",
    ExitCode.PIPE_CLOSED: "The reader of the output closed the pipe, such as `head`.",
}
"""What each exit code means."""

_CODES: Final[tuple[tuple[type[EngagementError], ExitCode], ...]] = (
    (InvalidArgumentError, ExitCode.USAGE),
    (IncompleteDataError, ExitCode.NOT_WRITTEN),
    (AuthenticationError, ExitCode.ACCESS),
    (PermissionDeniedError, ExitCode.ACCESS),
)


def code_of(error: EngagementError) -> ExitCode:
    """Return the exit code of a command that ended with an error.

    :param error: the error.
    """
    if error.retryable:
        return ExitCode.UNAVAILABLE
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.REJECTED)
