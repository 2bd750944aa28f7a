"""Read lists and literals in the forms that a template may render them to."""

from __future__ import annotations

import ast
import json
import re
from contextlib import suppress
from typing import Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

__all__ = ["is_given", "parse_list", "parse_literal"]

_SEPARATORS: Final = re.compile(r"[\s,;]+")

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


def parse_list(value: object, *, name: str) -> list[object]:
    """Read a list, or what a template makes of one.

    :param value: a list or tuple; one number; text that holds a JSON or Python list, or values
        between commas, semicolons or white space.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is none of these. The message does not repeat the text.
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if not isinstance(value, str):
        msg = (
            f"{name} is of type {type(value).__name__}; "
            "it must be a list, or text that a list can be read from."
        )
        raise InvalidArgumentError(msg)
    text = value.strip()
    if text.startswith(("[", "(")):
        return _list_literal(text, name=name)
    return [part for part in _SEPARATORS.split(text) if part]


def _list_literal(text: str, *, name: str) -> list[object]:
    loaded = parse_literal(text)
    if isinstance(loaded, (list, tuple)):
        return list(loaded)
    if isinstance(loaded, int):  # "(5)" is a number in brackets
        return [loaded]
    msg = f"{name} is text that starts like a list, and is neither a JSON nor a Python list."
    raise InvalidArgumentError(msg)
