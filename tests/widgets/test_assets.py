"""Scripts and style sheets: how the files of a widget are joined."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from anywidget import AnyWidget

from idc_widgets.widgets.assets import STATIC, script, style
from idc_widgets.widgets.details import RowDetails
from idc_widgets.widgets.download import DownloadWidget
from idc_widgets.widgets.facets import FacetDropdown
from idc_widgets.widgets.filters import _Toggle
from idc_widgets.widgets.frame import Frame
from idc_widgets.widgets.grid.datagrid_title import GridTitle
from idc_widgets.widgets.grid.dom_grid import _DomGrid
from idc_widgets.widgets.ranges import RangeFilter
from idc_widgets.widgets.search import SearchBox
from idc_widgets.widgets.summary import SummaryBar

SHARED = (
    *("base", "clicks", "datagrid", "facet_rows", "popover", "requests", "sparkline"),
    *(path.stem for path in sorted(STATIC.glob("domgrid_*.js"))),
)

WIDGETS = (
    *(DownloadWidget, FacetDropdown, Frame, RangeFilter, RowDetails, SearchBox, SummaryBar),
    *(GridTitle, _DomGrid, _Toggle),
)


def declared(source: str) -> list[str]:
    """Return the names that a script declares at its top level."""
    declaration = r"^(?:async )?(?:function|class|const|let) (\w+)"
    return re.findall(declaration, source, re.MULTILINE)


def read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def test_shared_files_come_first() -> None:
    assert script("popover", "range") == "\n".join(
        [read("base.js"), read("popover.js"), read("range.js")]
    )
    assert style("popover", "range") == "\n".join(
        [read("base.css"), read("popover.css"), read("range.css")]
    )


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_only_the_script_of_a_widget_exports(path: Path) -> None:
    exports = re.findall("^export default", path.read_text(encoding="utf-8"), re.MULTILINE)
    is_shared = path.stem in SHARED
    assert len(exports) == (0 if is_shared else 1)


@pytest.mark.parametrize("widget", WIDGETS)
def test_a_script_declares_each_name_once(widget: type[AnyWidget]) -> None:
    names = declared(str(widget._esm))
    assert "render" in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("widget", WIDGETS)
def test_a_script_has_the_shared_files_that_it_uses(widget: type[AnyWidget]) -> None:
    esm = str(widget._esm)
    for shared in SHARED:
        for name in declared(read(f"{shared}.js")):
            if re.search(rf"\b{name}\(", esm):
                assert name in declared(esm), f"{name} is used, but {shared}.js is not listed"


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.css")), ids=lambda path: path.name)
def test_only_the_base_uses_the_colors_of_a_front_end(path: Path) -> None:
    """A text in a color of VS Code might be unreadable on a color of Jupyter.

    So base.css chooses the colors of all style sheets.
    """
    css = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    of_front_ends = re.findall(r"--(?:jp|vscode|colab)-[\w-]+", css)
    assert bool(of_front_ends) is (path.name == "base.css")
