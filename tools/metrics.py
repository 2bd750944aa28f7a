"""Measures the size of the package: its lines, its functions and its modules.

``python -m tools.metrics`` prints the figures, ``--tree PATH`` those of another checkout.
"""

from __future__ import annotations

import argparse
import ast
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.env import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["LONGEST_MODULE", "MEDIAN_LENGTH", "NINTH_DECILE_LENGTH", "Metrics", "main", "measure"]

MEDIAN_LENGTH: Final = 7
"""Half of all functions have at most so many lines."""

NINTH_DECILE_LENGTH: Final = 22
"""Nine of ten functions have at most so many lines."""

LONGEST_MODULE: Final = 350
"""No module has more lines."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The size of a package.

    :param modules: the lines of each module, by its path below the package.
    :param functions: the lines of each function and method without its docstring, sorted.
    """

    modules: dict[str, int]
    functions: list[int]

    @property
    def lines(self) -> int:
        """The lines of all modules."""
        return sum(self.modules.values())

    @property
    def long_modules(self) -> dict[str, int]:
        """The modules with more lines than are allowed."""
        return {name: lines for name, lines in self.modules.items() if lines > LONGEST_MODULE}

    def length_within(self, share: float) -> int:
        """Return the smallest length that at least this share of the functions does not exceed.

        :param share: above 0, at most 1.
        """
        return self.functions[math.ceil(share * len(self.functions)) - 1]


def measure(package: Path = ROOT / "airflow_provider_engagement") -> Metrics:
    """Measure a package without its simulator.

    :param package: the package's folder.
    """
    paths = sorted(package.rglob("*.py"))
    texts = {str(path.relative_to(package)): path.read_text() for path in paths}
    texts = {name: text for name, text in texts.items() if not name.startswith("simulator")}
    lengths = [length for text in texts.values() for length in _function_lengths(text)]
    modules = {name: len(text.splitlines()) for name, text in texts.items()}
    return Metrics(modules=modules, functions=sorted(lengths))


def _function_lengths(text: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node, clean=False) else None
            yield _lines(node) - (_lines(docstring) if docstring else 0)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures beside their limits."""
    parser = argparse.ArgumentParser(prog="python -m tools.metrics", description=__doc__)
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout to measure")
    metrics = measure(parser.parse_args(argv).tree / "airflow_provider_engagement")
    print(f"{metrics.lines} lines in {len(metrics.modules)} modules, without the simulator")
    print(f"half of {len(metrics.functions)} functions: {metrics.length_within(0.5)} lines or less")
    print(f"nine of ten functions: {metrics.length_within(0.9)} lines or less")
    print(f"modules above {LONGEST_MODULE} lines: {metrics.long_modules or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
