"""What comes over the wire, from a server that says just what it is told to."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
import requests
from requests.auth import HTTPBasicAuth

from airflow_provider_engagement.api.errors import (
    EngagementError,
    InvalidResponseError,
    ServiceError,
)
from airflow_provider_engagement.api.transport import new_session, post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_engagement.api.response import Reply

ZIPPED = gzip.compress(b'{"a": 1}', mtime=0)
BOMB = gzip.compress(b"0" * 5_000_000, mtime=0)


def said(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def serve(pieces: Iterator[bytes]) -> tuple[str, threading.Thread]:
    """Answer one request with these bytes, and hang up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listening, listening.accept()[0] as connection:
            connection.recv(65536)
            try:
                for piece in pieces:
                    connection.sendall(piece)
            except OSError:
                return  # the client has had enough

    thread = threading.Thread(target=answer)
    thread.start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/", thread


def ask(*pieces: bytes, timeout: float = 10, max_bytes: int = 1_000_000) -> Reply:
    return ask_all(iter(pieces), timeout=timeout, max_bytes=max_bytes)


def ask_all(pieces: Iterator[bytes], *, timeout: float, max_bytes: int) -> Reply:
    url, thread = serve(pieces)
    try:
        with new_session(1) as session:
            auth = HTTPBasicAuth("user", "planted+secret/=")
            return post(session, url, {}, auth=auth, timeout=timeout, max_bytes=max_bytes)
    finally:
        thread.join()


def test_a_body_is_inflated_by_what_its_header_says() -> None:
    assert ask(said(b"plain")).body == b"plain"
    assert ask(said(ZIPPED, "Content-Encoding: gzip")).body == b'{"a": 1}'
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert ask(chunked).body == b"abc"


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((said(b"half", length=100),), "broke in the middle"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab",), "broke in the middle"),
        ((said(b"no gzip at all", "Content-Encoding: gzip"),), "its compression is broken"),
        ((b"",), "connection failed"),
        ((b"nonsense\r\n\r\n",), "connection failed"),
    ],
)
def test_a_torn_answer_can_be_asked_for_again(pieces: tuple[bytes, ...], words: str) -> None:
    with pytest.raises(ServiceError, match=words) as caught:
        ask(*pieces)
    assert caught.value.retryable
    assert "planted" not in str(caught.value)
    assert caught.value.__context__ is None or not isinstance(
        caught.value.__context__, requests.RequestException
    )


def test_a_gzip_bomb_is_not_inflated_to_its_end() -> None:
    with pytest.raises(InvalidResponseError, match="larger than 1000000 bytes"):
        ask(said(BOMB, "Content-Encoding: gzip"))


def test_a_trickle_ends_with_the_timeout() -> None:
    enough = threading.Event()

    def trickle() -> Iterator[bytes]:
        yield said(b"", length=1_000_000)
        while not enough.wait(0.02):
            yield b" "

    began = time.monotonic()
    timer = threading.Timer(30, enough.set)  # so that a failure ends too
    timer.start()
    try:
        with pytest.raises(EngagementError, match="it took too long"):
            ask_all(trickle(), timeout=0.3, max_bytes=1_000_000)
    finally:
        enough.set()
        timer.cancel()
    assert time.monotonic() - began < 30
