"""What a connection's credentials can reach, found out with a few cheap requests.

A connection knows no Tweet of its owner's, and none is needed: the very first Tweet, 20, is asked
for. Whoever is let in gets an answer about that Tweet. The app gets its counts; an owner's tokens
get "Forbidden to access tweets", since it is somebody else's, or that it is unavailable. Whoever
is not let in is refused for that, and never hears of the Tweet. So any answer about it proves the
credentials, whatever it says.

With the owner's tokens that is one request to each endpoint, and one more for app-only access.
Refused tokens cost an exchange of the key and secret, which tells what is wrong: the key and
secret, or the tokens.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_engagement.api.client import EngagementClient, PullStoppedError, Retry
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidResponseError,
    RateLimitError,
    ServiceError,
)
from airflow_provider_engagement.api.plan import PlannedRequest
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.settings import Credentials
from airflow_provider_engagement.api.spec import PUBLIC_TYPES, Access, EndpointName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_engagement.api.secret import Secret
    from airflow_provider_engagement.api.settings import Settings

__all__ = ["AccessReport", "probe"]

_FIRST_TWEET: Final = "20"
_ASKED: Final = ("favorites",)

# Somebody is watching a button: one request may take so many seconds, and all together about so
# many.
_LONGEST_REQUEST: Final = 10.0
_LONGEST: Final = 30.0
_RETRY: Final = Retry(attempts=3, first_wait=0.2, longest_wait=1.0)


@dataclass(slots=True)
class AccessReport:
    """What the credentials can reach.

    :param owner: the endpoints that let the owner's tokens in.
    :param public: whether app-only access is given.
    :param limits: the requests per minute that the service told, by endpoint.
    :param warnings: what cannot be reached though the rest can, and settings that do not fit.
    """

    owner: list[EndpointName] = field(default_factory=list)
    public: bool = False
    limits: dict[EndpointName, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join((*self._access(), self._told(), *self.warnings))

    def _access(self) -> Iterator[str]:
        if self.owner:
            yield f"Private counts of the owner's Tweets: {', '.join(self.owner)}."
        else:
            yield "No private counts: there is no access_token."
        if self.public:
            yield f"Public counts of any Tweet: totals ({', '.join(PUBLIC_TYPES)})."

    def _told(self) -> str:
        if not self.limits:
            return "The service told no limit of requests."
        limits = ", ".join(f"{name} {limit:g}" for name, limit in self.limits.items())
        return f"Requests a minute, as the service says: {limits}."


def probe(
    settings: Settings,
    *,
    on_secret: Callable[[Secret], None] | None = None,
    rate_state_directory: Path | None = None,
) -> AccessReport:
    """Find out what a connection can reach.

    :param settings: the connection.
    :param on_secret: told of every secret that is received, before it is used.
    :param rate_state_directory: where the machine's slot books lie; None for the usual place.
    :raises AuthenticationError: if key, secret or tokens are wrong; it says which.
    :raises EngagementError: if the app is not enabled, nobody answers, or what else is wrong.
    """
    settings = replace(settings, timeout=min(settings.timeout, _LONGEST_REQUEST))
    credentials, reach = settings.credentials, AccessReport()

    def prober(credentials: Credentials) -> _Prober:
        return _Prober(
            EngagementClient(
                replace(settings, credentials=credentials),
                on_secret=on_secret,
                retry=_RETRY,
                rate_state_directory=rate_state_directory,
            )
        )

    with prober(credentials) as everyone:
        if credentials.has_owner:
            try:
                _as_owner(everyone, reach)
            except AuthenticationError as refused:
                app = Credentials(credentials.consumer_key, credentials.consumer_secret)
                with prober(app) as the_app:
                    raise _what_is_wrong(the_app, refused) from None
        _as_app(everyone, reach)
    reach.warnings += _unfit(settings, reach)
    return reach


class _Prober:
    """Knocks at the service's doors with one set of credentials, and not for ever.

    :param client: what it asks with; it is closed in the end.
    """

    def __init__(self, client: EngagementClient) -> None:
        self.settings = client.settings
        self._client = client
        self._alarm = threading.Timer(_LONGEST, client.stop)
        self._alarm.daemon = True

    def __enter__(self) -> Self:
        self._alarm.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        with self._client:
            pass

    def prepare(self, endpoint: EndpointName, access: Access) -> None:
        """Get ready: key and secret are exchanged where a bearer token is needed and not there.

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

    def check_access(self, endpoint: EndpointName, access: Access, reach: AccessReport) -> None:
        """Ask for the first Tweet; whatever is said of it means that we are let in.

        :raises EngagementError: if we are not.
        """
        self.prepare(endpoint, access)
        query = build_query(endpoint, has_owner=True, engagement_types=list(_ASKED))
        try:
            self._client.ask(query, PlannedRequest((_FIRST_TWEET,), _ASKED, access))
        except PullStoppedError:
            raise RateLimitError(
                f"No request got its turn within {_LONGEST:.0f} s.",
                advice="Other tasks, or faults of the service, hold it up: test again later.",
            ) from None
        except (InvalidResponseError, ServiceError) as error:
            raise _nobody_there(self.settings.host, error) from None
        limit = self._client.reported_limit(endpoint)
        if limit is not None:
            reach.limits[endpoint] = limit


