"""Fixtures of the browser tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from support.browsers import firefox_problem, launched
from support.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Lab]:
    """Start a JupyterLab, and Chromium to show it."""
    with Lab(tmp_path_factory.mktemp("lab"), chromium=chromium) as running:
        yield running


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Start each browser, and skip the tests in Firefox if it cannot run."""
    if request.param == "firefox" and (problem := firefox_problem()):
        pytest.skip(problem)
    with sync_playwright() as playwright, launched(playwright, request.param) as started:
        yield started
