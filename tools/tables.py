"""The generated parts of docs/: limits, columns, errors, parameters and modules."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import airflow_provider_engagement
from airflow_provider_engagement.api import errors, spec
from airflow_provider_engagement.api.client import RetryPolicy
from airflow_provider_engagement.api.errors import EngagementError, InvalidResponseError
from airflow_provider_engagement.api.query import GRANULARITIES, Grouping
from airflow_provider_engagement.api.rate_stores.base import MAX_WAIT
from airflow_provider_engagement.api.refusal import refusal
from airflow_provider_engagement.api.settings import Settings
from airflow_provider_engagement.api.transport import MAX_RESPONSE_BYTES, Reply
from airflow_provider_engagement.collections.schema import ATTRIBUTES, LABELS, Attribute
from airflow_provider_engagement.hooks.engagement import EngagementHook
from airflow_provider_engagement.reports.views import views
from airflow_provider_engagement.rows import schema
from airflow_provider_engagement.rows.build import granularity_of
from airflow_provider_engagement.sinks.bigquery.loads import LoadBudget
from tools.command_tables import COMMAND_PARTS
from tools.field_faults import FIELD_FAULTS
from tools.hostile.cases import CASES
from tools.hostile.kinds import FAULTS, SHARES, Case, Fault, Gives
from tools.hours import CONTRACTS, rows
from tools.public import commands, public_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["PARTS", "faces", "modules", "parameters"]

# Names of functions and methods in docstrings.
_REFERENCE: Final = re.compile(r":(?:meth|func):`~?(\w+)`")

# The packages whose classes a DAG author imports.
_FACES: Final = ("operators", "sensors", "transfers", "triggers")

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
        ("Tweets per request", *(end.max_tweet_ids for end in ends)),
        ("engagement types", *(len(end.engagement_types) for end in ends)),
        (
            "of them public (app-only, of any public Tweet)",
            *(len(end.public_types) or "none" for end in ends),
        ),
        ("longest window of a request", *map(_window, ends)),
        ("levels of a grouping", *(_code(end.group_by) for end in ends)),
    ]
    return _table(("", *(f"`{end.name}`" for end in ends)), rows)


def _window(end: spec.Endpoint) -> str:
    return _days(end.max_window) if end.max_window else "takes no window"


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
    prefix = spec.RESERVED_GROUPING_PREFIX
    zeros = " and ".join(
        f"{_code(names)} before {day:%Y-%m-%d}" for day, names in _by_value(spec.FALSE_ZEROS_BEFORE)
    )
    reach, margin = _days(spec.HISTORICAL_REACH), _days(spec.AGE_MARGIN)
    rules = (
        f"A request has at most {spec.MAX_GROUPINGS} groupings. Their levels must differ.",
        f"Four levels must be in one of these orders: {orders}.",
        f"A grouping must not be named {reserved}.",
        f"The name of a grouping must not begin with `{prefix}`.",
        f"`historical` holds nothing before {spec.HISTORICAL_FLOOR:%Y-%m-%d}.",
        f"A window that begins over {reach} ago is requested with a warning.",
        f"`historical` returns a wrong 0 for {zeros}. Such counts are absent.",
        f"A type is requested until {margin} after a Tweet has passed its age limit.",
    )
    return "\n".join(f"- {rule}" for rule in rules)


def _by_value(mapping: Mapping[str, datetime]) -> Iterator[tuple[datetime, list[str]]]:
    """Yield each value with its keys."""
    for value in sorted(set(mapping.values())):
        yield value, [key for key, other in mapping.items() if other == value]


def _granularities() -> str:
    rows = [
        (
            f"`{end}`",
            f'`"{name}"`' + (" (default)" if place == 0 else ""),
            _code(levels),
            f"`{granularity_of(Grouping(end, levels), end)}`",
        )
        for end, choices in GRANULARITIES.items()
        for place, (name, levels) in enumerate(choices.items())
    ]
    rows.append(
        ("`28hr`, `historical`", "`groupings` with hour and without day", "", "`hour_of_day`")
    )
    head = ("endpoint", "parameter `granularity`", "groups by", "column `granularity`")
    return _table(head, rows)


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


def _attributes(attributes: Iterable[Attribute]) -> str:
    rows = [(f"`{each.name}`", each.type, each.description) for each in attributes]
    return _table(("column", "type", "meaning"), rows)


def _errors() -> str:
    tree = list(_tree(EngagementError))
    drawn = "\n".join(f"{'    ' * depth}{error.__name__}" for depth, error in tree)
    rows = [
        (f"`{error.__name__}`", "yes" if error.retryable else "", _summary(error))
        for depth, error in tree
        if depth
    ]
    return f"```text\n{drawn}\n```\n\n" + _table(("class", "retried", "meaning"), rows)


def _summary(documented: object) -> str:
    """Return the first paragraph of a docstring, as Markdown."""
    return _markdown((inspect.getdoc(documented) or "").partition("\n\n")[0], {})


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
    return _table(("status", "body", "error", "message and advice"), rows)


def _refusal(status: int, words: str) -> EngagementError:
    """Return the error that a refusal becomes."""
    listed = [words] if words and status != 200 else []  # noqa: PLR2004 - an HTTP status
    body = words if words.startswith("<") else json.dumps({"errors": listed})
    reply = Reply(status, {}, body.encode(), datetime.now(UTC))
    try:
        return refusal(reply, redact=str)
    except InvalidResponseError as error:
        return error


def _figures() -> str:
    retry, budget, settings = RetryPolicy(), LoadBudget(), Settings.__dataclass_fields__
    rows = [
        ("time in which a request is retried, from its first failure on", f"{retry.budget:g} s"),
        (
            "longest pause after the first failure",
            f"{retry.first_wait:g} s, doubled each time",
        ),
        ("longest pause between two tries", f"{retry.max_wait:g} s"),
        (
            "longest wait for the rate limit in a pull",
            f"{MAX_WAIT:g} s; Airflow retries the task after a longer one",
        ),
        ("timeout of one request (`extra.timeout`)", f"{settings['timeout'].default:g} s"),
        ("concurrent requests (`extra.max_concurrency`)", settings["max_concurrency"].default),
        ("largest response, decompressed", f"{MAX_RESPONSE_BYTES // 2**20} MiB"),
        ("load jobs of a task, at most", budget.most_loads),
        ("smallest load job, except the last", f"{budget.least_bytes // 2**20} MiB"),
    ]
    return _table(("figure", "value"), rows)


def _faults() -> str:
    rows = [(fault.name, _error(fault)) for fault in FAULTS]
    *others, last = (f"{share:.0%}" for share in SHARES)
    shares = (
        f"Each kind, and all kinds together, are tested with {', '.join(others)} and {last} "
        "faulty responses."
    )
    return _table(("fault", "error if it persists"), rows) + f"\n\n{shares}"


def _error(one: Case | Fault) -> str:
    """Format an error, with dots where the text is only a part of its message."""
    before = "" if one.says[0].isupper() else "… "
    after = "" if one.says.endswith((".", ")")) else " …"
    return f"`{one.error}`: {before}{one.says}{after}"


def _hostile() -> str:
    parts = []
    for gives in Gives:
        cases = [case for case in CASES if case.gives is gives]
        shown = "\n".join(f"- {_sentence(case.name)}" for case in cases)
        if all(case.error for case in cases):
            error = "error if it persists" if gives is Gives.AGAIN else "error"
            shown = _table(("response", error), [(case.name, _error(case)) for case in cases])
        parts.append(f"### {_sentence(gives)}\n\n{shown}")
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
    return _table(("fault", "outcome", "tests"), rows)


def faces() -> dict[str, type]:
    """Return every class that a DAG author imports, and their documented bases, by name."""
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
    # Bases come last, because readers look for a class to use.
    bases = {base.__name__ for face in found.values() for base in face.__mro__[1:]}
    return dict(sorted(found.items(), key=lambda item: (item[0] in bases, item[0])))


def parameters(face: type) -> dict[str, inspect.Parameter]:
    """Return the parameters that a class and its bases in this package take."""
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
                _sentence(_markdown(re.sub(r"\s*\(templated\)", "", meaning), classes)),
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


def _hook() -> str:
    return "\n\n".join(
        _method(EngagementHook.__name__, method)
        for method in (
            EngagementHook.get_totals,
            EngagementHook.get_28hr,
            EngagementHook.get_historical,
            EngagementHook.get_conn,
        )
    )


def _method(of: str, method: Callable[..., object]) -> str:
    text, *fields = re.split(r"^:", inspect.getdoc(method) or "", flags=re.MULTILINE)
    known = inspect.signature(method).parameters
    rows, notes = [], []
    for field in fields:
        name, _, meaning = field.partition(":")
        shown = _sentence(_markdown(_REFERENCE.sub(r"``\1``", meaning), {}))
        kind, _, subject = name.partition(" ")
        if kind == "param":
            rows.append((f"`{subject}`", _default(known[subject]), shown))
        elif kind == "returns":
            notes.append(f"Returns: {shown}")
        else:
            notes.append(f"Raises `{subject}`: {shown}")
    parts = (
        f"## {of}.{method.__name__}",
        _markdown(_REFERENCE.sub(r"``\1``", text), {}),
        _table(("parameter", "default", "meaning"), rows) if rows else "",
        "\n".join(f"- {note}" for note in notes),
    )
    return "\n\n".join(part for part in parts if part)


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
    """Convert a docstring from reStructuredText to Markdown."""

    def link(match: re.Match[str]) -> str:
        name = match[1]
        return f"[{name}](#{name.lower()})" if name in classes else f"`{name}`"

    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    joined = "\n\n".join(part for part in paragraphs if part)
    return re.sub(r":class:`(\w+)`", link, joined.replace("``", "`"))


def modules() -> Iterator[tuple[str, str, str]]:
    """Yield each module of the package: its package, its name and its docstring's first sentence.

    A package yields its own docstring first, with an empty name.
    """
    root = Path(airflow_provider_engagement.__file__).parent
    for path in sorted(root.rglob("*.py"), key=lambda path: (path.parent, path.name)):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        summary = " ".join(text.partition("\n\n")[0].split())
        package = path.parent.relative_to(root).as_posix().removeprefix(".")
        yield package, path.stem.removeprefix("__init__"), summary


def _modules() -> str:
    parts = []
    for package, group in groupby(modules(), key=lambda module: module[0]):
        (_, _, summary), *rows = group
        table = _table(
            ("module", "purpose"),
            [(f"`{name}`", _markdown(text, {})) for _, name, text in rows],
        )
        title = f"`{package}/`" if package else f"`{airflow_provider_engagement.__name__}/`"
        parts.append(f"### {title}\n\n{_markdown(summary, {})}\n\n{table if rows else ''}".rstrip())
    return "\n\n".join(parts)


def _public() -> str:
    rows = [
        (f"`{module}`", ", ".join(f"`{name}`" for name in names))
        for module, names in public_names().items()
    ]
    listed = ", ".join(f"`{command}`" for command in commands())
    return f"{_table(('import from', 'names'), rows)}\n\nCommands: {listed}."


def _hours() -> str:
    head = ["endpoint", "Tweets", "requests", *(f"{limit} a minute" for limit in CONTRACTS)]
    return _table(head, rows())


def _views() -> str:
    head = ("column of the view", "type", "meaning")
    return "\n\n".join(
        f"### `<table>_{each.name}`\n\n{each.description}\n\n"
        + _table(head, ((f"`{c.name}`", c.type, c.description) for c in each.columns))
        for each in views()
    )


PARTS: Final[dict[str, Callable[[], str]]] = {
    "endpoints": _endpoints,
    "types": _types,
    "groupings": _groupings,
    "granularities": _granularities,
    "rows-long": lambda: _columns(schema.LONG, schema.LONG_KEY),
    "rows-wide": lambda: _columns(schema.WIDE, schema.WIDE_KEY),
    "rows-coverage": lambda: _columns(schema.COVERAGE, schema.COVERAGE_KEY),
    "attributes": lambda: _attributes(ATTRIBUTES),
    "labels": lambda: _attributes(LABELS),
    "errors": _errors,
    "answers": _answers,
    "figures": _figures,
    "faults": _faults,
    "hostile": _hostile,
    "field-faults": _field_faults,
    "operators": _operators,
    "modules": _modules,
    "hook": _hook,
    "public": _public,
    "views": _views,
    **COMMAND_PARTS,
    "hours": _hours,
}
"""The parts that a page can include, by name."""
