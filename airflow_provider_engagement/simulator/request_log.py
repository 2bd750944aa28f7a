"""What the simulator was asked: for tests to look at, and for its page of figures."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

__all__ = ["Received", "Records"]


@dataclass(frozen=True, slots=True)
class Received:
    """One request that came in, and what became of it.

    :param endpoint: ``totals``, ``28hr``, ``historical``; ``token`` for the exchange of a bearer;
        else the path.
    :param status: the status that was sent; 0 where the connection was left hanging.
    :param access: ``owner`` or ``public``; None where the credentials did not do, or none count.
    :param account: the owner who asked; None where it was not one.
    :param fault: the fault that was planted, if any.
    :param headers: the request's headers, names in lower case.
    :param raw: the request's body, as it came.
    :param at: when it came, in Unix seconds.
    """

    endpoint: str
    status: int
    access: str | None
    account: str | None
    fault: str | None
    headers: dict[str, str]
    raw: bytes
    at: float

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON; empty where it is no JSON object."""
        # Read anew each time: as text, 10,000 bodies of 250 ids take a tenth of the memory.
        try:
            body = json.loads(self.raw)
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def tweet_ids(self) -> list[str]:
        """The ids asked for."""
        return self._texts("tweet_ids")

    @property
    def engagement_types(self) -> list[str]:
        """The engagement types asked for."""
        return self._texts("engagement_types")

    def _texts(self, name: str) -> list[str]:
        value = self.body.get(name)
        return [str(one) for one in value] if isinstance(value, list) else []


class Records:
    """Keeps the latest requests, and counts them all.

    :param keep: how many requests to keep.
    """

    def __init__(self, keep: int) -> None:
        self.requests: deque[Received] = deque(maxlen=keep)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._faults: Counter[str] = Counter()
        self._ids = 0
        self._lock = threading.Lock()

    def add(self, received: Received, ids: int = 0) -> None:
        """Note a request.

        :param received: the request.
        :param ids: how many ids it asked for, where it got as far as that being read.
        """
        with self._lock:
            self.requests.append(received)
            self._counts[received.endpoint, str(received.status)] += 1
            self._ids += ids
            if received.fault:
                self._faults[received.fault] += 1

    def stats(self) -> dict[str, Any]:
        """Give the figures since the start, which do not forget what is no longer kept."""
        with self._lock:
            requests: dict[str, dict[str, int]] = {}
            for (endpoint, status), times in sorted(self._counts.items()):
                requests.setdefault(endpoint, {})[status] = times
            return {
                "requests": requests,
                "faults": dict(sorted(self._faults.items())),
                "ids_asked": self._ids,
            }
