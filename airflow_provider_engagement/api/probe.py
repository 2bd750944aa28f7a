"""Tests what a connection's credentials can report, with a few cheap requests.

A connection knows no Tweet of its owner, and none is needed. Each request asks about the very
first Tweet, 20. Accepted credentials get a response about that Tweet: the app gets its counts, and
the owner's tokens get "Forbidden to access tweets" or that it is unavailable. Credentials that are
not accepted are refused before that. So any response about the Tweet proves the credentials.

The owner's tokens cost one request to each endpoint, and app-only access costs one more. If the
tokens are refused, the key and secret are exchanged for a bearer token, which shows whether the
key and secret or the tokens are wrong.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_engagement.api.client import EngagementClient, PullStoppedError, RetryPolicy
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidResponseError,
    RateLimitError,
    ServiceError,
    TweetsRefusedError,
)
from airflow_provider_engagement.api.query import PlannedRequest, build_query
from airflow_provider_engagement.api.settings import Credentials
from airflow_provider_engagement.api.spec import PUBLIC_TYPES, Access, EndpointName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_engagement.api.settings import Secret, Settings

__all__ = ["AccessReport", "probe"]

_FIRST_TWEET: Final = "20"
_TYPES: Final = ("favorites",)

# A person waits for the result: seconds for one request, and about so many for all together.
_MAX_REQUEST_SECONDS: Final = 10.0
_MAX_SECONDS: Final = 30.0
_RETRY: Final = RetryPolicy(budget=2.0, first_wait=0.2, max_wait=1.0)


@dataclass(slots=True)
class AccessReport:
    """What the credentials can report.

    :param owner: the endpoints that accept the owner's tokens.
    :param public: whether app-only access is accepted.
    :param limits: the requests per minute that the service reported, by endpoint.
    :param warnings: what cannot be reached although the rest can, and settings that do not fit.
    """

    owner: list[EndpointName] = field(default_factory=list)
    public: bool = False
    limits: dict[EndpointName, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join((*self._access(), self._limits(), *self.warnings))

    def _access(self) -> Iterator[str]:
        if self.owner:
            yield f"Private counts of the owner's Tweets: {', '.join(self.owner)}."
        else:
            yield "No private counts: the connection has no access_token."
        if self.public:
            yield f"Public counts of any Tweet: totals ({', '.join(PUBLIC_TYPES)})."

    def _limits(self) -> str:
        if not self.limits:
            return "The service reported no rate limit."
        limits = ", ".join(f"{name} {limit:g}" for name, limit in self.limits.items())
        return f"Requests per minute, as the service reports them: {limits}."


def probe(
    settings: Settings,
    *,
    on_secret: Callable[[Secret], None] | None = None,
    rate_state_directory: Path | None = None,
) -> AccessReport:
    """Test what a connection can report.

    :param settings: the connection.
    :param on_secret: called with every secret that is received, before it is used.
    :param rate_state_directory: where the machine's shared rate state lies; None for the default.
    :raises AuthenticationError: if key, secret or tokens are wrong. The message says which.
    :raises EngagementError: if the app is not enabled, or the service cannot be reached.
    """
    settings = replace(settings, timeout=min(settings.timeout, _MAX_REQUEST_SECONDS))
    credentials, report = settings.credentials, AccessReport()

    def prober(credentials: Credentials) -> _Prober:
        return _Prober(
            EngagementClient(
                replace(settings, credentials=credentials),
                on_secret=on_secret,
                retry=_RETRY,
                rate_state_directory=rate_state_directory,
            )
        )

    with prober(credentials) as whole:
        if credentials.has_owner:
            try:
                _as_owner(whole, report)
            except AuthenticationError as refused:
                app = Credentials(credentials.consumer_key, credentials.consumer_secret)
                with prober(app) as app_only:
                    raise _what_is_wrong(app_only, refused) from None
        _as_app(whole, report)
    report.warnings += _limit_warnings(settings, report)
    return report


class _Prober:
    """Tests one set of credentials, within a time limit.

    :param client: the client to test with; it is closed at the end.
    """

    def __init__(self, client: EngagementClient) -> None:
        self.settings = client.settings
        self._client = client
        self._alarm = threading.Timer(_MAX_SECONDS, client.stop)
        self._alarm.daemon = True

    def __enter__(self) -> Self:
        self._alarm.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        with self._client:
            pass

    def prepare(self, endpoint: EndpointName, access: Access) -> None:
        """Prepare access: exchange key and secret if it needs a bearer token and there is none.

        :raises EngagementError: if that fails.
        """
        try:
            self._client.prepare(endpoint, access)
        except AuthenticationError as error:
            raise AuthenticationError(
                "The API key or the API secret is wrong.",
                status=error.status,
                advice="Correct login (API key) and password (API secret).",
            ) from None

    def check_access(self, endpoint: EndpointName, access: Access, report: AccessReport) -> None:
        """Request the first Tweet. Any response about it means that the access is accepted.

        :raises EngagementError: if it is not.
        """
        self.prepare(endpoint, access)
        query = build_query(endpoint, has_owner=True, engagement_types=_TYPES)
        request = PlannedRequest((_FIRST_TWEET,), _TYPES, access)
        try:
            for attempt in self._client.attempts():
                with attempt, suppress(TweetsRefusedError):
                    self._client.send(query, request)
        except PullStoppedError:
            raise RateLimitError(
                f"No request got its turn within {_MAX_SECONDS:.0f} s.",
                advice="Other tasks use the app's rate, or the service fails. Test again later.",
            ) from None
        except (InvalidResponseError, ServiceError) as error:
            raise _not_found(self.settings.host, error) from None
        limit = self._client.reported_limit(endpoint)
        if limit is not None:
            report.limits[endpoint] = limit


def _as_owner(prober: _Prober, report: AccessReport) -> None:
    """Test every endpoint with the owner's tokens. A contract may not include the later ones."""
    for endpoint in EndpointName:
        try:
            prober.check_access(endpoint, Access.OWNER, report)
        except EngagementError as error:
            if not report.owner:
                raise
            report.warnings.append(f"But not from {endpoint}: {error}")
        else:
            report.owner.append(endpoint)


