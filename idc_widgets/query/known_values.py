"""Look up which of some values occur in a table or in a cohort, and which are similar to one."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..index import COLUMNS, LEVELS
from .condition import Condition, sorted_unique
from .engine import Engine, Parameters
from .filters import OneOf
from .key_lists import Patients
from .matching import Conditions, conjunction, matches_of

__all__ = [
    "distinct_rows",
    "known_keys",
    "known_texts",
    "patient_keys",
    "similar_texts",
]

#: Identifiers of series and studies. No similar value is proposed for an unknown one, because
#: similar identifiers have nothing in common.
_IDENTIFIERS = frozenset(
    {"SeriesInstanceUID", "StudyInstanceUID", "crdc_series_uuid", "series_aws_url"}
)

#: Columns that may have many values. A text is compared only with values that begin like it.
_MANY_VALUED = frozenset({"PatientID", "StudyDescription", "SeriesDescription", "SeriesNumber"})

#: The largest number of values that a text is compared with. It bounds the memory and the time.
_MAX_SIMILAR_VALUES = 5_000

#: The character that sorts after all others.
_LAST = chr(sys.maxunicode)

#: A value is similar only if it begins with the first half of the given text. Only this many
#: characters of the half are compared.
_MAX_PREFIX_CHARACTERS = 32


def known_texts(
    engine: Engine, column: str, texts: Iterable[str], table: str = "index"
) -> set[str]:
    """Return those of the texts that occur in a column.

    The index in memory is used if it is there already. It is not read into memory for this.

    Args:
        engine: The engine whose table is searched.
        column: A column of text.
        texts: The texts to look up.
        table: The table that has the column.
    """
    wanted = sorted_unique(texts)
    if not wanted:
        return set()
    from .memory import memory_index_of  # late: opening a client must not wait for Arrow

    memory = memory_index_of(engine, make=False)
    if memory is not None and table == "index":
        known = memory.texts_in_column(column, wanted)
        if known is not None:
            return known
    rows = distinct_rows(engine, (column,), [OneOf(column, wanted)], table)
    return {str(value) for (value,) in rows}


def known_keys(
    engine: Engine, conditions: Conditions, level: str, keys: Collection[Any]
) -> set[Any]:
    """Return those of the keys of a level that the matching series have.

    Args:
        engine: The engine whose index is searched.
        conditions: The conditions that the series fulfill, such as those of a cohort.
        level: "patient", "study" or "series".
        keys: Pairs (collection_id, PatientID) for patients, UIDs for studies and series.
    """
    if not keys:
        return set()
    matches = matches_of(engine, conditions)
    if matches is not None:
        return matches.present_keys(level, keys)
    columns, wanted = LEVELS[level].key, sorted_unique(keys)
    wanted_rows = Patients(wanted) if level == "patient" else OneOf(columns[0], wanted)
    rows = distinct_rows(engine, columns, [*conditions, wanted_rows])
    return set(rows) if level == "patient" else {uid for (uid,) in rows}


def patient_keys(
    engine: Engine, conditions: Conditions, patient_ids: Iterable[str]
) -> list[tuple[str, str]]:
    """Return the sorted pairs (collection_id, PatientID) of the patients with these PatientIDs.

    Args:
        engine: The engine whose index is searched.
        conditions: The conditions that the series fulfill.
        patient_ids: The PatientIDs. Several collections may have the same PatientID.
    """
    wanted = OneOf("PatientID", sorted_unique(patient_ids))
    rows = distinct_rows(engine, LEVELS["patient"].key, [*conditions, wanted])
    return list(sorted_unique(rows))


def similar_texts(engine: Engine, column: str, text: str, conditions: Conditions = ()) -> list[str]:
    """Return the values of a column that may be similar to a text.

    Args:
        engine: The engine whose index is searched.
        column: A column of text.
        text: The text that does not occur.
        conditions: The conditions that the series fulfill.

    Returns:
        At most 5,000 values. There are none for an identifier of a series or study. In other
        columns with many values, only values that begin like the text are similar.
    """
    if column in _IDENTIFIERS:
        return []
    params = Parameters()
    condition = f"{column} IS NOT NULL AND {conjunction(conditions, params.bind)}"
    if column in _MANY_VALUED or COLUMNS[column].kind in ("date", "age"):
        # Comparisons are fast; a function of each text, such as lower(), takes ten times as long.
        prefix = text[: min(max(1, len(text) // 2), _MAX_PREFIX_CHARACTERS)]
        prefix = prefix.encode(errors="replace").decode()  # databases reject lone surrogates
        spellings = dict.fromkeys((prefix, prefix.lower(), prefix.upper(), prefix.capitalize()))
        begins_alike = " OR ".join(
            f"{column} BETWEEN {params.bind(spelling)} AND {params.bind(spelling + _LAST)}"
            for spelling in spellings
        )
        condition += f" AND ({begins_alike})"
    rows = engine.rows(
        f"SELECT DISTINCT {column} FROM index WHERE {condition} LIMIT {_MAX_SIMILAR_VALUES}", params
    )
    return [str(value) for (value,) in rows]


def distinct_rows(
    engine: Engine, columns: Sequence[str], conditions: Iterable[Condition], table: str = "index"
) -> list[tuple[Any, ...]]:
    """Return the distinct values of the columns in the rows that fulfill the conditions.

    Args:
        engine: The engine whose table is searched.
        columns: The columns to return.
        conditions: The conditions, on columns of the table.
        table: The table.
    """
    params = Parameters()
    condition = conjunction(conditions, params.bind)
    return engine.rows(
        f"SELECT DISTINCT {', '.join(columns)} FROM {table} WHERE {condition}", params
    )
