"""The index in memory, as numbers: what is asked at every click is answered here.

Conditions become masks of groups or of series (see `coding` for what these are); facets are counted
over groups, and what tells series apart over series.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import IndexFileError
from ...index import Bound, age_in_years
from ..duckdb_engine import DuckDBEngine
from ..engine import Engine, Scalar
from ..per_engine import PerEngine
from .encoded import (
    Array,
    Arrow,
    EncodedIndex,
    Flags,
    hashed,
    hashes_and_rows,
    load,
    read_index,
    save,
    to_arrow,
    to_numpy,
)

__all__ = ["Mask", "Matches", "MemoryIndex", "memory_index_of", "prepare"]

_log = logging.getLogger(__name__)

#: Masks of conditions, and sets of matching series, that are kept for the next question.
_KEPT_MASKS, _KEPT_MATCHES = 8, 3

_Value = TypeVar("_Value")


class Maskable(Protocol):
    """A hashable condition that can be evaluated on the index in memory."""

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the groups or series that fulfill the condition."""
        ...


@dataclass(frozen=True)
class Mask:
    """Which groups, or which series, fulfil a condition."""

    memory: MemoryIndex
    flags: Flags
    of_groups: bool

    @property
    def of_series(self) -> Flags:
        """Of each series."""
        return self.flags[self.memory.group] if self.of_groups else self.flags

    def __and__(self, other: Mask) -> Mask:
        return self._with(other, np.logical_and)

    def __or__(self, other: Mask) -> Mask:
        return self._with(other, np.logical_or)

    def __invert__(self) -> Mask:
        return Mask(self.memory, ~self.flags, self.of_groups)

    def _with(self, other: Mask, combine: Callable[[Flags, Flags], Flags]) -> Mask:
        if self.of_groups and other.of_groups:
            return Mask(self.memory, combine(self.flags, other.flags), True)
        return Mask(self.memory, combine(self.of_series, other.of_series), False)


