"""Browse and download the NCI Imaging Data Commons from a notebook.

Names are imported on first use, so that ``import idc_widgets`` takes no time and needs no Jupyter.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

#: Public name → the module that has it.
_HOMES = {
    "BrowserState": ".widgets.state",
    "Cohort": ".cohort",
    "DownloadError": ".errors",
    "LargeDownloadError": ".errors",
    "DownloadJob": ".download",
    "DownloadPlan": ".download",
    "DownloadWidget": ".widgets.download",
    "DuckDBEngine": ".engine",
    "Engine": ".engine",
    "FacetDropdown": ".widgets.facets",
    "FacetPanel": ".widgets.facets",
    "FacetValue": ".cohort",
    "FetchError": ".errors",
    "FilterPanel": ".widgets.filters",
    "FoundUids": ".uids",
    "Histogram": ".cohort",
    "IDCBrowser": ".widgets.browser",
    "IDCClient": ".client",
    "IDCError": ".errors",
    "IbisEngine": ".ibis_engine",
    "Index": ".index",
    "IndexFileError": ".errors",
    "InvalidQueryError": ".errors",
    "License": ".selection",
    "Manifest": ".manifests",
    "PatientGrid": ".widgets.grid",
    "RangeFilter": ".widgets.ranges",
    "SearchBox": ".widgets.search",
    "QueryInterruptedError": ".errors",
    "Selection": ".selection",
    "SeriesGrid": ".widgets.grid",
    "StudyGrid": ".widgets.grid",
    "Summary": ".cohort",
    "SummaryBar": ".widgets.summary",
}

#: Needs an extra, so ``from idc_widgets import *`` leaves it out.
_EXTRA = {"IbisEngine"}

__all__ = sorted(_HOMES.keys() - _EXTRA)

if TYPE_CHECKING:
    from .client import IDCClient as IDCClient
    from .cohort import Cohort as Cohort
    from .cohort import FacetValue as FacetValue
    from .cohort import Histogram as Histogram
    from .cohort import Summary as Summary
    from .download import DownloadJob as DownloadJob
    from .download import DownloadPlan as DownloadPlan
    from .engine import DuckDBEngine as DuckDBEngine
    from .engine import Engine as Engine
    from .errors import DownloadError as DownloadError
    from .errors import FetchError as FetchError
    from .errors import IDCError as IDCError
    from .errors import IndexFileError as IndexFileError
    from .errors import InvalidQueryError as InvalidQueryError
    from .errors import LargeDownloadError as LargeDownloadError
    from .errors import QueryInterruptedError as QueryInterruptedError
    from .ibis_engine import IbisEngine as IbisEngine
    from .index import Index as Index
    from .manifests import Manifest as Manifest
    from .selection import License as License
    from .selection import Selection as Selection
    from .uids import FoundUids as FoundUids
    from .widgets.browser import IDCBrowser as IDCBrowser
    from .widgets.download import DownloadWidget as DownloadWidget
    from .widgets.facets import FacetDropdown as FacetDropdown
    from .widgets.facets import FacetPanel as FacetPanel
    from .widgets.filters import FilterPanel as FilterPanel
    from .widgets.grid import PatientGrid as PatientGrid
    from .widgets.grid import SeriesGrid as SeriesGrid
    from .widgets.grid import StudyGrid as StudyGrid
    from .widgets.ranges import RangeFilter as RangeFilter
    from .widgets.search import SearchBox as SearchBox
    from .widgets.state import BrowserState as BrowserState
    from .widgets.summary import SummaryBar as SummaryBar


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
