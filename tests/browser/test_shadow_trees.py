"""Widgets that have a shadow tree each, as in marimo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright
from support.browsers import launched

from idc_widgets.widgets.assets import STATIC

# JavaScript: make two widgets. Each widget hides a part of itself when it loses the focus.
WIDGETS = """() => {
  window.inputs = [0, 1].map(() => {
    const host = h("div");
    document.body.append(host);
    const root = createRoot("");
    const input = h("input");
    const hint = h("p", "", "hint");
    root.append(input, hint);
    host.attachShadow({ mode: "open" }).append(root);
    input.addEventListener("focus", () => { hint.hidden = false; });
    input.addEventListener("blur", () => { hint.hidden = true; });
    return input;
  });
}"""
FOCUSED = "() => window.inputs.findIndex((input) => input.getRootNode().activeElement === input)"
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright, launched(playwright, "chromium") as browser:
        page = browser.new_page()
        page.add_script_tag(content=(STATIC / "base.js").read_text(encoding="utf-8"))
        page.evaluate(WIDGETS)
        yield page


def test_the_focus_can_move_to_another_widget(page: Page) -> None:
    inputs = page.locator("input")
    for index in (0, 1, 0):
        inputs.nth(index).click()
        page.evaluate(TWO_FRAMES)
        assert page.evaluate(FOCUSED) == index
    page.keyboard.press("Tab")
    page.evaluate(TWO_FRAMES)
    assert page.evaluate(FOCUSED) == 1
