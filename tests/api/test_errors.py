from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from airflow_provider_engagement.api import errors
from airflow_provider_engagement.api.client import PullStoppedError
from airflow_provider_engagement.api.errors import (
    EngagementError,
    InvalidArgumentError,
    PermissionDeniedError,
    TweetsRefusedError,
)

TREE = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
FACTS: dict[str, Any] = {
    "advice": "Do this.",
    "status": 403,
    "words": ("Forbidden to access tweets: 20", "and so on"),
    "retry_at": 1_800_000_000.5,
}


@pytest.mark.parametrize("kind", [*TREE, PullStoppedError])
def test_errors_keep_their_facts_when_pickled(kind: type[EngagementError]) -> None:
    error = kind("It went wrong.", **FACTS)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert {name: getattr(copy, name) for name in FACTS} == FACTS


def test_a_refusal_keeps_the_ids_that_it_names() -> None:
    error = TweetsRefusedError("No.")
    error.forbidden, error.unavailable = frozenset({"20"}), frozenset({"21"})
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (copy.forbidden, copy.unavailable) == ({"20"}, {"21"})
    assert TweetsRefusedError("No.").forbidden == frozenset()


def test_documented_tree_of_errors_is_right() -> None:
    drawn = {
        line[1]: line[2]
        for line in re.finditer(r"[├└]── (\w+) +(.*)$", errors.__doc__ or "", re.MULTILINE)
    }
    assert {EngagementError.__name__, *drawn} == {kind.__name__ for kind in TREE}
    for name, described in drawn.items():
        kind = getattr(errors, name)
        parent = PermissionDeniedError if kind is TweetsRefusedError else EngagementError
        assert kind.__bases__[0] is parent
        assert kind.retryable == described.endswith("retryable")
        assert issubclass(kind, ValueError) == ("also a ValueError" in described)


def test_the_root_is_not_retryable() -> None:
    assert not EngagementError.retryable


def test_an_error_says_what_happened_what_was_said_and_what_to_do() -> None:
    assert str(InvalidArgumentError("It went wrong.", **FACTS)) == (
        "It went wrong. (HTTP 403) "
        "The service said: Forbidden to access tweets: 20 | and so on. Do this."
    )
    assert str(InvalidArgumentError("It went wrong.")) == "It went wrong."
