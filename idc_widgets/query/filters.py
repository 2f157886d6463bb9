"""The kinds of filter that a cohort is made of: each knows its SQL and how it joins its like.

A condition is an immutable value on one column (or on ``text``, ``patients``, ``uids``, ``having``,
``originals_of``, ``derived_from``), already checked. How people write them is in `arguments`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..index import DERIVED_MODALITIES, LEVELS, RANGES, TEXT_COLUMNS, years
from .engine import Bind, Parameters, Scalar, literal

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = [
    "PATIENT",
    "PATIENT_KEY",
    "Between",
    "Condition",
    "Having",
    "InCollections",
    "IsCommercial",
    "OneOf",
    "Patients",
    "SameStudy",
    "Text",
    "Uids",
    "unique",
    "where",
]

PATIENT_KEY = LEVELS["patient"].key

#: The key of a patient as one text, for databases that cannot compare pairs. Neither part has a
#: control character (DICOM PS3.5, 6.1.3).
PATIENT = "collection_id || chr(31) || PatientID"

#: Above this many values a list is bound as one array parameter and joined.
_INLINE_VALUES = 50

#: What a word must be to be found in a UID.
_IN_UIDS = re.compile(r"[0-9.]+", re.ASCII)


class Condition(Protocol):
    """What all kinds have."""

    @property
    def column(self) -> str:
        """What it is a filter on: the keyword of `Cohort.where`."""
        ...

    def sql(self, bind: Bind) -> str:
        """The condition as SQL on a row of the table index."""
        ...

    def mask(self, memory: MemoryIndex) -> Mask:
        """The condition on the index in memory."""
        ...

    def and_(self, other: Any) -> Condition:
        """Both this and another condition on the same column."""
        ...

    def argument(self) -> object:
        """What `Cohort.where` takes for it."""
        ...


def where(conditions: Iterable[Condition], bind: Bind) -> str:
    """All conditions as SQL."""
    return " AND ".join(condition.sql(bind) for condition in conditions) or "TRUE"


@dataclass(frozen=True)
class OneOf:
    """Any of these values of a column; None is "is missing"."""

    column: str
    values: tuple[Scalar, ...]

    def sql(self, bind: Bind) -> str:
        return _one_of(self.column, self.values, bind)

    def mask(self, memory: MemoryIndex) -> Mask:
        found = memory.one_of(self.column, self.values)
        return found if found is not None else _asked(self, memory)

    def and_(self, other: OneOf | Between) -> OneOf:
        return OneOf(self.column, tuple(v for v in self.values if other.allows(v)))

    def allows(self, value: Scalar) -> bool:
        return value in self.values

    def argument(self) -> object:
        return self.values[0] if len(self.values) == 1 else list(self.values)


@dataclass(frozen=True)
class Between:
    """A closed range of a column's values (an age in years); None is open."""

    column: str
    low: Scalar
    high: Scalar

    def sql(self, bind: Bind) -> str:
        value = RANGES[self.column].sql if self.column in RANGES else self.column
        parts = []
        if self.low is not None:
            parts.append(f"{value} >= {bind(self.low)}")
        if self.high is not None:
            parts.append(f"{value} <= {bind(self.high)}")
        return " AND ".join(parts) or f"{value} IS NOT NULL"

    def mask(self, memory: MemoryIndex) -> Mask:
        found = memory.between(self.column, self.low, self.high)
        return found if found is not None else _asked(self, memory)

    def and_(self, other: OneOf | Between) -> OneOf | Between:
        if isinstance(other, OneOf):
            return other.and_(self)

        def pick(choose: Callable[..., Scalar], one: Scalar, two: Scalar) -> Scalar:
            return one if two is None else two if one is None else choose(one, two)

        low, high = pick(max, self.low, other.low), pick(min, self.high, other.high)
        if low is not None and high is not None and low > high:  # type: ignore[operator]
            return OneOf(self.column, ())  # nothing is in both
        return Between(self.column, low, high)

    def allows(self, value: Any) -> bool:
        if self.column == "PatientAge":
            value = years(value)
        return (
            value is not None
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )

    def argument(self) -> object:
        return (self.low, self.high)


