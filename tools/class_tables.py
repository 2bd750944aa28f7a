"""The generated parts of docs/ about the classes and modules that users import."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import airflow_provider_engagement
from airflow_provider_engagement.hooks.engagement import EngagementHook
from tools.markdown import markdown, sentence, table
from tools.public import commands, public_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CLASS_PARTS", "faces", "modules", "parameters"]

# Names of functions and methods in docstrings.
_REFERENCE: Final = re.compile(r":(?:meth|func):`~?(\w+)`")

# The packages whose classes a DAG author imports.
_FACES: Final = ("operators", "sensors", "transfers", "triggers")


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
                sentence(markdown(re.sub(r"\s*\(templated\)", "", meaning), classes)),
            )
        )
    return "\n\n".join(
        part
        for part in (
            f"## {face.__name__}",
            f"`from {face.__module__} import {face.__name__}`",
            markdown(before, classes),
            table(("parameter", "default", "templated", "meaning"), rows) if rows else "",
            markdown(after, classes),
        )
        if part
    )


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
        shown = sentence(markdown(_REFERENCE.sub(r"``\1``", meaning), {}))
        kind, _, subject = name.partition(" ")
        if kind == "param":
            rows.append((f"`{subject}`", _default(known[subject]), shown))
        elif kind == "returns":
            notes.append(f"Returns: {shown}")
        else:
            notes.append(f"Raises `{subject}`: {shown}")
    parts = (
        f"## {of}.{method.__name__}",
        markdown(_REFERENCE.sub(r"``\1``", text), {}),
        table(("parameter", "default", "meaning"), rows) if rows else "",
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


def _modules() -> str:
    parts = []
    for package, group in groupby(modules(), key=lambda module: module[0]):
        (_, _, summary), *rows = group
        purposes = [(f"`{name}`", markdown(text, {})) for _, name, text in rows]
        listed = table(("module", "purpose"), purposes) if rows else ""
        title = f"`{package}/`" if package else f"`{airflow_provider_engagement.__name__}/`"
        parts.append(f"### {title}\n\n{markdown(summary, {})}\n\n{listed}".rstrip())
    return "\n\n".join(parts)


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


def _public() -> str:
    rows = [
        (f"`{module}`", ", ".join(f"`{name}`" for name in names))
        for module, names in public_names().items()
    ]
    listed = ", ".join(f"`{command}`" for command in commands())
    return f"{table(('import from', 'names'), rows)}\n\nCommands: {listed}."


CLASS_PARTS: Final[dict[str, Callable[[], str]]] = {
    "operators": _operators,
    "hook": _hook,
    "modules": _modules,
    "public": _public,
}
