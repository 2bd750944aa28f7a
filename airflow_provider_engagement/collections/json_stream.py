"""Read JSON that spans lines, a value at a time, without holding the whole."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_engagement.collections.lines import Lines
    from airflow_provider_engagement.collections.records import Place

__all__ = ["JsonStream"]

_PIECE: Final = 256 * 1024
_MAX_VALUE: Final = 32 * 2**20
_BLANK: Final = re.compile(r"[ \t\r\n]*")
# What the end of the text may have cut: a literal, an escape, or a string.
_LONGEST_WORD: Final = len("-Infinity")
_OPEN_TEXT: Final = "Unterminated"

_DECODER: Final = json.JSONDecoder()


class JsonStream:
    """JSON text, read from its start to its end.

    :param head: the text that has been read already.
    :param lines: the rest of the file.
    :param place: counts the lines.
    """

    def __init__(self, head: str, lines: Lines, place: Place) -> None:
        self._text = head
        self._lines = lines
        self._place = place
        self._at = 0
        self._counted = 0  # where the current line was counted up to
        self._whole = False

    def peek(self) -> str:
        """Return the next character that is not blank; empty at the end."""
        while True:
            self._at = _BLANK.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self._at < len(self._text) or not self._fill(_PIECE):
                return self._text[self._at : self._at + 1]

    def take(self, expected: str) -> bool:
        """Take a character if it is the next that is not blank, and return whether it was."""
        if self.peek() != expected:
            return False
        self._at += 1
        return True

    def skip_past(self, mark: str) -> None:
        """Skip what stands before a character, and it."""
        while (found := self._text.find(mark, self._at)) < 0:
            self._at = len(self._text)
            if not self._fill(_PIECE):
                self.fail()
        self._at = found + 1

    def elements(self) -> Iterator[object]:
        """Yield the elements of an array whose bracket has been taken."""
        if self.take("]"):
            return
        while True:
            yield self.value()
            if self.take("]"):
                return
            if not self.take(","):
                self.fail()

    def keys(self) -> Iterator[str]:
        """Yield the keys of an object whose brace has been taken; take each value in between."""
        if self.take("}"):
            return
        while True:
            key = self.value()
            if not isinstance(key, str) or not self.take(":"):
                self.fail()
            yield key
            if self.take("}"):
                return
            if not self.take(","):
                self.fail()

    def value(self) -> object:
        """Return the next value.

        :raises InvalidArgumentError: if it is not JSON, or does not end within the bound.
        """
        if not self.peek():
            self.fail()
        more = _PIECE
        while True:
            end = None
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if error.pos < len(self._text) - _LONGEST_WORD and error.msg[:12] != _OPEN_TEXT:
                    self._at = error.pos
                    self.fail()
            except RecursionError:
                self.fail()
            # A number that the text ends with may go on.
            if end is not None and (end < len(self._text) or self._whole):
                self._count(end)
                self._at = end
                return value
            if len(self._text) - self._at > _MAX_VALUE:
                raise self._place.error(
                    f"is in a JSON value of more than {_MAX_VALUE:,} characters.",
                    "Write one Tweet, or one page of Tweets, a line.",
                )
            if not self._fill(more) and end is None:
                self.fail()
            more *= 2

    def fail(self) -> NoReturn:
        """Refuse the text at the current place.

        :raises InvalidArgumentError: always.
        """
        self._count(self._at)
        ends = self._whole and not self._text[self._at :].strip()
        raise self._place.error("ends inside a JSON value." if ends else "is not JSON.")

    def _fill(self, size: int) -> bool:
        """Read more, drop what has been taken, and return whether there was more."""
        if self._whole:
            return False
        self._count(self._at)
        piece = self._lines.piece(size)
        self._whole = not piece
        self._text = self._text[self._at :] + piece
        self._at = self._counted = 0
        return True

    def _count(self, end: int) -> None:
        self._place.line += self._text.count("\n", self._counted, end)
        self._counted = max(self._counted, end)
