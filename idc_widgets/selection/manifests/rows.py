"""Select the rows of a table by many values of a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...query import Engine, OneOf, Parameters

__all__ = ["select_rows"]


def select_rows(
    engine: Engine, columns: Sequence[str], column: str, values: set[str], table: str = "index"
) -> list[Any]:
    """Return the distinct values of `columns` in the rows that have one of `values` in `column`."""
    if not values:
        return []
    params = Parameters()
    where = OneOf(column, tuple(sorted(values))).sql(params.bind)
    return engine.rows(f"SELECT DISTINCT {', '.join(columns)} FROM {table} WHERE {where}", params)
