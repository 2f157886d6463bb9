"""What a cohort needs of a database, and how values enter its SQL."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..errors import InvalidQueryError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Bind", "Engine", "Parameters", "Scalar", "literal"]

Scalar: TypeAlias = "str | int | float | None"

#: How a value enters the SQL text: as ``?`` and a bound parameter, or as a literal.
Bind: TypeAlias = Callable[[object], str]


class Parameters(list[object]):
    """What the ``?`` of a query stand for, in their order."""

    def bind(self, value: object) -> str:
        """Takes a value in, as a `Bind`."""
        self.append(value)
        return "?"


class Engine(Protocol):
    """What a cohort needs of a database. All SQL is DuckDB's dialect."""

    #: What the data is a release of, such as "25.0.5".
    data_version: str

    def query(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """The result of a query, its ``?`` bound to `params`. Safe from any thread."""
        ...

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The same as Python values, for small results: needs no Arrow."""
        ...

    def tables(self) -> Mapping[str, Mapping[str, str]]:
        """Table name → column name → SQL type."""
        ...

    def interrupt(self, thread: int | None = None) -> None:
        """Ends the queries that run now, of one thread (its ident) or of all."""
        ...


def literal(value: object) -> str:
    """A value as SQL text; quoted so that no text can end the literal.

    Raises:
        InvalidQueryError: no literal of that type is known.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, str) and "\0" not in value:
        return "'" + value.replace("'", "''") + "'"
    raise InvalidQueryError(f"{value!r} cannot be written as SQL")
