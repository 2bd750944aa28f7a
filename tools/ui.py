"""Drives Airflow 3's user interface in Chromium, as a person uses it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from selenium import webdriver
from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

    from tools.browser import Chromium

__all__ = ["BackfillForm", "Form", "Ui"]

_PATIENCE: Final = 60.0
_WIDTH: Final = 1280

# Keep the browser from using the network on its own.
_FLAGS: Final = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--force-prefers-reduced-motion", "--hide-scrollbars"),
)

_UNREADY: Final = (
    NoSuchElementException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)

_TOAST: Final = "[data-scope=toast][data-part=root]"
_CALENDAR: Final = "[data-scope=popover][data-part=content][data-state=open]"


class Ui:
    """A context manager for a browser window on one Airflow.

    :param chromium: the browser.
    :param url: the base URL of Airflow.
    :param folder: the folder of the browser's profile.
    :param keep_log: whether the browser notes its messages and requests.
    """

    def __init__(
        self, chromium: Chromium, url: str, folder: Path, *, keep_log: bool = False
    ) -> None:
        self._url = url
        options = webdriver.ChromeOptions()
        options.binary_location = chromium.browser
        for flag in (*_FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # root has none
        if keep_log:
            levels = {"browser": "ALL", "performance": "ALL"}
            options.set_capability("goog:loggingPrefs", levels)
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(chromium.driver))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def open(self, path: str, height: int = 800, width: int = _WIDTH) -> None:
        """Open a page in a window of this size."""
        if self.driver.current_url.startswith(self._url):
            self.driver.execute_script("localStorage.clear()")  # how pages were left last time
        self.driver.set_window_size(width, height)
        self.driver.get(self._url + path)

    def wait(self, what: str, look: Callable[[], WebElement | None]) -> WebElement:
        """Wait until a condition holds.

        :param what: what to say if it is not.
        :param look: finds it.
        """

        def see(_: object) -> WebElement | None:
            found = look()
            return found if found is not None and found.is_displayed() else None

        found = WebDriverWait(self.driver, _PATIENCE).until(see, f"There is no {what}")
        assert found is not None  # noqa: S101 - for the type checker: it has been waited for
        return found

    def find(self, css: str, text: str = "") -> WebElement:
        """Wait for the first element that a CSS selector matches and that contains the text."""

        def look() -> WebElement | None:
            for element in self.driver.find_elements(By.CSS_SELECTOR, css):
                if element.is_displayed() and text in element.text:
                    return element
            return None

        return self.wait(f"{css} with {text!r}", look)

    def press(self, label: str) -> None:
        """Press the button whose text or label begins with this text."""
        path = (
            f"//button[starts-with(normalize-space(), '{label}')"
            f" or starts-with(@aria-label, '{label}')]"
        )
        self.do(f"button {label!r}", lambda: self.driver.find_element(By.XPATH, path).click())

    def click(self, css: str, text: str = "") -> None:
        """Click the first element that a CSS selector matches and that contains the text."""
        self.do(f"{css} with {text!r}", lambda: self.find(css, text).click())

    def do(self, what: str, act: Callable[[], None]) -> None:
        """Repeat an action until the page is ready for it; an element may not take input at first.

        :param what: what to say if it never is.
        :param act: does it, or raises that something is not there or takes no input.
        """

        def done(_: object) -> bool:
            act()
            return True

        waiting = WebDriverWait(self.driver, _PATIENCE, ignored_exceptions=_UNREADY)
        waiting.until(done, f"There is no {what}")

    def paste(self, text: str) -> None:
        """Paste into the clicked field, because a form may lose typed letters."""
        self.driver.execute_cdp_cmd("Input.insertText", {"text": text})

    def picture(self, file: Path, element: WebElement | None = None) -> None:
        """Take a picture of the window, or of one element, when nothing moves.

        :param file: the PNG file to write.
        :param element: what to take; None for all that the window shows.
        """
        before = b""
        for _ in range(20):
            png = element.screenshot_as_png if element else self.driver.get_screenshot_as_png()
            if png == before:
                break
            before = png
            time.sleep(0.1)
        file.write_bytes(before)

    def new_connection(self, connection_type: str) -> Form:
        """Open the form for a new connection of a type."""
        self.open("/connections", height=2000)
        self.press("Add Connection")
        form = Form(self, self.find("[role=dialog]"))
        form.choose(connection_type)
        return form

    def new_backfill(self, dag_id: str) -> BackfillForm:
        """Open the form for a backfill of a DAG."""
        self.open(f"/dags/{dag_id}", height=1150)
        self.press("Trigger")
        self.click("[role=dialog] label", "Backfill")
        return BackfillForm(self, self.find("[role=dialog]"))

    def test_connection(self, conn_id: str) -> tuple[bool, str]:
        """Press Test in a connection's row; return whether it succeeded, and the message."""
        self.open("/connections", height=740)
        button = "button[aria-label='Test Connection']"

        def press() -> None:
            self.find("tbody tr", conn_id).find_element(By.CSS_SELECTOR, button).click()

        self.do(f"button to test {conn_id}", press)
        toast = self.find(_TOAST, "Test Connection")
        text = toast.find_element(By.CSS_SELECTOR, "[data-part=description]").text
        return "Successful" in toast.text, text

    def open_graph(self, dag_id: str, run_id: str) -> None:
        """Open the graph of a DAG's run at its largest."""
        self.open(f"/dags/{dag_id}/runs/{quote(run_id, safe='')}", height=640)
        self.press("Show Graph")
        self.press("Collapse Details Panel")
        self.find(".react-flow__node", "success")
        self.press("Fit View")

    def open_grid(self, dag_id: str) -> None:
        """Open the grid of a DAG's runs alone."""
        self.open(f"/dags/{dag_id}", height=506, width=820)
        self.press("Collapse Details Panel")

    def open_log(self, dag_id: str, run_id: str, task_id: str, last_line: str) -> None:
        """Open a task's log alone, with long lines wrapped."""
        path = f"/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{task_id}"
        self.open(path, height=580)
        self.press("Log Settings")
        self.click("[role=menuitem]", "Wrap")
        self.press("Press f for fullscreen")
        self.find("[role=dialog]", last_line)


