"""The service without its sockets: one request in, one reply out."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.spec import ENDPOINTS, Endpoint
from airflow_provider_engagement.simulator import error_responses, request_validation
from airflow_provider_engagement.simulator.auth import Asker, Gatekeeper
from airflow_provider_engagement.simulator.error_responses import INVENTED_HEADER, Refused
from airflow_provider_engagement.simulator.request_log import Received, Records
from airflow_provider_engagement.simulator.responses import answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_engagement.simulator.faults import FaultKind, Faults
    from airflow_provider_engagement.simulator.throttle import Allowance, Throttle
    from airflow_provider_engagement.simulator.world import World

__all__ = ["Reply", "Request", "Service"]

_BY_PATH: Final = {endpoint.path: endpoint for endpoint in ENDPOINTS.values()}
_TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
_STATS_PATH: Final = "/_simulator/stats"

_PAGE: Final = """\
engagement-simulator: a local stand-in for the X Enterprise Engagement API.

It is not the service: its Tweets and counts are made up, its credentials are worthless.
It checks signatures and tokens, and enforces the documented limits.

POST /insights/engagement/totals
POST /insights/engagement/28hr
POST /insights/engagement/historical
POST /oauth2/token
GET  /_simulator/stats
"""

_WEB_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Just a moment</title></head>"
    b"<body><h1>We are having a moment</h1><p>Please try again.</p></body></html>"
)

_FAILURES: Final = {
    "429": error_responses.RATE_LIMITED,
    "500": error_responses.INTERNAL_ERROR,
    "502": error_responses.BAD_GATEWAY,
    "503": error_responses.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request, read whole.

    :param method: its HTTP method.
    :param target: path and query, as sent.
    :param headers: its headers, names in lower case.
    :param body: its body.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path, without a query."""
        return self.target.partition("?")[0]

    @property
    def uri(self) -> str:
        """The whole URI, as the client signed it."""
        return f"http://{self.headers.get('host', '')}{self.target}"

    @property
    def takes_gzip(self) -> bool:
        """Whether the answer may be compressed."""
        for coding in self.headers.get("accept-encoding", "").lower().split(","):
            name, _, weight = coding.partition(";")
            if name.strip() == "gzip":
                return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
        return False


