"""The copy of the installed index, in which one patient, study or series is found fast."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .._util import (
    human_size,
    make_own_folder,
    remove_leftovers,
    remove_unused,
    replaced_when_complete,
    write_whole,
)
from ..errors import IndexFileError
from ..index import Index
from .engine import literal
from .table_views import file_literal

__all__ = [
    "MEMORY_LIMIT_SQL",
    "CopyCheck",
    "cannot_write",
    "clean_cache_folder",
    "is_intact",
    "nothing_to_prepare",
    "require_memory",
    "write_prepared_copy",
]

#: Rows per row group. A lookup reads a whole row group: fewer rows are read faster, more rows
#: compress better.
_ROWS_PER_GROUP = 32_768

#: A column is stored with a dictionary if it has at most this many distinct values per row group.
_MAX_DICTIONARY_VALUES = 200_000


#: The lowest limit of DuckDB's memory with which the index is prepared. With a limit of 400 MB, the
#: process ran out of memory and was killed; with 560 MB, it finished. By default, DuckDB sets its
#: limit to four fifths of the memory of the machine or container.
_MIN_MEMORY_BYTES = 500 * 10**6

#: Asks DuckDB how much memory it may use.
MEMORY_LIMIT_SQL = "SELECT current_setting('memory_limit')"

#: How much of a copy is read at once for its checksum.
_CHECKED_BYTES = 1 << 20

#: A check begins after this time, or when somebody waits for it, so that it does not slow down the
#: first screen.
_CHECK_PAUSE_SECONDS = 1.0

#: A copy of another version is removed if it has not been used for this time.
_MAX_UNUSED_SECONDS = 30 * 24 * 3600

#: The names of prepared files. The cache folder may have other files of the user.
_SOURCE = r"\d+(\.\w+)+-[0-9a-f]{8}"  # `Index.source`
_PREPARED = re.compile(rf"index-{_SOURCE}\.(parquet|crc32)|encoding-{_SOURCE}-\d+\.arrow")

#: The names of files that killed processes leave in the cache folder.
_LEFTOVER = re.compile(r"\.[0-9a-f]{32}\.tmp")


def nothing_to_prepare(index: Index) -> str:
    """Return the reason why an index cannot have a prepared copy."""
    if index.is_own:
        return f"{index!r} is read directly; only IDC's own index can be prepared"
    return (
        "there is no cache folder, as you have no home folder; "
        "set the environment variable IDC_WIDGETS_CACHE_DIR to a folder that you can write to"
    )


def cannot_write(path: Path, error: Exception) -> IndexFileError:
    """Return the error for a prepared file that cannot be written.

    Args:
        path: The file.
        error: What the system or DuckDB reported.
    """
    reason = getattr(error, "strerror", None) or str(error).strip().split("\n", 1)[0]
    hint = "; to use another folder, set the environment variable IDC_WIDGETS_CACHE_DIR"
    return IndexFileError(
        f"cannot write {path}: {reason}{'' if 'IDC_WIDGETS_CACHE_DIR' in reason else hint}"
    )


def require_memory(memory_limit: str) -> None:
    """Check that DuckDB may use enough memory; otherwise, the system would end the process.

    Args:
        memory_limit: The result of `MEMORY_LIMIT_SQL`, such as "390.6 MiB".

    Raises:
        IndexFileError: DuckDB may use too little memory.
    """
    number, unit = memory_limit.split()
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
    limit = int(float(number) * 1024 ** units.index(unit))
    if limit < _MIN_MEMORY_BYTES:
        raise IndexFileError(
            "the index cannot be prepared, as that takes "
            f"{human_size(_MIN_MEMORY_BYTES)} of memory and DuckDB may use {human_size(limit)} "
            "here; give the notebook 1 GB of memory, or go on without: everything works, but the "
            "first click is slower"
        )


def write_prepared_copy(execute: Callable[[str], Any], source: Path, target: Path) -> None:
    """Copy a Parquet file into small row groups.

    The copy has the same rows in the same order. It appears at `target` as a whole or not at all.

    Args:
        execute: Runs a statement on a connection of DuckDB. The connection must serve nothing else,
            because its settings are changed.
        source: The Parquet file to copy.
        target: The path of the copy.

    Raises:
        IndexFileError: There is too little memory.
        OSError: The copy cannot be written. Errors of DuckDB come from `execute`.
    """
    (memory_limit,) = execute(MEMORY_LIMIT_SQL).fetchone()
    require_memory(memory_limit)
    make_own_folder(target.parent)
    with replaced_when_complete(target) as unfinished:
        # Two threads would need 2.5 GB of memory, and Binder has 2 GB.
        execute("SET threads = 1")
        execute(
            f"COPY (FROM read_parquet({file_literal(source)})) TO {literal(str(unfinished))}"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS_PER_GROUP},"
            f" DICTIONARY_SIZE_LIMIT {_MAX_DICTIONARY_VALUES})"
        )
        checksum = _checksum(unfinished)
    write_whole(_checksum_file(target), checksum)


def is_intact(copy: Path) -> bool | None:
    """Return whether a prepared copy has its checksum; None if the checksum is not known.

    DuckDB itself reads a page with a wrong bit without an error.

    Raises:
        OSError: The copy cannot be read.
    """
    try:
        expected = _checksum_file(copy).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return _checksum(copy) == expected


class CopyCheck:
    """Checks in a thread whether a prepared copy is damaged; this takes about 0.1 s.

    Args:
        copy: The prepared copy.
    """

    def __init__(self, copy: Path) -> None:
        self._copy, self._is_damaged = copy, False
        #: Held until somebody waits for the result.
        self._nobody_waits = threading.Lock()
        self._nobody_waits.acquire()
        self._thread = threading.Thread(target=self._run, name="idc_widgets: check", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system starts no more threads
            self._run()

    def is_damaged(self, *, wait: bool) -> bool:
        """Return whether the copy is damaged; without waiting, False if it is not known yet."""
        if wait and self._thread.ident is not None:
            with suppress(RuntimeError):  # another thread waits, too
                self._nobody_waits.release()
            self._thread.join()
        return self._is_damaged

    def _run(self) -> None:
        self._nobody_waits.acquire(timeout=_CHECK_PAUSE_SECONDS)
        with suppress(OSError):  # it was removed
            self._is_damaged = is_intact(self._copy) is False


def _checksum_file(copy: Path) -> Path:
    return copy.with_suffix(".crc32")


def _checksum(path: Path) -> str:
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while part := file.read(_CHECKED_BYTES):
            checksum = zlib.crc32(part, checksum)
    return f"{checksum:08x}"


def clean_cache_folder(*current: Path | None) -> None:
    """Remove unneeded files from the cache folder.

    These are the unfinished files of killed processes, and the files of other data versions. A file
    of another version stays if a process, maybe of another environment, has used it in the last 30
    days.

    Args:
        current: The files that are needed now. The first of them must be in the folder.
    """
    assert current[0] is not None
    folder = current[0].parent
    remove_leftovers(folder, _LEFTOVER.fullmatch)
    prepared = [path for path in folder.iterdir() if _PREPARED.fullmatch(path.name)]
    needed = {path.with_suffix("") for path in current if path is not None}
    others = (path for path in prepared if path.with_suffix("") not in needed)
    remove_unused(others, _MAX_UNUSED_SECONDS)
