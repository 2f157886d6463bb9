"""IDCBrowser: the recommended layout of the widgets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ipywidgets import Layout, VBox, Widget

from ..client import IDCClient
from ..download import DownloadJob
from ..errors import DEFAULT_FOLDER, MAX_GB
from ..query import KEYWORDS, Cohort
from ..selection import Selection
from .argument_check import check_keywords
from .cells import note_made
from .closing import Closable
from .details import RowDetails
from .download import DownloadWidget
from .examples import Examples
from .filters import FilterPanel
from .frame import LOWER_HEIGHT, UPPER_HEIGHT, Frame
from .grid import PatientGrid, SeriesGrid, StudyGrid, choose_view
from .preparing import prepare_later
from .settled_traits import SettledDict, SettledInstance
from .state import BrowserState
from .static_view import StaticView, choices
from .summary import SummaryBar

__all__ = ["IDCBrowser"]

_OWN_KEYWORDS = ("client", "state", "folder", "endpoint_url", "grid", "examples")

#: The traits that the browser shares with its state.
_PASSED_ON = ("filters", "cohort", "selection")


class IDCBrowser(Closable, VBox):
    """Browse the Imaging Data Commons, download from it, and use the files in the next cell.

    Search and filters narrow the patients, picked patients narrow the studies, and picked studies
    narrow the series; what remains can be downloaded.

    The bars between the grids can be dragged, also with the arrow keys, and a button lets the
    browser fill the window. A browser on the state of an earlier one has the same filters, picks
    and sizes.

    When a cell that shows a browser runs again, the earlier browser is closed, unless another cell
    shows it or a variable refers to it. Its downloads continue. (In Colab, call `close` instead.)

    Args:
        client: The data to browse; by default ``IDCClient()``.
        state: The state to show, in place of `client` and `filters`; by default a new one.
        folder: The folder for downloads.
        endpoint_url: The S3 server. By default, the server of the client; if the client has none,
            the environment variable S3_ENDPOINT_URL, else AWS.
        grid: "dom", or "ipydatagrid" for grids of the package of this name, which draws them on a
            canvas; install it with ``pip install "idc-widgets[ipydatagrid]"``.
        examples: True to offer example cohorts while nothing is chosen, False to offer none. Or a
            dict of your own examples: name → filters, as for `Cohort.where`.
        **filters: The initial filters, as for `Cohort.where`.

    Raises:
        TypeError: A keyword argument is unknown (the message names the nearest one), `client` is
            not an `IDCClient`, a state is given together with a client or filters, or `examples`
            has another type.
        ValueError: There is no such `grid`.
        InvalidQueryError: A filter has an unknown value, or an example of your own has an unknown
            column or value.

    If another thread is handling a click, reading a trait waits until that is done. The observers
    of traits are called last, after all parts of the browser show the change.

    >>> browser = IDCBrowser(collection_id="nsclc_radiomics")
    >>> browser.pick(patients=["LUNG1-365"])
    >>> browser.selection
    Selection(12 series, 115.9 MB)
    >>> browser.close()
    """

    filters = SettledInstance(
        Cohort, help="The filters; writable. Type: Cohort; default: every series of the index."
    )

    cohort = SettledInstance(
        Cohort,
        read_only=True,
        help="The series of the last grid: the filters, narrowed to picked patients and "
        "studies. Type: Cohort.",
    )

    selection = SettledInstance(
        Selection,
        read_only=True,
        help="What Download would fetch: the picked series or, if none is picked, all series "
        "shown. Type: Selection.",
    )

    paths = SettledDict(
        read_only=True,
        help="The verified files of the last download. Type: {SeriesInstanceUID: [Path]}; "
        "default: {}.",
    )

    def __init__(
        self,
        client: IDCClient | None = None,
        *,
        state: BrowserState | None = None,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        endpoint_url: str | None = None,
        grid: str = "dom",
        examples: Examples = True,
        **filters: Any,
    ) -> None:
        check_keywords("IDCBrowser", filters, [*_OWN_KEYWORDS, *KEYWORDS])
        view = choose_view(grid)
        if state is not None and (client is not None or filters):
            raise TypeError("pass a state, or a client and filters: a state has its own")
        #: The state that the parts share.
        self.state = BrowserState(client, **filters) if state is None else state
        #: The values of the traits at the time of `close`; empty until then.
        self._last_values: dict[str, Any] = {}
        self._beside: Widget | None = None
        # All parts share one layout: each further model takes a slow front end some time.
        layout = self._own_layout = Layout(min_width="0", overflow="visible")
        self._download = DownloadWidget(
            state=self.state,
            folder=folder,
            endpoint_url=endpoint_url,
            done_hint="The browser's .paths has the files, by SeriesInstanceUID.",
            layout=layout,
        )
        self._filters = FilterPanel(self.state, layout=layout)
        choices = SummaryBar(
            self.state, columns=(), parts=["choices"], examples=examples, layout=layout
        )
        self._summary = SummaryBar(self.state, columns=(), parts=["counts"], layout=layout)
        self._grids = (
            PatientGrid(self.state, height=UPPER_HEIGHT, view=view, layout=layout),
            StudyGrid(self.state, height=UPPER_HEIGHT, view=view, layout=layout),
            SeriesGrid(
                self.state, height=LOWER_HEIGHT, view=view, layout=layout, download=self._download
            ),
        )
        self._details = RowDetails(self.state, layout=layout)
        for grid_of_level in self._grids:
            self._on_close(grid_of_level.on_details(self._details.show))
        self._frame = Frame(_sizes=self.state.sizes, layout=layout)
        foot = VBox([self._summary, self._download], layout=layout)
        names = ("filters", "choices", "patients", "studies", "series", "foot")
        self._parts = (self._filters, choices, *self._grids, foot)
        for name, part in zip(names, self._parts, strict=True):
            part.add_class(f"idc-part-{name}")
        super().__init__(self._arranged(), layout=layout)
        self.add_class("idc-browser")
        self._follow(self._frame, self._keep_sizes, "_sizes")
        self._on_close(self.state.on_settled.add(self._pass_on))
        self._on_close(self._download.on_paths(self._pass_on_paths))
        self._on_close(self._before_close)
        self._on_close(prepare_later(self.client, self._summary.show_note))
        note_made(self)

    # --- for Python code -------------------------------------------------------------------

    @property
    def client(self) -> IDCClient:
        """The client whose data is browsed."""
        return self.state.client

    @property
    def job(self) -> DownloadJob | None:
        """The last download, or None; waits for one that another thread is starting."""
        return self._download.latest_job()

    @property
    def beside(self) -> Widget | None:
        """The widget beside the grid of series; writable. None, the default, leaves no room.

        While the details of a row are shown, they have its place. `close` leaves the widget open,
        because it is yours.
        """
        return self._beside

    @beside.setter
    def beside(self, widget: Widget | None) -> None:
        if widget is not self._beside:
            if self._beside is not None:
                self._beside.remove_class("idc-part-beside")
            self._beside = widget
            if widget is not None:
                widget.add_class("idc-part-beside")
            self.children = self._arranged()

    def pick(
        self,
        patients: Iterable[str | tuple[str, str]] | None = None,
        studies: Iterable[str] | None = None,
        series: Iterable[str] | None = None,
    ) -> None:
        """Pick rows by key, as clicks on them would.

        For each level, an empty list removes the picks and None leaves them as they are.

        Args:
            patients: PatientIDs, or pairs (collection_id, PatientID) where several collections
                have the same PatientID.
            studies: StudyInstanceUIDs.
            series: SeriesInstanceUIDs.

        Raises:
            InvalidQueryError: A key is not among the rows shown; nothing changes.
        """
        self.state.pick(patients=patients, studies=studies, series=series)

    def download(self, *, max_GB: float | None = MAX_GB) -> DownloadJob:
        """Start to download `selection`, as the button does, and return at once.

        ``browser.download().wait()`` waits for the end.

        Args:
            max_GB: The most that may remain to be fetched, in GB (10^9 bytes); None for no limit.

        Raises:
            DownloadError: The download cannot be planned or is too large; the message says what
                to change.
        """
        return self._download.start(max_GB=max_GB)

    # --- without a kernel ------------------------------------------------------------------

    def _static_view(self) -> StaticView:
        return StaticView(
            "IDC browser",
            [*choices(self.state), self._summary.static_fact()],
            [grid.static_table() for grid in self._grids],
        )

    # --- observers -------------------------------------------------------------------------

    def _read(self, name: str) -> Any:
        """Return the value of a trait of the state or download; after `close`, its last value."""
        if name in self._last_values:
            return self._last_values[name]
        return self._download.paths if name == "paths" else getattr(self.state, name)

    def _choose(self, name: str, value: Any) -> None:
        """Pass the assignment of a trait to the state."""
        setattr(self.state, name, value)

    def _before_close(self) -> None:
        """Let go of the user's widget, and keep the values that traits have after `close`."""
        self.beside = None
        self._last_values = {name: self._read(name) for name in (*_PASSED_ON, "paths")}

    def _pass_on(self, name: str, old: Any, new: Any) -> None:
        """Queue a change, so that this widget's observers are called at the end of the turn."""
        if name in _PASSED_ON:
            self.state.teller.add(self, name, old, new)

    def _pass_on_paths(self, old: Any, new: Any) -> None:
        self.state.teller.add(self, "paths", old, new)

    def _keep_sizes(self, change: Any) -> None:
        self.state.sizes = change["new"]

    def _arranged(self) -> list[Widget]:
        """Return the parts in the order in which Tab reaches them."""
        *others, foot = self._parts
        beside = [] if self._beside is None else [self._beside]
        return [*others, self._details, *beside, self._frame, foot]