class MemoryIndex(EncodedIndex):
    """The index in memory, and what can be asked of it.

    Made by `memory_index_of`. It is never changed, and safe to use from any thread.
    """

    def __init__(self, engine: DuckDBEngine, coding: EncodedIndex) -> None:
        vars(self).update(vars(coding))
        # Weakly, as the memory of an engine must not keep it alive.
        self._engine = weakref.ref(engine)
        self._lock = threading.Lock()
        self._masks: OrderedDict[Maskable, Mask] = OrderedDict()
        self._weights: OrderedDict[Any, Array] = OrderedDict()
        self._matches: OrderedDict[Any, Matches] = OrderedDict()
        self._values: dict[str, Array] = {}
        self._spans: dict[str, tuple[Array, Array]] = {}
        self._bins: OrderedDict[tuple[str, tuple[Bound, ...]], Array] = OrderedDict()

    # --- what a condition is made of -------------------------------------------------------

    def one_of(self, column: str, values: Sequence[Scalar]) -> Mask | None:
        """Any of these values of a column (None: missing); None if the column is not held."""
        if column in self.facets:
            return self.facet(column, values)
        if column in self.columns:
            coded = self.columns[column]
            return Mask(self, coded.flags(values)[coded.codes], False)
        if column in self.numbers:
            numbers = self.numbers[column]
            flags = np.isin(numbers, [value for value in values if value is not None])
            if None in values:
                flags |= np.isnan(numbers)
            return Mask(self, flags, False)
        if column == "StudyInstanceUID":
            flags = np.zeros(self.study_count, dtype=bool)
            found = self.numbers_of("study", [v for v in values if isinstance(v, str)])
            flags[list(found.values())] = True
            return Mask(self, flags[self.study], False)
        if column == "PatientID":
            flags = self.patient_ids.flags(values)[self.patient_ids.codes]
            return Mask(self, flags[self.patient], True)
        if column == "SeriesInstanceUID":
            flags = np.zeros(self.series_count, dtype=bool)
            rows = self.series_rows([value for value in values if isinstance(value, str)])
            flags[rows[rows >= 0]] = True
            return Mask(self, flags, False)
        return None

    def facet(self, column: str, values: Iterable[Scalar]) -> Mask:
        """Any of these values of a facet's column."""
        coded = self.facets[column]
        return Mask(self, coded.flags(values)[coded.codes], True)

    @property
    def everything(self) -> Mask:
        """All series."""
        return Mask(self, np.ones(self.group_count, dtype=bool), True)

    def between(self, column: str, low: Scalar, high: Scalar) -> Mask | None:
        """A closed range of a column; None if the column is not held."""
        if column in self.numbers:
            return Mask(self, _within(self.numbers[column], low, high), False)
        of_groups = column in self.facets
        coded = self.facets.get(column) or self.columns.get(column)
        if coded is None:
            return None
        values = self.measured(column)
        flags = np.append(_within(values, low, high), False)
        return Mask(self, flags[coded.codes], of_groups)

    def bins(self, column: str, inner: tuple[Bound, ...]) -> Array:
        """Of each series, its bin of a column of numbers; the one after the last for missing."""

        def make() -> Array:
            numbers = self.numbers[column]
            found = np.searchsorted(np.asarray(inner, dtype=float), numbers, side="right")
            found[np.isnan(numbers)] = len(inner) + 1
            return found.astype(np.min_scalar_type(len(inner) + 1))

        return self._kept(self._bins, (column, inner), _KEPT_MASKS, make)

    def measured(self, column: str) -> Array:
        """The values of a coded column as what a range compares."""
        found = self._values.get(column)
        if found is None:
            coded = self.facets.get(column) or self.columns[column]
            if column == "PatientAge":
                found = np.array([age_in_years(age) for age in coded.texts[:-1]], dtype=float)
            elif pa.types.is_integer(coded.values.type):
                found = to_numpy(coded.values)
            else:
                found = np.array(coded.texts[:-1], dtype=object)
            self._values[column] = found
        return found

    def text(self, word: str, collections: Collection[str]) -> Mask:
        """A word, in lower case, in a text of the series; or the series of these collections."""
        collection = self.facets["collection_id"]
        in_collection = collection.flags(collections) | _with_missing(
            pc.match_substring(collection.lower, word)
        )
        in_id = _with_missing(pc.match_substring(self.patient_ids.lower, word))
        in_id = in_id[self.patient_ids.codes]
        found = Mask(self, in_collection[collection.codes] | in_id[self.patient], True).of_series
        for name in ("StudyDescription", "SeriesDescription"):
            coded = self.columns[name]
            flags = _with_missing(pc.match_substring(coded.lower, word))
            if flags.any():
                found = found | flags[coded.codes]
        return Mask(self, found, False)

    def in_uids(self, word: str) -> Mask:
        """A word, in lower case, in the UID of the series or its study."""
        texts = self.study_uid if self.has_plain_uids else pc.utf8_lower(self.study_uid)
        in_study = to_numpy(pc.match_substring(texts, word))
        uid = "SeriesInstanceUID" if self.has_plain_uids else "lower(SeriesInstanceUID)"
        in_series = self.series_where(f"contains({uid}, ?)", [word])
        return Mask(self, in_study[self.study] | in_series.flags, False)

    def patients_of(self, keys: Collection[tuple[str, str]]) -> Mask:
        """The patients with these (collection_id, PatientID)."""
        flags = np.zeros(self.patient_count, dtype=bool)
        flags[list(self.numbers_of("patient", keys).values())] = True
        return Mask(self, flags[self.patient], True)

    def numbers_of(self, level: str, keys: Collection[Any]) -> dict[Any, int]:
        """Key → number of these patients, studies or series (their rows), but for unknown keys."""
        if level == "series":
            rows = self.series_rows(list(keys)).tolist()
            return {key: row for key, row in zip(keys, rows, strict=True) if row >= 0}
        if level == "study":
            places = np.flatnonzero(to_numpy(pc.is_in(self.study_uid, to_arrow(list(keys)))))
            return dict(zip(self.keys_of(level, places), places.tolist(), strict=True))
        wanted_keys = set(keys)
        flags = self.patient_ids.flags(patient for _, patient in wanted_keys)
        found = np.flatnonzero(flags[self.patient_ids.codes])
        by_key = dict(zip(self.keys_of("patient", found), found.tolist(), strict=True))
        return {key: number for key, number in by_key.items() if key in wanted_keys}

    def keys_of(self, level: str, numbers: Array) -> list[Any]:
        """The keys of patients or studies with these numbers."""
        if level == "study":
            return list(self.study_uid.take(to_arrow(numbers)).to_pylist())
        names = self.facets["collection_id"].texts
        collections = [names[code] for code in self.collection_of_patient[numbers].tolist()]
        ids = self.patient_ids.take(self.patient_ids.codes[numbers])
        return list(zip(collections, ids, strict=True))

    def series_rows(self, uids: Sequence[str]) -> Array:
        """The rows of the series with these SeriesInstanceUIDs; -1 for what is unknown.

        Compared are 64-bit hashes: among a million series, the chance that an unknown UID passes
        for a known one is 1 in 10^13.
        """
        hashes, rows = self._hashes_and_rows()
        if not uids or not len(hashes):
            return np.full(len(uids), -1, dtype=np.int64)
        # What is no Unicode is known to no database, and some DuckDB cannot even be asked.
        texts = [uid.encode(errors="replace").decode() for uid in uids]
        wanted = hashed(self._living, "uid", "(SELECT unnest(?) AS uid)", [texts])
        places = np.searchsorted(hashes, wanted)
        places[places == len(hashes)] = 0
        return np.where(hashes[places] == wanted, rows[places], -1)

    def _hashes_and_rows(self) -> tuple[Array, Array]:
        if self.uid_hashes is None:
            self.uid_hashes = hashes_and_rows(self._living)
        return self.uid_hashes

    def uids_of(self, rows: Array) -> list[str]:
        """The SeriesInstanceUIDs of these rows, in their order."""
        if self.series_uid is not None:
            return list(self.series_uid.take(to_arrow(rows)).to_pylist())
        found = self._living.query(
            "SELECT SeriesInstanceUID FROM _rows JOIN"
            " (SELECT unnest(?) AS id, unnest(?) AS position) AS wanted"
            " ON _row = wanted.id ORDER BY position",
            [rows.tolist(), list(range(len(rows)))],
        )
        return [str(uid) for uid in found.column(0).to_pylist()]

    def span(self, level: str) -> tuple[Array, Array]:
        """Of each patient or study, its first and its last row: mostly, its rows are together."""
        found = self._spans.get(level)
        if found is None:
            owner = self.patient[self.group] if level == "patient" else self.study
            count = self.patient_count if level == "patient" else self.study_count
            rows = np.arange(self.series_count, dtype=np.int32)
            first, last = (np.zeros(count, dtype=np.int32) for _ in range(2))
            last[owner] = rows
            first[owner[::-1]] = rows[::-1]
            found = self._spans[level] = first, last
        return found

    @property
    def _living(self) -> DuckDBEngine:
        engine = self._engine()
        assert engine is not None, "who asks has the engine"
        return engine

    def series_where(self, sql: str, params: Sequence[object]) -> Mask:
        """The series that fulfil a condition in SQL: for columns that are not held here."""
        flags = np.zeros(self.series_count, dtype=bool)
        found = self._living.query(f"SELECT _row FROM _rows WHERE {sql}", params)
        for chunk in found.column(0).chunks:
            flags[to_numpy(chunk)] = True
        return Mask(self, flags, False)

    @cached_property
    def has_plain_uids(self) -> bool:
        """Whether all UIDs are of digits and dots, as DICOM has them: no word can be in them."""
        if not self._living.index.is_own:
            return True
        if to_numpy(pc.match_substring_regex(self.study_uid, "[^0-9.]")).any():
            return False
        [(found,)] = self._living.rows(
            "SELECT NOT coalesce(bool_or(regexp_matches(SeriesInstanceUID, '[^0-9.]')), false)"
            " FROM index"
        )
        return bool(found)

    def same_patient(self, mask: Mask) -> Mask:
        """All series of the patients of these series."""
        groups = mask.flags if mask.of_groups else self.group[mask.flags]
        flags = np.zeros(self.patient_count, dtype=bool)
        flags[self.patient[groups]] = True
        return Mask(self, flags[self.patient], True)

    def same_study(self, mask: Mask) -> Mask:
        """All series of the studies of these series."""
        flags = np.zeros(self.study_count, dtype=bool)
        flags[self.study[mask.of_series]] = True
        return Mask(self, flags[self.study], False)

    def known(self, column: str, texts: Sequence[str]) -> set[str] | None:
        """Those of the texts that the index has in a column; None if the column is not held."""
        level = {"StudyInstanceUID": "study", "SeriesInstanceUID": "series"}.get(column)
        if level is not None:
            return set(self.numbers_of(level, texts))
        coded = self.facets.get(column) or self.columns.get(column)
        if column == "PatientID":
            coded = self.patient_ids
        if coded is None:
            return None
        wanted = to_arrow(texts)
        return set(wanted.filter(pc.is_in(wanted, coded.values)).to_pylist())

    # --- questions -------------------------------------------------------------------------

    def matches(self, conditions: Sequence[Maskable]) -> Matches:
        """The series that fulfil all the conditions."""
        return self._kept(
            self._matches,
            tuple(conditions),
            _KEPT_MATCHES,
            lambda: Matches(self, [self.mask(one) for one in conditions], tuple(conditions)),
        )

    def mask(self, condition: Maskable) -> Mask:
        """Which groups or series fulfil a condition."""
        return self._kept(self._masks, condition, _KEPT_MASKS, lambda: condition.mask(self))

    def all_of(self, conditions: Sequence[Maskable]) -> Flags:
        """Of each series, whether it fulfils all these conditions on series, of which are some."""
        flags = [self.mask(one).flags for one in conditions]
        return reduce(np.logical_and, flags)

    def weights(self, conditions: Sequence[Maskable]) -> Array:
        """Of each group, how many of its series fulfil these conditions on series."""
        if not conditions:
            return self.series

        def count() -> Array:
            rows = np.flatnonzero(self.all_of(conditions))
            return np.bincount(self.group[rows], minlength=self.group_count).astype(np.int32)

        return self._kept(self._weights, tuple(conditions), _KEPT_MATCHES, count)

    def _kept(
        self, kept: OrderedDict[Any, _Value], key: Any, most: int, make: Callable[[], _Value]
    ) -> _Value:
        """What was made for the key, of late, or is made now."""
        with self._lock:
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
        made = make()
        with self._lock:
            kept[key] = made
            while len(kept) > most:
                kept.popitem(last=False)
        return made


