from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from run_command import run

from tools.env import ENVIRONMENTS, ROOT, Workshop
from tools.site import problems

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '<link rel="stylesheet" href="style.css"><link rel="canonical" href="https://example.com/">'


def make_site(folder: Path, body: str) -> Path:
    (folder / "style.css").write_text("")
    (folder / "other.html").write_text('<h2 id="here">Here</h2>')
    (folder / "index.html").write_text(f"{HEAD}<h1 id='top'>Top</h1>{body}")
    return folder


def test_right_links_are_no_problem(tmp_path: Path) -> None:
    body = (
        '<a href="#top">a</a><a href="other.html#here">b</a><a href="https://example.com/">c</a>'
        '<img src="data:image/png;base64,AA">'
    )
    assert list(problems(make_site(tmp_path, body))) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="none.html">a</a>', "index.html: none.html: the file does not exist"),
        ('<img src="none.png">', "index.html: none.png: the file does not exist"),
        ('<a href="#none">a</a>', "index.html: #none: the page has no such heading"),
        ('<a href="other.html#x">a</a>', "index.html: other.html#x: the page has no such heading"),
        (
            '<script src="https://cdn.example.com/x.js"></script>',
            "index.html: loads https://cdn.example.com/x.js",
        ),
        (
            '<link rel="stylesheet" href="//fonts.example.com/x.css">',
            "index.html: loads //fonts.example.com/x.css",
        ),
    ],
)
def test_a_broken_link_is_named(tmp_path: Path, body: str, problem: str) -> None:
    assert list(problems(make_site(tmp_path, body))) == [problem]


@pytest.mark.long
@pytest.mark.e2e
def test_the_site_has_no_broken_link() -> None:
    workshop, docs = Workshop(), ENVIRONMENTS["docs"]
    workshop.make(docs)
    output = run(workshop.python(docs), "-m", "tools.site", cwd=ROOT)
    assert " pages, 0 broken links" in output
