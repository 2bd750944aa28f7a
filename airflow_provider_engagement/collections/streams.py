"""Open a file as text: unpack gzip and zip within bounds, and find the encoding."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import tempfile
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_engagement.collections.records import Place

__all__ = ["open_text"]

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"

_ENCODINGS: Final = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}

# Text shrinks by a factor of 5 to 20, repetitive text by 100. A bomb of deflate reaches 1,000.
_MAX_RATIO: Final = 400
_FREE_OF_RATIO: Final = 64 * 2**20
_MAX_UNPACKED: Final = 64 * 2**30

_BUFFER: Final = 256 * 1024
_ZIP_IN_MEMORY: Final = 16 * 2**20


@contextlib.contextmanager
def open_text(file: IO[bytes], place: Place) -> Iterator[io.TextIOWrapper]:
    """Open a file as text, with its line ends as they are.

    :param file: the open file, plain, gzip, or zip with one member. It need not seek.
    :param place: what to call it in an error, and the line that has been read.
    :raises InvalidArgumentError: if it cannot be decoded or unpacked, here or while it is read.
    """
    try:
        with contextlib.ExitStack() as stack:
            data = _unpacked(_Rejoined(*_peek(file)), place, stack)
            head, rest = _peek(data)
            if head.startswith((_GZIP, _ZIP)):
                raise place.error("is packed twice.", "Unpack it once.")
            encoding = next((e for bom, e in _ENCODINGS.items() if head.startswith(bom)), "utf-8")
            buffered = io.BufferedReader(_Rejoined(head, rest), _BUFFER)
            yield io.TextIOWrapper(buffered, encoding=encoding, newline="")
    except RecursionError:
        raise place.error("is nested too deeply.") from None
    except (UnicodeError, zlib.error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile):
        at = f"after line {place.line}" if place.line else "from its start"
        place.line = 0
        raise place.error(
            f"cannot be read {at}: it is neither text in UTF-8, nor in UTF-16 with a byte order "
            "mark, nor a whole gzip or zip file of it.",
        ) from None


def _unpacked(file: _Rejoined, place: Place, stack: contextlib.ExitStack) -> IO[bytes]:
    if file.head.startswith(_GZIP):
        unpacked = stack.enter_context(gzip.GzipFile(fileobj=io.BufferedReader(file, _BUFFER)))
        return io.BufferedReader(_Bounded(unpacked, place, file), _BUFFER)
    if file.head.startswith((_ZIP, _EMPTY_ZIP)):
        return io.BufferedReader(_Bounded(_open_member(file, place, stack), place, file), _BUFFER)
    return io.BufferedReader(file, _BUFFER)


def _open_member(file: _Rejoined, place: Place, stack: contextlib.ExitStack) -> Any:
    spool = tempfile.SpooledTemporaryFile(_ZIP_IN_MEMORY)  # noqa: SIM115 - the stack closes it
    stack.enter_context(spool)
    shutil.copyfileobj(io.BufferedReader(file, _BUFFER), spool)
    try:
        archive = stack.enter_context(zipfile.ZipFile(spool))
        return stack.enter_context(archive.open(_only_member(archive, place)))
    except InvalidArgumentError:
        raise
    except Exception as error:
        # Of a damaged directory zipfile raises whatever a wrong number leads to.
        raise zipfile.BadZipFile from error


def _only_member(archive: zipfile.ZipFile, place: Place) -> zipfile.ZipInfo:
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    if any(member.filename == "[Content_Types].xml" for member in members):
        raise place.error("is a spreadsheet.", "Export the sheet as CSV, with the ids as text.")
    if len(members) != 1:
        raise place.error(
            f"is a zip file with {len(members)} members.",
            "Pass a zip file with one member, or unpack it and pass the folder.",
        )
    if members[0].flag_bits & 0x1:
        raise place.error("is a zip file with a password.", "Unpack it first.")
    if members[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise place.error("is a zip file that is not packed by deflate.", "Unpack it first.")
    return members[0]


def _peek(file: IO[bytes] | io.RawIOBase) -> tuple[bytes, IO[bytes]]:
    """Read the first four bytes; a raw stream may return fewer than requested."""
    head = b""
    while len(head) < len(_ZIP) and (more := file.read(len(_ZIP) - len(head))):
        head += more
    return head, file  # type: ignore[return-value]  # a raw stream is read in the same way


class _Rejoined(io.RawIOBase):
    """A stream that need not seek, with the bytes that were read before it.

    :param head: those bytes.
    :param rest: the stream after them.
    """

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self.head = head
        self.taken = 0
        self._read = getattr(rest, "read1", rest.read)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower on purpose
        """Fill the buffer, first from the head."""
        chunk = self.head[self.taken :][: len(buffer)] or self._read(len(buffer))
        self.taken += len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)


class _Bounded(io.RawIOBase):
    """An unpacked stream that refuses to become much larger than what it is unpacked from.

    :param unpacked: the stream.
    :param place: its place, for the error.
    :param packed: the packed stream, which counts what is taken from it.
    """

    def __init__(
        self, unpacked: gzip.GzipFile | zipfile.ZipExtFile, place: Place, packed: _Rejoined
    ) -> None:
        self._unpacked = unpacked
        self._place = place
        self._packed = packed
        self._read = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower on purpose
        """Fill the buffer, or refuse."""
        chunk = self._unpacked.read1(len(buffer))  # what is whole, before an error behind it
        self._read += len(chunk)
        bound = max(_FREE_OF_RATIO, min(self._packed.taken * _MAX_RATIO, _MAX_UNPACKED))
        if self._read > bound:
            raise self._place.error(
                f"unpacks to more than {bound:,} bytes, {_MAX_RATIO} times its own size.",
                "Check the file; unpack it first if it is right.",
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)