class Matches:
    """The series that fulfil some conditions, and what they amount to."""

    def __init__(
        self, memory: MemoryIndex, masks: Sequence[Mask], conditions: tuple[Maskable, ...]
    ) -> None:
        self.memory = memory
        self._of_series = [
            one for one, mask in zip(conditions, masks, strict=True) if not mask.of_groups
        ]
        self._groups: Flags | None = None
        for mask in masks:
            if mask.of_groups:
                self._groups = mask.flags if self._groups is None else self._groups & mask.flags

    @cached_property
    def weights(self) -> Array:
        """Of each group, how many of its series match."""
        weights = self.memory.weights(self._of_series)
        return weights if self._groups is None else weights * self._groups

    @cached_property
    def groups(self) -> Array:
        """The groups of which some series match."""
        return np.flatnonzero(self.weights).astype(np.int32)

    @cached_property
    def _as_floats(self) -> Array:
        """The weights of these groups as `np.bincount` wants them."""
        return self.weights[self.groups].astype(float)

    def __len__(self) -> int:
        return int(self.weights.sum(dtype=np.int64))

    @cached_property
    def rows(self) -> Array:
        """The matching series, by their rows in the index."""
        memory = self.memory
        if not self._of_series:
            if self._groups is None:
                return np.arange(memory.series_count, dtype=np.int32)
            return np.flatnonzero(self._groups[memory.group]).astype(np.int32)
        rows = np.flatnonzero(memory.all_of(self._of_series))
        if self._groups is not None:
            rows = rows[self._groups[memory.group[rows]]]
        return rows.astype(np.int32)

    def rows_near(self, level: str, numbers: Array) -> Array:
        """The rows of these patients or studies, and others that lie between their rows."""
        first, last = (one[numbers] for one in self.memory.span(level))
        order = np.argsort(first)
        first, stop = first[order], np.maximum.accumulate(last[order]) + 1
        is_apart = first[1:] >= stop[:-1]
        starts = np.searchsorted(self.rows, first[np.append(True, is_apart)])
        stops = np.searchsorted(self.rows, stop[np.append(is_apart, True)])
        return np.concatenate(
            [self.rows[start:end] for start, end in zip(starts, stops, strict=True)]
        )

    @cached_property
    def patients(self) -> Array:
        """The patients, in order."""
        flags = np.zeros(self.memory.patient_count, dtype=bool)
        flags[self.memory.patient[self.groups]] = True
        return np.flatnonzero(flags).astype(np.int32)

    @cached_property
    def studies(self) -> Array:
        """The studies, in order."""
        flags = np.zeros(self.memory.study_count, dtype=bool)
        flags[self.memory.study[self.rows]] = True
        return np.flatnonzero(flags).astype(np.int32)

    def numbers(self, level: str) -> Array:
        """The matching patients, studies or series (their rows) by number, in order."""
        return {"patient": self.patients, "study": self.studies, "series": self.rows}[level]

    def equal(self, other: Matches | None) -> bool:
        """Whether the same series of the same index match."""
        return (
            other is not None
            and self.memory is other.memory
            and np.array_equal(self.weights, other.weights)
            and np.array_equal(self.rows, other.rows)
        )

    def present(self, level: str, keys: Collection[Any]) -> set[Any]:
        """Those of the keys of patients, studies or series that are here."""
        numbers = self.memory.numbers_of(level, keys)
        here = self.numbers(level)
        places = np.searchsorted(here, list(numbers.values()))
        padded = np.append(here, -1)  # what is behind the last one
        found = padded[places] == list(numbers.values())
        return {key for key, is_here in zip(numbers, found.tolist(), strict=True) if is_here}

    def files_and_size(self) -> tuple[int, float]:
        """How many files these series have, and their size in MB."""
        memory = self.memory
        if not self._of_series:
            groups = self.groups
            return int(memory.files[groups].sum()), float(memory.size_MB[groups].sum())
        files = np.nan_to_num(memory.numbers["instanceCount"][self.rows])
        sizes = np.nan_to_num(memory.numbers["series_size_MB"][self.rows])
        return int(files.sum(dtype=np.int64)), float(sizes.sum())

    def collections(self) -> int:
        """How many collections these series are in; what has no collection_id is in none."""
        codes = self.memory.facets["collection_id"]
        found = np.unique(self.memory.collection_of_patient[self.patients])
        return int((found != codes.missing).sum())

    def counted(self, column: str) -> Iterator[tuple[Scalar, int, int]]:
        """The values of a facet's column, how many series and how many patients have each."""
        coded = self.memory.facets[column]
        pair, value_of_pair = self.memory.pairs[column]
        many = len(coded.values) + 1
        if len(self.groups) == self.memory.group_count:
            series = np.bincount(coded.codes, self._as_floats, many).astype(np.int64)
            patients = np.bincount(value_of_pair, minlength=many)
        else:
            groups = self.groups
            codes = coded.codes.take(groups)  # twice as quick as [groups]
            series = np.bincount(codes, self._as_floats, many).astype(np.int64)
            flags = np.zeros(len(value_of_pair), dtype=bool)
            flags[pair.take(groups)] = True
            patients = np.bincount(value_of_pair[flags], minlength=many)
        for code in np.flatnonzero(series).tolist():
            yield coded.texts[code], int(series[code]), int(patients[code])

    def binned(self, column: str, edges: Sequence[Bound]) -> tuple[list[int], int]:
        """How many series are in each bin of a column of `RANGES`, and how many have no value."""
        memory, inner = self.memory, edges[1:-1]
        shown = max(len(edges) - 1, 0)
        many = len(inner) + 1  # one, even where nothing has a value that could be shown
        if column in memory.numbers:
            bins = memory.bins(column, tuple(inner))
            counts = np.bincount(bins[self.rows], minlength=many + 1)
            return counts[:shown].tolist(), int(counts[many])
        values = memory.measured(column)
        if values.dtype.kind == "f":
            bins = np.searchsorted(np.asarray(inner, dtype=float), values, side="right")
            bins[np.isnan(values)] = many
        else:  # dates, in order: looking for the few edges in the many values is quicker
            starts = np.searchsorted(values, np.asarray(inner, dtype=object), side="left")
            bins = np.searchsorted(starts, np.arange(len(values)), side="right")
        codes = memory.columns[column].codes[self.rows]
        counts = np.bincount(codes, minlength=len(values) + 1)
        totals = np.bincount(np.append(bins, many), counts, many + 1).astype(np.int64)
        return totals[:shown].tolist(), int(totals[many])


