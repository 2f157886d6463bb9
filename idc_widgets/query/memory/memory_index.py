"""The index in memory: evaluates conditions as masks, and looks up keys and rows.

A mask is over groups or over series; `encoded` explains what a group is.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..._util import cached_property
from ...index import Bound
from ..duckdb_engine import DuckDBEngine
from ..engine import Scalar
from .arrow import Array, BoolArray, contains, lower_case, to_arrow, to_numpy
from .encoded import EncodedColumn, EncodedIndex
from .integers import LARGEST, integers_of
from .mask import Mask
from .range_values import comparable, is_in_range
from .recent_results import Recent
from .uid_blocks import UidBlocks
from .uid_hashes import find_rows, hash_series_uids, hash_texts

__all__ = ["Maskable", "MemoryIndex"]

#: The number of masks, sets of matching series and counted columns that are kept for later queries.
_MAX_KEPT_MASKS, _MAX_KEPT_MATCHES, _MAX_KEPT_COUNTS = 8, 3, 40

#: The number of lookups of keys that are kept, and the largest number of keys in each.
_MAX_LOOKUPS, _MAX_KEPT_KEYS = 8, 1_000

#: The rows of at most this number of SeriesInstanceUIDs are found in parts of the cache file.
#: For more, all hashes are read and kept, which takes 13 MB.
_MAX_FEW_UIDS = 100

#: If a span of fewer rows in the prepared copy has all wanted rows, only this span is read.
_MAX_SCANNED_ROWS = 100_000


class Maskable(Protocol):
    """A hashable condition that can be evaluated on the index in memory.

    This is a protocol, because `query.filters`, which has the conditions, imports from here.
    """

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the groups or series that fulfill the condition."""
        ...


