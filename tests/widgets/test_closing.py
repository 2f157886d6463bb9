"""A closed widget observes nothing, recomputes nothing, and leaves nothing in memory."""

from __future__ import annotations

import gc
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
from ipywidgets import HTML, Box, HBox, Layout

import idc_widgets
from idc_widgets.client import IDCClient
from idc_widgets.query import Cohort
from idc_widgets.selection import Selection
from idc_widgets.widgets import (
    BrowserState,
    DownloadWidget,
    FacetDropdown,
    FacetPanel,
    FilterPanel,
    IDCBrowser,
    PatientGrid,
    RangeFilter,
    RowDetails,
    SearchBox,
    SeriesGrid,
    StudyGrid,
    SummaryBar,
)
from idc_widgets.widgets.closing import Closable, close_whole


def open_details(state: BrowserState) -> RowDetails:
    """Return the open details of a patient."""
    details = RowDetails(state)
    details.show("patient", ("mine", "Ann"))
    return details


WIDGETS: dict[str, Callable[[BrowserState], Any]] = {
    "FacetDropdown": lambda state: FacetDropdown(state, "Modality"),
    "FacetPanel": FacetPanel,
    "RangeFilter": lambda state: RangeFilter(state, "PatientAge"),
    "SearchBox": SearchBox,
    "FilterPanel": FilterPanel,
    "FilterPanel, expanded": lambda state: FilterPanel(state, expanded=True),
    "SummaryBar": SummaryBar,
    "DownloadWidget": lambda state: DownloadWidget(state=state),
    "PatientGrid": PatientGrid,
    "StudyGrid": StudyGrid,
    "SeriesGrid": SeriesGrid,
    "RowDetails": RowDetails,
    "RowDetails, open": open_details,
    "IDCBrowser": lambda state: IDCBrowser(state=state),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> IDCClient:
    """Return a client of a small table: three series of two patients."""
    path = tmp_path_factory.mktemp("own") / "own.csv"
    path.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,PatientAge\n"
        "1.1,1,Ann,mine,CT,060Y\n1.2,1,Ann,mine,SEG,060Y\n1.3,2,Bob,mine,CT,070Y\n"
    )
    return IDCClient(path)


@pytest.fixture(params=WIDGETS)
def make(request: pytest.FixtureRequest) -> Callable[[BrowserState], Any]:
    return WIDGETS[request.param]


def open_widgets() -> set[str]:
    """Return the ids of all open widgets, from ipywidgets' registry."""
    try:
        from ipywidgets.widgets.widget import _instances
    except ImportError:  # ipywidgets 7
        _instances = ipywidgets.Widget.widgets
    return set(_instances)


def observers(state: BrowserState) -> list[Any]:
    """Return every view and every other callback that follows a state."""
    kinds = state._trait_notifiers.values()
    users = [callback for by_kind in kinds for some in by_kind.values() for callback in some]
    views = [view for views in state._views.values() for view in views]
    return [*users, *views, *state._message_views, *state.on_settled, *state.turns._show_stale]


def shown(widget: Any) -> dict[str, Any]:
    """Return the synchronized values of a widget, without its parts."""
    return {name: getattr(widget, name) for name in widget.keys if name != "layout"}


