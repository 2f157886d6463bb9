"""The errors for SQL that an engine refuses, in the same words for every engine."""

from __future__ import annotations

from ..errors import InvalidQueryError

__all__ = ["no_literal", "not_one_statement", "not_reading"]


def no_literal(value: object) -> InvalidQueryError:
    """Return the error for a value that has no literal in SQL."""
    return InvalidQueryError(
        f"{value!r} cannot be written as SQL: expected None, a bool, a finite number or a text"
    )


def not_one_statement(count: int) -> InvalidQueryError:
    """Return the error for a text that is not exactly one statement."""
    return InvalidQueryError(f"expected one SQL statement, got {count}")


def not_reading(kind: str) -> InvalidQueryError:
    """Return the error for a statement that may do more than read."""
    return InvalidQueryError(
        f"this is a statement of type {kind}; the index can only be read: expected a SELECT"
    )
