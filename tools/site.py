"""Builds the site of the documentation and checks its links: ``make docs``.

Runs in ``.venv/docs``, which has Sphinx. A warning of Sphinx is an error. So is a link to a page,
a heading or a file that the site does not have, and whatever a page would load from another host.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from tools.env import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["main", "problems"]

SITE: Final = ROOT / "build" / "site"

# Relations of a link in the head of a page that a browser does not load.
_NOT_LOADED: Final = {"author", "canonical", "copyright", "index", "next", "prev", "search"}


def main() -> int:
    """Build and check; return 1 if there is a warning or a problem."""
    shutil.rmtree(SITE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
        built = subprocess.run(  # noqa: S603 - a fixed program, without a shell
            [*command, "-d", home, ROOT / "docs", SITE],
            cwd=ROOT,
            env={**os.environ, "AIRFLOW_HOME": home},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    if built.returncode:
        print(built.stderr)
        return 1
    found = list(problems(SITE))
    for problem in found:
        print(problem)
    pages = len(list(SITE.rglob("*.html")))
    print(f"{SITE / 'index.html'}: {pages} pages, {len(found)} broken links")
    return 1 if found else 0


@dataclass
class _Page(HTMLParser):
    """What a page links to and what it loads.

    :param links: the addresses in ``href`` and ``src``.
    :param loads: those of them that a browser loads with the page.
    :param anchors: the ids that a link can lead to.
    """

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses and the id of a tag."""
        values = {name: value or "" for name, value in attrs}
        found = [values[name] for name in ("href", "src") if name in values]
        self.links += found
        in_head = tag == "link" and _NOT_LOADED.isdisjoint(values.get("rel", "").split())
        if "src" in values or in_head:
            self.loads += found
        if "id" in values:
            self.anchors.add(values["id"])


def problems(site: Path) -> Iterator[str]:
    """Yield what is wrong with the links of a site.

    :param site: the folder of its pages.
    """
    pages = {path.resolve(): _Page() for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        page.feed(path.read_text())
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        yield from (f"{name}: loads {one}" for one in page.loads if urlsplit(one).netloc)
        for address in page.links:
            if problem := _broken(address, path, pages):
                yield f"{name}: {address}: {problem}"


def _broken(address: str, page: Path, pages: Mapping[Path, _Page]) -> str | None:
    """Return what is wrong with a link; None if it is right, or leads out of the site."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return "the file does not exist"
    fragment = unquote(parts.fragment)
    if fragment and target in pages and fragment not in pages[target].anchors:
        return "the page has no such heading"
    return None


if __name__ == "__main__":
    sys.exit(main())
