"""200 clicks on all controls of filters and grids, beside busy processes: none is lost.

The page gives each click a number, and notes what it shows after it. Each message to the kernel
gets the numbers of the clicks that it contains: one, or several in a row on one control, of which
the last contains or replaces the others. The kernel records these numbers when it has carried out
the message, refused it on the page, or left it out for a later one on the same control. At the end:

- The kernel has recorded each number once, in the order of the clicks.
- The state is that of the same clicks in plain Python, without those that were refused.
- The page shows that state.

There are no pauses in the first half of the clicks, and random pauses in the second half. The
environment variable IDC_WIDGETS_CLICK_RUNS sets the number of runs. Each run has other clicks and a
new kernel. IDC_WIDGETS_CLICK_LOAD sets the number of busy processes, by default one: other tests
may run at the same time, and have limits of time.

This is for our own grids. Those of ipydatagrid guarantee less: their clicks are not sent again, and
do not wait for earlier clicks on other widgets that arrive in another thread.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.lab import NOTEBOOK, PATIENCE, Lab

from idc_widgets import BrowserState, IDCClient
from idc_widgets.index import LEVELS, column_info
from idc_widgets.query import Sort
from idc_widgets.widgets.ranges import RangeFilter

CLICKS = 200
RUNS = int(os.environ.get("IDC_WIDGETS_CLICK_RUNS", "1"))
#: Pauses in ms. In the second half, each click is followed by one of them, chosen at random.
PAUSES = [0, 0, 0, 20, 50, 100, 300]
BUSY_PROCESSES = int(os.environ.get("IDC_WIDGETS_CLICK_LOAD", "1"))
COLLECTIONS = ["nsclc_radiomics", "tcga_luad"]
FACETS = ["Modality", "BodyPartExamined", "PatientSex", "Manufacturer"]
RANGE = "PatientAge"
#: The clicks on bars are in the distribution of this level and column.
BARS = ("series", "Modality")
#: Label → column of a dropdown.
COLUMNS = {column_info(column).label: column for column in FACETS}
#: Level → the columns that identify a row on the screen.
KEYS = {name: [column_info(column).label for column in LEVELS[name].key] for name in LEVELS}
#: Level → columns whose headers are clicked; all of them are in sight at 1400 px.
SORTED = {
    "patient": ["PatientID", "PatientSex", "size_MB"],
    "study": ["StudyDate", "Modality", "size_MB"],
    "series": ["Modality", "SeriesDescription", "BodyPartExamined"],
}

#: What the page says about a click on a row that the kernel, or the grid, does not have any more.
REFUSALS = ("have been replaced since then", "is no longer shown")

SHOW = f"""
import json, threading
from idc_widgets import IDCBrowser
from idc_widgets.widgets import BrowserState
from idc_widgets.widgets.front_end_requests import FrontEndRequests

taken = []  # of each message: the numbers of its clicks, and what became of them
here = threading.local()
carry_out, report = FrontEndRequests._carry_out, BrowserState.report

def recorded_carry_out(requests, widget, content, work, answer):
    entry = dict(clicks=content["clicks"], outcome="left out", thread=threading.get_ident())
    def recorded_work(request):
        entry["outcome"] = "done"
        taken.append(entry)
        work(request)
    here.entry = entry
    try:
        carry_out(requests, widget, content, recorded_work, answer)
    finally:
        here.entry = None
    if not any(entry["clicks"] == other["clicks"] for other in list(taken)):
        taken.append(entry)

def recorded_report(state, error):
    if getattr(here, "entry", None) is not None:
        here.entry["outcome"] = str(error)
    report(state, error)

FrontEndRequests._carry_out = recorded_carry_out
BrowserState.report = recorded_report

browser = IDCBrowser(collection_id={COLLECTIONS!r})
browser._filters.expanded = True
browser.state.distributions = {{{BARS[0]!r}: True}}
browser
"""

# Print the control of each widget, by the id of its model.
CONTROLS = """
from idc_widgets import FacetDropdown, RangeFilter
from idc_widgets.widgets.grid.level_grids import _LevelGrid

def parts(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)

grids = {part._level: part for part in parts(browser) if isinstance(part, _LevelGrid)}
controls = {grid._view.widget.model_id: level for level, grid in grids.items()}
for part in parts(browser):
    if isinstance(part, (FacetDropdown, RangeFilter)):
        controls[part.model_id] = part._label
