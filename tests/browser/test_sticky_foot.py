"""The summary and Download stay in sight while the notebook scrolls, in each front end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from support.grids import Grid
from support.lab import BROWSER_ABOVE_TEXT, IS_IN_SIGHT, Lab

PICK_WHEN_DISTRIBUTIONS_ARE_SHOWN = """
uids = browser.cohort.series().SeriesInstanceUID[8:9]
browser.state.observe(lambda _: browser.pick(series=uids), "distributions")
"""

#: JavaScript: whether nothing covers the current row of a grid, after the next frame.
CURRENT_IS_IN_SIGHT = """async (title) => {
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const grid = document.querySelector(`.idc-grid [role=grid][aria-label="${title}"]`);
  const cell = document.getElementById(grid.getAttribute("aria-activedescendant"));
  const { left, top, bottom } = cell.getBoundingClientRect();
  return [top + 2, bottom - 2].every((y) => cell.contains(document.elementFromPoint(left + 4, y)));
}"""


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


def test_the_current_row_is_never_below_the_foot(lab: Lab, page: Page) -> None:
    grid = Grid(page, "Series")
    grid.wait_for_rows()
    browser = page.locator(".idc-browser")

    def is_in_sight() -> bool:
        return bool(page.evaluate(CURRENT_IS_IN_SIGHT, "Series"))

    def hide_end() -> None:
        browser.evaluate("(element) => element.scrollIntoView({ block: 'start' })")

    hide_end()
    grid.grid.evaluate("(element) => element.focus({ preventScroll: true })")
    page.keyboard.press("Control+Home")
    for _ in range(9):
        page.keyboard.press("ArrowDown")
        assert is_in_sight()
    for key in ("PageDown", "Control+End", "PageUp"):
        hide_end()
        page.keyboard.press(key)
        # After a jump, the rows before it stay until the new ones have come, at most 0.1 s.
        page.wait_for_function(CURRENT_IS_IN_SIGHT, arg="Series", timeout=10_000)
    # The menu opens at a row that is in sight.
    hide_end()
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menu")).to_be_visible()
    assert is_in_sight()
    page.keyboard.press("Escape")
    # A row that Python picks, while the browser is in the window.
    lab.run(page, PICK_WHEN_DISTRIBUTIONS_ARE_SHOWN)
    hide_end()
    button = Grid(page, "Patients").root.get_by_role("button", name="distributions")
    button.evaluate("(element) => element.click()")
    expect(grid.picked()).to_have_count(1)
    assert is_in_sight()


def expect_moved(page: Page, y: float) -> None:
    """Wait until the browser has scrolled."""
    page.wait_for_function(
        "(y) => document.querySelector('.idc-browser').getBoundingClientRect().y < y - 1", arg=y
    )
    expect(page.locator(".idc-browser")).to_be_visible()
