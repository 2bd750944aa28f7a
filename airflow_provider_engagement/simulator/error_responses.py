"""The error responses of the simulator: the service's own, and invented ones.

Only some messages of the service are known, from its documentation and from clients that received
them. The others are invented, text and status alike. An invented response has the header
``x-simulator-invented: true``, so that no client relies on its text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["INVENTED_HEADER", "ErrorResponse", "ErrorTemplate", "all_templates"]

INVENTED_HEADER: Final = "x-simulator-invented"


class ErrorResponse(Exception):  # noqa: N818 - a response of the service, not an error of ours
    """A request is refused with this response.

    :param status: the HTTP status.
    :param errors: the entries of ``errors`` in the body: texts, or objects with a code.
    :param other_fields: the other fields of the body.
    :param invented: whether the message is invented.
    """

    def __init__(
        self,
        status: int,
        errors: list[str | dict[str, object]],
        other_fields: dict[str, object] | None = None,
        *,
        invented: bool,
    ) -> None:
        super().__init__(status, errors)
        self.status = status
        self.errors = errors
        self.other_fields = other_fields or {}
        self.invented = invented

    @property
    def body(self) -> dict[str, object]:
        """The body of the response."""
        return {"errors": self.errors, **self.other_fields}


@dataclass(frozen=True, slots=True)
class ErrorTemplate:
    """The template of an error response.

    :param status: the HTTP status.
    :param text: the message, with ``{names}`` of its placeholders.
    :param known: whether this message of the service was seen or is documented.
    :param details: the other fields of the error, where it is an object and not a text.
    """

    status: int
    text: str
    known: bool
    details: dict[str, object] = field(default_factory=dict)

    def message(self, **about: object) -> str:
        """Return the message with its placeholders filled in."""
        return self.text.format(**about)

    def error(
        self, other_fields: dict[str, object] | None = None, **about: object
    ) -> ErrorResponse:
        """Return the error, to be raised.

        :param other_fields: the other fields of the body.
        :param about: the values of the message's placeholders.
        """
        text = self.message(**about)
        entry: str | dict[str, object] = {"message": text, **self.details} if self.details else text
        return ErrorResponse(self.status, [entry], other_fields, invented=not self.known)


def _known(status: int, text: str, **details: object) -> ErrorTemplate:
    return ErrorTemplate(status, text, known=True, details=details)


def _invented(status: int, text: str, **details: object) -> ErrorTemplate:
    return ErrorTemplate(status, text, known=False, details=details)


def all_templates() -> dict[str, ErrorTemplate]:
    """Return every template by its name in this module."""
    return {name: value for name, value in globals().items() if isinstance(value, ErrorTemplate)}


# ---- Known ----------------------------------------------------------------------------------

# Path, credentials and compression.
NO_SUCH_PAGE: Final = _known(404, "Sorry, that page does not exist", code=34)
NO_GZIP: Final = _known(
    406,
    "This request requires gzip compression. Retry the request after setting "
    "'Accept-Encoding' header in the request to 'gzip'.",
)
UNKNOWN_TOKEN: Final = _known(
    401, "Your account could not be authenticated. Reason: Access token not found"
)
UNKNOWN_AUTHORIZATION: Final = _known(
    401, "Your account could not be authenticated. Reason: Unknown Authorization Type"
)
TOKEN_NOT_GRANTED: Final = _known(
    403, "Unable to verify your credentials", code=99, label="authenticity_token_error"
)

# Permissions. Their statuses are documented, or follow from the table in the guide.
FORBIDDEN_TWEETS: Final = _known(403, "Forbidden to access tweets for author id {author}: {ids}")
FORBIDDEN_METRICS: Final = _known(403, "Forbidden to access metrics: {types}")
UNAVAILABLE: Final = _known(400, "{count} Tweet ID(s) are unavailable")
TOO_OLD: Final = _known(
    200, "Impressions & engagements for tweets older than 90 days ({period}) are not supported"
)

GROUP_BY_NOT_SUPPORTED: Final = _known(
    400,
    "One or more of the groupBys you have specified are not supported: ({levels}). "
    "Please adjust your request and try again.",
)

# ---- Invented -------------------------------------------------------------------------------

# Only the words `rate limit` are known, because an old client looks for them.
RATE_LIMITED: Final = _invented(429, "The request is over the rate limit.")
# Only the part after the colon is known; the status is not.
APP_NOT_ENABLED: Final = _invented(403, "Forbidden: your application id is not authorized.")
_REASON: Final = "Your account could not be authenticated. Reason: "
UNKNOWN_CONSUMER: Final = _invented(401, _REASON + "Consumer key not found")
BAD_SIGNATURE: Final = _invented(401, _REASON + "Signature does not match")
BAD_METHOD: Final = _invented(401, _REASON + "Signature method must be HMAC-SHA1")
BAD_OAUTH: Final = _invented(401, _REASON + "OAuth parameters are missing or doubled: {names}")
STALE: Final = _invented(401, _REASON + "Timestamp is out of bounds")
NO_CALLBACK: Final = _invented(403, "Desktop applications only support the oauth_callback 'oob'")
WRONG_PIN: Final = _invented(401, "Error processing your OAuth request: Invalid oauth_verifier")
NONCE_USED: Final = _invented(401, _REASON + "Nonce was used before")
# The code is documented for other X APIs, not for this one.
NO_USER_CONTEXT: Final = _invented(
    403, "Your credentials do not allow access to this resource.", code=220
)

NOT_JSON: Final = _invented(400, "The request body is not a JSON object.")
NOT_JSON_TYPE: Final = _invented(400, "Content-Type must be application/json, not {given}.")
NO_LENGTH: Final = _invented(411, "The request must say its Content-Length.")
TOO_LARGE: Final = _invented(413, "The request body is larger than {limit} bytes.")

IDS_MISSING: Final = _invented(400, "tweet_ids must be a non-empty array of Tweet ids.")
BAD_ID: Final = _invented(400, "tweet_ids[{place}] is not a Tweet id.")
TOO_MANY_IDS: Final = _invented(
    400, "Too many Tweet ids: {given} were given, {endpoint} takes at most {limit}."
)

TYPES_MISSING: Final = _invented(400, "engagement_types must be a non-empty array of names.")
UNKNOWN_TYPES: Final = _invented(400, "Unknown engagement types: {types}.")
TYPES_NOT_HERE: Final = _invented(400, "{endpoint} does not serve these engagement types: {types}.")

GROUPINGS_MISSING: Final = _invented(400, "groupings must be a non-empty object.")
TOO_MANY_GROUPINGS: Final = _invented(
    400, "Too many groupings: {given} were given, at most {limit} are allowed."
)
BAD_GROUPING: Final = _invented(
    400, "Grouping '{name}' must be an object with a non-empty array 'group_by'."
)
RESERVED_NAME: Final = _invented(400, "A grouping cannot be named '{name}'.")
REPEATED_LEVEL: Final = _invented(400, "Grouping '{name}' names a groupBy twice.")
FOUR_LEVEL_ORDER: Final = _invented(
    400, "Grouping '{name}' has four groupBys, which are not allowed in this order."
)
TWO_FOUR_LEVEL: Final = _invented(400, "Only one grouping may have four groupBys.")

NO_WINDOW_HERE: Final = _invented(400, "{endpoint} takes no {names}.")
HALF_A_WINDOW: Final = _invented(400, "start and end must be given both, or neither.")
BAD_MOMENT: Final = _invented(400, "{name} must read YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ.")
END_IN_FUTURE: Final = _invented(400, "end must not be in the future.")
END_NOT_AFTER_START: Final = _invented(400, "end must be after start.")
START_TOO_EARLY: Final = _invented(400, "start must not be before {floor}.")
WINDOW_TOO_LONG: Final = _invented(400, "The time between start and end is over {days} days.")

# Simulated faults, see faults.py. `internal server error` is known, its status is not.
INTERNAL_ERROR: Final = _known(500, "internal server error")
BAD_GATEWAY: Final = _invented(502, "Proxy Error")
SERVICE_UNAVAILABLE: Final = _invented(503, "Service Unavailable")