def _as_owner(prober: _Prober, reach: AccessReport) -> None:
    """Try every endpoint with the owner's tokens; a contract may well lack the later ones."""
    for endpoint in EndpointName:
        try:
            prober.check_access(endpoint, Access.OWNER, reach)
        except EngagementError as error:
            if not reach.owner:
                raise
            reach.warnings.append(f"But not from {endpoint}: {error}")
        else:
            reach.owner.append(endpoint)


def _as_app(prober: _Prober, reach: AccessReport) -> None:
    """Try app-only access. An owner can do without it, but not with a wrong bearer token."""
    try:
        prober.check_access(EndpointName.TOTALS, Access.PUBLIC, reach)
    except EngagementError as error:
        stored = prober.settings.credentials.bearer_token is not None
        if stored and isinstance(error, AuthenticationError):
            raise _wrong_bearer(error) from None
        if not reach.owner:
            raise
        reach.warnings.append(f"But no public counts of others' Tweets: {error}")
    else:
        reach.public = True


def _wrong_bearer(error: AuthenticationError) -> AuthenticationError:
    return AuthenticationError(
        "The bearer token is wrong.",
        status=error.status,
        words=error.words,
        advice="Correct bearer_token, or clear it: key and secret are then exchanged for one.",
    )


def _what_is_wrong(the_app: _Prober, refused: AuthenticationError) -> AuthenticationError:
    """Tell which of the credentials are wrong: a good key and secret can be exchanged.

    The service's words are no help: only those for an unknown token are known.
    """
    try:
        the_app.prepare(EndpointName.TOTALS, Access.PUBLIC)
    except AuthenticationError as wrong:
        return wrong
    except EngagementError as error:
        message = "The API key, its secret, or the owner's tokens are wrong."
        advice = f"Which of them, the token endpoint could tell. {error}"
    else:
        message = "The API key and secret are right, the owner's tokens are not."
        advice = (
            "Correct access_token and access_token_secret; if they were good before, the owner "
            "has revoked the app. A clock of this machine that is minutes off does it too."
        )
    return AuthenticationError(message, status=refused.status, words=refused.words, advice=advice)


def _nobody_there(host: str, error: InvalidResponseError | ServiceError) -> EngagementError:
    """Say where nobody answered, or somebody else did; a failing service speaks for itself."""
    if isinstance(error, ServiceError) and error.status is not None:
        return error
    return ServiceError(
        f"The Engagement API was not found at {host}.",
        status=error.status,
        advice=f"{error.message} Check host (Base URL), and the network and proxy of the machine "
        "that runs the test.",
    )


def _unfit(settings: Settings, reach: AccessReport) -> Iterator[str]:
    for name, told in reach.limits.items():
        wanted = settings.requests_per_minute.get(name)
        if wanted is not None and wanted > told:
            yield f"But requests_per_minute is set to {wanted:g} for {name}, which is more."
