"""The time from a click on a facet value to the updated screen, in JupyterLab and Chromium.

The page shows IDCBrowser(). The index is prepared, as in every session after the first. The mouse
ticks and unticks random values of dropdowns (repeatable by a seed), first while "More filters" is
closed, then while it is open, so that all facets are counted. All times are measured in the page.
They begin at the time stamp of the click and end with a frame:

  shown   the frame after which the screen has its final look: the values with their counts, the
          summary, the chips, the titles and the first rows of the three grids;
  last    the frame after which nothing is painted or changed any more. A grid requests its rows
          again when it has received new ones, and paints the same picture twice.

A grid is a canvas, so its content is taken from the texts that it draws and their positions. The
lower limit is a round trip to the kernel: a widget sends a message, and its Python answers at once.

Then the benchmark types into the search box and measures the time from each key to the frame
that shows its letter: first with an idle kernel, then so slowly that the search for each letter is
answered before the next key. It also measures the time from running the cell to the first screen,
after the imports; the JavaScript heap that this adds to the page; and the memory of the kernel.

Finally, two other tables show the series in the same way: quak and itables. See _table_peers.py.

This needs Chromium and the packages of the tests: pip install 'idc-widgets[test,bench]'.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from _measure import aim, heading, number, percentile, print_table
from _table_peers import PEERS, Peer

#: The aim: 95 of 100 clicks update the whole screen within this many milliseconds.
AIM_P95_MS = 100

#: The aim: 95 of 100 jumps to a random place of a million rows show values within this time.
AIM_SCROLL_P95_MS = 60

GRIDS = ("dom", "ipydatagrid")

#: The aim: the first screen stands this long after the cell runs, if all is imported.
AIM_FIRST_PAINT_MS = 700

#: The aim: 95 of 100 letters are on the screen within this time.
AIM_LETTER_P95_MS = 200

#: A run ends after this time even if it has made fewer clicks, because the machine is too busy.
MAX_RUN_SECONDS = 60

#: One step on the page takes at most this long; otherwise, the benchmark fails.
MAX_STEP_SECONDS = 20

#: A click is over when nothing has happened for this long.
QUIET_MS = 500

TYPED = "chest lung abdomen p"

SETUP = """
import time
import anywidget
import duckdb, numpy, pyarrow
from idc_widgets import IDCBrowser, IDCClient
from idc_widgets.widgets.facets import FacetDropdown

handled = []  # per click: when the kernel began to handle it, and when it had finished
handle = FacetDropdown._on_message

def handle_and_measure(self, *message):
    began = time.time()
    handle(self, *message)
    handled.append((began, time.time()))

FacetDropdown._on_message = handle_and_measure

class Echo(anywidget.AnyWidget):
    _esm = '''
    export default { render({ model }) {
      window.clicks.echo = () => new Promise((done) => {
        const before = performance.now();
        model.on("msg:custom", function answered() {
          model.off("msg:custom", answered);
          done(performance.now() - before);
        });
        model.send({});
      });
    } };
    '''


