"""Parser of the keyword arguments of `Cohort.where`: checks values and makes conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from .._util import and_more, as_list
from ..errors import InvalidQueryError, shown_value, unknown_message
from ..index import COLLECTION_FACETS, COLUMNS
from .collection_facts import collection_names, collection_values
from .column_names import checked_column
from .condition import Condition, Conjunction, sorted_unique
from .engine import Engine, Scalar
from .filter_keywords import FILTER_NAMES
from .filters import InCollections, OneOf, Text
from .flags import IsFlag
from .identifier_hints import identifier_hint
from .key_lists import Patients, Uids
from .known_values import known_texts, similar_texts
from .matching import merge_conditions
from .ranking import Ranked, checked_ranking
from .related_filters import HAVING_LEVELS, Having
from .sampling import UNITS, HashRange, InPart, StratumRanges
from .set_algebra import complement, union
from .table_filters import InTable
from .value_parser import check_unicode, parse_range, parse_scalar, plain, range_hint

__all__ = [
    "conditions_of",
    "parse_filters",
    "parse_having",
    "parse_patients",
    "patient_key",
    "resolve_column",
]

#: The largest number of words of a text filter, and of dicts of ``having``. Each is a search of the
#: whole index, which takes some 20 ms.
_MAX_SEARCHES = 100


@runtime_checkable
class Filtered(Protocol):
    """A cohort as a value of ``having=`` or ``any_of=``.

    This is a protocol, because `cohort` imports this module.
    """

    @property
    def engine(self) -> Engine:
        """The engine that has the series."""
        ...

    @property
    def conditions(self) -> Conjunction:
        """The conditions that the series fulfill."""
        ...


def parse_filters(engine: Engine, filters: Mapping[str, object]) -> Conjunction:
    """Return the conditions for the keyword arguments of `Cohort.where`.

    Args:
        engine: The engine whose index must have the values.
        filters: Keyword → value.

    Raises:
        InvalidQueryError: As described for `Cohort.where`.
    """
    return merge_conditions(
        condition for name, value in filters.items() for condition in _parse(engine, name, value)
    )


def conditions_of(engine: Engine, keyword: str, given: object) -> Conjunction:
    """Return the conditions of a cohort, or of its filters as a dict.

    Args:
        engine: The engine that the cohort must belong to.
        keyword: The keyword or operator that takes the cohort, for error messages.
        given: The cohort or the dict.

    Raises:
        InvalidQueryError: It is neither, or the cohort belongs to another client.
    """
    if isinstance(given, Mapping):
        return parse_filters(engine, given)
    if not isinstance(given, Filtered):
        raise InvalidQueryError(
            f"{keyword}={shown_value(given)}: expected a cohort, or the filters of one as a dict, "
            "such as {'Modality': ['CT', 'PT']}"
        )
    if given.engine is not engine:
        ours, theirs = engine.data_version, given.engine.data_version
        data = "" if ours == theirs else f" with other data, {theirs!r} instead of {ours!r}"
        raise InvalidQueryError(
            f"{keyword}: the cohort belongs to another client{data}; make it with "
            "client.cohort(...) of the client that you query"
        )
    return given.conditions


def resolve_column(engine: Engine, name: str) -> str:
    """Return the name of a column or keyword, with aliases resolved.

    Raises:
        InvalidQueryError: There is no such keyword; the message names the nearest.
    """
    return checked_column(engine, name, FILTER_NAMES)


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
        f"patients={shown_value(key)}: expected {expected}, such as "
        "('nsclc_radiomics', 'LUNG1-365')"
    )


def _parse(engine: Engine, name: str, value: object) -> Conjunction:
    """Return the conditions of one keyword argument."""
    if isinstance(value, InTable):  # `with_table_filters` has parsed it
        return (value,)
    name = resolve_column(engine, name)
    if name in _COMPOSED:
        return _COMPOSED[name](engine, value)
    return (_parse_condition(engine, name, value),)


def _parse_condition(engine: Engine, name: str, value: object) -> Condition:
    if name in _SPECIAL:
        return _SPECIAL[name](engine, value)
    if name in COLLECTION_FACETS:
        return _parse_collection_facet(engine, name, value)
    if isinstance(value, tuple):
        return parse_range(name, value)
    values = sorted_unique(parse_scalar(name, item) for item in as_list(value))
    _check_texts_exist(engine, name, values)
    return OneOf(name, values)


# --- single values -------------------------------------------------------------------------


def _as_lists(value: object) -> list[list[Any]]:
    """Return a list of lists unchanged; turn any other value into a list of one list.

    `Cohort.filters` has a list of lists if a cohort was narrowed twice by the same filter.
    """
    items = as_list(value)
    return items if items and all(isinstance(item, list) for item in items) else [items]


def _check_texts_exist(engine: Engine, column: str, values: Iterable[Scalar]) -> None:
    """Raise InvalidQueryError if a text does not occur in a column of the index."""
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        return
    known = known_texts(engine, column, texts)
    missing = [text for text in texts if text not in known]
    if missing:
        hint = identifier_hint(engine, column, missing[0])
        hint = hint or range_hint(column, missing[0])
        similar = () if hint else similar_texts(engine, column, missing[0])
        raise _unknown_values(column, missing, similar, hint)


def _unknown_values(
    kind: str, missing: list[str], known: Iterable[object], hint: str = ""
) -> InvalidQueryError:
    others = and_more(len(missing) - 1)
    return InvalidQueryError(unknown_message(kind, missing[0], known) + hint + others)


# --- keywords that are not columns of the index ---------------------------------------------


def _parse_collection_facet(engine: Engine, column: str, value: object) -> InCollections:
    clauses = []
    for items in _as_lists(value):
        values = [plain(item) for item in items]
        for item in values:
            if item is not None and not isinstance(item, str):
                raise InvalidQueryError(
                    f"{column}={shown_value(item)}: expected text, not {type(item).__name__}"
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
        raise InvalidQueryError(f"text={shown_value(value)}: expected one or more words")
    check_unicode("text", value)
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
                raise InvalidQueryError(
                    f"uids={shown_value(uid)}: expected text, not {type(uid).__name__}"
                )
        series = known_texts(engine, "SeriesInstanceUID", uids)
        missing = [uid for uid in uids if uid not in series]
        studies = known_texts(engine, "StudyInstanceUID", missing)
        missing = [uid for uid in missing if uid not in studies]
        if missing:
            hint = identifier_hint(engine, "uids", missing[0])
            raise _unknown_values("UID", missing, (), hint)
        clauses.append(sorted_unique(uids))
    return Uids(tuple(sorted(set(clauses))))


def _parse_flag(column: str, unknown: str) -> Callable[[Engine, object], IsFlag]:
    """Return the parser of a fact that is true or false.

    Args:
        column: One of `FLAGS`.
        unknown: What None stands for.
    """

    def parse(_engine: Engine, value: object) -> IsFlag:
        values = [plain(item) for item in as_list(value)]
        for item in values:
            if item is not None and not isinstance(item, bool):
                raise InvalidQueryError(
                    f"{column}={shown_value(item)}: expected True, False, or None for {unknown}"
                )
        return IsFlag(column, tuple(item for item in (True, False, None) if item in values))

    return parse


# --- filters that consist of filters ---------------------------------------------------------


def parse_having(
    engine: Engine, level: object, filters: Mapping[str, object], other: object = None
) -> Conjunction:
    """Return the condition for the arguments of `Cohort.having`; none if every series fulfills it.

    Raises:
        InvalidQueryError: As described for `Cohort.having`.
    """
    if level not in tuple(HAVING_LEVELS):
        raise InvalidQueryError(unknown_message("level", level, HAVING_LEVELS))
    if not filters and other is None:
        raise InvalidQueryError(
            "having: expected a cohort or a column and its value, such as Modality='SEG'"
        )
    conditions = parse_filters(engine, filters)
    if other is not None:
        conditions = merge_conditions((*conditions, *conditions_of(engine, "having", other)))
    return (Having(((str(level), conditions),)),) if conditions else ()


def _parse_having_list(engine: Engine, value: object) -> Conjunction:
    given = as_list(value)
    if len(given) > _MAX_SEARCHES:
        raise InvalidQueryError(
            f"having: {len(given):,} kinds of series; expected {_MAX_SEARCHES} at most"
        )
    parsed: list[Condition] = []
    for one in given:
        if isinstance(one, Mapping):
            filters = {name: value for name, value in one.items() if name != "level"}
            parsed += parse_having(engine, one.get("level", "study"), filters)
        else:
            parsed += parse_having(engine, "study", {}, one)
    return merge_conditions(parsed)


def _parse_any_of(engine: Engine, value: object) -> Conjunction:
    return merge_conditions(
        condition
        for alternatives in _as_lists(value)
        for condition in union(conditions_of(engine, "any_of", one) for one in alternatives)
    )


def _parse_exclude(engine: Engine, value: object) -> Conjunction:
    kept: list[Condition] = []
    for given in as_list(value):
        if not isinstance(given, Mapping):
            raise InvalidQueryError(
                f"exclude={shown_value(given)}: expected a dict, such as "
                "{'Modality': ['SR', 'SEG']}; or call cohort.exclude(...)"
            )
        for name, unwanted in given.items():
            if name == "exclude":
                raise InvalidQueryError("exclude: to keep only certain series, use where(...)")
            kept += complement(_parse(engine, name, unwanted))
    return merge_conditions(kept)


def _parse_part(engine: Engine, value: object) -> Conjunction:
    parts: list[Condition] = []
    for given in as_list(value):
        match given:
            case {"by": str(by), "random_state": int(seed), "range": [low, high], **rest} if (
                by in UNITS and not rest and _is_range(low, high)
            ):
                parts.append(InPart((HashRange(by, seed, low, high),)))
            case {
                "by": str(by),
                "random_state": int(seed),
                "stratify": str(column),
                "ranges": list(ranges),
                "of": source,
                **rest,
            } if by in UNITS and column in COLUMNS and not rest and all(map(_is_stratum, ranges)):
                strata = tuple((parse_scalar(column, one[0]), *one[1:]) for one in ranges)
                conditions = conditions_of(engine, "part", source)
                parts.append(InPart((StratumRanges(by, seed, column, conditions, strata),)))
            case _:
                raise InvalidQueryError(
                    f"part={shown_value(given)}: expected a part that cohort.sample(...) or "
                    "cohort.split(...) has made"
                )
    return merge_conditions(parts)


def _is_stratum(given: object) -> bool:
    return isinstance(given, (list, tuple)) and len(given) == 3 and _is_range(*given[1:])


def _is_range(low: object, high: object) -> bool:
    are_numbers = all(type(end) in (int, float) for end in (low, high))
    return are_numbers and 0 <= low <= high <= 1  # type: ignore[operator]


def _parse_ranked(engine: Engine, value: object) -> Conjunction:
    rankings: list[Condition] = []
    for given in as_list(value):
        match given:
            case {
                "order": str(order),
                "n": int(count),
                "per": str(per),
                "by": str(by),
                "of": source,
                **rest,
            } if not rest:
                conditions = conditions_of(engine, "ranked", source)
                rankings.append(Ranked((checked_ranking(order, count, per, by, conditions),)))
            case _:
                raise InvalidQueryError(
                    f"ranked={shown_value(given)}: expected what cohort.largest(...), "
                    "cohort.latest(...) or cohort.earliest(...) has made"
                )
    return merge_conditions(rankings)


#: Keywords that take a value. Their names, and those below, are also in `filter_keywords`.
_SPECIAL: dict[str, Callable[[Engine, object], Condition]] = {
    "text": _parse_text,
    "uids": _parse_uids,
    "patients": parse_patients,
    "commercial_use": _parse_flag("commercial_use", "no license"),
    "original": _parse_flag("original", "not known, which no series is"),
}

#: Keywords that take the filters of other cohorts.
_COMPOSED: dict[str, Callable[[Engine, object], Conjunction]] = {
    "having": _parse_having_list,
    "any_of": _parse_any_of,
    "part": _parse_part,
    "ranked": _parse_ranked,
    "exclude": _parse_exclude,
}