def _within(values: Array, low: Scalar, high: Scalar) -> Flags:
    flags: Flags = np.ones(len(values), dtype=bool)
    if values.dtype.kind == "f":
        flags &= ~np.isnan(values)
    if low is not None:
        flags &= (values >= low).astype(bool)
    if high is not None:
        flags &= (values <= high).astype(bool)
    return flags


def _with_missing(flags: Arrow) -> Flags:
    """Flags of values, and False for what is missing."""
    return np.append(to_numpy(flags), False)


# --- one memory an engine ------------------------------------------------------------------


def memory_index_of(engine: Engine, *, make: bool = True) -> MemoryIndex | None:
    """Return the index of an engine in memory; None for a database elsewhere.

    At the first call, reading IDC's index takes about a second, unless it was prepared.

    Args:
        engine: The engine that has the index.
        make: False to return None instead of reading the index.
    """
    if not isinstance(engine, DuckDBEngine):
        return None
    return _memory_indexes.of(engine) if make else _memory_indexes.get(engine)


def prepare(engine: DuckDBEngine) -> None:
    """Keeps the memory of the installed index in a file, for every later session.

    Raises:
        IndexFileError: it cannot be written.
    """
    path = engine.index.prepared_encoding
    if path is not None and not _is_sound(path):
        save(engine, read_index(engine), path)
        for other in path.parent.glob("encoding-*.arrow"):
            with suppress(OSError):  # in use, on Windows
                if other != path:
                    other.unlink()


def _is_sound(path: Path) -> bool:
    with suppress(IndexFileError):
        return path.is_file() and load(path) is not None
    return False


def _coding_of(engine: DuckDBEngine) -> EncodedIndex:
    path = engine.index.prepared_encoding
    if path is not None and path.is_file():
        try:
            return load(path)
        except IndexFileError as error:
            _log.warning("%s", error)  # a file that can be made again
    return read_index(engine)


_memory_indexes: PerEngine[DuckDBEngine, MemoryIndex] = PerEngine(
    lambda engine: MemoryIndex(engine, _coding_of(engine))
)
