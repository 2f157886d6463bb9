"""Parser of the keyword arguments of `Cohort.where`: checks values and makes conditions."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from .._util import and_more, as_list
from ..errors import InvalidQueryError, unknown_message
from ..index import ALIASES, COLLECTION_FACETS, COLUMNS, DATES, NUMERIC, RANGES, age_in_years
from .collection_facts import collection_names, collection_values
from .engine import Engine, Scalar
from .exclusion import Excluded
from .filters import (
    Between,
    Condition,
    InCollections,
    IsCommercial,
    OneOf,
    Patients,
    Text,
    Uids,
    sorted_unique,
)
from .known_values import identifier_hint, known_texts, similar_texts
from .matching import merge_conditions
from .related_filters import Having, SameStudy

__all__ = ["KEYWORDS", "parse_filters", "parse_patients", "patient_key", "resolve_column"]

_HAVING_LEVELS = ("study", "patient")

#: The largest number of words of a text filter, and of values of ``having``. Each is a search of
#: the whole index, which takes some 20 ms.
_MAX_SEARCHES = 100

#: Integers in DuckDB and Arrow have 64 bits with sign.
_MAX_INTEGER = (1 << 63) - 1


@runtime_checkable
class Filtered(Protocol):
    """A cohort as a value of ``originals_of=`` or ``derived_from=``.

    This is a protocol, because `cohort` imports this module.
    """

    @property
    def engine(self) -> Engine:
        """The engine that has the series."""
        ...

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions that the series fulfill."""
        ...


def parse_filters(engine: Engine, filters: Mapping[str, object]) -> tuple[Condition, ...]:
    """Return the conditions for the keyword arguments of `Cohort.where`.

    Args:
        engine: The engine whose index must have the values.
        filters: Keyword → value.

    Raises:
        InvalidQueryError: As described for `Cohort.where`.
    """
    conditions: list[Condition] = []
    for name, value in filters.items():
        if name == "exclude":
            conditions += _parse_exclude(engine, value)
        else:
            conditions.append(_parse(engine, name, value))
    return merge_conditions(conditions)


def resolve_column(name: str) -> str:
    """Return the name of a column or keyword, with aliases resolved.

    Raises:
        InvalidQueryError: There is no such keyword; the message names the nearest.
    """
    if name not in KEYWORDS:
        raise InvalidQueryError(unknown_message("column", name, KEYWORDS))
    return ALIASES.get(name, name)


def parse_patients(_engine: Engine, keys: object) -> Patients:
    """Return the condition for pairs (collection_id, PatientID). They are not looked up.

    Raises:
        InvalidQueryError: A key is not such a pair.
    """
    return Patients(sorted_unique(map(patient_key, as_list(keys))))


def patient_key(key: object, expected: str = "(collection_id, PatientID)") -> tuple[str, str]:
    """Return the pair (collection_id, PatientID) of a tuple or list.

    Args:
        key: The tuple or list.
        expected: What the caller accepts, as words for the error message.

    Raises:
        InvalidQueryError: The key is not such a pair.
    """
    if isinstance(key, (tuple, list)) and [type(part) for part in key] == [str, str]:
        return (key[0], key[1])
    raise InvalidQueryError(
        f"patients={key!r}: expected {expected}, such as ('nsclc_radiomics', 'LUNG1-365')"
    )


def _parse(engine: Engine, name: str, value: object) -> Condition:
    """Return the condition of one keyword argument."""
    name = resolve_column(name)
    if name in _SPECIAL:
        return _SPECIAL[name](engine, value)
    if name in COLLECTION_FACETS:
        return _parse_collection_facet(engine, name, value)
    if isinstance(value, tuple):
        return _parse_range(name, value)
    values = sorted_unique(_scalar(name, item) for item in as_list(value))
    _check_texts_exist(engine, name, values)
    return OneOf(name, values)


# --- single values -------------------------------------------------------------------------


def _as_lists(value: object) -> list[list[Any]]:
    """Return a list of lists unchanged; turn any other value into a list of one list.

    `Cohort.filters` has a list of lists if a cohort was narrowed twice by the same filter.
    """
    items = as_list(value)
    return items if items and all(isinstance(item, list) for item in items) else [items]


def _scalar(column: str, value: object) -> Scalar:
    """Return a value as the index stores it: None if missing, and a date as ISO 8601 text."""
    value = _plain(value)
    if value is None:
        return None
    expected = (int, float) if column in NUMERIC else (str,)
    if not isinstance(value, expected) or isinstance(value, bool):
        kind = "a number" if column in NUMERIC else "text"
        raise InvalidQueryError(f"{column}={value!r}: expected {kind}, not {type(value).__name__}")
    # A member of an Enum becomes a plain value, because its repr is not a literal.
    if isinstance(value, str):
        value = str.__str__(value)
        _check_unicode(column, value)
    elif isinstance(value, int):
        value = int(value)
        if abs(value) > _MAX_INTEGER:
            raise InvalidQueryError(f"{column}: expected an integer of at most 64 bits")
    if column in DATES and isinstance(value, str) and re.fullmatch(r"\d{8}", value, re.ASCII):
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"  # the format of dates in DICOM
    return value


