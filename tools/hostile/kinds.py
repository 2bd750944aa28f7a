"""What a case is, and the faults that the simulator makes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tools.hostile.made import Made

__all__ = ["FAULTS", "SHARES", "Case", "Fault", "Gives"]

SHARES: Final = (0.05, 0.2, 0.5)
"""The shares of faulty responses that are tested."""


class Gives(StrEnum):
    """The outcome of a response."""

    AGAIN = "retried within the pull"
    ENDS = "ends the try, and Airflow retries the task"
    FAILS = "fails the task at once"
    ASIDE = "dropped, and counted in the summary"
    LISTED = "left out, and listed in the coverage"
    NOTHING = "no effect"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that the simulator can produce.

    :param kind: the simulator's name for it.
    :param name: a description.
    :param error: the class of the error if the fault persists.
    :param says: a part of the error's message.
    """

    kind: str
    name: str
    error: str
    says: str


@dataclass(frozen=True, slots=True)
class Case:
    """A malformed response that is sent in place of a good one.

    :param name: a description.
    :param made: functions that each make a variant: from the object of the good response to the
        bytes to send, piece by piece.
    :param gives: the outcome of every variant.
    :param error: the class of the error if the response persists.
    :param says: a part of the error's message.
    :param endpoint: the endpoint of the request, or ``token``.
    """

    name: str
    made: tuple[Made, ...]
    gives: Gives
    error: str = ""
    says: str = ""
    endpoint: str = "totals"


FAULTS: Final = (
    Fault("429", "status 429", "RateLimitError", "for its rate. (HTTP 429)"),
    Fault("500", "status 500", "ServiceError", "The service failed. (HTTP 500)"),
    Fault("502", "status 502", "ServiceError", "The service failed. (HTTP 502)"),
    Fault("503", "status 503", "ServiceError", "The service failed. (HTTP 503)"),
    Fault(
        "hang",
        "no response",
        "ServiceError",
        "No complete response arrived: it took too long.",
    ),
    Fault(
        "truncated",
        "a connection that breaks within the response",
        "ServiceError",
        "No complete response arrived: the connection broke in the middle of it.",
    ),
    Fault(
        "malformed",
        "JSON that is cut off, with status 200",
        "InvalidResponseError",
        "not a JSON object",
    ),
    Fault("html", "an HTML page with status 200", "InvalidResponseError", "an HTML page"),
)
"""The simulator's faults. Each is retried; the error is raised if the fault persists."""
