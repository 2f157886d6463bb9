"""The file that keeps an `EncodedIndex` for later sessions.

The arrays of groups are read when the file is opened, the others at their first use. If an array is
damaged or can no longer be read, the index is read from its table instead.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..._util import fork_safe, make_own_folder
from ...errors import IndexFileError
from ..duckdb_engine import DuckDBEngine
from ..prepared_copy import cannot_write
from .array_file import ArrayFile, write_arrays
from .arrow import Array, ArrowArray, to_arrow, to_numpy
from .encoded import EncodedColumn, EncodedIndex, UnreadMapping, ValuePatientPairs
from .read_index import NUMBER_COLUMNS
from .recent_results import Recent
from .uid_hashes import find_rows, hash_series_uids

__all__ = ["is_sound", "load", "save"]

_log = logging.getLogger(__name__)

#: Rows per array of SeriesInstanceUIDs. Arrays are short: each row of a sorted window may be in
#: another array, and arrays are read as a whole.
_BLOCK_ROWS = 1_024

#: The number of such arrays that are kept in memory. Each takes about 65 kB.
_MAX_KEPT_BLOCKS = 64

#: How many bits at the beginning of the hash of a SeriesInstanceUID choose the array for the hash.
_HASH_BITS = 8

#: The beginnings of the names of arrays that are read when the file is opened.
_GROUP_ARRAYS = (
    "patient_",
    "series_per_group",
    "files_per_group",
    "size_MB_per_group",
    "collection_of_patient",
    "group_columns",
    "value_patient_pairs",
)

#: The fields of `EncodedIndex` that are single arrays of numbers.
_NUMBER_ARRAYS = (
    "group_of_series",
    "study_of_series",
    "patient_of_group",
    "series_per_group",
    "files_per_group",
    "size_MB_per_group",
    "collection_of_patient",
)


def save(engine: DuckDBEngine, index: EncodedIndex, path: Path) -> None:
    """Write an index to a file, with all SeriesInstanceUIDs and their hashes; whole or not at all.

    Raises:
        IndexFileError: The file cannot be written.
    """
    read: ArrowArray = engine.query("SELECT SeriesInstanceUID FROM index").column(0)
    combined: ArrowArray = read.combine_chunks()
    uids: ArrowArray = combined if isinstance(combined, pa.Array) else combined.chunk(0)
    hashes, rows = hash_series_uids(engine)
    arrays: dict[str, Any] = {
        "study_uids": index.study_uids,
        "patient_ids.values": index.patient_ids.values,
        "patient_ids.codes": index.patient_ids.codes,
    }
    for block, start in enumerate(range(0, len(uids), _BLOCK_ROWS)):
        arrays[f"series_uids.{block}"] = uids.slice(start, _BLOCK_ROWS)
    bounds = np.searchsorted(_part_of_hash(hashes), np.arange((1 << _HASH_BITS) + 1)).tolist()
    for part, (start, stop) in enumerate(pairwise(bounds)):
        arrays[f"uid_hashes.{part}.hashes"] = hashes[start:stop]
        arrays[f"uid_hashes.{part}.rows"] = rows[start:stop]
    for name in _NUMBER_ARRAYS:
        arrays[name] = getattr(index, name)
    for kind in ("group_columns", "series_columns"):
        for name, column in getattr(index, kind).items():
            arrays[f"{kind}.{name}.values"] = column.values
            arrays[f"{kind}.{name}.codes"] = column.codes
    for name, pairs in index.value_patient_pairs.items():
        arrays[f"value_patient_pairs.{name}.pair_of_group"] = pairs.pair_of_group
        arrays[f"value_patient_pairs.{name}.code_of_pair"] = pairs.code_of_pair
    for name, numbers in index.series_numbers.items():
        arrays[f"series_numbers.{name}"] = numbers
    try:
        make_own_folder(path.parent)
        write_arrays(path, arrays, engine.index.source)
    except OSError as error:
        raise cannot_write(path, error) from error


def load(path: Path, source: str, make: Callable[[], EncodedIndex]) -> EncodedIndex:
    """Open the index in a file. Most arrays are read only when they are used.

    Args:
        path: The file.
        source: `Index.source` of the index that the file must have been made from.
        make: Called if an array turns out to be damaged later; makes the index anew.

    Raises:
        IndexFileError: The file cannot be read, is damaged, is not a cache file, or was made from
            another index or by another user.
    """
    file = _CacheFile(path, source, make)
    index = EncodedIndex.__new__(EncodedIndex)
    groups = {name: file.read(name) for name in file.names if name.startswith(_GROUP_ARRAYS)}
    numbers = {
        name: to_numpy(part) for name, part in groups.items() if not name.endswith(".values")
    }
    try:
        for name in _NUMBER_ARRAYS[2:]:
            setattr(index, name, numbers[name])
        index.patient_ids = EncodedColumn(
            groups["patient_ids.values"], numbers["patient_ids.codes"]
        )
        index.group_columns = {
            name: EncodedColumn(
                groups[f"group_columns.{name}.values"], numbers[f"group_columns.{name}.codes"]
            )
            for name in file.columns("group_columns")
        }
        index.value_patient_pairs = {
            name: ValuePatientPairs(
                numbers[f"value_patient_pairs.{name}.pair_of_group"],
                numbers[f"value_patient_pairs.{name}.code_of_pair"],
            )
            for name in index.group_columns
        }
    except LookupError as error:
        raise IndexFileError(f"{path} is not a prepared index: it has no {error}") from error
    index.series_columns = UnreadMapping(file.columns("series_columns"), file.series_column)
    index.series_numbers = UnreadMapping(NUMBER_COLUMNS, file.series_numbers)
    index.unread = {
        "group_of_series": file.group_of_series,
        "study_of_series": file.study_of_series,
        "study_uids": file.study_uids,
        "uids_of": lambda: file.uids_of,
        "rows_of_few": lambda: file.rows_of_few,
        "uid_hashes": file.uid_hashes,
    }
    return index


def is_sound(path: Path, source: str) -> bool:
    """Return whether all arrays of a file have the right checksums; reads the whole file."""
    try:
        file = ArrayFile(path, source)
        for name in file.names:
            file.read(name)
    except IndexFileError:
        return False
    return True


def _part_of_hash(hashes: Array) -> Array:
    """Return, for each hash, the number of the arrays that it is in."""
    return (hashes >> np.uint64(64 - _HASH_BITS)).astype(np.int64)


class _CacheFile(ArrayFile):
    """An open cache file; see `load` for its arguments and errors."""

    def __init__(self, path: Path, source: str, make: Callable[[], EncodedIndex]) -> None:
        super().__init__(path, source)
        self._make = make
        self._remade: EncodedIndex | None = None
        self._lock = fork_safe(threading.Lock())
        #: Number of the block → SeriesInstanceUIDs; None if the file is damaged.
        self._uids: Recent[int, ArrowArray | None] = Recent(_MAX_KEPT_BLOCKS)

    def columns(self, kind: str) -> list[str]:
        """Return the columns whose arrays have names like ``<kind>.<column>.codes``."""
        start, end = f"{kind}.", ".codes"
        return [
            name.removeprefix(start).removesuffix(end)
            for name in self.names
            if name.startswith(start) and name.endswith(end)
        ]

    def _read_or_make(self, *names: str) -> list[ArrowArray] | None:
        """Read arrays. If this fails once, make the index anew, and return None from then on."""
        with self._lock:
            if self._remade is None:
                try:
                    return [self.read(name) for name in names]
                except IndexFileError as error:
                    _log.warning("%s; reading the installed index instead", error)
                    self._remade = self._make()
        return None

    @property
    def _made(self) -> EncodedIndex:
        assert self._remade is not None, "_read_or_make has made it"
        return self._remade

    def group_of_series(self) -> Array:
        arrays = self._read_or_make("group_of_series")
        return to_numpy(arrays[0]) if arrays else self._made.group_of_series

    def study_of_series(self) -> Array:
        arrays = self._read_or_make("study_of_series")
        return to_numpy(arrays[0]) if arrays else self._made.study_of_series

    def study_uids(self) -> ArrowArray:
        arrays = self._read_or_make("study_uids")
        return arrays[0] if arrays else self._made.study_uids

    def uids_of(self, rows: Array) -> list[str] | None:
        """Return the SeriesInstanceUIDs of rows; None if they can no longer be read."""
        uids = np.empty(len(rows), dtype=object)
        blocks = rows // _BLOCK_ROWS
        for number in np.flatnonzero(np.bincount(blocks)).tolist():
            block = self._uids.get(number, partial(self._read_block, number))
            if block is None:
                return None
            places = np.flatnonzero(blocks == number)
            within = to_arrow(rows[places] - number * _BLOCK_ROWS)
            uids[places] = block.take(within).to_pylist()
        return list(uids)

    def _read_block(self, number: int) -> ArrowArray | None:
        arrays = self._read_or_make(f"series_uids.{number}")
        return arrays[0] if arrays else None

    def uid_hashes(self) -> tuple[Array, Array] | None:
        parts = range(1 << _HASH_BITS)
        names = [f"uid_hashes.{part}.{kind}" for kind in ("hashes", "rows") for part in parts]
        arrays = self._read_or_make(*names)
        if arrays is None:
            return self._made.uid_hashes
        read = [to_numpy(array) for array in arrays]
        return np.concatenate(read[: len(parts)]), np.concatenate(read[len(parts) :])

    def rows_of_few(self, hashes: Array) -> Array | None:
        """Return the rows of UIDs by their hashes, -1 for an unknown one; None if damaged."""
        rows = np.full(len(hashes), -1, dtype=np.int64)
        part_of_hash = _part_of_hash(hashes)
        for part in np.unique(part_of_hash).tolist():
            arrays = self._read_or_make(f"uid_hashes.{part}.hashes", f"uid_hashes.{part}.rows")
            if arrays is None:
                return None
            places = np.flatnonzero(part_of_hash == part)
            rows[places] = find_rows(to_numpy(arrays[0]), to_numpy(arrays[1]), hashes[places])
        return rows

    def series_column(self, name: str) -> EncodedColumn:
        arrays = self._read_or_make(f"series_columns.{name}.values", f"series_columns.{name}.codes")
        if arrays:
            return EncodedColumn(arrays[0], to_numpy(arrays[1]))
        return self._made.series_columns[name]

    def series_numbers(self, name: str) -> Array:
        arrays = self._read_or_make(f"series_numbers.{name}")
        return to_numpy(arrays[0]) if arrays else self._made.series_numbers[name]
