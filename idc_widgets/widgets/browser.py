"""IDCBrowser: the layout of the widgets that we recommend."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ipywidgets import Box, VBox
from traitlets import Dict, Instance, observe

from ..client import IDCClient
from ..download import MAX_GB, DownloadJob
from ..query import KEYWORDS, Cohort
from ..selection import Selection
from .argument_check import check_keywords
from .closing import Closable
from .download import DownloadWidget
from .filters import FilterPanel
from .grid import PatientGrid, SeriesGrid, StudyGrid
from .state import BrowserState
from .summary import SummaryBar

__all__ = ["IDCBrowser"]

_OWN_KEYWORDS = ("client", "download_dir", "endpoint_url")


class IDCBrowser(Closable, VBox):
    """Browse the Imaging Data Commons, download from it, and have the paths in the next cell.

    Everything follows everything else: search and filters narrow the patients, picked patients
    narrow the studies, picked studies the series; what is left can be downloaded.

    Args:
        client: the data to browse; by default ``IDCClient()``.
        download_dir: where downloads go.
        endpoint_url: the S3 server; by default the variable S3_ENDPOINT_URL, else AWS.
        **filters: the first filters, as of `Cohort.where`.

    Raises:
        TypeError: unknown keyword (the nearest is named).
        InvalidQueryError: unknown value.

    >>> browser = IDCBrowser(collection_id="nsclc_radiomics")
    >>> browser.pick(patients=["LUNG1-365"])
    >>> browser.selection
    Selection(12 series, 115.9 MB)
    """

    filters = Instance(Cohort)
    """What is filtered by; can be set. Type: Cohort; default: everything."""

    selection = Instance(Selection, read_only=True)
    """What Download would fetch: the picked series or, with none picked, all that are shown."""

    paths = Dict(read_only=True)
    """SeriesInstanceUID → paths of its files, of the last download; verified files only."""

    def __init__(
        self,
        client: IDCClient | None = None,
        *,
        download_dir: str | os.PathLike[str] = "idc_data",
        endpoint_url: str | None = None,
        **filters: Any,
    ) -> None:
        check_keywords("IDCBrowser", filters, [*_OWN_KEYWORDS, *KEYWORDS])
        #: The state that the parts share.
        self.state = BrowserState(client, **filters)
        self._download = DownloadWidget(
            state=self.state,
            download_dir=download_dir,
            endpoint_url=endpoint_url,
            done_hint="The browser's .paths has the files, by SeriesInstanceUID.",
        )
        self._filters = FilterPanel(self.state)
        self._summary = SummaryBar(self.state, columns=self._filters.columns)
        two_grids = Box(
            [
                _cell(PatientGrid(self.state), "1 1 420px"),
                _cell(StudyGrid(self.state), "1 1 420px"),
            ],
            layout={"flex_flow": "row wrap", "width": "100%", "grid_gap": "8px 16px"},
        )
        super().__init__(
            [
                self._filters,
                two_grids,
                SeriesGrid(self.state, height="280px", download=self._download),
                self._summary,
                self._download,
            ],
            layout={"width": "100%", "grid_gap": "8px"},
            filters=self.state.filters,
        )
        self.set_trait("selection", self.state.selection)
        self.add_class("idc-browser")
        self._follow(self.state, self._on_state, ["filters", "selection"])
        self._follow(self._download, self._on_paths, "paths")
        self._follow(self._filters, self._on_expanded, "expanded")

    # --- from Python -----------------------------------------------------------------------

    @property
    def client(self) -> IDCClient:
        """The client whose data is browsed."""
        return self.state.client

    @property
    def cohort(self) -> Cohort:
        """What the grid of series shows: the filters, narrowed to picked patients and studies."""
        return self.state.cohort

    @property
    def job(self) -> DownloadJob | None:
        """The download that was started last, or None."""
        job: DownloadJob | None = self._download.job
        return job

    def pick(
        self,
        patients: Iterable[str | tuple[str, str]] | None = None,
        studies: Iterable[str] | None = None,
        series: Iterable[str] | None = None,
    ) -> None:
        """Picks rows by key, as clicks would; arguments and errors as of `BrowserState.pick`."""
        self.state.pick(patients=patients, studies=studies, series=series)

    def download(self, *, max_GB: float | None = MAX_GB) -> DownloadJob:
        """Starts to download `selection`, as the button does; ``browser.download().wait()`` waits.

        Args:
            max_GB: refuse if more is still to fetch, in GB (10^9 bytes); None for no limit.

        Raises:
            DownloadError: it cannot be planned, or is too large; the message says what to change.
        """
        job: DownloadJob = self._download.start(max_GB=max_GB)
        return job

    # --- following -------------------------------------------------------------------------

    def _on_state(self, change: Any) -> None:
        self.set_trait(change["name"], change["new"])

    def _on_paths(self, change: Any) -> None:
        self.set_trait("paths", change["new"])

    def _on_expanded(self, _change: Any) -> None:
        self._summary.columns = self._filters.columns

    @observe("filters")
    def _on_filters(self, change: Any) -> None:
        try:
            self.state.filters = change["new"]
        except Exception:
            self.filters = self.state.filters
            raise


def _cell(widget: Any, flex: str) -> Any:
    widget.layout.flex = flex
    return widget
