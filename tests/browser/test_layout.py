"""The layout of the browser: the bars between its parts, the full window, what stays in sight."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FloatRect, Locator, Page, expect
from support.grids import Grid
from support.lab import BROWSER_ABOVE_TEXT, IS_IN_SIGHT, Lab

#: Where a front end does not allow it, as in an iframe.
NO_FULLSCREEN = """() => {
  Element.prototype.requestFullscreen = () => Promise.reject(new TypeError("not allowed"));
}"""

# JavaScript: return what scrolls sideways around the browser.
SCROLLS_SIDEWAYS = """() => {
  const found = [];
  for (let at = document.querySelector(".idc-browser"); at; at = at.parentElement) {
    const { overflowX } = getComputedStyle(at);
    const isRoot = at === document.documentElement;
    if ((isRoot || ["auto", "scroll"].includes(overflowX)) && at.scrollWidth > at.clientWidth) {
      found.push(at.className || at.tagName);
    }
  }
  return found;
}"""

# JavaScript: focus each element of the browser where Tab stops, as Tab does. Return the names of
# those whose middle is then not in sight.
NOT_IN_SIGHT = """async () => {
  const stops = ":is(button, input, summary, [tabindex])";
  const places = [...document.querySelectorAll(`.idc-browser ${stops}`)]
    .filter((element) => element.tabIndex >= 0 && element.getClientRects().length > 0
      && !element.closest("[inert]") && !element.matches(":disabled"));
  const hidden = [];
  for (const element of places) {
    element.focus();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const shown = element.closest(".idc-grid-scroller") ?? element; // a grid is wider than that
    const { left, top, width, height } = shown.getBoundingClientRect();
    const at = document.elementFromPoint(left + width / 2, top + height / 2);
    if (!shown.contains(at)) hidden.push(element.ariaLabel ?? element.textContent);
  }
  return places.length > 15 ? hidden : ["too few places"];
}"""


@pytest.fixture(scope="module")
def page(lab: Lab) -> Iterator[Page]:
    yield from opened(lab)


def opened(lab: Lab, width: int = 1400, height: int = 800, scale: float = 1) -> Iterator[Page]:
    shown = lab.open_notebook(BROWSER_ABOVE_TEXT, width=width, height=height, scale=scale)
    lab.run_all(shown)
    for title in ("Patients", "Studies", "Series"):
        Grid(shown, title).wait_for_rows()
    yield shown
    errors = lab.errors(shown)
    lab.close(shown)
    assert errors == []


def bar(page: Page, name: str) -> Locator:
    return page.get_by_role("separator", name=name, exact=True)


def box(element: Locator) -> FloatRect:
    rectangle = element.bounding_box()
    assert rectangle is not None
    return rectangle


def sizes(lab: Lab, page: Page) -> dict[str, float]:
    """Return what Python remembers; wait until it has heard of the last change."""
    result: dict[str, float] = json.loads(
        lab.run(page, "import json\nprint(json.dumps(browser.state.sizes))")
    )
    return result


def drag(page: Page, element: Locator, dx: float, dy: float) -> None:
    element.evaluate("(bar) => bar.scrollIntoView({ block: 'center' })")  # not below the foot
    at = box(element)
    x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def height_of(page: Page, title: str) -> float:
    return box(Grid(page, title).scroller)["height"]


def example(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name="Example cohorts").get_by_role("button", name=name)


def top_of_patients(page: Page) -> float:
    """Return how far below the top of the browser the patients begin."""
    return box(Grid(page, "Patients").scroller)["y"] - box(page.locator(".idc-browser"))["y"]


def test_an_example_is_one_click_away(lab: Lab, page: Page) -> None:
    patients = Grid(page, "Patients")
    facts = page.locator(".idc-start-facts")
    version = lab.run(page, "print(browser.client.engine.index.label)")
    expect(facts).to_have_text(
        f"All series of {version}: 179 collections, 86,451 patients, 168,507 studies,"
        " 1,044,191 series, 99.9 TB"
    )
    before = top_of_patients(page)
    breast = example(page, "Breast MR")
    count = breast.locator(".idc-start-count").inner_text()
    breast.click()
    expect(patients.count).to_have_text(count)
    expect(page.locator(".idc-chip")).to_have_text([re.compile("BREAST"), re.compile("MR")])
    expect(facts).to_be_hidden()
    expect(breast).to_have_count(0)  # screen readers do not find it, either
    assert top_of_patients(page) == before
    page.get_by_role("button", name="Clear all").click()
    expect(facts).to_be_visible()
    expect(patients.count).to_have_text("86,451")
    assert top_of_patients(page) == before

    # A click on a row does not move the rows.
    patients.click(patients.cell(3, "Patient ID"))
    expect(page.locator(".idc-chip")).to_have_text([re.compile("1 patient picked")])
    expect(facts).to_be_hidden()
    assert top_of_patients(page) == before
    page.get_by_role("button", name="Clear all").click()
    expect(facts).to_be_visible()


def test_an_example_is_one_key_away(page: Page) -> None:
    clear = page.get_by_role("button", name="Clear all")
    example(page, "Lung CT").focus()
    page.keyboard.press("Tab")
    expect(example(page, "Breast MR")).to_be_focused()
    page.keyboard.press("Enter")
    expect(clear).to_be_focused()
    expect(page.locator(".idc-chip")).to_have_count(2)
    page.keyboard.press("Enter")
    expect(example(page, "Lung CT")).to_be_focused()
    page.keyboard.press("Space")
    expect(clear).to_be_focused()
    expect(page.locator(".idc-chip")).to_have_count(3)
    for left in (2, 1, 0):  # remove one chip after the other, the last one first
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".idc-chip")).to_have_count(left)
    expect(example(page, "Lung CT")).to_be_focused()


def test_bars_are_dragged(lab: Lab, page: Page) -> None:
    patients, studies = Grid(page, "Patients"), Grid(page, "Studies")
    before = box(patients.scroller)
    drag(page, bar(page, "Width of the patients"), 120, 0)
    wider = box(patients.scroller)
    assert wider["width"] == pytest.approx(before["width"] + 120, abs=2)
    # Both grids still fill the width, in one row.
    beside = box(studies.scroller)
    assert beside["y"] == wider["y"]
    assert beside["x"] == pytest.approx(wider["x"] + wider["width"] + 12, abs=2)
    right_edge = beside["x"] + beside["width"]
    series = box(Grid(page, "Series").scroller)
    assert right_edge == pytest.approx(series["x"] + series["width"], abs=1.5)

    drag(page, bar(page, "Height of the patients and studies"), 0, 60)
    assert height_of(page, "Patients") == height_of(page, "Studies") == 306
    for grid in (patients, studies):  # no row is cut
        expect(grid.rows()).to_have_count(11)
        assert grid.whole_rows() == list(range(11))
    drag(page, bar(page, "Height of the series"), 0, -100)
    assert height_of(page, "Series") == 194
    kept = sizes(lab, page)
    assert kept == {"patients": pytest.approx(60, abs=2), "upper": 306, "lower": 194}

    # A double click brings the usual size back.
    for name in (
        *("Width of the patients", "Height of the patients and studies", "Height of the series"),
    ):
        bar(page, name).dblclick()
    assert sizes(lab, page) == {}
    usual = box(patients.scroller)
    assert (usual["width"], usual["height"]) == (before["width"], before["height"])


def test_bars_are_moved_by_keys(lab: Lab, page: Page) -> None:
    height = bar(page, "Height of the patients and studies")
    expect(height).to_have_attribute("aria-orientation", "horizontal")
    expect(height).to_have_attribute("aria-valuenow", "246")
    height.press("ArrowDown")
    expect(height).to_have_attribute("aria-valuenow", "270")
    expect(height).to_be_focused()
    assert height_of(page, "Studies") == 270
    height.press("ArrowUp")
    height.press("Home")
    least = height.get_attribute("aria-valuemin")
    resized = page.locator(f"[id='{height.get_attribute('aria-controls')}']")
    expect(resized.get_by_role("grid", name="Patients")).to_be_visible()
    expect(height).to_have_attribute("aria-valuenow", str(least))
    assert Grid(page, "Patients").whole_rows() == [0, 1, 2]
    height.press("PageDown")
    assert height_of(page, "Studies") == float(least or 0) + 72

    width = bar(page, "Width of the patients")
    expect(width).to_have_attribute("aria-orientation", "vertical")
    width.press("End")
    expect(width).to_have_attribute("aria-valuenow", "80")
    width.press("ArrowLeft")
    expect(width).to_have_attribute("aria-valuenow", "75")
    assert sizes(lab, page) == {"upper": float(least or 0) + 72, "patients": 75}
    for each in (height, width):
        each.dblclick()


def test_a_finger_finds_the_sign_that_removes_a_chip(lab: Lab, page: Page) -> None:
    tools = page.context.new_cdp_session(page)
    tools.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    lab.run(page, "browser.state.filter_values('Modality', ['CT'])")
    sign = page.locator(".idc-chip .idc-x").first
    sign.scroll_into_view_if_needed()
    found = sign.evaluate(
        """(sign) => {
          const { left, top, width, height } = sign.getBoundingClientRect();
          const [x, y] = [left + width / 2, top + height / 2];
          return [[-21, 0], [21, 0], [0, -21], [0, 21]].map(
            ([right, down]) => document.elementFromPoint(x + right, y + down) === sign);
        }"""
    )
    assert found == [True] * 4
    tools.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    lab.run(page, "browser.state.clear()")


def test_sizes_survive_when_the_cell_runs_again(lab: Lab) -> None:
    cells = [
        "from idc_widgets import BrowserState, IDCBrowser\n\nstate = BrowserState()",
        "browser = IDCBrowser(state=state)\nbrowser",
    ]
    page = lab.open_notebook(cells)
    lab.run_all(page)
    height = bar(page, "Height of the series")
    height.press("ArrowUp")
    expect(height).to_have_attribute("aria-valuenow", "270")
    assert lab.run(page, "print(state.sizes)") == "{'lower': 270}"
    lab.run_cell(page, 1)
    expect(bar(page, "Height of the series")).to_have_attribute("aria-valuenow", "270")
    assert height_of(page, "Series") == 270
    lab.close(page)


def test_a_widget_beside_the_series(lab: Lab, page: Page) -> None:
    series = Grid(page, "Series")
    whole = box(series.scroller)["width"]
    expect(bar(page, "Width of the series")).to_be_hidden()
    lab.run(page, "import ipywidgets\nbrowser.beside = ipywidgets.HTML('<p>a panel</p>')")
    panel = page.locator(".idc-part-beside")
    expect(panel).to_have_text("a panel")
    expect(bar(page, "Width of the series")).to_be_visible()
    at, beside = box(series.scroller), box(panel)
    assert at["width"] == pytest.approx(0.65 * whole, abs=8)
    assert beside["x"] == pytest.approx(at["x"] + at["width"] + 12, abs=2)
    assert beside["y"] < at["y"] < beside["y"] + beside["height"] <= at["y"] + at["height"] + 1
    lab.run(page, "browser.beside = None")
    expect(panel).to_have_count(0)
    expect(bar(page, "Width of the series")).to_be_hidden()
    assert box(series.scroller)["width"] == whole


@pytest.mark.parametrize("is_allowed", [True, False])
def test_full_window_and_back(lab: Lab, page: Page, is_allowed: bool, screenshots: Path) -> None:
    if not is_allowed:
        page.evaluate(NO_FULLSCREEN)
    browser = page.locator(".idc-browser")
    before = box(browser)
    button = page.get_by_role("button", name="Fill the window")
    button.click()
    expect(page.get_by_role("button", name="Leave the full window")).to_be_focused()
    page.wait_for_function(
        "() => document.querySelector('.idc-full')?.clientHeight === innerHeight"
    )
    assert page.evaluate("() => document.fullscreenElement !== null") is is_allowed
    window = page.evaluate("() => [window.innerWidth, window.innerHeight]")
    full = box(browser)
    assert [full["x"], full["y"], full["width"], full["height"]] == [0, 0, *window]
    assert page.locator(".idc-download-start").evaluate(IS_IN_SIGHT)
    for title in ("Patients", "Studies", "Series"):
        grid = Grid(page, title)
        grid.wait_for_rows()
        assert grid.scroller.evaluate(IS_IN_SIGHT)
        assert len(grid.whole_rows()) == grid.rows().count()  # no row is cut
    lab.screenshot(page, screenshots / f"full-{'screen' if is_allowed else 'window'}.png")

    # A dropdown opens above the browser, and Escape closes it first.
    page.locator(".idc-popover-button").filter(has_text="Modality").click()
    expect(page.get_by_role("option").filter(has_text="CT").first).to_be_visible()
    if not is_allowed:  # in full screen, the browser itself takes Escape
        page.keyboard.press("Escape")
        expect(page.locator(".idc-popover-open")).to_have_count(0)
        assert box(browser)["y"] == 0
        Grid(page, "Series").focus()
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Leave the full window").click()
    expect(page.get_by_role("button", name="Fill the window")).to_be_focused()
    after = box(browser)
    assert (after["width"], after["height"]) == (before["width"], before["height"])
    assert page.evaluate("() => document.fullscreenElement === null")


def test_escape_in_the_full_window_closes_what_is_open_first(page: Page) -> None:
    page.evaluate(NO_FULLSCREEN)
    page.get_by_role("button", name="Fill the window").click()
    leave = page.get_by_role("button", name="Leave the full window")
    expect(leave).to_be_focused()
    series = Grid(page, "Series")
    series.press("Control+Home", "ArrowDown", "ContextMenu")
    menu = page.get_by_role("menu")
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(series.grid).to_be_focused()
    page.get_by_role("button", name="Columns of series").click()
    chooser = page.get_by_role("dialog", name="Columns of series")
    expect(chooser).to_be_visible()
    page.keyboard.press("Escape")
    expect(chooser).to_be_hidden()
    search = page.locator(".idc-search-input")
    search.fill("x")
    search.press("Escape")
    expect(search).to_have_value("")
    expect(search).to_be_focused()
    expect(leave).to_be_visible()
    search.press("Escape")
    expect(leave).to_have_count(0)


def test_the_foot_covers_no_short_pane(page: Page) -> None:
    browser, foot = page.locator(".idc-browser"), page.locator(".idc-part-foot")
    for height, is_covering in ((560, False), (800, True)):  # the notebook has 130 pixels less
        page.set_viewport_size({"width": 1400, "height": height})
        page.wait_for_function(
            """(isCovering) => {
              document.querySelector(".idc-browser").scrollIntoView();
              const { top } = document.querySelector(".idc-part-foot").getBoundingClientRect();
              return isCovering === top < innerHeight;
            }""",
            arg=is_covering,
        )
        assert box(foot)["y"] + box(foot)["height"] <= box(browser)["y"] + box(browser)["height"]


@pytest.mark.parametrize("width", [480, 700, 1000, 2000])
def test_nothing_is_cut_at_any_width(lab: Lab, width: int, screenshots: Path) -> None:
    for page in opened(lab, width=width, height=1100):
        lab.screenshot(page, screenshots / f"layout-{width}.png")
        browser = box(page.locator(".idc-browser"))
        assert browser["x"] + browser["width"] <= width
        assert page.evaluate(SCROLLS_SIDEWAYS) == []
        # While something is chosen, no empty line takes the place of the card.
        assert box(page.locator(".idc-start"))["height"] < 30 or width <= 1000
        grids = [box(Grid(page, title).scroller) for title in ("Patients", "Studies", "Series")]
        is_stacked = grids[1]["y"] > grids[0]["y"]
        assert is_stacked is (browser["width"] < 760)
        shown = page.locator(".idc-start-example:visible").all()
        assert len(shown) >= 3
        for part in (*grids, box(page.locator(".idc-download-start")), *map(box, shown)):
            assert part["x"] >= browser["x"] + 12
            assert part["x"] + part["width"] <= browser["x"] + browser["width"] - 12
        right = grids[1]["x"] + grids[1]["width"]
        assert right == pytest.approx(grids[2]["x"] + grids[2]["width"], abs=1.5)
        for title in ("Patients", "Studies", "Series"):
            grid = Grid(page, title)
            assert len(grid.whole_rows()) == grid.rows().count()


@pytest.mark.parametrize("width", [500, 700])
def test_at_200_percent_nothing_is_covered(lab: Lab, width: int, screenshots: Path) -> None:
    """A window of 1000 or 1400 pixels has half as many CSS pixels at 200 %."""
    for page in opened(lab, width=width, height=450, scale=2):
        assert page.evaluate(SCROLLS_SIDEWAYS) == []
        assert page.evaluate(NOT_IN_SIGHT) == []
        lab.screenshot(page, screenshots / f"zoom-{width}.png")