"""

SHOW = """
client = IDCClient()
browser = IDCBrowser(client, grid=GRID)
browser
"""

# Python: the resident memory of the kernel, in MB.
RSS = "import psutil; print(psutil.Process().memory_info().rss / 1e6)"

# JavaScript: the end of a function that returns the ms from `before` to the next painted frame.
RETURN_WHEN_PAINTED = """
  await new Promise((done) => {
    const painted = new MessageChannel();
    painted.port1.onmessage = done;
    painted.port2.postMessage(null);
  });
  return performance.now() - before;
}"""

# JavaScript: run a cell; return the ms until the frame after which `isShown` is true.
FIRST_PAINT = (
    """async ([cell, isShown, limit]) => {
  const isThere = eval(isShown);
  const frame = () => new Promise(requestAnimationFrame);
  const panel = window.jupyterapp.shell.currentWidget;
  panel.content.activeCellIndex = cell;
  panel.content.deselectAll();
  const before = performance.now();
  window.jupyterapp.commands.execute("notebook:run-cell");
  do await frame(); while (!isThere() && performance.now() - before < limit);
  if (!isThere()) throw new Error("the first rows do not appear");
"""
    + RETURN_WHEN_PAINTED
)

# JavaScript: whether the page shows the rows and the counts.
IS_SHOWN = {
    "dom": """() => {
      const rows = document.querySelectorAll(".idc-grid-clip [aria-rowindex='2']");
      return rows.length === 3 && document.querySelector(".idc-download")
        && document.querySelectorAll(".idc-facet").length >= 6;
    }""",
    "ipydatagrid": """() => document.querySelectorAll(".ipydatagrid-widget canvas").length >= 3
        && document.querySelectorAll(".idc-facet").length >= 6
        && [...document.querySelectorAll(".idc-grid-count")].length === 3
        && [...document.querySelectorAll(".idc-grid-count")].every((count) => count.textContent)""",
}

# Give the page Lumino's grid of series, which it cannot find by itself.
REACH = """
class Reach(anywidget.AnyWidget):
    _esm = '''
    export default { async render({ model }) {
      const grid = await model.widget_manager.get_model(model.get("id"));
      window.clicks.lumino = (await Object.values(grid.views)[0]).grid.grid;
    } };
    '''
    id = __import__("traitlets").Unicode().tag(sync=True)

Reach(id=browser._grids[2]._view.grid.model_id)
"""

# JavaScript: scroll the grid of series to a random place; return the ms until the frame after which
# all its cells have values.
SCROLL = (
    """async (part) => {
  const frame = () => new Promise(requestAnimationFrame);
  const { lumino } = window.clicks;
  const before = performance.now();
  if (lumino) {
    const row = Math.floor(part * lumino.dataModel.rowCount("body"));
    lumino.scrollTo(0, row * 24);
    const last = row + Math.floor(lumino.pageHeight / 24) - 1;
    const isShown = () => [row, last].every((one) => lumino.dataModel.data("body", one, 2));
    do await frame(); while (!isShown());
  } else {
    const grid = document.querySelectorAll("[role=grid]")[2];
    const bar = grid.closest(".idc-grid-scroller");
    const rows = [...grid.querySelectorAll("[role=row]")];
    const first = rows[1].getAttribute("aria-rowindex");
    bar.scrollTop = part * (bar.scrollHeight - bar.clientHeight);
    do await frame();
    while (rows[1].getAttribute("aria-rowindex") === first || grid.ariaBusy !== "false");
  }
"""
    + RETURN_WHEN_PAINTED
)

# JavaScript: scroll another table; return the ms until the frame after which its rows are there.
SCROLL_PEER = (
    """async ([scroll, isThere, part]) => {
  const before = performance.now();
  eval(scroll)(part);
  do await new Promise(requestAnimationFrame);
  while (!eval(isThere)() && performance.now() - before < 10000);
"""
    + RETURN_WHEN_PAINTED
)

ECHO = "echo = Echo(); echo.on_msg(lambda *_: echo.send({})); echo"

# JavaScript: record everything that happens in the page. `result` evaluates the record only after a
# click, so that it does not slow the click down.
SPY = r"""() => {
  const spy = (window.clicks = { frames: [], messages: [], from: 0, busy: 0 });

  // A frame is painted after the callbacks of requestAnimationFrame, and a message that one of them
  // posts arrives after the frame. What a callback changes is still part of the frame.
  let inFrame = 0;
  let current = null;
  const nextFrame = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => nextFrame((now) => {
    inFrame++;
    try { callback(now); } finally { inFrame--; }
  });
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    if (!current) return;
    current.painted = performance.now();
    spy.frames.push(current);
    current = null;
  };
  const happened = () => {
    spy.busy = performance.now();
    if (!current) {
      current = { parts: new Set(), drawn: [] };
      if (inFrame) channel.port2.postMessage(null);
      else nextFrame(() => channel.port2.postMessage(null));
    }
    return current;
  };

  const parts = {
    "idc-facet-list": "values", "idc-summary": "summary", "idc-grid-title": "titles",
    "idc-grid-scroller": "rows", "idc-grid-live": "spoken",
    "idc-download": "download", "ipydatagrid-widget": "grid elements", "idc-root": "buttons",
  };
  const browser = document.querySelector(".idc-browser");
  new MutationObserver((mutations) => {
    for (const { target } of mutations) {
      const element = target.nodeType === 1 ? target : target.parentElement;
      const name = Object.keys(parts).find((part) => element?.closest(`.${part}`));
      happened().parts.add(parts[name] ?? "layout");
    }
  }).observe(browser, {
    subtree: true, childList: true, characterData: true, attributes: true,
  });

  // A grid draws each cell on a canvas outside the page, and copies it from there.
  const context = CanvasRenderingContext2D.prototype;
  for (const name of ["fillText", "fillRect", "clearRect", "drawImage"]) {
    const draw = context[name];
    context[name] = function (...args) {
      if (!this.canvas.isConnected || this.canvas.closest(".idc-browser")) {
        const { e: x, f: y } = this.getTransform();
        happened().drawn.push([this.canvas, name, args, x, y]);
      }
      return draw.apply(this, args);
    };
  }

  const sockets = new WeakSet();
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (!sockets.has(this)) {
      sockets.add(this);
      this.addEventListener("message", (event) => {
        spy.messages.push({ at: performance.now(), data: event.data });
      });
    }
    spy.messages.push({ at: performance.now(), data, sent: true });
    return send.call(this, data);
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest?.(".idc-browser")) spy.from = event.timeStamp;
  }, true);

  // From key to paint. At the event "input", the input already has its new value.
  spy.keys = [];
  let pressed = 0;
  document.addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
  document.addEventListener("input", () => {
    const from = pressed;
    nextFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => spy.keys.push(performance.now() - from);
      painted.port2.postMessage(null);
    });
  }, true);

  spy.begin = () => {
    spy.frames.length = spy.messages.length = 0;
    spy.from = 0;
  };
  spy.isOver = (quiet) => !current && performance.now() - spy.busy > quiet
    && !document.querySelector(".idc-popover-waiting, .idc-search-waiting");

  // --- evaluation, after a click ---

  const canvases = new Map(); // canvas → position → text
  const textsOf = (canvas) => {
    if (!canvases.has(canvas)) canvases.set(canvas, new Map());
    return canvases.get(canvas);
  };
  const within = (texts, left, top, width, height) => [...texts].filter(([position]) => {
    const [x, y] = position.split(",").map(Number);
    return x >= left && x <= left + width && y >= top && y <= top + height;
  });
  const repeat = (drawn) => {
    for (const [canvas, name, args, dx, dy] of drawn) {
      const texts = textsOf(canvas);
      if (name === "fillText") texts.set(`${args[1] + dx},${args[2] + dy}`, args[0]);
      else if (name === "drawImage") {
        const [source, left, top, width, height, x, y] = args;
        const copied = within(textsOf(source), left, top, width, height);
        for (const [position] of within(texts, x, y, width, height)) texts.delete(position);
        for (const [position, text] of copied) {
          const [oldX, oldY] = position.split(",").map(Number);
          texts.set(`${oldX - left + x},${oldY - top + y}`, text);
        }
      } else {
        const [x, y, width, height] = args;
        const covered = within(texts, x + dx, y + dy, width, height);
        for (const [position] of covered) texts.delete(position);
      }
    }
  };
  const grids = [...browser.querySelectorAll(".ipydatagrid-widget")].map(
    (grid) => [...grid.querySelectorAll("canvas")]);
  const asText = () => grids.map((canvasesOfGrid) =>
    canvasesOfGrid.map((canvas) => [...textsOf(canvas)].map(String).sort().join("\n")).join("\n"));

  const text = new TextDecoder();
  const decode = ({ at, data, sent }) => {
    let message = {}, size = data.length ?? data.byteLength;
    if (typeof data === "string") message = JSON.parse(data);
    else {
      const view = new DataView(data.buffer ?? data, data.byteOffset ?? 0);
      const offset = (n) => Number(view.getBigUint64(8 * (n + 1), true));
      const piece = (n) => text.decode(
        new Uint8Array(view.buffer, view.byteOffset + offset(n), offset(n + 1) - offset(n)));
      message = { header: JSON.parse(piece(1)), parent: JSON.parse(piece(2)),
                  content: JSON.parse(piece(4)) };
    }
    const body = message.content?.data ?? {};
    return { at, sent: Boolean(sent), size,
             type: message.header?.msg_type, id: message.header?.msg_id,
             parent: (message.parent ?? message.parent_header)?.msg_id,
             comm: message.content?.comm_id,
             kind: body.method === "custom"
               ? body.content?.kind ?? body.content?.type ?? body.content?.event_type
               : Object.keys(body.state ?? {}).join(",") };
  };

  spy.result = () => {
    let before = asText();
    const frames = spy.frames.map(({ painted, parts, drawn }) => {
      const changed = [...parts];
      repeat(drawn);
      const now = asText();
      now.forEach((texts, grid) => { if (texts !== before[grid]) changed.push(`grid ${grid}`); });
      before = now;
      const copies = drawn.filter(([, name]) => name === "drawImage").length;
      return { painted, changed, copies };
    });
    return { from: spy.from, origin: performance.timeOrigin, frames,
             messages: spy.messages.map(decode) };
  };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", choices=GRIDS, help="one kind of grid; by default each")
    parser.add_argument("--clicks", type=int, default=50, help="clicks per run (%(default)s)")
    parser.add_argument("--starts", type=int, default=3, help="first screens (%(default)s)")
    parser.add_argument("--no-peers", action="store_true", help="leave out quak and itables")
    parser.add_argument("--seed", type=int, default=1, help="seed of the clicks (%(default)s)")
    options = parser.parse_args()
    if missing := missing_requirement():
        print(f"not measured: {missing}")
        return

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends, too
    with started_lab() as lab:
        results = [
            measure(lab, grid, options) for grid in ([options.grid] if options.grid else GRIDS)
        ]
        if not options.no_peers:
            results += [measure_peer(lab, peer, options) for peer in PEERS]
    heading("First screen, scrolling and memory in JupyterLab")
    show_tables([result for result in results if result is not None])


