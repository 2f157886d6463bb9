"""The copy of the installed index in which single patients, studies and series are found fast."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from .._util import make_own_folder, remove_leftovers, remove_unused, replaced_when_complete
from ..index import Index
from .engine import literal
from .table_views import file_literal

__all__ = ["clean_cache_folder", "nothing_to_prepare", "write_prepared_copy"]

#: Rows that are read to find one series: few for speed, but enough to compress well.
_ROWS_PER_GROUP = 32_768

#: Columns with at most this number of distinct values per group are stored with a dictionary.
_MAX_DICTIONARY_VALUES = 200_000


#: Copies of other versions are removed when they were not used for this time.
_MAX_UNUSED_SECONDS = 30 * 24 * 3600

#: The names of files that killed processes leave in the cache folder, also of earlier releases.
_LEFTOVER = re.compile(r"\.[0-9a-f]{32}\.tmp|\.(index|encoding|coding)-.*\d+\.\d+|coding-.*\.arrow")


def nothing_to_prepare(index: Index) -> str:
    """Return the reason why there is no prepared copy of an index."""
    if index.is_own:
        return f"{index!r} is used as it is; only IDC's own is prepared"
    return (
        "there is no cache folder, as you have no home folder; "
        "set the environment variable IDC_WIDGETS_CACHE_DIR to a folder that you can write to"
    )


def write_prepared_copy(execute: Callable[[str], object], source: Path, target: Path) -> None:
    """Copy a Parquet file into small row groups.

    The copy has the same rows in the same order. It appears at `target` as a whole or not at all.

    Args:
        execute: Runs a statement on a connection of DuckDB that serves nothing else, as its
            settings are changed.
        source: The Parquet file to copy.
        target: The path of the copy.

    Raises:
        OSError: The copy cannot be written. `execute` may raise errors of DuckDB.
    """
    make_own_folder(target.parent)
    with replaced_when_complete(target) as unfinished:
        # Two threads would need 2.5 GB of memory, and Binder has 2 GB.
        execute("SET threads = 1")
        execute(
            f"COPY (FROM read_parquet({file_literal(source)})) TO {literal(str(unfinished))}"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS_PER_GROUP},"
            f" DICTIONARY_SIZE_LIMIT {_MAX_DICTIONARY_VALUES})"
        )


def clean_cache_folder(*current: Path | None) -> None:
    """Remove what nobody needs from the folder of a prepared file.

    These are the files of killed processes, and the files of other data versions that were not
    used for 30 days and that no process has open: another environment may use them.

    Args:
        current: The files that are needed now, the first of which is in the folder.
    """
    assert current[0] is not None
    folder = current[0].parent
    remove_leftovers(folder, _LEFTOVER.fullmatch)
    others = [*folder.glob("index-*.parquet"), *folder.glob("encoding-*.arrow")]
    remove_unused((other for other in others if other not in current), _MAX_UNUSED_SECONDS)
