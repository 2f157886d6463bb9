"""Conditions that must all hold: merge them, write them as SQL, and find the matching series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, TypeAlias

from .condition import Condition, Conjunction
from .engine import Bind, Engine
from .exclusion import Excluded

if TYPE_CHECKING:
    from .memory import Mask, Matches, MemoryIndex

__all__ = ["Conditions", "conjunction", "mask_of_all", "matches_of", "merge_conditions"]

Conditions: TypeAlias = Sequence[Condition]


def merge_conditions(conditions: Iterable[Condition]) -> Conjunction:
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
    """Return SQL that is true where all conditions hold, and elsewhere false or NULL."""
    return " AND ".join(condition.sql(bind) for condition in conditions) or "TRUE"


def mask_of_all(memory: MemoryIndex, conditions: Conditions) -> Mask:
    """Return the mask of the series that fulfill all of these parts of another condition.

    The masks of the parts are not kept, so that those of whole conditions stay in the cache.
    """
    masks = [condition.mask(memory) for condition in conditions]
    return reduce(and_, masks) if masks else memory.mask_of_everything()


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
