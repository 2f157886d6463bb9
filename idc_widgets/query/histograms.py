"""Counts per bin of a column, in memory or by SQL."""

from __future__ import annotations

from ..errors import InvalidQueryError
from ..index import RANGES, Bound
from .column_names import checked_column
from .engine import Engine, Parameters, literal
from .matching import Conditions, conjunction, matches_of
from .per_engine import PerEngine
from .results import Histogram
from .table_counts import count_table_bins
from .table_filters import TableColumn
from .units import checked_unit

__all__ = ["count_bins"]


def count_bins(
    engine: Engine, conditions: Conditions, column: str | TableColumn, bins: int, unit: str
) -> Histogram:
    """Count series, studies or patients per bin of a column.

    Raises:
        InvalidQueryError: The column has no histogram, there are no bins, or the unit is unknown.
    """
    counted = checked_unit(unit)
    if not isinstance(column, TableColumn):
        column = checked_column(engine, column, RANGES, "column of a histogram")
    if not isinstance(bins, int) or bins < 1:
        raise InvalidQueryError(f"bins={bins!r}: expected a whole number of at least 1")
    if isinstance(column, TableColumn):
        return count_table_bins(engine, conditions, column, bins, counted, unit)
    edges = _edges(engine, column, bins)
    matches = matches_of(engine, conditions)
    if matches is not None:
        per_bin, missing = matches.count_bins(column, edges, unit)
        return Histogram(column, edges, tuple(per_bin), missing, unit)
    value = RANGES[column].sql
    inner_edges = edges[1:-1]
    cases = "".join(
        f" WHEN {value} < {literal(edge)} THEN {number}" for number, edge in enumerate(inner_edges)
    )
    params = Parameters()
    condition = conjunction(conditions, params.bind)
    rows = engine.rows(
        f"SELECT CASE WHEN {value} IS NULL THEN -1{cases} ELSE {len(inner_edges)} END AS bin,"
        f" {counted} FROM index WHERE {condition} GROUP BY 1",
        params,
    )
    count_of_bin = dict(rows)
    counts = tuple(count_of_bin.get(number, 0) for number in range(len(edges) - 1))
    return Histogram(column, edges, counts, count_of_bin.get(-1, 0), unit)


def _edges(engine: Engine, column: str, bins: int) -> tuple[Bound, ...]:
    """Return the edges for the whole index, so that they stay the same when filters change."""
    known = _known_edges.of(engine)
    edges = known.get((column, bins))
    if edges is None:
        coarse = RANGES[column].coarse
        counted = engine.rows(
            f"SELECT * FROM (SELECT {coarse} AS value, count(*) AS series FROM index GROUP BY 1)"
            " AS counted WHERE value IS NOT NULL"
        )
        edges = known[column, bins] = RANGES[column].bins(counted, bins)
    return edges


#: (column, number of bins) → edges; added at their first use.
_known_edges: PerEngine[Engine, dict[tuple[str, int], tuple[Bound, ...]]] = PerEngine(
    lambda _engine: {}
)