@dataclass(frozen=True)
class InCollections:
    """A fact of a series' collection: any of these values, of which a collection may have many.

    Args:
        column: of the table collections_index.
        clauses: any of each, and all of the clauses.
        known: the collections that have a value at all.
        matching: those with a value of each clause (and what is missing is not among them).
    """

    column: str
    clauses: tuple[tuple[Scalar, ...], ...]
    known: frozenset[str] = field(compare=False, repr=False)
    matching: frozenset[str] = field(compare=False, repr=False)

    @property
    def or_missing(self) -> bool:
        """Whether collections that have no value, or are not known, match as well."""
        return all(None in clause for clause in self.clauses)

    def sql(self, bind: Bind) -> str:
        parts = []
        if self.matching:
            parts.append(f"collection_id IN {_bind_list(sorted(self.matching), bind)}")
        if self.or_missing:
            known = sorted(self.known)
            parts.append(f"collection_id NOT IN {_bind_list(known, bind)}" if known else "TRUE")
        return f"({' OR '.join(parts)})" if parts else "FALSE"

    def mask(self, memory: MemoryIndex) -> Mask:
        collections: list[Scalar] = list(self.matching)
        if self.or_missing:
            collections += [
                one
                for one in memory.facets["collection_id"].texts
                if one is not None and one not in self.known
            ]
        return memory.facet("collection_id", collections)

    def and_(self, other: InCollections) -> InCollections:
        return InCollections(
            self.column,
            tuple(sorted({*self.clauses, *other.clauses}, key=str)),
            self.known,
            self.matching & other.matching,
        )

    def argument(self) -> object:
        if len(self.clauses) > 1:
            return [list(clause) for clause in self.clauses]
        values = self.clauses[0]
        return values[0] if len(values) == 1 else list(values)


@dataclass(frozen=True)
class IsCommercial:
    """Whether the licence allows commercial use: True, False, None for no licence; any of them."""

    values: tuple[bool | None, ...]
    column: str = field(default="commercial_use", init=False)

    #: NULL where there is no licence.
    SQL = "license_short_name NOT LIKE '%-NC%'"

    def sql(self, bind: Bind) -> str:
        parts = {
            True: f"({self.SQL})",
            False: f"NOT ({self.SQL})",
            None: "license_short_name IS NULL",
        }
        return f"({' OR '.join(parts[value] for value in self.values)})" if self.values else "FALSE"

    def mask(self, memory: MemoryIndex) -> Mask:
        return memory.facet("commercial_use", self.values)

    def and_(self, other: IsCommercial) -> IsCommercial:
        return IsCommercial(tuple(value for value in self.values if value in other.values))

    def argument(self) -> object:
        return self.values[0] if len(self.values) == 1 else list(self.values)


@dataclass(frozen=True)
class Text:
    """Every word as a substring of a text of the series, or of the name of its collection.

    Args:
        words: in lower case.
        collections: of each word, the collections whose name has it.
    """

    words: tuple[str, ...]
    collections: tuple[frozenset[str], ...] = field(compare=False, repr=False)
    column: str = field(default="text", init=False)

    def sql(self, bind: Bind) -> str:
        # Words hold no white space, so none can match across the joint of two columns.
        # Joined without concat_ws, which BigQuery does not have.
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
        found: Mask | None = None
        for word, collections in zip(self.words, self.collections, strict=True):
            one = memory.text(word, collections)
            if not memory.has_plain_uids or _IN_UIDS.fullmatch(word):
                one = one | memory.in_uids(word)
            found = one if found is None else found & one
        assert found is not None, "a text has words"
        return found

    def and_(self, other: Text) -> Text:
        merged = dict(zip(self.words, self.collections, strict=True))
        merged.update(zip(other.words, other.collections, strict=True))
        words = tuple(sorted(merged))
        return Text(words, tuple(merged[word] for word in words))

    def argument(self) -> object:
        return " ".join(self.words)


@dataclass(frozen=True)
class Patients:
    """These patients, by (collection_id, PatientID)."""

    keys: tuple[tuple[str, str], ...]
    column: str = field(default="patients", init=False)

    def sql(self, bind: Bind) -> str:
        if not self.keys:
            return "FALSE"
        columns = ", ".join(PATIENT_KEY)
        if len(self.keys) <= _INLINE_VALUES or bind is literal:
            pairs = ", ".join(f"({bind(one)}, {bind(two)})" for one, two in self.keys)
            return f"({columns}) IN ({pairs})"
        ones, twos = (list(column) for column in zip(*self.keys, strict=True))
        return f"({columns}) IN (SELECT unnest({bind(ones)}), unnest({bind(twos)}))"

    def mask(self, memory: MemoryIndex) -> Mask:
        return memory.patients_of(self.keys)

    def and_(self, other: Patients) -> Patients:
        others = set(other.keys)
        return Patients(tuple(key for key in self.keys if key in others))

    def argument(self) -> object:
        return list(self.keys)