print(json.dumps(controls))
"""

# JavaScript: `window.made`, the clicks; `window.click`, to make one; and `window.grids`.
DRIVER = (
    f"""([keys, controls, barColumn, barLabel]) => {{ {NOTEBOOK}
"""
    + """
  const levels = Object.keys(keys);
  const middle = (box) => [box.left + box.width / 2, box.top + box.height / 2];

  // An element with the role "grid". Its first column has checkboxes.
  const domGrid = (level, node) => {
    const text = (cell) => cell.getAttribute("aria-label") || cell.textContent;
    const nameOf = (header) => text(header.querySelector(".idc-grid-label") ?? header);
    const headers = () => [...node.querySelectorAll("[role=columnheader]")];
    const lines = () => [...node.querySelectorAll("[role=row]")].filter((line) =>
      line.offsetParent && line.querySelector("[role=gridcell]"));
    const cellOf = (line, title) => {
      const index = headers().find((header) => nameOf(header) === title).ariaColIndex;
      return line.querySelector(`[role=gridcell][aria-colindex="${index}"]`);
    };
    const keyOf = (line) => {
      if (line.getAttribute("aria-busy") === "true") return null;
      const key = keys[level].map((title) => text(cellOf(line, title)));
      return key.every(Boolean) ? key : null;
    };
    return {
      node,
      isReady: () => node.offsetParent !== null && lines().length > 0,
      keyOf: (cell) => keyOf(cell.closest("[role=row]")),
      order() {
        const sorted = headers().find((one) => !["none", null].includes(one.ariaSort));
        return sorted ? [nameOf(sorted), sorted.ariaSort === "descending"] : null;
      },
      cellOfRow: (row) => lines()[row]?.querySelector("[aria-colindex='2']"),
      headerOf: (title) => [headers().find((one) => nameOf(one) === title)],
      picked: () => lines()
        .filter((line) => line.getAttribute("aria-selected") === "true").map(keyOf).slice(0, 9),
      rows: () => lines().map(keyOf).slice(0, 9),
    };
  };

  const nodes = [...document.querySelectorAll(".idc-browser [role=grid]")];
  window.grids = Object.fromEntries(levels.map((level, index) =>
    [level, domGrid(level, nodes[index])]));

  // --- which clicks a message contains -------------------------------------------------------

  window.made = []; // {kind, control, shown, isSent}
  const kinds = { bins: "range", pick: "row", sort: "sort" };
  const connection = Object.getPrototypeOf(panel.sessionContext.session.kernel);
  const { sendShellMessage } = connection;
  connection.sendShellMessage = function (message, ...rest) {
    const { comm_id, data } = message.content;
    const content = data?.content;
    if (content?.page && !content.clicks) {
      const control = controls[comm_id];
      const kind = kinds[content.kind] ?? (levels.includes(control) ? "bar" : "facet");
      content.clicks = [];
      window.made.forEach((click, number) => {
        if (click.isSent || click.kind !== kind || click.control !== control) return;
        click.isSent = true;
        if (kind === "bar") click.shown = content[`filter:${barColumn}`];
        content.clicks.push(number);
      });
    }
    return sendShellMessage.call(this, message, ...rest);
  };

  // --- where to click: the element, and the point; null where nothing can be clicked ---------

  const filterOf = (label) => [...document.querySelectorAll(".idc-popover")].find(
    (root) => root.querySelector(".idc-popover-label").textContent === label);
  const find = {
    open(label) {
      const root = filterOf(label);
      if (root.classList.contains("idc-popover-open")) return null;
      return [root.querySelector(".idc-popover-button")];
    },
    facet(label, index) {
      const options = [...filterOf(label).querySelectorAll("[role=option]")].slice(0, 6);
      return options.length ? [options[index % options.length]] : null;
    },
    range(label, [first, last]) {
      const bars = filterOf(label).querySelectorAll(".idc-range-bar");
      if (!bars.length) return null;
      const chart = bars[first].closest(".idc-range-chart").getBoundingClientRect();
      const [start, end] = [first, last].map((bin) => middle(bars[bin].getBoundingClientRect())[0]);
      const y = chart.top + chart.height - 8;
      return [bars[first].parentElement, [start, y], [end, y]];
    },
    row(level, row) {
      const grid = window.grids[level];
      const cell = grid.isReady() ? grid.cellOfRow(row) : null;
      const key = cell && JSON.stringify(grid.keyOf(cell));
      // Rows that have not arrived are not clicked; nor are picked ones, as that changes nothing.
      if (!cell || key === "null") return null;
      return grid.picked().some((picked) => JSON.stringify(picked) === key) ? null : [cell];
    },
    sort(level, title) {
      const grid = window.grids[level];
      return grid.isReady() ? grid.headerOf(title) : null;
    },
    bar(level, index) {
      const { node, isReady, headerOf } = window.grids[level];
      if (!isReady()) return null;
      const { left, right } = headerOf(barLabel)[0].getBoundingClientRect();
      const picture = [...node.querySelectorAll(".idc-grid-bars-cell")].find((cell) => {
        const [x] = middle(cell.getBoundingClientRect());
        return left < x && x < right;
      });
      const bars = picture.querySelectorAll(".idc-bar-place");
      return bars.length ? [bars[index % bars.length]] : null;
    },
  };
  window.find = (kind, ...args) => {
    const place = find[kind](...args);
    if (!place) return null;
    const [element, [x, y] = middle(element.getBoundingClientRect()), end = [x, y]] = place;
    return { element, x, y, end };
  };

  // Make a click as a mouse does, but at once.
  window.press = ({ element, x, y, end }) => {
    const hit = document.elementFromPoint(x, y);
    const target = element.contains(hit) ? hit : element;
    const send = (Kind, type, [clientX, clientY], buttons) => target.dispatchEvent(new Kind(type, {
      bubbles: true, cancelable: true, composed: true, clientX, clientY, button: 0, buttons,
      detail: 1, pointerId: 1, pointerType: "mouse", isPrimary: true, view: window,
    }));
    send(PointerEvent, "pointerdown", [x, y], 1);
    send(MouseEvent, "mousedown", [x, y], 1);
    send(PointerEvent, "pointermove", end, 1);
    send(PointerEvent, "pointerup", end, 0);
    send(MouseEvent, "mouseup", end, 0);
    send(MouseEvent, "click", end, 0);
  };

  // What the page shows of a control after a click.
  const shown = {
    facet: (label) => [...filterOf(label).querySelectorAll("[role=option][aria-selected=true]")]
      .map((option) => option.querySelector(".idc-facet-name").textContent),
    range: (label) => [...filterOf(label).querySelectorAll("[role=slider]")]
      .map((handle) => Number(handle.getAttribute("aria-valuenow"))),
    sort: (level) => window.grids[level].order(),
  };
  window.click = (kind, control, target) => {
    if (kind === "facet" || kind === "range") {
      const opener = window.find("open", control);
      if (opener) window.press(opener);
    }
    const place = window.find(kind, control, target);
    if (!place) return;
    const click = { kind, control, isSent: false };
    if (kind === "row") click.shown = window.grids[control].keyOf(place.element);
    window.made.push(click);
    window.press(place);
    if (kind in shown) click.shown = shown[kind](control);
  };
}"""
)

# JavaScript: make clicks with these pauses in ms. Even without a pause, the page handles what has
# arrived between two clicks.
CLICK = """async ([steps, clicks, pauses]) => {
  const breathe = (pause) => new Promise((done) => {
    if (pause) return setTimeout(done, pause);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(null);
  });
  for (const [index, step] of steps.entries()) {
    if (window.made.length >= clicks) return;
    window.click(...step);
    await breathe(pauses[index]);
  }
}"""

SHOWN = """() => ({
  counts: [...document.querySelectorAll(".idc-grid-count")].map(({ textContent }) =>
    Number(textContent.replaceAll(",", ""))),
  rows: Object.fromEntries(Object.entries(window.grids).map(([level, grid]) =>
    [level, grid.isReady() ? grid.rows() : []])),
  picked: Object.fromEntries(Object.entries(window.grids).map(([level, grid]) =>
    [level, grid.isReady() ? grid.picked() : []])),
  message: document.querySelector(".idc-summary-alert .idc-alert-text")?.textContent ?? "",
})"""

# JavaScript: show the first rows again, because grids scroll to a picked row.
SCROLL_UP = """() => {
  for (const grid of document.querySelectorAll(".idc-grid-scroller")) grid.scrollTop = 0;
}"""


def random_steps(seed: int) -> list[list[Any]]:
    """Return clicks as [kind, control, target], which come in short runs, as people click.

    Some will have no target, such as a row of an empty grid, so there are more than enough.
    """
    chance = random.Random(seed)
    steps: list[list[Any]] = []
    while len(steps) < 4 * CLICKS:
        kind = chance.choices(["facet", "row", "sort", "range", "bar"], [3, 5, 2, 1, 2])[0]
        level = chance.choice(list(LEVELS))
        column = chance.choice(FACETS)
        for _ in range(chance.choice([1, 1, 2, 3])):
            if kind == "facet":
                steps.append([kind, column_info(column).label, chance.randrange(3)])
            elif kind == "range":
                bins = [chance.randrange(3, 9), chance.randrange(12, 18)]
                steps.append([kind, column_info(RANGE).label, bins])
            elif kind == "row":
                steps.append([kind, level, chance.randrange(8)])
            elif kind == "bar":
                steps.append([kind, BARS[0], chance.randrange(4)])
            else:
                steps.append([kind, level, column_info(chance.choice(SORTED[level])).label])
    return steps


@contextmanager
def busy_processes() -> Iterator[None]:
    """Keep processors busy during a ``with`` statement."""
    code = "import os\nwhile os.getppid() != 1: sum(range(10**6))"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(BUSY_PROCESSES)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    shown = lab.open_notebook([SHOW], height=1500)
    lab.run_all(shown)
    expect(shown.locator(".idc-grid-count").nth(2)).to_have_text("9,774")
    expect(shown.locator(".idc-bar-place").first).to_be_attached()
    column = [BARS[1], column_info(BARS[1]).label]
    shown.evaluate(DRIVER, [KEYS, json.loads(lab.run(shown, CONTROLS)), *column])
    # The first histogram, so that there are bars to click. What `run` has done to the notebook may
    # still close the popover.
    shown.wait_for_function(
        """(label) => {
          const opener = window.find("open", label);
          if (opener) window.press(opener);
          return document.querySelectorAll(".idc-range-bar").length === 20;
        }""",
        arg=column_info(RANGE).label,
    )
    yield shown
    errors = lab.errors(shown)
    lab.close(shown)
    assert errors == []


def outcome(lab: Lab, page: Page) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what the kernel has recorded when it has taken all clicks, and its state."""
    count, deadline = 0, time.monotonic() + PATIENCE / 2
    while count < CLICKS and time.monotonic() < deadline:
        page.wait_for_timeout(1000)
        before, code = count, "print(sum(len(entry['clicks']) for entry in taken))"
        count = int(lab.run(page, code))
        if count > before:
            deadline = time.monotonic() + PATIENCE / 2
    code = """print(json.dumps([taken, {
        "filters": {name: value for name, value in browser.filters.filters.items()},
        "picked": {
            "patient": browser.state.patients, "study": browser.state.studies,
            "series": browser.state.series},
        "message": browser.state.message,
        "rows": {level: [
            list(key) if isinstance(key, tuple) else [key]
            for key in grid._rows.keys([range(min(9, len(grid._rows)))])]
            for level, grid in grids.items()},
        "counts": [len(grid._rows) for grid in grids.values()],
        "sorts": {level: grid._rows.sort and [grid._rows.sort.column, grid._rows.sort.descending]
            for level, grid in grids.items()},
    }], default=str))"""
    entries, state = json.loads(lab.run(page, code))
    return entries, state


# --- the same clicks in plain Python ------------------------------------------------------------


class Plain:
    """A state that is changed by clicks in plain Python."""

    def __init__(self, client: IDCClient) -> None:
        self.state = BrowserState(client, collection_id=COLLECTIONS)
        self.sorts: dict[str, Sort | None] = dict.fromkeys(LEVELS)
        self.bins = RangeFilter(self.state, RANGE)
        self.bins._count()

    def do(self, kind: str, control: str, shown: Any) -> None:
        """Click as a person did, given what the page showed after the click."""
        if kind == "facet":
            column = COLUMNS[control]
            missing = column_info(column).missing
            values = [None if name == missing else name for name in shown]
            self.state.filter_values(column, values)
        elif kind == "range":
            assert self.bins._bins is not None
            low, high = self.bins._bins.between(*shown)
            filters = self.state.filters.without(RANGE)
            is_whole = low is None and high is None
            self.state.filters = filters if is_whole else filters.where(**{RANGE: (low, high)})
        elif kind == "bar":
            self.state.filter_values(BARS[1], shown)
        elif kind == "row":
            key = tuple(shown) if len(shown) > 1 else shown[0]
            self.state.pick(**{LEVELS[control].plural: [key]})
        else:
            names = {column_info(column).label: column for column in SORTED[control]}
            self.sorts[control] = Sort(names[shown[0]], shown[1]) if shown else None


def described(made: list[dict[str, Any]], taken: list[dict[str, Any]]) -> str:
    """Return one line per message, for the reader of a failed test."""
    lines = []
    for entry in taken:
        clicks = [
            (number, made[number]["kind"], made[number]["control"]) for number in entry["clicks"]
        ]
        lines.append(f"{clicks} in thread {entry['thread']}: {entry['outcome']}")
    return "\n".join(lines)


def assert_none_is_lost(
    made: list[dict[str, Any]],
    entries: list[dict[str, Any]],
    state: dict[str, Any],
    client: IDCClient,
) -> None:
    """Assert that the clicks of the page are those of the kernel, and what follows from them."""
    assert len(made) == CLICKS, "most clicks had no target"
    assert {click["kind"] for click in made} == {"facet", "range", "row", "sort", "bar"}
    taken = [entry for entry in entries if entry["outcome"] != "left out"]
    left_out = [entry for entry in entries if entry["outcome"] == "left out"]
    in_order = [number for entry in taken for number in entry["clicks"]]
    numbers = in_order + [number for entry in left_out for number in entry["clicks"]]
    missing = {number: made[number] for number in set(range(CLICKS)) - set(numbers)}
    assert missing == {}
    assert sorted(numbers) == list(range(CLICKS))
    assert in_order == sorted(in_order), described(made, taken)
    for entry in left_out:
        control = (made[entry["clicks"][-1]]["kind"], made[entry["clicks"][-1]]["control"])
        later = [one for one in made[entry["clicks"][-1] + 1 :] if one["kind"] == control[0]]
        assert any(one["control"] == control[1] for one in later)
    plain = Plain(client)
    for entry in taken:
        click = made[entry["clicks"][-1]]
        if entry["outcome"] == "done":
            plain.do(click["kind"], click["control"], click["shown"])
        else:
            assert click["kind"] == "row"
            assert any(text in entry["outcome"] for text in REFUSALS), entry["outcome"]
    assert state["filters"] == json.loads(json.dumps(plain.state.filters.filters, default=str))
    for level, keys in state["picked"].items():
        expected = getattr(plain.state, LEVELS[level].plural)
        assert sorted(keys) == sorted(json.loads(json.dumps(expected))), level
    for level, sort in state["sorts"].items():
        expected_sort = plain.sorts[level]
        assert sort == (expected_sort and [expected_sort.column, expected_sort.descending]), level


def assert_shown(page: Page, state: dict[str, Any]) -> None:
    """Assert that the page shows the state of the kernel."""
    picked = {
        level: [key if isinstance(key, list) else [key] for key in keys]
        for level, keys in state["picked"].items()
    }
    expected = {
        "counts": state["counts"],
        "rows": state["rows"],
        "picked": {
            level: [row for row in rows if row in picked[level]]
            for level, rows in state["rows"].items()
        },
        "message": state["message"],
    }
    deadline = time.monotonic() + PATIENCE / 4
    while (shown := page.evaluate(SHOWN)) != expected and time.monotonic() < deadline:
        page.evaluate(SCROLL_UP)
        page.wait_for_timeout(50)
    assert shown == expected


# --- the tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1, RUNS + 1))
def test_no_click_is_lost(lab: Lab, page: Page, client: IDCClient, seed: int) -> None:
    steps = random_steps(seed)
    chance = random.Random(seed)
    pauses = [0 if index < CLICKS // 2 else chance.choice(PAUSES) for index in range(len(steps))]
    with busy_processes():
        page.evaluate(CLICK, [steps, CLICKS, pauses])
    entries, state = outcome(lab, page)
    assert_none_is_lost(page.evaluate("() => window.made"), entries, state, client)
    assert_shown(page, state)