@dataclass
class Shown:
    """The figures that every table has."""

    name: str
    first_paints: list[float]
    scrolls: list[float]
    heap_MB: float
    rss_MB: float
    note: str = ""


def measure(lab: Any, grid: str, options: argparse.Namespace) -> Shown:
    """Measure the browser with one kind of grid, and print the times."""
    name = f"idc_widgets, {grid}"
    with shown(lab, SETUP, f"GRID = {grid!r}\n{SHOW}", IS_SHOWN[grid], options.starts) as opened:
        page, first_paints, heap_before = opened
        heap = heap_of(page) - heap_before
        page.wait_for_timeout(1000)
        page.evaluate(SPY)
        rng = random.Random(options.seed)
        runs = {}
        for state in ("closed", "open"):
            if state == "open":
                close_dropdown(page)
                page.get_by_role("button", name="More filters").click()
                page.wait_for_selector(".idc-toggle-button[aria-expanded=true]")
                page.locator(".idc-popover-button").nth(15).wait_for()
            lab.run(page, "browser.state.clear(); handled.clear()")
            runs[state] = run(lab, page, rng, options.clicks)
        close_dropdown(page)
        lab.run(page, "browser.state.clear()")
        if grid == "ipydatagrid":
            lab.run(page, REACH)
            page.wait_for_function("() => window.clicks.lumino")
        scrolls = [scroll(page, rng) for _ in range(options.clicks)]
        lab.run(page, ECHO)
        page.wait_for_function("() => window.clicks.echo")
        echoes = [echo(page) for _ in range(32)][2:]
        keys = {"alone": type_text(page, 100), "beside answers": type_text(page, 300)}
        rss = float(lab.run(page, RSS))
        problem = lab.run(page, "print(repr(browser.state.message))")
        assert problem == "''", problem
        chromium = page.context.browser.version

    heading(
        f"From a click to the screen in JupyterLab, grid={grid!r} ({options.clicks} clicks, seed"
        f" {options.seed})"
    )
    for state, results in runs.items():
        if len(results) < options.clicks:
            print(
                f"More filters {state}: only {len(results)} of {options.clicks} clicks could be"
                f" made in {MAX_RUN_SECONDS} s; the p95 of so few is not reliable"
            )
    print(
        f"Chromium {chromium}, headless; jupyterlab {version('jupyterlab')},"
        f" ipykernel {version('ipykernel')}, ipywidgets {version('ipywidgets')},"
        f" ipydatagrid {version('ipydatagrid')}"
    )
    show(runs, echoes, keys, scrolls)
    return Shown(name, first_paints, scrolls, heap, rss, "three grids, after all clicks")


