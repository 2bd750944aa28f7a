from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
    ServiceError,
)
from airflow_provider_engagement.thresholds.poll_loop import PollLoop
from airflow_provider_engagement.thresholds.poller import PollResult
from airflow_provider_engagement.thresholds.schedule import Patience, PollSchedule

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.05
WRONG_KEYS = AuthenticationError("wrong keys")
NO_CONNECTION = AuthenticationError("no connection")
OUTAGE = ServiceError("an outage")
NO_FILE = InvalidArgumentError("no file")


class Script:
    """Plays what reading the connection, and polling, bring: an error, or None for success."""

    def __init__(self, *polls: EngagementError | None, reads: Any = ()) -> None:
        self.polls = list(polls)
        self.reads = list(reads)
        self.times: list[float] = []

    async def read_settings(self) -> Any:
        self.times.append(asyncio.get_running_loop().time())
        if self.reads and (error := self.reads.pop(0)):
            raise error

    async def poll(self, request: Any) -> PollResult:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(request.due - clock())
        if error := self.polls.pop(0):
            raise error
        return PollResult(object(), (), clock())  # type: ignore[arg-type]  # a stand-in


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return what plays a script, and counts the polls that succeed before it ends or fails."""

    def play(script: Script, *, seconds: float = 300, waits_out_all: bool = False) -> int:
        def patience(*, has_succeeded: bool = False) -> Patience:
            return Patience(has_succeeded=has_succeeded, seconds=seconds)

        monkeypatch.setattr("airflow_provider_engagement.thresholds.poll_loop.poll", script.poll)
        monkeypatch.setattr("airflow_provider_engagement.thresholds.poll_loop.Patience", patience)
        loop = PollLoop(
            "totals",
            ("favorites",),
            PollSchedule(INTERVAL),
            read_settings=script.read_settings,
            read_tweet_ids=NotImplemented,
            on_secret=NotImplemented,
            waits_out_all=waits_out_all,
        )

        async def run() -> int:
            found = 0
            async for _ in loop.results():
                found += 1
                if not script.polls:
                    break
            return found

        return asyncio.run(run())

    return play


@pytest.mark.parametrize("error", [WRONG_KEYS, NO_FILE])
def test_a_fault_of_the_first_poll_that_needs_a_change_is_raised(play: Any, error: Any) -> None:
    with pytest.raises(type(error), match=str(error)):
        play(Script(error))


@pytest.mark.parametrize("error", [WRONG_KEYS, NO_FILE])
def test_after_a_success_it_is_waited_out(play: Any, error: Any) -> None:
    assert play(Script(None, error, error, None)) == 2


def test_it_is_not_waited_out_for_ever(play: Any) -> None:
    script = Script(None, *[WRONG_KEYS] * 100)
    with pytest.raises(AuthenticationError):
        play(script, seconds=4.5 * INTERVAL)
    assert 100 - len(script.polls) == pytest.approx(5, abs=1)


def test_an_outage_is_waited_out(play: Any) -> None:
    assert play(Script(OUTAGE, OUTAGE, OUTAGE, None), seconds=0) == 1


@pytest.mark.parametrize("error", [NO_CONNECTION, OUTAGE])
def test_a_connection_that_cannot_be_read_is_read_again_after_the_interval(
    play: Any, error: Any
) -> None:
    script = Script(None, reads=[error, error])
    assert play(script) == 1
    first, second, third = script.times
    assert second - first >= INTERVAL
    assert third - second >= INTERVAL


def test_a_connection_that_is_not_found_is_not_read_for_ever(play: Any) -> None:
    with pytest.raises(AuthenticationError):
        play(Script(None, reads=[NO_CONNECTION] * 100), seconds=4 * INTERVAL)


def test_a_secrets_backend_that_fails_is_waited_out(play: Any) -> None:
    assert play(Script(None, reads=[OUTAGE] * 5), seconds=0) == 1


def test_a_watcher_waits_out_every_fault(play: Any) -> None:
    script = Script(WRONG_KEYS, NO_FILE, None, reads=[NO_CONNECTION] * 5)
    assert play(script, seconds=0, waits_out_all=True) == 1
