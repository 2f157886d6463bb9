"""What people pass to `Cohort.where`, checked and made into conditions."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import InvalidQueryError, unknown
from ..index import ALIASES, COLLECTION_FACETS, COLUMNS, DATES, NUMERIC, RANGES, years
from .engine import Engine, Parameters, Scalar
from .filters import (
    Between,
    Condition,
    Having,
    InCollections,
    IsCommercial,
    OneOf,
    Patients,
    SameStudy,
    Text,
    Uids,
    unique,
)

__all__ = ["KEYWORDS", "check_column", "collection_values", "condition", "known_texts", "patients"]

#: What `Cohort.where` takes.
KEYWORDS = (
    *COLUMNS,
    *COLLECTION_FACETS,
    *ALIASES,
    "commercial_use",
    "text",
    "uids",
    "patients",
    "having",
    "originals_of",
    "derived_from",
)

_LEVELS = ("study", "patient")

#: Facts of the collections, by engine: see `_collections`.
_known_collections: WeakKeyDictionary[Engine, dict[str, dict[str, str]]] = WeakKeyDictionary()
_known_values: WeakKeyDictionary[Engine, dict[str, dict[str, tuple[str, ...]]]] = (
    WeakKeyDictionary()
)


def condition(engine: Engine, name: str, value: object) -> Condition:
    """The condition that a keyword of `Cohort.where` asks for.

    Raises:
        InvalidQueryError: as of `Cohort.where`.
    """
    name = check_column(name)
    if name in _SPECIAL:
        return _SPECIAL[name](engine, value)
    if name in COLLECTION_FACETS:
        return _in_collections(engine, name, value)
    if isinstance(value, tuple):
        return _between(name, value)
    one_of = OneOf(name, unique(_scalar(name, one) for one in _as_list(value)))
    _check_values(engine, name, one_of.values)
    return one_of


def check_column(name: str) -> str:
    """The filter's own name; raises InvalidQueryError, naming the nearest, if there is none."""
    if name not in KEYWORDS:
        raise InvalidQueryError(unknown("column", name, KEYWORDS))
    return ALIASES.get(name, name)


def collection_values(engine: Engine, column: str) -> dict[str, tuple[str, ...]]:
    """collection_id → the values that the collection has of one of `COLLECTION_FACETS`."""
    known = _known_values.setdefault(engine, {})
    if column not in known:
        known[column] = {
            name: tuple(dict.fromkeys(filter(None, map(str.strip, facts[column].split(",")))))
            for name, facts in _collections(engine).items()
        }
    return known[column]


# --- kinds of value ------------------------------------------------------------------------


def _as_list(value: object) -> list[Any]:
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
    if isinstance(value, str):
        _check_unicode(column, value)
    elif isinstance(value, int) and abs(value) >= 1 << 63:
        raise InvalidQueryError(f"{column}: a number of that size is none of the index")
    if column in DATES and isinstance(value, str) and re.fullmatch(r"\d{8}", value, re.ASCII):
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"  # as DICOM writes it
    return value


def _check_unicode(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"{name}={text!r} is not Unicode: {error.reason}") from error


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


def _check_values(engine: Engine, column: str, values: Iterable[Scalar]) -> None:
    """That the index has these texts in the column."""
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        return
    found = known_texts(engine, column, texts)
    missing = [text for text in texts if text not in found]
    if missing:
        known = engine.rows(f"SELECT DISTINCT {column} FROM index WHERE {column} IS NOT NULL")
        kind = "collection" if column == "collection_id" else column
        raise _unknown_values(kind, missing, (value for (value,) in known))


def known_texts(
    engine: Engine, column: str, texts: Iterable[str], table: str = "index"
) -> set[str]:
    """Those of the texts that a table has in this column."""
    wanted = unique(texts)
    if not wanted:
        return set()
    from .memory import memory_index_of  # here, so that opening a client does not wait for Arrow

    memory = memory_index_of(engine, make=False)
    if memory is not None and table == "index":
        known = memory.known(column, wanted)
        if known is not None:
            return known
    params = Parameters()
    where = OneOf(column, wanted).sql(params.bind)
    rows = engine.rows(f"SELECT DISTINCT {column} FROM {table} WHERE {where}", params)
    return {str(value) for (value,) in rows}


