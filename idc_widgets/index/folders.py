"""The folders that tables are read from and written to."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "data_folder", "package_folder"]


def package_folder() -> Path | None:
    """Return the folder of the installed idc-index-data; None if it is not installed."""
    # Find it without importing the package, which takes long.
    spec = importlib.util.find_spec("idc_index_data")
    locations = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(locations[0]) if locations else None


def cache_folder() -> Path | None:
    """Return the folder for files that can be made again, as an absolute path.

    It is $IDC_WIDGETS_CACHE_DIR, or the cache folder of the platform. None if there is neither.
    """
    return _folder("IDC_WIDGETS_CACHE_DIR", platformdirs.user_cache_path)


def data_folder() -> Path | None:
    """Return the folder for fetched tables, as an absolute path.

    It is $IDC_WIDGETS_DATA_DIR, or the data folder of the platform. None if there is neither.
    """
    return _folder("IDC_WIDGETS_DATA_DIR", platformdirs.user_data_path)


def _folder(variable: str, folder_of_platform: Callable[..., Path]) -> Path | None:
    chosen = os.environ.get(variable)
    try:
        # Absolute, because a notebook may change its working folder. Not resolved, because DuckDB
        # compares the paths that it may read as text.
        if chosen:
            return Path(os.path.abspath(os.path.expanduser(chosen)))
        return Path(os.path.abspath(folder_of_platform("idc_widgets", appauthor=False)))
    except (RuntimeError, OSError):  # a user without a home; a working folder that was deleted
        return None
