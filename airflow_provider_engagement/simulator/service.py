"""The service without its sockets: a function from a request to a reply."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.spec import ENDPOINTS, Endpoint
from airflow_provider_engagement.simulator import error_responses, request_validation
from airflow_provider_engagement.simulator.auth import Authenticator, Caller
from airflow_provider_engagement.simulator.error_responses import INVENTED_HEADER, ErrorResponse
from airflow_provider_engagement.simulator.pin_flow import PIN_FLOW_PATHS, PinFlow
from airflow_provider_engagement.simulator.request_log import Received, RequestLog
from airflow_provider_engagement.simulator.responses import respond

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

It is not the service: its Tweets, counts and credentials are invented.
It checks signatures and tokens, and enforces the documented limits.

POST /insights/engagement/totals
POST /insights/engagement/28hr
POST /insights/engagement/historical
POST /oauth2/token
POST /oauth/request_token
GET  /oauth/authorize
POST /oauth/access_token
GET  /_simulator/stats
"""

_WEB_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Just a moment</title></head>"
    b"<body><h1>We are having a moment</h1><p>Please try again.</p></body></html>"
)

_FAULT_RESPONSES: Final = {
    "429": error_responses.RATE_LIMITED,
    "500": error_responses.INTERNAL_ERROR,
    "502": error_responses.BAD_GATEWAY,
    "503": error_responses.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A complete HTTP request.

    :param method: its HTTP method.
    :param target: the path and query as sent.
    :param headers: its headers, names in lower case.
    :param body: its body.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def uri(self) -> str:
        """The URI as the client signed it."""
        return f"http://{self.headers.get('host', '')}{self.target}"

    @property
    def takes_gzip(self) -> bool:
        """Whether the client accepts gzip."""
        for coding in self.headers.get("accept-encoding", "").lower().split(","):
            name, _, weight = coding.partition(";")
            if name.strip() == "gzip":
                return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
        return False


@dataclass(slots=True)
class Reply:
    """The response to send.

    :param status: the HTTP status; 0 to send nothing.
    :param body: the body, compressed if the client accepts that.
    :param headers: the headers except length and date.
    :param fault: the fault to simulate while sending, or None.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    fault: FaultKind | None = None


@dataclass(slots=True)
class _RequestState:
    """What is known of a request so far, for the request log."""

    endpoint: str
    caller: Caller | None = None
    fault: FaultKind | None = None
    ids: int = 0
    allowance: Allowance | None = None


class Service:
    """Answers requests.

    :param world: the Tweets and their counts.
    :param throttle: the contract's limits.
    :param faults: the simulated faults; can be replaced at any time.
    :param app_enabled: whether X has enabled the app for this API. If not, every request is
        refused, even with valid keys and tokens.
    :param require_gzip: whether to refuse requests that do not accept gzip, as the service does.
    :param sends_reset: whether to send ``x-per-minute-reset``. One client has seen it, but X does
        not document it, so clients cannot rely on it.
    :param keep: how many requests the log holds.
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
        self.request_log = RequestLog(keep)
        self._throttle = throttle
        self._app_enabled = app_enabled
        self._require_gzip = require_gzip
        self._sends_reset = sends_reset
        tokens = [world.user_token(account) for account in world.accounts]
        self._authenticator = Authenticator(world.app, tokens)
        self._pin_flow = PinFlow(world, self._authenticator)
        self._numbers = itertools.count()

    def handle(self, request: Request) -> Reply:
        """Answer one request, and add it to the log."""
        if request.method == "GET" and request.path == "/":
            return Reply(200, _PAGE.encode(), {"content-type": "text/plain; charset=utf-8"})
        if request.method == "GET" and request.path == _STATS_PATH:
            return self._json(200, self.request_log.stats(), request)
        if PIN_FLOW_PATHS.get(request.path) == request.method:
            return self._pin_flow_reply(request)
        received_at = time.time()
        endpoint = _BY_PATH.get(request.path)
        state = _RequestState(endpoint.name.value if endpoint else request.path)
        try:
            reply = self._json(200, self._answer(request, endpoint, state), request)
        except ErrorResponse as error:
            reply = self.error_reply(error, request)
        reply.headers.update(self._allowance_headers(state.allowance))
        _apply_fault(reply, state.fault)
        caller = state.caller
        self.request_log.add(
            Received(
                endpoint=state.endpoint,
                status=reply.status,
                access=caller.access.value if caller else None,
                account=caller.account if caller else None,
                fault=state.fault,
                headers=dict(request.headers),
                raw=request.body,
                at=received_at,
            ),
            state.ids,
        )
        return reply

    def _pin_flow_reply(self, request: Request) -> Reply:
        authorization = request.headers.get("authorization")
        try:
            text = self._pin_flow.answer(request.path, request.uri, authorization)
        except ErrorResponse as error:
            return self.error_reply(error, request)
        return Reply(200, text.encode(), {"content-type": "text/html; charset=utf-8"})

    def error_reply(self, error: ErrorResponse, request: Request) -> Reply:
        """Return an error response as a reply."""
        reply = self._json(error.status, error.body, request)
        if error.invented:
            reply.headers[INVENTED_HEADER] = "true"
        return reply

    def _answer(
        self, request: Request, endpoint: Endpoint | None, state: _RequestState
    ) -> dict[str, Any]:
        if request.method == "POST" and request.path == _TOKEN_PATH:
            state.endpoint = "token"
            authorization = request.headers.get("authorization")
            bearer = self._authenticator.exchange(authorization, request.body)
            return {"token_type": "bearer", "access_token": bearer}
        if request.method != "POST" or endpoint is None:
            raise error_responses.NO_SUCH_PAGE.error()
        if self._require_gzip and not request.takes_gzip:
            raise error_responses.NO_GZIP.error()
        state.caller = self._authenticator.authenticate(
            request.method, request.uri, request.headers.get("authorization")
        )
        if not self._app_enabled:
            raise error_responses.APP_NOT_ENABLED.error()
        state.allowance = self._throttle.count(endpoint.name)
        if state.allowance and not state.allowance.granted:
            raise error_responses.RATE_LIMITED.error()
        state.fault = self.faults.pick(next(self._numbers))
        if state.fault in _FAULT_RESPONSES:
            raise _FAULT_RESPONSES[state.fault].error()
        _check_content_type(request)
        valid = request_validation.parse_request(endpoint, request.body, self.world.now())
        state.ids = len(valid.tweet_ids)
        return respond(self.world, state.caller, valid)

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
            # No mtime, so that equal responses have equal bytes.
            raw = gzip.compress(raw, compresslevel=1, mtime=0)
        return Reply(status, raw, headers)


def _check_content_type(request: Request) -> None:
    # Two documented samples have no Content-Type, so only a wrong one is refused.
    given = request.headers.get("content-type")
    if given is not None and given.partition(";")[0].strip().lower() != "application/json":
        raise error_responses.NOT_JSON_TYPE.error(given=given)


def _apply_fault(reply: Reply, fault: FaultKind | None) -> None:
    """Apply a fault to the status and body; the server applies those of the connection."""
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
        # The compression stays valid, so that parsing the JSON fails.
        part = whole[: len(whole) * 2 // 3]
        reply.status = 200
        reply.body = gzip.compress(part, compresslevel=1, mtime=0) if zipped else part
