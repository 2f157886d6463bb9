"""The ways to accept either a single value or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["as_keys", "as_list"]


def as_list(value: object) -> list[Any]:
    """Return the items of a list, set, array or other collection; anything else as a single item.

    Text, bytes, mappings and arrays without a dimension are single items.

    >>> as_list("CT"), as_list(("CT", "MR")), as_list(None)
    (['CT'], ['CT', 'MR'], [None])
    """
    is_single = isinstance(value, (str, bytes, Mapping)) or getattr(value, "ndim", 1) == 0
    return list(value) if isinstance(value, Iterable) and not is_single else [value]


def as_keys(keys: str | Iterable[Any]) -> list[Any]:
    """Return several keys, such as UIDs; a text is a single key, and a mapping has its keys.

    >>> as_keys("1.2.3"), as_keys({"1.2.3": 20, "1.2.4": 21})
    (['1.2.3'], ['1.2.3', '1.2.4'])
    """
    return [keys] if isinstance(keys, str) else list(keys)
