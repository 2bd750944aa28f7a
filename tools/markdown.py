"""Writes the Markdown of the generated parts of docs/."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["code", "first_paragraph", "markdown", "sentence", "table"]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown; a ``|`` in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(str(c).replace('|', chr(92) + '|') for c in row)} |" for row in lines
    )


def code(values: Iterable[object]) -> str:
    """Return values as code, with commas between them."""
    return ", ".join(f"`{value}`" for value in values)


def sentence(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def first_paragraph(documented: object) -> str:
    """Return the first paragraph of a docstring, as Markdown."""
    return markdown((inspect.getdoc(documented) or "").partition("\n\n")[0], {})


def markdown(text: str, classes: dict[str, type]) -> str:
    """Convert a docstring from reStructuredText to Markdown."""

    def link(match: re.Match[str]) -> str:
        name = match[1]
        return f"[{name}](#{name.lower()})" if name in classes else f"`{name}`"

    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    joined = "\n\n".join(part for part in paragraphs if part)
    return re.sub(r":class:`(\w+)`", link, joined.replace("``", "`"))
