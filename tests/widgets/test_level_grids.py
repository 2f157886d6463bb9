"""The grids in the kernel: messages from a front end, and the replies to them."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from idc_widgets import (
    BrowserState,
    IDCClient,
    InvalidQueryError,
    PatientGrid,
    SeriesGrid,
    StudyGrid,
)
from idc_widgets.errors import QueryInterruptedError
from idc_widgets.query import Sort
from idc_widgets.widgets.grid.rectangles import ranges_of, rectangles_of

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


class Page(FrontEnd):
    """A page that runs clicks.js: its messages have the generation of the rows that it shows.

    It shows new rows only after `receive` is called. Until then, messages to it are on their way.
    """

    def __init__(self, grid: Any, name: str = "page") -> None:
        self.name, self.number = name, 0
        self.selections: list[dict[str, int]] = []
        self.generation = -1
        super().__init__(grid)
        self.receive()
        self.request(0, 10)

    def receive(self) -> None:
        """Handle all messages from the kernel."""
        self.generation = self.widget.generation
        self.selections = [dict(rectangle) for rectangle in self.widget.selections]

    def request(self, r1: int, r2: int, view: str = "view") -> dict[str, Any]:
        self.sent.clear()
        window = {"r1": r1, "r2": r2, "c1": 0, "c2": 3, "view": view}
        self._send("data-request", **window)
        replies = [message for message in self.sent if message.get("event_type") == "data-reply"]
        return replies[-1] if replies else {}

    def sort(self, title: str) -> None:
        self._click(kind="sort", column=title)

    def _select(self, rectangles: list[dict[str, int]]) -> None:
        before, self.selections = self.selections, rectangles
        self._click(kind="pick", selections=rectangles, before=before)

    def _click(self, **content: Any) -> None:
        self.number += 1
        self._send("click", number=self.number, **content)

    def _send(self, type_: str, **content: Any) -> None:
        message = {"type": type_, "page": self.name, "generation": self.generation, **content}
        self.widget._handle_custom_msg(message, [])
        if type_ == "click":
            answer = {"event_type": "answer", "page": self.name, "number": self.number}
            assert self.sent[-1] == answer


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
    assert "can sort but not filter; use a dropdown" in state.message
    assert front.widget._transforms == []
    assert front.widget._row_count == 4926


def test_a_click_on_new_rows_needs_no_request_before_it(state: BrowserState) -> None:
    front = FrontEnd(SeriesGrid(state))
    state.pick(patients=["LUNG1-365"])  # sends the first rows
    front.click(0)  # before the front end requests others
    assert state.series == front.grid._rows.keys([range(1)])
    assert state.message == ""


def test_a_click_on_old_rows_picks_what_the_page_showed(state: BrowserState) -> None:
    page = Page(SeriesGrid(state))
    shown = page.grid._rows
    state.filter_values("Modality", ["CT"])
    clicked = next(
        row for row in range(9) if page.grid._rows.positions(shown.keys([range(row, row + 1)]))
    )
    page.click(clicked)
    assert state.series == shown.keys([range(clicked, clicked + 1)])
    page.receive()
    page.click(7)
    assert state.series == page.grid._rows.keys([range(7, 8)])


def test_new_rows_are_clicked_before_any_request(state: BrowserState) -> None:
    page = Page(SeriesGrid(state))
    state.pick(patients=["LUNG1-365"])
    page.receive()
    page.click(0)
    assert state.series == page.grid._rows.keys([range(1)])


def test_a_click_on_a_row_that_a_filter_hides_is_reported(state: BrowserState) -> None:
    page = Page(SeriesGrid(state))
    page.click(0, 3)
    picked = state.series
    page.receive()
    shown = page.grid._rows
    state.filter_values("Modality", ["CT"])
    assert len(state.series) < 2
    left = state.series
    hidden = next(
        row for row in range(9) if not page.grid._rows.positions(shown.keys([range(row, row + 1)]))
    )
    [uid] = shown.keys([range(hidden, hidden + 1)])
    page.click(hidden)
    assert state.message.startswith(
        f"the row that you clicked is no longer shown: SeriesInstanceUID {uid!r}"
    )
    assert state.series == left
    assert picked != left


def test_a_pick_that_a_filter_hid_before_the_click_is_not_reported(state: BrowserState) -> None:
    page = Page(SeriesGrid(state))
    shown = page.grid._rows
    modalities = [row["Modality"] for row in rows_of(shown, 12)]
    hidden, first = modalities.index("RTSTRUCT"), modalities.index("CT")
    page.click(hidden)
    page.receive()
    state.filter_values("Modality", ["CT"])
    page.click(hidden, first)  # with the Ctrl key: the page still showed the first pick
    assert state.series == shown.keys([range(first, first + 1)])
    assert state.message == ""


def test_a_click_on_forgotten_rows_is_reported(
    state: BrowserState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idc_widgets.widgets.grid.shown_rows._MAX_GENERATIONS", 8)
    page = Page(PatientGrid(state))
    for value in ["CT", "SEG", "RTSTRUCT", "CT", "SEG", "RTSTRUCT", "CT", "SEG", "RTSTRUCT"]:
        state.filter_values("Modality", [value])
    page.click(0)
    assert "click again" in state.message
    assert state.patients == ()


def test_rows_that_were_replaced_take_no_memory(state: BrowserState) -> None:
    grids = PatientGrid(state), StudyGrid(state), SeriesGrid(state)
    orders = []
    for value in ["CT", "SEG", "RTSTRUCT"]:
        state.filter_values("Modality", [value])
        orders.append([weakref.ref(grid._rows._ordered.rows) for grid in grids])
    gc.collect()
    in_memory = [[order() is not None for order in generation] for generation in orders]
    assert in_memory == [[False] * 3, [False] * 3, [True] * 3]


def test_rows_that_no_page_shows_are_forgotten(state: BrowserState) -> None:
    grid = PatientGrid(state)
    page, other = Page(grid), Page(grid, "other")
    page.sent = other.sent  # the widget sends to every page
    for value in ["CT", "SEG", "RTSTRUCT"]:
        state.filter_values("Modality", [value])
    page.receive()
    page.request(0, 10)
    shown = grid._view._shown
    assert [shown.rows(number) is None for number in range(4)] == [False] * 4
    other.receive()
    other.request(0, 10)
    assert [shown.rows(number) is None for number in range(4)] == [True, True, False, False]
    grid.close()
    assert shown.rows(3) is None


def test_two_pages_click_on_their_own_rows(state: BrowserState) -> None:
    grid = PatientGrid(state)
    slow, fast = Page(grid, "slow"), Page(grid, "fast")
    slow.sent = fast.sent
    shown = grid._rows
    state.filter_values("Modality", ["SEG"])
    fast.receive()
    fast.request(0, 10)
    slow.click(3)
    assert state.patients == shown.keys([range(3, 4)])
    fast.click(5)
    assert state.patients == grid._rows.keys([range(5, 6)])


def test_every_page_view_is_refreshed(state: BrowserState) -> None:
    page = Page(SeriesGrid(state))
    page.request(100, 110, view="first")
    page.request(4000, 4010, view="second")
    page.request(115, 120, view="third")
    page.sent.clear()
    page.grid._view.refresh()
    assert [(reply["r1"], reply["r2"]) for reply in page.sent] == [
        (0, 30),
        (80, 140),
        (3980, 4030),
    ]


def test_a_request_for_replaced_rows_is_not_answered(state: BrowserState) -> None:
    page = Page(SeriesGrid(state))
    state.filter_values("Modality", ["CT"])
    assert page.request(0, 10) == {}
    page.receive()
    assert page.request(0, 10) != {}


def test_each_click_on_a_header_counts(state: BrowserState) -> None:
    page = Page(SeriesGrid(state))
    page.sort("Files")
    page.sort("Files")  # before the page has received the first order
    assert page.grid._rows.sort == Sort("instanceCount", descending=True)
    page.sort("Files")
    page.sort("Size")
    assert page.grid._rows.sort == Sort("series_size_MB")


def test_a_refused_pick_is_taken_back_on_the_page(client: IDCClient) -> None:
    page = Page(SeriesGrid(BrowserState(client)))
    page.click(3)
    page.receive()
    sent: list[Any] = []
    page.widget.send_state = lambda key=None: sent.append((key, page.widget.selections))
    page._select([{"r1": 0, "r2": 1_044_190, "c1": 0, "c2": 11}])
    [(key, selections)] = sent
    assert key == "selections"
    assert [rectangle["r1"] for rectangle in selections] == [3]


def test_an_overtaken_pick_does_not_win(state: BrowserState) -> None:
    page = Page(PatientGrid(state))
    page.number = 1
    page.click(5)  # the second click, which another thread handles first
    page.number = 0
    page.click(2)
    assert state.patients == page.grid._rows.keys([range(5, 6)])


def rows_of(rows: Any, count: int) -> list[dict[str, Any]]:
    window = rows.window(0, count)
    return [{name: values[i] for name, values in window.items()} for i in range(count)]


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
    assert [(part["r1"], part["r2"]) for part in rectangles_of([1, 2, 3, 7, 9, 10], 4)] == [
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
    assert ranges_of(overlapping, 8) == [range(1), range(3, 6), range(6, 8)]


def test_unknown_keywords_name_the_nearest(state: BrowserState) -> None:
    with pytest.raises(TypeError, match="did you mean 'height'"):
        SeriesGrid(state, hight="100px")


def test_the_title_removes_all_picks(state: BrowserState) -> None:
    front = FrontEnd(PatientGrid(state))
    front.click(0, 1)
    assert len(front.grid._picked) == 2
    front.grid._heading._handle_custom_msg({"kind": "unknown"}, [])
    assert len(front.grid._picked) == 2
    front.grid._heading._handle_custom_msg({"kind": "clear"}, [])
    assert front.grid._picked == ()


def test_a_grid_that_cannot_follow_says_so_until_it_can(
    state: BrowserState, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = SeriesGrid(state)
    FrontEnd(series)
    messages: list[str] = []
    state.observe(lambda change: messages.append(change["new"]), "message")

    def broken(*_args: Any, **_keywords: Any) -> Any:
        raise InvalidQueryError("quota exceeded")

    with monkeypatch.context() as patch:
        patch.setattr("idc_widgets.widgets.grid.level_grids.row_source", broken)
        with state.turn(reports=True):
            state.filter_values("Modality", ["SEG"])
    assert messages == ["quota exceeded"], "the message stays after the turn that failed"
    assert series._body.layout.display == "none"
    heading = series._heading
    assert (heading._count, heading._empty) == (
        0,
        "Not up to date: quota exceeded. The next click tries again.",
    )
    with state.turn(reports=True):
        pass
    assert state.message == ""
    assert series._body.layout.display == ""
    assert heading._count == len(state.selection)
    assert heading._empty == SeriesGrid._empty


@pytest.mark.parametrize("action", ["click", "sort"])
def test_clicks_in_a_grid_interrupt_an_older_view(state: BrowserState, action: str) -> None:
    front = FrontEnd(PatientGrid(state))
    interrupted, started = threading.Event(), threading.Event()
    state.turns._interrupt = lambda _thread: interrupted.set()

    def slow() -> None:
        if not started.is_set():
            started.set()
            assert interrupted.wait(30)
            raise QueryInterruptedError("interrupted")

    thread = threading.Thread(target=lambda: state.turns.refresh(slow))
    thread.start()
    assert started.wait(30)
    if action == "click":
        front.click(2)
        assert state.patients == (("nsclc_radiomics", "LUNG1-003"),)
    else:
        front.click_header("Patient ID")
        assert front.column("Patient ID")[0] == "LUNG1-001"
    thread.join(30)
    assert interrupted.is_set()


def test_a_pick_that_fails_is_not_shown(
    state: BrowserState, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = FrontEnd(PatientGrid(state))
    front.click(1)

    def broken(*_args: Any) -> Any:
        raise InvalidQueryError("quota exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(BrowserState, "_consequences", broken)
        front.click(2)
    assert state.message == "quota exceeded"
    assert [one["r1"] for one in front.widget.selections] == [1]
