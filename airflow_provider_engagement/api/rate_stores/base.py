"""The interface of the stores of the shared rate, and the values that they take and return.

All times are durations in seconds, so that the clocks of a store and of its clients need not agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from airflow_provider_engagement.api.errors import InvalidArgumentError, RateStoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FIRST_DEFAULT_WAIT",
    "LEASE",
    "MAX_DEFAULT_WAIT",
    "MAX_REFUSALS",
    "MAX_WAIT",
    "RECOVERY",
    "SLACK",
    "Grant",
    "RateReport",
    "RateStore",
    "RemoteStore",
    "Status",
    "Turn",
    "no_answer",
    "not_installed",
    "spacing",
]

# A longer wait ends the try, so that Airflow can give the worker slot to another task.
MAX_WAIT: Final = 300.0

# Slots are this much further apart than the contract requires, so that network jitter does not
# bring one more request into the service's minute.
SLACK: Final = 1.005

# Seconds to wait after a refusal for which the service names no wait: those after the first are
# doubled with each that follows, up to the minute that the limit is counted by.
FIRST_DEFAULT_WAIT: Final = 1.0
MAX_DEFAULT_WAIT: Final = 60.0
MAX_REFUSALS: Final = 10

# Seconds after its last slot during which a worker counts as one that shares the contract.
LEASE: Final = 60.0

# Seconds after a store's return during which it assigns no slots. After them, each worker has
# noticed the return, and no worker still sends at its own share of the contract.
RECOVERY: Final = 5.0


@dataclass(frozen=True, slots=True)
class Turn:
    """When the next request may be sent.

    :param wait: seconds until then.
    :param blocked: seconds for which the service blocks requests.
    :param is_granted: whether a slot was taken; if not, ask again after the wait.
    """

    wait: float
    blocked: float = 0.0
    is_granted: bool = True


@dataclass(frozen=True, slots=True)
class RateReport:
    """What one response says of the rate. None means that it does not say.

    :param is_refused: whether it was a 429.
    :param wait: seconds for which the service blocks requests.
    :param limit: the contract's requests per minute.
    :param remaining: how many of them are left in the service's minute.
    :param resets_at: when that minute ends, in Unix seconds of the service's clock.
    :param server_time: the whole second of the service's clock when it answered.
    """

    is_refused: bool = False
    wait: float | None = None
    limit: float | None = None
    remaining: float | None = None
    resets_at: float | None = None
    server_time: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What a store holds.

    :param blocked: seconds for which the service blocks requests.
    :param limit: the requests per minute that the service reported last; None if it never did.
    :param is_void: whether the slot that was taken last must not be used.
    """

    blocked: float
    limit: float | None
    is_void: bool = False


class RateStore(Protocol):
    """The shared rate of one app at one endpoint."""

    def take(self, contract: float | None) -> Turn:
        """Take the next slot, in one atomic step.

        :param contract: requests per minute; None for the limit that the service reported.
        """

    def record(self, report: RateReport) -> float:
        """Record what a response says.

        :returns: seconds for which the service blocks requests.
        """

    def status(self) -> Status:
        """Return what the store holds."""

    def close(self) -> None:
        """Release what the store has opened."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a store on a server answers to a worker that asks for a slot.

    :param wait: seconds until the slot; None if no slot was taken.
    :param blocked: seconds for which the service blocks requests.
    :param limit: the requests per minute that the service reported last; 0 if it never did.
    :param refusals: how many of the last responses, in a row, were refusals.
    :param share: the part of the contract that this worker may use if the store goes away.
    :param recovering: seconds until the store assigns slots.
    """

    wait: float | None
    blocked: float
    limit: float
    refusals: int
    share: float
    recovering: float

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> Grant:
        """Return the grant that a server answered.

        :param numbers: the fields in their order; a wait below 0 means that no slot was taken.
        """
        wait, blocked, limit, refusals, share, recovering = numbers
        slot = None if wait < 0 else wait
        return cls(slot, blocked, limit, int(refusals), share, recovering)


class RemoteStore(Protocol):
    """A store on a server. Each method is one atomic step there, by the server's clock.

    Every method raises ``RateStoreError`` if the server does not answer within a second or
    two.
    """

    name: str

    def take(self, contract: float, share: float) -> Grant:
        """Take the next slot.

        The shares of all workers that were granted a slot within :data:`LEASE` add up to 1 at
        most, at each moment: a worker that joins gets what the others have left it.

        :param contract: requests per minute; 0 for the limit that the service reported.
        :param share: the share that the worker holds, which it keeps while the store recovers.
        """

    def rejoin(self, share: float, period: float) -> float:
        """Report that this worker was without the store, and is back.

        :param share: the share that it went on with.
        :param period: seconds between its slots. All workers have asked for one after that time.
        :returns: seconds until the store assigns slots.
        """

    def record(self, report: RateReport) -> float:
        """As :meth:`RateStore.record`."""

    def status(self) -> Status:
        """As :meth:`RateStore.status`."""

    def close(self) -> None:
        """As :meth:`RateStore.close`."""


def not_installed(server: object, package: str, extra: str) -> InvalidArgumentError:
    """Return the error for a server whose client is not installed.

    :param server: the server, as a message names it.
    :param package: the client.
    :param extra: the extra of this package that installs it.
    """
    return InvalidArgumentError(
        f"{server} needs the package {package}, which is not installed.",
        advice=f"Install airflow-provider-engagement[{extra}].",
    )


def no_answer(server: str, error: Exception) -> RateStoreError:
    """Return the error for a server that does not answer.

    :param server: the server, as a message names it.
    :param error: what its client raised. Its text may hold a login, so only its type is named.
    """
    return RateStoreError(
        f"{server} does not answer: {type(error).__name__}.",
        advice="Check the server, and its connection in Airflow.",
    )


def spacing(rate: float | None) -> float:
    """Return the seconds between two slots; 0 if no limit is known.

    :param rate: requests per minute.
    """
    return 60.0 / rate * SLACK if rate else 0.0
