"""What docs/ says of the code, read from the code: limits, columns, errors, parameters."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import airflow_provider_engagement
from airflow_provider_engagement.api import errors, spec
from airflow_provider_engagement.api.client import Retry
from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.api.query import GRANULARITIES
from airflow_provider_engagement.api.rate_limit import MAX_WAIT
from airflow_provider_engagement.api.response import Reply, read_response
from airflow_provider_engagement.api.settings import Settings
from airflow_provider_engagement.api.transport import MAX_ANSWER_BYTES
from airflow_provider_engagement.rows import schema
from airflow_provider_engagement.sinks.bigquery.loads import LoadBudget
from tools.hostile.cases import CASES
from tools.hostile.kinds import FAULTS, SHARES, Case, Fault, Gives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["PARTS", "faces", "parameters"]

# The folders of what a DAG's author imports.
_FACES: Final = ("operators", "sensors", "transfers", "triggers")

# How the service, or something in front of it, may refuse; what comes of it is read from the code.
_REFUSALS: Final = (
    (401, "Your account could not be authenticated. Reason: Access token not found"),
    (403, "your application id is not authorized."),
    (403, "any other words"),
    (403, "Forbidden to access tweets: 20"),
    (400, "1 Tweet ID(s) are unavailable"),
    (400, "any other words"),
    (404, ""),
    (406, "This request requires gzip compression."),
    (429, ""),
    (503, ""),
    (200, "<html>"),
    (200, "none of the groupings asked for"),
)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(str(c).replace('|', chr(92) + '|') for c in row)} |" for row in lines
    )


def _code(values: Iterable[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _days(period: timedelta) -> str:
    return f"{period.days} days"


def _endpoints() -> str:
    ends = spec.ENDPOINTS.values()
    rows: list[tuple[object, ...]] = [
        ("path", *(f"`{end.path}`" for end in ends)),
        ("Tweets in a request", *(end.max_tweet_ids for end in ends)),
        ("engagement types", *(len(end.engagement_types) for end in ends)),
        (
            "of them app-only, of any public Tweet",
            *(len(end.public_types) or "none" for end in ends),
        ),
        ("longest `end` - `start` of a request", *map(_window, ends)),
        ("levels of a grouping", *(_code(end.group_by) for end in ends)),
    ]
    return _table(("", *(f"`{end.name}`" for end in ends)), rows)


def _window(end: spec.Endpoint) -> str:
    return _days(end.max_window) if end.max_window else "takes neither"


def _types() -> str:
    ends = spec.ENDPOINTS.values()
    rows = [(f"`{name}`", *(_given(end, name) for end in ends)) for name in spec.ENGAGEMENT_TYPES]
    return _table(("type", *(f"`{end.name}`" for end in ends)), rows)


def _given(end: spec.Endpoint, name: str) -> str:
    if name not in end.engagement_types:
        return ""
    whose = "public" if name in end.public_types else "owner"
    limit = end.age_limits.get(name)
    return f"{whose}, Tweets up to {_days(limit)} old" if limit else whose


def _groupings() -> str:
    orders = " or ".join(_code(order) for order in spec.FOUR_LEVEL_ORDERS)
    reserved = _code(sorted(spec.RESERVED_GROUPING_NAMES))
    rules = (
        f"A request has at most {spec.MAX_GROUPINGS} groupings, each with levels of its own.",
        f"Four levels stand in one of these orders: {orders}.",
        f"A grouping is not named {reserved}, nor `{spec.RESERVED_GROUPING_PREFIX}` and more.",
        f"`historical` holds nothing before {spec.HISTORICAL_FLOOR:%Y-%m-%d}.",
        f"A range that begins over {_days(spec.HISTORICAL_REACH)} ago is asked for with a warning.",
        f"A type is no longer asked for {_days(spec.AGE_MARGIN)} after a Tweet passed its limit.",
    )
    return "\n".join(f"- {rule}" for rule in rules)


def _granularities() -> str:
    rows = [
        (f"`{end}`", f'`"{name}"`' + (" (default)" if place == 0 else ""), _code(levels))
        for end, choices in GRANULARITIES.items()
        for place, (name, levels) in enumerate(choices.items())
    ]
    return _table(("endpoint", "granularity", "groups by"), rows)


def _columns(columns: Sequence[schema.Column], key: Sequence[str]) -> str:
    rows = [
        (
            f"`{column.name}`",
            column.type,
            "" if column.required else "yes",
            "yes" if column.name in key else "",
            column.description,
        )
        for column in columns
    ]
    return _table(("column", "type", "may be null", "in the key", "meaning"), rows)


def _errors() -> str:
    tree = list(_tree(EngagementError))
    drawn = "\n".join(f"{'    ' * depth}{error.__name__}" for depth, error in tree)
    rows = [
        (f"`{error.__name__}`", "yes" if error.retryable else "", inspect.getdoc(error))
        for depth, error in tree
        if depth
    ]
    return f"```text\n{drawn}\n```\n\n" + _table(("class", "retried", "meaning"), rows)


def _tree(
    error: type[EngagementError], depth: int = 0
) -> Iterator[tuple[int, type[EngagementError]]]:
    """Give an error and all below it that are public, each with its depth."""
    yield depth, error
    for child in error.__subclasses__():
        if child.__name__ in errors.__all__:
            yield from _tree(child, depth + 1)


def _answers() -> str:
    rows = []
    for status, words in _REFUSALS:
        error = _refusal(status, words)
        shown = "a page of HTML" if words.startswith("<") else words
        known = next(base for base in type(error).__mro__ if base.__name__ in errors.__all__)
        told = re.sub(r"\d+ bytes", "so many bytes", f"{error.message} {error.advice}").strip()
        rows.append((status, shown, f"`{known.__name__}`", told))
    return _table(("status", "words", "error", "what it says"), rows)


def _refusal(status: int, words: str) -> EngagementError:
    """Have the code read a refusal."""
    listed = [words] if words and status != 200 else []  # noqa: PLR2004 - an HTTP status
    body = words if words.startswith("<") else json.dumps({"errors": listed})
    reply = Reply(status, {}, body.encode(), datetime.now(UTC))
    try:
        read_response(reply, grouping_names=["asked"], redact=str)
    except EngagementError as error:
        return error
    raise AssertionError


def _figures() -> str:
    retry, budget, settings = Retry(), LoadBudget(), Settings.__dataclass_fields__
    rows = [
        ("tries of one request", retry.attempts),
        (
            "pause after the first that failed, at most",
            f"{retry.first_wait:g} s, doubled each time",
        ),
        ("pause between two tries, at most", f"{retry.longest_wait:g} s"),
        (
            "wait that the service asks for, at most",
            f"{MAX_WAIT:g} s; a longer one is Airflow's",
        ),
        ("one request, at most (`extra.timeout`)", f"{settings['timeout'].default:g} s"),
        ("requests in flight (`extra.max_concurrency`)", settings["max_concurrency"].default),
        ("an answer, inflated, at most", f"{MAX_ANSWER_BYTES // 2**20} MiB"),
        ("load jobs of a task, at most", budget.most_loads),
        ("bytes in a load job, at least, but for the last", f"{budget.least_bytes // 2**20} MiB"),
    ]
    return _table(("what", "figure"), rows)


def _faults() -> str:
    rows = [(fault.name, _error(fault)) for fault in FAULTS]
    *others, last = (f"{share:.0%}" for share in SHARES)
    shares = f"Tried at {', '.join(others)} and {last} of all answers, each kind and all together."
    return _table(("what comes", "the error, if it goes on"), rows) + f"\n\n{shares}"


def _error(one: Case | Fault) -> str:
    """Tell an error, with dots where its words are but a part of what it says."""
    before = "" if one.says[0].isupper() else "… "
    after = "" if one.says.endswith((".", ")")) else " …"
    return f"`{one.error}`: {before}{one.says}{after}"


def _hostile() -> str:
    parts = []
    for gives in Gives:
        cases = [case for case in CASES if case.gives is gives]
        told = "\n".join(f"- {_sentence(case.name)}" for case in cases)
        if all(case.error for case in cases):
            error = "the error, if it goes on" if gives is Gives.AGAIN else "the error"
            told = _table(("what comes", error), [(case.name, _error(case)) for case in cases])
        parts.append(f"### {_sentence(gives)}\n\n{told}")
    return "\n\n".join(parts)


def faces() -> dict[str, type]:
    """Give every class that a DAG's author imports, and the bases that explain them, by name."""
    found: dict[str, type] = {}
    for folder in _FACES:
        try:
            package = importlib.import_module(f"{airflow_provider_engagement.__name__}.{folder}")
        except ModuleNotFoundError:
            continue
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            for name in getattr(module, "__all__", ()):
                value = getattr(module, name)
                if inspect.isclass(value) and hasattr(value, "template_fields"):
                    found[name] = value
    # Bases last: whoever looks for a class looks for one to use.
    bases = {base.__name__ for face in found.values() for base in face.__mro__[1:]}
    return dict(sorted(found.items(), key=lambda item: (item[0] in bases, item[0])))


