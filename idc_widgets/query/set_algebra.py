"""Unions and complements of cohorts, as conditions.

Both are simplified where this is obviously right, so that ``a | a`` is ``a`` and ``~~a`` is ``a``,
and so that the same parts make equal cohorts in whatever order they were combined.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from operator import and_, or_
from typing import TYPE_CHECKING, TypeAlias

from ..errors import InvalidQueryError
from .condition import Condition, Conjunction
from .engine import Bind
from .exclusion import Excluded, filters_of, united
from .filters import OneOf
from .matching import conjunction, mask_of_all, merge_conditions

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["AnyOf", "complement", "union"]

#: Alternatives: a series fulfills all conditions of at least one of them.
Alternatives: TypeAlias = "tuple[Conjunction, ...]"

#: The largest number of alternatives. Each is a search of the whole index.
_MAX_ALTERNATIVES = 100


@dataclass(frozen=True)
class AnyOf:
    """Series that fulfill at least one of several alternatives.

    Args:
        clauses: The lists of alternatives. A series must fulfill one of each list. An empty list
            matches no series.
    """

    clauses: tuple[Alternatives, ...]
    column: str = field(default="any_of", init=False)

    def sql(self, bind: Bind) -> str:
        """Return SQL with OR between the alternatives."""
        clauses = []
        for alternatives in self.clauses:
            parts = [f"({conjunction(conditions, bind)})" for conditions in alternatives]
            clauses.append(f"({' OR '.join(parts)})" if parts else "FALSE")
        return " AND ".join(clauses)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the union of the masks of the alternatives."""
        nothing = ~memory.mask_of_everything()
        return reduce(
            and_,
            (
                reduce(or_, (mask_of_all(memory, one) for one in alternatives), nothing)
                for alternatives in self.clauses
            ),
        )

    def and_(self, other: AnyOf) -> AnyOf:
        """Return a condition with the lists of both conditions."""
        clauses = {*self.clauses, *other.clauses}
        return AnyOf(tuple(sorted(clauses, key=repr)))

    def or_(self, other: Condition) -> AnyOf | None:
        """Return a condition with the alternatives of both conditions, if each has one list."""
        if isinstance(other, AnyOf) and len(self.clauses) == len(other.clauses) == 1:
            return AnyOf((_simplest((*self.clauses[0], *other.clauses[0])),))
        return None

    def argument(self) -> object:
        """Return a list with the filters of each alternative, or a list of lists for several."""
        lists = [[filters_of(one) for one in alternatives] for alternatives in self.clauses]
        return lists[0] if len(lists) == 1 else lists


#: The conditions of no series.
NOTHING: Conjunction = (AnyOf(((),)),)


def union(alternatives: Iterable[Conjunction]) -> Conjunction:
    """Return the conditions of the series that fulfill at least one alternative.

    Raises:
        InvalidQueryError: There are too many alternatives.
    """
    simplest = _simplest(alternatives)
    return simplest[0] if len(simplest) == 1 else (AnyOf((simplest,)),)


def complement(conditions: Conjunction) -> Conjunction:
    """Return the conditions of the series that fail at least one of these conditions.

    A series without a value fulfills either the conditions or their complement, never both or
    neither.
    """
    if any(map(_is_nothing, conditions)):
        return ()
    match conditions:
        case (Excluded(conditions=alternatives),):
            return union((one,) for one in alternatives)
        case (AnyOf(clauses=(alternatives,)),):
            return merge_conditions(chain.from_iterable(map(complement, alternatives)))
        case (condition,):
            return (Excluded(condition.column, (condition,)),)
        case ():
            return NOTHING
    if any(isinstance(condition, (Excluded, AnyOf)) for condition in conditions):
        return union(complement((condition,)) for condition in conditions)
    return (Excluded("any_of", (AnyOf(((conditions,),)),)),)


def _simplest(alternatives: Iterable[Conjunction]) -> Alternatives:
    """Return alternatives, sorted and without those that others contain.

    Alternatives of a single condition are merged if they filter the same column. An alternative
    without conditions matches every series, so it is the only one that is left.
    """
    flat = [one for given in alternatives for one in _flattened(given)]
    flat = [one for one in dict.fromkeys(flat) if not any(map(_is_nothing, one))]
    singles = united(one[0] for one in flat if len(one) == 1)
    kept = [*((single,) for single in singles), *(one for one in flat if len(one) != 1)]
    if len(kept) > _MAX_ALTERNATIVES:
        raise InvalidQueryError(
            f"a union of {len(kept):,} cohorts; expected {_MAX_ALTERNATIVES} at most. If they "
            "differ in one column, list its values: where(PatientID=[...])"
        )
    kept.sort(key=repr)
    for one in tuple(kept):
        if any(other is not one and _contains(other, one) for other in kept):
            kept.remove(one)
    return tuple(kept)


def _flattened(conditions: Conjunction) -> Alternatives:
    """Return the alternatives of conditions that are nothing but a union; else the conditions."""
    match conditions:
        case (AnyOf(clauses=(alternatives,)),):
            return alternatives
    return (conditions,)


def _is_nothing(condition: Condition) -> bool:
    """Return whether a condition lists no value or no alternative, so that it holds nowhere."""
    if isinstance(condition, AnyOf):
        return () in condition.clauses
    return not isinstance(condition, Excluded) and condition.argument() == []


def _contains(wide: Conjunction, narrow: Conjunction) -> bool:
    """Return whether it is obvious that all series of `narrow` are in `wide`."""
    by_key = {(one.column, isinstance(one, Excluded)): one for one in narrow}
    for condition in wide:
        stricter = by_key.get((condition.column, isinstance(condition, Excluded)))
        if stricter is None or not _implies(stricter, condition):
            return False
    return True


def _implies(strict: Condition, wide: Condition) -> bool:
    if isinstance(strict, OneOf) and isinstance(wide, OneOf):
        return set(strict.values) <= set(wide.values)
    return strict == wide or strict.and_(wide) == strict
