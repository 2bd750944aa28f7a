"""A log of the requests that the simulator received, for tests and for its statistics page."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

__all__ = ["Received", "RequestLog"]


@dataclass(frozen=True, slots=True)
class Received:
    """One request, and how it was answered.

    :param endpoint: ``totals``, ``28hr`` or ``historical``; ``token`` for the exchange for a bearer
        token; else the path.
    :param status: the status that was sent; 0 if the connection was left hanging.
    :param access: ``owner`` or ``public``; None if the credentials were refused or not needed.
    :param account: the owner's handle; None for app-only access.
    :param fault: the simulated fault; None without one.
    :param headers: the request's headers, names in lower case.
    :param raw: the request's body as received.
    :param at: when it was received, in Unix seconds.
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
        """The body as JSON; empty if it is not a JSON object."""
        # Parsed at each access: unparsed, 10,000 bodies of 250 ids take a tenth of the memory.
        try:
            body = json.loads(self.raw)
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def tweet_ids(self) -> list[str]:
        """The requested ids."""
        return self._texts("tweet_ids")

    @property
    def engagement_types(self) -> list[str]:
        """The requested engagement types."""
        return self._texts("engagement_types")

    def _texts(self, name: str) -> list[str]:
        value = self.body.get(name)
        return [str(one) for one in value] if isinstance(value, list) else []


class RequestLog:
    """Holds the latest requests, and counts all of them.

    :param keep: how many requests to hold.
    """

    def __init__(self, keep: int) -> None:
        self.requests: deque[Received] = deque(maxlen=keep)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._faults: Counter[str] = Counter()
        self._ids = 0
        self._lock = threading.Lock()

    def add(self, received: Received, ids: int = 0) -> None:
        """Add a request.

        :param received: the request.
        :param ids: the number of ids in it; 0 if it was refused before they were read.
        """
        with self._lock:
            self.requests.append(received)
            self._counts[received.endpoint, str(received.status)] += 1
            self._ids += ids
            if received.fault:
                self._faults[received.fault] += 1

    def stats(self) -> dict[str, Any]:
        """Return the counts of all requests since the start."""
        with self._lock:
            requests: dict[str, dict[str, int]] = {}
            for (endpoint, status), times in sorted(self._counts.items()):
                requests.setdefault(endpoint, {})[status] = times
            return {
                "requests": requests,
                "faults": dict(sorted(self._faults.items())),
                "ids_requested": self._ids,
            }
