"""The distributions under the headers of our grid, by mouse and keyboard, without a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.grid_stage import COLUMNS, open_stage, sent
from support.grids import Grid

HOSTILE = "<img src=x onerror='window.hacked=1'>"

#: The columns that have distributions.
BARS = {"PatientID": "values", "size_MB": "bins"}

DISTRIBUTIONS: dict[str, dict[str, Any]] = {
    "PatientID": {
        "unit": ["series", "series"],
        "total": 1000,
        "bars": [
            ["CT", 600, 600, "CT"],
            [HOSTILE, 396, 396, HOSTILE],
            ["(missing)", 4, 4, None],
            ["MR", 0, 50, "MR"],
        ],
        "chosen": [],
        "others": 7,
        "edges": [],
        "edge_unit": "",
    },
    "size_MB": {
        "unit": ["series", "series"],
        "total": 1000,
        "bars": [
            ["≤ 1 MB", 0, 0, 0],
            *([f"{n} – {n + 1} MB", 10 * n, 10 * n, n] for n in range(1, 9)),
            ["≥ 9 MB", 90, 90, 9],
        ],
        "chosen": [],
        "others": 0,
        "edges": [str(n) for n in range(11)],
        "edge_unit": "MB",
    },
}

# JavaScript: return a place on a bar: in the middle, near the lower end.
PLACE = """(group) => {
  const { left, right, bottom } = group.querySelector(".idc-bar-place").getBoundingClientRect();
  return [(left + right) / 2, bottom - 2];
}"""


def open_folded(browser: Browser) -> tuple[Page, Grid]:
    page, grid = open_stage(browser, 1000, is_slow=True)
    columns = [{**column, "bars": BARS.get(str(column["name"]), "")} for column in COLUMNS]
    page.evaluate("(columns) => window.stage.set({ _columns: columns })", columns)
    return page, grid


@pytest.fixture
def shown(browser: Browser) -> Iterator[tuple[Page, Grid]]:
    page, grid = open_folded(browser)
    page.evaluate("() => window.stage.set({ _shows_bars: true })")
    show(page, **DISTRIBUTIONS)
    expect(pictures(grid)).to_have_count(2)
    expect(bars(grid, 0)).to_have_count(4)
    yield page, grid
    assert page.evaluate("() => window.hacked") is None
    page.context.close()


def show(page: Page, generation: int = 0, **columns: Any) -> None:
    """Wait until the page requests the bars of a generation of rows, and answer."""
    page.wait_for_function(
        "(wanted) => window.stage.sent.some(({ kind, generation }) =>"
        " kind === 'bars' && generation === wanted)",
        arg=generation,
    )
    page.evaluate(
        "(shown) => window.stage.set({ _bars: { number: ++window.stage.number, ...shown } })",
        {"generation": generation, "problem": "", "columns": columns},
    )


def pictures(grid: Grid) -> Locator:
    return grid.root.locator(".idc-grid-bars-cell")


def bars(grid: Grid, column: int) -> Locator:
    return pictures(grid).nth(column).locator("g")


def point(page: Page, bar: Locator) -> None:
    page.mouse.move(*bar.evaluate(PLACE))


def click(page: Page, bar: Locator) -> None:
    point(page, bar)
    page.mouse.down()
    page.mouse.up()


def answer(page: Page) -> None:
    """Answer what the page has sent."""
    page.evaluate("() => window.stage.answer()")


def test_a_click_on_a_bar_chooses_its_value(shown: tuple[Page, Grid]) -> None:
    page, grid = shown
    click(page, bars(grid, 0).nth(1))
    assert sent(page, "choose")[-1]["filter:PatientID"] == [HOSTILE]
    expect(bars(grid, 0).nth(1)).to_contain_class("idc-bar-chosen")
    expect(grid.status).to_have_text(f"Filtered: Patient ID: {HOSTILE}")
    # The next clicks come before the answer. They wait. Then one message has all that is chosen.
    click(page, bars(grid, 0).nth(2))
    click(page, bars(grid, 0).nth(1))
    assert len(sent(page, "choose")) == 1
    answer(page)
    assert sent(page, "choose")[-1]["filter:PatientID"] == [None]
    expect(grid.status).to_have_text(f"Filter removed: Patient ID: {HOSTILE}")
    assert sent(page, "pick") == sent(page, "sort") == []


def test_the_text_under_a_pointer(shown: tuple[Page, Grid]) -> None:
    page, grid = shown
    text = pictures(grid).nth(0).locator(".idc-grid-bars-text")
    expect(text).to_have_text("CT 60 %")
    expect(pictures(grid).nth(1).locator(".idc-grid-bars-text")).to_have_text("1 – 10 MB")
    point(page, bars(grid, 0).nth(2))
    expect(text).to_have_text("(missing) 4 series, < 1 %")
    point(page, bars(grid, 0).nth(3))
    expect(text).to_have_text("MR 50 series, hidden by the filter")
    grid.hover(grid.row(3))
    expect(text).to_have_text("CT 60 %")


def test_a_drag_chooses_a_range(shown: tuple[Page, Grid]) -> None:
    page, grid = shown
    bins = bars(grid, 1)
    point(page, bins.nth(6))
    page.mouse.down()
    text = pictures(grid).nth(1).locator(".idc-grid-bars-text")
    for at, words in [(9, "≥ 6 MB: 300"), (0, "≤ 7 MB: 210"), (3, "3 – 7 MB: 180")]:
        point(page, bins.nth(at))
        expect(text).to_have_text(words)
    page.mouse.up()
    assert sent(page, "choose")[-1]["filter:size_MB"] == [3, 6]
    expect(grid.root.locator(".idc-bar-chosen")).to_have_count(4)
    answer(page)
    click(page, bins.nth(9))
    assert sent(page, "choose")[-1]["filter:size_MB"] == [9, 9]
    answer(page)
    click(page, bins.nth(9))
    assert sent(page, "choose")[-1]["filter:size_MB"] == []


def test_the_bars_by_key(shown: tuple[Page, Grid]) -> None:
    page, grid = shown
    page.keyboard.press("Tab")
    grid.press("Control+Home", "ArrowUp", "ArrowRight", "ArrowRight")  # the header of Description
    page.keyboard.press("Alt+ArrowDown")
    expect(grid.status).to_have_text("No distribution here")
    expect(grid.grid).to_be_focused()
    assert grid.whole_rows()[0] == 0
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Alt+ArrowDown")
    bar_list = page.get_by_role("listbox", name="Distribution of Patient ID")
    expect(bar_list).to_be_focused()
    assert current_name(page, bar_list) == "Patient ID: CT 600 series, 60 %"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert sent(page, "choose")[-1]["filter:PatientID"] == [None]
    expect(bar_list).to_be_focused()
    expect(bar_list.get_by_role("option", selected=True)).to_have_accessible_name(
        "Patient ID: (missing) 4 series, < 1 %"
    )
    expect(grid.status).to_have_text("Filtered: Patient ID: (missing)")
    answer(page)
    page.keyboard.press("Escape")
    expect(grid.grid).to_be_focused()
    expect(bar_list).to_be_hidden()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Alt+ArrowDown", "End", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    assert sent(page, "choose")[-1]["filter:size_MB"] == [6, 8]
    expect(grid.status).to_have_text("Filtered: Size 6 – 9 MB")
    page.keyboard.press("Alt+ArrowUp")
    expect(grid.grid).to_be_focused()
    page.keyboard.press("Enter")
    assert sent(page, "sort")[-1]["sort"] == ["size_MB", False]  # Enter on the header still sorts
    assert page.evaluate("() => window.keys") == ["Tab"]


def current_name(page: Page, bar_list: Locator) -> str:
    active = bar_list.get_attribute("aria-activedescendant")
    return page.locator(f"[id='{active}']").get_attribute("aria-label") or ""


def test_newer_rows_request_newer_bars(shown: tuple[Page, Grid]) -> None:
    page, grid = shown
    requests = len(sent(page, "bars"))
    page.evaluate("() => window.stage.show(700)")
    page.evaluate("() => window.stage.show(600)")  # soon after: one request is enough for both
    page.wait_for_function(
        "(before) => window.stage.sent.filter(({ kind }) => kind === 'bars').length > before",
        arg=requests,
    )
    assert [one["generation"] for one in sent(page, "bars")[requests:]] == [2]
    size = {**DISTRIBUTIONS["size_MB"], "chosen": [2, 4]}
    show(page, 2, size_MB=size)
    expect(grid.root.locator(".idc-bar-chosen")).to_have_count(3)


def test_distributions_are_hidden_until_a_person_shows_them(browser: Browser) -> None:
    page, grid = open_folded(browser)
    head = grid.root.locator(".idc-grid-head")
    low = head.evaluate("(head) => head.offsetHeight")
    expect(pictures(grid).first).to_be_hidden()
    page.evaluate("() => window.stage.show(900)")
    page.wait_for_timeout(400)  # three times as long as a page waits before it requests them
    assert sent(page, "bars") == []
    page.keyboard.press("Tab")
    grid.press("Control+Home", "ArrowUp", "Alt+ArrowDown")
    expect(grid.status).to_have_text("Distributions are hidden")
    page.get_by_role("button", name="Show distributions").click()
    assert sent(page, "choose")[-1]["shows"] is True
    show(page, 1, **DISTRIBUTIONS)
    expect(bars(grid, 0)).to_have_count(4)
    assert head.evaluate("(head) => head.offsetHeight") - low == 48
    assert head.evaluate("(head) => head.scrollHeight") - low <= 48
    assert grid.whole_rows() == list(range(len(grid.whole_rows())))
    # The page keeps the choice of the person until the answer. Then the state decides.
    page.evaluate("() => window.stage.set({ _shows_bars: false })")
    expect(pictures(grid).first).to_be_visible()
    answer(page)
    expect(pictures(grid).first).to_be_hidden()
    page.context.close()


def test_a_person_hides_the_distributions(shown: tuple[Page, Grid]) -> None:
    page, grid = shown
    page.get_by_role("button", name="Hide distributions").click()
    expect(page.get_by_role("button", name="Show distributions")).to_be_focused()
    expect(pictures(grid).first).to_be_hidden()
    requests = len(sent(page, "bars"))
    page.evaluate("() => window.stage.show(900)")
    page.wait_for_timeout(400)  # three times as long as a page waits before it requests them
    assert len(sent(page, "bars")) == requests
    page.keyboard.press("Enter")
    expect(bars(grid, 0)).to_have_count(0)  # no bars of the earlier rows
    show(page, 1, **DISTRIBUTIONS)
    expect(bars(grid, 0)).to_have_count(4)
