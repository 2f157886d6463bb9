"""From a click on a facet value to the screen that shows what follows from it, in Chromium.

A real JupyterLab shows IDCBrowser(); values of dropdowns are ticked and unticked with the mouse,
drawn at random with a seed, once with "More filters" closed and once with it open, so that all
facets are counted. All times are taken in the page, from the time stamp of the click on, and end
with the frame that was painted last:

  shown   what is seen is as it stays: the list of values with its counts, the summary, the
          chips, the titles and the first rows of the three grids;
  last    nothing is painted or changed any more. A grid asks for rows again when it has new
          ones, and paints the same a second time.

What a grid shows is what it draws on its canvas: the texts and where they stand. The limit is the
way to the kernel and back alone: a widget whose Python answers a message at once. Then somebody
types into the search box: from a key to the frame that shows the letter, with a kernel that has
nothing to do, and so slowly that a search for every letter answers meanwhile.

It needs what the tests need: pip install 'idc-widgets[test]', and Chromium.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from _measure import aim, heading, number, percentile, print_table

#: Aim of the project: milliseconds from a click to all of the screen, of 95 in 100.
AIM_P95_MS = 200

#: Seconds after which a run of clicks ends, however few were made: the machine is too busy.
PATIENCE = 120

#: Nothing has happened for so many milliseconds: it is over.
QUIET = 500

TYPED = "chest lung abdomen p"

SHOW = """
import time
import anywidget
from idc_widgets import IDCBrowser
from idc_widgets.widgets.facets import FacetDropdown

worked = []  # when the kernel began with each click, and when it had done all of it
work_in = FacetDropdown._on_message

def measured(self, *message):
    began = time.time()
    work_in(self, *message)
    worked.append((began, time.time()))

FacetDropdown._on_message = measured

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

