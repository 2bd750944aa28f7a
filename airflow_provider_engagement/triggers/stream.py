"""The polling that event triggers share, and what is written once Airflow has stored their events.

Airflow runs one stream for all watchers with the same settings, hands each what it brings, and
tells the stream once the events of all of them are in Airflow's database. Only then does a watcher
put down what it has told of: a crash in between repeats an event, and loses none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

    from airflow_provider_engagement.thresholds.poller import PollResult
    from airflow_provider_engagement.triggers.polling import PollSettings

    _Producer = SharedStreamProducer
else:
    try:
        from airflow.triggers.shared_stream import SharedStreamProducer as _Producer
    except ModuleNotFoundError:
        # Before Airflow 3.3, where nothing makes one; docs and tests import all modules alike.
        _Producer = object

__all__ = ["Poll", "PollingProducer"]


@dataclass(slots=True)
class Poll:
    """One poll of the stream.

    :param seen: what it brought.
    :param when_stored: called once the events that it gave rise to are stored.
    """

    seen: PollResult
    when_stored: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


class PollingProducer(_Producer):
    """Polls for all watchers of a stream.

    :param watch: what to look at.
    """

    def __init__(self, watch: PollSettings) -> None:
        self._watch = watch

    async def open_stream(self) -> AsyncIterator[tuple[Poll, Poll]]:
        """Poll for ever; what a fault spoils, the next poll makes good."""
        async for seen in self._watch.looks(patient=True):
            poll = Poll(seen)
            yield poll, poll

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Let the watchers put down what they have told of in each poll, in order."""
        for payload, outcome in batch:
            # Where one watcher failed nobody can tell whose events are stored. The others have it
            # put down with the next poll.
            if outcome.is_clean:
                for put_down in payload.when_stored:
                    await put_down()
