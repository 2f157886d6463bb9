"""Reads the index into codes: what `MemoryIndex` answers questions from, and a file that keeps it.

Columns of few values are held as codes (the place of the value among the sorted values of the
column). The facets' columns are the same for many series of a patient: a *group* is one combination
of a patient and the values of all facets, of which IDC has a fifth as many as series. Facets are
counted over groups; what tells series apart (dates, sizes, descriptions, studies) is held a series,
which has the number of its row in the index. See docs/performance.md for what was tried.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
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

from ..._util import is_non_commercial
from ...errors import IndexFileError
from ..duckdb_engine import DuckDBEngine
from ..engine import Scalar

__all__ = [
    "Array",
    "Arrow",
    "EncodedColumn",
    "EncodedIndex",
    "Flags",
    "hashed",
    "load",
    "numbered",
    "read_index",
    "save",
    "to_arrow",
    "to_numpy",
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

_NO_HASHES = np.zeros(0, dtype=np.uint64)


#: One reads at a time, as all share the allocator.
_reading = threading.Lock()

_FALSE_AND_TRUE: Arrow = pa.Array.from_buffers(pa.bool_(), 2, [None, pa.py_buffer(b"\x02")])


@dataclass(frozen=True)
class EncodedColumn:
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
            texts = [value for value in present if isinstance(value, str)]
            found[:-1] |= to_numpy(pc.is_in(self.values, to_arrow(texts)))
        else:
            found[:-1] |= np.isin(to_numpy(self.values), present)
        return found

    def take(self, codes: Array) -> list[Any]:
        """The values of these codes; None for missing."""
        missing = codes == self.missing
        if not missing.any():
            return list(self.values.take(to_arrow(codes)).to_pylist())
        values: list[Any] = [None] * len(codes)
        for place, value in zip(
            np.flatnonzero(~missing).tolist(), self.take(codes[~missing]), strict=True
        ):
            values[place] = value
        return values

    @cached_property
    def texts(self) -> list[Any]:
        """Code → value, as Python values."""
        return [*self.values.to_pylist(), None]

    @cached_property
    def lower(self) -> Arrow:
        """The values in lower case, for searching."""
        return pc.utf8_lower(self.values)

    @cached_property
    def whole_numbers(self) -> Array:
        """Of each code, the number that its text is; infinite if it is none."""
        return np.array([_number(text) for text in self.texts])


@dataclass
class EncodedIndex:
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
    facets: dict[str, EncodedColumn]
    #: The pairs of a facet's value and a patient: of each group its pair, of each pair the value.
    pairs: dict[str, tuple[Array, Array]]
    #: Of each series, dates and descriptions; and numbers, NaN where missing.
    columns: dict[str, EncodedColumn]
    numbers: dict[str, Array]
    #: Of each patient, the code of the collection, and the PatientID.
    collection_of_patient: Array
    patient_ids: EncodedColumn
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


def read_index(engine: DuckDBEngine) -> EncodedIndex:
    """Reads what questions are mostly about; about a second for IDC's index."""
    # Arrow's own allocators would keep 70 MB of what is needed for reading only. Meanwhile other
    # threads allocate there too, which does no harm: every buffer goes back to where it is from.
    with _reading:
        usual = pa.default_memory_pool()
        pa.set_memory_pool(pa.system_memory_pool())
        try:
            coding = _read_index(engine)
        finally:
            pa.set_memory_pool(usual)
    with suppress(OSError, AttributeError):  # glibc only
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return coding