def measure_peer(lab: Any, peer: Peer, options: argparse.Namespace) -> Shown | None:
    """Measure another table; return None if it is not installed."""
    if peer.is_missing():
        print(f"{peer.name} is not measured: pip install {peer.name}")
        return None
    columns = [column.name for column in series_columns()]
    setup = f"COLUMNS = {columns!r}\n{peer.setup}"
    rng = random.Random(options.seed)
    with shown(lab, setup, peer.show, peer.is_shown, options.starts) as opened:
        page, first_paints, heap_before = opened
        heap = heap_of(page) - heap_before
        scrolls = []
        for _ in range(options.clicks):
            page.wait_for_timeout(300)
            place = [peer.scroll, peer.is_there, rng.random()]
            scrolls.append(float(page.evaluate(SCROLL_PEER, place)))
        rss = float(lab.run(page, RSS))
    name = f"{peer.name} {version(peer.name)}"
    return Shown(name, first_paints, scrolls, heap, rss, peer.note)


def series_columns() -> Sequence[Any]:
    """Return the columns of our grid of series."""
    from idc_widgets.widgets.grid.columns import COLUMNS

    return COLUMNS["series"]


def missing_requirement() -> str:
    """Return why this machine cannot run the benchmark; empty if it can."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    try:
        import jupyterlab  # noqa: F401
        from support.browsers import find_chromium
    except ImportError as error:
        return f"{error.name} is missing: pip install 'idc-widgets[test]'"
    return "" if find_chromium() else "Chromium or Chrome is missing"


# --- in the browser ------------------------------------------------------------------------


@contextmanager
def started_lab() -> Iterator[Any]:
    """Start JupyterLab with a prepared index, as a user has it after the first minutes."""
    from support.lab import Lab

    with tempfile.TemporaryDirectory() as folder:
        # Nothing is used that earlier sessions have prepared or fetched.
        own_folders = {f"IDC_WIDGETS_{name}_DIR": f"{folder}/{name}" for name in ("CACHE", "DATA")}
        prepare = "from idc_widgets import IDCClient; IDCClient().build_cache()"
        subprocess.run(
            [sys.executable, "-c", prepare], env={**os.environ, **own_folders}, check=True
        )
        with Lab(folder, env=own_folders) as lab:
            yield lab


@contextmanager
def shown(
    lab: Any, setup: str, show: str, is_shown: str, starts: int
) -> Iterator[tuple[Any, list[float], float]]:
    """Show a table several times, each time in a new kernel and page.

    Yield the last page, the time to the first paint of each start in ms, and the heap of the page
    before the table was shown, in MB.
    """
    from support.lab import IS_IDLE

    first_paints = []
    for start in range(starts):
        page = lab.open_notebook([setup, show], width=1400, height=1300)
        page.set_default_timeout(MAX_STEP_SECONDS * 1000)
        try:
            lab.run_cell(page, 0)
            heap_before = heap_of(page)
            arguments = [1, is_shown, MAX_STEP_SECONDS * 1000]
            first_paints.append(float(page.evaluate(FIRST_PAINT, arguments)))
            page.wait_for_function(IS_IDLE)
            if start == starts - 1:
                yield page, first_paints, heap_before
        finally:
            lab.close(page)


def heap_of(page: Any) -> float:
    """Return the JavaScript heap of a page without garbage, in MB."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return float(used) / 1e6


