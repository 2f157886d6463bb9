"""Our patch of ipydatagrid: grids paint the same picture, but copy parts of it far less often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page
from support.lab import Lab

SHOW = """
import anywidget
from ipywidgets import VBox
from traitlets import List
from idc_widgets.client import IDCClient
from idc_widgets.widgets.grid.datagrid import DataGridView
from idc_widgets.widgets.grid.level_grids import PatientGrid, SeriesGrid, StudyGrid
from idc_widgets.widgets.state import BrowserState

state = BrowserState(IDCClient(), collection_id="nsclc_radiomics")
grids = VBox([grid(state, view=DataGridView) for grid in (PatientGrid, StudyGrid, SeriesGrid)])
grids
"""

# A widget that gives the page Lumino's DataGrids: the page cannot find them by itself.
REACH = """
class Reach(anywidget.AnyWidget):
    _esm = '''
    export default { async render({ model }) {
      window.grids = [];
      for (const id of model.get("ids")) {
        const grid = await model.widget_manager.get_model(id);
        for (const view of Object.values(grid.views)) window.grids.push((await view).grid.grid);
      }
    } };
    '''
    ids = List().tag(sync=True)

Reach(ids=[grid._view.grid.model_id for grid in grids.children])
"""

# JavaScript: paint a grid with our patch and without it. Return how often parts of the canvas are
# copied in both cases, and the number of bytes in which the pictures differ.
PAINT = """(index) => {
  const grid = window.grids[index];
  grid._refreshDPI(); // as DataGrid does when it is shown
  const drawImage = CanvasRenderingContext2D.prototype.drawImage;
  let copies = 0;
  CanvasRenderingContext2D.prototype.drawImage = function () {
    copies++;
    return drawImage.apply(this, arguments);
  };
  const paint = () => {
    copies = 0;
    const { width, height } = grid._canvas;
    grid._canvasGC.setTransform(1, 0, 0, 1, 0, 0);
    grid._canvasGC.clearRect(0, 0, width, height);
    grid.paintContent(0, 0, width, height);
    return { copies, picture: grid._canvasGC.getImageData(0, 0, width, height).data };
  };
  const quick = paint();
  const { _drawCells, _blitContent } = grid;
  delete grid._drawCells;
  delete grid._blitContent;
  const slow = paint();
  Object.assign(grid, { _drawCells, _blitContent });
  CanvasRenderingContext2D.prototype.drawImage = drawImage;
  let different = 0;
  slow.picture.forEach((value, byte) => { if (value !== quick.picture[byte]) different++; });
  return { ratio: grid._dpiRatio, quick: quick.copies, slow: slow.copies, different,
           colors: new Set(slow.picture).size };
}"""


@pytest.fixture(scope="module")
def page(lab: Lab) -> Iterator[Page]:
    shown = lab.open_notebook([SHOW], height=1200)
    lab.run_all(shown)
    yield shown
    lab.close(shown)


def reach_grids(lab: Lab, page: Page, views: int) -> None:
    """Wait until each page view has requested rows, then give the page all grids."""
    page.locator(f".ipydatagrid-widget >> nth={views - 1}").wait_for()
    page.wait_for_timeout(1000)
    lab.run(page, REACH)
    page.wait_for_function("(views) => window.grids?.length === views", arg=views)


@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("scroll", [(0, 0), (37, 1013)])
def test_the_picture_is_the_same_with_one_copy_per_part(
    lab: Lab, page: Page, ratio: int, scroll: tuple[int, int]
) -> None:
    reach_grids(lab, page, 3)
    tools = page.context.new_cdp_session(page)
    screen = {"width": 1000, "height": 1200, "deviceScaleFactor": ratio, "mobile": False}
    tools.send("Emulation.setDeviceMetricsOverride", screen)
    for grid in range(3):
        page.evaluate("([grid, x, y]) => window.grids[grid].scrollTo(x, y)", [grid, *scroll])
        page.wait_for_timeout(300)
        painted = page.evaluate(PAINT, grid)
        assert painted["colors"] > 20, "nothing was painted"
        assert painted["ratio"] == ratio
        assert painted["different"] == 0
        # The headers and the body take one copy each. A stretched last column takes another.
        assert painted["quick"] <= 4 < 40 < painted["slow"], painted


def test_a_second_page_view_of_the_same_grids_is_patched_too(lab: Lab, page: Page) -> None:
    lab.run(page, "grids")
    reach_grids(lab, page, 6)
    for grid in range(6):
        painted = page.evaluate(PAINT, grid)
        assert painted["quick"] <= 4 < 40 < painted["slow"], painted