def _unknown_values(kind: str, missing: list[str], known: Iterable[object]) -> InvalidQueryError:
    others = f" (and {len(missing) - 1:,} more)" if len(missing) > 1 else ""
    return InvalidQueryError(unknown(kind, missing[0], known) + others)


# --- ranges --------------------------------------------------------------------------------


def _between(column: str, bounds: tuple[object, ...]) -> Between:
    if len(bounds) != 2:
        raise InvalidQueryError(
            f"{column}={bounds!r}: a tuple is a range and has two ends, (low, high); "
            "use a list for several values"
        )
    if column not in NUMERIC and column not in RANGES:
        raise InvalidQueryError(
            f"{column}={bounds!r}: a range needs a number or date column, and {column} is text; "
            "use a list for several values"
        )
    low, high = (_bound(column, bound, is_high) for is_high, bound in enumerate(bounds))
    if low is not None and high is not None and low > high:  # type: ignore[operator]
        raise InvalidQueryError(f"{column}: the range is upside down, {low} > {high}")
    return Between(column, low, high)


def _bound(column: str, given: object, is_high: int) -> Scalar:
    value = _age(given) if column == "PatientAge" else _scalar(column, given)
    if isinstance(value, float) and math.isinf(value):
        if (value > 0) == is_high:
            return None  # an end that is infinitely far is open
        raise InvalidQueryError(f"{column}: a range cannot {'end' if is_high else 'begin'} there")
    if column == "PatientAge":
        return value
    if column in DATES and value is not None and not _is_date(str(value)):
        raise InvalidQueryError(
            f"{column}: {given!r} is not a date; expected YYYY-MM-DD, such as '2010-04-01'"
        )
    return value


def _age(given: object) -> float | None:
    value = _plain(given)
    if value is None:
        return None
    if isinstance(value, str):
        value = years(value)
    if isinstance(value, int) and abs(value) >= 1 << 63:
        value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise InvalidQueryError(
            f"PatientAge: {given!r} is no age; expected years, such as 60 or '060Y'"
        )
    return value


def _is_date(text: str) -> bool:
    try:
        # Python 3.11 reads other forms of ISO 8601 as well, which would be compared as text.
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


# --- collections ---------------------------------------------------------------------------


def _collections(engine: Engine) -> dict[str, dict[str, str]]:
    """collection_id → its name and facts, as text; none where there is no such table."""
    found = _known_collections.get(engine)
    if found is None:
        present = engine.tables().get("collections_index", {})
        names = [name for name in ("collection_name", *COLLECTION_FACETS) if name in present]
        rows = []
        if names:
            rows = engine.rows(f"SELECT collection_id, {', '.join(names)} FROM collections_index")
        everything = dict.fromkeys(("collection_name", *COLLECTION_FACETS), "")
        found = {
            str(collection): {
                **everything,
                **{n: str(f or "") for n, f in zip(names, facts, strict=True)},
            }
            for collection, *facts in rows
        }
        _known_collections[engine] = found
    return found


def _in_collections(engine: Engine, column: str, value: object) -> InCollections:
    given = _as_list(value)
    # A list of lists: one of each, as `Cohort.filters` gives what was narrowed twice.
    lists = given if given and all(isinstance(one, list) for one in given) else [given]
    clauses = []
    for one in lists:
        values = [_plain(item) for item in one]
        for item in values:
            if item is not None and not isinstance(item, str):
                raise InvalidQueryError(
                    f"{column}={item!r}: expected text, not {type(item).__name__}"
                )
        clauses.append(unique(values))
    by_collection = collection_values(engine, column)
    known = {item for values in by_collection.values() for item in values}
    missing = [item for clause in clauses for item in clause if item is not None]
    missing = [item for item in missing if item not in known]
    if missing:
        raise _unknown_values(column, missing, known)
    return InCollections(
        column,
        tuple(sorted(set(clauses), key=str)),
        known=frozenset(name for name, values in by_collection.items() if values),
        matching=frozenset(
            name
            for name, values in by_collection.items()
            if all(set(values).intersection(clause) for clause in clauses)
        ),
    )


# --- what is no column of the index --------------------------------------------------------