def run(lab: Any, page: Any, rng: random.Random, clicks: int) -> list[dict[str, Any]]:
    """Make clicks; return the times of the events after each click."""
    page.mouse.move(5, 5)
    # Not measured: the first clicks are slower, because caches are empty.
    for _ in range(3):
        click(page, rng)
    lab.run(page, "handled.clear()")
    deadline = time.monotonic() + MAX_RUN_SECONDS
    results = []
    while len(results) < clicks and time.monotonic() < deadline:
        results.append(click(page, rng))
    times = lab.run(page, "print(*(time for both in handled for time in both))").split()
    assert len(times) == 2 * len(results), f"{len(results)} clicks, {len(times) // 2} handled"
    for result, began, ended in zip(results, times[::2], times[1::2], strict=True):
        zero = result["origin"] + result["from"]
        result["began"] = float(began) * 1e3 - zero
        result["ended"] = float(ended) * 1e3 - zero
    return results


def click(page: Any, rng: random.Random) -> dict[str, Any]:
    """Sometimes clear all; then tick or untick a value, and return the times of the events."""
    clear = page.get_by_role("button", name="Clear all")
    if rng.random() < 0.1 and clear.is_visible():
        close_dropdown(page)
        page.evaluate("() => window.clicks.begin()")
        clear.click()
        wait(page)
    ticked = page.locator(".idc-popover-active.idc-facet .idc-popover-button")
    buttons = page.locator(".idc-facet .idc-popover-button")
    untick = rng.random() < 0.3 and ticked.count()
    button = (ticked if untick else buttons).nth(
        rng.randrange(ticked.count() if untick else buttons.count())
    )
    if button.get_attribute("aria-expanded") == "false":
        close_dropdown(page)
        button.click()
    rows = page.locator(".idc-popover-open .idc-facet-row")
    counts = rows.evaluate_all(
        "(rows, untick) => rows.map((row) => row.ariaSelected === String(untick)"
        " ? Number(row.children[2].dataset.text.replaceAll(',', '')) : 0)",
        bool(untick),
    )
    # People tick frequent values more often; ticked values are all equally likely to be unticked.
    weights = [bool(count) if untick else count for count in counts]
    if not any(weights):
        return click(page, rng)
    [index] = rng.choices(range(len(weights)), weights)
    row = rows.nth(index)
    row.scroll_into_view_if_needed()
    row.hover()
    wait(page, 100)
    page.evaluate("() => window.clicks.begin()")
    row.click()
    wait(page)
    return summarize(page.evaluate("() => window.clicks.result()"))


