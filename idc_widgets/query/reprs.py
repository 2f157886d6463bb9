"""Filters as Python code, shortened for people."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["in_words", "shortened"]

#: A list with more values than this is shortened.
_MAX_LISTED_VALUES = 6

_MAX_CHARACTERS = 200


def in_words(filters: Mapping[str, object], size: str | None) -> str:
    """Return what stands in the parentheses of a repr: the filters, and the size if it is known.

    >>> in_words({"Modality": "CT"}, "12 series, 115.9 MB")
    "Modality='CT': 12 series, 115.9 MB"
    >>> in_words({}, "12 series, 115.9 MB")
    '12 series, 115.9 MB'
    """
    arguments = ", ".join(f"{name}={shortened(argument)}" for name, argument in filters.items())
    return ": ".join(part for part in (arguments, size) if part)


def shortened(argument: object) -> str:
    """Return the repr of an argument of `Cohort.where`; leave out the middle of long lists."""
    if isinstance(argument, dict):
        items = (f"{name!r}: {shortened(value)}" for name, value in argument.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(argument, list):
        if len(argument) > _MAX_LISTED_VALUES:
            first = ", ".join(map(shortened, argument[:3]))
            return f"[{first}, ... {len(argument):,} in all]"
        return f"[{', '.join(map(shortened, argument))}]"
    text = repr(argument)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 3]}..."
