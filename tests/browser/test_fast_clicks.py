"""Fast clicks and typing: the last click or text wins, even if the kernel is busy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.lab import NOTEBOOK, PATIENCE, Lab

SHOW = """
import json, time
from idc_widgets import IDCBrowser
from idc_widgets.index import FACETS
from idc_widgets.index import column_info
from idc_widgets.query import listed_values

def chosen(cohort, column):
    return listed_values(cohort.conditions, column)

def all_of(**filters):
    "Return what the screen must show under these filters."
    cohort = browser.client.cohort(**filters)
    summary = cohort.summary()
    return json.dumps({
        "facets": {
            column_info(column).label: {
                column_info(column).missing if facet.value is None else facet.value:
                [facet.value in chosen(cohort, column), facet.series, facet.patients]
                for facet in counted
            }
            for column, counted in cohort.facets(FACETS).items()
        },
        "grids": [summary.patients, summary.studies, summary.series],
        "summary": [summary.collections, summary.patients, summary.studies, summary.series,
                    summary.instances],
    })

browser = IDCBrowser()
seen = []
browser.state.observe(lambda change: seen.append(change["new"]), "filters")
browser
"""

BUSY = """
import time
from pathlib import Path
Path("busy").touch()
patience = time.monotonic() + 300
while Path("busy").exists() and time.monotonic() < patience:
    time.sleep(0.05)
"""

# Observe the filters: when they become CT and MR, wait until a file is deleted.
HOLD = """
import time
from pathlib import Path
def hold(change):
    if change["new"].filters.get("Modality") == ["CT", "MR"]:
        Path("held").touch()
        patience = time.monotonic() + 300
        while Path("held").exists() and time.monotonic() < patience:
            time.sleep(0.05)
