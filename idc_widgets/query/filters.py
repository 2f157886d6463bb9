"""Conditions on the columns of a series, each with its SQL and its mask side by side.

A condition is an immutable, validated value on one column, or on a special keyword of
`Cohort.where` such as ``text``. `where_parser` makes conditions from what people write;
`related_filters` has the conditions that look at other series.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, overload

from .._util import allows_commercial_use_sql
from ..index import LEVELS, RANGES, TEXT_COLUMNS
from .engine import Bind, Parameters, Scalar, literal

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = [
    "PATIENT_KEY_SQL",
    "Between",
    "Condition",
    "InCollections",
    "IsCommercial",
    "OneOf",
    "Patients",
    "Text",
    "Uids",
    "sorted_unique",
]

#: The columns that identify a patient.
_PATIENT_KEY = LEVELS["patient"].key

#: The key of a patient as one text, for databases that cannot compare pairs. The separator is a
#: control character, which DICOM allows in neither part (PS3.5, 6.1.3).
PATIENT_KEY_SQL = "collection_id || chr(31) || PatientID"

#: Up to this number of values, each value is one parameter. A longer list is one array.
_MAX_INLINE_VALUES = 50

#: A word that can be a part of a UID.
_UID_PIECE = re.compile(r"[0-9.]+", re.ASCII)


class Condition(Protocol):
    """The interface that all conditions share. Conditions are immutable and hashable."""

    @property
    def column(self) -> str:
        """The column or special keyword of `Cohort.where` that the condition filters on."""
        ...

    def sql(self, bind: Bind) -> str:
        """Return the condition as SQL on a row of the table ``index``."""
        ...

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the series that fulfill the condition, from the index in memory."""
        ...

    def and_(self, other: Any) -> Condition:
        """Return a condition that requires this one and `other`, a condition on the same column."""
        ...

    def argument(self) -> object:
        """Return the value that `Cohort.where` takes for this condition."""
        ...


@dataclass(frozen=True)
class OneOf:
    """Series whose value of a column is one of these.

    Args:
        column: A column of the index.
        values: The accepted values; None stands for a missing value.
    """

    column: str
    values: tuple[Scalar, ...]

    def sql(self, bind: Bind) -> str:
        """Return an equality or an IN list, with IS NULL if missing values are accepted."""
        return _one_of_sql(self.column, self.values, bind)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask from the encoded column, or by SQL if the column is not in memory."""
        mask = memory.mask_of_values(self.column, self.values)
        return mask if mask is not None else _mask_by_sql(self, memory)

    def and_(self, other: OneOf | Between) -> OneOf:
        """Return a condition with the values that both conditions accept."""
        if isinstance(other, Between):
            return other.and_(self)
        accepted = set(other.values)
        return OneOf(self.column, tuple(value for value in self.values if value in accepted))

    def argument(self) -> object:
        """Return the only value, or the list of values."""
        return self.values[0] if len(self.values) == 1 else list(self.values)


@dataclass(frozen=True)
class Between:
    """Series whose value of a column is in a closed range.

    Args:
        column: A column of numbers or dates, or PatientAge, whose values are in years.
        low: The lower end; None if there is none.
        high: The upper end; None if there is none.
    """

    column: str
    low: Scalar
    high: Scalar

    def sql(self, bind: Bind) -> str:
        """Return comparisons with both ends. Without any end, the value must not be missing."""
        value = RANGES[self.column].sql if self.column in RANGES else self.column
        parts = []
        if self.low is not None:
            parts.append(f"{value} >= {bind(self.low)}")
        if self.high is not None:
            parts.append(f"{value} <= {bind(self.high)}")
        return " AND ".join(parts) or f"{value} IS NOT NULL"

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask from the encoded column, or by SQL if the column is not in memory."""
        mask = memory.mask_of_range(self.column, self.low, self.high)
        return mask if mask is not None else _mask_by_sql(self, memory)

    @overload
    def and_(self, other: OneOf) -> OneOf: ...
    @overload
    def and_(self, other: Between) -> OneOf | Between: ...
    def and_(self, other: OneOf | Between) -> OneOf | Between:
        """Return the intersection of two ranges, or the values of a list that are in this range."""
        if isinstance(other, OneOf):
            return OneOf(self.column, self._values_within(other.values))

        def closer(choose: Callable[..., Scalar], end: Scalar, other_end: Scalar) -> Scalar:
            if end is None or other_end is None:
                return other_end if end is None else end
            return choose(end, other_end)

        low, high = closer(max, self.low, other.low), closer(min, self.high, other.high)
        if low is not None and high is not None and low > high:  # type: ignore[operator]
            return OneOf(self.column, ())  # the ranges do not overlap
        return Between(self.column, low, high)

    def _values_within(self, values: Sequence[Scalar]) -> tuple[Scalar, ...]:
        """Return the values that are in the range; None is in no range.

        Values are compared in the same way as on the index in memory.
        """
        from .memory import comparable, is_in_range  # late: opening a client needs no numpy

        present = [value for value in values if value is not None]
        flags = is_in_range(comparable(self.column, present), self.low, self.high)
        return tuple(value for value, is_in in zip(present, flags.tolist(), strict=True) if is_in)

    def argument(self) -> object:
        """Return the pair (low, high)."""
        return (self.low, self.high)


