"""Read lists, durations and literals in the forms that a template may render them to."""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import timedelta
from typing import Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

__all__ = ["is_given", "parse_duration", "parse_list", "parse_literal"]

_SEPARATORS: Final = re.compile(r"[\s,;]+")

# Iterable, or a number to Python, and not a list of values.
_NOT_A_LIST: Final = (Mapping, bool, bytes, bytearray, memoryview)

# What a template renders where a variable, parameter or XCom has no value.
_NOT_GIVEN: Final = frozenset({"", "None", "null"})


def is_given(value: object) -> bool:
    """Return whether a parameter holds a value: ``None``, and text of it, mean that it does not.

    :param value: the parameter as it was passed or rendered.
    """
    return value is not None and not (isinstance(value, str) and value.strip() in _NOT_GIVEN)


def parse_literal(text: str) -> object:
    """Read JSON, or else a Python literal: Airflow renders objects either way.

    :param text: such as ``{"a": 1}``, ``{'a': 1}``, ``[1, 2]``, ``None``.
    :returns: the value; the text as it was passed if it is neither, None if it is blank.
    """
    if not is_given(text):
        return None
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return read(text.strip())
    return text


def parse_duration(value: object, *, name: str) -> timedelta:
    """Return a duration.

    :param value: a timedelta, or an ISO 8601 duration such as ``PT24H``.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is neither.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        import pendulum

        try:
            parsed = pendulum.parse(value)
        except ValueError:
            parsed = None
        if isinstance(parsed, pendulum.Duration):
            return timedelta(seconds=parsed.total_seconds())
    msg = f"{name} must be a timedelta, or an ISO 8601 duration such as 'PT24H'; got {value!r}."
    raise InvalidArgumentError(msg)


def parse_list(value: object, *, name: str) -> list[object]:
    """Read a list, or what an upstream task or a template makes of one.

    :param value: a list, tuple, set, generator or other iterable; a numpy array, or a column of
        pandas or pyarrow; one whole number; text that holds a JSON or Python list, or values
        between commas, semicolons or white space. A set is sorted, so that its order is the same
        in each try.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is none of these. The message does not repeat the text.
    """
    if isinstance(value, str):
        return _list_in_text(value.strip(), name=name)
    if isinstance(value, AbstractSet):
        return sorted(value, key=str)
    if not isinstance(value, _NOT_A_LIST) and not _is_frame(value):
        for method in ("tolist", "to_pylist"):  # of numpy and pandas, and of pyarrow
            if callable(convert := getattr(value, method, None)):
                converted = convert()
                return converted if isinstance(converted, list) else [converted]
        if isinstance(value, Iterable):
            return list(value)
        with suppress(TypeError):
            return [operator.index(value)]  # type: ignore[arg-type]  # that is the question
    hint = " Pass one of its columns." if _is_frame(value) else ""
    msg = (
        f"{name} is of type {type(value).__name__}; "
        f"it must be a list, or text that a list can be read from.{hint}"
    )
    raise InvalidArgumentError(msg)


def _is_frame(value: object) -> bool:
    """Return whether this is a table of pandas, polars or pyarrow, which iterates over names."""
    return hasattr(value, "columns")


def _list_in_text(text: str, *, name: str) -> list[object]:
    if text.startswith(("[", "(", "{")):
        return _list_literal(text, name=name)
    return [part for part in _SEPARATORS.split(text) if part]


def _list_literal(text: str, *, name: str) -> list[object]:
    loaded = parse_literal(text)
    if isinstance(loaded, (list, tuple, set)):
        return parse_list(loaded, name=name)
    if isinstance(loaded, int):  # "(5)" is a number in brackets
        return [loaded]
    msg = f"{name} is text that starts like a list, and is neither a JSON nor a Python list."
    raise InvalidArgumentError(msg)