def wait_until_collected(references: Iterable[weakref.ref[Any]]) -> None:
    deadline = time.monotonic() + 300
    gc.collect()
    while any(reference() is not None for reference in references):
        assert time.monotonic() < deadline
        time.sleep(0.02)  # a thread may still be looking at the disk
        gc.collect()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return a list to which the name of each query is added."""
    names: list[str] = []
    for owner, name in (
        (Cohort, "facets"),
        (Cohort, "histogram"),
        (Cohort, "summary"),
        (Selection, "summary"),
    ):
        original = getattr(owner, name)

        def counting(self: Any, *args: Any, _original: Any = original, _name: str = name) -> Any:
            names.append(_name)
            return _original(self, *args)

        monkeypatch.setattr(owner, name, counting)
    yield names


def test_after_close_a_widget_observes_and_recomputes_nothing(
    own: IDCClient, make: Callable[[BrowserState], Any], counted: list[str]
) -> None:
    state = BrowserState(own)
    before = observers(state)
    widget = make(state)
    assert len(observers(state)) > len(before)
    widget.close()
    assert observers(state) == before
    assert not state.turns._late
    shown_before = shown(widget)
    counted.clear()
    with state.turn():
        state.filter_values("Modality", ["CT"])
        state.pick(patients=["Ann"])
    state.message = "an error"
    assert counted == []
    assert shown(widget) == shown_before


def test_every_exported_widget_is_tested() -> None:
    exported = (getattr(idc_widgets.widgets, name) for name in idc_widgets.widgets.__all__)
    widgets = {item.__name__ for item in exported if issubclass(item, ipywidgets.Widget)}
    assert widgets == {name.partition(",")[0] for name in WIDGETS}


def test_every_part_is_closed(own: IDCClient, make: Callable[[BrowserState], Any]) -> None:
    state = BrowserState(own)
    before = open_widgets()
    widget = make(state)
    assert open_widgets() > before
    widget.close()
    assert open_widgets() == before
    widget.close()  # closing twice does nothing


def test_widget_and_state_can_be_collected(
    own: IDCClient, make: Callable[[BrowserState], Any]
) -> None:
    state = BrowserState(own)
    widget = make(state)
    state.filter_values("Modality", ["CT"])
    references = weakref.ref(state), weakref.ref(widget)
    widget.close()
    del state, widget
    wait_until_collected(references)


def test_a_widget_whose_making_is_interrupted_leaves_nothing(
    own: IDCClient, make: Callable[[BrowserState], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = BrowserState(own)
    before, open_before = observers(state), open_widgets()
    follow, left = BrowserState.add_view, 0

    def interrupted(self: BrowserState, *args: Any) -> None:
        nonlocal left
        follow(self, *args)
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(BrowserState, "add_view", interrupted)
    for number in (1, 5, 14):
        left = number
        with suppress(KeyboardInterrupt):
            make(state).close()
        FacetDropdown(state, "Modality").close()  # the last dropdown removes the common view
        assert observers(state) == before
        assert open_widgets() == open_before


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_close_that_is_interrupted_can_be_repeated(
    own: IDCClient, make: Callable[[BrowserState], Any], error: type[BaseException]
) -> None:
    state = BrowserState(own)
    before, open_before = observers(state), open_widgets()
    widget = make(state)

    def fails() -> None:
        raise error

    widget._on_close(fails)
    for part in getattr(widget, "children", ()):
        if isinstance(part, Closable):
            part._on_close(fails)
    for _ in range(len(getattr(widget, "children", ())) + 2):
        with suppress(KeyboardInterrupt):
            widget.close()
    assert observers(state) == before
    assert open_widgets() == open_before


def test_other_widgets_of_the_state_still_follow(own: IDCClient) -> None:
    state = BrowserState(own)
    closed, open_one = FacetDropdown(state, "Modality"), FacetDropdown(state, "Modality")
    closed.close()
    state.filter_values("PatientID", ["Bob"])
    assert open_one._values == [["CT", 1, 1]]
    assert closed._values == [["CT", 2, 2], ["SEG", 1, 1]]
    open_one.close()
    again = FacetDropdown(state, "Modality")
    state.filter_values("PatientID", [])
    assert again._values == [["CT", 2, 2], ["SEG", 1, 1]]
    again.close()


def test_the_late_views_of_a_closed_widget_are_forgotten(own: IDCClient) -> None:
    state = BrowserState(own)
    bar = SummaryBar(state)
    dropdown = FacetDropdown(state, "Modality")
    state.turns._waiting[-1] = None  # as if a newer turn waited
    state.filter_values("Modality", ["CT"])
    del state.turns._waiting[-1]
    assert len(state.turns._late) == 2
    bar.close()
    dropdown.close()
    assert not state.turns._late


def test_a_layout_of_the_user_stays_open(own: IDCClient) -> None:
    layout = Layout(width="100px")
    box = SearchBox(BrowserState(own), layout=layout)
    box.close()
    assert layout.comm is not None
    layout.close()


def test_plain_widgets_are_closed_with_their_parts() -> None:
    before = open_widgets()
    close_whole(HBox([Box([HTML("a"), HTML("b")]), HTML("c")]))
    assert open_widgets() == before


def test_the_last_step_is_undone_first() -> None:
    class Example(Closable, Box):
        pass

    undone: list[int] = []
    example = Example()
    example._on_close(lambda: undone.append(1))
    example._on_close(lambda: undone.append(2))
    example.close()
    example.close()
    assert undone == [2, 1]


def test_a_failed_constructor_leaves_nothing_behind(own: IDCClient) -> None:
    state = BrowserState(own)
    observers_before, before = observers(state), open_widgets()
    with pytest.raises(ValueError, match="did you mean 'Modality'"):
        FacetPanel(state, ["Modalty"])
    gc.collect()
    assert observers(state) == observers_before
    assert open_widgets() == before


def test_a_running_download_continues_without_its_widget(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,series_aws_url,"
        "instanceCount,series_size_MB\ns.0,1,p,mine,CT,s3://bucket/prefix-0/*,4,0.2\n"
    )
    client = IDCClient(path)
    widget = DownloadWidget(
        client.cohort().select(), folder=tmp_path, endpoint_url="http://127.0.0.1:9"
    )
    job = widget.start()
    reference = weakref.ref(widget)
    widget.close()
    shown = widget._status
    del widget
    gc.collect()
    assert reference() is None, "a job does not keep the widget alive"
    assert job.wait() == "failed"
    assert shown["state"] != "failed"


def test_browsers_come_and_go(own: IDCClient) -> None:
    before = open_widgets()
    references: list[weakref.ref[Any]] = []
    for _ in range(20):
        browser = IDCBrowser(own)
        browser.pick(patients=["Ann"])
        references += [weakref.ref(browser), weakref.ref(browser.state)]
        browser.close()
    assert open_widgets() == before
    del browser
    wait_until_collected(references)


def test_closing_frees_what_a_browser_has_made(
    client: IDCClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def census() -> tuple[Counter[str], int, list[str]]:
        """Count our objects and the threads, and list the temporary files.

        Objects of `idc_widgets.query` are not counted: an engine keeps recent cohorts on purpose.
        """
        gc.collect()
        folders = ("widgets", "selection", "download")
        modules = (*(f"idc_widgets.{name}" for name in folders), "ipywidgets", "ipydatagrid")
        kinds = (type(item) for item in gc.get_objects())
        ours = Counter(
            f"{kind.__module__}.{kind.__qualname__}"
            for kind in kinds
            if str(kind.__module__).startswith(modules)
        )
        return ours, threading.active_count(), sorted(path.name for path in temporary.iterdir())

    def use() -> None:
        browser = IDCBrowser(client, folder=tmp_path / "data")
        browser._filters.expanded = True
        browser.pick(patients=["LUNG1-365"])
        with browser.state.turn():
            browser.state.filter_values("Modality", ["CT"])
        browser.close()

    use()  # fills the caches of the engine
    before = census()
    deadline = time.monotonic() + 300
    use()
    while True:
        after = census()
        # Fewer threads are fine: a thread of another test may have ended meanwhile.
        if not (after[0] - before[0]) and after[1] <= before[1] and after[2] == before[2]:
            break
        assert time.monotonic() < deadline, (after[0] - before[0], after[1:], before[1:])
        time.sleep(0.05)  # a thread may still be looking at the disk


def test_a_closed_browser_follows_nothing(own: IDCClient, counted: list[str]) -> None:
    browser = IDCBrowser(own)
    browser._filters.expanded = True
    state, everything = browser.state, browser.selection
    browser.close()
    assert observers(state) == observers(BrowserState(own))
    counted.clear()
    with state.turn():
        state.filter_values("Modality", ["CT"])
    assert counted == []
    assert browser.selection is everything
