"""Settings of Sphinx, which makes the site of these pages: ``make docs``.

The pages are also read in the repository, so they hold no directives: the navigation is read
from the lists of ``index.md``, and a link to a file outside ``docs/`` leads to the repository.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = METADATA["urls"]["Source"]

project = METADATA["name"]
author = "the contributors"
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
nitpicky = True
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4
myst_links_external_new_tab = False
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
add_module_names = False
python_maximum_signature_line_length = 88
# Types of other packages, whose documentation the site does not load, and of private modules.
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sourcelink = False
html_static_path: list[str] = []
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}

_LINK = re.compile(r"(\]\()((?:\.\./)+)([^)#\s]+)([^)\s]*\))")


def navigation(index: str) -> str:
    """Return a table of contents for each section of the index, in the order of its links."""
    trees = []
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        caption, _, body = section.partition("\n")
        names = re.findall(r"\]\(([\w/.-]+)\.(?:md|rst)\)", body)
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", *names, "```"]))
    return "\n\n" + "\n\n".join(trees) + "\n"


def prepare(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the navigation to the index; lead links that leave ``docs/`` to the repository."""
    depth = docname.count("/") + 1

    def to_repository(match: re.Match[str]) -> str:
        opening, up, path, rest = match.groups()
        if up.count("../") < depth:
            return match[0]
        if not (ROOT / path).exists():
            msg = f"{docname}: {up}{path} does not exist"
            raise FileNotFoundError(msg)
        return f"{opening}{REPOSITORY}/blob/main/{path}{rest}"

    text = _LINK.sub(to_repository, source[0])
    source[0] = text + navigation(text) if docname == "index" else text


def setup(app: Sphinx) -> None:
    """Call ``prepare`` for each page that Sphinx reads."""
    app.connect("source-read", prepare)
