"""The grids in the kernel: messages from a front end, and the replies to them.

`TestEveryGrid` runs with each kind of grid; what only one kind can do follows.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ipykernel.kernelbase import Kernel
from support.grid_pages import DataGridPage, DomPage, GridPage, open_page

from idc_widgets import (
    BrowserState,
    IDCBrowser,
    IDCClient,
    InvalidQueryError,
    PatientGrid,
    SeriesGrid,
    StudyGrid,
)
from idc_widgets.errors import QueryInterruptedError
from idc_widgets.query import Sort
from idc_widgets.widgets.grid.datagrid import DataGridView
from idc_widgets.widgets.grid.dom_grid import DomGridView

HOSTILE = "<img src=x onerror=alert(1)>"

#: Kind of grid → test → why this kind of grid cannot pass the test.
CANNOT: dict[str, dict[str, str]] = {
    "dom": {},
    "ipydatagrid": {
        "test_one_message_announces_new_rows": "sends its rows in a message of their own",
        "test_one_message_answers_a_click": "sends the selection and the title one by one",
        "test_picks_are_brought_in_sight": "has no message for scrolling",
        "test_rows_are_copied_as_text": "copies only the cells that the page has, cut",
        "test_too_many_rows_to_copy_are_refused": "copies only the cells that the page has, cut",
        "test_the_next_grid_has_the_widths": "has no width that a person sets",
        "test_columns_are_chosen": "keeps the columns that it had when it was made",
        "test_the_menu_of_a_row": "has no menu of its rows",
        "test_headers_are_explained": "has no description of a column, only its keyword",
    },
}

MakeGrid = Callable[..., Any]


def record_messages(widget: Any) -> list[set[str]]:
    """Return a list that receives the names of the traits in each message to the page."""
    sent: list[set[str]] = []
    widget.send_state = lambda key: sent.append(set(key))
    # ipywidgets 7 sends changes only through a comm with a kernel, which a test lacks.
    if getattr(widget.comm, "kernel", widget) is None:
        widget.comm.kernel = Kernel()
    return sent


@pytest.fixture(params=["dom", "ipydatagrid"])
def make(request: pytest.FixtureRequest) -> MakeGrid:
    """Return a function that makes grids of one kind, such as ``make(PatientGrid, state)``."""
    if reason := CANNOT[request.param].get(request.node.originalname):
        pytest.skip(f"ipydatagrid {reason}")
    view = {"dom": DomGridView, "ipydatagrid": DataGridView}[request.param]
    return lambda grid, state, **keywords: grid(state, view=view, **keywords)


def first_key(page: GridPage, row: int) -> Any:
    [key] = page.grid._rows.keys([range(row, row + 1)])
    return key


def test_each_skipped_test_exists() -> None:
    for kind in CANNOT.values():
        assert all(hasattr(TestEveryGrid, name) for name in kind)


class TestEveryGrid:
    def test_clicks_pick_keys(self, state: BrowserState, make: MakeGrid) -> None:
        patients, studies, series = (
            open_page(make(grid, state)) for grid in (PatientGrid, StudyGrid, SeriesGrid)
        )
        patients.click(2)
        assert state.patients == (("nsclc_radiomics", "LUNG1-003"),)
        assert (studies.count, series.count) == (1, 12)
        series.receive()
        series.click(0, 5)
        assert len(state.series) == len(state.selection) == 2
        assert (series.picked, series.picked_count) == ([0, 5], 2)
        series.click()
        assert state.series == ()

    def test_picks_survive_sorting(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(PatientGrid, state))
        page.click(2)
        page.sort("Patient ID")
        page.receive()
        assert page.column("Patient ID")[0] == "LUNG1-001"
        page.sort("Patient ID")
        page.receive()
        assert page.column("Patient ID")[0] == "LUNG1-422"
        assert state.patients == (("nsclc_radiomics", "LUNG1-003"),)
        assert page.picked == [419]
        assert page.order == ("Patient ID", True)
        page.sort("Patient ID")
        assert page.order is None
        assert page.picked == [2]

    def test_each_click_on_a_header_counts(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(SeriesGrid, state))
        page.sort("Files")
        page.sort("Files")  # before the page has received the first order
        assert page.grid._rows.sort == Sort("instanceCount", descending=True)
        page.sort("Files")
        page.sort("Size")
        assert page.grid._rows.sort == Sort("series_size_MB")

    def test_a_failed_sort_changes_nothing(
        self, state: BrowserState, make: MakeGrid, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = open_page(make(SeriesGrid, state))

        def interrupted(_rows: Any, _sort: Any) -> Any:
            raise QueryInterruptedError("interrupted")

        with monkeypatch.context() as patch:
            patch.setattr(type(page.grid._rows), "sorted", interrupted)
            page.sort("Files")
        assert page.order is None
        assert page.grid._sort is None
        page.receive()
        assert page.column("Patient ID")[0] == "LUNG1-001"

    def test_a_click_on_old_rows_picks_what_the_page_showed(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        page = open_page(make(SeriesGrid, state))
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

    def test_new_rows_are_clicked_before_any_request(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        page = open_page(make(SeriesGrid, state))
        state.pick(patients=["LUNG1-365"])
        page.receive()
        page.click(0)
        assert state.series == page.grid._rows.keys([range(1)])
        assert state.message == ""

    def test_a_click_on_a_row_that_a_filter_hides_is_reported(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        page = open_page(make(SeriesGrid, state))
        page.click(0, 3)
        picked = state.series
        page.receive()
        shown = page.grid._rows
        state.filter_values("Modality", ["CT"])
        assert len(state.series) < 2
        left = state.series
        hidden = next(
            row
            for row in range(9)
            if not page.grid._rows.positions(shown.keys([range(row, row + 1)]))
        )
        [uid] = shown.keys([range(hidden, hidden + 1)])
        page.click(hidden)
        assert state.message.startswith(
            f"the row that you clicked is no longer shown: SeriesInstanceUID {uid!r}"
        )
        assert state.series == left
        assert picked != left

    def test_a_pick_that_a_filter_hid_before_the_click_is_not_reported(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        page = open_page(make(SeriesGrid, state))
        shown = page.grid._rows
        modalities = shown.window(0, 12)["Modality"]
        hidden, first = modalities.index("RTSTRUCT"), modalities.index("CT")
        page.click(hidden)
        page.receive()
        state.filter_values("Modality", ["CT"])
        page.click(hidden, first)  # with the Ctrl key: the page still showed the first pick
        assert state.series == shown.keys([range(first, first + 1)])
        assert state.message == ""

    def test_a_click_on_the_only_pick_that_a_filter_hid_is_reported(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        page = open_page(make(SeriesGrid, state))
        shown = page.grid._rows
        modalities = shown.window(0, 12)["Modality"]
        hidden, first = modalities.index("RTSTRUCT"), modalities.index("CT")
        page.click(first)
        page.click(hidden)
        page.click(first, hidden)
        state.filter_values("Modality", ["CT"])
        assert state.series == shown.keys([range(first, first + 1)])
        page.click(hidden)
        assert "the row that you clicked is no longer shown" in state.message
        assert state.series == shown.keys([range(first, first + 1)])

    def test_a_click_on_forgotten_rows_is_reported(
        self, state: BrowserState, make: MakeGrid, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("idc_widgets.widgets.grid.shown_rows._MAX_GENERATIONS", 8)
        page = open_page(make(PatientGrid, state))
        for value in ["CT", "SEG", "RTSTRUCT", "CT", "SEG", "RTSTRUCT", "CT", "SEG", "RTSTRUCT"]:
            state.filter_values("Modality", [value])
        page.click(0)
        assert "click again" in state.message
        assert state.patients == ()

    def test_rows_that_no_page_shows_are_forgotten(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        grid = make(PatientGrid, state)
        page, other = open_page(grid), open_page(grid, "other")
        for one in (page, other):
            one.request(0, 10)
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

    def test_two_pages_click_on_their_own_rows(self, state: BrowserState, make: MakeGrid) -> None:
        grid = make(PatientGrid, state)
        slow, fast = open_page(grid, "slow"), open_page(grid, "fast")
        shown = grid._rows
        state.filter_values("Modality", ["SEG"])
        fast.receive()
        fast.request(0, 10)
        slow.click(3)
        assert state.patients == shown.keys([range(3, 4)])
        fast.click(5)
        assert state.patients == grid._rows.keys([range(5, 6)])

    def test_a_request_for_replaced_rows_is_not_answered(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        page = open_page(make(SeriesGrid, state))
        state.filter_values("Modality", ["CT"])
        assert page.request(0, 10) is None
        page.receive()
        assert page.request(0, 10) == 0

    def test_malformed_messages_change_nothing(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(SeriesGrid, state))
        for malformed in (
            {},
            {"type": "data-request"},
            {"type": "data-request", "r1": "x", "r2": None},
            {"kind": "window"},
            {"kind": "window", "start": "x", "stop": None, "fetch": True},
            {"kind": "sort", "column": "1; DROP TABLE index"},
        ):
            page.widget._handle_custom_msg(malformed, [])  # type: ignore[attr-defined]
        assert state.message == ""
        assert (page.count, page.order) == (4926, None)

    def test_a_click_beyond_the_rows_of_its_generation_is_refused(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        page = open_page(make(PatientGrid, state))
        page.click(3)
        picked = state.patients
        page.click(page.count + 5)
        assert "the rows that you clicked have been replaced" in state.message
        assert state.patients == picked

    def test_an_overtaken_pick_does_not_win(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(PatientGrid, state))
        page.number = 1
        page.click(5)  # the second click, which another thread handles first
        page.number = 0
        page.click(2)
        assert state.patients == page.grid._rows.keys([range(5, 6)])

    def test_cells_are_text(self, tmp_path: Path, make: MakeGrid) -> None:
        path = tmp_path / "mine.csv"
        names = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,SeriesDescription"
        path.write_text(
            f"{names},Modality\n1.2.3,1.2,../../etc,mine,{HOSTILE},CT\n1.2.4,1.2,../../etc,mine,,\n"
        )
        state = BrowserState(IDCClient(path))
        page = open_page(make(SeriesGrid, state))
        assert page.column("Series description") == [HOSTILE, None]
        assert page.column("Patient ID") == ["../../etc"] * 2
        assert page.column("Files") == [None] * 2
        state.filter_values("Modality", ["CT"])
        state.filters = state.filters.where(Modality=[])
        assert page.count == 0
        assert page.reason == SeriesGrid._empty

    def test_an_empty_table_has_a_message_of_its_own(self, tmp_path: Path, make: MakeGrid) -> None:
        path = tmp_path / "empty.csv"
        path.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n")
        state = BrowserState(IDCClient(path))
        for grid, name in ((PatientGrid, "patients"), (StudyGrid, "studies")):
            page = open_page(make(grid, state))
            assert (page.count, page.reason) == (0, f"The index has no {name}.")

    def test_too_many_rows_to_pick_are_refused(self, client: IDCClient, make: MakeGrid) -> None:
        state = BrowserState(client)
        page = open_page(make(SeriesGrid, state))
        page.click(3)
        picked = state.series
        page.pick_ranges([(0, 1_044_191)])
        assert "1,044,191 rows are too many to pick" in state.message
        assert state.series == picked
        assert page.picked == [3]

    def test_all_rows_are_picked(self, state: BrowserState, make: MakeGrid) -> None:
        state.pick(patients=["LUNG1-365"])
        page = open_page(make(SeriesGrid, state))
        page.pick_ranges([(0, 12)])
        assert len(state.series) == 12
        page.receive()
        page.sort("Files")
        assert page.grid._rows.sort == Sort("instanceCount")
        assert len(state.series) == page.picked_count == 12

    def test_the_title_removes_all_picks(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(PatientGrid, state))
        page.click(0, 1)
        assert page.picked_count == 2
        page.clear()
        assert state.patients == ()
        assert page.picked_count == 0

    def test_a_grid_that_cannot_follow_says_so_until_it_can(
        self, state: BrowserState, make: MakeGrid, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = open_page(make(SeriesGrid, state))
        messages: list[str] = []
        state.observe(lambda change: messages.append(change["new"]), "message")

        def broken(*_args: Any, **_keywords: Any) -> Any:
            raise InvalidQueryError("quota exceeded")

        with monkeypatch.context() as patch:
            patch.setattr("idc_widgets.widgets.grid.level_grids.row_source", broken)
            with state.turn(reports=True):
                state.filter_values("Modality", ["SEG"])
        assert messages == ["quota exceeded"], "the message stays after the turn that failed"
        assert (page.count, page.reason) == (
            0,
            "Not up to date: quota exceeded. The next click tries again.",
        )
        with state.turn(reports=True):
            pass
        assert (state.message, page.reason) == ("", "")
        assert page.count == len(state.selection)

    @pytest.mark.parametrize("action", ["click", "sort"])
    def test_clicks_in_a_grid_interrupt_an_older_view(
        self, state: BrowserState, make: MakeGrid, action: str
    ) -> None:
        page = open_page(make(PatientGrid, state))
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
            page.click(2)
            assert state.patients == (("nsclc_radiomics", "LUNG1-003"),)
        else:
            page.sort("Patient ID")
            assert page.order == ("Patient ID", False)
        thread.join(30)
        assert interrupted.is_set()

    def test_a_pick_that_fails_is_not_shown(
        self, state: BrowserState, make: MakeGrid, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = open_page(make(PatientGrid, state))
        page.click(1)

        def broken(*_args: Any) -> Any:
            raise InvalidQueryError("quota exceeded")

        with monkeypatch.context() as patch:
            patch.setattr(BrowserState, "_consequences", broken)
            page.click(2)
        assert state.message == "quota exceeded"
        assert page.picked == [1]

    def test_an_unknown_keyword_is_refused_with_the_nearest_name(
        self, state: BrowserState, make: MakeGrid
    ) -> None:
        with pytest.raises(TypeError, match="did you mean 'height'"):
            make(SeriesGrid, state, hight="100px")

    def test_one_message_announces_new_rows(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(SeriesGrid, state))
        sent = record_messages(page.widget)
        state.pick(patients=["LUNG1-365"])
        assert sent == [{"_source", "_picks"}]
        assert len(page.widget._source["rows"]) == 12  # type: ignore[attr-defined]

    def test_one_message_answers_a_click(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(PatientGrid, state))
        sent = record_messages(page.widget)
        page.click(3)
        assert sent == [{"_picks", "_answered"}]

    def test_picks_are_brought_in_sight(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(PatientGrid, state))

        def revealed() -> int:
            return int(page.widget._picks["reveal"])  # type: ignore[attr-defined]

        page.click(5)
        assert revealed() == -1, "the page shows it already"
        state.pick(patients=["LUNG1-365"])
        assert revealed() == 364
        state.filter_values("Modality", ["SEG"])
        shown = page.widget._source  # type: ignore[attr-defined]
        assert shown["start"] < revealed() < shown["start"] + len(shown["rows"])
        page.receive()
        page.sort("Series")
        assert revealed() == -1, "who sorts looks at the first rows"

    def test_rows_are_copied_as_text(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(SeriesGrid, state))
        page.send(kind="copy", number=1, ranges=[[3000, 3001], [3, 5]])
        [reply] = page.widget.replies  # type: ignore[attr-defined]
        lines = reply["text"].splitlines()
        assert (reply["count"], reply["problem"], len(lines)) == (3, "", 4)
        uids = page.grid._rows.keys([range(3, 5), range(3000, 3001)])
        assert [line.split("\t")[-1] for line in lines] == ["SeriesInstanceUID", *uids]

    def test_too_many_rows_to_copy_are_refused(self, client: IDCClient, make: MakeGrid) -> None:
        page = open_page(make(SeriesGrid, BrowserState(client)))
        page.send(kind="copy", number=1, ranges=[[0, 10_001]])
        [reply] = page.widget.replies  # type: ignore[attr-defined]
        assert reply["text"] == ""
        assert reply["problem"].startswith("10,001 rows are too many to copy; expected at most")
        assert page.grid._state.message == reply["problem"], "people see the reason"

    def test_columns_are_chosen(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(SeriesGrid, state))
        page.sort("Files")
        page.choose_columns("SeriesNumber", "SeriesInstanceUID", "StudyDate")
        assert state.columns == {"series": ("SeriesNumber", "SeriesInstanceUID", "StudyDate")}
        labels = [column["label"] for column in page.widget._columns]  # type: ignore[attr-defined]
        assert labels == ["Series number", "Series UID", "Study date"]
        assert page.order is None, "the sorted column is no longer shown"
        page.receive()
        assert page.column("Study date")[0] == "2008-09-18"
        choices = page.widget._choices  # type: ignore[attr-defined]
        assert len(choices) == 31
        assert all(choice["hint"].startswith(f"{choice['name']}: ") for choice in choices)
        page.choose_columns("nonsense")
        assert "nonsense" in state.message
        assert len(state.columns["series"]) == 3
        other = open_page(make(SeriesGrid, state))
        assert len(other.widget._columns) == 3, "the state remembers"  # type: ignore[attr-defined]
        page.choose_columns()
        assert state.columns == {}
        assert len(page.widget._columns) == 12  # type: ignore[attr-defined]
        state.columns = {"patient": ["PatientID"]}
        assert len(page.widget._columns) == 12  # type: ignore[attr-defined]

    def test_the_next_grid_has_the_order(self, state: BrowserState, make: MakeGrid) -> None:
        open_page(make(SeriesGrid, state)).sort("Files")
        assert open_page(make(SeriesGrid, state)).order == ("Files", False)
        assert open_page(make(PatientGrid, state)).order is None

    def test_the_next_grid_has_the_widths(self, state: BrowserState, make: MakeGrid) -> None:
        def widths(grid: Any) -> Any:
            return grid._view.widget._widths

        first = make(SeriesGrid, state)
        first._view.widget.set_state({"_widths": {"PatientID": 188}})
        assert widths(make(SeriesGrid, state)) == {"PatientID": 188}
        assert widths(make(PatientGrid, state)) == {}

    def test_the_menu_of_a_row(self, state: BrowserState, make: MakeGrid) -> None:
        asked: list[Any] = []
        for grid, row in ((PatientGrid, 364), (StudyGrid, 364), (SeriesGrid, 3)):
            page = open_page(make(grid, state))
            page.grid.on_details(lambda *row: asked.append(row))
            key = first_key(page, row)
            page.send(kind="row", number=1, row=row)
            [reply] = page.widget.replies  # type: ignore[attr-defined]
            facts = reply["facts"]
            assert facts["identifier"] == (key if isinstance(key, str) else key[1])
            client = state.client
            selection = eval(facts["code"], {"client": client})
            assert len(selection) == (1 if grid is SeriesGrid else 12)
            [url] = selection.viewer_urls().values()
            whole = url.split("&")[0]  # a list of all series may be too long for the viewer
            assert facts["viewer"] == (url if grid is SeriesGrid else whole)
            page.send(kind="details", row=row)
            assert asked[-1] == (grid._level, key)
            page.send(kind="row", number=2, row=999_999_999)
            assert "not there any more" in state.message

    def test_headers_are_explained(self, state: BrowserState, make: MakeGrid) -> None:
        page = open_page(make(SeriesGrid, state))
        hints = [column["hint"] for column in page.widget._columns]  # type: ignore[attr-defined]
        assert "BodyPartExamined: Body part that was imaged" in hints


def test_rows_that_were_replaced_take_no_memory(state: BrowserState) -> None:
    grids = PatientGrid(state), StudyGrid(state), SeriesGrid(state)
    orders = []
    for value in ["CT", "SEG", "RTSTRUCT"]:
        state.filter_values("Modality", [value])
        orders.append([weakref.ref(grid._rows._ordered.rows) for grid in grids])
    gc.collect()
    in_memory = [[order() is not None for order in generation] for generation in orders]
    assert in_memory == [[False] * 3, [False] * 3, [True] * 3]


def test_rows_are_requested(state: BrowserState) -> None:
    page = DomPage(SeriesGrid(state))
    assert page.request(4900, 99_999) == 4900
    [reply] = page.widget.replies
    assert len(reply["rows"]) == 26
    assert page.request(-50, 10) == 0
    assert page.request(0, 4926) == 0
    [reply] = page.widget.replies
    assert len(reply["rows"]) == 500, "no page shows more"


def test_every_view_of_ours_is_refreshed(state: BrowserState) -> None:
    page = DomPage(SeriesGrid(state))
    page.view.refresh()
    assert [reply["start"] for reply in page.widget.replies] == [0], "before any request"
    page.request(100, 130, view="first")
    page.request(4000, 4010, view="second")
    page.request(115, 140, view="third")
    page.widget.replies.clear()
    page.view.refresh()
    sent = [(one["start"], len(one["rows"])) for one in page.widget.replies]
    assert sent == [(100, 40), (4000, 10)]


def test_a_browser_has_the_grid_that_is_named(own_table: Any) -> None:
    client = own_table("Modality", "1.1,1,Ann,mine,CT")
    browser = IDCBrowser(client, grid="ipydatagrid")
    assert isinstance(browser._grids[2]._view, DataGridView)
    browser.close()
    with pytest.raises(ValueError, match="did you mean 'ipydatagrid'"):
        IDCBrowser(client, grid="ipydatagird")


# --- ipydatagrid alone ---------------------------------------------------------------------


class FrontEnd:
    """Sends the messages of ipydatagrid's own front end, for pages that do not run clicks.js."""

    def __init__(self, grid: Any) -> None:
        self.grid = grid
        self.widget = grid._view.grid
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


