"""Talks to the service: signed, paced, retried; and lets no Tweet cost another its counts."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

import tenacity

from airflow_provider_engagement.api.auth import BearerAuth, exchange, owner_auth
from airflow_provider_engagement.api.errors import EngagementError, RateLimitError
from airflow_provider_engagement.api.rate_limit import RateLimiter, SharedRateState
from airflow_provider_engagement.api.response import (
    EngagementResponse,
    TweetsRefusedError,
    read_response,
)
from airflow_provider_engagement.api.secret import Redactor, Secret
from airflow_provider_engagement.api.settings import checked_url
from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.api.transport import new_session, post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from requests.auth import AuthBase

    from airflow_provider_engagement.api.plan import PlannedRequest
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.api.settings import Settings

__all__ = ["Asked", "EngagementClient", "PullStoppedError", "Retry", "Traffic"]

log = logging.getLogger(__name__)

# Halving 250 ids down to one takes 16 requests; a refusal with many culprits is not narrowed down
# for ever.
_MOST_REFUSALS: Final = 40

_TOO_MANY: Final = HTTPStatus.TOO_MANY_REQUESTS


class PullStoppedError(EngagementError):
    """The pull was stopped from outside while this request waited for its turn."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How long a passing fault is borne with.

    :param attempts: tries of one request, at most. With half of all answers faulty, eight leave
        one request in 256 unanswered.
    :param first_wait: seconds before the second try; doubled each time, and jittered.
    :param longest_wait: seconds between two tries, at most.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 30.0


@dataclass(slots=True)
class Asked:
    """What became of the Tweets of one planned request.

    :param answers: the answers that came; more than one where a refusal was narrowed down.
    :param forbidden: ids of somebody else's Tweets.
    :param unavailable: ids that are gone or protected.
    :param unanswered: ids refused together with others, and not told apart in time.
    """

    answers: list[EngagementResponse] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)
    unavailable: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Traffic:
    """What a client has sent so far, answered or not.

    :param sent: requests sent, retries included.
    :param throttled: how many of them the service refused for their rate.
    :param retried: how many of them were tries after the first.
    """

    sent: int = 0
    throttled: int = 0
    retried: int = 0


