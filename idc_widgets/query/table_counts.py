"""Counts of series, studies or patients per value or bin of a column of another table."""

from __future__ import annotations

from ..errors import InvalidQueryError
from .engine import Engine, Parameters, identifier, literal
from .matching import Conditions, conjunction
from .results import Histogram
from .table_filters import TableColumn

__all__ = ["count_table_bins", "with_values"]


def with_values(relation: str, column: TableColumn, place: int) -> tuple[str, str]:
    """Return SQL that adds the values of a column, and the SQL of the value.

    A series with several values in the table has a row per value; one without any has NULL.

    Args:
        relation: The series.
        column: The column to add.
        place: A number that no other column of the relation has.
    """
    join, value = column.join, identifier(column.column)
    column.kind  # noqa: B018 (it refuses lists)
    keys = [f"{identifier(theirs)} AS k{place}_{n}" for n, (_, theirs) in enumerate(join.key)]
    values = (
        f"SELECT DISTINCT {', '.join(keys)}, {value} AS v{place}"
        f" FROM {join.source(by_name=False)} WHERE {value} IS NOT NULL"
    )
    equal = [f"{ours} = k{place}_{number}" for number, (ours, _) in enumerate(join.key)]
    added = f"{relation} LEFT JOIN ({values}) AS t{place} ON {' AND '.join(equal)}"
    return added, f"v{place}"


def count_table_bins(
    engine: Engine, conditions: Conditions, column: TableColumn, bins: int, counted: str, unit: str
) -> Histogram:
    """Count per bin of a column of numbers; the bins have the same width.

    Args:
        engine: The engine.
        conditions: The conditions that the series fulfill.
        column: The column.
        bins: The number of bins.
        counted: The SQL that counts the unit.
        unit: "series", "studies" or "patients".

    Raises:
        InvalidQueryError: The column has no numbers.
    """
    if column.kind != "number":
        raise InvalidQueryError(
            f"histogram: {column.name} has {column.sql_type}, and a histogram needs numbers; use "
            f"value_counts({column.name!r})"
        )
    value, source = identifier(column.column), column.join.source(by_name=False)
    [(low, high)] = engine.rows(f"SELECT min({value}), max({value}) FROM {source}")
    params = Parameters()
    matching = f"(SELECT * FROM index WHERE {conjunction(conditions, params.bind)}) AS matching"
    relation, found = with_values(matching, column, 0)
    edges: tuple[float, ...] = ()
    if low is not None:
        width = (float(high) - float(low)) / bins
        edges = (*(float(low) + width * number for number in range(bins)), float(high))
    cases = "".join(
        f" WHEN {found} < {literal(edge)} THEN {number}" for number, edge in enumerate(edges[1:-1])
    )
    rows = engine.rows(
        f"SELECT bin, {counted} FROM (SELECT *, CASE WHEN {found} IS NULL THEN -1{cases}"
        f" ELSE {bins - 1} END AS bin FROM {relation}) AS binned GROUP BY 1",
        params,
    )
    counts = {int(number): int(count) for number, count in rows}
    per_bin = tuple(counts.get(number, 0) for number in range(len(edges) - 1 if edges else 0))
    return Histogram(column.name, edges, per_bin, counts.get(-1, 0), unit)
