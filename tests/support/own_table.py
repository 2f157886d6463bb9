"""Clients of small tables that a test writes itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from idc_widgets import IDCClient

REQUIRED = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id"


class OwnTable:
    """Write tables of series to a folder, and open a client of each."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "own.csv"

    def __call__(self, header: str, *lines: str) -> IDCClient:
        """Return a client of a table with the required columns, `header` and these lines."""
        from idc_widgets import IDCClient  # late: conftest.py imports this module

        self.path.write_text("\n".join([f"{REQUIRED},{header}", *lines, ""]), encoding="utf-8")
        return IDCClient(self.path)


@contextmanager
def opened_index(folder: Path, series: pd.DataFrame) -> Iterator[Path]:
    """Write a table of series, and yield its path. All clients of it share one open engine."""
    from idc_widgets import IDCClient  # late: conftest.py imports this module

    path = folder / "own.csv"
    series.to_csv(path, index=False)
    client = IDCClient(path)
    yield path
    del client