def _as_app(prober: _Prober, report: AccessReport) -> None:
    """Test app-only access. An owner does not need it, but a wrong bearer token is an error."""
    try:
        prober.check_access(EndpointName.TOTALS, Access.PUBLIC, report)
    except EngagementError as error:
        stored = prober.settings.credentials.bearer_token is not None
        if stored and isinstance(error, AuthenticationError):
            raise _wrong_bearer(error) from None
        if not report.owner:
            raise
        report.warnings.append(f"But no public counts of foreign Tweets: {error}")
    else:
        report.public = True


def _wrong_bearer(error: AuthenticationError) -> AuthenticationError:
    return AuthenticationError(
        "The bearer token is wrong.",
        status=error.status,
        words=error.words,
        advice="Correct bearer_token, or clear it: key and secret are then exchanged for one.",
    )


def _what_is_wrong(app_only: _Prober, refused: AuthenticationError) -> AuthenticationError:
    """Return which of the credentials are wrong. A valid key and secret can be exchanged.

    The service's words do not tell: only those for an unknown token are documented.
    """
    try:
        app_only.prepare(EndpointName.TOTALS, Access.PUBLIC)
    except AuthenticationError as wrong:
        return wrong
    except EngagementError as error:
        message = "The API key, its secret, or the owner's tokens are wrong."
        advice = f"The token endpoint could not be asked which of them. {error}"
    else:
        message = "The API key and secret are right, the owner's tokens are not."
        advice = (
            "Correct access_token and access_token_secret. If they were valid before, the owner "
            "has revoked the app, or this machine's clock is minutes off."
        )
    return AuthenticationError(message, status=refused.status, words=refused.words, advice=advice)


def _not_found(host: str, error: InvalidResponseError | ServiceError) -> EngagementError:
    """Name the host if the Engagement API did not answer there."""
    if isinstance(error, ServiceError) and (error.status is not None or not error.retryable):
        return error
    return ServiceError(
        f"The Engagement API was not found at {host}.",
        status=error.status,
        advice=f"{error.message} Check host (Base URL), and the network and proxy of the machine "
        "that runs the test.",
    )


def _limit_warnings(settings: Settings, report: AccessReport) -> Iterator[str]:
    for name, reported in report.limits.items():
        configured = settings.requests_per_minute.get(name)
        if configured is not None and configured > reported:
            yield f"But requests_per_minute is set to {configured:g} for {name}, which is more."
