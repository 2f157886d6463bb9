"""The file that keeps an `EncodedIndex` for later sessions.

It is one Arrow IPC file with one record, whose fields are lists: the arrays of the index by name.
It is read through a memory map: opening takes no time, only what is used is in memory, and all
kernels on a machine share it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..._util import make_own_folder, replaced_when_complete
from ...errors import IndexFileError
from ..duckdb_engine import DuckDBEngine
from .arrow import Array, ArrowArray, to_arrow, to_numpy
from .encoded import EncodedColumn, EncodedIndex, ValuePatientPairs
from .read_index import NUMBER_COLUMNS
from .uid_hashes import hash_series_uids

__all__ = ["load", "save"]

#: The fields of `EncodedIndex` that are one array of numbers.
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
    """Write an index to a file, whole or not at all, with all SeriesInstanceUIDs and their hashes.

    Raises:
        IndexFileError: The file cannot be written.
    """
    uids = engine.query("SELECT SeriesInstanceUID FROM index").column(0).combine_chunks()
    hashes, rows = hash_series_uids(engine)
    arrays: dict[str, Any] = {
        "study_uids": index.study_uids,
        "series_uids": uids if isinstance(uids, pa.Array) else uids.chunk(0),
        "uid_hashes.hashes": hashes,
        "uid_hashes.rows": rows,
        "patient_ids.values": index.patient_ids.values,
        "patient_ids.codes": index.patient_ids.codes,
    }
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
        with (
            replaced_when_complete(path) as unfinished,
            pa.OSFile(str(unfinished), "wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)
    except OSError as error:
        raise IndexFileError(f"cannot write {path}: {error}") from error


def load(path: Path) -> EncodedIndex:
    """Open the index in a file; its pages are read when they are used.

    Raises:
        IndexFileError: The file cannot be read, or is of another kind, cut off or damaged.
    """
    try:
        record: ArrowArray = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        index = _decode_record({name: record.column(name).values for name in record.schema.names})
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        # pyarrow's own errors are subclasses of these.
        raise IndexFileError(f"{path} is not a prepared index: {error}") from error
    per_series = [index.study_of_series, *index.series_numbers.values()]
    per_series += [column.codes for column in index.series_columns.values()]
    per_group = [index.series_per_group, index.files_per_group]
    per_group += [column.codes for column in index.group_columns.values()]
    if {len(array) for array in per_series} != {index.series_count} or {
        len(array) for array in per_group
    } != {index.group_count}:
        raise IndexFileError(f"{path} is damaged: its columns differ in length")
    return index


def _decode_record(parts: dict[str, ArrowArray]) -> EncodedIndex:
    arrays = {
        name: to_numpy(part)
        for name, part in parts.items()
        if pa.types.is_primitive(part.type) and not pa.types.is_boolean(part.type)
    }

    def columns(kind: str) -> dict[str, EncodedColumn]:
        names = [
            name.removeprefix(f"{kind}.").removesuffix(".codes")
            for name in arrays
            if name.startswith(f"{kind}.") and name.endswith(".codes")
        ]
        return {
            name: EncodedColumn(parts[f"{kind}.{name}.values"], arrays[f"{kind}.{name}.codes"])
            for name in names
        }

    group_columns = columns("group_columns")
    return EncodedIndex(
        **{name: arrays[name] for name in _NUMBER_ARRAYS},
        group_columns=group_columns,
        value_patient_pairs={
            name: ValuePatientPairs(
                arrays[f"value_patient_pairs.{name}.pair_of_group"],
                arrays[f"value_patient_pairs.{name}.code_of_pair"],
            )
            for name in group_columns
        },
        series_columns=columns("series_columns"),
        series_numbers={name: arrays[f"series_numbers.{name}"] for name in NUMBER_COLUMNS},
        patient_ids=EncodedColumn(parts["patient_ids.values"], arrays["patient_ids.codes"]),
        study_uids=parts["study_uids"],
        series_uids=parts["series_uids"],
        uid_hashes=(arrays["uid_hashes.hashes"], arrays["uid_hashes.rows"]),
    )


def _one_list(values: Array | ArrowArray) -> ArrowArray:
    """Return an array as an Arrow array with one element: the list of its values."""
    if isinstance(values, np.ndarray):
        values = to_arrow(values)
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
