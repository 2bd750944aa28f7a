"""Faults on purpose: what networks and services do on a bad day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from airflow_provider_engagement.simulator.deterministic import number, share

__all__ = ["FAULT_KINDS", "FaultKind", "Faults"]

FaultKind = Literal["429", "500", "502", "503", "hang", "torn", "malformed", "html"]

FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Faults:
    """Which answers of the three endpoints are faulty, and how.

    Requests that are refused anyway for their path, header or credentials are let be, and so is
    the exchange of a bearer. Whether the n-th request meets a fault follows from the seed and n
    alone.

    :param share: the share of answers that are faulty.
    :param kinds: which faults occur, all equally often. ``429`` refuses though the allowance is
        not used up; ``500``, ``502`` and ``503`` are the service's own failures; ``hang`` says
        nothing and then closes the connection; ``torn`` closes it in the middle of the body;
        ``malformed`` is JSON that breaks off, with status 200; ``html`` a web page, with status
        200.
    :param seed: what the choice follows from.
    :param hang_seconds: how long a hanging connection stays open, unless the client leaves.
    :param script: faults of the first requests, one each, None for none; the share governs from
        then on. For tests that need one fault at one place.
    """

    share: float = 0.0
    kinds: tuple[FaultKind, ...] = FAULT_KINDS
    seed: int = 0
    hang_seconds: float = 30.0
    script: tuple[FaultKind | None, ...] = ()

    def __post_init__(self) -> None:
        unknown = {kind for kind in (*self.kinds, *self.script) if kind} - set(FAULT_KINDS)
        if unknown:
            msg = f"No such faults: {', '.join(sorted(unknown))}. There are {FAULT_KINDS}."
            raise ValueError(msg)
        if not 0 <= self.share <= 1 or (self.share and not self.kinds):
            msg = f"A share is from 0 to 1, and needs kinds; got {self.share} of {self.kinds}."
            raise ValueError(msg)

    def pick(self, request_number: int) -> FaultKind | None:
        """Tell what befalls a request.

        :param request_number: its number, from 0, in the order that requests came in.
        """
        if request_number < len(self.script):
            return self.script[request_number]
        if share(self.seed, "fault", request_number) >= self.share:
            return None
        return self.kinds[number(self.seed, "kind", request_number) % len(self.kinds)]
