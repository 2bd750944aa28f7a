"""The tools that measure the package."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tools.env import ROOT
from tools.metrics import measure

if TYPE_CHECKING:
    from pathlib import Path


def profile(*options: str) -> str:
    command = [sys.executable, ROOT / "tools" / "pull_profile.py", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert ran.returncode == 0, ran.stderr
    return ran.stdout[ran.stdout.index("modules ") :]


def test_pull_profile_counts_what_a_pull_enters_outside_the_simulator() -> None:
    first, *listed = profile("--list").splitlines()
    entered = [tuple(line.split()) for line in listed]
    assert ("api/transport.py", "post") in entered
    assert ("operators/engagement.py", "EngagementTotalsOperator.__init__") in entered
    modules = {module for module, _ in entered}
    assert not [module for module in modules if module.startswith("simulator")]
    assert first == f"modules {len(modules)}, functions {len(entered)}"


def test_pull_profile_counts_imports_when_asked() -> None:
    plain, with_imports = (
        [int(figure) for figure in re.findall(r"\d+", text)]
        for text in (profile(), profile("--imports"))
    )
    assert all(more > less for more, less in zip(with_imports, plain, strict=True))


def test_metrics_measure_lines_functions_and_modules(tmp_path: Path) -> None:
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator" / "world.py").write_text("def left_out():\n    pass\n")
    (tmp_path / "short.py").write_text("def f():\n    return 1\n\n\nasync def g():\n    pass\n")
    (tmp_path / "long.py").write_text("class C:\n    def h(self):\n" + "        pass\n" * 400)
    found = measure(tmp_path)
    assert found.functions == [2, 2, 401]
    assert found.lines == 6 + 402
    assert found.long_modules == {"long.py": 402}
    assert (found.length_within(0.5), found.length_within(0.9)) == (2, 401)