def _check_unicode(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"{name}={text!r} is not Unicode: {error.reason}") from error


def _plain(value: object) -> object:
    """Return a value of NumPy, pandas or datetime as plain Python; None if it is missing."""
    if getattr(getattr(value, "dtype", None), "kind", "") == "M":  # numpy.datetime64
        value = str(value)[:10].replace("NaT", "") or None
    elif hasattr(value, "item"):  # any other NumPy scalar
        value = value.item()
    if type(value).__name__ in ("NAType", "NaTType"):  # missing values of pandas
        return None
    if isinstance(value, datetime.datetime):
        value = value.date()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return None if isinstance(value, float) and math.isnan(value) else value


def _check_texts_exist(engine: Engine, column: str, values: Iterable[Scalar]) -> None:
    """Raise InvalidQueryError if a text does not occur in a column of the index."""
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        return
    known = known_texts(engine, column, texts)
    missing = [text for text in texts if text not in known]
    if missing:
        hint = identifier_hint(engine, column, missing[0])
        similar = () if hint else similar_texts(engine, column, missing[0])
        raise _unknown_values(column, missing, similar, hint)


def _unknown_values(
    kind: str, missing: list[str], known: Iterable[object], hint: str = ""
) -> InvalidQueryError:
    others = and_more(len(missing) - 1)
    return InvalidQueryError(unknown_message(kind, missing[0], known) + hint + others)


# --- ranges --------------------------------------------------------------------------------


def _parse_range(column: str, bounds: tuple[object, ...]) -> Between:
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
    """Return one end of a range; None if the range has no end there."""
    value = _age(given) if column == "PatientAge" else _scalar(column, given)
    if isinstance(value, float) and math.isinf(value):
        if (value > 0) == is_high:
            return None
        end, sign = ("end", "-") if is_high else ("begin", "")
        raise InvalidQueryError(f"{column}: a range cannot {end} at {sign}infinity")
    if column == "PatientAge":
        return value
    if column in DATES and value is not None and not _is_iso_date(str(value)):
        raise InvalidQueryError(
            f"{column}: {given!r} is not a date; expected YYYY-MM-DD, such as '2010-04-01'"
        )
    return value


def _age(given: object) -> float | None:
    """Return an age in years from a number of years or a DICOM Age String."""
    value = _plain(given)
    if value is None:
        return None
    if isinstance(value, str):
        value = age_in_years(value)
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise InvalidQueryError(
            f"PatientAge: {given!r} is not an age; expected years, such as 60 or '060Y'"
        )
    return value


def _is_iso_date(text: str) -> bool:
    try:
        # Python 3.11 and later accept other ISO 8601 formats, too, but those do not sort as text.
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


# --- keywords that are not columns of the index ---------------------------------------------


def _parse_collection_facet(engine: Engine, column: str, value: object) -> InCollections:
    clauses = []
    for items in _as_lists(value):
        values = [_plain(item) for item in items]
        for item in values:
            if item is not None and not isinstance(item, str):
                raise InvalidQueryError(
                    f"{column}={item!r}: expected text, not {type(item).__name__}"
                )
        clauses.append(sorted_unique(values))
    by_collection = collection_values(engine, column)
    known = {item for values in by_collection.values() for item in values}
    wanted = [item for clause in clauses for item in clause if item is not None]
    missing = [item for item in wanted if item not in known]
    if missing:
        raise _unknown_values(column, missing, known)
    return InCollections(
        column,
        tuple(sorted(set(clauses), key=str)),
        known=frozenset(collection for collection, values in by_collection.items() if values),
        matching=frozenset(
            collection
            for collection, values in by_collection.items()
            if all(set(values).intersection(clause) for clause in clauses)
        ),
    )


def _parse_text(engine: Engine, value: object) -> Text:
    if not isinstance(value, str) or not value.split():
        raise InvalidQueryError(f"text={value!r}: expected one or more words")
    _check_unicode("text", value)
    words = tuple(sorted(set(_lower(value).split())))
    if len(words) > _MAX_SEARCHES:
        raise InvalidQueryError(
            f"text: {len(words):,} different words; expected {_MAX_SEARCHES} at most. "
            "To look up identifiers, use uids=[...] or client.find_uids(...)"
        )
    names = {collection: _lower(name) for collection, name in collection_names(engine).items()}
    return Text(
        words,
        tuple(
            frozenset(collection for collection, name in names.items() if word in name)
            for word in words
        ),
    )


