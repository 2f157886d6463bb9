"""A cohort: an immutable filter on the index, and every question about what it matches."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from .engine import Engine, Source, literal
from .errors import InvalidQueryError, unknown
from .index import COLUMNS, DATES, NUMERIC

if TYPE_CHECKING:
    import pandas as pd

    from .selection import Selection

__all__ = ["FACETS", "LEVELS", "TEXT_COLUMNS", "Cohort", "FacetValue", "Summary"]

#: Columns that `Cohort.facets` counts by default, in the order they are shown.
FACETS = (
    "collection_id",
    "Modality",
    "BodyPartExamined",
    "PatientSex",
    "Manufacturer",
    "license_short_name",
)

#: Columns that the filter ``text`` looks into.
TEXT_COLUMNS = (
    "collection_id",
    "PatientID",
    "StudyDescription",
    "SeriesDescription",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)

PATIENT_KEY = ("collection_id", "PatientID")

#: Level → the SQL of its table, one row a patient, study or series. ``{where}`` is the cohort.
_LEVEL_SQL = {
    "patients": (
        "SELECT collection_id, PatientID,"
        " string_agg(DISTINCT PatientSex, ',' ORDER BY PatientSex) AS PatientSex,"
        " string_agg(DISTINCT PatientAge, ',' ORDER BY PatientAge) AS PatientAge,"
        " count(DISTINCT StudyInstanceUID) AS studies, count(*) AS series,"
        " CAST(sum(instanceCount) AS BIGINT) AS instances, sum(series_size_MB) AS size_MB"
        " FROM index WHERE {where} GROUP BY collection_id, PatientID"
        " ORDER BY collection_id, PatientID"
    ),
    # One study of IDC v25 has two patients, so the patient is an attribute here, not a key.
    "studies": (
        "SELECT min(collection_id) AS collection_id, min(PatientID) AS PatientID,"
        " StudyInstanceUID, min(StudyDate) AS StudyDate, min(StudyDescription)"
        " AS StudyDescription, string_agg(DISTINCT Modality, ', ' ORDER BY Modality) AS Modality,"
        " count(*) AS series,"
        " CAST(sum(instanceCount) AS BIGINT) AS instances, sum(series_size_MB) AS size_MB"
        " FROM index WHERE {where} GROUP BY StudyInstanceUID"
        " ORDER BY 1, 2, 4, 3"
    ),
    "series": (
        "SELECT * FROM index WHERE {where} ORDER BY collection_id, PatientID, StudyDate,"
        " StudyInstanceUID, Modality, TRY_CAST(SeriesNumber AS BIGINT), SeriesInstanceUID"
    ),
}

LEVELS = tuple(_LEVEL_SQL)

#: Above this many values a list is bound as one array parameter and joined.
_INLINE_VALUES = 50

Scalar: TypeAlias = "str | int | float | None"
#: How a value enters the SQL text: as ``?`` and a bound parameter, or as a literal.
_Bind: TypeAlias = Callable[[object], str]


@dataclass(frozen=True)
class Summary:
    """What a cohort or a selection amounts to. Sizes are in MB (10^6 bytes)."""

    collections: int
    patients: int
    studies: int
    series: int
    instances: int
    size_MB: float
    #: Short names of the licences, the most series first.
    licenses: tuple[str, ...]


@dataclass(frozen=True)
class FacetValue:
    """One value of a facet, and how many series and patients of the cohort have it."""

    value: str | None
    series: int
    patients: int


@dataclass(frozen=True)
class _OneOf:
    column: str
    values: tuple[Scalar, ...]

    def sql(self, bind: _Bind) -> str:
        present = [value for value in self.values if value is not None]
        parts = []
        if len(present) == 1:
            parts.append(f"{self.column} = {bind(present[0])}")
        elif present:
            parts.append(f"{self.column} IN {_bind_list(present, bind)}")
        if None in self.values:
            parts.append(f"{self.column} IS NULL")
        return f"({' OR '.join(parts)})" if parts else "FALSE"

    def and_(self, other: _OneOf | _Between) -> _OneOf:
        return _OneOf(self.column, tuple(v for v in self.values if other.allows(v)))

    def allows(self, value: Scalar) -> bool:
        return value in self.values

    def argument(self) -> object:
        return self.values[0] if len(self.values) == 1 else list(self.values)


@dataclass(frozen=True)
class _Between:
    column: str
    low: Scalar
    high: Scalar

    def sql(self, bind: _Bind) -> str:
        parts = []
        if self.low is not None:
            parts.append(f"{self.column} >= {bind(self.low)}")
        if self.high is not None:
            parts.append(f"{self.column} <= {bind(self.high)}")
        return " AND ".join(parts) or f"{self.column} IS NOT NULL"

    def and_(self, other: _OneOf | _Between) -> _OneOf | _Between:
        if isinstance(other, _OneOf):
            return other.and_(self)

        def pick(choose: Callable[..., Scalar], one: Scalar, two: Scalar) -> Scalar:
            return one if two is None else two if one is None else choose(one, two)

        return _Between(
            self.column, pick(max, self.low, other.low), pick(min, self.high, other.high)
        )

    def allows(self, value: Any) -> bool:
        return (
            value is not None
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )

    def argument(self) -> object:
        return (self.low, self.high)


@dataclass(frozen=True)
class _Text:
    words: tuple[str, ...]
    column: str = field(default="text", init=False)

    def sql(self, bind: _Bind) -> str:
        # Words hold no white space, so none can match across the joint of two columns.
        columns = f"lower(concat_ws(' ', {', '.join(TEXT_COLUMNS)}))"
        return " AND ".join(f"contains({columns}, lower({bind(word)}))" for word in self.words)

    def and_(self, other: _Text) -> _Text:
        return _Text(tuple(sorted({*self.words, *other.words})))

    def argument(self) -> object:
        return " ".join(self.words)


@dataclass(frozen=True)
class _Patients:
    keys: tuple[tuple[str, str], ...]
    column: str = field(default="patients", init=False)

    def sql(self, bind: _Bind) -> str:
        if not self.keys:
            return "FALSE"
        columns = ", ".join(PATIENT_KEY)
        if len(self.keys) <= _INLINE_VALUES or bind is literal:
            pairs = ", ".join(f"({bind(one)}, {bind(two)})" for one, two in self.keys)
            return f"({columns}) IN ({pairs})"
        ones, twos = (list(column) for column in zip(*self.keys, strict=True))
        return f"({columns}) IN (SELECT unnest({bind(ones)}), unnest({bind(twos)}))"

    def and_(self, other: _Patients) -> _Patients:
        return _Patients(tuple(key for key in self.keys if key in set(other.keys)))

    def argument(self) -> object:
        return list(self.keys)


_Condition: TypeAlias = "_OneOf | _Between | _Text | _Patients"


class Cohort:
    """An immutable filter on the index; every method that narrows returns a new cohort.

    Made by ``client.cohort(...)``. Equal filters on the same engine are equal cohorts.

    >>> cohort = client.cohort(collection_id="nlst", Modality=["CT", "SEG"])
    >>> cohort.where(series_size_MB=(None, 500)).summary().series
    """

    __slots__ = ("_conditions", "engine")

    engine: Engine
    _conditions: tuple[_Condition, ...]

    def __init__(self, engine: Engine, **filters: object) -> None:
        narrowed = Cohort._of(engine, ()).where(**filters)
        object.__setattr__(self, "engine", engine)
        object.__setattr__(self, "_conditions", narrowed._conditions)

    @classmethod
    def _of(cls, engine: Engine, conditions: Iterable[_Condition]) -> Cohort:
        """A cohort of checked conditions; those on one column become one (AND)."""
        merged: dict[str, _Condition] = {}
        for condition in conditions:
            earlier = merged.get(condition.column)
            merged[condition.column] = (
                # Conditions on one column are of kinds that know each other.
                condition if earlier is None else earlier.and_(condition)  # type: ignore[arg-type]
            )
        cohort = object.__new__(cls)
        object.__setattr__(cohort, "engine", engine)
        object.__setattr__(cohort, "_conditions", tuple(merged[key] for key in sorted(merged)))
        return cohort

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Cohort is immutable; use where({name}=...) to make a new one")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cohort):
            return NotImplemented
        return self.engine is other.engine and self._conditions == other._conditions

    def __hash__(self) -> int:
        return hash((id(self.engine), self._conditions))

    def __repr__(self) -> str:
        return f"Cohort({', '.join(f'{k}={v}' for k, v in self._described())})"

    def _described(self) -> Iterable[tuple[str, str]]:
        for condition in self._conditions:
            text = repr(condition.argument())
            if isinstance(condition, (_OneOf, _Patients)):
                values = condition.values if isinstance(condition, _OneOf) else condition.keys
                if len(values) > 6:
                    text = f"[{', '.join(map(repr, values[:3]))}, ... {len(values):,} in all]"
            yield condition.column, text

    # --- narrowing -------------------------------------------------------------------------

    def where(self, **filters: object) -> Cohort:
        """This cohort narrowed further: all filters, old and new, must hold.

        Args:
            **filters: column = a value (equality), a list (any of), a 2-tuple (closed range,
                None for open, on number and date columns); None, alone or in a list, is "is
                missing". ``text="lung kernel"``: every word, as a substring in any letter case,
                of a description or identifier column (`TEXT_COLUMNS`). ``patients=[...]``: as
                `of_patients`.

        Raises:
            InvalidQueryError: unknown column or value (the nearest is named), a range upside
                down or on a text column, a date that is none, a value of the wrong type.
        """
        conditions = [self._condition(name, value) for name, value in filters.items()]
        return Cohort._of(self.engine, (*self._conditions, *conditions))

    def without(self, *columns: str) -> Cohort:
        """This cohort without its filters on these columns (``"text"`` for the text filter).

        Raises:
            InvalidQueryError: no such column.
        """
        for name in columns:
            _check_column(name)
        return Cohort._of(
            self.engine, (one for one in self._conditions if one.column not in columns)
        )

    def of_patients(self, keys: Iterable[tuple[str, str]]) -> Cohort:
        """This cohort narrowed to these patients, each a (collection_id, PatientID).

        Raises:
            InvalidQueryError: a key is not such a pair.
        """
        return Cohort._of(self.engine, (*self._conditions, _patients(keys)))

    def of_studies(self, uids: Iterable[str]) -> Cohort:
        """This cohort narrowed to these StudyInstanceUIDs; unlike `where`, none is looked up."""
        return self._of_keys("StudyInstanceUID", uids)

    def of_series(self, uids: Iterable[str]) -> Cohort:
        """This cohort narrowed to these SeriesInstanceUIDs; unlike `where`, none is looked up."""
        return self._of_keys("SeriesInstanceUID", uids)

    def _of_keys(self, column: str, uids: Iterable[str]) -> Cohort:
        return Cohort._of(self.engine, (*self._conditions, _OneOf(column, _unique(uids))))

    @property
    def filters(self) -> dict[str, object]:
        """The filters as keyword arguments of `where` (``patients`` as of `of_patients`)."""
        return {condition.column: condition.argument() for condition in self._conditions}

    def values(self, column: str) -> tuple[Scalar, ...]:
        """The values that this cohort allows of a column by equality or list; empty: any."""
        for condition in self._conditions:
            if isinstance(condition, _OneOf) and condition.column == column:
                return condition.values
        return ()

    # --- questions -------------------------------------------------------------------------

    def summary(self) -> Summary:
        """How many collections, patients, studies, series and instances, and how much."""
        where, params = self._where()
        source = self.source
        [(collections, patients, studies, series, instances, size_MB)] = self.engine.rows(
            f"SELECT count(DISTINCT collection_id), count(DISTINCT {source.patient}),"
            f" count(DISTINCT {source.study}), count(*),"
            " CAST(coalesce(sum(instanceCount), 0) AS BIGINT), coalesce(sum(series_size_MB), 0)"
            f" FROM {source.table} WHERE {where}",
            params,
        )
        licenses = self.engine.rows(
            f"SELECT license_short_name FROM {source.table}"
            f" WHERE {where} AND license_short_name IS NOT NULL"
            " GROUP BY 1 ORDER BY count(*) DESC, 1",
            params,
        )
        names = tuple(str(name) for (name,) in licenses)
        return Summary(collections, patients, studies, series, instances, size_MB, names)

    def facets(self, columns: Sequence[str] = FACETS) -> dict[str, list[FacetValue]]:
        """The values of each column with their counts, most series first.

        Each facet ignores this cohort's own filter on its column (cross-filter), so that the
        other values of the column can still be seen and chosen.

        Raises:
            InvalidQueryError: unknown column.
        """
        for column in columns:
            if column not in COLUMNS:
                raise InvalidQueryError(unknown("column", column, COLUMNS))
        by_cohort: dict[Cohort, list[str]] = {}
        for column in dict.fromkeys(columns):
            by_cohort.setdefault(self.without(column), []).append(column)
        found = {
            column: values
            for cohort, group in by_cohort.items()
            for column, values in cohort._count_values(group).items()
        }
        return {column: found[column] for column in columns}

    def _count_values(self, columns: Sequence[str]) -> dict[str, list[FacetValue]]:
        """Counts of all these columns from one scan."""
        where, params = self._where()
        source = self.engine.source({*columns, *(one.column for one in self._conditions)})
        names = ", ".join(columns)
        sets = ", ".join(f"({column})" for column in columns)
        table = self.engine.query(
            f"SELECT GROUPING({names}) AS grouping, {names}, count(*) AS series,"
            f" count(DISTINCT {source.patient}) AS patients FROM {source.table} WHERE {where}"
            f" GROUP BY GROUPING SETS ({sets}) ORDER BY series DESC, {names}",
            params,
        )
        # GROUPING has a bit a column, the first column's the highest, 0 where it is grouped by.
        everything = (1 << len(columns)) - 1
        of_bits = {
            everything ^ (1 << (len(columns) - 1 - at)): column for at, column in enumerate(columns)
        }
        counted: dict[str, list[FacetValue]] = {column: [] for column in columns}
        for row in table.to_pylist():
            column = of_bits[row["grouping"]]
            counted[column].append(FacetValue(row[column], row["series"], row["patients"]))
        return counted

    def patients(self) -> pd.DataFrame:
        """One row a patient: (collection_id, PatientID), sex, age, counts and size in MB."""
        return self._frame("patients")

    def studies(self) -> pd.DataFrame:
        """One row a study: patient, date, description, its modalities, counts and size in MB."""
        return self._frame("studies")

    def series(self) -> pd.DataFrame:
        """One row a series, with every column of the index."""
        return self._frame("series")

    def _frame(self, level: str) -> pd.DataFrame:
        return self.engine.query(*self.level_sql(level)).to_pandas()

    def level_sql(self, level: str) -> tuple[str, list[object]]:
        """The query behind `patients`, `studies` or `series`, with ``?``, and its parameters."""
        if level not in _LEVEL_SQL:
            raise InvalidQueryError(unknown("level", level, LEVELS))
        where, params = self._where()
        return _LEVEL_SQL[level].format(where=where), params

    @property
    def predicate(self) -> tuple[str, list[object]]:
        """What a row of the index must fulfil, as SQL with ``?``, and its parameters."""
        return self._where()

    @property
    def source(self) -> Source:
        """Where what this cohort matches is counted the quickest; `predicate` holds there too."""
        return self.engine.source({condition.column for condition in self._conditions})

    @property
    def sql(self) -> str:
        """The SQL of what this cohort matches, runnable as it stands in ``client.sql(...)``."""
        where = " AND ".join(condition.sql(literal) for condition in self._conditions)
        return f"SELECT * FROM index WHERE {where}" if where else "SELECT * FROM index"

    def select(self) -> Selection:
        """All series of this cohort as a `Selection`, which can be downloaded or saved."""
        from .selection import Selection

        return Selection(self)

    def _where(self) -> tuple[str, list[object]]:
        params: list[object] = []

        def bind(value: object) -> str:
            params.append(value)
            return "?"

        where = " AND ".join(condition.sql(bind) for condition in self._conditions)
        return where or "TRUE", params

    # --- checking what people pass ---------------------------------------------------------

    def _condition(self, name: str, value: object) -> _Condition:
        if name == "text":
            return _text(value)
        if name == "patients":
            return _patients(value)
        _check_column(name)
        if isinstance(value, tuple):
            return _between(name, value)
        values = _as_list(value)
        one_of = _OneOf(name, _unique(_scalar(name, one) for one in values))
        self._check_values(one_of)
        return one_of

    def _check_values(self, one_of: _OneOf) -> None:
        column = one_of.column
        texts = [value for value in one_of.values if isinstance(value, str)]
        if not texts:
            return
        missing = self.engine.rows(
            f"SELECT value FROM (SELECT unnest(?) AS value) AS given"
            f" WHERE NOT EXISTS (SELECT 1 FROM index WHERE {column} = value)",
            [texts],
        )
        if missing:
            known = self.engine.rows(
                f"SELECT DISTINCT {column} FROM index WHERE {column} IS NOT NULL"
            )
            kind = "collection" if column == "collection_id" else column
            others = f" (and {len(missing) - 1:,} more)" if len(missing) > 1 else ""
            unknown_ones = {value for (value,) in missing}
            first = next(text for text in texts if text in unknown_ones)
            raise InvalidQueryError(unknown(kind, first, (value for (value,) in known)) + others)


def _check_column(name: str) -> None:
    if name not in COLUMNS and name not in ("text", "patients"):
        raise InvalidQueryError(unknown("column", name, [*COLUMNS, "text", "patients"]))


def _as_list(value: object) -> list[object]:
    """A list, set, array or other collection as a list; anything else as a list of itself."""
    single = isinstance(value, (str, bytes, Mapping)) or getattr(value, "ndim", 1) == 0
    if isinstance(value, Iterable) and not single:
        return list(value)
    return [value]


def _scalar(column: str, value: object) -> Scalar:
    """One value as the index has it: None for every kind of "missing", dates as ISO text."""
    value = _plain(value)
    if value is None:
        return None
    expected = (int, float) if column in NUMERIC else (str,)
    if not isinstance(value, expected) or isinstance(value, bool):
        kind = "a number" if column in NUMERIC else "text"
        raise InvalidQueryError(f"{column}={value!r}: expected {kind}, not {type(value).__name__}")
    if column in DATES and isinstance(value, str) and re.fullmatch(r"\d{8}", value, re.ASCII):
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"  # as DICOM writes it
    return value


def _plain(value: object) -> object:
    """NumPy's, pandas' and datetime's values as plain Python."""
    if getattr(getattr(value, "dtype", None), "kind", "") == "M":  # numpy.datetime64
        value = str(value)[:10].replace("NaT", "") or None
    elif hasattr(value, "item"):  # any other NumPy scalar
        value = value.item()
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas' missing values
        return None
    if isinstance(value, datetime.datetime):
        value = value.date()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return None if isinstance(value, float) and value != value else value


