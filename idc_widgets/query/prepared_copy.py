"""The copy of the installed index in which single patients, studies and series are found fast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .._util import replaced_when_complete
from .engine import literal
from .table_views import file_literal

__all__ = ["write_prepared_copy"]

#: Rows that are read to find one series: few for speed, but enough to compress well.
_ROWS_PER_GROUP = 32_768

#: Columns with at most this number of distinct values per group are stored with a dictionary.
_MAX_DICTIONARY_VALUES = 200_000


def write_prepared_copy(execute: Callable[[str], object], source: Path, target: Path) -> None:
    """Copy a Parquet file into small row groups, and remove the copies of other data versions.

    The copy has the same rows in the same order. It appears at `target` as a whole or not at all.

    Args:
        execute: Runs a statement on a connection of DuckDB that serves nothing else, as its
            settings are changed.
        source: The Parquet file to copy.
        target: The path of the copy.

    Raises:
        OSError: The copy cannot be written. `execute` may raise errors of DuckDB.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced_when_complete(target) as unfinished:
        # Two threads would need 2.5 GB of memory, and Binder has 2 GB.
        execute("SET threads = 1")
        execute(
            f"COPY (FROM read_parquet({file_literal(source)})) TO {literal(str(unfinished))}"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS_PER_GROUP},"
            f" DICTIONARY_SIZE_LIMIT {_MAX_DICTIONARY_VALUES})"
        )
    for other in target.parent.glob("index-*.parquet"):
        with suppress(OSError):  # on Windows, if another process reads it
            if other != target:
                other.unlink()
