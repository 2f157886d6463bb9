"""Conditions that must all hold: merge them, write them as SQL, and find the matching series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from .engine import Bind, Engine
from .exclusion import Excluded
from .filters import Condition

if TYPE_CHECKING:
    from .memory import Matches

__all__ = ["Conditions", "conjunction", "matches_of", "merge_conditions"]

Conditions: TypeAlias = Sequence[Condition]


def merge_conditions(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Combine conditions on the same column into one, and sort them by column.

    What a column excludes remains a condition of its own. Equal filters give equal results, in
    whatever order they were added.
    """
    merged: dict[tuple[str, bool], Condition] = {}
    for condition in conditions:
        key = condition.column, isinstance(condition, Excluded)
        earlier = merged.get(key)
        merged[key] = condition if earlier is None else earlier.and_(condition)
    return tuple(merged[key] for key in sorted(merged))


def conjunction(conditions: Iterable[Condition], bind: Bind) -> str:
    """Return SQL that is true where all conditions hold."""
    return " AND ".join(condition.sql(bind) for condition in conditions) or "TRUE"


def matches_of(engine: Engine, conditions: Conditions, *, make: bool = True) -> Matches | None:
    """Return the matching series in memory; None if the index is in another database.

    Args:
        engine: The engine whose index is searched.
        conditions: The conditions that the series fulfill.
        make: False to return None if the index has not been read into memory yet.
    """
    from .memory import (  # late: opening a client must not wait for Arrow
        find_matches,
        memory_index_of,
    )

    memory = memory_index_of(engine, make=make)
    return None if memory is None else find_matches(memory, conditions)
