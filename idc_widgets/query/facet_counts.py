"""Counts of series and patients per value of a column, in memory or by SQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ..index import COLLECTION_FACETS, COLUMNS, MORE_FACETS
from .collection_facts import collection_values
from .column_names import checked_column
from .condition import PATIENT_KEY_SQL
from .engine import Engine, Parameters, Scalar
from .flags import value_sql
from .matching import Conditions, conjunction, matches_of
from .results import FacetValue, most_series_first

if TYPE_CHECKING:
    from .memory import Matches

__all__ = ["count_facets", "count_values"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def count_facets(
    engine: Engine, conditions: Conditions, columns: Sequence[str], *, own_filters: bool = False
) -> dict[str, list[FacetValue]]:
    """Count the values of each column.

    The counts of a column ignore the condition on that column, unless `own_filters` is true.

    The columns that are in memory are counted in parallel.

    Raises:
        InvalidQueryError: A column is unknown.
    """
    known = (*COLUMNS, *MORE_FACETS)
    names = {column: checked_column(engine, column, known) for column in columns}
    counted: dict[str, list[FacetValue]] = {}
    in_memory: dict[str, tuple[Matches, str]] = {}
    for column, name in names.items():
        others = tuple(one for one in conditions if own_filters or one.column != name)
        # The values of a collection facet follow from the counts per collection.
        counted_column = "collection_id" if name in COLLECTION_FACETS else name
        matches = matches_of(engine, others)
        if matches is not None and counted_column in matches.memory.group_columns:
            # This may need a query, which can be interrupted only in this thread.
            _ = matches.groups
            in_memory[column] = matches, counted_column
        else:
            counted[column] = count_values(engine, others, counted_column)
    in_parallel = _map_in_parallel(lambda item: _values_in_memory(*item), list(in_memory.values()))
    counted |= zip(in_memory, in_parallel, strict=True)
    return {
        column: _per_collection_value(collection_values(engine, name), counted[column])
        if name in COLLECTION_FACETS
        else counted[column]
        for column, name in names.items()
    }


def count_values(engine: Engine, conditions: Conditions, column: str) -> list[FacetValue]:
    """Count the values of one column among the series that fulfill all conditions."""
    matches = matches_of(engine, conditions)
    if matches is not None and column in matches.memory.group_columns:
        return _values_in_memory(matches, column)
    params = Parameters()
    condition = conjunction(conditions, params.bind)
    rows = engine.rows(
        f"SELECT {value_sql(column)} AS value, count(*) AS series,"
        f" count(DISTINCT {PATIENT_KEY_SQL}) AS patients"
        f" FROM index WHERE {condition} GROUP BY 1",
        params,
    )
    return most_series_first(FacetValue(*row) for row in rows)


def _values_in_memory(matches: Matches, column: str) -> list[FacetValue]:
    return most_series_first(FacetValue(*counts) for counts in matches.count_values(column))


def _per_collection_value(
    values: Mapping[str, Sequence[str]], collections: Iterable[FacetValue]
) -> list[FacetValue]:
    """Sum the counts of collections into counts per value.

    This is exact, because each series and each patient is in one collection.
    """
    counts: dict[Scalar, list[int]] = {}
    for collection in collections:
        for value in values.get(str(collection.value)) or (None,):
            totals = counts.setdefault(value, [0, 0])
            totals[0] += collection.series
            totals[1] += collection.patients
    return most_series_first(FacetValue(value, *totals) for value, totals in counts.items())


def _map_in_parallel(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Apply a function to the items, in one thread per core: numpy releases the GIL.

    The threads are not kept, because a forked process would not have them.
    """
    if len(items) > 1:
        with (
            suppress(RuntimeError),  # no threads can be started while the interpreter exits
            ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="idc_widgets") as threads,
        ):
            return list(threads.map(function, items))
    return [function(item) for item in items]