browser = IDCBrowser()
browser
"""

ECHO = "echo = Echo(); echo.on_msg(lambda *_: echo.send({})); echo"

# In the page, before anything is shown. All that happens is noted and looked at when it is over.
SPY = r"""() => {
  const spy = (window.clicks = { frames: [], messages: [], from: 0, busy: 0 });

  // A frame is painted after the callbacks of requestAnimationFrame; a message comes after that.
  // What changes in such a callback is still in this frame.
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
    "idc-download": "download", "ipydatagrid-widget": "grid elements", "idc-root": "buttons",
  };
  const browser = document.querySelector(".idc-browser");
  new MutationObserver((mutations) => {
    for (const { target } of mutations) {
      const element = target.nodeType === 1 ? target : target.parentElement;
      const name = Object.keys(parts).find((one) => element?.closest(`.${one}`));
      happened().parts.add(parts[name] ?? "layout");
    }
  }).observe(browser, {
    subtree: true, childList: true, characterData: true, attributes: true,
  });

  // A grid draws each cell into a canvas that is not in the page, and copies it from there.
  const context = CanvasRenderingContext2D.prototype;
  for (const name of ["fillText", "fillRect", "clearRect", "drawImage"]) {
    const draw = context[name];
    context[name] = function (...given) {
      if (!this.canvas.isConnected || this.canvas.closest(".idc-browser")) {
        const { e: x, f: y } = this.getTransform();
        happened().drawn.push([this.canvas, name, given, x, y]);
      }
      return draw.apply(this, given);
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

  // Key to paint; the value of the input is set when its event comes.
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

  // --- when it is over ---

  const canvases = new Map(); // of each: where → text
  const textsOf = (canvas) => {
    if (!canvases.has(canvas)) canvases.set(canvas, new Map());
    return canvases.get(canvas);
  };
  const within = (texts, left, top, width, height) => [...texts].filter(([where]) => {
    const [x, y] = where.split(",").map(Number);
    return x >= left && x <= left + width && y >= top && y <= top + height;
  });
  const follow = (drawn) => {
    for (const [canvas, name, given, dx, dy] of drawn) {
      const texts = textsOf(canvas);
      if (name === "fillText") texts.set(`${given[1] + dx},${given[2] + dy}`, given[0]);
      else if (name === "drawImage") {
        const [source, left, top, width, height, x, y] = given;
        const copied = within(textsOf(source), left, top, width, height);
        for (const [where] of within(texts, x, y, width, height)) texts.delete(where);
        for (const [where, text] of copied) {
          const [oldX, oldY] = where.split(",").map(Number);
          texts.set(`${oldX - left + x},${oldY - top + y}`, text);
        }
      } else {
        const [x, y, width, height] = given;
        for (const [where] of within(texts, x + dx, y + dy, width, height)) texts.delete(where);
      }
    }
  };
  const grids = [...browser.querySelectorAll(".ipydatagrid-widget")].map(
    (grid) => [...grid.querySelectorAll("canvas")]);
  const asText = () => grids.map((all) =>
    all.map((one) => [...textsOf(one)].map(String).sort().join("\n")).join("\n"));

  const text = new TextDecoder();
  const decode = ({ at, data, sent }) => {
    let one = {}, buffers = 0, size = data.length ?? data.byteLength;
    if (typeof data === "string") one = JSON.parse(data);
    else {
      const view = new DataView(data.buffer ?? data, data.byteOffset ?? 0);
      const offset = (n) => Number(view.getBigUint64(8 * (n + 1), true));
      const piece = (n) => text.decode(
        new Uint8Array(view.buffer, view.byteOffset + offset(n), offset(n + 1) - offset(n)));
      one = { header: JSON.parse(piece(1)), parent: JSON.parse(piece(2)),
              content: JSON.parse(piece(4)) };
    }
    const told = one.content?.data ?? {};
    return { at, sent: Boolean(sent), size, type: one.header?.msg_type, id: one.header?.msg_id,
             parent: (one.parent ?? one.parent_header)?.msg_id, comm: one.content?.comm_id,
             what: told.method === "custom"
               ? told.content?.kind ?? told.content?.type ?? told.content?.event_type
               : Object.keys(told.state ?? {}).join(",") };
  };

  spy.took = () => {
    let before = asText();
    const frames = spy.frames.map(({ painted, parts, drawn }) => {
      const changed = [...parts];
      follow(drawn);
      const now = asText();
      now.forEach((one, grid) => { if (one !== before[grid]) changed.push(`grid ${grid}`); });
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
    parser.add_argument("--clicks", type=int, default=50, help="in each run (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random clicks (%(default)s)")
    given = parser.parse_args()
    if missing := what_is_missing():
        print(f"not measured, for {missing}")
        return

    with shown_browser() as (lab, page):
        rng = random.Random(given.seed)
        runs = {}
        for name in ("closed", "open"):
            if name == "open":
                page.get_by_role("button", name="More filters").click()
                page.wait_for_selector(".idc-toggle-button[aria-expanded=true]")
                page.locator(".idc-popover-button").nth(15).wait_for()
            lab.run(page, "browser.state.clear(); worked.clear()")
            runs[name] = run(lab, page, rng, given.clicks)
        lab.run(page, ECHO)
        page.wait_for_function("() => window.clicks.echo")
        echoes = [echo(page) for _ in range(32)][2:]
        lab.run(page, "browser.state.clear()")
        keys = {"alone": type_text(page, 100), "beside answers": type_text(page, 300)}
        problem = lab.run(page, "print(repr(browser.state.message))")
        assert problem == "''", problem
        chromium = page.context.browser.version

    heading(f"From a click to the screen in JupyterLab ({given.clicks} clicks, seed {given.seed})")
    for name, made in runs.items():
        if len(made) < given.clicks:
            print(
                f"More filters {name}: only {len(made)} of {given.clicks} clicks could be made in"
                f" {PATIENCE} s; a p95 of so few says little"
            )
    print(
        f"Chromium {chromium}, headless; jupyterlab {version('jupyterlab')},"
        f" ipykernel {version('ipykernel')}, ipywidgets {version('ipywidgets')},"
        f" ipydatagrid {version('ipydatagrid')}"
    )
    show(runs, echoes, keys)


def what_is_missing() -> str:
    """Why nothing can be measured here; empty if it can."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    try:
        import jupyterlab  # noqa: F401
        from support.lab import find_chromium
    except ImportError as error:
        return f"there is no {error.name}: pip install 'idc-widgets[test]'"
    return "" if find_chromium() else "there is no Chromium or Chrome"


# --- in the browser ------------------------------------------------------------------------


@contextmanager
def shown_browser() -> Iterator[tuple[Any, Any]]:
    """A JupyterLab and its page, which shows an IDCBrowser and notes what happens."""
    from support.lab import Lab

    with tempfile.TemporaryDirectory() as folder:
        # What an earlier session prepared or fetched would hide what it is like without.
        own = {f"IDC_WIDGETS_{name}_DIR": f"{folder}/{name}" for name in ("CACHE", "DATA")}
        with Lab(folder, env=own) as lab:
            page = lab.open_notebook([SHOW], width=1400, height=1300)
            lab.run_all(page)
            page.locator(".ipydatagrid-widget canvas").nth(2).wait_for()
            page.wait_for_timeout(2000)
            page.evaluate(SPY)
            yield lab, page


def run(lab: Any, page: Any, rng: random.Random, clicks: int) -> list[dict[str, Any]]:
    """Makes clicks, and tells of each what happened when."""
    page.mouse.move(5, 5)
    # Clicks that nobody measures: the first of all kinds of things take their time.
    for _ in range(3):
        click(page, rng)
    lab.run(page, "worked.clear()")
    deadline = time.monotonic() + PATIENCE
    found = []
    while len(found) < clicks and time.monotonic() < deadline:
        found.append(click(page, rng))
    times = lab.run(page, "print(*(time for both in worked for time in both))").split()
    assert len(times) == 2 * len(found), f"{len(found)} clicks, {len(times) // 2} in the kernel"
    for at, one in enumerate(found):
        one["began"], one["ended"] = (
            float(time) * 1e3 - one["origin"] - one["from"] for time in times[2 * at : 2 * at + 2]
        )
    return found


def click(page: Any, rng: random.Random) -> dict[str, Any]:
    """Ticks or unticks a value; sometimes, before that, clears all."""
    clear = page.get_by_role("button", name="Clear all")
    if rng.random() < 0.1 and clear.is_visible():
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
        button.click()
    rows = page.locator(".idc-popover-open .idc-facet-row")
    counts = rows.evaluate_all(
        "(rows, untick) => rows.map((row) => row.ariaSelected === String(untick)"
        " ? Number(row.children[2].textContent.replaceAll(',', '')) : 0)",
        bool(untick),
    )
    # A frequent value more often, as people click; one of those that are ticked, each as often.
    weights = [bool(one) if untick else one for one in counts]
    if not any(weights):
        return click(page, rng)
    [at] = rng.choices(range(len(weights)), weights)
    row = rows.nth(at)
    row.scroll_into_view_if_needed()
    row.hover()
    wait(page, 100)
    page.evaluate("() => window.clicks.begin()")
    row.click()
    wait(page)
    return told(page.evaluate("() => window.clicks.took()"))


def echo(page: Any) -> float:
    """Milliseconds to the kernel and back, some time after the last message, as with clicks."""
    page.wait_for_timeout(200)
    return float(page.evaluate("() => window.clicks.echo()"))


def wait(page: Any, quiet: int = QUIET) -> None:
    """Until the kernel has answered and nothing has happened for so many milliseconds."""
    page.wait_for_function("(quiet) => window.clicks.isOver(quiet)", arg=quiet)


def told(found: dict[str, Any]) -> dict[str, Any]:
    """What there is to know of one click; times in ms after it."""
    begin = found["from"]
    asked = [one for one in found["messages"] if one["sent"] and one["what"] == "choose"]
    assert len(asked) == 1, found["messages"]
    answers = [
        one
        for one in found["messages"]
        if one["type"] == "comm_msg" and not one["sent"] and one["parent"] == asked[0]["id"]
    ]
    changes = [one for one in found["frames"] if set(one["changed"]) - {"grid elements"}]
    return {
        **found,
        "sent": asked[0]["at"] - begin,
        "answered": answers[-1]["at"] - begin,
        "answers": len(answers),
        "copies": sum(one["copies"] for one in found["frames"]),
        "size": sum(one["size"] for one in answers),
        "shown": changes[-1]["painted"] - begin,
        "last": found["frames"][-1]["painted"] - begin,
    }


def type_text(page: Any, delay: int) -> list[float]:
    """Types into the search box; ms from each key to the frame that shows its letter."""
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


def show(runs: dict[str, list[Any]], echoes: list[float], keys: dict[str, list[float]]) -> None:
    """Times from a click on, their parts, and typing."""
    table = []
    for name, clicks in runs.items():
        for what in ("shown", "last"):
            table.append(line(f"click to {what}, More filters {name}", clicks, what))
    table.append(["the limit: to the kernel and back", f"{len(echoes)}", *three(echoes)])
    for name, clicks in runs.items():
        of = f", {name}"
        table.append(line(f"  click to sent{of}", clicks, "sent"))
        table.append(line(f"  sent to begun in the kernel{of}", clicks, "began", "sent"))
        table.append(line(f"  in the kernel{of}", clicks, "ended", "began"))
        table.append(line(f"  begun to last answer in the page{of}", clicks, "answered", "began"))
        table.append(line(f"  last answer to shown{of}", clicks, "shown", "answered"))
    for name, figures in keys.items():
        table.append([f"key to letter, {name}", f"{len(figures)}", *three(figures)])
    print_table(["ms", "times", "p50", "p95", "most"], table)
    print()
    for name, clicks in runs.items():
        answers = median(one["answers"] for one in clicks)
        size = median(one["size"] for one in clicks) / 1e3
        p50, p95 = (percentile([one["shown"] for one in clicks], at) for at in (50, 95))
        copies = median(one["copies"] for one in clicks)
        limit = median(echoes)
        print(
            f"More filters {name}: a click is answered by {answers:.0f} messages of"
            f" {number(size)} kB, and the grids copy {copies:,.0f} pieces to the screen;"
            f" shown after {number(p50 / limit)} (p50) or {number(p95 / limit)} (p95)"
            " times the limit"
        )
    for name, clicks in runs.items():
        p95 = percentile([one["shown"] for one in clicks], 95)
        aim(f"p95 of click to shown, More filters {name}", p95, AIM_P95_MS, "ms")
    print()


def line(what: str, clicks: list[Any], end: str, begin: str = "") -> list[str]:
    """A line of the table: from one time to another, or from the click."""
    figures = [one[end] - (one[begin] if begin else 0) for one in clicks]
    return [what, f"{len(figures)}", *three(figures)]


def three(figures: Sequence[float]) -> list[str]:
    """Median, 95th percentile and the most."""
    return [number(one) for one in (median(figures), percentile(figures, 95), max(figures))]


if __name__ == "__main__":
    main()
