"""One HTTP exchange: with requests-mock, or with a raw server where bytes on the wire matter."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from raw_server import http_response, raw_server
from requests.auth import HTTPBasicAuth
from urllib3.contrib.socks import SOCKSHTTPSConnection

from airflow_provider_engagement.api.deadline import DeadlineAdapter
from airflow_provider_engagement.api.errors import (
    EngagementError,
    InvalidResponseError,
    ServiceError,
)
from airflow_provider_engagement.api.transport import new_session, post

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

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


# ---- Proxies and certificates ----------------------------------------------------------------


def test_loopback_requests_never_go_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    assert post_to_raw_server([http_response(b"direct")]).body == b"direct"


def test_requests_to_other_hosts_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server([http_response(b"from the proxy")]) as url:
        monkeypatch.setenv("http_proxy", url)
        assert post_to("http://data-api.invalid/").body == b"from the proxy"


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])
def test_socks_proxies_have_deadlines_too(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"{scheme}://127.0.0.1:9")
    with pytest.raises(ServiceError, match="the connection failed") as caught:
        post_to("http://data-api.invalid/")
    assert_can_be_sent_again(caught.value)
    manager = DeadlineAdapter().proxy_manager_for(f"{scheme}://127.0.0.1:9")
    pool = manager.connection_from_url("https://data-api.x.com")
    assert issubclass(pool.ConnectionCls, SOCKSHTTPSConnection)
    assert "_WithDeadline" in {kind.__name__ for kind in pool.ConnectionCls.__mro__}


def test_proxy_that_requires_a_password_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with raw_server([refusal]) as url:
        monkeypatch.setenv("https_proxy", url)
        with pytest.raises(ServiceError, match=r"user name and password\. .*HTTPS_PROXY") as caught:
            post_to("https://data-api.invalid/")
    assert not caught.value.retryable
    assert "planted" not in str(caught.value)


def test_untrusted_certificate_fails_at_once(untrusted_server: str) -> None:
    with pytest.raises(ServiceError, match=r"not trusted.*REQUESTS_CA_BUNDLE") as caught:
        post_to(untrusted_server)
    assert not caught.value.retryable


@pytest.fixture
def untrusted_server(tmp_path: Path) -> Iterator[str]:
    """Serve TLS with a certificate that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "both.pem").write_bytes(plain + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError), listening.accept()[0] as connection:
            context.wrap_socket(connection, server_side=True)

    thread = threading.Thread(target=accept)
    thread.start()
    yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    thread.join()
    listening.close()
