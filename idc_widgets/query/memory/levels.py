"""The rows of patients and studies: in an order, a window of them, and all as one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .aggregates import Aggregate
from .arrow import Array, to_arrow
from .matches import Matches
from .row_order import BlockOrder, FixedOrder, RowOrder, Sort, rank_texts, stable_order

__all__ = ["AggregateRows", "level_table"]


class AggregateRows:
    """The rows of patients or studies in an order.

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
        """Return columns of the rows with these numbers, in their order."""
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

    The lowest values among the matching series count. For most studies all series have the same
    patient, date and description, and the order is that of the numbers of the studies.
    """
    memory, studies = matches.memory, matches.studies
    patients = memory.patient_of_study[studies]
    several = np.flatnonzero(memory.study_has_several_patients[studies])
    if len(several):
        id_count = len(memory.patient_ids.values) + 1
        key_of_patient = memory.collection_of_patient.astype(np.int64) * id_count
        key_of_patient += memory.patient_ids.codes
        aggregate = Aggregate("study", matches, studies[several])
        keys = key_of_patient[patients]
        keys[several] = aggregate.lowest_codes("collection_id").astype(np.int64) * id_count
        keys[several] += aggregate.lowest_codes("PatientID")
        order = np.argsort(keys, kind="stable")
        studies, patients = studies[order], keys[order]
    starts = np.flatnonzero(np.append(True, patients[1:] != patients[:-1])[: len(patients)])
    sizes = np.diff(np.append(starts, len(studies)))

    def members(blocks: Array) -> Array:
        block_sizes = sizes[blocks]
        shift = starts[blocks] - (np.cumsum(block_sizes) - block_sizes)
        block_of_member = np.repeat(np.arange(len(blocks)), block_sizes)
        numbers: Array = studies[np.arange(len(block_of_member)) + shift[block_of_member]]
        is_varied = memory.study_is_varied[numbers]
        if is_varied.any():
            needs_sort = np.zeros(len(blocks), dtype=bool)
            needs_sort[block_of_member[is_varied]] = True
            places = np.flatnonzero(needs_sort[block_of_member])
            numbers[places] = _sorted_studies(matches, numbers[places], block_of_member[places])
        return numbers

    def blocks_of(numbers: Array) -> Array:
        places = np.flatnonzero(np.isin(studies, numbers))
        blocks: Array = np.searchsorted(starts, places, side="right") - 1
        return blocks

    return BlockOrder(sizes, members, blocks_of)


def _sorted_studies(matches: Matches, studies: Array, blocks: Array) -> Array:
    """Return studies by block and by the lowest date and description of their matching series."""
    ascending = np.sort(studies)
    aggregate = Aggregate("study", matches, ascending)
    places = np.searchsorted(ascending, studies)
    uids = rank_texts(matches.memory.study_uids.take(to_arrow(studies)))
    descriptions = aggregate.lowest_codes("StudyDescription")[places]
    dates = aggregate.lowest_codes("StudyDate")[places]
    order = np.lexsort([uids, descriptions, dates, blocks])
    ordered: Array = studies[order]
    return ordered
