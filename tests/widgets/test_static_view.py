"""What a widget shows where no kernel runs, as in saved notebooks: a sentence and tables."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import ipywidgets
import pytest
from support.own_table import OwnTable

from idc_widgets import (
    BrowserState,
    DownloadWidget,
    FacetDropdown,
    FacetPanel,
    FilterPanel,
    IDCBrowser,
    IDCClient,
    PatientGrid,
    RangeFilter,
    SearchBox,
    SeriesGrid,
    StudyGrid,
    SummaryBar,
)
from idc_widgets.widgets import closing

HOSTILE = "<script>alert(1)</script>"

VIEW = "application/vnd.jupyter.widget-view+json"

PARTS = {
    "dropdown": lambda state: FacetDropdown(state, "Modality"),
    "dropdowns": FacetPanel,
    "range": lambda state: RangeFilter(state, "PatientAge"),
    "search": SearchBox,
    "filters": FilterPanel,
    "patients": PatientGrid,
    "studies": StudyGrid,
    "series": SeriesGrid,
    "summary": SummaryBar,
    "download": lambda state: DownloadWidget(state=state),
}


class Tables(HTMLParser):
    """The texts of the cells of all tables, row by row, and the names of all elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.elements: set[str] = set()
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self.elements.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def shown(widget: Any) -> dict[str, Any]:
    """Return what the widget sends to a notebook, by MIME type."""
    if not hasattr(ipywidgets.Widget, "_ipython_display_"):
        data, _metadata = widget._repr_mimebundle_()
        return dict(data)
    outputs: list[Any] = []  # in ipywidgets 7, a widget displays this by itself
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "display", lambda data, **_keywords: outputs.append(data))
        widget._ipython_display_()
    [output] = outputs
    return dict(output)


def test_the_browser_has_its_filters_counts_and_first_rows(client: IDCClient) -> None:
    browser = IDCBrowser(client, collection_id="nsclc_radiomics", Modality="CT")
    browser.pick(patients=["LUNG1-365"])
    data = shown(browser)
    assert data[VIEW]["model_id"] == browser.model_id
    counts = "1 collection, 1 patient, 1 study, 1 series, 134 files, 70.5 MB"
    assert data["text/plain"].startswith("IDC browser. Data: IDC v25; Filters: ")
    assert data["text/plain"].endswith(f"; Picked: 1 patient; Selected: {counts}.")
    rows = Tables(data["text/html"]).rows
    assert ["Selected", counts] in rows
    assert ["Picked", "1 patient"] in rows
    [series] = [row for row in rows if row[-1].endswith("459644025247509819689655120845267405")]
    assert series[:3] == ["nsclc_radiomics", "LUNG1-365", "CT"]
    assert series[5:7] == ["70.5 MB", "134"]
    assert len(data["text/html"]) < 10_000
    browser.close()


def test_the_browser_of_the_whole_index_is_small(client: IDCClient) -> None:
    browser = IDCBrowser(client)
    data = shown(browser)
    assert "1,044,191 series" in data["text/plain"]
    assert "Series: the first 5 of 1,044,191" in data["text/html"]
    assert len(data["text/html"]) < 10_000
    browser.close()


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_a_static_view(client: IDCClient, part: str) -> None:
    widget = PARTS[part](BrowserState(client, collection_id="nsclc_radiomics"))
    data = shown(widget)
    assert set(data) == {"text/plain", "text/html", VIEW}
    assert data["text/plain"].startswith("IDC ")
    assert ["Filters", "Collection = nsclc_radiomics"] in Tables(data["text/html"]).rows
    assert len(data["text/html"]) < 5_000
    widget.close()


def test_a_dropdown_lists_its_most_frequent_values(client: IDCClient) -> None:
    dropdown = FacetDropdown(BrowserState(client, collection_id="nsclc_radiomics"), "Modality")
    rows = Tables(shown(dropdown)["text/html"]).rows
    assert ["Value", "Series", "Patients"] in rows
    assert ["CT", "422", "422"] in rows


def test_hostile_values_are_text_and_long_ones_are_cut(own_table: OwnTable) -> None:
    long = "x" * 5000
    client = own_table(
        "Modality,SeriesDescription",
        f"1.2.1,1.1,{HOSTILE},c,{HOSTILE},{long}",
        f"1.2.2,1.2,P2,c,CT,{HOSTILE}",
    )
    browser = IDCBrowser(client, PatientID=HOSTILE)
    data = shown(browser)
    tables = Tables(data["text/html"])
    assert tables.elements == {"div", "p", "b", "table", "tr", "th", "td"}
    assert ["Filters", f"Patient ID = {HOSTILE}"] in tables.rows
    assert any(HOSTILE in row for row in tables.rows)
    assert max(len(cell) for row in tables.rows for cell in row) == 200
    browser.close()


def test_a_view_that_fails_does_not_hide_the_widget(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = SearchBox(BrowserState(client))

    def fail() -> None:
        raise RuntimeError("no rows today")

    monkeypatch.setattr(box, "_static_view", fail)
    data = shown(box)
    assert data["text/plain"] == "SearchBox."
    assert data[VIEW]["model_id"] == box.model_id
    assert "text/html" not in data
