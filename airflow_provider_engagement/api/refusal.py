"""What a reply means that is not a response with counts."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

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
from airflow_provider_engagement.api.response import (
    error_texts,
    forbidden_ids,
    ids_in,
    kind_of,
    read_document,
)
from airflow_provider_engagement.api.transport import proxy_requires_password

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_engagement.api.transport import Reply

__all__ = ["refusal"]

_FORBIDDEN: Final = "forbidden to access tweets"
_UNAVAILABLE: Final = "tweet id(s) are unavailable"
_MAX_WORDS: Final = 5
_MAX_WORD_LENGTH: Final = 300
_SUCCESS: Final = 2  # the hundreds of a status
_REDIRECTION: Final = 3


def refusal(reply: Reply, *, redact: Callable[[str], str]) -> EngagementError:
    """Return the error that a reply without counts means.

    :param reply: the reply.
    :param redact: removes secrets from the service's words.
    """
    document = read_document(reply)
    errors = error_texts(document)
    words = _shown(errors, redact)
    status, said = reply.status, " ".join(errors).lower()
    if status == HTTPStatus.TOO_MANY_REQUESTS or "rate limit" in said:
        return RateLimitError("The service refused a request for its rate.", status=status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return ServiceError("The service failed.", status=status, words=words)
    if _FORBIDDEN in said or _UNAVAILABLE in said:
        return _tweets_refused(reply, document, errors, words)
    if status // 100 == _SUCCESS:
        return InvalidResponseError(
            "The response has none of the groupings of the request.", status=status, words=words
        )
    return _refusal_of_the_app(reply, said, words) or _other_refusal(reply, document, words)


def _shown(errors: tuple[str, ...], redact: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(
        "".join(c if c.isprintable() else " " for c in redact(text)[:_MAX_WORD_LENGTH])
        for text in errors[:_MAX_WORDS]
    )


def _refusal_of_the_app(reply: Reply, said: str, words: tuple[str, ...]) -> EngagementError | None:
    """Return what the service says of the credentials; None if it says nothing of them."""
    if "application id is not authorized" in said:
        return PermissionDeniedError(
            "The app is not enabled for the Engagement API.",
            status=reply.status,
            words=words,
            advice="Ask X's account manager to enable the app's id.",
        )
    if "could not be authenticated" in said or (
        reply.status == HTTPStatus.UNAUTHORIZED and not _is_a_page(reply.body)
    ):
        return AuthenticationError(
            "The service did not accept the credentials.",
            status=reply.status,
            words=words,
            advice="Check the connection's keys and tokens, and this machine's clock; "
            "the owner may have revoked the app.",
        )
    return None


def _is_a_page(body: bytes) -> bool:
    """Return whether a body is neither empty nor a JSON object: not the API's own."""
    if not body.strip():
        return False
    try:
        return not isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return True


def _other_refusal(
    reply: Reply, document: Mapping[str, Any] | None, words: tuple[str, ...]
) -> EngagementError:
    status = reply.status
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return proxy_requires_password(status)
    if status // 100 == _REDIRECTION:
        return RequestRejectedError(
            "The host redirects to another address, and redirects are not followed.",
            status=status,
            words=words,
            advice="Check the connection's host.",
        )
    if status == HTTPStatus.NOT_ACCEPTABLE:
        return ServiceError(
            "The service requires gzip, and did not see that we accept it.",
            status=status,
            words=words,
            advice="A proxy may remove the Accept-Encoding header.",
        )
    if document is None:
        # A proxy, a firewall or the front door answers in its own words, and not for long.
        return ServiceError(
            f"The reply is {kind_of(reply.body)}, so it is not the Engagement API's.",
            status=status,
            advice="A proxy or firewall may have answered. Check the connection's host.",
        )
    if status == HTTPStatus.FORBIDDEN:
        return PermissionDeniedError("The service refused access.", status=status, words=words)
    if status == HTTPStatus.NOT_FOUND:
        return RequestRejectedError(
            "The host has no such endpoint.",
            status=status,
            words=words,
            advice="Check the connection's host.",
        )
    return RequestRejectedError("The service rejected the request.", status=status, words=words)


def _tweets_refused(
    reply: Reply,
    document: Mapping[str, Any] | None,
    errors: tuple[str, ...],
    words: tuple[str, ...],
) -> TweetsRefusedError:
    error = TweetsRefusedError(
        "The service refused a request because of some of its Tweets.",
        status=reply.status,
        words=words,
    )
    error.forbidden = forbidden_ids(errors)
    error.unavailable = ids_in((document or {}).get("unavailable_tweet_ids"))
    return error
