"""Conditions on the columns of a series, each with its SQL and its mask side by side.

`flags` and `key_lists` have further ones; `related_filters` has those that look at other series.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from ..index import RANGES, TEXT_COLUMNS
from .condition import Condition, list_sql, mask_by_sql, one_of_sql, sorted_unique
from .engine import Bind, Scalar

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["Between", "InCollections", "OneOf", "Text"]

#: A word that can be a part of a UID.
_UID_PIECE = re.compile(r"[0-9.]+", re.ASCII)


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
        return one_of_sql(self.column, self.values, bind)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask from the encoded column, or by SQL if the column is not in memory."""
        mask = memory.mask_of_values(self.column, self.values)
        return mask if mask is not None else mask_by_sql(self, memory)

    def and_(self, other: OneOf | Between) -> OneOf:
        """Return a condition with the values that both conditions accept."""
        if isinstance(other, Between):
            return other.and_(self)
        accepted = set(other.values)
        return OneOf(self.column, tuple(value for value in self.values if value in accepted))

    def or_(self, other: Condition) -> OneOf | None:
        """Return a condition with the values that either condition accepts."""
        if isinstance(other, OneOf):
            return OneOf(self.column, sorted_unique((*self.values, *other.values)))
        return None

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
        return mask if mask is not None else mask_by_sql(self, memory)

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

    def or_(self, other: Condition) -> None:
        """Return None: the union of two ranges is seldom a range."""

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
            parts.append(f"collection_id IN {list_sql(sorted(self.matching), bind)}")
        if self.accepts_missing:
            known = sorted(self.known)
            parts.append(f"collection_id NOT IN {list_sql(known, bind)}" if known else "TRUE")
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

    def or_(self, other: Condition) -> InCollections | None:
        """Return a condition with the values of both conditions, if each has one list."""
        if isinstance(other, InCollections) and len(self.clauses) == len(other.clauses) == 1:
            values = sorted_unique((*self.clauses[0], *other.clauses[0]))
            matching = self.matching | other.matching
            return InCollections(self.column, (values,), self.known, matching)
        return None

    def argument(self) -> object:
        """Return the only value, the list of values, or a list of lists for several clauses."""
        if len(self.clauses) > 1:
            return [list(clause) for clause in self.clauses]
        values = self.clauses[0]
        return values[0] if len(values) == 1 else list(values)


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
                names = list_sql(sorted(collections), bind)
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

    def or_(self, other: Condition) -> None:
        """Return None: a text filter cannot say that one of two texts must occur."""

    def argument(self) -> object:
        """Return the words, separated by spaces."""
        return " ".join(self.words)