def series_on_canvas(state: BrowserState) -> Any:
    return SeriesGrid(state, view=DataGridView)


def test_requested_rows_are_sent_with_a_margin(state: BrowserState) -> None:
    front = FrontEnd(series_on_canvas(state))
    reply = front.request(100, 110)
    assert (reply["r1"], reply["c1"], reply["c2"]) == (80, 0, len(front.widget._columns) - 1)
    assert {len(cell["value"]) for cell in reply["value"]["data"].values()} == {51}
    assert front.request(4900, 99_999)["r2"] == 4925
    assert front.request(-1, -1)["r1"] == 0


def test_every_view_of_a_canvas_is_refreshed(state: BrowserState) -> None:
    page = DataGridPage(series_on_canvas(state))
    page.request(100, 110, view="first")
    page.request(4000, 4010, view="second")
    page.request(115, 120, view="third")
    page.widget.replies.clear()
    page.view.refresh()
    assert [(reply["r1"], reply["r2"]) for reply in page.widget.replies] == [
        (0, 30),
        (80, 140),
        (3980, 4030),
    ]


def test_clicks_without_a_generation(state: BrowserState) -> None:
    front = FrontEnd(PatientGrid(state, view=DataGridView))
    front.click(2)
    front.click_header("Patient ID")
    assert front.column("Patient ID")[0] == "LUNG1-001"
    front.click_header("Patient ID")
    assert front.column("Patient ID")[0] == "LUNG1-422"
    assert state.patients == (("nsclc_radiomics", "LUNG1-003"),)
    assert [rectangle["r1"] for rectangle in front.widget.selections] == [419]
    assert front.widget._transforms == [{"type": "sort", "column": "Patient ID", "desc": True}]