def close_dropdown(page: Any) -> None:
    """Close the open dropdown, whose list may cover what is to be clicked next."""
    opened = page.locator(".idc-popover-open")
    if opened.count():
        page.keyboard.press("Escape")
        opened.wait_for(state="detached")


def scroll(page: Any, rng: random.Random) -> float:
    """Return the ms from scrolling to a random place until its values are painted."""
    page.wait_for_timeout(300)
    return float(page.evaluate(SCROLL, rng.random()))


def echo(page: Any) -> float:
    """Return the ms of a round trip to the kernel, after a pause like that between clicks."""
    page.wait_for_timeout(200)
    return float(page.evaluate("() => window.clicks.echo()"))


def wait(page: Any, quiet_ms: int = QUIET_MS) -> None:
    """Wait until the kernel has answered and nothing has happened for `quiet_ms`."""
    # By default, Playwright asks in each frame, and so makes the page paint all the time.
    page.wait_for_function("(quiet) => window.clicks.isOver(quiet)", arg=quiet_ms, polling=50)


def summarize(result: dict[str, Any]) -> dict[str, Any]:
    """Add the times of the steps, in ms after the click, to the record of the click."""
    zero, messages, frames = result["from"], result["messages"], result["frames"]
    requests = [message for message in messages if message["sent"] and message["kind"] == "choose"]
    assert len(requests) == 1, messages
    [request] = requests
    answers = [
        message
        for message in messages
        if message["type"] == "comm_msg"
        and not message["sent"]
        and message["parent"] == request["id"]
    ]
    changes = [frame for frame in frames if set(frame["changed"]) - {"grid elements", "spoken"}]
    return {
        **result,
        "sent": request["at"] - zero,
        "answered": answers[-1]["at"] - zero,
        "answers": len(answers),
        "copies": sum(frame["copies"] for frame in frames),
        "size": sum(answer["size"] for answer in answers),
        "shown": changes[-1]["painted"] - zero,
        "last": frames[-1]["painted"] - zero,
    }


