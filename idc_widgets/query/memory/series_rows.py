"""The rows of series: sorted, and in windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .aggregates import python_numbers
from .arrow import Array, to_arrow
from .matches import Matches
from .row_order import (
    BlockOrder,
    FixedOrder,
    RowOrder,
    Sort,
    bounds_by_key,
    rank_texts,
    stable_order,
)

__all__ = ["SeriesRows"]

#: Up to this number of rows, the UIDs of all rows are read if the order of some depends on UIDs.
_MAX_READ_UIDS = 1_000


class SeriesRows:
    """The rows of series, in a certain order. The number of a series is its row in the index.

    Args:
        matches: The matching series.
        sort: The order; None for that of `Cohort.series`.
    """

    def __init__(self, matches: Matches, sort: Sort | None) -> None:
        self._matches, self._memory = matches, matches.memory
        #: Row → its UID, if it was read to sort series. The next window shows these rows.
        self._known_uids: dict[int, str] = {}
        self.order: RowOrder
        if sort is None:
            self.order = self._natural_order()
        else:
            self.order = FixedOrder(matches.rows[self._sorted(sort)])

    def values(self, rows: Array, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Return columns of these rows, in their order. Columns not in memory are read by SQL."""
        memory = self._memory
        elsewhere = [
            column
            for column in columns
            if column not in memory.series_numbers
            and not memory.is_encoded(column)
            and column != "StudyInstanceUID"
        ]
        window: dict[str, list[Any]] = {}
        if elsewhere == ["SeriesInstanceUID"]:
            window["SeriesInstanceUID"] = self._uids(rows)
        elif elsewhere:
            window = memory.read_columns(rows, elsewhere)
        for column in columns:
            if column == "StudyInstanceUID":
                window[column] = memory.keys_of("study", memory.study_of_series[rows])
            elif column in memory.series_numbers:
                window[column] = python_numbers(memory.series_numbers[column][rows], column)
            elif memory.is_encoded(column):
                encoded, codes = memory.encoded_rows(column, rows)
                window[column] = encoded.decode(codes)
        return {column: window[column] for column in columns}

    def _uids(self, rows: Array) -> list[str]:
        known = self._known_uids
        if all(row in known for row in rows.tolist()):
            return [known[row] for row in rows.tolist()]
        return self._memory.series_uids_of(rows)

    def _sorted(self, sort: Sort) -> Array:
        """Return the indices that sort the matching rows by a column."""
        rows, memory, column = self._matches.rows, self._memory, sort.column
        if column in memory.series_numbers:
            numbers = memory.series_numbers[column][rows]
            return stable_order(numbers, np.isnan(numbers), descending=sort.descending)
        if column == "StudyInstanceUID":
            rank = rank_texts(memory.study_uids)[memory.study_of_series[rows]]
            return stable_order(rank, None, descending=sort.descending)
        if not memory.is_encoded(column):
            rank = memory.rank_in_file(column)[rows]
            return stable_order(rank, rank < 0, descending=sort.descending)
        encoded, codes = memory.encoded_rows(column, rows)
        is_missing = codes == encoded.missing_code
        if column == "SeriesNumber":  # numbers are sorted by value, and come before other texts
            in_order = np.lexsort([np.arange(len(encoded.values)), encoded.number_of_code[:-1]])
            rank = np.zeros(len(in_order) + 1, dtype=np.int32)
            rank[in_order] = np.arange(len(in_order))
            codes = rank[codes]
        return stable_order(codes, is_missing, descending=sort.descending)

    def _natural_order(self) -> BlockOrder:
        """Return the order of `Cohort.series`, with one block per patient."""
        memory, rows = self._memory, self._matches.rows
        if not memory.is_sorted_by_patient:
            patients = memory.patient_of_rows(rows)
            order = np.argsort(patients, kind="stable")
            bounds = bounds_by_key(patients[order])
            return BlockOrder(rows[order], bounds, self._in_reading_order)

        def bounds_in_file(positions: Array) -> tuple[Array, Array]:
            patients = memory.patient_of_rows(rows[positions])
            first, last = (span[patients] for span in memory.first_and_last_row("patient"))
            return np.searchsorted(rows, first), np.searchsorted(rows, last, side="right")

        return BlockOrder(rows, bounds_in_file, self._in_reading_order)

    def _in_reading_order(self, rows: Array, patients: Array) -> Array:
        """Return rows in the order of `Cohort.series`.

        The keys are the patient, StudyDate, StudyDescription, StudyInstanceUID, Modality,
        SeriesNumber, SeriesDescription and SeriesInstanceUID.
        """
        memory = self._memory
        number_codes = memory.encoded_rows("SeriesNumber", rows)[1]
        studies, study_of_row = np.unique(memory.study_of_series[rows], return_inverse=True)
        keys = [
            patients,
            memory.encoded_rows("StudyDate", rows)[1],
            memory.encoded_rows("StudyDescription", rows)[1],
            rank_texts(memory.study_uids.take(to_arrow(studies)))[study_of_row],
            memory.encoded_rows("Modality", rows)[1],
            memory.integer_of_series_number[number_codes],
            memory.encoded_rows("SeriesDescription", rows)[1],
        ]
        order = np.lexsort(keys[::-1])
        differs = np.zeros(max(len(rows) - 1, 0), dtype=bool)
        for key in keys:
            in_order = key[order]
            differs |= in_order[1:] != in_order[:-1]
        if not differs.all():
            self._break_ties(rows, order, differs)
        return rows[order]

    def _break_ties(self, rows: Array, order: Array, differs: Array) -> None:
        """Sort series with equal keys by their UIDs; change `order` in place."""
        is_tied = np.append(~differs, False) | np.append(False, ~differs)
        tied = np.flatnonzero(is_tied)
        tie_of_row = np.cumsum(np.append(0, differs))[tied]
        # To read the UIDs of all rows takes no longer than to read those of the tied rows, and the
        # next window needs them all.
        needed = rows if len(rows) <= _MAX_READ_UIDS else rows[order[tied]]
        uid_of_row = dict(zip(needed.tolist(), self._memory.series_uids_of(needed), strict=True))
        self._known_uids = uid_of_row
        uids = to_arrow([uid_of_row[row] for row in rows[order[tied]].tolist()])
        order[tied] = order[tied][np.lexsort([rank_texts(uids), tie_of_row])]
