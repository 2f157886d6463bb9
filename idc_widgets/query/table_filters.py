"""Filters on the columns of other tables, such as "labels.grade" after ``join("labels")``.

A series fulfills such a filter if one of its rows in the table does. So a table with several rows
per series multiplies nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from .._util import and_more, as_list
from ..errors import InvalidQueryError, shown_value, unknown_message
from .added_tables import AddedTables
from .condition import Condition, list_sql, mask_by_sql, sorted_unique
from .engine import Bind, Engine, Parameters, Scalar, identifier, literal
from .joins import Join, joined_names, parse_join
from .value_parser import check_unicode, plain

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["InTable", "TableColumn", "joins_in", "table_column", "with_table_filters"]

_NUMBERS = ("INT", "FLOAT", "DOUBLE", "DECIMAL", "REAL", "NUMERIC")
_DATES = ("DATE", "TIMESTAMP")
_TEXTS = ("CHAR", "STRING", "TEXT")
_NESTED = ("[", "(", "<", "STRUCT", "MAP", "LIST", "ARRAY")

#: A message compares an unknown text with at most so many values.
_MAX_SIMILAR_VALUES = 5_000

#: Keywords of `Cohort.where` whose values have filters inside; of some, at the key "of".
_COMPOSED, _WITH_SOURCE = ("having", "any_of", "exclude"), ("part", "ranked")


@dataclass(frozen=True)
class TableColumn:
    """A column of a table that can be joined.

    Args:
        join: How the table is joined. Its only column is this one.
        sql_type: The type of its values.
    """

    join: Join
    sql_type: str

    @property
    def column(self) -> str:
        """The name in the table."""
        return self.join.columns[0]

    @property
    def name(self) -> str:
        """The name in filters."""
        return f"{self.join.table}.{self.column}"

    @property
    def kind(self) -> str:
        """Whether the values are "number", "date", "text" or "flag".

        Raises:
            InvalidQueryError: They are something else, such as lists.
        """
        folded = self.sql_type.upper()
        if folded.startswith("DECIMAL"):
            return "number"
        if not any(word in folded for word in _NESTED):
            if "BOOL" in folded:
                return "flag"
            for kind, words in (("number", _NUMBERS), ("date", _DATES), ("text", _TEXTS)):
                if any(word in folded for word in words):
                    return kind
        raise InvalidQueryError(
            f"{self.name}: its values have the type {self.sql_type[:60]}, which can be neither "
            "filtered nor counted; use client.sql(...), and pass the UIDs: where(uids=[...])"
        )

    def value_sql(self, value: str) -> str:
        """Return the SQL of a bound value, as the type of the column."""
        return f"CAST({value} AS {self.sql_type})" if self.kind == "date" else value


@dataclass(frozen=True)
class TableClause:
    """Series of which a row of a table has one of some values, or a value in a range.

    Args:
        column: The column.
        values: The values, of which None stands for series without any value; or the ends.
        is_range: Whether these are the ends of a closed range. None is an open end.
    """

    column: TableColumn
    values: tuple[Scalar, ...]
    is_range: bool = False

    def sql(self, bind: Bind) -> str:
        """Return SQL with a subquery on the table."""
        join, name = self.column.join, identifier(self.column.column)
        ours = " || chr(31) || ".join(ours for ours, _ in join.key)
        theirs = " || chr(31) || ".join(identifier(column) for _, column in join.key)
        # SQL for people has the names of the tables that they have added.
        source = join.source(by_name=bind is literal)
        keys = f"SELECT {theirs} FROM {source} WHERE {theirs} IS NOT NULL AND {name} IS NOT NULL"
        if self.is_range:
            for sign, end in zip((">=", "<="), self.values, strict=True):
                if end is not None:
                    keys += f" AND {name} {sign} {self.column.value_sql(bind(end))}"
            return f"{ours} IN ({keys})"
        parts = []
        present = [value for value in self.values if value is not None]
        if present and self.column.kind == "date":
            listed = ", ".join(self.column.value_sql(bind(value)) for value in present)
            parts.append(f"{ours} IN ({keys} AND {name} IN ({listed}))")
        elif present:
            parts.append(f"{ours} IN ({keys} AND {name} IN {list_sql(present, bind)})")
        if len(present) < len(self.values):
            parts.append(f"{ours} NOT IN ({keys})")
        return f"({' OR '.join(parts)})" if parts else "FALSE"


@dataclass(frozen=True)
class InTable:
    """Series of which some row of a table fulfills each clause.

    Args:
        column: The table and its column, such as "labels.grade".
        clauses: The clauses, at least one. Each may be fulfilled by another row.
    """

    column: str
    clauses: tuple[TableClause, ...]

    def sql(self, bind: Bind) -> str:
        """Return SQL with one or two subqueries per clause."""
        return " AND ".join(clause.sql(bind) for clause in self.clauses)

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask, which is made by SQL."""
        return mask_by_sql(self, memory)

    def and_(self, other: InTable) -> InTable:
        """Return a condition with the clauses of both conditions."""
        return InTable(self.column, tuple(sorted({*self.clauses, *other.clauses}, key=repr)))

    def or_(self, other: Condition) -> InTable | None:
        """Return a condition with the values of both conditions, if each has one list."""
        if isinstance(other, InTable) and len(self.clauses) == len(other.clauses) == 1:
            [ours], [theirs] = self.clauses, other.clauses
            if ours.column == theirs.column and not (ours.is_range or theirs.is_range):
                values = sorted_unique((*ours.values, *theirs.values))
                return InTable(self.column, (replace(ours, values=values),))
        return None

    def without_value(self) -> InTable | None:
        """Return the condition of the series that fail this one because they have no value."""
        if any(None in clause.values and not clause.is_range for clause in self.clauses):
            return None
        return InTable(self.column, (TableClause(self.clauses[0].column, (None,)),))

    def argument(self) -> object:
        """Return the value, the list or the pair; a list of lists and pairs for several clauses."""
        arguments = [
            clause.values if clause.is_range else list(clause.values) for clause in self.clauses
        ]
        if len(arguments) > 1:
            return arguments
        [argument] = arguments
        return argument[0] if isinstance(argument, list) and len(argument) == 1 else argument


