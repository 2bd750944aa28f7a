"""Read a text file by lines or by chunks, and count its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from airflow_provider_engagement.collections.records import Place

__all__ = ["MAX_LINE", "Lines"]

# A page of 500 Tweets with all that belongs to them has 5 MB; a line of a million ids, 20 MB.
MAX_LINE: Final = 32 * 2**20

_BREAKS: Final = ("\n", "\r")


class Lines:
    """The lines of a file, each with its line break.

    :param text: the file.
    :param place: counts the lines.
    """

    def __init__(self, text: io.TextIOWrapper, place: Place) -> None:
        self._text = text
        self._place = place
        self._lines = self._read()
        self.ended = True
        """Whether the last line that was read ended in a line break."""

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def first(self) -> str:
        """Return the first line that is not blank, or its start; empty if the file has none."""
        while line := self._text.readline(MAX_LINE):
            self._place.line += 1
            self.ended = line.endswith(_BREAKS)
            if line.strip():
                return line
        return ""

    def _read(self) -> Iterator[str]:
        readline, place = self._text.readline, self._place
        while line := readline(MAX_LINE):
            place.line += 1
            self.ended = line.endswith(_BREAKS)
            if not self.ended:
                self.check_length(line)
            yield line

    def check_length(self, line: str) -> None:
        """Refuse a line that is the start of a longer one.

        :param line: the line that was read last.
        :raises InvalidArgumentError: if it has no end within the bound.
        """
        if len(line) == MAX_LINE and not self.ended:
            raise self._place.error(
                f"is longer than {MAX_LINE:,} characters.", "A line holds one id, or one Tweet."
            )

    def piece(self, size: int) -> str:
        """Return the next characters, without regard to lines; empty at the end."""
        return self._text.read(size)
