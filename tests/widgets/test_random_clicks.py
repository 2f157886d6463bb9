"""Random clicks from two threads, while views and observers raise errors: widgets agree in the end.

The environment variable IDC_WIDGETS_EXAMPLES sets the number of examples per test (by default 300).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.grid_pages import DomPage

from idc_widgets import IDCBrowser, IDCClient
from idc_widgets.index import RANGES
from idc_widgets.query import Cohort, listed_values
from idc_widgets.selection import Selection
from idc_widgets.widgets import (
    BrowserState,
    DownloadWidget,
    FacetDropdown,
    FilterPanel,
    RangeFilter,
    SearchBox,
    SummaryBar,
)
from idc_widgets.widgets.dropdown_counts import DropdownCounts
from idc_widgets.widgets.grid import level_grids
from idc_widgets.widgets.grid.dom_grid import DomGridView

EXAMPLES = int(os.environ.get("IDC_WIDGETS_EXAMPLES", "300"))

#: Functions that run in a turn: some in views, some while a choice is applied.
POINTS: list[tuple[Any, str]] = [
    (Cohort, "facets"),
    (Cohort, "histogram"),
    (Cohort, "where"),
    (Selection, "summary"),
    (BrowserState, "_consequences"),
    (DropdownCounts, "_recount"),
    (FacetDropdown, "show"),
    (FilterPanel, "_show_count"),
    (RangeFilter, "_show_filter"),
    (SearchBox, "_show"),
    (SummaryBar, "_filter_chips"),
    (DownloadWidget, "_show_offer"),
    (DomGridView, "show"),
    (DomGridView, "pick"),
    (DomGridView, "_cells"),
    (level_grids, "row_source"),
]

STATE_TRAITS = ["filters", "patients", "studies", "series", "study_cohort", "cohort", "selection"]
BROWSER_TRAITS = ["filters", "selection", "paths"]
DOWNLOAD_TRAITS = ["selection", "folder", "job", "paths"]


class BrokenError(Exception):
    """The error that views and observers raise."""


class Bombs:
    """Raises errors in chosen calls of `pass_by`. Calls are counted over all threads."""

    def __init__(self) -> None:
        self.errors: dict[int, type[BaseException]] = {}
        self.passed = 0

    def pass_by(self) -> None:
        self.passed += 1
        error = self.errors.pop(self.passed, None)
        if error is not None:
            raise error("boom")

    @contextmanager
    def at_all_points(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in POINTS:
                patch.setattr(owner, name, self._mined(getattr(owner, name)))
            yield

    def _mined(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def mined(*args: Any, **keywords: Any) -> Any:
            self.pass_by()
            result = function(*args, **keywords)
            self.pass_by()
            return result

        return mined


class Page:
    """Stands in for the page of an `IDCBrowser`: sends it the messages that a page would send."""

    def __init__(self, browser: IDCBrowser) -> None:
        self.browser, self.state = browser, browser.state
        self.grids = {grid._level: grid for grid in _all(browser, level_grids._LevelGrid)}
        self.pages = {level: DomPage(grid) for level, grid in self.grids.items()}
        self.dropdowns = {one.column: one for one in _all(browser, FacetDropdown)}
        self.ranges = {one.column: one for one in _all(browser, RangeFilter)}
        self.search = browser._filters.search
        self.summary, self.download = browser._summary, browser._download
        self._numbers: dict[Any, int] = {}
        self._lock = threading.Lock()

    def request(self, widget: Any, **content: Any) -> None:
        with self._lock:
            number = self._numbers[widget] = self._numbers.get(widget, 0) + 1
        widget._handle_custom_msg({"view": "page", "number": number, **content}, [])

    def pick(self, level: str, row: int) -> None:
        page = self.pages[level]
        page.receive()
        with self._lock:
            page.number += 1
            number = page.number
        rows = [] if row >= page.count else [[row, row + 1]]
        page.send_click("picks", number, kind="pick", ranges=rows, before=page.picks_shown)

    def sort(self, level: str) -> None:
        self.pages[level].sort("Patient ID")

    def do(self, action: tuple[Any, ...]) -> None:
        state = self.state
        match action:
            case ("facet", column, values):
                self.request(self.dropdowns[column], kind="choose", values=values)
            case ("range", low, high):
                self.request(self.ranges["PatientAge"], kind="range", low=low, high=high)
            case ("count", column):
                self.ranges[column]._handle_custom_msg({"kind": "count"}, [])
            case ("search", text):
                self.request(self.search, kind="search", text=text)
            case ("pick", level, row):
                self.pick(level, row)
            case ("sort", level):
                self.sort(level)
            case ("chip", name):
                self.request(self.summary, kind="filter", name=name)
            case ("clear",):
                self.request(self.summary, kind="clear", name="")
            case ("assign", values):
                self.browser.filters = state.client.cohort(Modality=values)
            case ("python", patients):
                self.browser.pick(patients=patients)

    def dead_controls(self) -> list[Any]:
        return [
            *(
                widget
                for widget, number in self._numbers.items()
                if f"page:{number}" not in widget._answered.split()
            ),
            *(page.widget for page in self.pages.values() if page.unanswered()),
        ]

    def shown(self) -> dict[str, Any]:
        """Return what all views show."""
        return {
            **{
                column: (one._values, one._distinct, one._chosen, one._stale)
                for column, one in self.dropdowns.items()
            },
            # Ignore the chosen bins ("span"), as a range knows its bins only after it was opened.
            # Ignore the case of the text, as only the search box knows how it was typed.
            **{
                f"range {column}": {**one._filter, "span": []}
                for column, one in self.ranges.items()
            },
            "search": self.search._text.lower(),
            "summary": [
                getattr(self.summary, name)
                for name in ("_counts", "_licenses", "_chips", "_clearable", "_problem")
            ],
            "download": self.download._offer,
            "more": self.browser._filters._toggle._count,
            **{
                f"grid of {level}": (
                    sorted(grid._rows.keys([range(len(grid._rows))])),
                    sorted(grid._view._rows.keys(_picked(grid))),
                    self.pages[level].count,
                    self.pages[level].picked_count,
                    self.pages[level].reason,
                )
                for level, grid in self.grids.items()
            },
        }


def _picked(grid: Any) -> list[range]:
    return [range(start, stop) for start, stop in grid._view.widget._picks["ranges"]]


def _all(widget: Any, kind: Any) -> list[Any]:
    found = [widget] if isinstance(widget, kind) else []
    for child in getattr(widget, "children", ()):
        found += _all(child, kind)
    return found


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> IDCClient:
    """Return a client of a small table: eight series of four patients."""
    rows = [
        f"1.{n},{n // 2},P{n // 3},mine,{('CT', 'SEG', 'MR')[n % 3]},0{20 + 5 * n}Y,"
        f"s3://bucket/{n}/*,3,{n}.5"
        for n in range(8)
    ]
    head = (
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,PatientAge,"
        "series_aws_url,instanceCount,series_size_MB"
    )
    path = tmp_path_factory.mktemp("own") / "own.csv"
    path.write_text("\n".join([head, *rows]))
    return IDCClient(path)


@pytest.fixture(scope="module")
def expected(own: IDCClient, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Return a browser in which no error occurs; the tested browser must show the same."""
    return open_page(own, tmp_path_factory.mktemp("data"))


