"""Reads the index into codes: what `Memory` answers questions from, and a file that keeps it.

Columns of few values are held as codes (the place of the value among the sorted values of the
column). The facets' columns are the same for many series of a patient: a *group* is one combination
of a patient and the values of all facets, of which IDC has a fifth as many as series. Facets are
counted over groups; what tells series apart (dates, sizes, descriptions, studies) is held a series,
which has the number of its row in the index. See docs/performance.md for what was tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .conditions import Scalar
from .engine import DuckDBEngine
from .errors import IndexFileError

__all__ = [
    "Array",
    "Arrow",
    "Coded",
    "Coding",
    "Flags",
    "hashed",
    "load",
    "numbered",
    "read_index",
    "save",
]

Array: TypeAlias = "npt.NDArray[Any]"
Flags: TypeAlias = "npt.NDArray[np.bool_]"

#: An array of pyarrow, whose types say less than they get wrong.
Arrow: TypeAlias = Any

#: Columns that are equal within a group, beside the patient.
_OF_GROUPS = (
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

#: Columns that are held as codes, a series.
_OF_SERIES = (
    "PatientAge",
    "StudyDate",
    "SeriesDate",
    "StudyDescription",
    "SeriesDescription",
    "SeriesNumber",
)

_NUMBERS = ("instanceCount", "series_size_MB")


@dataclass(frozen=True)
class Coded:
    """A column as codes.

    Args:
        values: the distinct values in order.
        codes: of each series, or each group, the place of its value; ``len(values)`` for missing.
    """

    values: Arrow
    codes: Array

    @property
    def missing(self) -> int:
        """The code of what is missing."""
        return len(self.values)

    def flags(self, wanted: Iterable[Scalar]) -> Flags:
        """Of each code, whether its value is wanted; None stands for missing."""
        found = np.zeros(len(self.values) + 1, dtype=bool)
        present = []
        for value in wanted:
            if value is None:
                found[self.missing] = True
            else:
                present.append(value)
        if pa.types.is_string(self.values.type):
            places = pc.index_in(pa.array(present, self.values.type), self.values)
            found[places.drop_null().to_numpy()] = True
        else:
            found[:-1] |= np.isin(self.values.to_numpy(zero_copy_only=False), present)
        return found

    def take(self, codes: Array) -> list[Any]:
        """The values of these codes; None for missing."""
        present: Arrow = pa.array(codes, mask=codes == self.missing)
        return list(self.values.take(present).to_pylist())

    @cached_property
    def texts(self) -> list[Any]:
        """Code → value, as Python values."""
        return [*self.values.to_pylist(), None]

    @cached_property
    def lower(self) -> Arrow:
        """The values in lower case, for searching."""
        return pc.utf8_lower(self.values)


@dataclass
class Coding:
    """The columns of one index that questions are mostly about, as numbers."""

    #: Of each series, its group and its study.
    group: Array
    study: Array
    #: Of each group, the patient, and the number of its series, of their files, and their size.
    patient: Array
    series: Array
    files: Array
    size_MB: Array
    #: Of each group, the values of the facets' columns.
    facets: dict[str, Coded]
    #: Of each series, dates and descriptions; and numbers, NaN where missing.
    columns: dict[str, Coded]
    numbers: dict[str, Array]
    #: Of each patient, the code of the collection, and the PatientID.
    collection_of_patient: Array
    patient_ids: Coded
    #: Of each study, the StudyInstanceUID.
    study_uid: Arrow
    #: Of each series, the SeriesInstanceUID; only in a coding that was saved.
    series_uid: Arrow | None = None
    #: The hashes of all SeriesInstanceUIDs in order, and their rows; made when first needed.
    uid_hashes: tuple[Array, Array] | None = None

    @property
    def series_count(self) -> int:
        """How many series the index has."""
        return len(self.group)

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return len(self.patient)

    @property
    def patient_count(self) -> int:
        """How many patients there are."""
        return len(self.collection_of_patient)

    @property
    def study_count(self) -> int:
        """How many studies there are."""
        return len(self.study_uid)


def read_index(engine: DuckDBEngine) -> Coding:
    """Reads what questions are mostly about; about a second for IDC's index."""
    read = _Reader(engine)
    of_series = {name: read.coded(name) for name in _OF_GROUPS}
    columns = {name: read.coded(name) for name in _OF_SERIES}
    numbers = {name: read.number(name) for name in _NUMBERS}

    collection, patient_id = of_series["collection_id"], read.coded("PatientID")
    # Patients by (collection_id, PatientID), in that order.
    many = len(patient_id.values) + 1
    patients, patient = numbered(collection.codes.astype(np.int64) * many + patient_id.codes)
    groups, group = _groups(of_series, patient, max(len(patients), 1))
    count = len(groups)
    first = np.zeros(count, dtype=np.int64)
    first[group[::-1]] = np.arange(len(group) - 1, -1, -1)
    facets = {name: Coded(one.values, one.codes[first]) for name, one in of_series.items()}
    licenses = facets["license_short_name"]
    commercial = np.array([*("-NC" not in one for one in licenses.texts[:-1]), 2], dtype=np.uint8)
    facets["commercial_use"] = Coded(pa.array([False, True]), commercial[licenses.codes])

    study, study_uid = _studies(read.coded("StudyInstanceUID"), patient, columns)
    read.release()
    files = np.nan_to_num(numbers["instanceCount"])
    return Coding(
        group=group,
        study=study,
        patient=(groups % max(len(patients), 1)).astype(np.int32),
        series=np.bincount(group, minlength=count).astype(np.int32),
        files=np.bincount(group, files, count).astype(np.int64),
        size_MB=np.bincount(group, np.nan_to_num(numbers["series_size_MB"]), count).astype(float),
        facets=facets,
        columns=columns,
        numbers=numbers,
        collection_of_patient=(patients // many).astype(collection.codes.dtype),
        patient_ids=Coded(patient_id.values, (patients % many).astype(np.int32)),
        study_uid=study_uid,
    )


def hashed(engine: DuckDBEngine, column: str, table: str, params: Sequence[object] = ()) -> Array:
    """64-bit hashes of a column of texts."""
    found = engine.query(f"SELECT md5_number_lower({column}) FROM {table}", params)
    hashes: Array = found.column(0).to_numpy()
    return hashes


def _groups(columns: Mapping[str, Coded], patient: Array, patients: int) -> tuple[Array, Array]:
    """The groups, each numbered by combination and patient, and of each series its group."""
    key = np.zeros(len(patient), dtype=np.int64)
    room = 1
    for column in columns.values():
        many = len(column.values) + 1
        if room * many > 1 << 40:
            known, key = numbered(key)
            key, room = key.astype(np.int64), len(known)
        key *= many
        key += column.codes
        room *= many
    _, key = numbered(key)
    return numbered(key.astype(np.int64) * patients + patient)


def _studies(uid: Coded, patient: Array, columns: Mapping[str, Coded]) -> tuple[Array, Arrow]:
    """Of each series its study, and the UIDs of the studies in the order that people read them in.

    That is by patient, date and description.
    """
    count = len(uid.values)
    of_study = []
    for codes in (patient, columns["StudyDate"].codes, columns["StudyDescription"].codes):
        lowest = np.full(count, np.iinfo(np.int32).max, dtype=np.int32)
        np.minimum.at(lowest, uid.codes, codes.astype(np.int32))
        of_study.append(lowest)
    order = np.lexsort(of_study[::-1])
    rank = np.empty(count, dtype=np.int32)
    rank[order] = np.arange(count, dtype=np.int32)
    return rank[uid.codes], uid.values.take(pa.array(order))


# --- reading -------------------------------------------------------------------------------


class _Reader:
    """The columns of the index, one after the other, so that little is held beside the codes."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        path = engine.plain_parquet
        self._file = None
        if path is not None:
            coded = [*_OF_GROUPS, *_OF_SERIES, "PatientID", "StudyInstanceUID"]
            self._file = pq.ParquetFile(path, read_dictionary=coded)
        [(self.rows,)] = engine.rows("SELECT count(*) FROM index")

    def coded(self, name: str) -> Coded:
        """A column as codes."""
        if self._file is not None:
            # Parquet has dictionaries of its own, which Arrow can hand over.
            # In this thread: others would keep what they needed for it.
            return _coded(self._file.read([name], use_threads=False).column(0))
        values: Arrow = self._engine.query(
            f"SELECT DISTINCT {name} FROM index WHERE {name} IS NOT NULL ORDER BY 1"
        ).column(0)
        values = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
        codes = np.empty(self.rows, dtype=np.min_scalar_type(len(values)))
        start = 0
        for batch in self._engine.batches(f"SELECT {name} FROM index"):
            places = pc.index_in(batch.column(0), values).fill_null(len(values))
            codes[start : start + len(places)] = places.to_numpy(zero_copy_only=False)
            start += len(places)
        return Coded(values, codes)

    def number(self, name: str) -> Array:
        """A column of numbers; NaN is missing."""
        column = self._engine.query(f"SELECT {name} FROM index").column(0)
        if column.null_count:
            return column.cast(pa.float64()).to_numpy()
        numbers: Array = column.to_numpy()
        highest = int(numbers.max(initial=0)) if numbers.dtype.kind == "i" else None
        return numbers.astype(np.int32) if highest is not None and highest < 2**31 else numbers

    def release(self) -> None:
        """Gives memory that was needed for reading only back to the system."""
        pa.default_memory_pool().release_unused()


def _coded(column: Arrow) -> Coded:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    values = column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())
    order = pc.sort_indices(values).to_numpy()
    many = len(values)
    kind = np.min_scalar_type(many)
    rank = np.empty(many + 1, dtype=kind)
    rank[order] = np.arange(many, dtype=kind)
    rank[many] = many
    codes = [rank[chunk.indices.fill_null(many).to_numpy()] for chunk in column.chunks]
    return Coded(values.take(pa.array(order)), np.concatenate(codes) if codes else rank[:0])


def numbered(keys: Array) -> tuple[Array, Array]:
    """The distinct keys in order, and of each key its place among them."""
    encoded = pa.array(keys).dictionary_encode()
    distinct = encoded.dictionary.to_numpy()
    order = np.argsort(distinct)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return distinct[order], rank[encoded.indices.to_numpy()]


# --- a coding in a file --------------------------------------------------------------------
#
# One Arrow IPC file with one record, whose fields are lists: the arrays of the coding, by name.
# Read through a memory map, they take no time to open, only what is looked at is in memory, and all
# kernels on a machine share it.


def save(engine: DuckDBEngine, coding: Coding, path: Path) -> None:
    """Writes a coding to a file, all or nothing, with the texts and hashes of all UIDs.

    Raises:
        IndexFileError: it cannot be written.
    """
    uid = engine.query("SELECT SeriesInstanceUID FROM index").column(0).combine_chunks()
    hashes = hashed(engine, "SeriesInstanceUID", "index")
    rows = np.argsort(hashes).astype(np.int32)
    parts: dict[str, Any] = {
        "series_uid": uid if isinstance(uid, pa.Array) else uid.chunk(0),
        "uid_hashes.hashes": hashes[rows],
        "uid_hashes.rows": rows,
        "patient_ids.values": coding.patient_ids.values,
        "patient_ids.codes": coding.patient_ids.codes,
    }
    for name in _PLAIN:
        parts[name] = getattr(coding, name)
    for kind in ("facets", "columns"):
        for name, coded in getattr(coding, kind).items():
            parts[f"{kind}.{name}.values"] = coded.values
            parts[f"{kind}.{name}.codes"] = coded.codes
    for name, numbers in coding.numbers.items():
        parts[f"numbers.{name}"] = numbers
    lists = {name: _as_list(pa.array(part)) for name, part in parts.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table(lists)
        with (
            pa.OSFile(str(unfinished), "wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)
        os.replace(unfinished, path)
    except OSError as error:
        raise IndexFileError(f"cannot write {path}: {error}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


def load(path: Path) -> Coding:
    """The coding that was saved in a file, which is read where and when it is needed.

    Raises:
        IndexFileError: it cannot be read, or is no such file.
    """
    try:
        record: Arrow = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        parts: dict[str, Any] = {name: record.column(name).values for name in record.schema.names}
        arrays = {
            name: part.to_numpy(zero_copy_only=True)
            for name, part in parts.items()
            if pa.types.is_primitive(part.type) and not pa.types.is_boolean(part.type)
        }

        def coded(kind: str) -> dict[str, Coded]:
            names = [
                name.removeprefix(f"{kind}.").removesuffix(".codes")
                for name in arrays
                if name.startswith(f"{kind}.") and name.endswith(".codes")
            ]
            return {
                name: Coded(parts[f"{kind}.{name}.values"], arrays[f"{kind}.{name}.codes"])
                for name in names
            }

        return Coding(
            **{name: arrays[name] for name in _PLAIN if name != "study_uid"},
            facets=coded("facets"),
            columns=coded("columns"),
            numbers={name: arrays[f"numbers.{name}"] for name in _NUMBERS},
            patient_ids=Coded(parts["patient_ids.values"], arrays["patient_ids.codes"]),
            study_uid=parts["study_uid"],
            series_uid=parts["series_uid"],
            uid_hashes=(arrays["uid_hashes.hashes"], arrays["uid_hashes.rows"]),
        )
    except (OSError, KeyError, TypeError, pa.ArrowException) as error:
        raise IndexFileError(f"{path} is no index that was prepared: {error}") from error


#: What is an array itself.
_PLAIN = (
    "group",
    "study",
    "patient",
    "series",
    "files",
    "size_MB",
    "collection_of_patient",
    "study_uid",
)


def _as_list(values: Arrow) -> Arrow:
    """An array as one list."""
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
