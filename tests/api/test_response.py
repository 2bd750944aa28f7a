from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidResponseError,
    PermissionDeniedError,
    RateLimitError,
    RequestRejectedError,
    ServiceError,
    TweetsRefusedError,
)
from airflow_provider_engagement.api.refusal import refusal
from airflow_provider_engagement.api.response import read_response
from airflow_provider_engagement.api.settings import Redactor, Secret
from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.api.transport import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from airflow_provider_engagement.api.response import EngagementResponse

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
COUNTS = {"20": {"favorites": "1"}}
HTML = b"<!DOCTYPE html><html><body>We are having a moment</body></html>"


def read_or_refuse(
    reply: Reply, names: Collection[str], redact: Callable[[str], str]
) -> EngagementResponse:
    """Do with a reply what the client does."""
    response = read_response(reply, grouping_names=names)
    if response is None:
        raise refusal(reply, redact=redact)
    return response


def read(status: int, body: object, *, names: tuple[str, ...] = ("total",)) -> EngagementResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = Reply(status=status, headers={}, body=raw, received_at=NOW)
    return read_or_refuse(reply, names, str)


def refused(status: int, body: object) -> EngagementError:
    with pytest.raises(EngagementError) as caught:
        read(status, body)
    return caught.value


def errors(*entries: object, **beside: object) -> dict[str, object]:
    return {"errors": list(entries), **beside}


FORBIDDEN = "Forbidden to access tweets: 20"


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        # Throttled, by its status or by its words.
        (429, b"", RateLimitError, "for its rate"),
        (429, HTML, RateLimitError, "for its rate"),
        (400, errors("You are over the Rate Limit"), RateLimitError, "for its rate"),
        # The service's own failures.
        (500, errors("internal server error"), ServiceError, "internal server error"),
        (502, b"Proxy Error", ServiceError, "HTTP 502"),
        (503, HTML, ServiceError, "HTTP 503"),
        (504, b"", ServiceError, "HTTP 504"),
        # Some Tweets sink the request.
        (403, errors(FORBIDDEN), TweetsRefusedError, "because of some of its Tweets"),
        (400, errors("2 Tweet ID(s) are unavailable"), TweetsRefusedError, "some of its Tweets"),
        (200, errors("2 Tweet ID(s) are unavailable"), TweetsRefusedError, "some of its Tweets"),
        # Who asks.
        (
            401,
            errors("Your account could not be authenticated. Reason: Access token not found"),
            AuthenticationError,
            "Access token not found",
        ),
        (401, b"", AuthenticationError, "did not accept the credentials"),
        (
            400,
            errors("Your account could not be authenticated."),
            AuthenticationError,
            "credentials",
        ),
        (
            401,
            errors("your application id is not authorized."),
            PermissionDeniedError,
            "not enabled for the Engagement API",
        ),
        (
            403,
            errors("Forbidden to access metrics: retweets"),
            PermissionDeniedError,
            "metrics: retweets",
        ),
        (403, errors(), PermissionDeniedError, "refused access"),
        # What a proxy or firewall answers may pass.
        (403, HTML, ServiceError, "an HTML page, so it is not the Engagement API's"),
        (401, HTML, ServiceError, "an HTML page"),
        (404, b"", ServiceError, "not a JSON object"),
        (418, b"", ServiceError, "HTTP 418"),
        # What was asked.
        (
            400,
            errors("The request body is not a JSON object."),
            RequestRejectedError,
            "not a JSON object",
        ),
        (
            404,
            errors({"message": "Sorry, no", "code": 34}),
            RequestRejectedError,
            "no such endpoint",
        ),
        (302, b"", RequestRejectedError, "redirects are not followed"),
        (406, errors("This request requires gzip compression."), ServiceError, "Accept-Encoding"),
        # A 200 that is no answer.
        (200, HTML, InvalidResponseError, "an HTML page"),
        (200, b"", InvalidResponseError, "not a JSON object, of 0 bytes"),
        (200, b'{"total": {"20"', InvalidResponseError, "not a JSON object"),
        (200, b"[]", InvalidResponseError, "not a JSON object"),
        (200, b'"total"', InvalidResponseError, "not a JSON object"),
        (200, b"\xff\xfe\x00", InvalidResponseError, "not a JSON object"),
        (200, b'{"total":' + b"[" * 100_000, InvalidResponseError, "not a JSON object"),
        (200, b'{"total": ' + b"9" * 10_000 + b"}", InvalidResponseError, "not a JSON object"),
        (200, {}, InvalidResponseError, "none of the groupings"),
        (200, {"another": COUNTS}, InvalidResponseError, "none of the groupings"),
        (200, errors("Something new"), InvalidResponseError, "Something new"),
    ],
)
def test_each_refusal_or_fault_has_its_error(
    status: int, body: object, kind: type[EngagementError], says: str
) -> None:
    error = refused(status, body)
    assert type(error) is kind
    assert says in str(error)
    assert error.status == status


