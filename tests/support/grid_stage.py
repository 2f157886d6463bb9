"""Our grid on a page without Jupyter: JavaScript takes the place of the kernel.

So tests can scroll in every browser, at every size of a pixel, within seconds.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page

from idc_widgets.widgets.grid.dom_grid import _DomGrid

from .grids import Grid

__all__ = ["COLUMNS", "open_stage", "sent"]

COLUMNS = [
    {"name": "PatientID", "label": "Patient ID", "hint": "PatientID", "kind": "text", "width": 116},
    {"name": "Description", "label": "Description", "hint": "", "kind": "text", "width": 160},
    {"name": "instances", "label": "Files", "hint": "", "kind": "count", "width": 60},
    {"name": "size_MB", "label": "Size", "hint": "", "kind": "size", "width": 76},
    {"name": "UID", "label": "Series UID", "hint": "", "kind": "uid", "width": 150},
    {"name": "on_disk", "label": "On disk", "hint": "", "kind": "state", "width": 90},
]

CHOICES = [
    *COLUMNS[:-1],
    {
        "name": "Manufacturer",
        "label": "Manufacturer",
        "hint": "Manufacturer: Maker of the scanner",
        "kind": "text",
        "width": 130,
    },
]

FACTS = {
    "name": "Series UID",
    "identifier": "1.2.3",
    "code": "client.cohort(SeriesInstanceUID='1.2.3').select()",
    "viewer": "https://viewer.example/?StudyInstanceUIDs=1.2",
    "problem": "",
}

# JavaScript: a model whose kernel answers at once, or only when `answer` is called.
STAGE = """async ([script, style, state, isSlow]) => {
  const sheet = document.createElement("style");
  sheet.textContent = style;
  document.head.append(sheet);
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const cells = (row) => [`row ${row}`, row % 7 ? `description ${row} `.repeat(4) : null,
    `${row % 1000}`, "26.4 MB", `1.3.6.1.4.1.14519.5.2.1.6279.6001.${1e9 + row}`,
    row % 2 ? "" : "✓ complete"];
  const listeners = {};
  const tell = (event, ...args) => (listeners[event] ?? []).forEach((heard) => heard(...args));
  const stage = (window.stage = {
    sent: [], waiting: [], number: 0,
    set(changes) {
      Object.assign(state, changes);
      for (const name of Object.keys(changes)) tell(`change:${name}`);
    },
    show(count, { sort = null, picked = [], reveal = -1 } = {}) {
      const generation = (state._source.generation ?? -1) + 1;
      const start = Math.max(0, Math.min(reveal - 20, count - 40));
      const rows = [...Array(Math.min(40, count)).keys()].map((row) => cells(start + row));
      this.set({ _source: { generation, count, start, rows, sort } });
      this.pick(picked, reveal);
    },
    pick(ranges, reveal = -1) {
      const { generation } = state._source;
      this.set({ _picks: { number: ++this.number, generation, ranges, reveal } });
    },
    answer() { for (const message of this.waiting.splice(0)) this.handle(message); },
    handle(message) {
      if (message.kind === "window" && message.fetch) {
        const { generation, start, stop } = message;
        const rows = [...Array(stop - start).keys()].map((row) => cells(start + row));
        tell("msg:custom", { kind: "rows", generation, start, rows });
      } else if (message.kind === "pick") this.pick(message.ranges);
      else if (message.kind === "clear") this.pick([]);
      else if (message.kind === "row") {
        const { view, number } = message;
        tell("msg:custom", { kind: "row", view, number, facts: state.facts });
      } else if (message.kind === "columns") {
        const all = [...state._columns, ...state._choices];
        const named = message.names.map((name) => all.find((one) => one.name === name));
        this.set({ _columns: named });
        this.show(state._source.count);
      }
      else if (message.kind === "copy") {
        tell("msg:custom", { kind: "copied", view: message.view, number: message.number,
                             text: JSON.stringify(message.ranges), count: 2, problem: "" });
      } else if (message.kind === "sort") {
        this.show(state._source.count, { sort: message.sort });
      }
      const { view, number, after } = message;
      if (after !== undefined) this.set({ _answered: `${state._answered} ${view}:${number}` });
    },
  });
  const model = {
    get: (name) => state[name],
    on: (event, heard) => (listeners[event] ??= []).push(heard),
    off: (event, heard) => { listeners[event] = listeners[event].filter((one) => one !== heard); },
    set(name, value) { state[name] = value; },
    save_changes() {},
    send(message) {
      stage.sent.push(message);
      if (isSlow) stage.waiting.push(message);
      else setTimeout(() => stage.handle(message), 3);
    },
  };
  stage.show(state.count);
  const before = document.createElement("button");
  before.textContent = "before";
  const host = document.createElement("div");
  const after = document.createElement("button");
  after.textContent = "after";
  document.body.append(before, host, after);
  window.keys = [];
  document.addEventListener("keydown", (event) => window.keys.push(event.key));
  widget.render({ model, el: host });
}"""


def open_stage(
    browser: Browser,
    count: int,
    *,
    ratio: float = 1,
    width: int = 900,
    height: str = "246px",
    is_slow: bool = False,
    **context: Any,
) -> tuple[Page, Grid]:
    """Open a page with a grid of `count` rows.

    Args:
        browser: The browser.
        count: The number of rows.
        ratio: The number of device pixels per CSS pixel.
        width: The width of the page.
        height: The height of the grid, as CSS.
        is_slow: Whether messages are answered only by ``stage.answer()`` in the page.
        **context: As for Playwright's `new_context`.
    """
    size = {"width": width, "height": 700}
    page = browser.new_context(viewport=size, device_scale_factor=ratio, **context).new_page()
    page.goto("about:blank")
    page.set_content("<!doctype html><html lang='en'><title>Grid</title><body></body></html>")
    state = {
        "_title": "Series",
        "_empty": "No series matches.",
        "_reason": "",
        "_height": height,
        "_columns": COLUMNS,
        "_choices": CHOICES,
        "_widths": {},
        "facts": FACTS,
        "_source": {},
        "_picks": {},
        "_answered": "",
        "_bars": {},
        "_shows_bars": False,
        "count": count,
    }
    page.evaluate(STAGE, [str(_DomGrid._esm), str(_DomGrid._css), state, is_slow])
    grid = Grid(page, "Series")
    if count:
        grid.row(0).wait_for()
    return page, grid


def sent(page: Page, kind: str) -> list[dict[str, Any]]:
    """Return the messages of this kind that the page has sent."""
    messages = "(kind) => window.stage.sent.filter((one) => one.kind === kind)"
    return list(page.evaluate(messages, kind))
