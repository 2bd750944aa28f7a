"""The generated parts of docs/ about errors: the classes, refusals and faults that are tested."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api import errors
from airflow_provider_engagement.api.errors import EngagementError, InvalidResponseError
from airflow_provider_engagement.api.refusal import refusal
from airflow_provider_engagement.api.transport import Reply
from tools.field_faults import FIELD_FAULTS
from tools.hostile.cases import CASES
from tools.hostile.kinds import FAULTS, SHARES, Case, Fault, Gives
from tools.markdown import first_paragraph, sentence, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FAULT_PARTS"]

# Refusals of the service, or of a server in front of it. The code says which error each becomes.
_REFUSALS: Final = (
    (401, "Your account could not be authenticated. Reason: Access token not found"),
    (403, "your application id is not authorized."),
    (403, "any other text"),
    (403, "Forbidden to access tweets: 20"),
    (400, "1 Tweet ID(s) are unavailable"),
    (400, "any other text"),
    (404, ""),
    (403, "<html>"),
    (407, ""),
    (406, "This request requires gzip compression."),
    (429, ""),
    (503, ""),
    (200, "<html>"),
    (200, "none of the requested groupings"),
)


def _errors() -> str:
    tree = list(_tree(EngagementError))
    drawn = "\n".join(f"{'    ' * depth}{error.__name__}" for depth, error in tree)
    rows = [
        (f"`{error.__name__}`", "yes" if error.retryable else "", first_paragraph(error))
        for depth, error in tree
        if depth
    ]
    return f"```text\n{drawn}\n```\n\n" + table(("class", "retried", "meaning"), rows)


def _tree(
    error: type[EngagementError], depth: int = 0
) -> Iterator[tuple[int, type[EngagementError]]]:
    """Yield an error and its public subclasses, each with its depth."""
    yield depth, error
    for child in error.__subclasses__():
        if child.__name__ in errors.__all__:
            yield from _tree(child, depth + 1)


def _answers() -> str:
    rows = []
    for status, words in _REFUSALS:
        error = _refusal(status, words)
        shown = "an HTML page" if words.startswith("<") else words
        known = next(base for base in type(error).__mro__ if base.__name__ in errors.__all__)
        said = re.sub(r"\d+ bytes", "n bytes", f"{error.message} {error.advice}").strip()
        rows.append((status, shown, f"`{known.__name__}`", said))
    return table(("status", "body", "error", "message and advice"), rows)


def _refusal(status: int, words: str) -> EngagementError:
    """Return the error that a refusal becomes."""
    listed = [words] if words and status != 200 else []  # noqa: PLR2004 - an HTTP status
    body = words if words.startswith("<") else json.dumps({"errors": listed})
    reply = Reply(status, {}, body.encode(), datetime.now(UTC))
    try:
        return refusal(reply, redact=str)
    except InvalidResponseError as error:
        return error


def _faults() -> str:
    rows = [(fault.name, _error(fault)) for fault in FAULTS]
    *others, last = (f"{share:.0%}" for share in SHARES)
    shares = (
        f"Each kind, and all kinds together, are tested with {', '.join(others)} and {last} "
        "faulty responses."
    )
    return table(("fault", "error if it persists"), rows) + f"\n\n{shares}"


def _error(one: Case | Fault) -> str:
    """Format an error, with dots where the text is only a part of its message."""
    before = "" if one.says[0].isupper() else "… "
    after = "" if one.says.endswith((".", ")")) else " …"
    return f"`{one.error}`: {before}{one.says}{after}"


def _hostile() -> str:
    parts = []
    for gives in Gives:
        cases = [case for case in CASES if case.gives is gives]
        shown = "\n".join(f"- {sentence(case.name)}" for case in cases)
        if all(case.error for case in cases):
            error = "error if it persists" if gives is Gives.AGAIN else "error"
            shown = table(("response", error), [(case.name, _error(case)) for case in cases])
        parts.append(f"### {sentence(gives)}\n\n{shown}")
    return "\n\n".join(parts)


def _field_faults() -> str:
    areas = dict.fromkeys(fault.area for fault in FIELD_FAULTS)
    return "\n\n".join(f"### {area}\n\n{_field_faults_of(area)}" for area in areas)


def _field_faults_of(area: str) -> str:
    rows = [
        (fault.kind, fault.outcome, "<br>".join(f"`{test}`" for test in fault.tests))
        for fault in FIELD_FAULTS
        if fault.area == area
    ]
    return table(("fault", "outcome", "tests"), rows)


FAULT_PARTS: Final[dict[str, Callable[[], str]]] = {
    "errors": _errors,
    "answers": _answers,
    "faults": _faults,
    "hostile": _hostile,
    "field-faults": _field_faults,
}