def test_sorting_with_the_menu(state: BrowserState) -> None:
    front = FrontEnd(series_on_canvas(state))
    front.widget.set_state({"_transforms": [{"type": "sort", "column": "Files", "desc": True}]})
    counts = [int(cell.replace(",", "")) for cell in front.column("Files")]
    assert counts == sorted(counts, reverse=True)
    front.widget.set_state({"_transforms": []})
    assert front.column("Patient ID")[0] == "LUNG1-001"


def test_the_menu_sorts_with_a_click_of_its_own(state: BrowserState) -> None:
    page = DataGridPage(series_on_canvas(state))
    for transforms, order in (
        ([{"type": "sort", "column": "Files", "desc": True}], ("Files", True)),
        ([{"type": "sort", "column": "Files", "desc": False}], ("Files", False)),
        ([], None),
    ):
        page.number += 1
        page.send(type="click", number=page.number, kind="menu", transforms=transforms)
        assert page.order == order
    assert page.column("Patient ID")[0] == "LUNG1-001"


def test_the_filters_of_the_menu_are_refused_with_a_message(state: BrowserState) -> None:
    front = FrontEnd(series_on_canvas(state))
    front.widget.set_state(
        {"_transforms": [{"type": "filter", "column": "Files", "operator": ">", "value": 3}]}
    )
    assert "can sort but not filter; use a dropdown" in state.message
    assert front.widget._transforms == []
    assert front.widget._row_count == 4926


