"""The polling that event triggers share, and what they store once Airflow has stored their events.

Airflow runs one stream for all watchers with the same settings, passes each poll to every watcher,
and reports to the stream when the events of all of them are in Airflow's database. Only then does
a watcher store its state: a crash in between repeats an event, and loses none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

    from airflow_provider_engagement.thresholds.poll_loop import PollLoop
    from airflow_provider_engagement.thresholds.poller import PollResult

    _Producer = SharedStreamProducer
else:
    try:
        from airflow.triggers.shared_stream import SharedStreamProducer as _Producer
    except ModuleNotFoundError:
        # Before Airflow 3.3, where nothing makes a producer; docs and tests import all modules.
        _Producer = object

__all__ = ["Poll", "PollingProducer"]


@dataclass(slots=True)
class Poll:
    """One poll of the stream.

    :param result: the counts.
    :param when_stored: called in order once Airflow has stored the events of this poll.
    """

    result: PollResult
    when_stored: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


class PollingProducer(_Producer):
    """Polls for all watchers of a stream.

    :param loop: the polls.
    """

    def __init__(self, loop: PollLoop) -> None:
        self._loop = loop

    async def open_stream(self) -> AsyncIterator[tuple[Poll, Poll]]:
        """Poll until Airflow closes the stream."""
        async for result in self._loop.results():
            poll = Poll(result)
            yield poll, poll

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Let the watchers store their state after each poll, in order."""
        for payload, outcome in batch:
            # If one watcher failed it is unknown whose events are stored. The next poll stores the
            # state of the others.
            if outcome.is_clean:
                for store in payload.when_stored:
                    await store()
