"""Filters as Python code, shortened for people."""

from __future__ import annotations

__all__ = ["shortened"]

#: A list with more values than this is shortened.
_MAX_LISTED_VALUES = 6


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
    return repr(argument)
