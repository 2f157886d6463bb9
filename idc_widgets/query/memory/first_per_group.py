"""The first few series or studies of each group in a certain order, such as the largest series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .arrow import Array, BoolArray, rank_distinct, to_arrow
from .mask import Mask
from .memory_index import MemoryIndex
from .row_order import rank_texts

__all__ = ["mask_of_first_series", "mask_of_first_studies"]


def mask_of_first_series(
    memory: MemoryIndex, among: Mask, per: str, column: str, count: int
) -> Mask | None:
    """Return the series with the largest values in each collection, patient or study.

    Args:
        memory: The index.
        among: The series to choose from.
        per: "collection", "patient" or "study".
        column: The column of the values. Missing values come last, and ties are decided by the
            SeriesInstanceUID.
        count: The number of series in each.

    Returns:
        The mask, or None if the column is not in memory.
    """
    rows = np.flatnonzero(among.per_series)
    if column in memory.series_numbers:
        numbers = memory.series_numbers[column][rows]
        order = np.where(np.isnan(numbers), np.inf, -numbers)
    elif memory.encoded(column) is not None:
        encoded, codes = memory.encoded_rows(column, rows)
        order = _descending(codes, codes == encoded.missing_code)
    else:
        return None

    def rank(places: Array) -> Array:
        return rank_texts(to_arrow(memory.series_uids_of(rows[places])))

    first = _first_of_each(_owners(memory, rows, per), order, count, rank)
    return _mask_of_rows(memory, rows[first])


def mask_of_first_studies(
    memory: MemoryIndex, among: Mask, per: str, *, latest: bool, count: int
) -> Mask:
    """Return the series of the latest or earliest studies of each collection or patient.

    Args:
        memory: The index.
        among: The series to choose from.
        per: "collection" or "patient".
        latest: False for the earliest studies. Studies without a date come last in both cases, and
            ties are decided by the StudyInstanceUID.
        count: The number of studies of each.
    """
    rows = np.flatnonzero(among.per_series)
    studies = memory.study_of_series[rows]
    # A study may have several patients: it counts for each of them.
    pairs, pair_of_row = rank_distinct(
        _owners(memory, rows, per).astype(np.int64) * memory.study_count + studies
    )
    owners, study_of_pair = np.divmod(pairs, max(memory.study_count, 1))
    encoded, codes = memory.encoded_rows("StudyDate", rows)
    days = np.full(len(pairs), encoded.missing_code, dtype=np.int64)
    np.minimum.at(days, pair_of_row, codes.astype(np.int64))
    order = _descending(days, days == encoded.missing_code) if latest else days

    def rank(places: Array) -> Array:
        return rank_texts(memory.study_uids.take(to_arrow(study_of_pair[places])))

    is_first = np.zeros(len(pairs), dtype=bool)
    is_first[_first_of_each(owners, order, count, rank)] = True
    return _mask_of_rows(memory, rows[is_first[pair_of_row]])


def _owners(memory: MemoryIndex, rows: Array, per: str) -> Array:
    """Return the number of the collection, patient or study of each row."""
    if per == "study":
        return memory.study_of_series[rows]
    patients = memory.patient_of_rows(rows)
    return patients if per == "patient" else memory.collection_of_patient[patients]


def _descending(codes: Array, is_missing: BoolArray) -> Array:
    """Return numbers that sort codes from the largest to the smallest, missing ones last."""
    descending = -codes.astype(np.int64)
    descending[is_missing] = 1
    return descending


def _first_of_each(
    owners: Array, order: Array, count: int, rank: Callable[[Array], Array]
) -> Array:
    """Return the places of the first elements of each owner.

    Args:
        owners: The owner of each element.
        order: Numbers by which the elements of an owner are sorted.
        count: The number of elements of each owner.
        rank: Returns the ranks of the elements at certain places, which decide ties. It is called
            only for ties that matter, because it may be slow.
    """
    sorted_places = np.lexsort((order, owners))
    owner, value = owners[sorted_places], order[sorted_places]
    is_start = np.ones(len(owner), dtype=bool)
    is_start[1:] = owner[1:] != owner[:-1]
    starts = np.flatnonzero(is_start)
    number_within = np.arange(len(owner)) - starts[np.cumsum(is_start) - 1]
    # A run is a sequence of elements with the same owner and value. If it begins among the first
    # `count` elements of its owner and ends after them, the ranks decide which of it are taken.
    is_run_start = is_start.copy()
    is_run_start[1:] |= value[1:] != value[:-1]
    run = np.cumsum(is_run_start) - 1
    begins_inside = (number_within < count)[np.flatnonzero(is_run_start)]
    ends = np.append(np.flatnonzero(is_run_start)[1:], len(owner)) - 1
    matters = begins_inside & (number_within[ends] >= count) if len(owner) else begins_inside
    tied = np.flatnonzero(matters[run])
    if len(tied):
        places = sorted_places[tied]
        sorted_places[tied] = places[np.lexsort((rank(places), run[tied]))]
    first: Array = sorted_places[number_within < count]
    return first


def _mask_of_rows(memory: MemoryIndex, rows: Array) -> Mask:
    flags = np.zeros(memory.series_count, dtype=bool)
    flags[rows] = True
    return Mask(memory, flags, False)