def _lower(text: str) -> str:
    """Return a text in lower case. Each character is converted alone, as databases do it.

    `str.lower` also looks at the neighbors, for the final sigma of Greek.
    """
    return "".join(character.lower()[0] for character in text)


def _parse_uids(engine: Engine, value: object) -> Uids:
    clauses = []
    for uids in _as_lists(value):
        for uid in uids:
            if not isinstance(uid, str):
                raise InvalidQueryError(f"uids={uid!r}: expected text, not {type(uid).__name__}")
        series = known_texts(engine, "SeriesInstanceUID", uids)
        missing = [uid for uid in uids if uid not in series]
        studies = known_texts(engine, "StudyInstanceUID", missing)
        missing = [uid for uid in missing if uid not in studies]
        if missing:
            hint = identifier_hint(engine, "uids", missing[0])
            raise _unknown_values("UID", missing, (), hint)
        clauses.append(sorted_unique(uids))
    return Uids(tuple(sorted(set(clauses))))


def _parse_commercial_use(_engine: Engine, value: object) -> IsCommercial:
    values = [_plain(item) for item in as_list(value)]
    for item in values:
        if item is not None and not isinstance(item, bool):
            raise InvalidQueryError(
                f"commercial_use={item!r}: expected True, False, or None for no license"
            )
    return IsCommercial(tuple(item for item in (True, False, None) if item in values))


def _parse_having(engine: Engine, value: object) -> Having:
    required: list[tuple[str, str, Scalar]] = []
    for given in as_list(value):
        if not isinstance(given, Mapping):
            raise InvalidQueryError(
                f"having={given!r}: expected a dict, such as {{'Modality': ['CT', 'PT'], "
                "'level': 'patient'}; or call cohort.having(...)"
            )
        columns = dict(given)
        level = columns.pop("level", "study")
        if level not in _HAVING_LEVELS:
            raise InvalidQueryError(unknown_message("level", level, _HAVING_LEVELS))
        if not columns:
            raise InvalidQueryError(
                "having: expected a column and its values, such as Modality=['CT', 'SEG']"
            )
        for column, values in columns.items():
            if column not in COLUMNS:
                raise InvalidQueryError(unknown_message("column", column, COLUMNS))
            scalars = sorted_unique(_scalar(column, item) for item in as_list(values))
            if not scalars:
                raise InvalidQueryError(f"having: {column}=[]: expected at least one value")
            _check_texts_exist(engine, column, scalars)
            required.extend((str(level), column, scalar) for scalar in scalars)
    if len(required) > _MAX_SEARCHES:
        raise InvalidQueryError(
            f"having: {len(required):,} values; expected {_MAX_SEARCHES} at most"
        )
    return Having(sorted_unique(required))


def _parse_exclude(engine: Engine, value: object) -> list[Excluded]:
    excluded = []
    for given in as_list(value):
        if not isinstance(given, Mapping):
            raise InvalidQueryError(
                f"exclude={given!r}: expected a dict, such as {{'Modality': ['SR', 'SEG']}}; "
                "or call cohort.exclude(...)"
            )
        for name, unwanted in given.items():
            if name == "exclude":
                raise InvalidQueryError("exclude: to keep only certain series, use where(...)")
            condition = _parse(engine, name, unwanted)
            if condition.argument() != []:  # an empty list excludes nothing
                excluded.append(Excluded(condition.column, (condition,)))
    return excluded


def _parse_same_study(column: str) -> Callable[[Engine, object], SameStudy]:
    """Return the parser of ``originals_of=`` or ``derived_from=``."""

    def parse(engine: Engine, value: object) -> SameStudy:
        sources = []
        for item in as_list(value):
            if isinstance(item, Mapping):
                sources.append(parse_filters(engine, item))
            elif not isinstance(item, Filtered):
                raise InvalidQueryError(
                    f"{column}={item!r}: expected a cohort, or the filters of one as a dict"
                )
            elif item.engine is not engine:
                raise InvalidQueryError(
                    f"{column}={item!r}: the cohort belongs to another client; make it with "
                    "client.cohort(...) of the client that you query"
                )
            else:
                sources.append(item.conditions)
        if not sources:
            raise InvalidQueryError(f"{column}=[]: expected a cohort")
        return SameStudy(column, tuple(sorted(set(sources), key=repr)))

    return parse


_SPECIAL: dict[str, Callable[[Engine, object], Condition]] = {
    "text": _parse_text,
    "uids": _parse_uids,
    "patients": parse_patients,
    "commercial_use": _parse_commercial_use,
    "having": _parse_having,
    "originals_of": _parse_same_study("originals_of"),
    "derived_from": _parse_same_study("derived_from"),
}

#: The keywords that `Cohort.where` takes.
KEYWORDS = (*COLUMNS, *COLLECTION_FACETS, *ALIASES, *_SPECIAL, "exclude")
