"""Simulated faults of networks and services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from airflow_provider_engagement.simulator.deterministic import number, share

__all__ = ["FAULT_KINDS", "FaultKind", "Faults"]

FaultKind = Literal["429", "500", "502", "503", "hang", "truncated", "malformed", "html"]

FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Faults:
    """Which responses of the three endpoints are faulty, and how.

    Requests with a wrong path, header or credentials get their usual error, and the exchange for a
    bearer token never has a fault. The n-th request has a fault or not, by the seed and n alone.

    :param share: the share of responses that are faulty.
    :param kinds: the faults, which are equally frequent. ``429`` refuses a request that is within
        the limit. ``500``, ``502`` and ``503`` are failures of the service. ``hang`` sends nothing
        and then closes the connection. ``truncated`` closes it in the middle of the body.
        ``malformed`` sends JSON that breaks off, with status 200. ``html`` sends a web page, with
        status 200.
    :param seed: the seed of the choice.
    :param hang_seconds: how long a hanging connection stays open, unless the client closes it.
    :param script: the faults of the first requests, one each, None for no fault; later requests
        follow the share.
    """

    share: float = 0.0
    kinds: tuple[FaultKind, ...] = FAULT_KINDS
    seed: int = 0
    hang_seconds: float = 30.0
    script: tuple[FaultKind | None, ...] = ()

    def __post_init__(self) -> None:
        unknown = {kind for kind in (*self.kinds, *self.script) if kind} - set(FAULT_KINDS)
        if unknown:
            msg = f"Unknown faults: {', '.join(sorted(unknown))}. Use some of {FAULT_KINDS}."
            raise ValueError(msg)
        if not 0 <= self.share <= 1 or (self.share and not self.kinds):
            msg = f"share must be from 0 to 1 and needs kinds; got {self.share} of {self.kinds}."
            raise ValueError(msg)

    def pick(self, request_number: int) -> FaultKind | None:
        """Return the fault of a request, or None.

        :param request_number: its number from 0, in the order of arrival.
        """
        if request_number < len(self.script):
            return self.script[request_number]
        if share(self.seed, "fault", request_number) >= self.share:
            return None
        return self.kinds[number(self.seed, "kind", request_number) % len(self.kinds)]