def _between(column: str, bounds: tuple[object, ...]) -> _Between:
    if len(bounds) != 2:
        raise InvalidQueryError(
            f"{column}={bounds!r}: a tuple is a range and has two ends, (low, high); "
            "use a list for several values"
        )
    if column not in NUMERIC and column not in DATES:
        raise InvalidQueryError(
            f"{column}={bounds!r}: a range needs a number or date column, and {column} is text; "
            "use a list for several values"
        )
    low, high = (_bound(column, bound) for bound in bounds)
    if low is not None and high is not None and low > high:  # type: ignore[operator]
        raise InvalidQueryError(f"{column}={bounds!r}: the range is upside down, {low} > {high}")
    return _Between(column, low, high)


def _bound(column: str, given: object) -> Scalar:
    value = _scalar(column, given)
    if isinstance(value, float) and math.isinf(value):
        return None  # an end that is infinitely far is open
    if column in DATES and value is not None and not _is_date(str(value)):
        raise InvalidQueryError(
            f"{column}: {given!r} is not a date; expected YYYY-MM-DD, such as '2010-04-01'"
        )
    return value


def _is_date(text: str) -> bool:
    try:
        # Python 3.11 reads other forms of ISO 8601 as well, which would be compared as text.
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _text(value: object) -> _Text:
    if not isinstance(value, str) or not value.split():
        raise InvalidQueryError(f"text={value!r}: expected one or more words")
    return _Text(tuple(sorted(set(value.lower().split()))))


def _patients(keys: object) -> _Patients:
    pairs = _as_list(keys)
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and [type(one) for one in pair] == [str, str]):
            raise InvalidQueryError(
                f"patients={pair!r}: expected (collection_id, PatientID), "
                "such as ('nsclc_radiomics', 'LUNG1-365')"
            )
    return _Patients(_unique(tuple(pair) for pair in pairs))  # type: ignore[arg-type]


def _unique(values: Iterable[object]) -> tuple:  # type: ignore[type-arg]
    """Sorted, each once, None last: so that equal filters are equal cohorts."""
    return tuple(sorted(set(values), key=lambda value: (value is None, str(type(value)), value)))


def _bind_list(values: Sequence[Scalar], bind: _Bind) -> str:
    if len(values) > _INLINE_VALUES and bind is not literal:
        return f"(SELECT unnest({bind(values)}))"
    return f"({', '.join(map(bind, values))})"