@dataclass(frozen=True)
class InCollections:
    """Series of collections with certain values in a column of ``collections_index``.

    A collection may have several values in a column.

    Args:
        column: A column of the table ``collections_index``.
        clauses: Lists of values. A collection must have at least one value of each list.
        known: The collections that have a value in the column.
        matching: The collections that have a value of each list; None in a list is ignored.
    """

    column: str
    clauses: tuple[tuple[Scalar, ...], ...]
    known: frozenset[str] = field(compare=False, repr=False)
    matching: frozenset[str] = field(compare=False, repr=False)

    @property
    def accepts_missing(self) -> bool:
        """Whether a collection matches that has no value in the column, or no row in the table."""
        return all(None in clause for clause in self.clauses)

    def sql(self, bind: Bind) -> str:
        """Return SQL on collection_id."""
        parts = []
        if self.matching:
            parts.append(f"collection_id IN {_bind_list(sorted(self.matching), bind)}")
        if self.accepts_missing:
            known = sorted(self.known)
            parts.append(f"collection_id NOT IN {_bind_list(known, bind)}" if known else "TRUE")
        return f"({' OR '.join(parts)})" if parts else "FALSE"

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the groups of the matching collections."""
        collections: list[Scalar] = list(self.matching)
        if self.accepts_missing:
            collections += [
                collection
                for collection in memory.group_columns["collection_id"].value_of_code
                if collection is not None and collection not in self.known
            ]
        return memory.mask_of_facet("collection_id", collections)

    def and_(self, other: InCollections) -> InCollections:
        """Return a condition with the clauses of both conditions."""
        return InCollections(
            self.column,
            tuple(sorted({*self.clauses, *other.clauses}, key=str)),
            self.known,
            self.matching & other.matching,
        )

    def argument(self) -> object:
        """Return the only value, the list of values, or a list of lists for several clauses."""
        if len(self.clauses) > 1:
            return [list(clause) for clause in self.clauses]
        values = self.clauses[0]
        return values[0] if len(values) == 1 else list(values)


@dataclass(frozen=True)
class IsCommercial:
    """Series whose license allows commercial use, or does not.

    Args:
        values: The accepted values: True, False, or None for a series without a license.
    """

    values: tuple[bool | None, ...]
    column: str = field(default="commercial_use", init=False)

    #: SQL of the value; NULL for a series without a license.
    VALUE_SQL = allows_commercial_use_sql("license_short_name")

    def sql(self, bind: Bind) -> str:  # noqa: ARG002 (it binds no values)
        """Return SQL on license_short_name."""
        parts = {
            True: f"({self.VALUE_SQL})",
            False: f"NOT ({self.VALUE_SQL})",
            None: "license_short_name IS NULL",
        }
        return f"({' OR '.join(parts[value] for value in self.values)})" if self.values else "FALSE"

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the groups with one of the values."""
        return memory.mask_of_facet("commercial_use", self.values)

    def and_(self, other: IsCommercial) -> IsCommercial:
        """Return a condition with the values that both accept."""
        return IsCommercial(tuple(value for value in self.values if value in other.values))

    def argument(self) -> object:
        """Return the only value, or the list of values."""
        return self.values[0] if len(self.values) == 1 else list(self.values)


