"""A small index in place of the whole one, which takes less time to prepare."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: The only collection in the small index, and its number of series.
COLLECTION = "nsclc_radiomics"
SERIES = 4926


def write_package(folder: Path) -> Path:
    """Write the tables of idc-index-data into a folder, with one collection; return the folder."""
    import duckdb  # late: conftest.py imports this module

    from idc_widgets import Index

    for path in Index().shipped.parent.glob("*.parquet"):
        if path != Index().shipped:
            shutil.copy(path, folder)
    series = duckdb.sql(f"FROM '{Index().shipped}' WHERE collection_id = '{COLLECTION}'")
    series.to_parquet(str(folder / Index().shipped.name))
    return folder


@contextmanager
def installed(package: Path, cache: Path) -> Iterator[None]:
    """Use the tables in `package` and the folder `cache` during a ``with`` statement."""
    from idc_widgets.index import catalog

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "package_folder", lambda: package)
        patch.setenv("IDC_WIDGETS_CACHE_DIR", str(cache))
        yield
