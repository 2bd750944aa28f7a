"""Looks at a report's page in Chromium: as a reader does, on paper, and with axe-core."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from axe_core_python.selenium import Axe

if TYPE_CHECKING:
    from pathlib import Path

    from tools.ui import Ui

__all__ = ["VIEWS", "ReportPage", "View"]


@dataclass(frozen=True, slots=True)
class View:
    """How a page is looked at.

    :param width: the width of the window in pixels; its height is for pictures.
    :param height: how much of the page a picture shows.
    :param media: ``screen`` or ``print``.
    :param scheme: ``light`` or ``dark``.
    """

    width: int
    height: int
    media: str = "screen"
    scheme: str = "light"


VIEWS: Final = {
    "report": View(1280, 1560),
    "report-phone": View(390, 1560),
    "report-dark": View(1280, 1560, scheme="dark"),
    "report-print": View(794, 1123, media="print"),  # A4
}
"""The pictures of the docs, by their names."""


class ReportPage:
    """A page in a browser that keeps a log.

    :param ui: the browser.
    :param path: the file.
    """

    def __init__(self, ui: Ui, path: Path) -> None:
        self._driver = ui.driver
        self._url = path.as_uri()
        self._driver.set_script_timeout(180)
        # Discard what the browser logs at its start.
        self._driver.get("about:blank")
        self.messages()
        self.requests()

    def open(self, view: View) -> None:
        """Open the page."""
        self._driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {
                "media": view.media,
                "features": [{"name": "prefers-color-scheme", "value": view.scheme}],
            },
        )
        self._driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        self._driver.get(self._url)

    def picture(self, view: View, file: Path) -> None:
        """Write a picture of the upper part of the page."""
        self.open(view)
        taken = self._driver.execute_cdp_cmd(
            "Page.captureScreenshot",
            {
                "captureBeyondViewport": True,
                "clip": {"x": 0, "y": 0, "width": view.width, "height": view.height, "scale": 1},
            },
        )
        file.write_bytes(base64.b64decode(taken["data"]))

    def width(self) -> int:
        """Return the width of the page, with everything that reaches beyond its window."""
        found: int = self._driver.execute_script("return document.documentElement.scrollWidth")
        return found

    def open_all_details(self) -> None:
        """Unfold all that is folded."""
        self._driver.execute_script(
            "document.querySelectorAll('details').forEach(each => each.open = true)"
        )

    def faults(self) -> tuple[int, list[str]]:
        """Return how many rules of axe-core hold, and each serious violation."""
        found: dict[str, Any] = Axe().run(self._driver)
        serious = [
            f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
            for fault in found["violations"]
            if fault["impact"] in {"serious", "critical"}
        ]
        return len(found["passes"]), serious

    def messages(self) -> list[str]:
        """Return what the browser said on its console since it was last asked."""
        return [str(entry["message"]) for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """Return the URLs that the browser asked for since it was last asked."""
        entries = (json.loads(each["message"]) for each in self._log("performance"))
        return [
            entry["message"]["params"]["request"]["url"]
            for entry in entries
            if entry["message"]["method"] == "Network.requestWillBeSent"
        ]

    def _log(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._driver.get_log(name)  # type: ignore[no-untyped-call] # selenium declares no types for it
        return found
