"""Read parameters that a template may have turned into text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.parsing import is_given, parse_literal

__all__ = [
    "as_bool",
    "as_labels",
    "as_share",
    "as_text",
    "as_whole_number",
    "or_default",
]

_Default = TypeVar("_Default")


def or_default(value: object, default: _Default) -> object | _Default:
    """Return a parameter's value, or its default where a template rendered no value.

    :param value: the parameter; None, and the text ``None`` or an empty text, are no value.
    :param default: the parameter's default.
    """
    return value if is_given(value) else default


def as_text(value: object) -> str | None:
    """Return text, or None for no value.

    :param value: the parameter.
    """
    return str(value) if is_given(value) else None


def as_bool(value: object, *, name: str) -> bool:
    """Return a truth value.

    :param value: such as ``True``, ``"true"``, ``"1"``, ``"no"``; no value is false.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is neither true nor false.
    """
    text = str(value).strip().lower()
    if text in {"true", "1", "yes"}:
        return True
    if text in {"false", "0", "no"} or not is_given(value):
        return False
    msg = f"{name} must be true or false; got {value!r}."
    raise InvalidArgumentError(msg)


def as_share(value: object, *, name: str) -> float:
    """Return a share from 0 to 1.

    :param value: a number, or text of one.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is not a number from 0 to 1.
    """
    try:
        share = float(str(value))
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        msg = f"{name} must be a number from 0 to 1; got {value!r}."
        raise InvalidArgumentError(msg)
    return share


def as_labels(value: object, *, name: str) -> dict[str, str]:
    """Return labels as a mapping of text; empty for no value.

    :param value: a mapping, or text of one, as JSON or Python.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is neither.
    """
    labels = parse_literal(value) if isinstance(value, str) else value
    if labels is None:
        return {}
    if isinstance(labels, Mapping):
        return {str(key): str(label) for key, label in labels.items()}
    msg = f"{name} must be an object of text, such as {{'team': 'social'}}; got {value!r}."
    raise InvalidArgumentError(msg)


def as_whole_number(value: object, *, name: str) -> int | None:
    """Return a whole number above zero; None for no value.

    :param value: a number, or text of one.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is not a whole number above zero.
    """
    if not is_given(value):
        return None
    text = str(value).strip()
    if text.isdecimal() and int(text):
        return int(text)
    msg = f"{name} must be a whole number above zero; got {value!r}."
    raise InvalidArgumentError(msg)
