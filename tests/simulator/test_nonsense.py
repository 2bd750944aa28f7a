"""Whatever comes in, the service answers; it never falls over."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_engagement.api.spec import ENDPOINTS, GROUP_BY_ORDER
from airflow_provider_engagement.simulator import Faults, World
from airflow_provider_engagement.simulator.service import Request, Service
from airflow_provider_engagement.simulator.throttle import Throttle

WORLD = World(now=datetime(2026, 3, 10, 12, 34, 56, tzinfo=UTC), foreign_share=0.2)
SERVICE = Service(WORLD, Throttle(None), Faults(), require_gzip=False)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
levels = st.lists(st.sampled_from(GROUP_BY_ORDER), max_size=5)
nearly_right = st.fixed_dictionaries(
    {
        "tweet_ids": st.lists(st.integers(0, 2**64).map(str) | st.just("20"), max_size=4),
        "engagement_types": st.lists(
            st.sampled_from(["favorites", "impressions", "url_clicks"]) | anything, max_size=4
        ),
        "groupings": st.dictionaries(
            st.text(max_size=9), st.fixed_dictionaries({"group_by": levels}), max_size=4
        ),
    },
    optional={
        name: st.dates().map(str) | st.datetimes().map(lambda m: f"{m:%Y-%m-%dT%H:%M:%SZ}")
        for name in ("start", "end")
    },
)
endpoints = st.sampled_from([endpoint.path for endpoint in ENDPOINTS.values()])


def ask(path: str, authorization: str, body: bytes, host: str = "127.0.0.1:80") -> tuple[int, Any]:
    headers = {"accept-encoding": "identity, gzip;q=0", "authorization": authorization}
    reply = SERVICE.handle(Request("POST", path, {**headers, "host": host}, body))
    return reply.status, json.loads(reply.body)


@settings(max_examples=300)
@given(endpoints, anything | nearly_right)
def test_any_body_is_answered(path: str, body: object) -> None:
    status, answer = ask(path, f"Bearer {WORLD.app.bearer}", json.dumps(body).encode())
    assert status in {200, 400, 403}
    assert status == 200 or answer["errors"]


@settings(max_examples=200)
@given(
    st.sampled_from(["OAuth ", "oauth", "Bearer ", "Basic ", ""]),
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=9),
)
def test_any_header_is_answered(scheme: str, rest: str, host: str) -> None:
    totals = "/insights/engagement/totals"
    assert ask(totals, scheme + rest, b"{}", host)[0] in {400, 401}
    assert ask(f"{totals}?{host}", scheme + rest, b"{}")[0] in {400, 401}
    assert ask("/oauth2/token", scheme + rest, rest.encode("latin-1"))[0] == 403


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=9))
def test_any_host_and_query_can_be_signed(odd: str) -> None:
    # The signature is never right, but everything before it is.
    names = ("consumer_key", "nonce", "signature", "signature_method", "timestamp")
    values = (WORLD.app.key, "n", "s", "HMAC-SHA1", "1")
    pairs = zip(names, values, strict=True)
    header = "OAuth " + ", ".join(f'oauth_{name}="{value}"' for name, value in pairs)
    for path, host in (
        ("/insights/engagement/totals", odd),
        (f"/insights/engagement/totals?{odd}", "h"),
    ):
        assert ask(path, header, b"{}", host)[0] == 401
