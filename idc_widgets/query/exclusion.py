"""The negation of conditions: series that do not fulfill them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from .engine import Bind
from .filters import Condition, InCollections, IsCommercial, OneOf, Patients, sorted_unique

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["Excluded", "filters_of"]


@dataclass(frozen=True)
class Excluded:
    """Series that fulfill none of some conditions on the same column.

    A missing value fulfills a condition only if the condition lists None. So a series without a
    value is kept by every other negation.

    Args:
        column: The column or special keyword of the conditions.
        conditions: The conditions that exclude a series, at least one.
    """

    column: str
    conditions: tuple[Condition, ...]

    def sql(self, bind: Bind) -> str:
        """Return SQL that is true where no condition is true: each is false or NULL."""
        parts = (f"NOT coalesce({condition.sql(bind)}, FALSE)" for condition in self.conditions)
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the series that fulfill none of the conditions."""
        masks = (~memory.mask_of(condition) for condition in self.conditions)
        return reduce(lambda mask, other: mask & other, masks)

    def and_(self, other: Excluded) -> Excluded:
        """Return a condition that excludes what this one or `other` excludes."""
        united: list[Condition] = []
        for condition in (*self.conditions, *other.conditions):
            for place, earlier in enumerate(united):
                both = _union(earlier, condition)
                if both is not None:
                    united[place] = both
                    break
            else:
                united.append(condition)
        return Excluded(self.column, tuple(sorted(united, key=repr)))

    def argument(self) -> object:
        """Return the value that `Cohort.exclude` takes; a list of values for several conditions.

        `filters_of` writes several conditions as several dicts, which can be read back.
        """
        arguments = [condition.argument() for condition in self.conditions]
        return arguments[0] if len(arguments) == 1 else arguments


def filters_of(conditions: Iterable[Condition]) -> dict[str, object]:
    """Return conditions as keyword arguments of `Cohort.where`.

    The keyword ``exclude`` comes last. It is a dict, or a list of dicts if a column is excluded
    by several conditions.
    """
    filters: dict[str, object] = {}
    excluded: list[dict[str, object]] = []
    for condition in conditions:
        if not isinstance(condition, Excluded):
            filters[condition.column] = condition.argument()
            continue
        for place, alternative in enumerate(condition.conditions):
            if place == len(excluded):
                excluded.append({})
            excluded[place][condition.column] = alternative.argument()
    if excluded:
        filters["exclude"] = excluded[0] if len(excluded) == 1 else excluded
    return filters


def _union(one: Condition, other: Condition) -> Condition | None:
    """Return the condition that holds where either holds; None if that takes two conditions."""
    if one == other:
        return one
    if isinstance(one, OneOf) and isinstance(other, OneOf):
        return OneOf(one.column, sorted_unique((*one.values, *other.values)))
    if isinstance(one, Patients) and isinstance(other, Patients):
        return Patients(sorted_unique((*one.keys, *other.keys)))
    if isinstance(one, IsCommercial) and isinstance(other, IsCommercial):
        accepted = {*one.values, *other.values}
        return IsCommercial(tuple(value for value in (True, False, None) if value in accepted))
    if isinstance(one, InCollections) and isinstance(other, InCollections):
        clauses = (*one.clauses, *other.clauses)
        if len(clauses) == 2:
            values = sorted_unique(value for clause in clauses for value in clause)
            return InCollections(one.column, (values,), one.known, one.matching | other.matching)
    return None
