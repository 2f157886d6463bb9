"""Takes the pictures of docs/images: the states of the browser, in two themes and four widths.

``make screenshots`` takes those that the project keeps. ``python -m support.screenshots --all
FOLDER`` takes every state in every theme and width. The theme changes while the browser is open,
so the pictures also show that the colors follow it.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Page

from .browser_states import states
from .downloads import ct_server
from .lab import THEMES, Lab
from .themes import change_theme

WIDTHS = (1400, 700, 1000, 2000)

#: The project keeps each state at 1400 px, and these at each width.
AT_EACH_WIDTH = ("start", "picked", "complete")

SHOW = "from idc_widgets import IDCBrowser\n\nbrowser = IDCBrowser()\nbrowser"

#: JavaScript: whether the grids have their rows, and the fonts are loaded.
IS_COMPLETE = """() => document.fonts.status === "loaded"
  && !document.querySelector("[role=grid][aria-busy=true]")"""

#: JavaScript: return the place of the browser, with an open dropdown that reaches beyond it.
PLACE = """(browser) => {
  const box = browser.getBoundingClientRect();
  const open = browser.querySelector(".idc-popover-open .idc-popover-panel");
  const right = Math.max(box.right, open ? open.getBoundingClientRect().right + 8 : 0);
  return { x: box.x, y: box.y, width: Math.min(right, innerWidth) - box.x, height: box.height };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images"))
    parser.add_argument("--all", action="store_true", help="every state in every theme and width")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with (
        ct_server() as s3,
        tempfile.TemporaryDirectory() as folder,
        Lab(folder, env={"S3_ENDPOINT_URL": s3.url}) as lab,
    ):
        for width in WIDTHS:
            # The whole browser is in sight.
            page = lab.open_notebook([SHOW], width=width, height=1750 if width < 800 else 1250)
            page.emulate_media(reduced_motion="reduce")
            lab.run_all(page)
            for state in states(lab, page, s3, folder=f"idc_data_{width}"):
                if options.all or width == 1400 or state in AT_EACH_WIDTH:
                    for theme in THEMES:
                        change_theme(page, theme)
                        picture(page, options.folder / f"{state}-{theme}-{width}.png")
            lab.close(page)


def picture(page: Page, path: Path) -> None:
    """Save a picture of the browser alone, with few colors."""
    browser = page.locator(".idc-browser")
    browser.evaluate("(element) => element.scrollIntoView({ block: 'start' })")
    page.mouse.move(0, 0)
    page.wait_for_function(IS_COMPLETE)
    page.wait_for_timeout(200)  # the sheets of a theme are painted a moment after they are loaded
    clip: FloatRect = browser.evaluate(PLACE)
    shot = Image.open(io.BytesIO(page.screenshot(clip=clip)))
    shot.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
