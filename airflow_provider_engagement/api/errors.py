"""Everything that can go wrong with a pull, in one tree.

::

    EngagementError
    ├── InvalidArgumentError          what was asked for is not allowed        (also a ValueError)
    ├── AuthenticationError    keys or tokens are missing, wrong or revoked
    ├── PermissionDeniedError         the credentials are good, and not allowed to do this
    ├── IncompleteDataError  too few of the Tweets could be counted
    ├── RateLimitError      the minute's allowance is used up        retryable
    ├── ServiceError        5xx, a timeout, a torn connection        retryable
    ├── ConcurrentWriteError   another try of the task wrote meanwhile   retryable
    ├── DeadlineExceededError      the task's execution_timeout is near     retryable
    └── InvalidResponseError         an answer that cannot be understood      retryable

Each says what was given, what is allowed and what to do; each pickles, since Airflow carries
exceptions between processes; none holds a secret.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AuthenticationError",
    "ConcurrentWriteError",
    "DeadlineExceededError",
    "EngagementError",
    "IncompleteDataError",
    "InvalidArgumentError",
    "InvalidResponseError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServiceError",
]


class EngagementError(Exception):
    """The root of the tree.

    :param message: what happened, in a sentence.
    :param advice: what to do about it.
    :param status: the HTTP status, where an answer came.
    :param words: the service's own words, with secrets already taken out.
    :param retry_at: Unix seconds before which another try is no use, where the service said so.
    """

    retryable: ClassVar[bool] = False
    """Whether the same request may well succeed later."""

    def __init__(
        self,
        message: str,
        *,
        advice: str = "",
        status: int | None = None,
        words: tuple[str, ...] = (),
        retry_at: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.status = status
        self.words = words
        self.retry_at = retry_at

    def __str__(self) -> str:
        parts = [self.message]
        if self.status is not None:
            parts.append(f"(HTTP {self.status})")
        if self.words:
            words = " | ".join(self.words)
            parts.append(f"The service said: {words}" + ("" if words.endswith(".") else "."))
        if self.advice:
            parts.append(self.advice)
        return " ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own way forgets keyword arguments.
        return (type(self), (self.message,), self.__dict__)


class InvalidArgumentError(EngagementError, ValueError):
    """What was asked for is not allowed. Nothing was sent."""


class AuthenticationError(EngagementError):
    """Keys or tokens are missing, wrong or revoked."""


class PermissionDeniedError(EngagementError):
    """The credentials are good, but not allowed to do what was asked."""


class IncompleteDataError(EngagementError):
    """Too few of the Tweets asked for could be counted. Nothing was written."""


class RateLimitError(EngagementError):
    """The contract's requests per minute are used up."""

    retryable = True


class ServiceError(EngagementError):
    """The service failed, or could not be reached."""

    retryable = True


class ConcurrentWriteError(EngagementError):
    """Another try of the same task has written the destination meanwhile."""

    retryable = True


class DeadlineExceededError(EngagementError):
    """The task's ``execution_timeout`` is near. What was answered is kept for the next try."""

    retryable = True


class InvalidResponseError(EngagementError):
    """The answer cannot be understood: not JSON, or not of the documented shape."""

    retryable = True