def type_text(page: Any, delay: int) -> list[float]:
    """Type into the search box; return the ms from each key to the frame that shows its letter."""
    box = page.locator(".idc-search-input")
    box.fill("")
    box.click()
    page.evaluate("() => { window.clicks.begin(); window.clicks.keys.length = 0; }")
    page.keyboard.type(TYPED, delay=delay)
    page.wait_for_function(f"() => window.clicks.keys.length === {len(TYPED)}")
    wait(page)
    assert box.input_value() == TYPED
    return page.evaluate("() => window.clicks.keys")


# --- the table -----------------------------------------------------------------------------


def show(
    runs: dict[str, list[Any]],
    echoes: list[float],
    keys: dict[str, list[float]],
    scrolls: list[float],
) -> None:
    """Print the times after a click, the times of its steps, and those of typing and scrolling."""
    table = []
    for name, clicks in runs.items():
        for end in ("shown", "last"):
            table.append(line(f"click to {end}, More filters {name}", clicks, end))
    table.append(["the limit: a round trip to the kernel", f"{len(echoes)}", *three(echoes)])
    for name, clicks in runs.items():
        table.append(line(f"  click to sent, {name}", clicks, "sent"))
        table.append(line(f"  sent to kernel begins, {name}", clicks, "began", "sent"))
        table.append(line(f"  kernel begins to kernel ends, {name}", clicks, "ended", "began"))
        table.append(line(f"  kernel begins to last answer, {name}", clicks, "answered", "began"))
        table.append(line(f"  last answer to shown, {name}", clicks, "shown", "answered"))
    for name, figures in keys.items():
        table.append([f"key to letter, {name}", f"{len(figures)}", *three(figures)])
    table.append(["scroll to values", f"{len(scrolls)}", *three(scrolls)])
    print_table(["ms", "times", "p50", "p95", "max"], table)
    print()
    for name, clicks in runs.items():
        answers = median(click["answers"] for click in clicks)
        size = median(click["size"] for click in clicks) / 1e3
        p50, p95 = (percentile([click["shown"] for click in clicks], rank) for rank in (50, 95))
        copies = median(click["copies"] for click in clicks)
        limit = median(echoes)
        print(
            f"More filters {name}: {answers:.0f} messages of {number(size)} kB answer a click, and"
            f" the grids copy {copies:,.0f} pieces to the screen; shown after"
            f" {number(p50 / limit)} (p50) or {number(p95 / limit)} (p95) times the limit"
        )
    for name, clicks in runs.items():
        p95 = percentile([click["shown"] for click in clicks], 95)
        aim(f"p95 of click to shown, More filters {name}", p95, AIM_P95_MS, "ms")
    aim("p95 of scroll to values", percentile(scrolls, 95), AIM_SCROLL_P95_MS, "ms")
    letters = [figure for figures in keys.values() for figure in figures]
    aim("p95 of key to letter", percentile(letters, 95), AIM_LETTER_P95_MS, "ms")
    print()


def show_tables(tables: Sequence[Shown]) -> None:
    """Print what all tables can be compared in."""
    lines = []
    for table in tables:
        scrolls = [number(percentile(table.scrolls, rank)) for rank in (50, 95)]
        paint = number(median(table.first_paints))
        memory = [number(table.heap_MB), number(table.rss_MB)]
        lines.append([table.name, paint, *scrolls, *memory, table.note])
    print_table(
        ["", "first paint, ms", "scroll p50", "p95", "heap, MB", "kernel RSS, MB", ""], lines
    )
    for table in tables:
        if table.name.startswith("idc_widgets"):
            paint = median(table.first_paints)
            aim(f"first paint after imports, {table.name}", paint, AIM_FIRST_PAINT_MS, "ms")


def line(name: str, clicks: list[Any], end: str, begin: str = "") -> list[str]:
    """Return a line of the table: the time from `begin`, or else from the click, to `end`."""
    figures = [click[end] - (click[begin] if begin else 0) for click in clicks]
    return [name, f"{len(figures)}", *three(figures)]


def three(figures: Sequence[float]) -> list[str]:
    """Return the median, the 95th percentile and the maximum."""
    return [number(median(figures)), number(percentile(figures, 95)), number(max(figures))]


if __name__ == "__main__":
    main()