def joins_in(value: object) -> Iterator[Join]:
    """Yield the joins that conditions have in them, at any depth."""
    if isinstance(value, Join):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            if not isinstance(item, (str, int, float)):
                yield from joins_in(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from joins_in(getattr(value, one.name))


class Tables(Protocol):
    """What this module uses of a `Cohort`: its engine, and the tables that can be joined.

    The module cannot import `Cohort`, which imports it.
    """

    @property
    def engine(self) -> Engine:
        """The engine with the tables of IDC."""
        ...

    @property
    def joins(self) -> tuple[Join, ...]:
        """The tables that were joined, whose columns need no name of a table."""
        ...

    @property
    def added_tables(self) -> AddedTables | None:
        """The tables that the user has added."""
        ...


def table_column(tables: Tables, name: object) -> TableColumn | None:
    """Return the column of another table that a name stands for.

    Args:
        tables: A cohort.
        name: A name that `Cohort.join` has added, such as "grade"; or the names of a table and a
            column, such as "labels.grade", of any table that can be joined.

    Returns:
        The column; None if the name is neither.

    Raises:
        InvalidQueryError: There is no such table, or it has no such column or no key.
    """
    if not isinstance(name, str):
        return None
    found = joined_names(tables.joins).get(name)
    if found is not None:
        join, column = found
    elif "." in name:
        table, _, column = name.partition(".")
        known = (one for one in reversed(tables.joins) if one.table.casefold() == table.casefold())
        join = next((one for one in known if column in one.columns), None) or parse_join(
            tables.engine, tables.added_tables, table, [column]
        )
    else:
        return None
    if join.added is not None:
        added = join.added.with_columns([column])
        join = replace(join, added=added)
        described = tables.engine.rows(f"DESCRIBE SELECT {identifier(column)} FROM {added.id}")
        sql_type = str(described[0][1])
    else:
        sql_type = tables.engine.tables()[join.table][column]
    return TableColumn(replace(join, columns=(column,), is_many=False), sql_type)


def with_table_filters(
    tables: Tables, filters: Mapping[str, Any], keywords: Sequence[str]
) -> dict[str, Any]:
    """Return filters in which those on columns of other tables are conditions.

    Args:
        tables: A cohort.
        filters: Keyword arguments of `Cohort.where`.
        keywords: The keywords that are not columns of other tables.

    Raises:
        InvalidQueryError: A table or column is unknown, or a value is wrong.
    """

    def inside(value: Any) -> Any:
        if isinstance(value, Mapping):
            return with_table_filters(tables, value, keywords)
        return [inside(item) for item in value] if isinstance(value, (list, tuple)) else value

    def source_of(value: Any) -> Any:
        if isinstance(value, Mapping) and "of" in value:
            return {**value, "of": inside(value["of"])}
        return [source_of(item) for item in value] if isinstance(value, list) else value

    parsed: dict[str, Any] = {}
    for name, value in filters.items():
        if name in _COMPOSED:
            parsed[name] = inside(value)
        elif name in _WITH_SOURCE:
            parsed[name] = source_of(value)
        elif name in keywords or name == "level" or isinstance(value, InTable):
            parsed[name] = value
        else:
            column = table_column(tables, name)
            parsed[name] = value if column is None else _condition(tables.engine, column, value)
    return parsed


def _condition(engine: Engine, column: TableColumn, value: object) -> InTable:
    """Return the condition for a value of a filter."""
    is_several = (
        isinstance(value, list) and value and all(isinstance(item, (list, tuple)) for item in value)
    )
    given: list[object] = value if is_several else [value]  # type: ignore[assignment]
    clauses = {_clause(engine, column, one) for one in given}
    return InTable(column.name, tuple(sorted(clauses, key=repr)))


def _clause(engine: Engine, column: TableColumn, value: object) -> TableClause:
    if isinstance(value, tuple):
        return TableClause(column, _range(column, value), is_range=True)
    values = sorted_unique(_checked(column, item) for item in as_list(value))
    texts = [item for item in values if isinstance(item, str)]
    if texts and column.kind == "text":
        _check_texts_exist(engine, column, texts)
    return TableClause(column, values)


def _check_texts_exist(engine: Engine, column: TableColumn, texts: Sequence[str]) -> None:
    """Raise InvalidQueryError if a text does not occur in the column."""
    name, source = identifier(column.column), column.join.source(by_name=False)
    params = Parameters()
    query = f"SELECT DISTINCT {name} FROM {source} WHERE"
    rows = engine.rows(f"{query} {name} IN {list_sql(texts, params.bind)}", params)
    known = {text for (text,) in rows}
    missing = [text for text in texts if text not in known]
    if missing:
        similar = engine.rows(f"{query} {name} IS NOT NULL LIMIT {_MAX_SIMILAR_VALUES}")
        message = unknown_message(column.name, missing[0], [text for (text,) in similar])
        raise InvalidQueryError(message + and_more(len(missing) - 1))


def _checked(column: TableColumn, given: object) -> Any:
    """Return a value as plain Python; None if it is missing.

    Raises:
        InvalidQueryError: The value has another type than the column.
    """
    value, kind = plain(given), column.kind
    expected = {"number": "a number", "flag": "True or False"}.get(kind, "text")
    is_right = {
        "number": isinstance(value, (int, float)) and not isinstance(value, bool),
        "flag": isinstance(value, bool),
    }.get(kind, isinstance(value, str))
    if value is not None and not is_right:
        raise InvalidQueryError(
            f"{column.name}={shown_value(given)}: expected {expected}, not {type(given).__name__}"
        )
    if isinstance(value, str):
        check_unicode(column.name, value)
    return value


def _range(column: TableColumn, bounds: tuple[object, ...]) -> tuple[Scalar, ...]:
    """Return the ends of a closed range.

    Raises:
        InvalidQueryError: It is no pair, it is upside down, or the column has no ranges.
    """
    if len(bounds) != 2:
        raise InvalidQueryError(
            f"{column.name}={shown_value(bounds)}: a tuple is a range and has two ends, (low, "
            "high); use a list for several values"
        )
    if column.kind not in ("number", "date"):
        raise InvalidQueryError(
            f"{column.name}={shown_value(bounds)}: a range needs a column of numbers or dates, and "
            f"this one has {column.sql_type}; use a list for several values"
        )
    low, high = (_checked(column, bound) for bound in bounds)
    if low is not None and high is not None and low > high:
        raise InvalidQueryError(f"{column.name}: the range is upside down, {low} > {high}")
    return low, high
