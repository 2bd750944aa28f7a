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
    """The state of a minute's allowance after one request.

    :param limit: the maximum number of requests in the minute.
    :param remaining: how many are left.
    :param resets_at: when the next minute begins, in Unix seconds.
    :param granted: whether the request was within the limit.
    """

    limit: int
    remaining: int
    resets_at: int
    granted: bool


class Throttle:
    """Counts the requests of each endpoint in fixed windows.

    A window begins with the first request after the previous one ended, on the whole second.

    :param per_minute: the limit: one number for every endpoint, or a number per endpoint. None, or
        an endpoint that is not named, means no limit.
    :param window: the seconds of a window.
    :param clock: returns Unix seconds.
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

    def count(self, endpoint: EndpointName) -> Allowance | None:
        """Count one request.

        :returns: the state of the allowance; None without a limit.
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
