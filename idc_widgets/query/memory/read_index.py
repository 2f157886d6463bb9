"""Read the table "index" into an `EncodedIndex`."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..._util import ForkSafeLock, is_non_commercial
from ...errors import IndexFileError
from ..dataframes import is_out_of_threads, out_of_threads
from ..duckdb_engine import DuckDBEngine
from .arrow import Array, ArrowArray, rank_distinct, to_arrow, to_numpy, values_and_gaps
from .encoded import EncodedColumn, EncodedIndex, ValuePatientPairs, encode
from .uid_hashes import hash_series_uids

__all__ = ["NUMBER_COLUMNS", "read_index"]

#: Columns with a single value per group. All series of a group also have the same patient.
_GROUP_COLUMNS = (
    "collection_id",
    "analysis_result_id",
    "PatientSex",
    "BodyPartExamined",
    "Modality",
    "sop_class_name",
    "transfer_syntax_name",
    "Manufacturer",
    "ManufacturerModelName",
    "license_short_name",
    "series_init_idc_version",
)

#: Columns that are held as codes per series.
_SERIES_COLUMNS = (
    "PatientAge",
    "StudyDate",
    "SeriesDate",
    "StudyDescription",
    "SeriesDescription",
    "SeriesNumber",
)

#: Columns that are held as numbers per series.
NUMBER_COLUMNS = ("instanceCount", "series_size_MB")

#: Only one reader runs at a time, because Arrow's memory pool is changed for the whole process.
_pool_lock = ForkSafeLock()

_FALSE_AND_TRUE: ArrowArray = pa.Array.from_buffers(pa.bool_(), 2, [None, pa.py_buffer(b"\x02")])


def read_index(engine: DuckDBEngine) -> EncodedIndex:
    """Read the columns that most queries use; this takes about a second for IDC's index.

    Raises:
        IndexFileError: The user's own table has a series in several rows.
    """
    engine.check_index()
    try:
        index = _read_in_system_pool(engine)
    except (OSError, pa.ArrowException) as error:
        if is_out_of_threads(error):
            raise out_of_threads() from error
        if not engine.check_index():
            raise
    else:
        if not engine.check_index():
            return index
    return _read_in_system_pool(engine)  # the prepared copy was removed while it was read


def _read_in_system_pool(engine: DuckDBEngine) -> EncodedIndex:
    """Read the index with the system's allocator: Arrow's own would keep 70 MB of unused memory."""
    # Other threads may allocate from the same pool meanwhile: every buffer returns to the pool that
    # it came from.
    with _pool_lock:
        usual_pool = pa.default_memory_pool()
        pa.set_memory_pool(pa.system_memory_pool())
        try:
            index = _read_index(engine)
        finally:
            pa.set_memory_pool(usual_pool)
    with suppress(OSError, AttributeError):  # other C libraries than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return index


def _read_index(engine: DuckDBEngine) -> EncodedIndex:
    reader = _ColumnReader(engine)
    facets_of_series = {name: reader.encoded(name) for name in _GROUP_COLUMNS}
    series_columns = {name: reader.encoded(name) for name in _SERIES_COLUMNS}
    numbers = {name: reader.numbers(name) for name in NUMBER_COLUMNS}

    collection, patient_id = facets_of_series["collection_id"], reader.encoded("PatientID")
    id_count = len(patient_id.values) + 1
    patient_keys, patient_of_series = rank_distinct(
        collection.codes.astype(np.int64) * id_count + patient_id.codes
    )
    patient_count = len(patient_keys)
    groups, group_of_series = _form_groups(
        facets_of_series, patient_of_series, max(patient_count, 1)
    )
    group_count = len(groups)
    first_row = np.zeros(group_count, dtype=np.int64)
    first_row[group_of_series[::-1]] = np.arange(len(group_of_series) - 1, -1, -1)
    facets = {
        name: EncodedColumn(column.values, column.codes[first_row])
        for name, column in facets_of_series.items()
    }
    facets["commercial_use"] = _commercial_use(facets["license_short_name"])

    uid_hashes = None
    if engine.index.is_own:
        uid_hashes = hash_series_uids(engine)
        _refuse_repeated_series(engine, *uid_hashes)
    study_of_series, study_uids = _number_studies(
        reader.encoded("StudyInstanceUID"), patient_of_series, series_columns
    )
    files = np.nan_to_num(numbers["instanceCount"])
    sizes = np.nan_to_num(numbers["series_size_MB"])
    patient_of_group = (groups % max(patient_count, 1)).astype(np.int32)
    return EncodedIndex(
        group_of_series=group_of_series,
        study_of_series=study_of_series,
        patient_of_group=patient_of_group,
        series_per_group=np.bincount(group_of_series, minlength=group_count).astype(np.int32),
        files_per_group=np.bincount(group_of_series, files, group_count).astype(np.int64),
        size_MB_per_group=np.bincount(group_of_series, sizes, group_count).astype(float),
        group_columns=facets,
        value_patient_pairs={
            name: _pair_with_patients(column.codes, patient_of_group, patient_count)
            for name, column in facets.items()
        },
        series_columns=series_columns,
        series_numbers=numbers,
        collection_of_patient=(patient_keys // id_count).astype(collection.codes.dtype),
        patient_ids=EncodedColumn(patient_id.values, (patient_keys % id_count).astype(np.int32)),
        study_uids=study_uids,
        uids_of=None,
        uid_hashes=uid_hashes,
    )


def _refuse_repeated_series(engine: DuckDBEngine, hashes: Array, rows: Array) -> None:
    """Raise an error if a user's own table has a series in several rows: counts would be wrong.

    Raises:
        IndexFileError: The message names the first such series.
    """
    repeated = np.flatnonzero(hashes[1:] == hashes[:-1])
    if len(repeated):
        [(uid,)] = engine.rows(
            "SELECT SeriesInstanceUID FROM _rows WHERE _row = ?", [int(rows[repeated[0]])]
        )
        raise IndexFileError(
            f"{engine.data_version} has the series {uid!r} in several rows; "
            "expected one row per series"
        )


def _form_groups(
    columns: Mapping[str, EncodedColumn], patient_of_series: Array, patient_count: int
) -> tuple[Array, Array]:
    """Return the key of each group, and the group of each series.

    The key of a group is the number of its combination of values, times `patient_count`, plus the
    number of its patient.
    """
    key = np.zeros(len(patient_of_series), dtype=np.int64)
    key_limit = 1
    for column in columns.values():
        code_count = len(column.values) + 1
        if key_limit * code_count > 1 << 40:
            distinct, key = rank_distinct(key)
            key, key_limit = key.astype(np.int64), len(distinct)
        key *= code_count
        key += column.codes
        key_limit *= code_count
    _, key = rank_distinct(key)
    return rank_distinct(key.astype(np.int64) * patient_count + patient_of_series)


def _commercial_use(licenses: EncodedColumn) -> EncodedColumn:
    """Return the column commercial_use: True, False (NonCommercial) or missing (no license)."""
    allowed = [not is_non_commercial(name) for name in licenses.value_of_code[:-1]]
    code_of_license = np.array([*allowed, 2], dtype=np.uint8)
    return EncodedColumn(_FALSE_AND_TRUE, code_of_license[licenses.codes])


def _pair_with_patients(
    codes: Array, patient_of_group: Array, patient_count: int
) -> ValuePatientPairs:
    keys, pair_of_group = rank_distinct(codes.astype(np.int64) * patient_count + patient_of_group)
    return ValuePatientPairs(pair_of_group, (keys // max(patient_count, 1)).astype(codes.dtype))


def _number_studies(
    uid: EncodedColumn, patient_of_series: Array, columns: Mapping[str, EncodedColumn]
) -> tuple[Array, ArrowArray]:
    """Return the study of each series, and the UIDs of the studies by number.

    Studies are numbered in the order of patient, date, description and UID. If the series of a
    study differ in one of these, their lowest value counts.
    """
    study_count = len(uid.values)
    sort_keys = []
    for codes in (
        patient_of_series,
        columns["StudyDate"].codes,
        columns["StudyDescription"].codes,
    ):
        lowest = np.full(study_count, np.iinfo(np.int32).max, dtype=np.int32)
        np.minimum.at(lowest, uid.codes, codes.astype(np.int32))
        sort_keys.append(lowest)
    order = np.lexsort(sort_keys[::-1])
    number = np.empty(study_count, dtype=np.int32)
    number[order] = np.arange(study_count, dtype=np.int32)
    return number[uid.codes], uid.values.take(to_arrow(order))


class _ColumnReader:
    """Reads the columns of the index one by one, so that only one at a time is held as text."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        path = engine.plain_parquet
        self._file = None
        if path is not None:
            encoded = [*_GROUP_COLUMNS, *_SERIES_COLUMNS, "PatientID", "StudyInstanceUID"]
            # The file is not mapped into memory: if a mapped file were cut off, the process would
            # be killed. `ParquetFile` of a path would not use the chosen memory pool.
            file = pa.OSFile(str(path), "rb", memory_pool=pa.default_memory_pool())
            self._file = pq.ParquetFile(file, read_dictionary=encoded)

    def encoded(self, name: str) -> EncodedColumn:
        """Return a column as codes."""
        if self._file is not None:
            # Parquet's dictionaries are used as they are. Threads would keep memory of their own.
            return encode(self._file.read([name], use_threads=False).column(0))
        batches = self._engine.batches(f"SELECT {name} FROM index")
        chunks = [batch.column(0).dictionary_encode() for batch in batches]
        return encode(pa.chunked_array(chunks, None if chunks else pa.string()))

    def numbers(self, name: str) -> Array:
        """Return a column of numbers, with NaN for missing values; int32 if that is enough."""
        if self._file is not None:
            column = self._file.read([name], use_threads=False).column(0)
        else:
            column = self._engine.query(f"SELECT {name} FROM index").column(0)
        if column.null_count:
            missing = np.concatenate([to_numpy(chunk.is_null()) for chunk in column.chunks])
            numbers = np.concatenate(
                [values_and_gaps(chunk).astype(float) for chunk in column.chunks]
            )
            numbers[missing] = np.nan
            return numbers
        numbers = np.concatenate(
            [values_and_gaps(chunk) for chunk in column.chunks] or [np.zeros(0)]
        )
        highest = int(numbers.max(initial=0)) if numbers.dtype.kind == "i" else None
        return numbers.astype(np.int32) if highest is not None and highest < 2**31 else numbers
