"""The file that keeps an `EncodedIndex` for later sessions.

It is an Arrow IPC file with one record. Each field of the record is a list: one array of the index.
The metadata of the file have a checksum of each array. The arrays of groups are read when the file
is opened, the others at their first use. If an array is damaged or can no longer be read, the index
is read from its table instead.

The file is not mapped into memory: if a mapped file were cut off, the next access would kill the
process (SIGBUS). Reading the arrays that the first counts need takes some 30 ms.
"""

from __future__ import annotations

import json
import logging
import os
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..._util import ForkSafeLock, hold, is_from_us, make_own_folder, replaced_when_complete
from ...errors import IndexFileError
from ..duckdb_engine import DuckDBEngine
from ..prepared_copy import cannot_write
from .arrow import Array, ArrowArray, to_arrow, to_numpy
from .encoded import EncodedColumn, EncodedIndex, UnreadMapping, ValuePatientPairs
from .read_index import NUMBER_COLUMNS
from .uid_hashes import hash_series_uids

__all__ = ["is_sound", "load", "save"]

_log = logging.getLogger(__name__)

#: Rows per array of SeriesInstanceUIDs: small, because a window needs only a few.
_BLOCK_ROWS = 32_768

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

#: The beginnings of the names of arrays that are all read when one of them is needed.
_SERIES_ARRAYS = (
    "group_of_series",
    "study_of_series",
    "study_uids",
    "series_columns",
    "series_numbers",
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
        "uid_hashes.hashes": hashes,
        "uid_hashes.rows": rows,
        "patient_ids.values": index.patient_ids.values,
        "patient_ids.codes": index.patient_ids.codes,
    }
    for block, start in enumerate(range(0, len(uids), _BLOCK_ROWS)):
        arrays[f"series_uids.{block}"] = uids.slice(start, _BLOCK_ROWS)
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
        table = pa.table({name: _one_list(array) for name, array in arrays.items()})
        lists: list[ArrowArray] = [table[name].chunk(0) for name in arrays]
        checksums = {
            name: _checksum(one_list.values) for name, one_list in zip(arrays, lists, strict=True)
        }
        table = table.replace_schema_metadata(
            {"checksums": json.dumps(checksums), "source": engine.index.source}
        )
        with (
            replaced_when_complete(path) as unfinished,
            pa.OSFile(str(unfinished), "wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)
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
    groups = file.read([name for name in file.names if name.startswith(_GROUP_ARRAYS)])
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
        "uid_hashes": file.uid_hashes,
    }
    return index


def is_sound(path: Path, source: str) -> bool:
    """Return whether all arrays of a file have the right checksums; reads the whole file."""
    try:
        file = _CacheFile(path, source, _no_index)
        for name in file.names:
            file.read([name])
    except IndexFileError:
        return False
    return True


def _no_index() -> EncodedIndex:
    raise IndexFileError("the prepared index is damaged")


class _CacheFile:
    """An open cache file; see `load` for its arguments and errors."""

    def __init__(self, path: Path, source: str, make: Callable[[], EncodedIndex]) -> None:
        self._path, self._make = path, make
        self._remade: EncodedIndex | None = None
        self._lock = ForkSafeLock()
        #: Arrays that were read together with others and have not been used yet.
        self._arrays: dict[str, ArrowArray] = {}
        #: The blocks of SeriesInstanceUIDs that have been read.
        self._uids: dict[int, ArrowArray] = {}
        if not is_from_us(path):
            raise IndexFileError(f"{path} was written by another user")
        held = hold(path)
        if held is not None:
            weakref.finalize(self, os.close, held)
        with self._errors():
            self._file = pa.OSFile(str(path), "rb")
            schema = pa.ipc.open_file(self._file).schema
            metadata = schema.metadata or {}
            self._checksums: dict[str, int] = json.loads(metadata[b"checksums"])
            self.names: list[str] = list(schema.names)
            made_from = metadata[b"source"].decode()
        if made_from != source:
            raise IndexFileError(f"{path} was made from the index {made_from}, not {source}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            # pyarrow's own errors are subclasses of these.
            raise IndexFileError(f"{self._path} is not a prepared index: {error}") from error

    def columns(self, kind: str) -> list[str]:
        """Return the columns whose arrays have names like ``<kind>.<column>.codes``."""
        start, end = f"{kind}.", ".codes"
        return [
            name.removeprefix(start).removesuffix(end)
            for name in self.names
            if name.startswith(start) and name.endswith(end)
        ]

    def read(self, names: Sequence[str]) -> dict[str, ArrowArray]:
        """Read arrays into memory.

        Raises:
            IndexFileError: An array is missing or damaged.
        """
        with self._errors():
            options = pa.ipc.IpcReadOptions(
                included_fields=[self.names.index(name) for name in names], use_threads=False
            )
            record: ArrowArray = pa.ipc.open_file(self._file, options=options).get_batch(0)
            arrays = {name: record.column(name).values for name in names}
            for name, array in arrays.items():
                if _checksum(array) != self._checksums[name]:
                    raise ValueError(f"the checksum of {name} is wrong")
        return arrays

    def _read_or_make(self, *names: str) -> list[ArrowArray] | None:
        """Read arrays. If this fails once, make the index anew, and return None from then on."""
        with self._lock:
            if self._remade is None:
                try:
                    return self._read_with_others(names)
                except IndexFileError as error:
                    _log.warning("%s; reading the installed index instead", error)
                    self._arrays.clear()
                    self._remade = self._make()
        return None

    def _read_with_others(self, names: tuple[str, ...]) -> list[ArrowArray]:
        """Read arrays; if one is among `_SERIES_ARRAYS`, read all arrays of that kind.

        Opening the record of the file takes as long as reading 10 MB, and a grid needs most of
        these arrays.
        """
        if names[0] not in self._arrays:
            together: Sequence[str] = names
            if names[0].startswith(_SERIES_ARRAYS):
                together = [name for name in self.names if name.startswith(_SERIES_ARRAYS)]
            self._arrays |= self.read(together)
        return [self._arrays.pop(name) for name in names]

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
        for block in np.unique(blocks).tolist():
            if block not in self._uids:
                arrays = self._read_or_make(f"series_uids.{block}")
                if arrays is None:
                    return None
                self._uids[block] = arrays[0]
            places = np.flatnonzero(blocks == block)
            within = to_arrow(rows[places] - block * _BLOCK_ROWS)
            uids[places] = self._uids[block].take(within).to_pylist()
        return list(uids)

    def uid_hashes(self) -> tuple[Array, Array] | None:
        arrays = self._read_or_make("uid_hashes.hashes", "uid_hashes.rows")
        return (to_numpy(arrays[0]), to_numpy(arrays[1])) if arrays else self._made.uid_hashes

    def series_column(self, name: str) -> EncodedColumn:
        arrays = self._read_or_make(f"series_columns.{name}.values", f"series_columns.{name}.codes")
        if arrays:
            return EncodedColumn(arrays[0], to_numpy(arrays[1]))
        return self._made.series_columns[name]

    def series_numbers(self, name: str) -> Array:
        arrays = self._read_or_make(f"series_numbers.{name}")
        return to_numpy(arrays[0]) if arrays else self._made.series_numbers[name]


def _checksum(array: ArrowArray) -> int:
    """Return the CRC-32 of the content of an array of numbers, Booleans or texts.

    Raises:
        ValueError: The array has missing values, or the bounds of its texts are damaged.
    """
    if not pa.types.is_string(array.type):
        numbers: Any = np.ascontiguousarray(to_numpy(array))
        return zlib.crc32(numbers)
    if array.null_count:
        raise ValueError("expected texts without missing values")
    if not len(array):
        return 0
    _, ends, data = array.buffers()
    offsets = np.frombuffer(ends, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    if (
        offsets[0] < 0
        or (offsets[1:] < offsets[:-1]).any()
        or offsets[-1] > (data.size if data else 0)
    ):
        raise ValueError("texts lie outside of the data")
    texts = memoryview(data)[offsets[0] : offsets[-1]] if data else b""
    starts: Any = offsets - offsets[0]
    return zlib.crc32(texts, zlib.crc32(starts))


def _one_list(values: Array | ArrowArray) -> ArrowArray:
    """Return an array as an Arrow array with one element: the list of its values."""
    if isinstance(values, np.ndarray):
        values = to_arrow(values)
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
