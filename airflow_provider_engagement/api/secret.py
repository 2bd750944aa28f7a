"""Secrets that do not show in a repr, in a traceback's locals or in an error."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MASK", "Redactor", "Secret"]

MASK: Final = "***"

# Replacing a shorter value would garble ordinary text.
_SHORTEST: Final = 5

_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")


class Secret:
    """A text that shows as ``***`` everywhere but where :meth:`reveal` is called.

    :param value: the text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def encoded_variants(self) -> set[str]:
        """Return the text as it is, percent-encoded and in base64.

        Variants that are too short to be distinguished from ordinary text are left out.
        """
        value = self._value
        encoded_variants = {value, quote(value, safe=""), quote(value), unquote(value)}
        # Escapes have either case, and base64 may have its padding or not.
        encoded_variants |= {
            _ESCAPE.sub(lambda escape: escape[0].lower(), form) for form in encoded_variants
        }
        encoded = base64.b64encode(value.encode()).decode()
        encoded_variants |= {encoded, encoded.rstrip("=")}
        return {form for form in encoded_variants if len(form) >= _SHORTEST}

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"'{MASK}'"

    __str__ = __repr__


class Redactor:
    """Removes known secrets from text that comes from outside.

    :param secrets: what to remove, in every encoding.
    """

    def __init__(self, secrets: Iterable[Secret | None]) -> None:
        encoded_variants: set[str] = set()
        for secret in secrets:
            if secret is not None:
                encoded_variants |= secret.encoded_variants()
        # The longest first, because one variant may be part of another.
        self._forms = tuple(
            Secret(form) for form in sorted(encoded_variants, key=len, reverse=True)
        )

    def __call__(self, text: str) -> str:
        """Return the text with ``***`` in place of each secret."""
        for form in self._forms:
            text = text.replace(form.reveal(), MASK)
        return text