class EngagementClient:
    """A connection's conversation with the service. Threads may share it.

    Its ``traffic`` tells what it has sent.

    :param settings: the connection.
    :param on_secret: told of every secret that is received, before it is used.
    :param retry: how long a passing fault is borne with.
    :param rate_state_directory: where the machine's slot books lie; None for the usual place.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_secret: Callable[[Secret], None] | None = None,
        retry: Retry | None = None,
        rate_state_directory: Path | None = None,
    ) -> None:
        self.settings = settings
        self.traffic = Traffic()
        self._counting = threading.Lock()
        self._on_secret = on_secret or (lambda _: None)
        self._retry = retry or Retry()
        self._rate_state_directory = rate_state_directory
        self._host = checked_url(settings.host, name="host")
        self._session = new_session(settings.max_concurrency)
        self._auth: dict[Access, AuthBase] = {}
        self._rate_limiters: dict[EndpointName, RateLimiter] = {}
        self._redact = settings.redactor()
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._session.close()

    def stop(self) -> None:
        """Let every request that waits for its turn or its retry give up."""
        self._stopped.set()

    def prepare(self, endpoint: EndpointName, access: Access) -> None:
        """Get ready to ask: read or exchange the credentials, and join the app's pace.

        :raises AuthenticationError: if the credentials for it are missing or not accepted.
        """
        if access not in self._auth:
            self._auth[access] = self._make_auth(access)
        if endpoint not in self._rate_limiters:
            self._rate_limiters[endpoint] = self._make_rate_limiter(endpoint)

    def reported_limit(self, endpoint: EndpointName) -> float | None:
        """Give the requests per minute that the service told last; None if it never did.

        :param endpoint: one that is prepared.
        """
        return self._rate_limiters[endpoint].reported_limit()

    def _make_auth(self, access: Access) -> AuthBase:
        credentials = self.settings.credentials
        if access is Access.OWNER:
            return owner_auth(credentials)
        token = credentials.bearer_token
        if token is None:
            token = exchange(self.settings, self._session)
            self._redact = Redactor((*credentials.secrets(), token))
            self._on_secret(token)
        return BearerAuth(token)

    def _make_rate_limiter(self, endpoint: EndpointName) -> RateLimiter:
        credentials = self.settings.credentials
        app = credentials.consumer_key or credentials.bearer_token
        key = "\n".join((self._host, app.reveal() if app else "", endpoint))
        return RateLimiter(
            SharedRateState(key, self._rate_state_directory),
            requests_per_minute=self.settings.requests_per_minute.get(endpoint),
            max_concurrency=self.settings.max_concurrency,
            wait=self._wait,
        )

    def ask(
        self,
        query: Query,
        request: PlannedRequest,
        *,
        take: Callable[[EngagementResponse, tuple[str, ...]], object] | None = None,
    ) -> Asked:
        """Send a planned request, without the Tweets that sink it, until the rest is answered.

        With the owner's tokens one foreign or protected Tweet makes the service refuse a whole
        request. Those it names are taken out; where it names none, the request is halved until
        the culprit is found, within bounds.

        :param query: what is asked.
        :param request: of which Tweets; its access must be prepared.
        :param take: takes each answer as it comes, with the ids that it was asked for, instead
            of their being gathered. If it raises InvalidResponseError, the answer is asked for
            again.
        :raises EngagementError: if it stays unanswered.
        """
        asked = Asked()
        take = take or (lambda answer, _: asked.answers.append(answer))
        waiting = [request.tweet_ids]
        refusals = 0
        while waiting:
            ids = waiting.pop()
            try:
                answer = self._send(query, request, ids, take)
            except TweetsRefusedError as refusal:
                refusals += 1
                if refusals > _MOST_REFUSALS:
                    asked.unanswered.update(ids, *waiting)
                    break
                waiting += _after_refusal(ids, refusal, asked)
            else:
                asked.unavailable |= answer.unavailable.intersection(ids)
                asked.forbidden |= answer.forbidden.intersection(ids)
        return asked

    def _send(
        self,
        query: Query,
        request: PlannedRequest,
        tweet_ids: tuple[str, ...],
        take: Callable[[EngagementResponse, tuple[str, ...]], object],
    ) -> EngagementResponse:
        body = query.body(tweet_ids, request.engagement_types)
        if request.window is not None:
            body |= request.window.body()
        for attempt in self._attempts():
            with attempt:
                with self._counting:
                    self.traffic.sent += 1
                    self.traffic.retried += attempt.retry_state.attempt_number > 1
                try:
                    answer = self._exchange(query, request.access, body)
                except RateLimitError:
                    with self._counting:
                        self.traffic.throttled += 1
                    raise
                take(answer, tweet_ids)
                return answer
        raise AssertionError  # tenacity returns or raises

    def _exchange(
        self, query: Query, access: Access, body: dict[str, object]
    ) -> EngagementResponse:
        pace = self._rate_limiters[query.endpoint.name]
        with pace.turn():
            reply = post(
                self._session,
                self._host + query.endpoint.path,
                body,
                auth=self._auth[access],
                timeout=self.settings.timeout,
            )
            retry_at = pace.record_response(reply.status, reply.headers)
        with _noted(retry_at):
            return read_response(
                reply,
                grouping_names=[grouping.name for grouping in query.groupings],
                redact=self._redact,
            )

    def _attempts(self) -> tenacity.Retrying:
        backoff = tenacity.wait_random_exponential(
            multiplier=self._retry.first_wait, max=self._retry.longest_wait
        )

        def wait(state: tenacity.RetryCallState) -> float:
            # After a 429 the pace itself holds everybody back, and may say so with no status: no
            # need to wait twice. It has not heard of a refusal in other words.
            failure = _failure(state)
            paced = isinstance(failure, RateLimitError) and failure.status in {None, _TOO_MANY}
            return 0.0 if paced else float(backoff(state))

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, EngagementError) and error.retryable
            ),
            wait=wait,
            stop=tenacity.stop_after_attempt(self._retry.attempts),
            sleep=self._wait,
            before_sleep=_log_retry,
            reraise=True,
        )

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            msg = "The pull was stopped."
            raise PullStoppedError(msg)


def _after_refusal(
    ids: tuple[str, ...], refusal: TweetsRefusedError, asked: Asked
) -> list[tuple[str, ...]]:
    """Tell what is still to be asked of a refused batch."""
    forbidden = refusal.forbidden.intersection(ids)
    unavailable = refusal.unavailable.intersection(ids)
    if not forbidden and not unavailable:
        if len(ids) == 1:
            asked.forbidden.update(ids)
            return []
        middle = len(ids) // 2
        return [ids[:middle], ids[middle:]]
    asked.forbidden |= forbidden
    asked.unavailable |= unavailable
    rest = tuple(item for item in ids if item not in forbidden and item not in unavailable)
    return [rest] if rest else []


@contextmanager
def _noted(retry_at: float | None) -> Iterator[None]:
    try:
        yield
    except RateLimitError as error:
        error.retry_at = retry_at
        raise


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _log_retry(state: tenacity.RetryCallState) -> None:
    failure: Any = _failure(state)
    log.warning("Try %d failed, trying again: %s", state.attempt_number, failure)
