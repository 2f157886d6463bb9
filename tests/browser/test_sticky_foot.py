"""The summary and Download stay in sight while the notebook scrolls, in each front end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from support.grids import Grid
from support.lab import BROWSER_ABOVE_TEXT, IS_IN_SIGHT, Lab


@pytest.fixture(scope="module", params=["lab", "notebook"])
def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, chromium: str
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp(request.param)
    with Lab(folder, chromium=chromium, front_end=request.param) as running:
        yield running


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    shown = lab.open_notebook(BROWSER_ABOVE_TEXT, height=640)
    lab.run_all(shown)
    yield shown
    lab.close(shown)


def test_download_stays_in_sight(page: Page) -> None:
    Grid(page, "Series").wait_for_rows()
    browser = page.locator(".idc-browser")
    browser.evaluate("(element) => element.scrollIntoView({ block: 'start' })")
    browser.evaluate("(element) => { element.scrollIntoView = () => {}; }")
    bottoms = []
    while True:
        at = browser.bounding_box()
        assert at is not None
        end = at["y"] + at["height"]
        for part in (".idc-download-start", ".idc-summary-line"):
            assert page.locator(part).evaluate(IS_IN_SIGHT), f"{part} is hidden, {end=}"
        foot = page.locator(".idc-part-foot").bounding_box()
        assert foot is not None
        bottoms.append((end, foot["y"] + foot["height"]))
        if end < 600:
            break
        # Over the border of the browser, because a grid would scroll its rows.
        page.mouse.move(at["x"] + 5, 300)
        page.mouse.wheel(0, 40)
        expect_moved(page, at["y"])
    # It stuck to the bottom of the window first, and stayed in its place in the end.
    assert bottoms[0][0] > 640 >= bottoms[0][1]
    assert bottoms[-1][0] == pytest.approx(bottoms[-1][1], abs=2)


def expect_moved(page: Page, y: float) -> None:
    """Wait until the browser has scrolled."""
    page.wait_for_function(
        "(y) => document.querySelector('.idc-browser').getBoundingClientRect().y < y - 1", arg=y
    )
    expect(page.locator(".idc-browser")).to_be_visible()
