"""Which of some values occur in a table of the index or in a cohort."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..index import LEVELS
from .engine import Engine, Parameters
from .filters import Condition, OneOf, Patients, sorted_unique
from .matching import Conditions, conjunction, matches_of

__all__ = ["known_keys", "known_texts"]


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
        known = memory.texts_in_column(column, wanted)
        if known is not None:
            return known
    rows = _distinct(engine, (column,), table, [OneOf(column, wanted)])
    return {str(value) for (value,) in rows}


def known_keys(
    engine: Engine, conditions: Conditions, level: str, keys: Collection[Any]
) -> set[Any]:
    """Return those of the keys of a level that occur in the matching series.

    Args:
        engine: The engine whose index is searched.
        conditions: The conditions that the series fulfill, such as those of a cohort.
        level: "patient", "study" or "series".
        keys: Pairs (collection_id, PatientID) for patients, UIDs for studies and series.
    """
    if not keys:
        return set()
    matches = matches_of(engine, conditions)
    if matches is not None:
        return matches.present_keys(level, keys)
    columns, wanted = LEVELS[level].key, sorted_unique(keys)
    wanted_rows = Patients(wanted) if level == "patient" else OneOf(columns[0], wanted)
    rows = _distinct(engine, columns, "index", [*conditions, wanted_rows])
    return set(rows) if level == "patient" else {uid for (uid,) in rows}


def _distinct(
    engine: Engine, columns: Sequence[str], table: str, conditions: Iterable[Condition]
) -> list[tuple[Any, ...]]:
    """Return the distinct values of the columns in the rows that fulfill the conditions."""
    params = Parameters()
    condition = conjunction(conditions, params.bind)
    return engine.rows(
        f"SELECT DISTINCT {', '.join(columns)} FROM {table} WHERE {condition}", params
    )
