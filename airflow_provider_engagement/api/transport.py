"""One HTTP exchange with the service: a signed POST out, a bounded, inflated reply back."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    NameResolutionError,
    ReadTimeoutError,
    SSLError,
)

from airflow_provider_engagement import __version__
from airflow_provider_engagement.api.answer import Reply
from airflow_provider_engagement.api.errors import AnswerError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from requests.auth import AuthBase

__all__ = ["MAX_ANSWER_BYTES", "new_session", "post"]

# The largest legal answer, 25 Tweets x 17 types x 672 hours, is about 5 MB inflated.
MAX_ANSWER_BYTES: Final = 64 * 2**20

_CHUNK: Final = 2**16


def new_session(connections: int) -> requests.Session:
    """Make a session that several threads may share: it keeps connections and no cookies.

    :param connections: how many requests may be in flight at once.
    """
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections)
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
    :raises AnswerError: if it is too large.
    """
    deadline = time.monotonic() + timeout
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
            content = _read(response, deadline=deadline, max_bytes=max_bytes)
            return Reply(
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=content,
                received_at=datetime.now(UTC),
            )
    except requests.RequestException as error:
        # Its text holds the URL and may hold more, and its frames hold the signed header: neither
        # is to reach a log.
        fault = _fault(error)
    msg = f"No whole answer came: {fault}."
    raise ServiceError(msg, advice="The request can be sent again: it only reads.")


def _fault(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "it took too long"
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


def _read(response: requests.Response, *, deadline: float, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    for chunk in _as_it_comes(response):
        size += len(chunk)
        if size > max_bytes:
            msg = f"The answer is larger than {max_bytes} bytes, which no legal answer is."
            raise AnswerError(msg, status=response.status_code)
        if time.monotonic() > deadline:
            raise requests.Timeout
        chunks.append(chunk)
    return b"".join(chunks)


def _as_it_comes(response: requests.Response) -> Iterator[bytes]:
    """Give the inflated body in whatever pieces arrive, so that a trickle is noticed.

    ``iter_content`` waits until a piece is full; but for that, this is the same.
    """
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            yield chunk
    except ReadTimeoutError:
        raise requests.Timeout from None
    except DecodeError:
        raise requests.exceptions.ContentDecodingError from None
    except SSLError:
        raise requests.exceptions.SSLError from None
    except HTTPError:
        raise requests.exceptions.ChunkedEncodingError from None