@pytest.mark.parametrize(
    ("entries", "forbidden"),
    [
        (["Forbidden to access tweets: 1054424731825229824"], {"1054424731825229824"}),
        (
            [
                "Forbidden to access tweets for author id 18435372: 20, 21",
                "Forbidden to access tweets for author id 99: 640026211712786432",
            ],
            {"20", "21", "640026211712786432"},
        ),
        ([{"message": "Forbidden to access tweets: 20,21"}], {"20", "21"}),
        (["Forbidden to access tweets: of author 18435372: 20, 21"], {"20", "21"}),
        (["Forbidden to access tweets"], set()),
        (["Forbidden to access tweets: 20, twenty, -1, 12345678901234567890, "], {"20"}),
    ],
)
def test_both_wordings_of_forbidden_name_the_ids_and_not_their_author(
    entries: list[object], forbidden: set[str]
) -> None:
    error = refused(403, errors(*entries))
    assert isinstance(error, TweetsRefusedError)
    assert error.forbidden == forbidden
    assert error.unavailable == set()


def test_refusal_names_the_unavailable_ids() -> None:
    words = "3 Tweet ID(s) are unavailable"
    error = refused(400, errors(words, unavailable_tweet_ids=["20", 21, "x", None, 2.5, "21"]))
    assert isinstance(error, TweetsRefusedError)
    assert error.unavailable == {"20", "21"}


def test_partial_response_is_read() -> None:
    answer = read(
        200,
        errors(
            "1 Tweet ID(s) are unavailable",
            unavailable_tweet_ids=["21"],
            total=COUNTS,
            start="2026-11-20T17:00:00Z",
            end="2026-11-21T21:00:00Z",
        ),
    )
    assert answer.groupings == {"total": COUNTS}
    assert answer.unavailable == {"21"}
    assert answer.received_at == NOW


def test_response_without_counts_is_read_if_every_tweet_is_unavailable() -> None:
    answer = read(200, {"unavailable_tweet_ids": ["20"]})
    assert (answer.groupings, answer.unavailable) == ({}, {"20"})


def test_response_holds_only_the_requested_groupings() -> None:
    answer = read(200, {"total": COUNTS, "another": {}}, names=("total", "third"))
    assert [*answer.groupings] == ["total"]


@pytest.mark.parametrize(
    ("key", "types"),
    [
        ("unsupported_for_video_views_tweet_ids", {"video_views"}),
        ("unsupported_for_impressions_engagements_tweet_ids", {"impressions", "engagements"}),
        ("unsupported_for_media_engagements_tweet_ids", {"media_engagements", "engagements"}),
        ("unsupported_for_something_new_tweet_ids", set(ENGAGEMENT_TYPES)),
    ],
)
def test_unsupported_types_are_read_from_the_key(key: str, types: set[str]) -> None:
    answer = read(200, {"total": COUNTS, key: ["20", 21]})
    assert answer.unsupported.keys() == {"20", "21"}
    assert answer.unsupported["20"] >= types
    assert types == set(ENGAGEMENT_TYPES) or answer.unsupported["20"] == types


def test_an_id_may_be_unsupported_for_several_reasons() -> None:
    answer = read(
        200,
        {
            "total": COUNTS,
            "unsupported_for_video_views_tweet_ids": ["20"],
            "unsupported_for_impressions_engagements_tweet_ids": ["20"],
            "unsupported_for_video_views": ["22"],
        },
    )
    assert answer.unsupported == {"20": {"video_views", "impressions", "engagements"}}


def test_words_of_the_service_are_redacted_shortened_and_printable() -> None:
    secret = Secret("a+secret/value=")
    entries: list[Any] = ["said a+secret/value= and a%2Bsecret%2Fvalue%3D\x1b[31m\n"]
    entries += ["x" * 10_000] * 10
    reply = Reply(400, {}, json.dumps({"errors": entries}).encode(), NOW)
    with pytest.raises(RequestRejectedError) as caught:
        read_or_refuse(reply, ["total"], Redactor([secret]))
    assert caught.value.words[0] == "said *** and *** [31m "
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("entries", [None, "text", 7, {"message": "x"}, [None, 7, [], {"a": 1}]])
def test_errors_of_an_unknown_shape_are_ignored(entries: object) -> None:
    assert refused(400, {"errors": entries}).words == ()


def test_large_response_is_read() -> None:
    counts = {str(number): {"favorites": "1"} for number in range(200_000)}
    assert len(read(200, {"total": counts}).groupings["total"]) == 200_000
