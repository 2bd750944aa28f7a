"""One HTTP exchange with the service: a signed POST out, a bounded, inflated reply back."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, ReadTimeoutError, SSLError

from airflow_provider_engagement import __version__
from airflow_provider_engagement.api.deadline import DeadlineAdapter, request_deadline
from airflow_provider_engagement.api.errors import InvalidResponseError, ServiceError
from airflow_provider_engagement.api.response import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from requests.auth import AuthBase

__all__ = ["MAX_ANSWER_BYTES", "new_session", "post", "read_body"]

# The largest legal answer, 25 Tweets x 17 types x 672 hours, is about 5 MB inflated. Parsed, an
# answer may take 30 times the memory, if it is made for that.
MAX_ANSWER_BYTES: Final = 16 * 2**20

_TOO_LONG: Final = "it took too long"
_CHUNK: Final = 2**16
_GZIP: Final = 16 + zlib.MAX_WBITS


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - requests' own
        """Lead nowhere: even where it is not to follow, requests would read the whole body."""
        return


def new_session(connections: int) -> requests.Session:
    """Make a session that several threads may share: it keeps connections and no cookies.

    :param connections: how many requests may be in flight at once.
    """
    session = _Session()
    adapter = DeadlineAdapter(pool_connections=2, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # The service answers 406 to whoever does not take gzip, and to nothing else.
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
    max_bytes: int = MAX_ANSWER_BYTES,
) -> Reply:
    """Send one request and read its reply, whatever its status.

    :param timeout: seconds until the whole reply must be there.
    :param max_bytes: how large it may grow, inflated.
    :raises ServiceError: if it did not come, or not whole, in time.
    :raises InvalidResponseError: if it is too large.
    """
    with request_deadline(timeout) as watch:
        try:
            with session.post(
                url,
                data=json.dumps(body, separators=(",", ":")).encode(),
                headers={"Content-Type": "application/json"},
                auth=auth,
                timeout=timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                content = read_body(response, max_bytes=max_bytes)
                if watch.is_up:
                    raise requests.Timeout  # a body without a length looks whole when cut
                return Reply(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=content,
                    received_at=datetime.now(UTC),
                )
        except requests.RequestException as error:
            # Its text holds the URL and may hold more, and its frames hold the signed header:
            # neither is to reach a log.
            fault = _TOO_LONG if watch.is_up else _fault(error)
    msg = f"No whole answer came: {fault}."
    raise ServiceError(msg, advice="The request can be sent again: it only reads.")


def _fault(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return _TOO_LONG
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS connection failed"
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return "its compression is broken"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke in the middle of it"
    if isinstance(error, requests.ConnectionError) and _is_nameless(error):
        return "no host of that name is known"
    if isinstance(error, requests.ConnectionError):
        return "the connection failed"
    return type(error).__name__


def _is_nameless(error: requests.ConnectionError) -> bool:
    """Tell whether the host's name could not be looked up."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NameResolutionError)


def read_body(response: requests.Response, *, max_bytes: int) -> bytes:
    """Read a body to its end, inflated.

    :param response: the response, of which nothing has been read.
    :param max_bytes: how large it may be, on the wire and inflated.
    :raises requests.RequestException: if it does not come, or not whole.
    :raises InvalidResponseError: if it is too large, or compressed in a way that was not asked for.
    """
    return b"".join(_bounded(_inflated(response, _bounded(_raw(response), max_bytes)), max_bytes))


def _bounded(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            msg = f"The answer is larger than {most} bytes, which no legal answer is."
            raise InvalidResponseError(msg)
        yield chunk


def _raw(response: requests.Response) -> Iterator[bytes]:
    """Give the body as it is sent, in whatever pieces arrive."""
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=False):
            yield chunk
    except ReadTimeoutError:
        raise requests.Timeout from None
    except SSLError:
        raise requests.exceptions.SSLError from None
    except HTTPError:
        raise requests.exceptions.ChunkedEncodingError from None


def _inflated(response: requests.Response, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Inflate a body as its header says.

    Not by urllib3, which inflates as long as nothing comes of it: for ever, if that is how the
    body was made.
    """
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding in {"", "identity"}:
        yield from chunks
    elif coding in {"gzip", "x-gzip"}:
        yield from _gunzipped(chunks)
    else:
        msg = "The answer is compressed in another way than the one that was asked for, gzip."
        raise InvalidResponseError(msg, status=response.status_code)


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Inflate one gzip stream after another, in pieces of a bounded size."""
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
