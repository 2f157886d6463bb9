"""Our grid by mouse, keyboard and screen reader, in Chromium and Firefox, without a kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.grid_stage import COLUMNS, open_stage, sent
from support.grids import Grid

ROWS = 1_044_191  # the number of series in the index
PAGE = 9  # the number of rows that are entirely in sight


@pytest.fixture
def small(browser: Browser) -> Iterator[tuple[Page, Grid]]:
    page, grid = open_stage(browser, 1000)
    yield page, grid
    page.context.close()


def current_row(page: Page, grid: Grid) -> int:
    """Return the row of the current cell, or -1 for the header."""
    active = grid.grid.get_attribute("aria-activedescendant")
    row = page.locator(f"[id='{active}']").locator("xpath=..").get_attribute("aria-rowindex")
    return int(row or 0) - 2


def settled(page: Page) -> None:
    """Wait until no scroll event can come, and the scroll bar agrees with the rows in sight."""
    page.wait_for_timeout(500)


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_a_million_rows_scroll_one_to_one(browser: Browser, ratio: float) -> None:
    page, grid = open_stage(browser, ROWS, ratio=ratio)
    moved: dict[float, list[int]] = {}
    for part, delta in ((0, 100), (0.3, 100), (0.5, -100), (0.9999, 100), (1, -100)):
        grid.drag_bar_to(part)
        settled(page)
        grid.wait_for_rows()
        first = grid.whole_rows()[0]
        for _ in range(6):
            grid.wheel(delta)
            settled(page)
        moved[part] = [first, abs(grid.whole_rows()[0] - first)]
    # Six notches of the wheel are 25 rows. In Firefox, they may be more or fewer rows, but always
    # the same number.
    notches = [rows for _, rows in moved.values()]
    assert max(notches) - min(notches) <= 1, moved
    assert 20 <= notches[0] <= 30, moved
    assert moved[0][0] == 0
    assert 490_000 < moved[0.5][0] < 560_000
    assert moved[1][0] == ROWS - PAGE
    page.context.close()


def test_every_row_can_be_reached(browser: Browser) -> None:
    page, grid = open_stage(browser, ROWS)
    # Turn the wheel down and up again: at both ends, and where the scale of the scroll bar changes.
    for start in (0, 41_660, 300_000, ROWS - 41_700, ROWS - 60):
        grid.press("Control+Home", "ArrowDown")
        page.evaluate("(row) => window.stage.pick([], row)", start)
        settled(page)
        seen: list[int] = []
        for delta in [150] * 6 + [-150] * 6:
            grid.wheel(delta)
            settled(page)
            seen += grid.whole_rows()
        low, high = min(seen), max(seen)
        assert set(seen) == set(range(low, high + 1))
        assert high - low >= 30
    grid.press("Control+End")
    expect(grid.row(ROWS - 1)).to_be_visible()
    assert grid.whole_rows()[-1] == ROWS - 1
    page.context.close()


@pytest.mark.parametrize("count", [1, 1000])
def test_the_page_scrolls_where_a_grid_cannot(browser: Browser, count: int) -> None:
    page, grid = open_stage(browser, count)
    page.evaluate("() => { document.body.style.height = '3000px'; }")
    grid.press("Control+End")
    settled(page)
    grid.wheel(100)
    page.wait_for_function("() => window.scrollY > 0")
    page.context.close()


def test_a_flick_scrolls_as_far_as_the_finger_moved(browser: Browser) -> None:
    page, grid = open_stage(browser, ROWS)
    grid.drag_bar_to(0.5)
    settled(page)
    first = grid.whole_rows()[0]
    grid.scroller.evaluate(
        """async (bar) => {
          for (let step = 0; step < 40; step++) {
            bar.dispatchEvent(new Event("touchmove"));
            bar.scrollTop += 240;
            await new Promise(requestAnimationFrame);
          }
        }"""
    )
    settled(page)
    assert abs(grid.whole_rows()[0] - first - 400) <= 1
    page.context.close()


def test_waiting_rows_are_placeholders_and_only_the_last_window_is_requested(
    browser: Browser,
) -> None:
    page, grid = open_stage(browser, ROWS, is_slow=True)
    for part in (0.2, 0.4, 0.6):
        grid.drag_bar_to(part)
        page.wait_for_timeout(150)
    expect(grid.grid).to_have_attribute("aria-busy", "true")
    assert grid.rows().first.get_attribute("aria-busy") == "true"
    fetched = [one for one in sent(page, "window") if one["fetch"]]
    assert len(fetched) == 1
    page.evaluate("() => window.stage.answer()")
    fetched = [one for one in sent(page, "window") if one["fetch"]]
    assert len(fetched) == 2
    assert 640_000 < fetched[1]["start"] < 660_000
    page.evaluate("() => window.stage.answer()")
    expect(grid.grid).to_have_attribute("aria-busy", "false")
    shown = grid.column("Patient ID")
    assert shown[0] == f"row {int(fetched[1]['start']) + 4}"
    # The rows around those in sight come after them.
    page.wait_for_function("() => window.stage.sent.filter(({ fetch }) => fetch).length === 3")
    around = sent(page, "window")[-1]
    assert around["start"] == fetched[1]["start"] - 36
    assert around["stop"] == fetched[1]["stop"] + 36
    page.context.close()


def test_after_a_jump_the_rows_stay_until_the_next_ones_are_there(browser: Browser) -> None:
    page, _ = open_stage(browser, ROWS, is_slow=True)
    # After each drawing: the first row, whether it is empty, and whether the grid waits.
    frames = page.evaluate(
        """async () => {
          performance.now = () => 1; // the grid waits for a short time only
          const bar = document.querySelector(".idc-grid-scroller");
          const sheet = bar.querySelector("[role=grid]");
          const scrolled = new Promise((done) => bar.addEventListener("scroll", done));
          const seen = async () => {
            await new Promise(requestAnimationFrame); // the grid has drawn in the same frame
            const row = sheet.querySelector(".idc-grid-clip [role=row]");
            const busy = [row, sheet].map(({ ariaBusy }) => ariaBusy === "true");
            return [Number(row.ariaRowIndex) - 2, ...busy];
          };
          bar.scrollTop = bar.scrollHeight / 2;
          await scrolled;
          const before = await seen();
          window.stage.answer();
          return [before, await seen()];
        }"""
    )
    (first, is_empty, is_waiting), (last, *after) = frames
    assert (first, is_empty, is_waiting) == (0, False, True)
    assert abs(last - ROWS / 2) < 100
    assert after == [False, False]
    page.context.close()


def test_keys_move_the_current_cell(small: tuple[Page, Grid]) -> None:
    page, grid = small
    page.get_by_text("before").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Columns")).to_be_focused()
    page.keyboard.press("Tab")
    expect(grid.grid).to_be_focused()
    positions = {
        "ArrowDown": 1,
        "PageDown": 1 + PAGE,
        "PageUp": 1,
        "Control+End": 999,
        "ArrowUp": 998,
        "Control+Home": 0,
        "PageDown ": PAGE,
    }
    for key, row in positions.items():
        page.keyboard.press(key.strip())
        expect(grid.row(row).locator(".idc-grid-current")).to_be_visible()
        assert current_row(page, grid) == row, key
    page.keyboard.press("Tab")
    expect(page.get_by_text("after")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(grid.grid).to_be_focused()


def test_rows_are_picked_by_keys(small: tuple[Page, Grid]) -> None:
    page, grid = small
    picked = grid.unpick
    grid.press("ArrowDown", "ArrowDown", "Space")
    expect(picked).to_have_text("1 picked ×")
    expect(grid.status).to_have_text("1 picked")
    grid.press("Shift+ArrowDown", "Shift+ArrowDown")
    expect(picked).to_have_text("3 picked ×")
    assert sent(page, "pick")[-1]["ranges"] == [[2, 5]]
    grid.press("ArrowDown", "ArrowDown", "Space")
    expect(picked).to_have_text("4 picked ×")
    grid.press("Shift+PageDown")
    assert_ranges(page, [[6, 16]])
    grid.press("Space")
    assert_ranges(page, [[6, 15]])
    grid.press("Enter")
    assert_ranges(page, [[15, 16]])
    grid.press("Control+a")
    expect(picked).to_have_text("1,000 picked ×")
    grid.press("Escape")  # Escape closes what is open, and removes no picks
    expect(picked).to_have_text("1,000 picked ×")
    picked.click()
    expect(picked).to_be_hidden()
    expect(grid.status).to_have_text("Nothing picked")
    # With Caps Lock, and on a keyboard of another alphabet.
    for key in ("A", "\u0444"):
        grid.grid.evaluate(CONTROL, [key, "KeyA"])
        expect(picked).to_have_text("1,000 picked ×")
        picked.click()
        expect(picked).to_be_hidden()
    grid.grid.evaluate(CONTROL, ["q", "KeyA"])  # a French keyboard has its "a" elsewhere
    grid.press("Space")
    expect(picked).to_have_text("1 picked ×")


#: JavaScript: press a key with Ctrl.
CONTROL = """(grid, [key, code]) => grid.dispatchEvent(
  new KeyboardEvent("keydown", { key, code, ctrlKey: true, bubbles: true }))"""


def assert_ranges(page: Page, ranges: list[list[int]]) -> None:
    page.wait_for_function(
        "(ranges) => JSON.stringify(window.stage.sent.findLast("
        "(one) => one.kind === 'pick').ranges) === JSON.stringify(ranges)",
        arg=ranges,
    )


def test_rows_are_picked_by_clicks(small: tuple[Page, Grid]) -> None:
    page, grid = small
    grid.click(grid.row(3))
    assert_ranges(page, [[3, 4]])
    grid.click(grid.row(6), "Shift")
    assert_ranges(page, [[3, 7]])
    grid.click(grid.row(5), "Control")
    assert_ranges(page, [[3, 5], [6, 7]])
    grid.click(grid.row(1).locator("[role=gridcell]").first)  # its checkbox
    assert_ranges(page, [[1, 2], [3, 5], [6, 7]])
    expect(grid.picked()).to_have_count(4)
    grid.click(grid.header("Picked"))
    assert_ranges(page, [])
    grid.click(grid.header("Picked"))
    assert_ranges(page, [[0, 1000]])
    grid.unpick.click()
    expect(grid.picked()).to_have_count(0)
    expect(grid.grid).to_be_focused()


def test_picks_that_wait_become_one(browser: Browser) -> None:
    page, grid = open_stage(browser, 1000, is_slow=True)
    for row in (1, 2, 3, 4):
        grid.click(grid.row(row), "Control")
    expect(grid.unpick).to_have_text("4 picked ×")
    assert [one["ranges"] for one in sent(page, "pick")] == [[[1, 2]]]
    page.evaluate("() => window.stage.answer()")
    assert [one["ranges"] for one in sent(page, "pick")] == [[[1, 2]], [[1, 5]]]
    assert sent(page, "pick")[1]["before"] == [[1, 2]]
    # A click outside of the grid comes after a pick that waits, so the pick is sent at once.
    grid.click(grid.row(7))
    page.get_by_text("after").click()
    assert sent(page, "pick")[-1]["ranges"] == [[7, 8]]
    page.context.close()


def test_a_click_that_crosses_new_rows_names_the_old_ones(small: tuple[Page, Grid]) -> None:
    page, grid = small
    grid.hover(grid.row(5))
    page.mouse.down()
    page.evaluate("() => window.stage.show(500)")
    expect(grid.count).to_have_text("500")
    page.mouse.up()
    pick = sent(page, "pick")[-1]
    assert (pick["generation"], pick["ranges"]) == (0, [[5, 6]])


# JavaScript: let picks of Python arrive, and click a row before the next frame shows them.
CLICK_BEFORE_FRAME = """async ([ranges, row, ctrlKey]) => {
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  window.stage.pick(ranges);
  await null; // the grid hears of it
  const cell = document.querySelector(`[aria-rowindex="${row + 2}"] [aria-colindex="2"]`);
  for (const type of ["pointerdown", "click"]) {
    cell.dispatchEvent(new MouseEvent(type, { bubbles: true, ctrlKey }));
  }
}"""


@pytest.mark.parametrize(
    ("row", "is_toggle", "expected"),
    [(5, False, [[5, 6]]), (3, False, [[3, 4]]), (5, True, [[3, 4], [5, 6]])],
)
def test_a_click_takes_effect_on_the_picks_that_are_drawn(
    small: tuple[Page, Grid], row: int, is_toggle: bool, expected: list[list[int]]
) -> None:
    page, grid = small
    grid.click(grid.row(3))
    assert_ranges(page, [[3, 4]])
    page.evaluate(CLICK_BEFORE_FRAME, [[[5, 6]], row, is_toggle])
    assert len(sent(page, "pick")) == 2
    assert_ranges(page, expected)


def test_headers_sort(small: tuple[Page, Grid]) -> None:
    page, grid = small
    grid.click(grid.header("Size"))
    expect(grid.header("Size")).to_have_attribute("aria-sort", "ascending")
    expect(grid.status).to_have_text("Sorted by Size, ascending")
    grid.press("Control+Home", "ArrowUp", "Home", "ArrowRight", "Enter")
    expect(grid.header("Patient ID")).to_have_attribute("aria-sort", "ascending")
    expect(grid.header("Size")).to_have_attribute("aria-sort", "none")
    assert grid.header("On disk").get_attribute("aria-sort") is None
    grid.click(grid.header("On disk"))
    assert [one["sort"] for one in sent(page, "sort")] == [["size_MB", False], ["PatientID", False]]


def test_columns_are_resized(small: tuple[Page, Grid]) -> None:
    page, grid = small
    header = grid.header("Description")

    def width(label: str = "Description") -> float:
        box = grid.header(label).bounding_box()
        assert box is not None
        return box["width"]

    before = width()
    grid.press("Control+Home", "ArrowUp", "Home", "ArrowRight", "ArrowRight", "Shift+ArrowRight")
    assert width() == before + 16
    expect(grid.status).to_have_text(f"Description: {before + 16:.0f} pixels wide")
    grid.press("Shift+ArrowLeft", "Shift+ArrowLeft")
    assert width() == before - 16
    box = header.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 57, box["y"] + 10)
    page.mouse.up()
    assert abs(width() - (before + 44)) <= 1
    assert sent(page, "sort") == []
    box = grid.header("Description").bounding_box()
    assert box is not None
    page.mouse.dblclick(box["x"] + box["width"] - 3, box["y"] + 10)
    assert width() == before
    # Each cell is below the header of its own column.
    for label in ("Patient ID", "Size", "On disk"):
        head, cell = grid.header(label).bounding_box(), grid.cell(2, label).bounding_box()
        assert head is not None
        assert cell is not None
        assert (head["x"], head["width"]) == (cell["x"], cell["width"])


# JavaScript: return the headers of which the right edge of the grid hides a part.
CUT_BY_EDGE = """(grid) => {
  const headers = [...grid.querySelectorAll("[role=columnheader]")];
  const edge = headers.pop().getBoundingClientRect().left;
  return headers.filter((header) => {
    const { left, right } = header.getBoundingClientRect();
    return left < edge - 1 && right > edge + 1;
  }).map((header) => header.textContent);
}"""


@pytest.mark.parametrize("width", [420, 460, 500, 700, 1400, 2000])
def test_columns_fill_the_width_and_no_header_is_cut(browser: Browser, width: int) -> None:
    page, grid = open_stage(browser, 1000, width=width)
    assert grid.grid.evaluate(CUT_BY_EDGE) == []
    headers = grid.grid.get_by_role("columnheader")
    right = headers.last.bounding_box()
    assert right is not None
    if width > 700:
        box = grid.scroller.bounding_box()
        assert box is not None
        assert 0 <= box["x"] + box["width"] - (right["x"] + right["width"]) < 20  # the scroll bar
    cut = page.evaluate(
        "() => [...document.querySelectorAll('.idc-grid-label')].filter("
        "(label) => label.scrollWidth > label.clientWidth).map((label) => label.textContent)"
    )
    assert cut == []
    page.context.close()


@pytest.mark.parametrize("width", [480, 560, 620])
def test_ages_and_identifiers_are_not_cut(browser: Browser, width: int) -> None:
    page, grid = open_stage(browser, 10, width=width)
    names = {"collection_id": "Collection", "PatientID": "Patient ID", "PatientSex": "Sex"}
    columns = [
        *({"name": name, "label": label, "kind": "text"} for name, label in names.items()),
        {"name": "PatientAge", "label": "Age", "kind": "age"},
        {"name": "studies", "label": "Studies", "kind": "count"},
        {"name": "size_MB", "label": "Size", "kind": "size"},
    ]
    widths = [130, 116, 54, 58, 74, 76]
    described = [{**one, "hint": "", "width": px} for one, px in zip(columns, widths, strict=True)]
    page.evaluate("(_columns) => window.stage.set({ _columns })", described)
    for label, text in {"Patient ID": "100_HM10395", "Age": "080Y"}.items():
        cell = grid.cell(2, label)
        cell.evaluate("(cell, text) => { cell.textContent = text; }", text)
        assert cell.evaluate("(cell) => cell.scrollWidth <= cell.clientWidth"), label
    assert grid.header("Sex").evaluate("(header) => header.offsetWidth") <= 54
    page.context.close()


@pytest.mark.parametrize(("width", "position"), [(480, "sticky"), (1400, "static")])
def test_checkboxes_and_menus_stay_in_sight(browser: Browser, width: int, position: str) -> None:
    # In Chromium, each sticky cell is a layer, and layers make frames slow: only wide grids have
    # them.
    page, _ = open_stage(browser, 1000, width=width)
    found = page.evaluate(
        """() => {
          const scroller = document.querySelector(".idc-grid-scroller");
          scroller.scrollLeft = 60;
          const { left } = scroller.getBoundingClientRect();
          const cells = [...document.querySelectorAll("[aria-rowindex='3'] > *")];
          const [first, last] = [cells[0], cells.at(-1)];
          return {
            scrolled: scroller.scrollLeft,
            left: first.getBoundingClientRect().left - left - scroller.clientLeft,
            right: last.getBoundingClientRect().right - left - scroller.clientLeft
              - scroller.clientWidth,
            positions: [getComputedStyle(first).position, getComputedStyle(last).position],
          };
        }"""
    )
    assert (found["scrolled"] > 0) == (position == "sticky")
    assert abs(found["left"]) < 1
    assert abs(found["right"]) < 6  # widths are whole pixels
    assert found["positions"] == [position, position]
    page.context.close()


def expect_tooltip(grid: Grid, cell: Locator, text: str) -> None:
    """Move the mouse over a cell, again if the grid scrolled meanwhile, and check its tooltip."""
    for _ in range(20):
        grid.page.mouse.move(1, 1)
        grid.hover(cell)
        if cell.get_attribute("title") == text:
            break
        grid.page.wait_for_timeout(100)
    expect(cell).to_have_attribute("title", text)


def test_a_cut_cell_has_its_whole_text_for_screen_readers(browser: Browser) -> None:
    page, grid = open_stage(browser, 1000, width=560)
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.1000000002"
    grid.press("Control+Home", "End")  # the column is at the right, out of sight
    cell = grid.cell(2, "Series UID")
    expect(cell).to_have_accessible_name(uid)
    tail = cell.locator("span").last
    expect(tail).to_have_text(uid[-10:])
    assert tail.evaluate("(tail) => tail.scrollWidth <= tail.clientWidth")
    expect_tooltip(grid, cell, uid)
    assert grid.scroller.evaluate("(scroller) => scroller.scrollLeft") > 0
    grid.press("Home")
    assert grid.scroller.evaluate("(scroller) => scroller.scrollLeft") == 0
    cell = grid.cell(2, "Description")
    expect_tooltip(grid, cell, "description 2 " * 4)
    grid.hover(grid.cell(2, "Files"))
    expect(grid.cell(2, "Files")).to_have_attribute("title", "")
    expect(grid.cell(0, "Description")).to_have_text("–")
    assert grid.cell(2, "Files").evaluate("(cell) => getComputedStyle(cell).textAlign") == "right"
    page.context.close()


def test_aria_roles(small: tuple[Page, Grid]) -> None:
    _page, grid = small
    grid.press("ArrowDown", "Space")
    expect(grid.picked()).to_have_count(1)
    for name, value in {
        "aria-rowcount": "1001",
        "aria-colcount": "8",
        "aria-multiselectable": "true",
        "aria-label": "Series",
    }.items():
        expect(grid.grid).to_have_attribute(name, value)
    expect(grid.grid).to_match_aria_snapshot(
        """
        - grid "Series":
          - rowgroup:
            - row:
              - columnheader "Picked"
              - columnheader "Patient ID"
              - columnheader "Description"
              - columnheader "Files"
              - columnheader "Size"
              - columnheader "Series UID"
              - columnheader "On disk"
              - columnheader "Menu"
          - rowgroup:
            - row:
              - gridcell "Not picked"
              - gridcell "row 0"
              - gridcell "–"
              - gridcell "0"
              - gridcell "26.4 MB"
              - gridcell "1.3.6.1.4.1.14519.5.2.1.6279.6001.1000000000"
              - gridcell "✓ complete"
              - gridcell "Menu"
            - row /row 1/ [selected]
        """
    )


def test_keys_do_not_leave_the_grid(small: tuple[Page, Grid]) -> None:
    page, grid = small
    grid.press(*"xyzabd0123", "Delete", "Enter", "Escape", "Control+Enter", "F2")
    assert page.evaluate("() => window.keys") == []
    grid.click(grid.row(0))
    grid.unpick.focus()
    page.keyboard.press("x")
    assert page.evaluate("() => window.keys") == []


def test_rows_are_copied(browser: Browser) -> None:
    page, grid = open_stage(browser, 1000)
    clipboard(page)
    grid.press("ArrowDown", "Control+c")
    page.wait_for_function("() => window.copied === '[[1,2]]'")
    expect(grid.status).to_have_text("2 rows copied")
    grid.press("Space", "ArrowDown", "ArrowDown", "Space", "Control+c")
    page.wait_for_function("() => window.copied === '[[1,2],[3,4]]'")
    expect(grid.grid).to_be_focused()
    # People see it, too; and also if the page must not write to the clipboard.
    note = grid.title.locator(".idc-grid-note")
    expect(note).to_have_text("2 rows copied")
    expect(note).to_have_text("")
    page.evaluate(
        """() => {
          document.execCommand = () => false;
          if (navigator.clipboard) navigator.clipboard.writeText = () => Promise.reject();
        }"""
    )
    grid.press("Control+c")
    expect(note).to_have_text("Not copied")
    expect(grid.status).to_have_text("Not copied: the page must not write to the clipboard")
    page.context.close()


def test_picks_from_python_are_brought_in_sight(browser: Browser) -> None:
    page, grid = open_stage(browser, ROWS)
    page.evaluate("() => window.stage.pick([[777777, 777778]], 777777)")
    expect(grid.row(777_777)).to_have_attribute("aria-selected", "true")
    assert 777_777 in grid.whole_rows()
    page.evaluate("() => window.stage.show(1044191, { picked: [[500, 501]], reveal: 500 })")
    expect(grid.row(500)).to_have_attribute("aria-selected", "true")
    assert 500 in grid.whole_rows()
    page.context.close()


def test_the_focus_stays_when_there_is_nothing_to_show(small: tuple[Page, Grid]) -> None:
    page, grid = small
    grid.focus()
    page.evaluate("() => window.stage.show(0)")
    empty = page.get_by_text("No series matches.")
    expect(empty).to_be_focused()
    expect(grid.grid).to_be_hidden()
    page.evaluate("() => window.stage.show(5)")
    expect(grid.grid).to_be_focused()
    expect(grid.row(4)).to_be_visible()
    page.evaluate("() => window.stage.set({ _reason: 'Not up to date.' })")
    expect(page.get_by_text("Not up to date.").first).to_be_focused()


def test_rows_are_higher_on_a_touch_screen(browser: Browser) -> None:
    if browser.browser_type.name == "firefox":
        pytest.skip("Firefox has no touch screen here")
    page, grid = open_stage(browser, ROWS, has_touch=True, is_mobile=True)
    box = grid.row(2).bounding_box()
    assert box is not None
    assert box["height"] == 36
    grid.row(2).locator("[role=gridcell]").first.tap()
    grid.row(4).locator("[role=gridcell]").first.tap()
    assert_ranges(page, [[2, 3], [4, 5]])
    shown = [{**column, "bars": "values"} for column in COLUMNS]
    page.evaluate("(_columns) => window.stage.set({ _columns })", shown)
    buttons = [page.get_by_role("button", name=name) for name in ("Columns", "distributions")]
    grid.row(2).get_by_label("Menu").tap()
    for target in (*buttons, page.get_by_role("menuitem").first):
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 35
    grid.drag_bar_to(1)
    expect(grid.row(ROWS - 1)).to_be_visible()
    page.context.close()


def clipboard(page: Page) -> None:
    """Keep copied texts in `window.copied`: Playwright cannot grant the clipboard to Firefox."""
    page.evaluate(
        """() => {
          const keep = (text) => { window.copied = text; };
          if (navigator.clipboard) navigator.clipboard.writeText = async (text) => keep(text);
          else document.execCommand = () => { keep(document.activeElement.value); return true; };
        }"""
    )


def test_the_menu_of_a_row(small: tuple[Page, Grid]) -> None:
    page, grid = small
    clipboard(page)
    menu = page.get_by_role("menu")
    items = menu.get_by_role("menuitem")
    # Open the menu by its button.
    grid.click(grid.row(3).get_by_label("Menu"))
    expect(items).to_have_count(4)
    expect(items.first).to_be_focused()
    assert sent(page, "pick") == [], "opening a menu picks nothing"
    assert (sent(page, "row")[-1]["row"], sent(page, "row")[-1]["generation"]) == (3, 0)
    link = menu.get_by_role("menuitem", name="Open in the viewer")
    expect(link).to_have_attribute("href", "https://viewer.example/?StudyInstanceUIDs=1.2")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.copied === '1.2.3'")
    expect(menu).to_be_hidden()
    expect(grid.grid).to_be_focused()
    expect(grid.status).to_have_text("Series UID copied")
    # Open it by key.
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+F10")
    expect(items).to_have_count(4)
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.copied.startsWith('client.cohort(')")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(items.first).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(grid.grid).to_be_focused()
    # Open it by the right button of the mouse.
    grid.click(grid.row(6), button="right")
    items.first.click()
    assert sent(page, "details")[-1]["row"] == 6
    grid.click(grid.row(7), button="right")
    expect(items).to_have_count(4)
    page.get_by_text("after").click()
    expect(menu).to_be_hidden()
    assert page.evaluate("() => window.keys") == []


def test_a_finger_moves_columns(browser: Browser) -> None:
    if browser.browser_type.name == "firefox":
        pytest.skip("Firefox has no touch screen here")
    page, grid = open_stage(browser, 10, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Columns").tap()
    options = page.get_by_role("dialog", name="Columns").get_by_role("option")
    boxes = [options.nth(at).locator(".idc-grid-handle").bounding_box() for at in (0, 2)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    touch = page.context.new_cdp_session(page)
    x = boxes[0]["x"] + boxes[0]["width"] / 2
    middles = [box["y"] + box["height"] / 2 for box in boxes if box]
    for kind, y in (
        ("touchStart", middles[0]),
        ("touchMove", sum(middles) / 2),
        ("touchMove", middles[1]),
        ("touchEnd", None),
    ):
        points = [] if y is None else [{"x": x, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(grid.header("Patient ID")).to_have_attribute("aria-colindex", "4")
    assert len(sent(page, "columns")) == 1
    page.context.close()


def test_what_is_open_follows_the_page(small: tuple[Page, Grid]) -> None:
    page, grid = small
    page.evaluate("() => { document.body.style.height = '3000px'; }")

    def expect_to_follow(panel: Locator) -> None:
        before = panel.bounding_box()
        assert before is not None
        page.evaluate("() => window.scrollTo(0, 60)")
        page.wait_for_function(
            "(y) => Math.abs([...document.querySelectorAll('[popover]')].at(-1)"
            ".getBoundingClientRect().y - y) < 1",
            arg=before["y"] - 60,
        )
        page.evaluate("() => window.scrollTo(0, 2000)")
        expect(panel).to_be_hidden()
        page.evaluate("() => window.scrollTo(0, 0)")

    page.get_by_role("button", name="Columns").click()
    expect_to_follow(page.get_by_role("dialog", name="Columns"))
    grid.click(grid.row(3).get_by_label("Menu"))
    expect_to_follow(page.get_by_role("menu"))
    grid.click(grid.row(3).get_by_label("Menu"))
    expect(page.get_by_role("menu")).to_be_visible()
    grid.wheel(100)  # its row moves away
    expect(page.get_by_role("menu")).to_be_hidden()


def labels(grid: Grid) -> list[str]:
    texts = grid.grid.get_by_role("columnheader").all_text_contents()
    return [text for text in texts if text]


def test_columns_are_chosen_and_ordered(small: tuple[Page, Grid]) -> None:
    page, grid = small
    page.get_by_role("button", name="Columns").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Columns")
    search = dialog.get_by_role("combobox")
    expect(search).to_be_focused()
    expect(dialog.get_by_role("option")).to_have_count(6)
    expect(dialog.get_by_role("option", selected=True)).to_have_count(5)
    page.keyboard.type("scanner")  # a word of the description
    expect(dialog.get_by_role("option")).to_have_text(
        ["Manufacturer ManufacturerMaker of the scanner"]
    )
    page.keyboard.press("Enter")
    expect(grid.header("Manufacturer")).to_be_visible()
    assert labels(grid)[-1] == "Manufacturer"
    page.keyboard.press("Alt+ArrowUp")
    expect(grid.header("Manufacturer")).to_have_attribute("aria-colindex", "6")
    assert labels(grid)[-2:] == ["Manufacturer", "Series UID"]
    expect(grid.status).to_have_text("Column 5 of 6")
    search.fill("")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(grid.header("Size")).to_be_hidden()
    dialog.get_by_role("option", name="Description").click()
    expect(grid.header("Description")).to_be_hidden()
    expect(search).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Columns")).to_be_focused()
    assert sent(page, "columns")[-1]["names"] == ["PatientID", "instances", "Manufacturer", "UID"]
    # Choose columns by mouse.
    page.get_by_role("button", name="Columns").click()
    first = dialog.get_by_role("option").first.bounding_box()
    assert first is not None
    dialog.get_by_role("option", name="Manufacturer").locator(".idc-grid-handle").hover()
    page.mouse.down()
    page.mouse.move(first["x"] + 20, first["y"] + first["height"] + 5, steps=3)
    page.mouse.move(first["x"] + 20, first["y"] + 5)
    page.mouse.up()
    expect(grid.header("Manufacturer")).to_have_attribute("aria-colindex", "2")
    moved = ["Manufacturer", "PatientID", "instances", "UID"]
    assert sent(page, "columns")[-1]["names"] == moved
    expect(grid.status).to_have_text("Column 1 of 4")
    assert page.evaluate("() => window.keys") == []
