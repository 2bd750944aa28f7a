from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile

import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.records import Place
from airflow_provider_engagement.collections.streams import open_text

TEXT = "é\r\n😀\n"


def read(data: bytes) -> str:
    with open_text(io.BytesIO(data), Place("gs://bucket/a")) as text:
        return text.read()


def drain(data: bytes) -> int:
    size = 0
    with open_text(io.BytesIO(data), Place("gs://bucket/a")) as text:
        while chunk := text.read(2**16):
            size += len(chunk)
    return size


def zipped(**members: str | bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


PACKED = {
    "UTF-8": TEXT.encode(),
    "UTF-8 with a mark": TEXT.encode("utf-8-sig"),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16, little end first": f"\ufeff{TEXT}".encode("utf-16-le"),
    "UTF-16, big end first": f"\ufeff{TEXT}".encode("utf-16-be"),
    "gzip": gzip.compress(TEXT.encode()),
    "gzip of two members": gzip.compress(TEXT[:1].encode()) + gzip.compress(TEXT[1:].encode()),
    "gzip of UTF-16": gzip.compress(TEXT.encode("utf-16")),
    "zip": zipped(**{"ids.txt": TEXT}),
    "zip of a folder": zipped(**{"inbox/": "", "inbox/ids.txt": TEXT, "__MACOSX/._ids.txt": "x"}),
}


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED)
def test_text_is_unpacked_and_decoded(data: bytes) -> None:
    assert read(data) == TEXT


UNREADABLE = {
    "two members": (zipped(a="20", b="21"), "a zip file with 2 members"),
    "no member": (zipped(), "a zip file with 0 members"),
    "Excel": (zipped(**{"[Content_Types].xml": "", "xl/workbook.xml": ""}), "is a spreadsheet"),
    "gzip of gzip": (gzip.compress(gzip.compress(b"20")), "is packed twice"),
    "zip of gzip": (zipped(a=gzip.compress(b"20")), "is packed twice"),
    "gzip, cut": (gzip.compress(b"20" * 99)[:-3], "cannot be read"),
    "zip, cut": (zipped(a="20" * 99)[:-3], "cannot be read"),
    "UTF-16, cut": (b"\xff\xfea", "cannot be read"),
    "a mark, cut": (b"\xef\xbb", "cannot be read"),
}


@pytest.mark.parametrize(("data", "fault"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_unpacked_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^gs://bucket/a .*{fault}") as caught:
        drain(data)
    assert caught.value.__cause__ is None


def test_a_file_with_a_password_is_refused() -> None:
    data = bytearray(zipped(a="20"))
    data[6] |= 1  # in the member's own head, and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(InvalidArgumentError, match="a zip file with a password"):
        drain(bytes(data))


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped(a=data)])
def test_a_bomb_is_refused_before_it_fills_memory(pack: object) -> None:
    assert callable(pack)
    bomb = pack(b"20\n" * 2**27)
    assert len(bomb) < 2**20
    tracemalloc.start()
    with pytest.raises(InvalidArgumentError, match="unpacks to more than"):
        drain(bomb)
    assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    tracemalloc.stop()


def test_text_that_packs_well_is_not_a_bomb() -> None:
    line = b'{"id": "1260294888811347969", "text": "the same text each time"}\n' * 40
    packed = gzip.compress(b"".join(b"%d" % number + line for number in range(40_000)))
    assert drain(packed) > 64 * 2**20
