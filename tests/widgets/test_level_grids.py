"""The grids in the kernel: messages from a front end, and the replies to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from idc_widgets import BrowserState, IDCClient, PatientGrid, SeriesGrid, StudyGrid
from idc_widgets.errors import QueryInterruptedError
from idc_widgets.widgets.grid.datagrid import _ranges, _rectangles

HOSTILE = "<img src=x onerror=alert(1)>"


class FrontEnd:
    """Sends the messages of ipydatagrid's front end to a grid, and records the replies."""

    def __init__(self, grid: Any) -> None:
        self.grid = grid
        self.widget = grid._view.widget
        self.sent: list[dict[str, Any]] = []
        self.widget.send = lambda content, buffers=None: self.sent.append(content)
        self.request(0, 10)

    def request(self, r1: int, r2: int) -> dict[str, Any]:
        self.sent.clear()
        message = {"type": "data-request", "r1": r1, "r2": r2, "c1": 0, "c2": 3}
        self.widget._handle_custom_msg(message, [])
        replies = [message for message in self.sent if message.get("event_type") == "data-reply"]
        return replies[-1] if replies else {}

    def click(self, *rows: int) -> None:
        columns = len(self.widget._columns) - 1
        self._select([{"r1": row, "r2": row, "c1": 0, "c2": columns} for row in rows])

    def click_header(self, title: str) -> None:
        self.widget._handle_custom_msg(
            {"event_type": "cell-click", "region": "column-header", "column": title}, []
        )
        columns = len(self.widget._columns) - 1
        self._select([{"r1": 0, "r2": self.widget._row_count - 1, "c1": 0, "c2": columns}])

    def _select(self, rectangles: list[dict[str, int]]) -> None:
        self.widget.set_state({"selections": rectangles})

    def column(self, title: str, r1: int = 0, r2: int = 10) -> list[str]:
        cells: list[str] = self.request(r1, r2)["value"]["data"][title]["value"]
        return cells


@pytest.fixture
def state(client: IDCClient) -> BrowserState:
    return BrowserState(client, collection_id="nsclc_radiomics")


def test_requested_rows_are_sent_with_a_margin(state: BrowserState) -> None:
    front = FrontEnd(SeriesGrid(state))
    reply = front.request(100, 110)
    assert (reply["r1"], reply["c1"], reply["c2"]) == (80, 0, len(front.widget._columns) - 1)
    assert {len(cell["value"]) for cell in reply["value"]["data"].values()} == {51}
    assert front.request(4900, 99_999)["r2"] == 4925
    assert front.request(-1, -1)["r1"] == 0
    for malformed in (
        {"type": "data-request"},
        {"type": "data-request", "r1": "x", "r2": None},
        {},
    ):
        front.widget._handle_custom_msg(malformed, [])
    assert state.message == ""


def test_clicks_pick_keys(state: BrowserState) -> None:
    patients, studies, series = (
        FrontEnd(grid(state)) for grid in (PatientGrid, StudyGrid, SeriesGrid)
    )
    patients.click(2)
    assert state.patients == (("nsclc_radiomics", "LUNG1-003"),)
    assert studies.widget._row_count == 1
    assert series.widget._row_count == 12
    series.request(0, 12)
    series.click(0, 5)
    assert len(state.series) == 2
    assert len(state.selection) == 2
    series.click()
    assert state.series == ()


def test_picks_survive_sorting(state: BrowserState) -> None:
    front = FrontEnd(PatientGrid(state))
    front.click(2)
    front.click_header("Patient ID")
    assert front.column("Patient ID")[0] == "LUNG1-001"
    front.click_header("Patient ID")
    assert front.column("Patient ID")[0] == "LUNG1-422"
    assert state.patients == (("nsclc_radiomics", "LUNG1-003"),)
    assert [rectangle["r1"] for rectangle in front.widget.selections] == [419]
    assert front.widget._transforms == [{"type": "sort", "column": "Patient ID", "desc": True}]
    front.click_header("Patient ID")
    assert front.widget._transforms == []
    assert [rectangle["r1"] for rectangle in front.widget.selections] == [2]


def test_sorting_with_the_menu(state: BrowserState) -> None:
    front = FrontEnd(SeriesGrid(state))
    front.widget.set_state({"_transforms": [{"type": "sort", "column": "Files", "desc": True}]})
    counts = [int(cell.replace(",", "")) for cell in front.column("Files")]
    assert counts == sorted(counts, reverse=True)
    front.widget.set_state({"_transforms": []})
    assert front.column("Patient ID")[0] == "LUNG1-001"


