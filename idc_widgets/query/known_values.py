"""Which of some values occur in a table of the index or in a cohort."""

from __future__ import annotations

from collections.abc import Iterable

from .engine import Engine, Parameters
from .filters import OneOf, sorted_unique

__all__ = ["known_texts"]


def known_texts(
    engine: Engine, column: str, texts: Iterable[str], table: str = "index"
) -> set[str]:
    """Return those of the texts that occur in a column.

    Uses the index in memory if it is there, but does not read it for this.

    Args:
        engine: The engine whose table is searched.
        column: A column of text.
        texts: The texts to look up.
        table: The table that has the column.
    """
    wanted = sorted_unique(texts)
    if not wanted:
        return set()
    from .memory import memory_index_of  # late: opening a client must not wait for Arrow

    memory = memory_index_of(engine, make=False)
    if memory is not None and table == "index":
        known = memory.known(column, wanted)
        if known is not None:
            return known
    params = Parameters()
    condition = OneOf(column, wanted).sql(params.bind)
    rows = engine.rows(f"SELECT DISTINCT {column} FROM {table} WHERE {condition}", params)
    return {str(value) for (value,) in rows}
