"""Every error that a pull raises, in one tree.

::

    EngagementError
    ├── InvalidArgumentError   a parameter or setting is not allowed   (also a ValueError)
    ├── RequestRejectedError   the service refused a request: 400, 404
    ├── AuthenticationError    keys or tokens are missing, wrong or revoked
    ├── PermissionDeniedError  the credentials are valid, and not allowed to do this
    │   └── TweetsRefusedError   ... because of single Tweets of the request
    ├── IncompleteDataError    too few of the Tweets were counted
    ├── RateLimitError         the requests per minute are used up     retryable
    ├── RateStoreError         the store of the shared rate is away    retryable
    ├── ServiceError           5xx, a timeout, a broken connection     retryable
    ├── ConcurrentWriteError   another try of the task wrote meanwhile retryable
    ├── DeadlineExceededError  the task's execution_timeout is near    retryable
    └── InvalidResponseError   a response that cannot be read          retryable

Each error says what was given, what is allowed and what to do. Each can be pickled, because
Airflow passes exceptions between processes. None holds a secret.
"""

from __future__ import annotations

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
    "RateStoreError",
    "RequestRejectedError",
    "ServiceError",
    "TweetsRefusedError",
]


class EngagementError(Exception):
    """The root of the tree.

    :param message: what happened, in one sentence.
    :param advice: what to do about it.
    :param status: the HTTP status, if there was a response.
    :param words: the service's own words, without secrets.
    :param retry_at: Unix seconds before which a retry is useless, if the service said so.
    :param retryable: whether the same request may succeed later; by default what the class says.
    """

    retryable: bool = False
    """Whether the same request may succeed later."""

    def __init__(
        self,
        message: str,
        *,
        advice: str = "",
        status: int | None = None,
        words: tuple[str, ...] = (),
        retry_at: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.status = status
        self.words = words
        self.retry_at = retry_at
        if retryable is not None:
            self.retryable = retryable

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
        # Exception's own __reduce__ loses keyword arguments.
        return (type(self), (self.message,), self.__dict__)


class InvalidArgumentError(EngagementError, ValueError):
    """A parameter or a setting is not allowed. Nothing was sent."""


class RequestRejectedError(EngagementError):
    """The service refused a request as such: HTTP 400 or 404."""


class AuthenticationError(EngagementError):
    """Keys or tokens are missing, wrong or revoked."""


class PermissionDeniedError(EngagementError):
    """The credentials are valid, but not allowed to do this."""


class TweetsRefusedError(PermissionDeniedError):
    """The service refused a whole request because of some of its Tweets.

    :param forbidden: ids that belong to another account.
    :param unavailable: ids that are deleted or protected.

    Both are empty if the refusal names no ids.
    """

    forbidden: frozenset[str] = frozenset()
    unavailable: frozenset[str] = frozenset()


class IncompleteDataError(EngagementError):
    """Too few of the Tweets were counted. Nothing was written."""


class RateLimitError(EngagementError):
    """The contract's requests per minute are used up."""

    retryable = True


class RateStoreError(EngagementError):
    """The store of ``rate_limit_conn_id`` does not answer, and the contract's use is not known."""

    retryable = True


class ServiceError(EngagementError):
    """The service failed, or could not be reached."""

    retryable = True


class ConcurrentWriteError(EngagementError):
    """Another try of the same task has written the destination meanwhile."""

    retryable = True


class DeadlineExceededError(EngagementError):
    """The task's ``execution_timeout`` is near. Finished requests are saved for the next try."""

    retryable = True


class InvalidResponseError(EngagementError):
    """The response cannot be read: it is not JSON, or not of the documented shape."""

    retryable = True
