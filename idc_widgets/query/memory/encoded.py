"""The index as dictionary-encoded columns: the data behind the in-memory index.

A column with few distinct values is held as *codes*. A code is the place of a value among the
sorted distinct values of the column. The columns of facets are the same for many series of a
patient. A *group* is one combination of a patient and the values of all facets. IDC has a fifth as
many groups as series, and facets are counted over groups. The other columns (dates, sizes,
descriptions, studies) are held per series, in the order of the rows in the index.
docs/performance.md compares this with other layouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..._util import cached_property
from ..engine import Scalar
from .arrow import Array, ArrowArray, BoolArray, lower_case, to_arrow, to_numpy, values_and_gaps

__all__ = ["EncodedColumn", "EncodedIndex", "UnreadMapping", "ValuePatientPairs", "encode"]

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class EncodedColumn:
    """A column as codes.

    Args:
        values: The distinct values in ascending order.
        codes: For each series, group or patient, the place of its value in `values`;
            ``len(values)`` for a missing value.
    """

    values: ArrowArray
    codes: Array

    @property
    def missing_code(self) -> int:
        """The code of a missing value."""
        return len(self.values)

    def codes_in(self, wanted: Iterable[Scalar]) -> BoolArray:
        """Return a Boolean mask over codes: True if the value of the code is wanted.

        Args:
            wanted: The wanted values; None stands for a missing value.
        """
        mask = np.zeros(len(self.values) + 1, dtype=bool)
        present = []
        for value in wanted:
            if value is None:
                mask[self.missing_code] = True
            else:
                present.append(value)
        if pa.types.is_string(self.values.type):
            texts = [value for value in present if isinstance(value, str)]
            mask[:-1] |= to_numpy(pc.is_in(self.values, to_arrow(texts)))
        else:
            mask[:-1] |= np.isin(to_numpy(self.values), present)
        return mask

    def decode(self, codes: Array) -> list[Any]:
        """Return the values of codes as Python values, with None for a missing value."""
        missing = codes == self.missing_code
        if not missing.any():
            return list(self.values.take(to_arrow(codes)).to_pylist())
        values: list[Any] = [None] * len(codes)
        for place, value in zip(
            np.flatnonzero(~missing).tolist(), self.decode(codes[~missing]), strict=True
        ):
            values[place] = value
        return values

    @cached_property
    def value_of_code(self) -> list[Any]:
        """The value of each code as a Python value; the last one is None."""
        return [*self.values.to_pylist(), None]

    @cached_property
    def lower_case_values(self) -> ArrowArray:
        """The distinct values in lower case, for the text search."""
        return lower_case(self.values)

    @cached_property
    def number_of_code(self) -> Array:
        """The text of each code as a number (float); infinity if it is not a number."""
        return np.array([_number(text) for text in self.value_of_code])


class ValuePatientPairs(NamedTuple):
    """The distinct pairs (value, patient) of a facet.

    A value has as many patients as it has pairs.

    Args:
        pair_of_group: The number of the pair of each group.
        code_of_pair: The code of the value of each pair.
    """

    pair_of_group: Array
    code_of_pair: Array


class UnreadMapping(Mapping[str, _Value]):
    """A mapping whose values are read at their first use.

    Args:
        names: The keys.
        read: Reads the value of a key.

    >>> lengths = UnreadMapping(["CT"], len)
    >>> lengths["CT"], "MR" in lengths
    (2, False)
    """

    def __init__(self, names: Iterable[str], read: Callable[[str], _Value]) -> None:
        self._names, self._read = tuple(names), read
        self._values: dict[str, _Value] = {}

    def __getitem__(self, name: str) -> _Value:
        if name not in self._values:
            if name not in self._names:
                raise KeyError(name)
            self._values[name] = self._read(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass
class EncodedIndex:
    """The columns of an index that most queries use, as numbers.

    Patients are numbered by (collection_id, PatientID). Studies are numbered in the order of
    patient, date, description and StudyInstanceUID. If the series of a study differ in one of
    these, their lowest value counts. An array has one element per series if its name ends in
    ``of_series``, one per group if it ends in ``per_group``, and so on.

    Args:
        group_of_series: The group of each series, int32.
        study_of_series: The study of each series, int32.
        patient_of_group: The patient of each group, int32.
        series_per_group: The number of series of each group, int32.
        files_per_group: The number of files of these series, int64.
        size_MB_per_group: The size of these files in MB (10^6 bytes), float64.
        group_columns: Facet → its column, with a code per group.
        value_patient_pairs: Facet → its pairs of a value and a patient.
        series_columns: Name → a column of dates or texts, with a code per series.
        series_numbers: Name → a column of numbers per series; NaN for a missing value.
        collection_of_patient: The code of the collection of each patient; see
            ``group_columns["collection_id"]``.
        patient_ids: The PatientIDs, with a code per patient.
        study_uids: The StudyInstanceUIDs, by number of the study.
        uids_of: Returns the SeriesInstanceUIDs of rows, or None if they cannot be read. This
            argument is None if the index was not loaded from a file.
        rows_of_few: Returns the rows of a few SeriesInstanceUIDs by their hashes, or None if they
            cannot be read; -1 for an unknown hash. This argument is None if the index was not
            loaded from a file.
        uid_hashes: The hashes of all SeriesInstanceUIDs in ascending order, and their rows; None
            until they are needed.
    """

    group_of_series: Array
    study_of_series: Array
    patient_of_group: Array
    series_per_group: Array
    files_per_group: Array
    size_MB_per_group: Array
    group_columns: dict[str, EncodedColumn]
    value_patient_pairs: Mapping[str, ValuePatientPairs]
    series_columns: Mapping[str, EncodedColumn]
    series_numbers: Mapping[str, Array]
    collection_of_patient: Array
    patient_ids: EncodedColumn
    study_uids: ArrowArray
    uids_of: Callable[[Array], list[str] | None] | None
    rows_of_few: Callable[[Array], Array | None] | None
    uid_hashes: tuple[Array, Array] | None
    #: Attribute → the function that reads it from the cache file; see `__getattr__`.
    unread: Mapping[str, Callable[[], Any]] = field(default_factory=dict, repr=False)

    if not TYPE_CHECKING:  # so that mypy still reports attributes that do not exist

        def __getattr__(self, name: str) -> Any:
            """Read an attribute from the cache file at its first use."""
            read = vars(self).get("unread", {}).get(name)
            if read is None:
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
            value = vars(self)[name] = read()
            return value

    @property
    def series_count(self) -> int:
        """The number of series."""
        return len(self.group_of_series)

    @property
    def group_count(self) -> int:
        """The number of groups."""
        return len(self.patient_of_group)

    @property
    def patient_count(self) -> int:
        """The number of patients."""
        return len(self.collection_of_patient)

    @property
    def study_count(self) -> int:
        """The number of studies."""
        return len(self.study_uids)

    def is_encoded(self, column: str) -> bool:
        """Return whether a column can be passed to `encoded_rows`."""
        return column == "PatientID" or self.encoded(column) is not None

    def encoded_rows(self, column: str, rows: Array) -> tuple[EncodedColumn, Array]:
        """Return an encoded column, and the codes of these rows in it."""
        if column in self.series_columns:
            encoded = self.series_columns[column]
            return encoded, encoded.codes[rows]
        if column == "PatientID":
            return self.patient_ids, self.patient_ids.codes[self.patient_of_rows(rows)]
        encoded = self.group_columns[column]
        return encoded, encoded.codes[self.group_of_series[rows]]

    def patient_of_rows(self, rows: Array) -> Array:
        """Return the number of the patient of each row."""
        return self.patient_of_group[self.group_of_series[rows]]

    def count(self, level: str) -> int:
        """Return the number of patients, studies or series of the index."""
        counts = {
            "patient": self.patient_count,
            "study": self.study_count,
            "series": self.series_count,
        }
        return counts[level]

    def encoded(self, column: str) -> EncodedColumn | None:
        """Return a column that has codes per group or per series; None for any other column."""
        return self.group_columns.get(column) or self.series_columns.get(column)


def encode(column: ArrowArray) -> EncodedColumn:
    """Encode a chunked Arrow column, which may be dictionary-encoded already."""
    if not column.num_chunks:
        return EncodedColumn(to_arrow([]), np.zeros(0, dtype=np.uint8))
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    values = column.chunk(0).dictionary
    order = to_numpy(pc.sort_indices(values))
    missing_code = len(values)
    code_type = np.min_scalar_type(missing_code)
    rank = np.empty(missing_code + 1, dtype=code_type)
    rank[order] = np.arange(missing_code, dtype=code_type)
    rank[missing_code] = missing_code
    codes = []
    for chunk in column.chunks:
        places = values_and_gaps(chunk.indices)
        if chunk.null_count:
            places = np.where(to_numpy(chunk.is_null()), missing_code, places)
        codes.append(rank[places])
    return EncodedColumn(values.take(to_arrow(order)), np.concatenate(codes))


def _number(text: str | None) -> float:
    try:
        number = float(text or "inf")
    except ValueError:
        number = math.inf
    return number if math.isfinite(number) else math.inf