def _text(engine: Engine, value: object) -> Text:
    if not isinstance(value, str) or not value.split():
        raise InvalidQueryError(f"text={value!r}: expected one or more words")
    _check_unicode("text", value)
    words = tuple(sorted(set(_lower(value).split())))
    names = {name: _lower(facts["collection_name"]) for name, facts in _collections(engine).items()}
    return Text(
        words, tuple(frozenset(one for one in names if word in names[one]) for word in words)
    )


def _lower(text: str) -> str:
    """In lower case, character by character, as databases do: Python knows of final sigmas."""
    return "".join(character.lower()[0] for character in text)


def patients(_engine: Engine, keys: object) -> Patients:
    """The condition on (collection_id, PatientID); raises InvalidQueryError for other pairs."""
    pairs = _as_list(keys)
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and [type(one) for one in pair] == [str, str]):
            raise InvalidQueryError(
                f"patients={pair!r}: expected (collection_id, PatientID), "
                "such as ('nsclc_radiomics', 'LUNG1-365')"
            )
    return Patients(unique(tuple(pair) for pair in pairs))


def _uids(engine: Engine, value: object) -> Uids:
    given = _as_list(value)
    lists = given if given and all(isinstance(one, list) for one in given) else [given]
    clauses = []
    for uids in lists:
        for uid in uids:
            if not isinstance(uid, str):
                raise InvalidQueryError(f"uids={uid!r}: expected text, not {type(uid).__name__}")
        series = known_texts(engine, "SeriesInstanceUID", uids)
        missing = [uid for uid in uids if uid not in series]
        studies = known_texts(engine, "StudyInstanceUID", missing)
        missing = [uid for uid in missing if uid not in studies]
        if missing:
            raise _unknown_values("UID", missing, ())
        clauses.append(unique(uids))
    return Uids(tuple(sorted(set(clauses))))


def _commercial(_engine: Engine, value: object) -> IsCommercial:
    values = [_plain(one) for one in _as_list(value)]
    for one in values:
        if one is not None and not isinstance(one, bool):
            raise InvalidQueryError(f"commercial_use={one!r}: expected True or False")
    return IsCommercial(tuple(one for one in (True, False, None) if one in values))


def _having(engine: Engine, value: object) -> Having:
    required: list[tuple[str, str, Scalar]] = []
    for given in _as_list(value):
        if not isinstance(given, Mapping):
            raise InvalidQueryError(
                f"having={given!r}: expected a dict, such as {{'Modality': ['CT', 'PT'], "
                "'level': 'patient'}; or call cohort.having(...)"
            )
        columns = dict(given)
        level = columns.pop("level", "study")
        if level not in _LEVELS:
            raise InvalidQueryError(unknown("level", level, _LEVELS))
        if not columns:
            raise InvalidQueryError("having: expected a column and its values, Modality=[...]")
        for name, values in columns.items():
            if name not in COLUMNS:
                raise InvalidQueryError(unknown("column", name, COLUMNS))
            scalars = unique(_scalar(name, one) for one in _as_list(values))
            if not scalars:
                raise InvalidQueryError(f"having: {name}=[] names no value to have")
            _check_values(engine, name, scalars)
            required.extend((str(level), name, one) for one in scalars)
    return Having(unique(required))


def _same_study(column: str) -> Callable[[Engine, object], SameStudy]:
    def make(engine: Engine, value: object) -> SameStudy:
        from .cohort import Cohort  # a cohort of other series, inside this one's condition

        sources = []
        for one in _as_list(value):
            if isinstance(one, Mapping):
                one = Cohort(engine, **one)
            if not isinstance(one, Cohort):
                raise InvalidQueryError(
                    f"{column}={one!r}: expected a cohort, or the filters of one as a dict"
                )
            if one.engine is not engine:
                raise InvalidQueryError(f"{column}: that cohort is of another client")
            sources.append(one.conditions)
        if not sources:
            raise InvalidQueryError(f"{column}=[]: expected a cohort")
        return SameStudy(column, tuple(sorted(set(sources), key=repr)))

    return make


_SPECIAL: dict[str, Callable[[Engine, object], Condition]] = {
    "text": _text,
    "uids": _uids,
    "patients": patients,
    "commercial_use": _commercial,
    "having": _having,
    "originals_of": _same_study("originals_of"),
    "derived_from": _same_study("derived_from"),
}