class Form:
    """The form of a connection.

    :param ui: the window that it is in.
    :param dialog: its element.
    """

    def __init__(self, ui: Ui, dialog: WebElement) -> None:
        self._ui = ui
        self.dialog = dialog

    def choose(self, connection_type: str) -> None:
        """Choose the connection's type by its displayed name."""
        self._ui.find("[role=dialog] input[name=connection_id]")

        def box() -> WebElement:  # takes no input until the page has loaded the types
            return self.dialog.find_element(By.CSS_SELECTOR, "input[role=combobox]")

        self._ui.do("list of types", lambda: box().send_keys(connection_type))
        self._ui.find("[role=option]", connection_type)
        box().send_keys(Keys.ENTER)
        self._ui.find("[role=dialog] input[name=host]")

    def unfold(self, title: str, name: str) -> None:
        """Open a group of fields, and wait for one of them."""
        self._ui.press(title)
        self.field(name)

    def field(self, name: str) -> WebElement:
        """Find a field by its name in the page; Airflow hides its own checkboxes."""
        return self._ui.find(f"[role=dialog] [name='{name}']")

    def kind(self, name: str) -> str | None:
        """Return the type of a field's input; that of a switch is hidden."""
        return self.dialog.find_element(By.NAME, name).get_attribute("type")

    def fill(self, values: Mapping[str, str]) -> None:
        """Fill in fields of the open group."""
        for name, value in values.items():
            self._ui.click(f"[role=dialog] [name='{name}']")
            self._ui.paste(value)

    def switch(self, name: str) -> None:
        """Turn a switch."""
        box = self.dialog.find_element(By.NAME, name)
        self._ui.do(f"switch {name!r}", lambda: box.find_element(By.XPATH, "..").click())

    def save(self) -> None:
        """Save, and wait for Airflow's confirmation."""
        self._ui.press("Save")
        self._ui.find(_TOAST, "successfully created")


class BackfillForm:
    """The form of a backfill.

    :param ui: the window that it is in.
    :param dialog: its element.
    """

    def __init__(self, ui: Ui, dialog: WebElement) -> None:
        self._ui = ui
        self.dialog = dialog

    def fill(self, first: datetime, last: datetime, at_once: int) -> str:
        """Fill in the first and last day, and the number of parallel runs.

        :returns: what the form says to that.
        """
        for place, day in enumerate((first, last)):
            self._dates()[place].click()
            self._ui.click(f"{_CALENDAR} input[placeholder='YYYY/MM/DD']")
            self._ui.paste(f"{day:%Y/%m/%d}")
            self._ui.find(_CALENDAR).send_keys(Keys.ESCAPE)
            self._ui.wait("closed calendar", self._closed)
        runs = self._ui.find("[role=dialog] input[name=max_active_runs]")
        runs.send_keys(Keys.CONTROL, "a")
        self._ui.paste(str(at_once))
        return self._ui.find("[role=dialog] p", "triggered").text

    def run(self) -> None:
        """Start it, and wait for Airflow's confirmation."""
        self._ui.press("Run Backfill")
        self._ui.find(_TOAST, "Backfill generated")

    def _dates(self) -> list[WebElement]:
        return self.dialog.find_elements(By.CSS_SELECTOR, "[data-testid=datetime-input]")

    def _closed(self) -> WebElement | None:
        is_open = self._ui.driver.find_elements(By.CSS_SELECTOR, _CALENDAR)
        return None if is_open else self.dialog
