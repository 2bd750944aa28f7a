"""Chromium for the tests that look at Airflow's user interface: ``python -m tools.browser``.

Chromium is a package of the operating system. It is installed only as root on Debian and similar
systems, as in CI. Elsewhere this command prints what to install, and the tests fail without it.
Uses the standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["ADVICE", "Chromium", "find", "main"]

_PACKAGES: Final = ("chromium", "chromium-driver", "fonts-dejavu-core")
_APT: Final = ("apt-get", "--quiet=2")

ADVICE: Final = (
    "Chromium and ChromeDriver were not found, and the tests of Airflow's user interface need "
    f"them. Install them (Debian: apt-get install {' '.join(_PACKAGES)})."
)


@dataclass(frozen=True, slots=True)
class Chromium:
    """The paths of a browser and of its driver."""

    browser: str
    driver: str


def find() -> Chromium | None:
    """Return the installed browser; None without one."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    return Chromium(browser, driver) if browser and driver else None


def main() -> int:
    """Install the browser if it is missing; return 1 if that fails."""
    if find():
        return 0
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(ADVICE)
        return 0
    began = time.monotonic()
    print("Installing Chromium for the tests of the user interface (once) ...", flush=True)
    for arguments in (("update",), ("install", "--yes", "--no-install-recommends", *_PACKAGES)):
        done = subprocess.run(  # noqa: S603 - our own command
            [*_APT, *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"{done.stdout[-2000:]}\n{ADVICE}", file=sys.stderr)
            return 1
    print(f"Installed Chromium in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