def open_page(own: IDCClient, folder: Path) -> Page:
    browser = IDCBrowser(own, folder=folder)
    browser._filters.expanded = True
    return Page(browser)


class Mined:
    """Gives examples a page whose observers may raise errors; after a failure, a new page."""

    def __init__(self, own: IDCClient, folder: Path) -> None:
        self._own, self._folder = own, folder
        self._page: Page | None = None

    @contextmanager
    def page(self) -> Iterator[Page]:
        page, self._page = self._page or self._make(), None
        self.bombs.passed = 0
        self.bombs.errors.clear()
        yield page
        self._page = page

    def _make(self) -> Page:
        page = open_page(self._own, self._folder)
        self.bombs = bombs = Bombs()
        self.known = known = {}
        for owner, names in (
            (page.state, [*STATE_TRAITS, "message"]),
            (page.browser, BROWSER_TRAITS),
            (page.download, DOWNLOAD_TRAITS),
        ):
            for name in names:
                owner.observe(lambda _change: bombs.pass_by(), name)
        for name in STATE_TRAITS:
            known[name] = getattr(page.state, name)
            page.state.observe(lambda change: known.update({change["name"]: change["new"]}), name)
        return page


@pytest.fixture(scope="module")
def mined(own: IDCClient, tmp_path_factory: pytest.TempPathFactory) -> Mined:
    return Mined(own, tmp_path_factory.mktemp("data"))


