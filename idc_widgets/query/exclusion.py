"""The negation of conditions: series that do not fulfill them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from .condition import Condition, Conjunction
from .engine import Bind, Scalar

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["Excluded", "filters_of", "listed_values", "united"]


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
    conditions: Conjunction

    def sql(self, bind: Bind) -> str:
        """Return SQL that is true where no condition is true: each is false or NULL."""
        parts = (f"NOT coalesce({condition.sql(bind)}, FALSE)" for condition in self.conditions)
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the series that fulfill none of the conditions."""
        return reduce(and_, (~memory.mask_of(condition) for condition in self.conditions))

    def and_(self, other: Excluded) -> Excluded:
        """Return a condition that excludes what this one or `other` excludes."""
        return Excluded(self.column, united((*self.conditions, *other.conditions)))

    def or_(self, other: Condition) -> None:
        """Return None: an `Excluded` can say "neither a nor b", but not "not a, or not b"."""

    def argument(self) -> object:
        """Return the value that `Cohort.exclude` takes; a list of values for several conditions.

        `filters_of` writes several conditions as several dicts, which can be read back.
        """
        arguments = [condition.argument() for condition in self.conditions]
        return arguments[0] if len(arguments) == 1 else arguments


def united(alternatives: Iterable[Condition]) -> Conjunction:
    """Merge alternatives that filter the same column, as far as possible, and sort them."""
    merged: list[Condition] = []
    for condition in alternatives:
        for place, earlier in enumerate(merged):
            both = earlier if earlier == condition else None
            if both is None and earlier.column == condition.column:
                both = earlier.or_(condition)
            if both is not None:
                merged[place] = both
                break
        else:
            merged.append(condition)
    return tuple(sorted(merged, key=repr))


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


def listed_values(
    conditions: Iterable[Condition], column: str, *, excluded: bool = False
) -> tuple[Scalar, ...]:
    """Return the values of a column that its filter lists.

    The result is empty if the column has no filter, or a filter without a list, such as a range.

    Args:
        conditions: The conditions of a cohort.
        column: The column.
        excluded: True for the values that `Cohort.exclude` lists.
    """
    for condition in conditions:
        if condition.column == column and isinstance(condition, Excluded) == excluded:
            argument = condition.argument()
            values = argument if isinstance(argument, list) else [argument]
            if any(isinstance(value, (tuple, list, dict)) for value in values):
                return ()  # a range, several lists, or a special keyword
            return tuple(values)
    return ()
