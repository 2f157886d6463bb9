"""The browser in each of its states and each theme, checked by axe-core.

axe finds mistakes in names, roles and contrasts. Other tests check what people do with keys and
what they hear: axe may find no mistake on a page that nobody can use by keyboard.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.browser_states import STATES, states
from support.downloads import ct_server
from support.lab import Lab
from support.s3server import S3Server
from support.themes import JUPYTER, read_themes, show_theme
from support.wheel import ROOT

# With few rows, axe is fast.
SHOW = """
from idc_widgets import BrowserState, IDCBrowser
state = BrowserState()
state.sizes = {"upper": 102, "lower": 102}
browser = IDCBrowser(state=state)
browser
"""
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

# JupyterLab gives the body no height, so axe would take all text for hidden. Parts that stick to an
# edge lie above other texts. A person can scroll these texts into sight, but axe cannot. So nothing
# sticks here, and no row is cut.
SEEN_WHOLE = """
html, body { height: 100vh; overflow: visible !important; }
.idc-browser.idc-browser > .idc-part-foot { position: static; max-height: none; }
.idc-grid .idc-grid-check, .idc-grid .idc-grid-more { position: static; }
.idc-grid-choice:nth-child(n + 6) { display: none; }
"""

# JavaScript: return the serious problems that axe finds, or cannot exclude. If a panel lies above
# the browser, only the colors of the panel are checked. Rules that are not about colors have the
# same result in each theme; `onlyColors` leaves them out. Empty fields get a text, so that axe can
# check its color.
FIND = """async (onlyColors) => {
  const browser = document.querySelector(".idc-browser");
  const above = [...browser.querySelectorAll(
    ".idc-popover-open .idc-popover-panel, .idc-grid-chooser, .idc-grid-menu"
  )].find((element) => element.getClientRects().length > 0);
  const empty = [...browser.querySelectorAll("input")].filter(({ value }) => value === "");
  for (const input of empty) input.value = "text";
  const colors = await axe.run(above ?? browser, { runOnly: ["color-contrast"] });
  for (const input of empty) input.value = "";
  const found = [...colors.violations, ...colors.incomplete];
  if (!onlyColors) {
    const rest = await axe.run(browser, { rules: { "color-contrast": { enabled: false } } });
    found.push(...rest.violations, ...rest.incomplete);
  }
  return found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html, any, all, none }) => {
      const reason = [...any, ...all, ...none].map(({ message }) => message)[0];
      return `${id}: ${reason}: ${html.slice(0, 300)}`;
    }))
    // The name of a cell is a whole UID, but the edge of the grid may cut the end of the UID.
    .filter((line) => !/^label-content-name-mismatch.*data-kind="uid"/.test(line));
}"""


# JavaScript: return the classes of all elements that move or fade when they change.
MOVING = """() => [...document.querySelectorAll(".idc-browser *")].flatMap((element) =>
  ["", "::before", "::after"].filter((pseudo) => {
    const { transitionDuration, animationName } = getComputedStyle(element, pseudo);
    return transitionDuration !== "0s" || animationName !== "none";
  }).map((pseudo) => element.className + pseudo))
  .filter((name) => name.includes("idc-"))"""

# JavaScript: return two pairs of colors, background and text: those of a picked row, and those that
# the system has for selected text.
FORCED = """() => {
  const row = document.querySelector(".idc-part-series [role=row][aria-selected=true]");
  const probe = document.body.appendChild(document.createElement("div"));
  probe.style.cssText = "forced-color-adjust: none; background: Highlight; color: HighlightText";
  const read = (element) => {
    const { backgroundColor, color } = getComputedStyle(element);
    return [backgroundColor, color];
  };
  const colors = [read(row), read(probe)];
  probe.remove();
  return colors;
}"""


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with ct_server() as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str, s3: S3Server) -> Iterator[Lab]:
    env = {"S3_ENDPOINT_URL": s3.url}
    with Lab(tmp_path_factory.mktemp("axe"), chromium=chromium, env=env) as running:
        yield running


def find(page: Page, *, only_colors: bool) -> list[str]:
    """Return what axe finds."""
    found: list[str] = page.evaluate(FIND, only_colors)
    return found


def test_axe_finds_nothing(lab: Lab, s3: S3Server, screenshots: Path) -> None:
    assert AXE.is_file(), f"{AXE} is missing: run `npm ci`"
    page = lab.open_notebook([SHOW], width=1400, height=1200)
    page.emulate_media(reduced_motion="reduce")
    lab.run_all(page)
    themes = read_themes(page)
    page.add_style_tag(content=SEEN_WHOLE)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    seen, problems = list[str](), list[str]()
    for state in states(lab, page, s3):
        seen.append(state)
        expect(page.locator(".idc-grid [role=grid][aria-busy=true]")).to_have_count(0)
        for theme, variables in themes.items():
            # Other front ends have other colors. Two states show most of these colors.
            if theme in JUPYTER or state in {"picked", "failed"}:
                show_theme(page, variables)
                found = find(page, only_colors=theme != "light")
                problems += [f"{state}, {theme}: {problem}" for problem in found]
        problems += [f"{state}: {moving} moves" for moving in page.evaluate(MOVING)]
        if state == "picked":
            page.emulate_media(reduced_motion="no-preference")
            assert "idc-control" in " ".join(page.evaluate(MOVING))
            page.emulate_media(reduced_motion="reduce", forced_colors="active")
            row, highlight = page.evaluate(FORCED)
            assert row == highlight
            lab.screenshot(page, screenshots / "forced-colors.png")
            page.emulate_media(reduced_motion="reduce", forced_colors="none")
        if state == "offline":
            check_that_axe_sees_mistakes(page)
    lab.close(page)
    assert tuple(seen) == STATES
    assert not problems, "\n".join(problems)


def check_that_axe_sees_mistakes(page: Page) -> None:
    """Make a mistake with the colors, and one with a name, and find both."""
    show_theme(page, {"--vscode-editor-foreground": "#888", "--vscode-editor-background": "#777"})
    assert len([line for line in find(page, only_colors=True) if "contrast" in line]) > 20
    folder = page.locator(".idc-download-folder")
    name = folder.evaluate("(e) => [e.ariaLabel, e.removeAttribute('aria-label')][0]")
    assert any("idc-download-folder" in line for line in find(page, only_colors=False))
    folder.evaluate("(e, name) => { e.ariaLabel = name; }", name)
