"""Write the parts of docs/ that are generated from the code: ``python -m tools.docs``.

A page marks such a part by its name::

    <!-- from code: endpoints -->
    ...
    <!-- end -->

With ``--check`` nothing is written. The differences are printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from typing import TYPE_CHECKING, Final

from tools.env import ROOT
from tools.tables import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["main", "pages", "renewed"]

_BESIDE: Final = ("README", "CODE_OF_CONDUCT", "CONTRIBUTING", "SECURITY")

_PART: Final = re.compile(
    r"(?P<begin><!-- from code: (?P<name>[a-z0-9-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def pages(root: Path = ROOT) -> list[Path]:
    """Return the README and the other pages beside it, and all pages in docs/."""
    return [*(root / f"{name}.md" for name in _BESIDE), *sorted((root / "docs").rglob("*.md"))]


def renewed(text: str) -> str:
    """Return a page's text with its generated parts up to date.

    :raises KeyError: if it names a part that does not exist.
    """

    def write(part: re.Match[str]) -> str:
        return f"{part['begin']}\n{PARTS[part['name']]().strip()}\n\n{part['end']}"

    return _PART.sub(write, text)


def main(argv: Sequence[str] | None = None) -> int:
    """Update the pages; with ``--check`` print the differences and return 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if out of date")
    check = parser.parse_args(argv).check
    stale = 0
    for page in pages():
        text = page.read_text()
        new = renewed(text)
        if new == text:
            continue
        stale += 1
        if check:
            sys.stdout.writelines(_difference(page, text, new))
        else:
            page.write_text(new)
            print(f"Written: {page.relative_to(ROOT)}")
    if check and stale:
        print("Out of date. Update them: python -m tools.docs")
    return int(check and stale > 0)


def _difference(page: Path, text: str, new: str) -> Iterator[str]:
    name = str(page.relative_to(ROOT))
    lines = text.splitlines(keepends=True), new.splitlines(keepends=True)
    return difflib.unified_diff(*lines, name, f"{name}, from the code", n=0)


if __name__ == "__main__":
    sys.exit(main())
