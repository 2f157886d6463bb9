"""Conditions that must all hold: merge them, write them as SQL, and find the matching series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from .engine import Bind, Engine
from .filters import Condition

if TYPE_CHECKING:
    from .memory import Matches

__all__ = ["Conditions", "conjunction", "matches_of", "merge_conditions"]

Conditions: TypeAlias = Sequence[Condition]


def merge_conditions(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Combine conditions on the same column into one, and sort them by column.

    Equal filters give equal results, in whatever order they were added.
    """
    by_column: dict[str, Condition] = {}
    for condition in conditions:
        earlier = by_column.get(condition.column)
        by_column[condition.column] = condition if earlier is None else earlier.and_(condition)
    return tuple(by_column[column] for column in sorted(by_column))


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
