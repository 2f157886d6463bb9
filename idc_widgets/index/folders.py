"""The folders that tables are read from and written to."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "data_folder", "package_folder"]


def package_folder() -> Path | None:
    """Return the folder of the installed idc-index-data; None if it is not installed."""
    # Found without importing the package, which takes long.
    spec = importlib.util.find_spec("idc_index_data")
    locations = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(locations[0]) if locations else None


def cache_folder() -> Path:
    """Return the folder for files that can be made again.

    It is $IDC_WIDGETS_CACHE_DIR, or the cache folder of the platform.
    """
    chosen = os.environ.get("IDC_WIDGETS_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("idc_widgets", appauthor=False)


def data_folder() -> Path:
    """Return the folder for fetched tables, as an absolute path.

    It is $IDC_WIDGETS_DATA_DIR, or the data folder of the platform.
    """
    chosen = os.environ.get("IDC_WIDGETS_DATA_DIR")
    folder = chosen or platformdirs.user_data_path("idc_widgets", appauthor=False)
    # Not resolved: DuckDB compares the paths that it may read as text.
    return Path(os.path.abspath(folder))
