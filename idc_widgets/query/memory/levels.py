"""The rows of patients and studies: sorted, in windows, and all as one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .aggregates import Aggregate
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

__all__ = ["AggregateRows", "level_table"]


class AggregateRows:
    """The rows of patients or studies, in a certain order.

    Args:
        level: "patient" or "study".
        matches: The matching series.
        sort: The order; None for that of `Cohort.patients` or `Cohort.studies`.
    """

    def __init__(self, level: str, matches: Matches, sort: Sort | None) -> None:
        self._level, self._matches = level, matches
        self.order: RowOrder
        if sort is not None:
            numbers = matches.numbers(level)
            keys, is_missing = Aggregate(level, matches, numbers).sort_keys(sort.column)
            order = stable_order(keys, is_missing, descending=sort.descending)
            self.order = FixedOrder(numbers[order])
        else:
            self.order = _natural_order(level, matches)

    def values(self, numbers: Array, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Return columns of the rows with these numbers, in the order of `numbers`."""
        ascending = np.sort(numbers)
        aggregate = Aggregate(self._level, self._matches, ascending)
        places = np.searchsorted(ascending, numbers).tolist()
        window = {}
        for column in columns:
            values = aggregate.values(column)
            window[column] = [values[place] for place in places]
        return window


def level_table(level: str, matches: Matches, columns: Sequence[str]) -> pa.Table:
    """Return all patients or studies as a table, in the order of `AggregateRows`."""
    order = _natural_order(level, matches)
    numbers = order.at(np.arange(len(order)))
    ascending = np.sort(numbers)
    aggregate = Aggregate(level, matches, ascending)
    table = pa.table({column: aggregate.arrow(column) for column in columns})
    if np.array_equal(numbers, ascending):
        return table
    return table.take(to_arrow(np.searchsorted(ascending, numbers)))


def _natural_order(level: str, matches: Matches) -> RowOrder:
    """Return the order by collection, patient and, for studies, date, description and UID."""
    return FixedOrder(matches.patients) if level == "patient" else _order_studies(matches)


def _order_studies(matches: Matches) -> BlockOrder:
    """Return the order of studies, with one block per patient.

    A study is sorted by the lowest values of its matching series. In most studies, all series have
    the same patient, date and description. The numbers of these studies are already in this order.
    """
    memory, studies = matches.memory, matches.studies

    def sort(numbers: Array, blocks: Array) -> Array:
        is_varied = memory.study_is_varied[numbers]
        if is_varied.any():
            needs_sort = np.zeros(blocks[-1] + 1, dtype=bool)
            needs_sort[blocks[is_varied]] = True
            places = np.flatnonzero(needs_sort[blocks])
            numbers[places] = _sorted_studies(matches, numbers[places], blocks[places])
        return numbers

    def bounds(positions: Array) -> tuple[Array, Array]:
        patients = memory.patient_of_study[studies[positions]]
        first = np.searchsorted(memory.patient_of_study, patients)
        end = np.searchsorted(memory.patient_of_study, patients, side="right")
        return np.searchsorted(studies, first), np.searchsorted(studies, end)

    moved = _studies_of_other_patients(matches)
    if moved is None:
        return BlockOrder(studies, bounds, sort)
    order = np.argsort(moved, kind="stable")
    return BlockOrder(studies[order], bounds_by_key(moved[order]), sort)


def _studies_of_other_patients(matches: Matches) -> Array | None:
    """Return a sort key per matching study: its lowest collection and PatientID.

    Returns:
        The keys; None if the studies are already numbered in this order. They are, unless a study
        has several patients and no series of its first patient matches.
    """
    memory, studies = matches.memory, matches.studies
    several = memory.studies_of_several_patients
    places = np.searchsorted(studies, several)
    is_matching = np.append(studies, -1)[places] == several  # -1 comes after the last study
    several, places = several[is_matching], places[is_matching]
    if not len(several):
        return None
    id_count = len(memory.patient_ids.values) + 1

    def keys_of(patients: Array) -> Array:
        collections = memory.collection_of_patient[patients].astype(np.int64)
        keys: Array = collections * id_count + memory.patient_ids.codes[patients]
        return keys

    aggregate = Aggregate("study", matches, several)
    lowest = aggregate.lowest_codes("collection_id").astype(np.int64) * id_count
    lowest += aggregate.lowest_codes("PatientID")
    if np.array_equal(lowest, keys_of(memory.patient_of_study[several])):
        return None
    keys = keys_of(memory.patient_of_study[studies])
    keys[places] = lowest
    return keys


def _sorted_studies(matches: Matches, studies: Array, blocks: Array) -> Array:
    """Return studies sorted by block, then by lowest date and description of matching series."""
    ascending = np.sort(studies)
    aggregate = Aggregate("study", matches, ascending)
    places = np.searchsorted(ascending, studies)
    uids = rank_texts(matches.memory.study_uids.take(to_arrow(studies)))
    descriptions = aggregate.lowest_codes("StudyDescription")[places]
    dates = aggregate.lowest_codes("StudyDate")[places]
    order = np.lexsort([uids, descriptions, dates, blocks])
    ordered: Array = studies[order]
    return ordered
