"""What all conditions share: their interface, and how lists of values enter SQL.

A condition is an immutable, validated value on one column, or on a special keyword of
`Cohort.where` such as ``text``. `where_parser` makes conditions from what people write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .engine import Bind, Parameters, Scalar, literal

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = [
    "MAX_INLINE_VALUES",
    "PATIENT_KEY_SQL",
    "Condition",
    "Conjunction",
    "EveryClause",
    "list_sql",
    "mask_by_sql",
    "one_of_sql",
    "sorted_unique",
]

#: The key of a patient as one text, for databases that cannot compare pairs. The separator is a
#: control character, which DICOM allows in neither part (PS3.5, 6.1.3).
PATIENT_KEY_SQL = "collection_id || chr(31) || PatientID"

#: Up to this number of values, each value is one parameter. A longer list is one array.
MAX_INLINE_VALUES = 50


class Condition(Protocol):
    """The interface that all conditions share. Conditions are immutable and hashable."""

    @property
    def column(self) -> str:
        """The column or special keyword of `Cohort.where` that the condition filters on."""
        ...

    def sql(self, bind: Bind) -> str:
        """Return the condition as SQL on a row of the table ``index``.

        The SQL is true for the rows that fulfill the condition. For other rows it may also be NULL,
        so whoever negates it must take NULL for false.
        """
        ...

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the series that fulfill the condition, from the index in memory."""
        ...

    def and_(self, other: Any) -> Condition:
        """Return a condition that requires this one and `other`, a condition on the same column."""
        ...

    def or_(self, other: Condition) -> Condition | None:
        """Return one condition that holds where this one or `other` holds; None if there is none.

        Args:
            other: Another condition on the same column.
        """
        ...

    def argument(self) -> object:
        """Return the value that `Cohort.where` takes for this condition."""
        ...


#: Conditions that must all hold, as `merge_conditions` returns them.
Conjunction: TypeAlias = "tuple[Condition, ...]"


def sorted_unique(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return the distinct values, sorted and with None last.

    So filters with the same values are equal, in whatever order the values were given.

    >>> sorted_unique(["MR", None, "CT", "MR"])
    ('CT', 'MR', None)
    """

    def sort_key(value: Any) -> Any:
        parts = value if isinstance(value, tuple) else (value,)
        return [(part is None, str(type(part)), part) for part in parts]

    distinct = set(values)
    try:
        return tuple(sorted(distinct))  # the fast way, if all have one type: there may be 100,000
    except TypeError:
        return tuple(sorted(distinct, key=sort_key))


class Clause(Protocol):
    """One of the parts of a condition, all of which a series must fulfill."""

    def sql(self, bind: Bind) -> str:
        """Return the part as SQL, as `Condition.sql` does."""
        ...

    def mask(self, memory: MemoryIndex) -> Mask | None:
        """Return the mask of the part; None if only SQL can evaluate it."""
        ...

    def argument(self) -> object:
        """Return the value that `Cohort.where` takes for this part alone."""
        ...


@dataclass(frozen=True)
class EveryClause:
    """A base of conditions on series that fulfill each of some clauses.

    Args:
        clauses: The clauses.
    """

    clauses: tuple[Any, ...]

    def sql(self, bind: Bind) -> str:
        """Return the SQL of all clauses."""
        return " AND ".join(clause.sql(bind) for clause in self.clauses)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask; some clauses take SQL."""
        clauses: tuple[Clause, ...] = self.clauses
        return reduce(and_, (each.mask(memory) or mask_by_sql(each, memory) for each in clauses))

    def or_(self, other: Condition) -> None:
        """Return None: one condition cannot say that all clauses hold or `other` does."""

    def argument(self) -> object:
        """Return the argument of the only clause, or a list with one argument per clause."""
        arguments = [clause.argument() for clause in self.clauses]
        return arguments[0] if len(arguments) == 1 else arguments


def mask_by_sql(condition: Condition | Clause, memory: MemoryIndex) -> Mask:
    """Evaluate a condition by SQL, because its column is not in memory."""
    params = Parameters()
    sql = condition.sql(params.bind)
    return memory.mask_of_sql(sql, params)


def one_of_sql(column: str, values: Sequence[Scalar], bind: Bind) -> str:
    """Return SQL that is true where a column has one of these values; None is a missing value."""
    present = [value for value in values if value is not None]
    parts = []
    if len(present) == 1:
        parts.append(f"{column} = {bind(present[0])}")
    elif present:
        parts.append(f"{column} IN {list_sql(present, bind)}")
    if len(present) < len(values):
        parts.append(f"{column} IS NULL")
    return f"({' OR '.join(parts)})" if parts else "FALSE"


def list_sql(values: Sequence[Scalar], bind: Bind) -> str:
    """Return the list of an IN: one parameter per value or, for a long list, one array."""
    if len(values) > MAX_INLINE_VALUES and bind is not literal:
        return f"(SELECT unnest({bind(list(values))}))"
    return f"({', '.join(map(bind, values))})"