@dataclass(frozen=True)
class Text:
    """Series in which every word occurs: in their texts or in the name of their collection.

    Args:
        words: The words in lower case.
        collections: For each word, the collections whose name contains it.
    """

    words: tuple[str, ...]
    collections: tuple[frozenset[str], ...] = field(compare=False, repr=False)
    column: str = field(default="text", init=False)

    def sql(self, bind: Bind) -> str:
        """Return SQL that searches the joined text columns."""
        # Words contain no white space, so that no word matches across the space between columns.
        # BigQuery has no concat_ws.
        joined = " || ' ' || ".join(f"coalesce({name}, '')" for name in TEXT_COLUMNS)
        texts = f"lower({joined})"
        parts = []
        for word, collections in zip(self.words, self.collections, strict=True):
            part = f"contains({texts}, {bind(word)})"
            if collections:
                names = _bind_list(sorted(collections), bind)
                part = f"({part} OR collection_id IN {names})"
            parts.append(part)
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask. The slow search in UIDs runs only for words that a UID can contain."""
        mask: Mask | None = None
        for word, collections in zip(self.words, self.collections, strict=True):
            has_word = memory.mask_of_word(word, collections)
            if not memory.has_plain_uids or _UID_PIECE.fullmatch(word):
                has_word = has_word | memory.mask_of_uid_part(word)
            mask = has_word if mask is None else mask & has_word
        assert mask is not None, "a text filter has at least one word"
        return mask

    def and_(self, other: Text) -> Text:
        """Return a condition with the words of both conditions."""
        merged = dict(zip(self.words, self.collections, strict=True))
        merged.update(zip(other.words, other.collections, strict=True))
        words = tuple(sorted(merged))
        return Text(words, tuple(merged[word] for word in words))

    def argument(self) -> object:
        """Return the words, separated by spaces."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Patients:
    """Series of certain patients.

    Args:
        keys: Pairs (collection_id, PatientID).
    """

    keys: tuple[tuple[str, str], ...]
    column: str = field(default="patients", init=False)

    def sql(self, bind: Bind) -> str:
        """Return an IN list of pairs."""
        if not self.keys:
            return "FALSE"
        columns = ", ".join(_PATIENT_KEY)
        if len(self.keys) <= _MAX_INLINE_VALUES or bind is literal:
            pairs = ", ".join(
                f"({bind(collection)}, {bind(patient)})" for collection, patient in self.keys
            )
            return f"({columns}) IN ({pairs})"
        collections, patients = (list(column) for column in zip(*self.keys, strict=True))
        return f"({columns}) IN (SELECT unnest({bind(collections)}), unnest({bind(patients)}))"

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the groups of the patients."""
        return memory.mask_of_patients(self.keys)

    def and_(self, other: Patients) -> Patients:
        """Return a condition with the patients that both conditions accept."""
        other_keys = set(other.keys)
        return Patients(tuple(key for key in self.keys if key in other_keys))

    def argument(self) -> object:
        """Return the list of pairs."""
        return list(self.keys)


@dataclass(frozen=True)
class Uids:
    """Series whose UID, or whose study's UID, is in every list of UIDs.

    Args:
        clauses: The lists of UIDs.
    """

    clauses: tuple[tuple[str, ...], ...]
    column: str = field(default="uids", init=False)

    def sql(self, bind: Bind) -> str:
        """Return SQL that looks for the UID of the series, or of its study, in each list."""
        columns = ("SeriesInstanceUID", "StudyInstanceUID")
        parts = [
            f"({' OR '.join(_one_of_sql(column, uids, bind) for column in columns)})"
            for uids in self.clauses
        ]
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the series that match every list."""
        mask: Mask | None = None
        for uids in self.clauses:
            has_uid = OneOf("SeriesInstanceUID", uids).mask(memory)
            has_uid = has_uid | OneOf("StudyInstanceUID", uids).mask(memory)
            mask = has_uid if mask is None else mask & has_uid
        assert mask is not None, "there is at least one list of UIDs, possibly empty"
        return mask

    def and_(self, other: Uids) -> Uids:
        """Return a condition with the lists of both conditions."""
        return Uids(tuple(sorted({*self.clauses, *other.clauses})))

    def argument(self) -> object:
        """Return the list of UIDs, or a list of lists for several clauses."""
        lists = [list(uids) for uids in self.clauses]
        return lists[0] if len(lists) == 1 else lists


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


def _mask_by_sql(condition: Condition, memory: MemoryIndex) -> Mask:
    """Evaluate a condition by SQL, because its column is not in memory."""
    params = Parameters()
    sql = condition.sql(params.bind)
    return memory.mask_of_sql(sql, params)


def _one_of_sql(column: str, values: Sequence[Scalar], bind: Bind) -> str:
    present = [value for value in values if value is not None]
    parts = []
    if len(present) == 1:
        parts.append(f"{column} = {bind(present[0])}")
    elif present:
        parts.append(f"{column} IN {_bind_list(present, bind)}")
    if len(present) < len(values):
        parts.append(f"{column} IS NULL")
    return f"({' OR '.join(parts)})" if parts else "FALSE"


def _bind_list(values: Sequence[Scalar], bind: Bind) -> str:
    if len(values) > _MAX_INLINE_VALUES and bind is not literal:
        return f"(SELECT unnest({bind(list(values))}))"
    return f"({', '.join(map(bind, values))})"
