"""Takes the pictures of docs/images: each state of the browser, in each theme and width.

Run it with ``make screenshots``. It opens one JupyterLab, so the pictures also show a theme and a
width that change while the browser is open.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image
from playwright.sync_api import Page, expect

from idc_widgets import Index

from .lab import NOTEBOOK, THEMES, Lab
from .s3server import S3Server, series_objects

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
WIDTHS = (700, 1000, 1400, 2000)

SHOW = "from idc_widgets import IDCBrowser\n\nbrowser = IDCBrowser()\nbrowser"
FILTER = (
    "browser.filters = browser.client.cohort(collection_id='nsclc_radiomics',"
    " Modality=['CT', 'SEG'])"
)
PICK = f"browser.pick(patients=['LUNG1-365'], series=['{CT}'])"
EMPTY = "browser.filters = browser.client.cohort(collection_id='nsclc_radiomics', Modality='MR')"

SET_THEME = f"""(theme) => {{ {NOTEBOOK}
  return app.commands.execute("apputils:change-theme", {{ theme }});
}}"""
HAS_THEME = "(theme) => document.body.dataset.jpThemeName === theme"
END_KERNEL = f"() => {{ {NOTEBOOK} return panel.sessionContext.shutdown(); }}"


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    target.mkdir(parents=True, exist_ok=True)
    rows = pq.read_table(Index.default().tables["index"], filters=[("SeriesInstanceUID", "=", CT)])
    with (
        S3Server(series_objects(rows.to_pylist())) as s3,
        tempfile.TemporaryDirectory() as folder,
        Lab(folder, env={"S3_ENDPOINT_URL": s3.url}) as lab,
    ):
        page = lab.open_notebook([SHOW], height=1100)
        lab.run_all(page)
        for state in states(lab, page, s3):
            for theme in THEMES:
                with colored(page, theme):
                    for width in WIDTHS:
                        picture(page, width, target / f"{state}-{theme}-{width}.png")


def states(lab: Lab, page: Page, s3: S3Server) -> Iterator[str]:
    """Bring the browser into each state, and yield its name."""
    status = page.locator(".idc-download-title")
    start = page.locator(".idc-download-start")
    expect(page.locator(".idc-grid-count").last).to_have_text("1,044,191")
    yield "start"
    lab.run(page, FILTER)
    yield "filtered"
    lab.run(page, PICK)
    expect(start).to_contain_text("1 picked series")
    yield "picked"
    s3.rate_MB_s = 1
    start.click()
    page.wait_for_function("() => document.querySelector('[role=progressbar]').ariaValueNow > 10")
    yield "downloading"
    s3.rate_MB_s = None
    expect(status).to_have_text("Complete")
    yield "complete"
    page.locator(".idc-download-folder").fill("no_server")
    lab.run(page, "browser._download.endpoint_url = 'http://127.0.0.1:9'")
    start.click()
    expect(status).not_to_have_text("Complete")
    expect(page.locator(".idc-download-start")).to_be_visible()
    yield "failed"
    lab.run(page, EMPTY)
    expect(start).to_be_disabled()
    yield "empty"
    page.evaluate(END_KERNEL)
    expect(page.locator(".idc-kernel")).to_be_visible()
    yield "no-kernel"


@contextmanager
def colored(page: Page, theme: str) -> Iterator[None]:
    page.evaluate(SET_THEME, THEMES[theme])
    page.wait_for_function(HAS_THEME, arg=THEMES[theme])
    yield


def picture(page: Page, width: int, path: Path) -> None:
    """Save a picture of the browser alone, with few colors."""
    page.set_viewport_size({"width": width, "height": 1400 if width < 800 else 1000})
    browser = page.locator(".idc-browser")
    browser.evaluate("(element) => element.scrollIntoView({ block: 'start' })")
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)  # for the rows of wider grids, and for transitions
    box = browser.bounding_box()
    window = page.viewport_size
    assert box is not None and window is not None
    height = min(box["height"], window["height"] - box["y"] - 26)  # without the status bar
    clip = {"x": box["x"], "y": box["y"], "width": box["width"], "height": height}
    shot = Image.open(io.BytesIO(page.screenshot(clip=clip)))  # type: ignore[arg-type]
    shot.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