def test_a_failed_sort_changes_nothing(
    state: BrowserState, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = SeriesGrid(state)
    front = FrontEnd(grid)

    def interrupted(_sort: Any) -> Any:
        raise QueryInterruptedError("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(type(grid._rows), "sorted", lambda _rows, sort: interrupted(sort))
        front.widget.set_state({"_transforms": [{"type": "sort", "column": "Files", "desc": True}]})
    assert front.widget._transforms == []
    assert grid._sort is None
    assert front.column("Patient ID")[0] == "LUNG1-001"


def test_the_filters_of_the_menu_are_refused_with_a_message(state: BrowserState) -> None:
    front = FrontEnd(SeriesGrid(state))
    front.widget.set_state(
        {"_transforms": [{"type": "filter", "column": "Files", "operator": ">", "value": 3}]}
    )
    assert "filter with the dropdowns" in state.message
    assert front.widget._transforms == []
    assert front.widget._row_count == 4926


def test_a_click_refers_to_the_rows_that_were_visible(state: BrowserState) -> None:
    front = FrontEnd(PatientGrid(state))
    state.filter_values("Modality", ["CT"])
    grid = front.grid
    grid._view.request_sort(grid._rows.sort)
    front.grid._resort(None)
    front.click(1)  # sent before the new rows could be requested
    assert state.patients == (("nsclc_radiomics", "LUNG1-002"),)


def test_cells_are_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,SeriesDescription,Modality\n"
        f"1.2.3,1.2,../../etc,mine,{HOSTILE},CT\n1.2.4,1.2,../../etc,mine,,\n"
    )
    state = BrowserState(IDCClient(path))
    front = FrontEnd(SeriesGrid(state))
    assert front.column("Series description") == [HOSTILE, "–"]
    assert front.column("Patient ID") == ["../../etc"] * 2
    assert front.column("Files") == ["–"] * 2
    state.filter_values("Modality", ["CT"])
    state.filters = state.filters.where(Modality=[])
    assert front.widget._row_count == 0
    assert front.grid._heading._count == 0
    assert front.grid._body.layout.display == "none"


def test_too_many_rows_to_pick_are_refused(client: IDCClient) -> None:
    state = BrowserState(client)
    front = FrontEnd(SeriesGrid(state))
    front.click(3)
    picked = state.series
    front._select([{"r1": 0, "r2": 1_044_190, "c1": 0, "c2": 11}])
    assert "1,044,191 rows are too many to pick" in state.message
    assert state.series == picked
    assert [rectangle["r1"] for rectangle in front.widget.selections] == [3]


def test_a_header_sorts_even_if_all_rows_are_picked(state: BrowserState) -> None:
    state.pick(patients=["LUNG1-365"])
    front = FrontEnd(SeriesGrid(state))
    front._select([{"r1": 0, "r2": 11, "c1": 0, "c2": 11}])
    assert len(state.series) == 12
    front.click_header("Files")
    assert front.grid._rows.sort is not None
    assert len(state.series) == 12


def test_rectangles() -> None:
    assert [(part["r1"], part["r2"]) for part in _rectangles([1, 2, 3, 7, 9, 10], 4)] == [
        (1, 3),
        (7, 7),
        (9, 10),
    ]
    overlapping = [
        {"r1": 5, "r2": 3},
        {"r1": 4, "r2": 8},
        {"r1": -3, "r2": 0},
        {"r1": 90, "r2": 99},
    ]
    assert _ranges(overlapping, 8) == [range(1), range(3, 6), range(6, 8)]


def test_unknown_keywords_name_the_nearest(state: BrowserState) -> None:
    with pytest.raises(TypeError, match="did you mean 'height'"):
        SeriesGrid(state, hight="100px")


def test_the_title_takes_all_picks_back(state: BrowserState) -> None:
    front = FrontEnd(PatientGrid(state))
    front.click(0, 1)
    assert len(front.grid._picked) == 2
    front.grid._heading._handle_custom_msg({"kind": "unknown"}, [])
    assert len(front.grid._picked) == 2
    front.grid._heading._handle_custom_msg({"kind": "clear"}, [])
    assert front.grid._picked == ()