@dataclass(frozen=True)
class Uids:
    """The series with these SeriesInstanceUIDs, and those of the studies with these UIDs.

    Args:
        clauses: lists of UIDs; a series must be in each.
    """

    clauses: tuple[tuple[str, ...], ...]
    column: str = field(default="uids", init=False)

    def sql(self, bind: Bind) -> str:
        columns = ("SeriesInstanceUID", "StudyInstanceUID")
        parts = [
            f"({' OR '.join(_one_of(column, uids, bind) for column in columns)})"
            for uids in self.clauses
        ]
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        found: Mask | None = None
        for uids in self.clauses:
            one = OneOf("SeriesInstanceUID", uids).mask(memory)
            one = one | OneOf("StudyInstanceUID", uids).mask(memory)
            found = one if found is None else found & one
        assert found is not None, "there is a list, if of no UIDs"
        return found

    def and_(self, other: Uids) -> Uids:
        return Uids(tuple(sorted({*self.clauses, *other.clauses})))

    def argument(self) -> object:
        lists = [list(uids) for uids in self.clauses]
        return lists[0] if len(lists) == 1 else lists


@dataclass(frozen=True)
class Having:
    """Studies or patients that have, in all of the index, a series with each of these values.

    Args:
        required: (level, column, value), level "study" or "patient".
    """

    required: tuple[tuple[str, str, Scalar], ...]
    column: str = field(default="having", init=False)

    def sql(self, bind: Bind) -> str:
        parts = []
        for level, column, value in self.required:
            key = "StudyInstanceUID" if level == "study" else PATIENT
            has = _one_of(column, (value,), bind)
            parts.append(f"{key} IN (SELECT {key} FROM index WHERE {has})")
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        found = memory.everything
        for level, column, value in self.required:
            has = memory.mask(OneOf(column, (value,)))
            found = found & (
                memory.same_study(has) if level == "study" else memory.same_patient(has)
            )
        return found

    def and_(self, other: Having) -> Having:
        return Having(unique({*self.required, *other.required}))

    def argument(self) -> object:
        by_level: dict[str, dict[str, Any]] = {}
        for level, column, value in self.required:
            by_level.setdefault(level, {"level": level}).setdefault(column, []).append(value)
        found = list(by_level.values())
        return found[0] if len(found) == 1 else found


@dataclass(frozen=True)
class SameStudy:
    """The originals, or what is derived from them, in the studies of other series.

    Args:
        column: "originals_of" or "derived_from".
        sources: the conditions of the other series; with several, all studies in common.
    """

    column: str
    sources: tuple[tuple[Condition, ...], ...]

    #: A series that is no analysis result, and of no modality that only tells about images.
    ORIGINAL = (
        "(analysis_result_id IS NULL AND (Modality IS NULL OR Modality NOT IN "
        f"({', '.join(map(literal, DERIVED_MODALITIES))})))"
    )

    def sql(self, bind: Bind) -> str:
        parts = [self.ORIGINAL if self.column == "originals_of" else f"NOT {self.ORIGINAL}"]
        for source in self.sources:
            parts.append(
                "StudyInstanceUID IN"
                f" (SELECT StudyInstanceUID FROM index WHERE {where(source, bind)})"
            )
        return " AND ".join(parts)

    def mask(self, memory: MemoryIndex) -> Mask:
        found = memory.mask(OneOf("analysis_result_id", (None,)))
        found = found & ~memory.mask(OneOf("Modality", DERIVED_MODALITIES))
        if self.column == "derived_from":
            found = ~found
        for source in self.sources:
            of_source = memory.everything
            for condition in source:
                of_source = of_source & memory.mask(condition)
            found = found & memory.same_study(of_source)
        return found

    def and_(self, other: SameStudy) -> SameStudy:
        return SameStudy(self.column, tuple(sorted({*self.sources, *other.sources}, key=repr)))

    def argument(self) -> object:
        found: list[Mapping[str, object]] = [
            {condition.column: condition.argument() for condition in source}
            for source in self.sources
        ]
        return found[0] if len(found) == 1 else found


def _asked(condition: Condition, memory: MemoryIndex) -> Mask:
    """A condition on a column that is not in memory: asked of the file, in SQL."""
    params = Parameters()
    sql = condition.sql(params.bind)
    return memory.series_where(sql, params)


def unique(values: Iterable[Any]) -> tuple[Any, ...]:
    """Sorted, each once, None last: so that equal filters are equal cohorts."""

    def order(value: Any) -> Any:
        parts = value if isinstance(value, tuple) else (value,)
        return [(part is None, str(type(part)), part) for part in parts]

    distinct = set(values)
    try:
        return tuple(sorted(distinct))  # of one kind: quick, for there may be 100,000
    except TypeError:
        return tuple(sorted(distinct, key=order))


def _one_of(column: str, values: Sequence[Scalar], bind: Bind) -> str:
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
    if len(values) > _INLINE_VALUES and bind is not literal:
        return f"(SELECT unnest({bind(list(values))}))"
    return f"({', '.join(map(bind, values))})"
