"""Reads a list in any of the forms that a template may render it to."""

from __future__ import annotations

import ast
import json
import re
from typing import Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

__all__ = ["listed"]

_SEPARATORS: Final = re.compile(r"[\s,;]+")


def listed(value: object, *, where: str) -> list[object]:
    """Read a list, or what a template makes of one.

    :param value: a list or tuple; one number; text that holds a JSON or Python list, or values
        between commas, semicolons or white space.
    :param where: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is none of these. The message does not repeat the text.
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if not isinstance(value, str):
        msg = (
            f"{where} is of type {type(value).__name__}; "
            "it must be a list, or text that a list can be read from."
        )
        raise InvalidArgumentError(msg)
    text = value.strip()
    if text.startswith(("[", "(")):
        return _literal(text, where=where)
    return [part for part in _SEPARATORS.split(text) if part]


def _literal(text: str, *, where: str) -> list[object]:
    for read in (json.loads, ast.literal_eval):
        try:
            loaded = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(loaded, (list, tuple)):
            return list(loaded)
        if isinstance(loaded, int):  # "(5)" is a number in brackets
            return [loaded]
    msg = f"{where} is text that starts like a list, and is neither a JSON nor a Python list."
    raise InvalidArgumentError(msg)
