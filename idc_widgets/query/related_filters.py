"""The condition that looks at other series of the same study or patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from .condition import PATIENT_KEY_SQL, Condition, Conjunction
from .engine import Bind
from .exclusion import filters_of
from .matching import conjunction, mask_of_all

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["HAVING_LEVELS", "Having"]

#: Level → the SQL of the key that all series of the same study or patient share.
HAVING_LEVELS: Mapping[str, str] = {"study": "StudyInstanceUID", "patient": PATIENT_KEY_SQL}


@dataclass(frozen=True)
class Having:
    """Series of the studies or patients that have certain series, anywhere in the index.

    Args:
        clauses: Pairs (level, conditions), at least one. The study or patient must have, for each
            pair, one series that fulfills all its conditions.
    """

    clauses: tuple[tuple[str, Conjunction], ...]
    column: str = field(default="having", init=False)

    def sql(self, bind: Bind) -> str:
        """Return SQL with one subquery per clause."""
        parts = []
        for level, conditions in self.clauses:
            key = HAVING_LEVELS[level]
            rows = f"SELECT {key} FROM index WHERE {conjunction(conditions, bind)}"
            parts.append(f"{key} IN ({rows})")
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of all series in the studies or patients that qualify."""
        return reduce(
            and_,
            (
                memory.mask_of_same(level, mask_of_all(memory, conditions))
                for level, conditions in self.clauses
            ),
        )

    def and_(self, other: Having) -> Having:
        """Return a condition that requires what both conditions require."""
        return Having(tuple(sorted({*self.clauses, *other.clauses}, key=repr)))

    def or_(self, other: Condition) -> None:
        """Return None: one condition cannot say "has either of two kinds of series"."""

    def argument(self) -> object:
        """Return the filters of the other series as a dict, or a list with one dict per clause."""
        arguments = [
            {**({} if level == "study" else {"level": level}), **filters_of(conditions)}
            for level, conditions in self.clauses
        ]
        return arguments[0] if len(arguments) == 1 else arguments
