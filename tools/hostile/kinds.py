"""What a case is, and the faults that the simulator makes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tools.hostile.made import Made

__all__ = ["FAULTS", "SHARES", "Case", "Fault", "Gives"]

SHARES: Final = (0.05, 0.2, 0.5)
"""The shares of faulty answers that are tried."""


class Gives(StrEnum):
    """What comes of an answer."""

    AGAIN = "what is asked for again"
    ENDS = "what ends the try, so that Airflow tries again"
    FAILS = "what fails the task at once"
    ASIDE = "what is set aside, and counted"
    LISTED = "what is left out, and listed in the coverage"
    NOTHING = "what costs nothing"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that the simulator can be told to make.

    :param kind: the simulator's name for it.
    :param name: what it is, in words.
    :param error: the class of the error, if it goes on.
    :param says: what the error says.
    """

    kind: str
    name: str
    error: str
    says: str


@dataclass(frozen=True, slots=True)
class Case:
    """An answer that is sent in place of a good one.

    :param name: what it is, in words.
    :param made: ways to make it: each gives the bytes to send, one piece after the other, of the
        good answer's object.
    :param gives: what is to come of it, whichever way it is made.
    :param error: the class of the error, if it goes on.
    :param says: what the error says.
    :param asked: the endpoint that is asked, by the hour or day where it has those; or ``token``.
    """

    name: str
    made: tuple[Made, ...]
    gives: Gives
    error: str = ""
    says: str = ""
    asked: str = "totals"


FAULTS: Final = (
    Fault("429", "refused for its rate: 429", "RateLimitError", "for its rate. (HTTP 429)"),
    Fault("500", "the service failed: 500", "ServiceError", "The service failed. (HTTP 500)"),
    Fault("502", "a proxy failed: 502", "ServiceError", "The service failed. (HTTP 502)"),
    Fault("503", "the service is down: 503", "ServiceError", "The service failed. (HTTP 503)"),
    Fault(
        "hang",
        "no answer at all",
        "ServiceError",
        "No complete response arrived: it took too long.",
    ),
    Fault(
        "truncated",
        "half an answer",
        "ServiceError",
        "No complete response arrived: the connection broke in the middle of it.",
    ),
    Fault(
        "malformed", "JSON that breaks off, status 200", "InvalidResponseError", "not a JSON object"
    ),
    Fault("html", "a page of HTML, status 200", "InvalidResponseError", "an HTML page"),
)
"""The simulator's faults; each is asked for again, and this is the error if it goes on."""
