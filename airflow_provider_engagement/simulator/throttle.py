"""The contract's requests per minute."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.spec import EndpointName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Allowance", "Throttle"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """Where a minute's allowance stands after one request.

    :param limit: requests in the minute, at most.
    :param remaining: how many more there are in this one.
    :param resets_at: Unix seconds at which the next begins.
    :param granted: whether the request itself was within it.
    """

    limit: int
    remaining: int
    resets_at: int
    granted: bool


class Throttle:
    """Counts requests in fixed windows, one count for each endpoint: there is but one app.

    A window begins with the first request after the last one ended, on the whole second.

    :param per_minute: the limit; one number for each endpoint's own count, or numbers by endpoint;
        None, or an endpoint that is not named, means no limit.
    :param window: a window's seconds.
    :param clock: gives Unix seconds.
    """

    def __init__(
        self,
        per_minute: int | Mapping[str, int] | None,
        window: int = 60,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(per_minute, int):
            per_minute = dict.fromkeys(EndpointName, per_minute)
        self._limits = {EndpointName(name): n for name, n in (per_minute or {}).items()}
        self._window = window
        self._clock = clock
        self._used: dict[EndpointName, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def ask(self, endpoint: EndpointName) -> Allowance | None:
        """Count one request.

        :returns: where the allowance stands; None without a limit.
        """
        limit = self._limits.get(endpoint)
        if limit is None:
            return None
        with self._lock:
            now = self._clock()
            resets_at, used = self._used.get(endpoint, (0, 0))
            if now >= resets_at:
                resets_at, used = math.floor(now) + self._window, 0
            granted = used < limit
            used += granted
            self._used[endpoint] = resets_at, used
        return Allowance(limit, limit - used, resets_at, granted)
