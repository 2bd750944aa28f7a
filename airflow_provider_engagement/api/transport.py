"""One HTTP exchange with the service: a signed POST, and a bounded, decompressed reply."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, ReadTimeoutError, SSLError

from airflow_provider_engagement import __version__
from airflow_provider_engagement.api.deadline import DeadlineAdapter, request_deadline
from airflow_provider_engagement.api.errors import InvalidResponseError, ServiceError
from airflow_provider_engagement.api.settings import is_this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from requests.auth import AuthBase

__all__ = [
    "MAX_RESPONSE_BYTES",
    "Reply",
    "exchange",
    "new_session",
    "post",
    "proxy_requires_password",
]

# The largest legal response, 25 Tweets x 17 types x 672 hours, is about 5 MB decompressed. A
# response made to do harm may take 30 times its size in memory once it is parsed.
MAX_RESPONSE_BYTES: Final = 16 * 2**20

_TOO_LONG: Final = "it took too long"
_CHUNK: Final = 2**16
_GZIP: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP response, decompressed.

    :param status: its status.
    :param headers: its headers, names in lower case.
    :param body: its body.
    :param received_at: when its last byte arrived, UTC.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - requests' own
        """Return no target. Even without following it, requests would read the whole body."""
        return

    def merge_environment_settings(self, url: Any, *args: Any, **kwargs: Any) -> Any:
        """Never send a request to this machine through a proxy: it carries credentials."""
        settings = super().merge_environment_settings(url, *args, **kwargs)
        if is_this_machine(urlsplit(str(url)).hostname):
            settings["proxies"] = {}
        return settings


def new_session(connections: int) -> requests.Session:
    """Return a session that several threads may share. It keeps connections and no cookies.

    :param connections: how many requests may be in flight at once.
    """
    session = _Session()
    adapter = DeadlineAdapter(pool_connections=2, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # The service answers 406 to a client that does not accept gzip.
    session.headers.update(
        {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"airflow-provider-engagement/{__version__}",
        }
    )
    return session


def post(
    session: requests.Session,
    url: str,
    body: Mapping[str, object],
    *,
    auth: AuthBase,
    timeout: float,
    max_bytes: int = MAX_RESPONSE_BYTES,
) -> Reply:
    """Send a JSON body and read the reply, whatever its status.

    :param session: from :func:`new_session`.
    :param url: where to.
    :param body: the JSON object.
    :param auth: signs the request.
    :param timeout: seconds until the whole reply must be there.
    :param max_bytes: how large the reply may be, decompressed.
    :raises ServiceError: if no complete reply arrives in time.
    :raises InvalidResponseError: if the reply is too large.
    """
    return exchange(
        session,
        url,
        data=json.dumps(body, separators=(",", ":")).encode(),
        headers={"Content-Type": "application/json"},
        auth=auth,
        timeout=timeout,
        max_bytes=max_bytes,
    )


def exchange(
    session: requests.Session, url: str, *, timeout: float, max_bytes: int, **request: Any
) -> Reply:
    """Send one POST and read the reply, whatever its status.

    :param session: from :func:`new_session`.
    :param url: where to.
    :param timeout: seconds until the whole reply must be there.
    :param max_bytes: how large the reply may be, decompressed.
    :param request: what requests takes: ``data``, ``headers``, ``auth``.
    :raises ServiceError: if no complete reply arrives in time.
    :raises InvalidResponseError: if the reply is too large.
    """
    with request_deadline(timeout) as deadline:
        try:
            with session.post(
                url, timeout=timeout, allow_redirects=False, stream=True, **request
            ) as response:
                content = _read_body(response, max_bytes=max_bytes)
                if deadline.is_over:
                    raise requests.Timeout  # a body without a length looks complete when cut
                return Reply(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=content,
                    received_at=datetime.now(UTC),
                )
        except requests.RequestException as caught:
            # Its text holds the URL and may hold more, and its frames hold the signed header.
            # Neither may reach a log, so the error is raised outside of this block.
            error = _service_error(caught, is_late=deadline.is_over)
    raise error


def _service_error(error: requests.RequestException, *, is_late: bool) -> ServiceError:
    text = str(error)
    if not is_late and "407" in text and isinstance(error, requests.exceptions.ProxyError):
        return proxy_requires_password()
    if not is_late and "CERTIFICATE_VERIFY_FAILED" in text:
        return ServiceError(
            "The TLS certificate is not trusted by this machine.",
            advice="If a proxy of your company signs it, set REQUESTS_CA_BUNDLE to a file with "
            "the company's root certificate.",
            retryable=False,
        )
    fault = _TOO_LONG if is_late else _fault(error)
    return ServiceError(
        f"No complete response arrived: {fault}.",
        advice="The request can be sent again: it only reads.",
    )


def proxy_requires_password(status: int | None = None) -> ServiceError:
    """Return the error for a proxy that does not connect without credentials.

    :param status: the HTTP status, if the proxy answered with one.
    """
    return ServiceError(
        "The proxy requires a user name and password.",
        status=status,
        advice="Set them in HTTPS_PROXY, as in http://user:password@proxy:3128.",
        retryable=False,
    )


def _fault(error: requests.RequestException) -> str:
    """Describe a fault. The first class that matches counts."""
    if isinstance(error, requests.ConnectionError) and _is_unknown_host(error):
        return "the host name is unknown"
    faults: tuple[tuple[type[Exception], str], ...] = (
        (requests.Timeout, _TOO_LONG),
        (requests.exceptions.ProxyError, "the proxy did not connect"),
        (requests.exceptions.SSLError, "the TLS connection failed"),
        (requests.exceptions.ContentDecodingError, "its compression is broken"),
        (requests.exceptions.ChunkedEncodingError, "the connection broke in the middle of it"),
        (requests.ConnectionError, "the connection failed"),
    )
    return next((text for kind, text in faults if isinstance(error, kind)), type(error).__name__)


def _is_unknown_host(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NameResolutionError)


def _read_body(response: requests.Response, *, max_bytes: int) -> bytes:
    """Read a body to its end, decompressed.

    :param max_bytes: how large it may be, compressed and decompressed.
    :raises requests.RequestException: if it does not arrive completely.
    :raises InvalidResponseError: if it is too large, or its encoding is not gzip.
    """
    compressed = _bounded(_raw(response), max_bytes)
    return b"".join(_bounded(_decompressed(response, compressed), max_bytes))


def _bounded(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            msg = f"The response is larger than {max_bytes} bytes, which no legal response is."
            raise InvalidResponseError(msg)
        yield chunk


def _raw(response: requests.Response) -> Iterator[bytes]:
    """Yield the body as it arrives."""
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=False):
            yield chunk
    except ReadTimeoutError:
        raise requests.Timeout from None
    except SSLError:
        raise requests.exceptions.SSLError from None
    except HTTPError:
        raise requests.exceptions.ChunkedEncodingError from None


def _decompressed(response: requests.Response, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress a body as its header says.

    urllib3 decompresses as long as no output results, which a body made for that can prolong
    without an end.
    """
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding in {"", "identity"}:
        yield from chunks
    elif coding in {"gzip", "x-gzip"}:
        yield from _gunzipped(chunks)
    else:
        msg = "The response is compressed in another way than gzip, which was requested."
        raise InvalidResponseError(msg, status=response.status_code)


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress one gzip stream after another, in chunks of a bounded size."""
    inflater = None
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                if inflater is None or inflater.eof:
                    inflater = zlib.decompressobj(_GZIP)
                yield inflater.decompress(rest, _CHUNK)
                rest = inflater.unconsumed_tail or inflater.unused_data
        if inflater is not None:
            yield inflater.flush()
    except zlib.error:
        raise requests.exceptions.ContentDecodingError from None
    if inflater is not None and not inflater.eof:
        raise requests.exceptions.ContentDecodingError
