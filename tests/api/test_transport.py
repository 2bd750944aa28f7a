"""One HTTP exchange: with requests-mock, or with a raw server where bytes on the wire matter."""

from __future__ import annotations

import gzip
import threading
import time
from typing import TYPE_CHECKING

import pytest
import requests
from raw_server import http_response, raw_server
from requests.auth import HTTPBasicAuth

from airflow_provider_engagement.api.errors import (
    EngagementError,
    InvalidResponseError,
    ServiceError,
)
from airflow_provider_engagement.api.transport import new_session, post

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from requests_mock import Mocker

    from airflow_provider_engagement.api.transport import Reply

URL = "https://data-api.x.com/insights/engagement/totals"
GZIP = {"Content-Encoding": "gzip"}
ZIPPED = gzip.compress(b'{"a": 1}', mtime=0)
BOMB = gzip.compress(b"0" * 5_000_000, mtime=0)


def post_to(url: str, *, timeout: float = 10) -> Reply:
    with new_session(1) as session:
        auth = HTTPBasicAuth("user", "planted+secret/=")
        return post(session, url, {}, auth=auth, timeout=timeout, max_bytes=1_000_000)


def post_to_raw_server(chunks: Iterable[bytes], *, timeout: float = 10) -> Reply:
    with raw_server(chunks) as url:
        return post_to(url, timeout=timeout)


def assert_can_be_sent_again(error: ServiceError) -> None:
    assert error.retryable
    assert "planted" not in str(error)
    assert error.__context__ is None or not isinstance(error.__context__, requests.RequestException)


@pytest.mark.parametrize(
    ("content", "headers", "body"),
    [(b"plain", {}, b"plain"), (ZIPPED, GZIP, b'{"a": 1}')],
)
def test_body_is_inflated_as_its_header_says(
    requests_mock: Mocker, content: bytes, headers: dict[str, str], body: bytes
) -> None:
    requests_mock.post(URL, content=content, headers=headers)
    assert post_to(URL).body == body


def test_chunked_body_is_joined() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert post_to_raw_server([chunked]).body == b"abc"


def test_body_with_broken_compression_can_be_requested_again(requests_mock: Mocker) -> None:
    requests_mock.post(URL, content=b"no gzip at all", headers=GZIP)
    with pytest.raises(ServiceError, match="its compression is broken") as caught:
        post_to(URL)
    assert_can_be_sent_again(caught.value)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (http_response(b"half", length=100), "broke in the middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab", "broke in the middle"),
        (b"", "connection failed"),
        (b"nonsense\r\n\r\n", "connection failed"),
    ],
)
def test_incomplete_response_can_be_requested_again(sent: bytes, words: str) -> None:
    with pytest.raises(ServiceError, match=words) as caught:
        post_to_raw_server([sent])
    assert_can_be_sent_again(caught.value)


def test_gzip_bomb_is_not_inflated_to_its_end(requests_mock: Mocker) -> None:
    requests_mock.post(URL, content=BOMB, headers=GZIP)
    with pytest.raises(InvalidResponseError, match="larger than 1000000 bytes"):
        post_to(URL)


def test_slow_body_ends_with_the_timeout() -> None:
    enough = threading.Event()

    def trickle() -> Iterator[bytes]:
        yield http_response(b"", length=1_000_000)
        while not enough.wait(0.02):
            yield b" "

    began = time.monotonic()
    timer = threading.Timer(30, enough.set)  # so that a failing test ends too
    timer.start()
    try:
        with pytest.raises(EngagementError, match="it took too long"):
            post_to_raw_server(trickle(), timeout=0.3)
    finally:
        enough.set()
        timer.cancel()
    assert time.monotonic() - began < 30