@dataclass(slots=True)
class Reply:
    """What to send back.

    :param status: the HTTP status; 0 to send nothing.
    :param body: the body, compressed where it is to be.
    :param headers: the headers, but for length and date.
    :param fault: the fault to act out while sending, if any.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    fault: FaultKind | None = None


@dataclass(slots=True)
class _Progress:
    """What is known of a request so far, for the record of it."""

    endpoint: str
    asker: Asker | None = None
    fault: FaultKind | None = None
    ids: int = 0
    allowance: Allowance | None = None


class Service:
    """Answers requests.

    :param world: what there is to know.
    :param throttle: the contract's limits.
    :param faults: what goes wrong; may be replaced at any time.
    :param app_enabled: whether X has enabled the app for this API. If not, good keys and tokens
        are of no use.
    :param require_gzip: whether a request that takes no gzip is refused, as the service does.
    :param sends_reset: whether ``x-per-minute-reset`` is sent. One client has seen it, X's own
        documentation does not name it: a client must do without.
    :param keep: how many requests to keep for a look.
    """

    def __init__(
        self,
        world: World,
        throttle: Throttle,
        faults: Faults,
        *,
        app_enabled: bool = True,
        require_gzip: bool = True,
        sends_reset: bool = True,
        keep: int = 10_000,
    ) -> None:
        self.world = world
        self.faults = faults
        self.records = Records(keep)
        self._throttle = throttle
        self._app_enabled = app_enabled
        self._require_gzip = require_gzip
        self._sends_reset = sends_reset
        tokens = [world.user_token(account) for account in world.accounts]
        self._gate = Gatekeeper(world.app, tokens)
        self._numbers = itertools.count()

    def handle(self, request: Request) -> Reply:
        """Answer one request, and note it."""
        if request.method == "GET" and request.path == "/":
            return Reply(200, _PAGE.encode(), {"content-type": "text/plain; charset=utf-8"})
        if request.method == "GET" and request.path == _STATS_PATH:
            return self._json(200, self.records.stats(), request)
        came = time.time()
        endpoint = _BY_PATH.get(request.path)
        progress = _Progress(endpoint.name.value if endpoint else request.path)
        try:
            reply = self._json(200, self._answer(request, endpoint, progress), request)
        except Refused as refused:
            reply = self.refuse(refused, request)
        reply.headers.update(self._allowance_headers(progress.allowance))
        _break(reply, progress.fault)
        asker = progress.asker
        self.records.add(
            Received(
                endpoint=progress.endpoint,
                status=reply.status,
                access=asker.access.value if asker else None,
                account=asker.account if asker else None,
                fault=progress.fault,
                headers=dict(request.headers),
                raw=request.body,
                at=came,
            ),
            progress.ids,
        )
        return reply

    def refuse(self, refused: Refused, request: Request) -> Reply:
        """Put a refusal into a reply."""
        reply = self._json(refused.status, refused.body, request)
        if refused.invented:
            reply.headers[INVENTED_HEADER] = "true"
        return reply

    def _answer(
        self, request: Request, endpoint: Endpoint | None, progress: _Progress
    ) -> dict[str, Any]:
        if request.method == "POST" and request.path == _TOKEN_PATH:
            progress.endpoint = "token"
            bearer = self._gate.exchange(request.headers.get("authorization"), request.body)
            return {"token_type": "bearer", "access_token": bearer}
        if request.method != "POST" or endpoint is None:
            raise error_responses.NO_SUCH_PAGE.refuse()
        if self._require_gzip and not request.takes_gzip:
            raise error_responses.NO_GZIP.refuse()
        progress.asker = self._gate.check(
            request.method, request.uri, request.headers.get("authorization")
        )
        if not self._app_enabled:
            raise error_responses.APP_NOT_ENABLED.refuse()
        progress.allowance = self._throttle.ask(endpoint.name)
        if progress.allowance and not progress.allowance.granted:
            raise error_responses.RATE_LIMITED.refuse()
        progress.fault = self.faults.pick(next(self._numbers))
        if progress.fault in _FAILURES:
            raise _FAILURES[progress.fault].refuse()
        _check_content_type(request)
        what = request_validation.read(endpoint, request.body, self.world.now())
        progress.ids = len(what.tweet_ids)
        return answer(self.world, progress.asker, what)

    def _allowance_headers(self, allowance: Allowance | None) -> dict[str, str]:
        if allowance is None:
            return {}
        headers = {
            "x-per-minute-limit": str(allowance.limit),
            "x-per-minute-remaining": str(allowance.remaining),
        }
        if self._sends_reset:
            headers["x-per-minute-reset"] = str(allowance.resets_at)
        return headers

    @staticmethod
    def _json(status: int, body: dict[str, Any], request: Request) -> Reply:
        raw = json.dumps(body, separators=(",", ":")).encode()
        headers = {"content-type": "application/json; charset=utf-8"}
        if request.takes_gzip:
            headers["content-encoding"] = "gzip"
            # Fast rather than small: the way is short. No time in it: equal answers are equal.
            raw = gzip.compress(raw, compresslevel=1, mtime=0)
        return Reply(status, raw, headers)


def _check_content_type(request: Request) -> None:
    # Two documented samples have none, so only a wrong one is refused.
    given = request.headers.get("content-type")
    if given is not None and given.partition(";")[0].strip().lower() != "application/json":
        raise error_responses.NOT_JSON_TYPE.refuse(given=given)


def _break(reply: Reply, fault: FaultKind | None) -> None:
    """Make a reply faulty, as far as that is not a matter of sending it."""
    reply.fault = fault
    if fault == "hang":
        reply.status = 0
    elif fault == "html":
        reply.status = 200
        reply.body = _WEB_PAGE
        reply.headers["content-type"] = "text/html; charset=utf-8"
        reply.headers.pop("content-encoding", None)
    elif fault == "malformed":
        zipped = "content-encoding" in reply.headers
        whole = gzip.decompress(reply.body) if zipped else reply.body
        # The compression is sound, so that it is the JSON which fails to be read.
        part = whole[: len(whole) * 2 // 3]
        reply.status = 200
        reply.body = gzip.compress(part, compresslevel=1, mtime=0) if zipped else part