def parameters(face: type) -> dict[str, inspect.Parameter]:
    """Give every parameter of ours that a class takes, its bases' included."""
    found: dict[str, inspect.Parameter] = {}
    for base in face.__mro__:
        ours = base.__module__.startswith(airflow_provider_engagement.__name__)
        if not ours or "__init__" not in vars(base):
            continue
        for name, parameter in inspect.signature(base.__init__).parameters.items():  # type: ignore[misc] # of a class, not of an instance
            if name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
                found.setdefault(name, parameter)
    return found


def _operators() -> str:
    classes = faces()
    return "\n\n".join(_face(face, classes) for face in classes.values())


def _face(face: type, classes: dict[str, type]) -> str:
    text = inspect.getdoc(face) or ""
    before, *params = re.split(r"^:param ", text, flags=re.MULTILINE)
    after = ""
    if params and "\n\n" in params[-1]:
        params[-1], _, after = params[-1].partition("\n\n")
    known = parameters(face)
    templated = set(getattr(face, "template_fields", ()))
    rows = []
    for param in params:
        name, _, meaning = param.partition(":")
        rows.append(
            (
                f"`{name}`",
                _default(known[name]),
                "yes" if name in templated else "",
                _sentence(_markdown(meaning.replace(" (templated)", ""), classes)),
            )
        )
    return "\n\n".join(
        part
        for part in (
            f"## {face.__name__}",
            f"`from {face.__module__} import {face.__name__}`",
            _markdown(before, classes),
            _table(("parameter", "default", "templated", "meaning"), rows) if rows else "",
            _markdown(after, classes),
        )
        if part
    )


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "required"
    if isinstance(parameter.default, timedelta):
        return f"{parameter.default.total_seconds() / 3600:.0f} hours"
    if isinstance(parameter.default, str):
        return f'`"{parameter.default}"`'
    return f"`{parameter.default}`"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _markdown(text: str, classes: dict[str, type]) -> str:
    """Turn a docstring's markup into a page's."""

    def link(match: re.Match[str]) -> str:
        name = match[1]
        return f"[{name}](#{name.lower()})" if name in classes else f"`{name}`"

    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    joined = "\n\n".join(part for part in paragraphs if part)
    return re.sub(r":class:`(\w+)`", link, joined.replace("``", "`"))


PARTS: Final[dict[str, Callable[[], str]]] = {
    "endpoints": _endpoints,
    "types": _types,
    "groupings": _groupings,
    "granularities": _granularities,
    "rows-long": lambda: _columns(schema.LONG, schema.LONG_KEY),
    "rows-wide": lambda: _columns(schema.WIDE, schema.WIDE_KEY),
    "rows-coverage": lambda: _columns(schema.COVERAGE, schema.COVERAGE_KEY),
    "errors": _errors,
    "answers": _answers,
    "figures": _figures,
    "faults": _faults,
    "hostile": _hostile,
    "operators": _operators,
}
"""The parts that a page can name."""
