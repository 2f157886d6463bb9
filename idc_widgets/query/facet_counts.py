"""Counts of series and patients per value of a column, in memory or by SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..index import COLLECTION_FACETS, COLUMNS, MORE_FACETS
from .collection_facts import collection_values
from .column_names import checked_column
from .condition import PATIENT_KEY_SQL
from .engine import Engine, Parameters, Scalar
from .flags import value_sql
from .matching import Conditions, conjunction, matches_of
from .results import FacetValue, most_series_first

__all__ = ["count_facets", "count_values"]


def count_facets(
    engine: Engine, conditions: Conditions, columns: Sequence[str], *, own_filters: bool = False
) -> dict[str, list[FacetValue]]:
    """Count the values of each column.

    The counts of a column ignore the condition on that column, unless `own_filters` is true.

    Raises:
        InvalidQueryError: A column is unknown.
    """
    known = (*COLUMNS, *MORE_FACETS)
    names = {column: checked_column(engine, column, known) for column in columns}
    counted: dict[str, list[FacetValue]] = {}
    for column, name in names.items():
        others = tuple(
            condition for condition in conditions if own_filters or condition.column != name
        )
        # The values of a collection facet follow from the counts per collection.
        counted_column = "collection_id" if name in COLLECTION_FACETS else name
        counted[column] = count_values(engine, others, counted_column)
    return {
        column: _per_collection_value(collection_values(engine, name), counted[column])
        if name in COLLECTION_FACETS
        else counted[column]
        for column, name in names.items()
    }


def count_values(engine: Engine, conditions: Conditions, column: str) -> list[FacetValue]:
    """Count the values of one column among the series that fulfill all conditions."""
    from .memory import memory_index_of  # late: opening a client must not wait for Arrow

    def count_in_memory() -> list[FacetValue]:
        matches = matches_of(engine, conditions)
        assert matches is not None
        return most_series_first(FacetValue(*counts) for counts in matches.count_values(column))

    memory = memory_index_of(engine)
    if memory is not None and column in memory.group_columns:
        # A click changes the counts of all dropdowns but its own.
        key = tuple(conditions), column
        return list(memory.recent_counts.get(key, count_in_memory))
    params = Parameters()
    condition = conjunction(conditions, params.bind)
    rows = engine.rows(
        f"SELECT {value_sql(column)} AS value, count(*) AS series,"
        f" count(DISTINCT {PATIENT_KEY_SQL}) AS patients"
        f" FROM index WHERE {condition} GROUP BY 1",
        params,
    )
    return most_series_first(FacetValue(*row) for row in rows)


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