def test_a_click_on_new_rows_needs_no_request_before_it(state: BrowserState) -> None:
    front = FrontEnd(series_on_canvas(state))
    state.pick(patients=["LUNG1-365"])  # sends the first rows
    front.click(0)  # before the front end requests others
    assert state.series == front.grid._rows.keys([range(1)])
    assert state.message == ""


def test_a_refused_pick_is_taken_back_on_the_page(client: IDCClient) -> None:
    page = DataGridPage(series_on_canvas(BrowserState(client)))
    page.click(3)
    page.receive()
    sent: list[Any] = []
    page.widget.send_state = lambda key=None: sent.append((key, page.widget.selections))
    page.pick_ranges([(0, 1_044_191)])
    [(key, selections)] = sent
    assert key == "selections"
    assert [rectangle["r1"] for rectangle in selections] == [3]


def test_a_refused_pick_without_a_generation(client: IDCClient) -> None:
    front = FrontEnd(series_on_canvas(BrowserState(client)))
    front.click(3)
    front._select([{"r1": 0, "r2": 1_044_190, "c1": 0, "c2": 11}])
    assert [rectangle["r1"] for rectangle in front.widget.selections] == [3]


def test_a_header_sorts_even_if_all_rows_are_picked(state: BrowserState) -> None:
    state.pick(patients=["LUNG1-365"])
    front = FrontEnd(series_on_canvas(state))
    front._select([{"r1": 0, "r2": 11, "c1": 0, "c2": 11}])
    assert len(state.series) == 12
    front.click_header("Files")
    assert front.grid._rows.sort is not None
    assert len(state.series) == 12
