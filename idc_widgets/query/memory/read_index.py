"""Read the table "index" into an `EncodedIndex`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..._util import is_non_commercial
from ...errors import IndexFileError
from ...index import DERIVED_MODALITIES
from ..duckdb_engine import DuckDBEngine
from .arrow import Array, ArrowArray, rank_distinct, to_arrow
from .column_reader import ColumnReader, return_free_memory
from .encoded import EncodedColumn, EncodedIndex, UnreadMapping, ValuePatientPairs
from .once import Once, make_ahead
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

_FALSE_AND_TRUE: ArrowArray = pa.Array.from_buffers(pa.bool_(), 2, [None, pa.py_buffer(b"\x02")])


def read_index(engine: DuckDBEngine) -> EncodedIndex:
    """Read the columns that most queries use; this takes about a second of CPU for IDC's index.

    The columns of groups are read first, as counts need them. Meanwhile, and after this function
    has returned, another thread reads the others, in the order in which grids need them. A
    caller that needs a column earlier reads it itself, or waits.

    Raises:
        IndexFileError: The user's own table has a series in several rows; or the file was changed
            or replaced since it was opened.
    """
    reader = ColumnReader(engine)
    encoded = {
        name: Once(partial(reader.encoded, name))
        for name in (*_GROUP_COLUMNS, *_SERIES_COLUMNS, "PatientID", "StudyInstanceUID")
    }
    numbers = {name: Once(partial(reader.numbers, name)) for name in NUMBER_COLUMNS}
    patients = Once(lambda: _number_patients(encoded["collection_id"], encoded["PatientID"]))
    studies = Once(lambda: _number_studies(encoded, patients.get().of_series))
    series_columns = {name: encoded[name] for name in _SERIES_COLUMNS}
    ahead: list[Once[Any]] = [
        encoded["StudyInstanceUID"],
        *numbers.values(),
        *(encoded[name] for name in ("StudyDate", "StudyDescription", "PatientAge")),
        studies,
        *series_columns.values(),
    ]
    if not engine.index.is_own:
        make_ahead(ahead, return_free_memory)
    index = _make_groups(encoded, numbers, patients)
    index.series_columns = UnreadMapping(_SERIES_COLUMNS, lambda name: series_columns[name].get())
    index.unread = {
        "study_of_series": lambda: studies.get()[0],
        "study_uids": lambda: studies.get()[1],
    }
    if engine.index.is_own:
        index.uid_hashes = hash_series_uids(engine)
        _refuse_repeated_series(engine, *index.uid_hashes)
        for value in ahead:
            value.get()
        return_free_memory()
    return index


class _Patients(NamedTuple):
    """The patients of the index, numbered by collection and PatientID.

    Args:
        of_series: The patient of each series.
        collections: The code of the collection of each patient.
        ids: The PatientIDs, with a code per patient.
    """

    of_series: Array
    collections: Array
    ids: EncodedColumn


def _number_patients(collection: Once[EncodedColumn], patient_id: Once[EncodedColumn]) -> _Patients:
    collections, ids = collection.get(), patient_id.get()
    id_count = len(ids.values) + 1
    keys, of_series = rank_distinct(collections.codes.astype(np.int64) * id_count + ids.codes)
    return _Patients(
        of_series,
        (keys // id_count).astype(collections.codes.dtype),
        EncodedColumn(ids.values, (keys % id_count).astype(np.int32)),
    )


def _make_groups(
    encoded: Mapping[str, Once[EncodedColumn]],
    numbers: Mapping[str, Once[Array]],
    patients: Once[_Patients],
) -> EncodedIndex:
    """Return an index without columns per series and studies, which the caller adds."""
    facets_of_series = {name: encoded[name].get() for name in _GROUP_COLUMNS}
    patient_of_series, collection_of_patient, patient_ids = patients.get()
    patient_count = len(collection_of_patient)
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
    facets["original"] = _original(facets["analysis_result_id"], facets["Modality"])
    patient_of_group = (groups % max(patient_count, 1)).astype(np.int32)
    files = np.nan_to_num(numbers["instanceCount"].get())
    sizes = np.nan_to_num(numbers["series_size_MB"].get())
    # Most screens show few facets, and these pairs are computed in several threads.
    pairs = {
        name: Once(partial(_pair_with_patients, column.codes, patient_of_group, patient_count))
        for name, column in facets.items()
    }
    index = EncodedIndex.__new__(EncodedIndex)
    index.group_of_series = group_of_series
    index.patient_of_group = patient_of_group
    index.series_per_group = np.bincount(group_of_series, minlength=group_count).astype(np.int32)
    index.files_per_group = np.bincount(group_of_series, files, group_count).astype(np.int64)
    index.size_MB_per_group = np.bincount(group_of_series, sizes, group_count).astype(float)
    index.group_columns = facets
    index.value_patient_pairs = UnreadMapping(facets, lambda name: pairs[name].get())
    index.series_numbers = {name: column.get() for name, column in numbers.items()}
    index.collection_of_patient = collection_of_patient
    index.patient_ids = patient_ids
    index.uids_of = index.rows_of_few = index.uid_hashes = None
    return index


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


def _original(analysis_results: EncodedColumn, modalities: EncodedColumn) -> EncodedColumn:
    """Return the column original: True for images, False for what is derived from images."""
    is_image = analysis_results.codes == analysis_results.missing_code
    is_image &= ~modalities.codes_in(DERIVED_MODALITIES)[modalities.codes]
    return EncodedColumn(_FALSE_AND_TRUE, is_image.astype(np.uint8))


def _pair_with_patients(
    codes: Array, patient_of_group: Array, patient_count: int
) -> ValuePatientPairs:
    keys, pair_of_group = rank_distinct(codes.astype(np.int64) * patient_count + patient_of_group)
    return ValuePatientPairs(pair_of_group, (keys // max(patient_count, 1)).astype(codes.dtype))


def _number_studies(
    encoded: Mapping[str, Once[EncodedColumn]], patient_of_series: Array
) -> tuple[Array, ArrowArray]:
    """Return the study of each series, and the UIDs of the studies by number.

    Studies are numbered in the order of patient, date, description and UID. If the series of a
    study differ in one of these, their lowest value counts.
    """
    uid = encoded["StudyInstanceUID"].get()
    study_count = len(uid.values)
    sort_keys = []
    for codes in (
        patient_of_series,
        encoded["StudyDate"].get().codes,
        encoded["StudyDescription"].get().codes,
    ):
        lowest = np.full(study_count, np.iinfo(np.int32).max, dtype=np.int32)
        np.minimum.at(lowest, uid.codes, codes.astype(np.int32))
        sort_keys.append(lowest)
    order = np.lexsort(sort_keys[::-1])
    number = np.empty(study_count, dtype=np.int32)
    number[order] = np.arange(study_count, dtype=np.int32)
    return number[uid.codes], uid.values.take(to_arrow(order))