browser.state.observe(hold, "filters")
"""

#: Clicks, as the label of a dropdown and the value to tick or untick.
CLICKS = [
    ("Modality", "CT"),
    ("Modality", "MR"),
    ("Body part", "CHEST"),
    ("Modality", "CT"),
    ("Sex", "F"),
    ("Sex", "F"),
    ("Sex", "F"),
    ("Modality", "CT"),
    ("Body part", "CHEST"),
    ("Modality", "MR"),
]
COLUMNS = {"Modality": "Modality", "Body part": "BodyPartExamined", "Sex": "PatientSex"}

# JavaScript: make clicks, with a pause in ms between them. Dropdowns open and close as for a user.
CLICK = """async ([clicks, pause]) => {
  const facets = [...document.querySelectorAll(".idc-facet")];
  const start = performance.now();
  for (const [label, value] of clicks) {
    const facet = facets.find(
      (facet) => facet.querySelector(".idc-popover-label")?.textContent === label);
    if (!facet.classList.contains("idc-popover-open")) {
      facet.querySelector(".idc-popover-button").click();
    }
    const row = [...facet.querySelectorAll(".idc-facet-row")].find(
      (row) => row.querySelector(".idc-facet-name").textContent === value);
    if (!row) throw new Error(`${label} does not list ${value}`);
    row.click();
    if (pause) await new Promise((done) => setTimeout(done, pause));
  }
  return performance.now() - start;
}"""

# JavaScript: read everything that is shown.
SHOWN = """() => {
  const number = ({ dataset, textContent }) =>
    Number((dataset.text ?? textContent).replaceAll(",", ""));
  const facets = {};
  for (const facet of document.querySelectorAll(".idc-facet")) {
    const opener = facet.querySelector(".idc-popover-button");
    if (opener.getAttribute("aria-expanded") === "false") opener.click();
    facets[facet.querySelector(".idc-popover-label").textContent] = Object.fromEntries(
      [...facet.querySelectorAll(".idc-facet-row")].map((row) => [
        row.querySelector(".idc-facet-name").textContent,
        [row.getAttribute("aria-selected") === "true",
         ...[...row.querySelectorAll(".idc-facet-number")].map(number)],
      ]));
    opener.click();
  }
  return {
    facets,
    grids: [...document.querySelectorAll(".idc-grid-count")].map(number),
    summary: [...document.querySelectorAll(".idc-summary-item b")].slice(0, 5).map(number),
  };
}"""

WAITING = ".idc-popover-waiting, .idc-search-waiting"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[tuple[Lab, Page]]:
    """Open one notebook for all tests; `page` removes all filters before each."""
    with Lab(tmp_path_factory.mktemp("lab"), chromium=chromium) as lab:
        shown = lab.open_notebook([SHOW], height=1300)
        lab.run_all(shown)
        expect(shown.locator(".idc-grid-count").nth(2)).to_have_text("1,044,191")
        yield lab, shown
        errors = lab.errors(shown)
        assert errors == []


@pytest.fixture
def lab(opened: tuple[Lab, Page]) -> Lab:
    return opened[0]


@pytest.fixture
def page(opened: tuple[Lab, Page]) -> Page:
    """Return the browser without filters and without pending requests."""
    lab, shown = opened
    expect(shown.locator(WAITING)).to_have_count(0)
    lab.run(shown, "browser.state.clear(); seen.clear()")
    expect(shown.locator(".idc-search-input")).to_have_value("")
    expect(shown.locator(".idc-grid-count").nth(2)).to_have_text("1,044,191")
    return shown


@contextmanager
def busy_kernel(lab: Lab, page: Page) -> Iterator[None]:
    """Run a cell during a ``with`` statement, and wait for its end afterwards."""
    flag = lab.folder / "busy"
    page.evaluate(
        f"(code) => {{ {NOTEBOOK}"
        " const future = panel.sessionContext.session.kernel.requestExecute({ code });"
        " window.cellIsOver = false;"
        " future.done.then(() => { window.cellIsOver = true; }); }",
        BUSY,
    )
    until(page, flag.exists)
    yield
    assert not page.evaluate("() => window.cellIsOver")
    flag.unlink()
    page.wait_for_function("() => window.cellIsOver")


def until(page: Page, condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)


def states() -> list[dict[str, list[str]]]:
    """Return the filters after each of the clicks."""
    now: dict[str, list[str]] = {}
    after_clicks = []
    for label, value in CLICKS:
        column = COLUMNS[label]
        chosen = now.get(column, [])
        others = [other for other in chosen if other != value]
        chosen = others if value in chosen else [*chosen, value]
        now = {**now, column: chosen}
        after_clicks.append({name: values for name, values in now.items() if values})
    return after_clicks


def assert_agrees(lab: Lab, page: Page, **filters: Any) -> None:
    """Assert that the kernel has these filters, and that the screen keeps showing them."""
    expect(page.locator(WAITING)).to_have_count(0)
    same = f"browser.filters == browser.cohort == browser.client.cohort(**{filters!r})"
    printed = lab.run(page, f"print({same}, browser.filters)")
    assert printed.startswith("True "), printed
    expected = json.loads(lab.run(page, f"print(all_of(**{filters!r}))"))
    deadline = time.monotonic() + PATIENCE / 4
    while (shown := page.evaluate(SHOWN)) != expected and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert shown == expected
    page.wait_for_timeout(1000)  # an outdated answer would arrive now
    assert page.evaluate(SHOWN) == expected
    assert lab.run(page, f"print({same}, repr(browser.state.message))") == "True ''"


@pytest.mark.parametrize("pause", [0, 70])
def test_ten_clicks_within_a_second(lab: Lab, page: Page, pause: int) -> None:
    page.evaluate(CLICK, [CLICKS, pause])
    assert_agrees(lab, page, **states()[-1])


def test_the_same_value_on_and_off(lab: Lab, page: Page) -> None:
    page.evaluate(CLICK, [[("Modality", "CT")] * 9 + [("Sex", "M")] * 8, 20])
    assert_agrees(lab, page, Modality="CT")


def test_an_outdated_answer_does_not_untick(lab: Lab, page: Page) -> None:
    lab.run(page, HOLD)
    page.evaluate(CLICK, [[("Modality", "CT"), ("Modality", "MR")], 0])
    # The page sends the second choice, CT and MR, only after the first, CT, has been answered.
    until(page, (lab.folder / "held").exists)
    page.evaluate(CLICK, [[("Modality", "MR")], 0])
    (lab.folder / "held").unlink()
    assert_agrees(lab, page, Modality="CT")
    lab.run(page, "browser.state.unobserve(hold, 'filters')")


def test_clear_all_after_clicks(lab: Lab, page: Page) -> None:
    page.evaluate(CLICK, [[("Modality", "MR")], 0])
    clear = page.get_by_role("button", name="Clear all")
    clear.wait_for()
    page.evaluate(CLICK, [CLICKS[2:6], 0])
    clear.evaluate("(element) => element.click()")
    assert_agrees(lab, page)


def test_clicks_while_a_cell_runs(lab: Lab, page: Page) -> None:
    with busy_kernel(lab, page):
        page.evaluate(CLICK, [CLICKS, 10])
        # Every dropdown shows its clicks at once, although the kernel is busy.
        chosen = page.evaluate(SHOWN)["facets"]
        for label, column in COLUMNS.items():
            ticked = [value for value, (is_ticked, *_) in chosen[label].items() if is_ticked]
            assert ticked == states()[-1].get(column, []), label
    assert_agrees(lab, page, **states()[-1])
    # The kernel may skip clicks, but had no other filters, and had them in the order of the clicks.
    clicked = f"iter([browser.client.cohort(**filters) for filters in {states()!r}])"
    in_order = f"clicked = {clicked}\nprint(all(filters in clicked for filters in seen))"
    assert lab.run(page, in_order) == "True", lab.run(page, "print(*seen, sep='\\n')")


def test_typing_while_a_cell_runs(lab: Lab, page: Page) -> None:
    box = page.locator(".idc-search-input")
    with busy_kernel(lab, page):
        box.click()
        page.keyboard.type("ct chest", delay=20)
        expect(page.locator(".idc-search-waiting")).to_have_count(1)  # the text has been sent
        page.evaluate(CLICK, [[("Sex", "M")], 0])
        box.click()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("lung1-3650", delay=20)
        page.keyboard.press("Backspace")
        assert box.input_value() == "lung1-365"
    expect(page.locator(WAITING)).to_have_count(0)
    assert box.input_value() == "lung1-365"
    assert_agrees(lab, page, text="lung1-365", PatientSex="M")
    assert box.input_value() == "lung1-365"


def test_typing_while_counts_come_in(lab: Lab, page: Page) -> None:
    page.evaluate(CLICK, [CLICKS, 0])
    box = page.locator(".idc-search-input")
    box.click()
    page.keyboard.type("lung", delay=250)  # slow enough that every letter is sent
    page.keyboard.type(" 0", delay=20)
    assert box.input_value() == "lung 0"
    page.wait_for_timeout(1000)  # the box sends only after a pause
    assert_agrees(lab, page, **states()[-1], text="lung 0")
