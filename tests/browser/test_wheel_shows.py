"""The browser in a notebook, with the package installed from its wheel."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect
from support.lab import Lab


def test_the_browser_shows(
    installed: Path, chromium: str, tmp_path: Path, screenshots: Path
) -> None:
    show = "import idc_widgets\n\nidc_widgets.IDCBrowser(collection_id='nsclc_radiomics')"
    with Lab(tmp_path, chromium=chromium, env={"PYTHONPATH": str(installed)}) as lab:
        page = lab.open_notebook([show])
        lab.run_all(page)
        expect(page.locator(".idc-grid-count").first).to_have_text("422")
        expect(page.locator(".idc-popover-button")).to_have_count(6)
        expect(page.get_by_role("grid")).to_have_count(3)
        expect(page.get_by_role("button", name="Download all 4,926 series")).to_be_visible()
        # The wheel has the style sheets, too.
        assert (
            page.locator(".idc-grid-title").first.evaluate(
                "(root) => getComputedStyle(root).display"
            )
            == "flex"
        )
        home = lab.run(page, "print(idc_widgets.__file__)")
        assert Path(home).is_relative_to(installed)
        lab.screenshot(page, screenshots / "wheel.png")
