"""Sends requests to the service: signed, at the contract's rate, and retried by the clock."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

import tenacity

from airflow_provider_engagement.api.auth import BearerAuth, exchange_token, owner_auth
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    RateLimitError,
    TweetsRefusedError,
)
from airflow_provider_engagement.api.rate_limit import RateLimiter
from airflow_provider_engagement.api.rate_stores import open_store
from airflow_provider_engagement.api.response import read_response
from airflow_provider_engagement.api.settings import Redactor, Secret, checked_url
from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.api.transport import new_session, post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from requests.auth import AuthBase

    from airflow_provider_engagement.api.query import PlannedRequest, Query
    from airflow_provider_engagement.api.response import EngagementResponse
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.api.transport import Reply

__all__ = ["EngagementClient", "PullStoppedError", "Retrier", "RetryPolicy"]

log = logging.getLogger(__name__)

# The statuses of refusals that the rate limiter learns from; it raises one without a status.
_PACED: Final = frozenset({None, HTTPStatus.TOO_MANY_REQUESTS})

# What the service says of single Tweets, it says to credentials that it has accepted.
_PROVES_CREDENTIALS: Final = (TweetsRefusedError, RateLimitError)


class PullStoppedError(EngagementError):
    """The pull was stopped while this request waited for its turn or its retry."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a request is.

    :param budget: seconds after a request's first failure during which it is retried.
    :param first_wait: seconds before the first retry, at most; doubled each time, with jitter.
    :param max_wait: seconds between two attempts, at most.
    """

    budget: float = 300.0
    first_wait: float = 0.5
    max_wait: float = 30.0


class Retrier:
    """Retries the requests of one client, and ends their waits when the service is back.

    :param policy: how patient a request is.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._changed = threading.Condition()
        self._successes = 0
        self._stopped = False

    def attempts(self) -> Iterator[tenacity.AttemptManager]:
        """Return the attempts of one request, as tenacity does: ``for ...: with attempt: ...``."""
        backoff = tenacity.wait_random_exponential(
            multiplier=self._policy.first_wait, max=self._policy.max_wait
        )
        give_up_at: list[float] = []

        def wait(state: tenacity.RetryCallState) -> float:
            # After a 429 the rate limiter holds every request back. A second wait is not needed.
            failure = _failure(state)
            if isinstance(failure, RateLimitError) and failure.status in _PACED:
                return 0.0
            return float(backoff(state))

        def budget_is_spent(_: tenacity.RetryCallState) -> bool:
            now = time.monotonic()
            # From the first failure on: waiting for a turn is no failure.
            give_up_at[:] = give_up_at or [now + self._policy.budget]
            return now >= give_up_at[0]

        return iter(
            tenacity.Retrying(
                retry=tenacity.retry_if_exception(
                    lambda error: isinstance(error, EngagementError) and error.retryable
                ),
                wait=wait,
                stop=budget_is_spent,
                sleep=self._wait_for_recovery,
                before_sleep=_log_retry,
                reraise=True,
            )
        )

    def record_success(self) -> None:
        """Let every request that waits for its retry try again: the service answers."""
        with self._changed:
            self._successes += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """End every wait with an error."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait.

        :raises PullStoppedError: if the pull is stopped meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, timeout=seconds)
            self._check_stopped()

    def _wait_for_recovery(self, seconds: float) -> None:
        """Wait, at most until another request has succeeded."""
        with self._changed:
            before = self._successes
            self._changed.wait_for(
                lambda: self._stopped or self._successes > before, timeout=seconds
            )
            self._check_stopped()

    def _check_stopped(self) -> None:
        if self._stopped:
            msg = "The pull was stopped."
            raise PullStoppedError(msg)


class EngagementClient:
    """One connection to the service. Threads may share it.

    :param settings: the Airflow connection's fields.
    :param on_secret: called with every secret that is received, before it is used.
    :param retry: how patient a request is.
    :param rate_state_directory: where the machine's shared rate state lies; None for the default.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_secret: Callable[[Secret], None] | None = None,
        retry: RetryPolicy | None = None,
        rate_state_directory: Path | None = None,
    ) -> None:
        self.settings = settings
        self._on_secret = on_secret or (lambda _: None)
        self._retrier = Retrier(retry or RetryPolicy())
        self._rate_state_directory = rate_state_directory
        self._host = checked_url(settings.host, name="host")
        self._session = new_session(settings.max_concurrency)
        self._auth: dict[Access, AuthBase] = {}
        self._rate_limiters: dict[EndpointName, RateLimiter] = {}
        self._redact = settings.redactor()
        self._accepted: set[Access] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._session.close()
        for limiter in self._rate_limiters.values():
            limiter.close()

    def stop(self) -> None:
        """End the wait of every request that waits for its turn or its retry."""
        self._retrier.stop()

    def prepare(self, endpoint: EndpointName, access: Access) -> None:
        """Read or exchange the credentials, and join the app's shared rate.

        :raises AuthenticationError: if the credentials are missing or not accepted.
        :raises ServiceError: if the token endpoint does not answer until the budget is spent.
        :raises RateStoreError: if the store of the shared rate does not.
        """
        if access not in self._auth:
            self._auth[access] = self._make_auth(access)
        if endpoint not in self._rate_limiters:
            limiter = self._make_rate_limiter(endpoint)
            for attempt in self.attempts():
                with attempt:
                    limiter.reported_limit()  # reaches the store
            self._rate_limiters[endpoint] = limiter

    def reported_limit(self, endpoint: EndpointName) -> float | None:
        """Return the requests per minute that the service reported last; None if it never did.

        :param endpoint: an endpoint that is prepared.
        """
        return self._rate_limiters[endpoint].reported_limit()

    def attempts(self) -> Iterator[tenacity.AttemptManager]:
        """Return the attempts of one request, for ``for attempt in ...: with attempt: ...``."""
        return self._retrier.attempts()

    def send(self, query: Query, request: PlannedRequest) -> EngagementResponse:
        """Send one request once, when its turn comes, and return the response.

        :param query: what is asked.
        :param request: of which Tweets; its access must be prepared.
        :raises TweetsRefusedError: if the service refuses the request because of single Tweets.
        :raises EngagementError: of the kind that the refusal or fault is.
        """
        limiter = self._rate_limiters[query.endpoint.name]
        with limiter.acquire():
            reply = post(
                self._session,
                self.settings.url(query.endpoint),
                query.body(request),
                auth=self._auth[request.access],
                timeout=self.settings.timeout,
            )
            retry_at = limiter.record_response(reply.status, reply.headers)
        try:
            response = self._read(query, reply)
        except EngagementError as error:
            self._judge(error, request.access, retry_at)
            raise
        self._record_acceptance(request.access)
        return response

    def _read(self, query: Query, reply: Reply) -> EngagementResponse:
        names = [grouping.name for grouping in query.groupings]
        response = read_response(reply, grouping_names=names)
        if response is None:
            from airflow_provider_engagement.api.refusal import refusal

            raise refusal(reply, redact=self._redact)
        return response

    def _judge(self, error: EngagementError, access: Access, retry_at: float | None) -> None:
        """Add what only the client knows: until when to wait, and whether a 401 can pass."""
        if isinstance(error, _PROVES_CREDENTIALS):
            self._record_acceptance(access)
        if isinstance(error, RateLimitError):
            error.retry_at = retry_at
        if isinstance(error, AuthenticationError) and access in self._accepted:
            # The same credentials were accepted a moment ago.
            error.retryable = True

    def _record_acceptance(self, access: Access) -> None:
        self._accepted.add(access)
        self._retrier.record_success()

    def _make_auth(self, access: Access) -> AuthBase:
        credentials = self.settings.credentials
        if access is Access.OWNER:
            return owner_auth(credentials)
        token = credentials.bearer_token or self._exchange_token()
        return BearerAuth(token)

    def _exchange_token(self) -> Secret:
        for attempt in self.attempts():
            with attempt:
                try:
                    token = exchange_token(self.settings, self._session)
                except AuthenticationError as error:
                    # Signed with the same key and secret, the owner's requests were accepted.
                    error.retryable = Access.OWNER in self._accepted
                    raise
                self._redact = Redactor((*self.settings.credentials.secrets(), token))
                self._on_secret(token)
                return token
        raise AssertionError  # tenacity returns or raises

    def _make_rate_limiter(self, endpoint: EndpointName) -> RateLimiter:
        credentials = self.settings.credentials
        app = credentials.consumer_key or credentials.bearer_token
        key = "\n".join((self._host, app.reveal() if app else "", endpoint))
        return RateLimiter(
            open_store(self.settings.rate_store, key, self._rate_state_directory),
            requests_per_minute=self.settings.requests_per_minute.get(endpoint),
            max_concurrency=self.settings.max_concurrency,
            wait=self._retrier.wait,
        )


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _log_retry(state: tenacity.RetryCallState) -> None:
    failure: Any = _failure(state)
    log.warning("Attempt %d failed and is repeated: %s", state.attempt_number, failure)