class MemoryIndex(EncodedIndex):
    """The index in memory, with the lookups and masks that conditions and queries need.

    `memory_index_of` makes it. Its data never change, and it is safe to use from any thread.

    Args:
        engine: The engine that has the index, for columns that are not in memory.
        index: The columns in memory.
    """

    def __init__(self, engine: DuckDBEngine, index: EncodedIndex) -> None:
        vars(self).update(vars(index))
        # A weak reference, so that the memory index of an engine does not keep the engine alive.
        self._engine_reference = weakref.ref(engine)
        self._masks: Recent[Maskable, Mask] = Recent(_MAX_KEPT_MASKS)
        self._weights: Recent[tuple[Maskable, ...], Array] = Recent(_MAX_KEPT_MATCHES)
        self._bins: Recent[tuple[str, tuple[Bound, ...]], Array] = Recent(_MAX_KEPT_MASKS)
        self._lookups: Recent[tuple[str, tuple[Any, ...]], dict[Any, int]] = Recent(_MAX_LOOKUPS)
        self._uid_blocks = UidBlocks()
        self._range_values: dict[str, Array] = {}
        self._row_spans: dict[str, tuple[Array, Array]] = {}
        #: Sets of matching series, which `find_matches` keeps here.
        self.recent_matches: Recent[tuple[Maskable, ...], Any] = Recent(_MAX_KEPT_MATCHES)
        #: Conditions and a column → the counts of its values, which `count_values` keeps here.
        self.recent_counts: Recent[tuple[tuple[Maskable, ...], str], Any] = Recent(_MAX_KEPT_COUNTS)

    @property
    def engine(self) -> DuckDBEngine:
        """The engine that has the index."""
        engine = self._engine_reference()
        assert engine is not None, "callers hold the engine while they query"
        return engine

    def forget_recent(self) -> None:
        """Forget the results of recent queries, so that a benchmark measures the next query."""
        kept = (self._masks, self._weights, self._bins, self._lookups)
        for recent in (*kept, self.recent_matches, self.recent_counts):
            recent.clear()
        self._uid_blocks.clear()

    # --- masks of conditions ---------------------------------------------------------------

    def mask_of(self, condition: Maskable) -> Mask:
        """Return the mask of a condition; keep recent masks."""
        return self._masks.get(condition, lambda: condition.mask(self))

    def mask_of_everything(self) -> Mask:
        """Return a mask of all series."""
        return Mask(self, np.ones(self.group_count, dtype=bool), True)

    def mask_of_values(self, column: str, values: Sequence[Scalar]) -> Mask | None:
        """Return the series with one of these values in a column; None is a missing value.

        Returns:
            The mask, or None if the column is not in memory.
        """
        if column in self.group_columns:
            return self.mask_of_facet(column, values)
        if column in self.series_columns:
            encoded = self.series_columns[column]
            return Mask(self, encoded.codes_in(values)[encoded.codes], False)
        if column in self.series_numbers:
            numbers = self.series_numbers[column]
            flags = np.isin(numbers, [value for value in values if value is not None])
            if None in values:
                flags |= np.isnan(numbers)
            return Mask(self, flags, False)
        texts = [value for value in values if isinstance(value, str)]
        if column == "StudyInstanceUID":
            is_wanted = np.zeros(self.study_count, dtype=bool)
            is_wanted[list(self.number_by_key("study", texts).values())] = True
            return Mask(self, is_wanted[self.study_of_series], False)
        if column == "PatientID":
            is_wanted = self.patient_ids.codes_in(values)[self.patient_ids.codes]
            return Mask(self, is_wanted[self.patient_of_group], True)
        if column == "SeriesInstanceUID":
            flags = np.zeros(self.series_count, dtype=bool)
            rows = self.rows_of_series(texts)
            flags[rows[rows >= 0]] = True
            return Mask(self, flags, False)
        return None

    def mask_of_facet(self, column: str, values: Iterable[Scalar]) -> Mask:
        """Return the groups with one of these values of a facet; None is a missing value."""
        encoded = self.group_columns[column]
        return Mask(self, encoded.codes_in(values)[encoded.codes], True)

    def mask_of_range(self, column: str, low: Scalar, high: Scalar) -> Mask | None:
        """Return the series within a closed range of a column; None as an end leaves it open.

        Returns:
            The mask, or None if the column is not in memory.
        """
        if column in self.series_numbers:
            return Mask(self, is_in_range(self.series_numbers[column], low, high), False)
        encoded = self.encoded(column)
        if encoded is None:
            return None
        is_wanted = np.append(is_in_range(self.range_values(column), low, high), False)
        return Mask(self, is_wanted[encoded.codes], column in self.group_columns)

    def mask_of_word(self, word: str, collections: Collection[str]) -> Mask:
        """Return the series with a word in their texts, and all series of these collections.

        Args:
            word: The word in lower case; it may be any part of the text.
            collections: The collections whose names have the word.
        """
        collection = self.group_columns["collection_id"]
        in_collection = collection.codes_in(collections) | _codes_with(collection, word)
        in_id = _codes_with(self.patient_ids, word)
        in_id = in_id[self.patient_ids.codes]
        per_group = in_collection[collection.codes] | in_id[self.patient_of_group]
        flags = Mask(self, per_group, True).per_series
        for name in ("StudyDescription", "SeriesDescription"):
            encoded = self.series_columns[name]
            has_word = _codes_with(encoded, word)
            if has_word.any():
                flags = flags | has_word[encoded.codes]
        return Mask(self, flags, False)

    def mask_of_uid_part(self, part: str) -> Mask:
        """Return the series whose UID, or whose study's UID, contains this lower-case text."""
        study_uids, series_uid = self.study_uids, "SeriesInstanceUID"
        if not self.has_plain_uids:
            study_uids, series_uid = lower_case(study_uids), f"lower({series_uid})"
        in_study = contains(study_uids, part)
        in_series = self.mask_of_sql(f"contains({series_uid}, ?)", [part])
        return Mask(self, in_study[self.study_of_series] | in_series.flags, False)

    def mask_of_patients(self, keys: Collection[tuple[str, str]]) -> Mask:
        """Return the series of the patients with these keys (collection_id, PatientID)."""
        is_wanted = np.zeros(self.patient_count, dtype=bool)
        is_wanted[list(self.number_by_key("patient", keys).values())] = True
        return Mask(self, is_wanted[self.patient_of_group], True)

    def mask_of_sql(self, condition: str, params: Sequence[object]) -> Mask:
        """Return the series that fulfill an SQL condition, for columns that are not in memory."""
        flags = np.zeros(self.series_count, dtype=bool)
        rows = self.engine.query(f"SELECT _row FROM _rows WHERE {condition}", params).column(0)
        for chunk in rows.chunks:
            flags[to_numpy(chunk)] = True
        return Mask(self, flags, False)

    def mask_of_same(self, level: str, mask: Mask) -> Mask:
        """Return all series that have the same study, or the same patient, as a series in a mask.

        Args:
            level: "patient" or "study".
            mask: The mask.
        """
        if level == "study":
            is_wanted = np.zeros(self.study_count, dtype=bool)
            is_wanted[self.study_of_series[mask.per_series]] = True
            return Mask(self, is_wanted[self.study_of_series], False)
        groups = mask.flags if mask.is_per_group else self.group_of_series[mask.flags]
        is_wanted = np.zeros(self.patient_count, dtype=bool)
        is_wanted[self.patient_of_group[groups]] = True
        return Mask(self, is_wanted[self.patient_of_group], True)

    def flags_of_all(self, conditions: Sequence[Maskable]) -> BoolArray:
        """Return one flag per series: True if all conditions hold. There must be a condition."""
        flags = [self.mask_of(condition).per_series for condition in conditions]
        return reduce(np.logical_and, flags)

    def matching_per_group(self, conditions: Sequence[Maskable]) -> Array:
        """Return the number of matching series per group; keep recent results.

        Args:
            conditions: The conditions that the series must fulfill; their masks are per series.
        """
        if not conditions:
            return self.series_per_group

        def count() -> Array:
            groups = self.group_of_series[np.flatnonzero(self.flags_of_all(conditions))]
            return np.bincount(groups, minlength=self.group_count).astype(np.int32)

        return self._weights.get(tuple(conditions), count)

    # --- values ----------------------------------------------------------------------------

    def range_values(self, column: str) -> Array:
        """Return the distinct values of an encoded column, converted for comparison with a range.

        They are years (float) for PatientAge, texts (objects) for dates, and otherwise numbers.
        """
        values = self._range_values.get(column)
        if values is None:
            encoded = self.encoded(column)
            assert encoded is not None, "callers know that the column is encoded"
            if pa.types.is_integer(encoded.values.type):
                values = to_numpy(encoded.values)
            else:
                values = comparable(column, encoded.value_of_code[:-1])
            self._range_values[column] = values
        return values

    def bin_of_series(self, column: str, inner_edges: tuple[Bound, ...]) -> Array:
        """Return the bin of each series in a column of numbers; keep recent results.

        Bins are numbered from 0. A missing value is in a further bin after the last one.
        """

        def make() -> Array:
            numbers, edges = self.series_numbers[column], np.asarray(inner_edges, dtype=float)
            bins = np.searchsorted(edges, numbers, side="right")
            bins[np.isnan(numbers)] = len(edges) + 1
            return bins.astype(np.min_scalar_type(len(edges) + 1))

        return self._bins.get((column, inner_edges), make)

    def texts_in_column(self, column: str, texts: Sequence[str]) -> set[str] | None:
        """Return those of the texts that occur in a column; None if it is not in memory."""
        level = {"StudyInstanceUID": "study", "SeriesInstanceUID": "series"}.get(column)
        if level is not None:
            return set(self.number_by_key(level, texts))
        encoded = self.patient_ids if column == "PatientID" else self.encoded(column)
        if encoded is None:
            return None
        return set(encoded.values.filter(pc.is_in(encoded.values, to_arrow(texts))).to_pylist())

    # --- keys and rows ---------------------------------------------------------------------

    def number_by_key(self, level: str, keys: Collection[Any]) -> Mapping[Any, int]:
        """Return key → number of the patient or study, or row of the series; skip unknown keys.

        The results for few keys are kept, as a click asks for the same keys several times.
        """
        if not keys:
            return {}
        if len(keys) > _MAX_KEPT_KEYS:
            return self._look_up(level, keys)
        return self._lookups.get((level, tuple(keys)), lambda: self._look_up(level, keys))

    def _look_up(self, level: str, keys: Collection[Any]) -> dict[Any, int]:
        if level == "series":
            rows = self.rows_of_series(list(keys)).tolist()
            return {key: row for key, row in zip(keys, rows, strict=True) if row >= 0}
        if level == "study":
            places = np.flatnonzero(to_numpy(pc.is_in(self.study_uids, to_arrow(list(keys)))))
            return dict(zip(self.keys_of(level, places), places.tolist(), strict=True))
        wanted = set(keys)
        is_wanted_id = self.patient_ids.codes_in(patient_id for _, patient_id in wanted)
        places = np.flatnonzero(is_wanted_id[self.patient_ids.codes])
        by_key = dict(zip(self.keys_of("patient", places), places.tolist(), strict=True))
        return {key: number for key, number in by_key.items() if key in wanted}

    def keys_of(self, level: str, numbers: Array) -> list[Any]:
        """Return the keys of patients or studies by their numbers, or of series by their rows."""
        if level == "series":
            return self.series_uids_of(numbers)
        if level == "study":
            return list(self.study_uids.take(to_arrow(numbers)).to_pylist())
        names = self.group_columns["collection_id"].value_of_code
        collections = [names[code] for code in self.collection_of_patient[numbers].tolist()]
        ids = self.patient_ids.decode(self.patient_ids.codes[numbers])
        return list(zip(collections, ids, strict=True))

    def rows_of_series(self, uids: Sequence[str]) -> Array:
        """Return the row of each SeriesInstanceUID; -1 for an unknown one.

        UIDs are compared by 64-bit hashes: among a million series, an unknown UID is taken for a
        known one with a probability of 1 in 10^13.
        """
        if not uids:
            return np.zeros(0, dtype=np.int64)
        # DuckDB rejects text that is not valid Unicode. No UID in a database is such a text.
        texts = [uid.encode(errors="replace").decode() for uid in uids]
        wanted = hash_texts(self.engine, "uid", "(SELECT unnest(?) AS uid)", [texts])
        if self.rows_of_few is not None and len(uids) <= _MAX_FEW_UIDS:
            rows = self.rows_of_few(wanted)
            if rows is not None:
                return rows
        if self.uid_hashes is None:
            self.uid_hashes = hash_series_uids(self.engine)
        return find_rows(*self.uid_hashes, wanted)

    def series_uids_of(self, rows: Array) -> list[str]:
        """Return the SeriesInstanceUIDs of these rows, in their order."""
        uids = None if self.uids_of is None else self.uids_of(rows)
        if uids is not None:
            return uids
        uids = self._uid_blocks.uids_of(self.engine, rows)
        if uids is not None:
            return uids
        return self.read_columns(rows, ["SeriesInstanceUID"])["SeriesInstanceUID"]

    def read_columns(self, rows: Array, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Return columns of the table "index" for these rows, in their order, by SQL."""
        source, params = "_rows", []
        if len(rows) and self.engine.opened.is_prepared:  # small row groups can be skipped
            first, last = int(rows.min()), int(rows.max())
            if last - first < _MAX_SCANNED_ROWS:
                source, params = "(SELECT * FROM _rows WHERE _row BETWEEN ? AND ?)", [first, last]
        table = self.engine.query(
            f"SELECT {', '.join(columns)} FROM {source} JOIN"
            " (SELECT unnest(?) AS id, unnest(?) AS position) AS wanted"
            " ON _row = wanted.id ORDER BY position",
            [*params, rows.tolist(), list(range(len(rows)))],
        )
        return {column: list(table.column(column).to_pylist()) for column in columns}

    def rank_in_file(self, column: str) -> Array:
        """Return the rank of each row's value in a column of the table "index"; -1 if missing."""
        table = self.engine.query(
            f"SELECT CASE WHEN {column} IS NULL THEN -1 ELSE dense_rank() OVER (ORDER BY {column})"
            " END AS rank, _row FROM _rows"
        )
        rank = np.empty(self.series_count, dtype=np.int64)
        ranks, rows = (table.column(name).combine_chunks() for name in ("rank", "_row"))
        rank[to_numpy(rows)] = to_numpy(ranks)
        return rank

    def first_and_last_row(self, level: str) -> tuple[Array, Array]:
        """Return the first and the last row of each patient or study.

        Not all rows between these two belong to the same patient or study.
        """
        spans = self._row_spans.get(level)
        if spans is None:
            if level == "patient":
                owner, count = self.patient_of_group[self.group_of_series], self.patient_count
            else:
                owner, count = self.study_of_series, self.study_count
            rows = np.arange(self.series_count, dtype=np.int32)
            first, last = (np.zeros(count, dtype=np.int32) for _ in range(2))
            last[owner] = rows
            first[owner[::-1]] = rows[::-1]
            spans = self._row_spans[level] = first, last
        return spans

    # --- studies whose series differ --------------------------------------------------------

    @cached_property
    def patient_of_study(self) -> Array:
        """The patient of each study, int32; of several patients, the one with the lowest number."""
        return self._study_attributes[0]

    @cached_property
    def studies_of_several_patients(self) -> Array:
        """The numbers of the studies that have several patients, in ascending order."""
        return self._study_attributes[1]

    @cached_property
    def study_is_varied(self) -> BoolArray:
        """True per study whose series differ in patient, date or description."""
        return self._study_attributes[2]

    @cached_property
    def _study_attributes(self) -> tuple[Array, Array, BoolArray]:
        studies, (first_row, _) = self.study_of_series, self.first_and_last_row("study")
        patient_of_series = self.patient_of_group[self.group_of_series]
        patient_of_study = patient_of_series[first_row]
        is_odd = patient_of_series != patient_of_study[studies]
        np.minimum.at(patient_of_study, studies[is_odd], patient_of_series[is_odd])
        has_several_patients = np.zeros(self.study_count, dtype=bool)
        has_several_patients[studies[is_odd]] = True
        is_varied = has_several_patients.copy()
        for name in ("StudyDate", "StudyDescription"):
            codes = self.series_columns[name].codes
            is_varied[studies[codes != codes[first_row][studies]]] = True
        return patient_of_study, np.flatnonzero(has_several_patients), is_varied

    @cached_property
    def is_sorted_by_patient(self) -> bool:
        """Whether the rows of the index are sorted by the number of their patient, as IDC's are."""
        patient_of_series = self.patient_of_group[self.group_of_series]
        return bool((patient_of_series[1:] >= patient_of_series[:-1]).all())

    @cached_property
    def integer_of_series_number(self) -> Array:
        """Code of SeriesNumber → its value as int64; the largest int64 if it is not an integer."""
        integers = integers_of(self.engine, self.series_columns["SeriesNumber"].values)
        return np.append(integers, LARGEST)

    @cached_property
    def has_plain_uids(self) -> bool:
        """Whether all UIDs consist only of digits and dots, as DICOM demands."""
        if not self.engine.index.is_own:
            return True
        if to_numpy(pc.match_substring_regex(self.study_uids, "[^0-9.]")).any():
            return False
        [(is_plain,)] = self.engine.rows(
            "SELECT NOT coalesce(bool_or(regexp_matches(SeriesInstanceUID, '[^0-9.]')), false)"
            " FROM index"
        )
        return bool(is_plain)


def _codes_with(encoded: EncodedColumn, part: str) -> BoolArray:
    """Return, for each code of a column, whether its value has this lower-case part."""
    return np.append(contains(encoded.lower_case_values, part), False)
