"""The interface between a cohort and a database, and how values enter SQL."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .sql_errors import no_literal

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Bind", "Engine", "Parameters", "Scalar", "identifier", "literal"]

Scalar: TypeAlias = "str | int | float | None"

#: A function that returns the SQL of a value: ``?`` for a bound parameter, or a literal.
Bind: TypeAlias = Callable[[object], str]


class Parameters(list[object]):
    """The values of the ``?`` in a query, in the order of the text."""

    def bind(self, value: object) -> str:
        """Append a value and return its ``?``. This method is a `Bind`.

        >>> params = Parameters()
        >>> f"Modality = {params.bind('CT')}", params
        ('Modality = ?', ['CT'])
        """
        self.append(value)
        return "?"


class Engine(Protocol):
    """What a cohort needs from a database. All SQL is in DuckDB's dialect."""

    #: The release of the data, such as "25.0.5".
    data_version: str

    def query(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Return the result of a query. Safe to call from any thread.

        Args:
            sql: One SELECT.
            params: The values of its ``?``, in order.
        """
        ...

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the result of a query as Python values.

        This is fast for small results, because it avoids Arrow.
        """
        ...

    def tables(self) -> Mapping[str, Mapping[str, str]]:
        """Return table name → column name → SQL type."""
        ...

    def interrupt(self, thread: int | None = None) -> None:
        """Interrupt the running queries of one thread (given by its ident) or of all threads."""
        ...


def literal(value: object) -> str:
    """Return a value as SQL text, quoted so that no text can end the literal.

    Raises:
        InvalidQueryError: The type of the value has no literal, or the value is infinite, NaN, or a
            text with a null character.

    >>> literal("it's")
    "'it''s'"
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, str) and "\0" not in value:
        return "'" + value.replace("'", "''") + "'"
    raise no_literal(value)


def identifier(name: str) -> str:
    """Return the name of a table or column as SQL text, quoted so that it may be any text.

    >>> print(identifier('the "true" size'))
    "the ""true"" size"
    """
    return '"' + name.replace('"', '""') + '"'