def _read_index(engine: DuckDBEngine) -> EncodedIndex:
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
    facets = {name: EncodedColumn(one.values, one.codes[first]) for name, one in of_series.items()}
    licenses = facets["license_short_name"]
    allowed = [not is_non_commercial(license) for license in licenses.texts[:-1]]
    commercial = np.array([*allowed, 2], dtype=np.uint8)
    facets["commercial_use"] = EncodedColumn(_FALSE_AND_TRUE, commercial[licenses.codes])

    uid_hashes = None
    if engine.index.is_own:
        uid_hashes = hashes_and_rows(engine)
        _refuse_repeated(engine, *uid_hashes)
    study, study_uid = _studies(read.coded("StudyInstanceUID"), patient, columns)
    files = np.nan_to_num(numbers["instanceCount"])
    of_group = (groups % max(len(patients), 1)).astype(np.int32)
    return EncodedIndex(
        group=group,
        study=study,
        patient=of_group,
        series=np.bincount(group, minlength=count).astype(np.int32),
        files=np.bincount(group, files, count).astype(np.int64),
        size_MB=np.bincount(group, np.nan_to_num(numbers["series_size_MB"]), count).astype(float),
        facets=facets,
        pairs={name: _pairs(one.codes, of_group, len(patients)) for name, one in facets.items()},
        columns=columns,
        numbers=numbers,
        collection_of_patient=(patients // many).astype(collection.codes.dtype),
        patient_ids=EncodedColumn(patient_id.values, (patients % many).astype(np.int32)),
        study_uid=study_uid,
        uid_hashes=uid_hashes,
    )


def hashes_and_rows(engine: DuckDBEngine) -> tuple[Array, Array]:
    """The hashes of all SeriesInstanceUIDs in order, and their rows."""
    hashes = hashed(engine, "SeriesInstanceUID", "index")
    rows = np.argsort(hashes).astype(np.int32)
    return hashes[rows], rows


def _refuse_repeated(engine: DuckDBEngine, hashes: Array, rows: Array) -> None:
    """Raises if a table of one's own has a series twice: all counts would be of something else.

    Raises:
        IndexFileError: it has; the series is named.
    """
    repeated = np.flatnonzero(hashes[1:] == hashes[:-1])
    if len(repeated):
        [(uid,)] = engine.rows(
            "SELECT SeriesInstanceUID FROM _rows WHERE _row = ?", [int(rows[repeated[0]])]
        )
        raise IndexFileError(
            f"{engine.data_version} has the series {uid!r} in several rows; "
            "expected one row a series"
        )


def hashed(engine: DuckDBEngine, column: str, table: str, params: Sequence[object] = ()) -> Array:
    """64-bit hashes of a column of texts."""
    found = engine.query(f"SELECT md5_number_lower({column}) FROM {table}", params)
    return np.concatenate([to_numpy(chunk) for chunk in found.column(0).chunks] or [_NO_HASHES])


def _groups(
    columns: Mapping[str, EncodedColumn], patient: Array, patients: int
) -> tuple[Array, Array]:
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


def _pairs(codes: Array, patient: Array, patients: int) -> tuple[Array, Array]:
    keys, pair = numbered(codes.astype(np.int64) * patients + patient)
    return pair, (keys // max(patients, 1)).astype(codes.dtype)


def _studies(
    uid: EncodedColumn, patient: Array, columns: Mapping[str, EncodedColumn]
) -> tuple[Array, Arrow]:
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
    return rank[uid.codes], uid.values.take(to_arrow(order))


# --- reading -------------------------------------------------------------------------------


class _Reader:
    """The columns of the index, one after the other, so that little is held beside the codes."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        path = engine.plain_parquet
        self._file = None
        if path is not None:
            coded = [*_OF_GROUPS, *_OF_SERIES, "PatientID", "StudyInstanceUID"]
            # Mapped, as what is read otherwise stays with an allocator that cannot be chosen.
            self._file = pq.ParquetFile(path, read_dictionary=coded, memory_map=True)

    def coded(self, name: str) -> EncodedColumn:
        """A column as codes."""
        if self._file is not None:
            # Parquet has dictionaries of its own, which Arrow can hand over.
            # In this thread: others would keep what they needed for it.
            return _coded(self._file.read([name], use_threads=False).column(0))
        batches = self._engine.batches(f"SELECT {name} FROM index")
        encoded = [batch.column(0).dictionary_encode() for batch in batches]
        return _coded(pa.chunked_array(encoded)) if encoded else _NOTHING

    def number(self, name: str) -> Array:
        """A column of numbers; NaN is missing."""
        if self._file is not None:
            column = self._file.read([name], use_threads=False).column(0)
        else:
            column = self._engine.query(f"SELECT {name} FROM index").column(0)
        if column.null_count:
            missing = np.concatenate([to_numpy(chunk.is_null()) for chunk in column.chunks])
            numbers = np.concatenate([_bare(chunk).astype(float) for chunk in column.chunks])
            numbers[missing] = np.nan
            return numbers
        numbers = np.concatenate([_bare(chunk) for chunk in column.chunks] or [np.zeros(0)])
        highest = int(numbers.max(initial=0)) if numbers.dtype.kind == "i" else None
        return numbers.astype(np.int32) if highest is not None and highest < 2**31 else numbers


def _coded(column: Arrow) -> EncodedColumn:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    values = column.chunk(0).dictionary
    order = to_numpy(pc.sort_indices(values))
    many = len(values)
    kind = np.min_scalar_type(many)
    rank = np.empty(many + 1, dtype=kind)
    rank[order] = np.arange(many, dtype=kind)
    rank[many] = many
    codes = []
    for chunk in column.chunks:
        places = _bare(chunk.indices)
        if chunk.null_count:
            places = np.where(to_numpy(chunk.is_null()), many, places)
        codes.append(rank[places])
    return EncodedColumn(values.take(to_arrow(order)), np.concatenate(codes))


# --- between Arrow and numpy ---------------------------------------------------------------
#
# Not by pa.array() and to_numpy(): these import pandas, which takes 45 MB and a third of a second.


def to_numpy(array: Arrow) -> Array:
    """An array of numbers or flags in which nothing is missing."""
    if array.null_count:
        raise ValueError("missing values have no place in a numpy array")
    return _bare(array)


def _bare(array: Arrow) -> Array:
    """The same, whatever stands where something is missing."""
    buffer, start, stop = array.buffers()[1], array.offset, array.offset + len(array)
    if buffer is None:  # of no elements
        return np.zeros(len(array), dtype=array.type.to_pandas_dtype())
    if pa.types.is_boolean(array.type):
        bits = np.unpackbits(np.frombuffer(buffer, dtype=np.uint8), bitorder="little")
        return bits[start:stop].astype(bool)
    return np.frombuffer(buffer, dtype=array.type.to_pandas_dtype())[start:stop]


def to_arrow(values: Array | Sequence[str]) -> Arrow:
    """An array of numbers, or texts, as Arrow has it."""
    if isinstance(values, np.ndarray):
        contiguous: Any = np.ascontiguousarray(values)
        kind = pa.from_numpy_dtype(values.dtype)
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(contiguous)])
    encoded = [value.encode(errors="surrogatepass") for value in values]
    ends: Any = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


_NOTHING = EncodedColumn(to_arrow([]), np.zeros(0, dtype=np.uint8))


def numbered(keys: Array) -> tuple[Array, Array]:
    """The distinct keys in order, and of each key its place among them."""
    encoded = to_arrow(keys).dictionary_encode()
    distinct = to_numpy(encoded.dictionary)
    order = np.argsort(distinct)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return distinct[order], rank[to_numpy(encoded.indices)]


# --- a coding in a file --------------------------------------------------------------------
#
# One Arrow IPC file with one record, whose fields are lists: the arrays of the coding, by name.
# Read through a memory map, they take no time to open, only what is looked at is in memory, and all
# kernels on a machine share it.


def save(engine: DuckDBEngine, coding: EncodedIndex, path: Path) -> None:
    """Writes a coding to a file, all or nothing, with the texts and hashes of all UIDs.

    Raises:
        IndexFileError: it cannot be written.
    """
    uid = engine.query("SELECT SeriesInstanceUID FROM index").column(0).combine_chunks()
    hashes, rows = hashes_and_rows(engine)
    parts: dict[str, Any] = {
        "series_uid": uid if isinstance(uid, pa.Array) else uid.chunk(0),
        "uid_hashes.hashes": hashes,
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
    for name, (pair, value) in coding.pairs.items():
        parts[f"pairs.{name}.pair"], parts[f"pairs.{name}.value"] = pair, value
    for name, numbers in coding.numbers.items():
        parts[f"numbers.{name}"] = numbers
    lists = {name: _as_list(part) for name, part in parts.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
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


def load(path: Path) -> EncodedIndex:
    """The coding that was saved in a file, which is read where and when it is needed.

    Raises:
        IndexFileError: it cannot be read, or is no such file.
    """
    try:
        record: Arrow = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        parts: dict[str, Any] = {name: record.column(name).values for name in record.schema.names}
        arrays = {
            name: to_numpy(part)
            for name, part in parts.items()
            if pa.types.is_primitive(part.type) and not pa.types.is_boolean(part.type)
        }

        def coded(kind: str) -> dict[str, EncodedColumn]:
            names = [
                name.removeprefix(f"{kind}.").removesuffix(".codes")
                for name in arrays
                if name.startswith(f"{kind}.") and name.endswith(".codes")
            ]
            return {
                name: EncodedColumn(parts[f"{kind}.{name}.values"], arrays[f"{kind}.{name}.codes"])
                for name in names
            }

        coding = EncodedIndex(
            **{name: arrays[name] for name in _PLAIN if name != "study_uid"},
            facets=coded("facets"),
            pairs={
                name: (arrays[f"pairs.{name}.pair"], arrays[f"pairs.{name}.value"])
                for name in coded("facets")
            },
            columns=coded("columns"),
            numbers={name: arrays[f"numbers.{name}"] for name in _NUMBERS},
            patient_ids=EncodedColumn(parts["patient_ids.values"], arrays["patient_ids.codes"]),
            study_uid=parts["study_uid"],
            series_uid=parts["series_uid"],
            uid_hashes=(arrays["uid_hashes.hashes"], arrays["uid_hashes.rows"]),
        )
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        # Of another kind, cut off or damaged; pyarrow's own errors are among these.
        raise IndexFileError(f"{path} is no index that was prepared: {error}") from error
    of_series = [coding.study, *coding.numbers.values()]
    of_series += [one.codes for one in coding.columns.values()]
    of_groups = [coding.series, coding.files, *(one.codes for one in coding.facets.values())]
    if {len(one) for one in of_series} != {coding.series_count} or {
        len(one) for one in of_groups
    } != {coding.group_count}:
        raise IndexFileError(f"{path} is damaged: its columns differ in length")
    return coding


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


def _as_list(values: Array | Arrow) -> Arrow:
    """An array as one list."""
    if isinstance(values, np.ndarray):
        values = to_arrow(values)
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)


def _number(text: str | None) -> float:
    try:
        number = float(text or "inf")
    except ValueError:
        number = math.inf
    return number if math.isfinite(number) else math.inf