SOME_MODALITIES = st.sampled_from([["CT"], ["SEG"], ["MR"], ["CT", "SEG"], ["MR", "CT"]])
MODALITIES = st.sampled_from([[], ["CT"], ["SEG"], ["MR"], ["CT", "SEG"], ["MR", "CT"]])
LEVEL = st.sampled_from(["patient", "study", "series"])
ACTIONS = st.one_of(
    st.tuples(st.just("facet"), st.just("Modality"), MODALITIES),
    st.tuples(st.just("facet"), st.just("PatientSex"), st.sampled_from([[], [None]])),
    st.tuples(
        st.just("range"), st.sampled_from(["", "25", "40", "x"]), st.sampled_from(["", "45"])
    ),
    st.tuples(st.just("count"), st.sampled_from(list(RANGES))),
    st.tuples(st.just("search"), st.sampled_from(["", "P1", "mine", "nothing"])),
    st.tuples(st.just("pick"), LEVEL, st.integers(0, 5)),
    st.tuples(st.just("sort"), LEVEL),
    st.tuples(st.just("chip"), st.sampled_from(["PatientAge", "text", "Modality"])),
    st.tuples(st.just("clear")),
    st.tuples(st.just("assign"), SOME_MODALITIES),
    st.tuples(st.just("python"), st.sampled_from([[], ["P0"], ["P1", "P2"], ["P9"]])),
)
CLICKS = st.lists(ACTIONS, min_size=1, max_size=4)
BOMBS = st.dictionaries(
    st.integers(1, 150), st.sampled_from([BrokenError, KeyboardInterrupt]), min_size=1, max_size=3
)


#: The order of threads is random, so Hypothesis cannot shrink an example.
unhurried = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.explicit, Phase.generate],
)


def run_in_threads(page: Page, clicks: list[list[tuple[Any, ...]]]) -> None:
    def work(actions: list[tuple[Any, ...]]) -> None:
        for action in actions:
            # Errors are raised in the calling code, and an interrupt does not end a kernel.
            with suppress(Exception, KeyboardInterrupt):
                page.do(action)

    threads = [threading.Thread(target=work, args=[actions]) for actions in clicks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def check_that_nothing_stays(page: Page, expected: Page) -> None:
    """Check that views show the state, no lock is held, nothing waits, and controls work."""
    turns = page.state.turns
    locks: list[bool] = []

    def try_lock() -> None:
        for lock in (turns.lock, page.download._starting):
            locks.append(lock.acquire(timeout=60))
            lock.release()

    thread = threading.Thread(target=try_lock)
    thread.start()
    thread.join(120)
    assert locks == [True, True]
    with turns.lock:  # the thread that examines the disk may refresh a grid at any time
        assert not turns._waiting
        assert not turns._late
        assert turns._refreshing is None
        assert turns._no_view_runs.is_set()
    assert page.dead_controls() == []
    state = page.state
    with expected.state.turn():
        expected.state._update(
            **{name: getattr(state, name) for name in ("filters", "patients", "studies", "series")}
        )
    shown, wanted = page.shown(), expected.shown()
    differences = {
        name: (shown[name], wanted[name]) for name in shown if shown[name] != wanted[name]
    }
    assert differences == {}
    browser = page.browser
    assert browser.filters == state.filters == expected.state.filters
    assert browser.selection == state.selection == expected.state.selection
    assert page.download.selection == state.selection


@unhurried
@given(one=CLICKS, other=CLICKS, bombs=BOMBS, last=MODALITIES)
def test_after_any_error_the_next_click_brings_everything_up_to_date(
    mined: Mined,
    expected: Page,
    one: list[Any],
    other: list[Any],
    bombs: dict[int, type[BaseException]],
    last: list[str],
) -> None:
    with mined.page() as page, mined.bombs.at_all_points():
        mined.bombs.errors = dict(bombs)
        run_in_threads(page, [one, other])
        mined.bombs.errors.clear()
        assert page.dead_controls() == [], "each request is answered, even after an error"
        page.do(("facet", "Modality", last))
        assert set(listed_values(page.state.filters.conditions, "Modality")) == set(last)
        check_that_nothing_stays(page, expected)


@unhurried
@given(
    first=MODALITIES,
    action=ACTIONS,
    at=st.integers(1, 120),
    error=st.sampled_from([BrokenError, KeyboardInterrupt]),
)
def test_observers_know_the_last_values_after_any_error(
    mined: Mined,
    expected: Page,
    first: list[str],
    action: Any,
    at: int,
    error: type[BaseException],
) -> None:
    with mined.page() as page, mined.bombs.at_all_points():
        page.do(("facet", "Modality", first))
        mined.bombs.passed, mined.bombs.errors = 0, {at: error}
        with suppress(Exception, KeyboardInterrupt):
            page.do(action)
        mined.bombs.errors.clear()
        page.do(("search", "P"))
        check_that_nothing_stays(page, expected)
        assert mined.known == {name: getattr(page.state, name) for name in STATE_TRAITS}
