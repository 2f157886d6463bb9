"""Chromium and Firefox of the machine, driven by Playwright."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from playwright.sync_api import Browser, Playwright

__all__ = ["find_chromium", "firefox_problem", "launched", "unknown_errors"]

#: Errors that are not ours, by a part of their text.
HARMLESS = (
    "[anywidget] Failed to initialize model.",  # on a busy page; see `keepMessages` in base.js
    "Cannot read properties of undefined (reading 'schema')",  # Notebook 7 reads its settings
)

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)


def find_chromium() -> str | None:
    """Return the path of the browser: $CHROMIUM, or the first one on PATH."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def firefox_problem() -> str:
    """Return why tests cannot use Firefox here, or an empty text if they can."""
    if shutil.which("firefox-esr") is None:
        return "Firefox is missing: apt-get install firefox-esr"
    major, minor = map(int, re.findall(r"\d+", version("playwright"))[:2])
    if (major, minor) < (1, 58):
        return "this Playwright is too old to drive an installed Firefox: 1.58 or newer can"
    return ""


@contextmanager
def launched(playwright: Playwright, name: str, chromium: str | None = None) -> Iterator[Browser]:
    """Start "chromium" or "firefox" during a ``with`` statement.

    Args:
        playwright: Drives the browser.
        name: The name of the browser.
        chromium: The path of Chromium; by default that of `find_chromium`.
    """
    if name == "firefox":
        path = shutil.which("firefox-esr")
        browser = playwright.firefox.launch(channel="moz-firefox", executable_path=path)
    elif path := chromium or find_chromium():
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
    else:
        raise AssertionError(
            "no Chromium or Chrome on PATH; install one, or set $CHROMIUM to its path"
        )
    try:
        yield browser
    finally:
        browser.close()


def unknown_errors(errors: Iterable[str]) -> list[str]:
    """Return the errors of a page that are not known to be harmless."""
    return [error for error in errors if not any(part in error for part in HARMLESS)]
