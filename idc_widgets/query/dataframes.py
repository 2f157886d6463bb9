"""Convert Arrow tables to DataFrames, and recognize that Arrow could not start a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util import MORE_THREADS
from ..errors import IndexFileError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["is_out_of_threads", "out_of_threads", "to_dataframe"]


def to_dataframe(table: pa.Table) -> pd.DataFrame:
    """Return a table as a DataFrame, even if the system starts no more threads."""
    try:
        frame: pd.DataFrame = table.to_pandas()
    except Exception as error:
        if not is_out_of_threads(error):
            raise
        frame = table.to_pandas(use_threads=False)
    return frame


def is_out_of_threads(error: Exception) -> bool:
    """Return whether Arrow could not start a thread; Arrow has no class for this error."""
    return "Failed to launch worker thread" in str(error)


def out_of_threads() -> IndexFileError:
    """Return the error for an index that cannot be read because no thread can be started."""
    return IndexFileError(
        f"the index cannot be read, as the system starts no more threads; {MORE_THREADS}"
    )
