"""The series that fulfill some conditions: their patients, studies, counts and histograms."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from ..._util import cached_property
from ...index import Bound
from ..engine import Scalar
from .arrow import Array, BoolArray
from .mask import Mask
from .memory_index import Maskable, MemoryIndex

__all__ = ["Matches", "find_matches"]

#: If no more patients than this match, only their rows are searched for matching series.
_MAX_SEARCHED_PATIENTS = 1_000


def find_matches(memory: MemoryIndex, conditions: Sequence[Maskable]) -> Matches:
    """Return the series that fulfill all conditions; keep the results of recent calls."""
    key = tuple(conditions)

    def make() -> Matches:
        return Matches(memory, [memory.mask_of(condition) for condition in key], key)

    matches: Matches = memory.recent_matches.get(key, make)
    return matches


class Matches:
    """The series that fulfill some conditions.

    Args:
        memory: The index.
        masks: The masks of the conditions.
        conditions: The conditions, in the same order.
    """

    def __init__(
        self, memory: MemoryIndex, masks: Sequence[Mask], conditions: tuple[Maskable, ...]
    ) -> None:
        self.memory = memory
        self._series_conditions = [
            condition
            for condition, mask in zip(conditions, masks, strict=True)
            if not mask.is_per_group
        ]
        #: True per group that fulfills all conditions on groups; None without such conditions.
        self._group_flags: BoolArray | None = None
        for mask in masks:
            if mask.is_per_group:
                earlier: BoolArray | None = self._group_flags
                self._group_flags = mask.flags if earlier is None else earlier & mask.flags

    # --- what matches ----------------------------------------------------------------------

    @cached_property
    def matching_per_group(self) -> Array:
        """The number of matching series per group."""
        counts = self.memory.matching_per_group(self._series_conditions)
        return counts if self._group_flags is None else counts * self._group_flags

    @cached_property
    def groups(self) -> Array:
        """The groups with a matching series, in ascending order."""
        flags = self.matching_per_group
        if self._group_flags is not None and not self._series_conditions:
            flags = self._group_flags  # faster; every group has a series
        return np.flatnonzero(flags).astype(np.int32)

    @cached_property
    def _weights(self) -> Array:
        """The number of matching series in each group of `groups`, as floats for `np.bincount`."""
        return self.matching_per_group[self.groups].astype(float)

    def __len__(self) -> int:
        """The number of matching series."""
        return int(self.matching_per_group.sum(dtype=np.int64))

    @cached_property
    def rows(self) -> Array:
        """The rows of the matching series in the index, in ascending order."""
        memory = self.memory
        if not self._series_conditions:
            if self._group_flags is None:
                return np.arange(memory.series_count, dtype=np.int32)
            if 0 < len(self.patients) <= _MAX_SEARCHED_PATIENTS:
                return self._rows_of_patients()
            # `take` is twice as fast as [...].
            return np.flatnonzero(self._group_flags.take(memory.group_of_series)).astype(np.int32)
        rows = np.flatnonzero(memory.flags_of_all(self._series_conditions))
        if self._group_flags is not None:
            rows = rows[self._group_flags[memory.group_of_series[rows]]]
        return rows.astype(np.int32)

    def _rows_of_patients(self) -> Array:
        """Return `rows`; search only the rows of the matching patients.

        All conditions must be on groups.
        """
        memory = self.memory
        starts, stops = _merged_spans(memory, "patient", self.patients)
        rows = np.concatenate(
            [
                np.arange(start, stop, dtype=np.int32)
                for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
            ]
        )
        assert self._group_flags is not None
        matching: Array = rows[self._group_flags[memory.group_of_series[rows]]]
        return matching

    @cached_property
    def patients(self) -> Array:
        """The numbers of the patients with a matching series, in ascending order."""
        flags = np.zeros(self.memory.patient_count, dtype=bool)
        flags[self.memory.patient_of_group[self.groups]] = True
        return np.flatnonzero(flags).astype(np.int32)

    @cached_property
    def studies(self) -> Array:
        """The numbers of the studies with a matching series, in ascending order."""
        if not self._series_conditions and self._group_flags is None:
            return np.arange(self.memory.study_count, dtype=np.int32)
        studies = self.memory.study_of_series.take(self.rows)
        series = np.bincount(studies, minlength=self.memory.study_count)  # faster than flags
        return np.flatnonzero(series).astype(np.int32)

    def numbers(self, level: str) -> Array:
        """Return `patients`, `studies` or, for "series", `rows`."""
        return {"patient": self.patients, "study": self.studies, "series": self.rows}[level]

    def rows_around(self, level: str, numbers: Array) -> Array:
        """Return all matching rows of these patients or studies, and maybe some rows of others.

        Args:
            level: "patient" or "study".
            numbers: Numbers of patients or studies, at least one.
        """
        starts, stops = np.searchsorted(self.rows, _merged_spans(self.memory, level, numbers))
        return np.concatenate(
            [self.rows[start:end] for start, end in zip(starts, stops, strict=True)]
        )

    def equals(self, other: Matches | None) -> bool:
        """Return whether the same series of the same index match here and in `other`."""
        return (
            other is not None
            and self.memory is other.memory
            and np.array_equal(self.matching_per_group, other.matching_per_group)
            and np.array_equal(self.rows, other.rows)
        )

    def present_keys(self, level: str, keys: Collection[Any]) -> set[Any]:
        """Return those of these keys of patients, studies or series that match."""
        number_by_key = self.memory.number_by_key(level, keys)
        matching, wanted = self.numbers(level), list(number_by_key.values())
        places = np.searchsorted(matching, wanted)
        is_present = np.append(matching, -1)[places] == wanted  # -1 comes after the last match
        return {
            key for key, present in zip(number_by_key, is_present.tolist(), strict=True) if present
        }

    # --- counts ----------------------------------------------------------------------------

    def files_and_size_MB(self) -> tuple[int, float]:
        """Return the number of files of the matching series, and their size in MB."""
        memory = self.memory
        if not self._series_conditions:
            files, sizes = memory.files_per_group, memory.size_MB_per_group
            return int(files[self.groups].sum()), float(sizes[self.groups].sum())
        files = np.nan_to_num(memory.series_numbers["instanceCount"][self.rows])
        sizes = np.nan_to_num(memory.series_numbers["series_size_MB"][self.rows])
        return int(files.sum(dtype=np.int64)), float(sizes.sum())

    def collection_count(self) -> int:
        """Return the number of collections of the matching series; a missing one is not counted."""
        patients_per_code = np.bincount(self.memory.collection_of_patient[self.patients])
        missing_code = self.memory.group_columns["collection_id"].missing_code
        return int((np.flatnonzero(patients_per_code) != missing_code).sum())

    def count_values(self, column: str) -> Iterator[tuple[Scalar, int, int]]:
        """Yield (value, number of series, number of patients) for each value of a facet."""
        encoded = self.memory.group_columns[column]
        pair_of_group, code_of_pair = self.memory.value_patient_pairs[column]
        code_count = len(encoded.values) + 1
        if len(self.groups) == self.memory.group_count:
            series = np.bincount(encoded.codes, self._weights, code_count).astype(np.int64)
            patients = np.bincount(code_of_pair, minlength=code_count)
        else:
            groups = self.groups
            codes = encoded.codes.take(groups)
            series = np.bincount(codes, self._weights, code_count).astype(np.int64)
            has_pair = np.zeros(len(code_of_pair), dtype=bool)
            has_pair[pair_of_group.take(groups)] = True
            patients = np.bincount(code_of_pair[has_pair], minlength=code_count)
        for code in np.flatnonzero(series).tolist():
            yield encoded.value_of_code[code], int(series[code]), int(patients[code])

    def count_bins(
        self, column: str, edges: Sequence[Bound], unit: str = "series"
    ) -> tuple[list[int], int]:
        """Return the count per bin of a column of `RANGES`, and the count without a value.

        Args:
            column: The column.
            edges: The edges of the bins. The first and the last bin also count what is beyond them.
            unit: What is counted: "series", "studies" or "patients".
        """
        memory, inner_edges = self.memory, edges[1:-1]
        shown = max(len(edges) - 1, 0)
        missing_bin = len(inner_edges) + 1  # 1 if the index has no values, so no edges
        if column in memory.series_numbers:
            bins = memory.bin_of_series(column, tuple(inner_edges))
            counts = self._count_units(bins[self.rows], unit, missing_bin + 1)
            return counts[:shown].tolist(), int(counts[missing_bin])
        values = memory.range_values(column)
        if values.dtype.kind == "f":
            bins = np.searchsorted(np.asarray(inner_edges, dtype=float), values, side="right")
            bins[np.isnan(values)] = missing_bin
        else:  # the dates are sorted: it is faster to search for the few edges in them
            starts = np.searchsorted(values, np.asarray(inner_edges, dtype=object), side="left")
            bins = np.searchsorted(starts, np.arange(len(values)), side="right")
        codes = memory.series_columns[column].codes[self.rows]
        if unit != "series":
            counts = self._count_units(np.append(bins, missing_bin)[codes], unit, missing_bin + 1)
            return counts[:shown].tolist(), int(counts[missing_bin])
        per_code = np.bincount(codes, minlength=len(values) + 1)
        per_bin = np.bincount(np.append(bins, missing_bin), per_code, missing_bin + 1)
        counts = per_bin.astype(np.int64)
        return counts[:shown].tolist(), int(counts[missing_bin])

    def _count_units(self, bins: Array, unit: str, count: int) -> Array:
        """Return the number of distinct units per bin, given the bin of each matching series."""
        if unit == "series":
            return np.bincount(bins, minlength=count)
        memory, rows = self.memory, self.rows
        units = memory.study_of_series[rows] if unit == "studies" else memory.patient_of_rows(rows)
        pairs = np.unique(units.astype(np.int64) * count + bins)
        return np.bincount(pairs % count, minlength=count)


def _merged_spans(memory: MemoryIndex, level: str, numbers: Array) -> tuple[Array, Array]:
    """Return spans [start, stop) that contain the rows of patients or studies; none overlap."""
    first, last = (rows[numbers] for rows in memory.first_and_last_row(level))
    order = np.argsort(first)
    first, stop = first[order], np.maximum.accumulate(last[order]) + 1
    is_apart = first[1:] >= stop[:-1]
    return first[np.append(True, is_apart)], stop[np.append(is_apart, True)]
