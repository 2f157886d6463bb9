"""Counts of series, studies or patients per value of one or several columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from ..errors import InvalidQueryError
from ..index import COLLECTION_FACETS, COLUMNS, MORE_FACETS
from .collection_facts import collection_values
from .column_names import checked_column
from .condition import sorted_unique
from .engine import Engine, Parameters, Scalar
from .facet_counts import count_facets
from .flags import value_sql
from .matching import Conditions, conjunction
from .table_counts import with_values
from .table_filters import TableColumn
from .units import checked_unit
from .value_parser import plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["count_by_values", "distinct_values", "to_series"]


def count_by_values(
    engine: Engine, conditions: Conditions, columns: Sequence[object], unit: object
) -> dict[tuple[Scalar, ...], int]:
    """Return (a value of each column) → count, the most frequent first, missing values last.

    Raises:
        InvalidQueryError: A column or the unit is unknown, or there is no column.
    """
    counted = checked_unit(unit)
    names = [
        column if isinstance(column, TableColumn) else _checked(engine, column)
        for column in columns
    ]
    if not names:
        raise InvalidQueryError("value_counts: expected a column, such as 'Modality'")
    counts: Mapping[tuple[Scalar, ...], int]
    [first, *others] = names
    if isinstance(first, str) and not others and unit != "studies":
        [facets] = count_facets(engine, conditions, [first], own_filters=True).values()
        counts = {(facet.value,): getattr(facet, str(unit)) for facet in facets}
    else:
        counts = _count_by_sql(engine, conditions, names, counted)
    missing_last = {values: [(one is None, one) for one in values] for values in counts}
    ordered = sorted(counts, key=lambda values: (-counts[values], missing_last[values]))
    return {values: counts[values] for values in ordered}


def distinct_values(engine: Engine, conditions: Conditions, column: object) -> list[Scalar]:
    """Return the values of a column in ascending order; the last is None if some are missing.

    Raises:
        InvalidQueryError: The column is unknown.
    """
    counts = count_by_values(engine, conditions, [column], "series")
    return list(sorted_unique(value for (value,) in counts))


def to_series(
    counts: dict[tuple[Scalar, ...], int], columns: Sequence[str], unit: str
) -> pd.Series[Any]:
    """Return the counts as a pandas Series, whose index has the values."""
    import pandas as pd

    index: pd.Index[Any]
    if len(columns) == 1:
        index = pd.Index([value for (value,) in counts], name=columns[0], dtype=object)
    else:
        index = pd.MultiIndex.from_tuples(list(counts), names=list(columns))
    return pd.Series(list(counts.values()), index=index, name=unit, dtype="int64")


def _checked(engine: Engine, column: object) -> str:
    return checked_column(engine, column, (*COLUMNS, *MORE_FACETS))


def _count_by_sql(
    engine: Engine, conditions: Conditions, names: Sequence[str | TableColumn], counted: str
) -> Counter[tuple[Scalar, ...]]:
    params = Parameters()
    relation = f"index WHERE {conjunction(conditions, params.bind)}"
    if any(isinstance(name, TableColumn) for name in names):
        relation = f"(SELECT * FROM {relation}) AS matching"
    columns = []
    for place, name in enumerate(names):
        if isinstance(name, TableColumn):
            relation, value = with_values(relation, name, place)
            columns.append(value)
        else:  # the facts of a collection follow from counts per collection
            columns.append(value_sql("collection_id" if name in COLLECTION_FACETS else name))
    values = ", ".join(f"{value} AS c{place}" for place, value in enumerate(columns))
    places = ", ".join(str(place + 1) for place in range(len(columns)))
    rows = engine.rows(f"SELECT {values}, {counted} FROM {relation} GROUP BY {places}", params)
    counts: Counter[tuple[Scalar, ...]] = Counter()
    for *row, count in rows:
        facts: list[Sequence[Any]] = [
            collection_values(engine, name).get(str(value)) or (None,)
            if isinstance(name, str) and name in COLLECTION_FACETS
            else (plain(value),)
            for name, value in zip(names, row, strict=True)
        ]
        for combination in product(*facts):
            counts[combination] += int(count)
    return counts
