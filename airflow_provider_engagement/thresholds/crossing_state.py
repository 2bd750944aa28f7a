"""What a watcher remembers from poll to poll: which crossings it has told of."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_engagement.thresholds.evaluation import Crossing, Observation, Rule

__all__ = ["CrossingState", "make_event"]

_UNSEEN: Final = "."
_BELOW: Final = "0"
_TOLD: Final = "1"

# The sum of the collection has no id.
_SUM: Final = ""


class CrossingState:
    """For each Tweet and condition: never seen, not told of, or told of.

    A crossing is told of once, also where a count falls back and rises again. A Tweet that is
    first seen beyond a threshold counts as told of: it is the baseline.

    :param rule: what is watched for.
    :param fire_existing: tell of Tweets that are first seen beyond a threshold, too.
    """

    def __init__(self, rule: Rule, *, fire_existing: bool = False) -> None:
        self._rule = rule
        self._fire_existing = fire_existing
        self._names = [str(condition) for condition in rule.conditions]
        self._marks: dict[str, list[str]] = {}

    def load(self, stored: Any) -> None:
        """Take up what an earlier :meth:`dump` gave.

        A condition that was not watched then has not been seen.

        :param stored: None where nothing is.
        """
        if not stored:
            return
        places = {name: place for place, name in enumerate(stored["conditions"])}
        for marks, ids in stored["marks"].items():
            known = [marks[places[name]] if name in places else _UNSEEN for name in self._names]
            # The sum has an empty id: splitting gives that one too.
            self._marks.update((tweet_id, list(known)) for tweet_id in ids.split(","))

    def dump(self) -> dict[str, Any]:
        """Give all of it, in what turns into JSON: 20 bytes a Tweet."""
        by_marks: defaultdict[str, list[str]] = defaultdict(list)
        for tweet_id, marks in self._marks.items():
            by_marks["".join(marks)].append(tweet_id)
        return {
            "conditions": self._names,
            "marks": {marks: ",".join(ids) for marks, ids in by_marks.items()},
        }

    def update(self, look: Observation, tweet_ids: Sequence[str]) -> list[Crossing]:
        """Take in what was seen.

        :returns: the crossings to tell of now, which are marked as told of. None, as long as
            fewer Tweets have crossed than are required; of those that can answer no more, none is.
        """
        new: list[tuple[str, int, Crossing]] = []
        crossed = possible = 0
        for subject in self._rule.subjects(tweet_ids):
            key = subject.tweet_id or _SUM
            hit = False
            for place, condition in enumerate(self._rule.conditions):
                held = subject.hold(condition, look)
                if held is None:
                    continue
                beyond, crossing = held
                hit = hit or beyond
                marks = self._marks.setdefault(key, [_UNSEEN] * len(self._names))
                if marks[place] == _UNSEEN:
                    marks[place] = _TOLD if beyond and not self._fire_existing else _BELOW
                if beyond and marks[place] == _BELOW:
                    new.append((key, place, crossing))
            crossed += hit
            possible += any(subject.gives(one, look) for one in self._rule.conditions)
        needed = self._rule.needed(tweet_ids)
        if self._rule.require == "all":
            needed = max(1, possible)
        if crossed < needed:
            return []
        for key, place, _ in new:
            self._marks[key][place] = _TOLD
        return [crossing for _, _, crossing in new]

    def settle(self, crossings: Iterable[dict[str, Any]]) -> bool:
        """Mark crossings of an event as told of.

        :returns: whether any of them was not known to be.
        """
        news = False
        for crossing in crossings:
            if crossing["threshold"] not in self._names:
                # The watcher has been changed since.
                news = True
                continue
            marks = self._marks.setdefault(
                crossing["tweet_id"] or _SUM, [_UNSEEN] * len(self._names)
            )
            place = self._names.index(crossing["threshold"])
            news = news or marks[place] != _TOLD
            marks[place] = _TOLD
        return news


def make_event(crossings: Sequence[Crossing], *, source: str) -> dict[str, Any]:
    """Put crossings into one event: Airflow starts one run for all events of a poll.

    :param crossings: the crossings.
    :param source: what tells of them; the same crossings by another have another event's id.
    """
    told = [crossing.describe() for crossing in crossings]
    digest = hashlib.sha256(json.dumps([source, told]).encode()).hexdigest()
    return {"event_id": digest[:32], "crossings": told}
