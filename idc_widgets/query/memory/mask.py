"""Boolean masks over groups or series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrow import BoolArray
from .encoded import EncodedIndex

__all__ = ["Mask"]


@dataclass(frozen=True)
class Mask:
    """The groups, or the series, that fulfill a condition.

    Masks are combined with ``&``, ``|`` and ``~``. If all operands are per group, so is the result,
    which is several times faster than per series.

    Args:
        index: The index that the groups and series belong to.
        flags: True where the condition holds.
        is_per_group: Whether `flags` is per group; otherwise it is per series.
    """

    index: EncodedIndex
    flags: BoolArray
    is_per_group: bool

    @property
    def per_series(self) -> BoolArray:
        """The flags per series."""
        return self.flags[self.index.group_of_series] if self.is_per_group else self.flags

    def __and__(self, other: Mask) -> Mask:
        return self._combine(other, np.logical_and)

    def __or__(self, other: Mask) -> Mask:
        return self._combine(other, np.logical_or)

    def __invert__(self) -> Mask:
        return Mask(self.index, ~self.flags, self.is_per_group)

    def _combine(self, other: Mask, operation: Callable[[BoolArray, BoolArray], BoolArray]) -> Mask:
        if self.is_per_group and other.is_per_group:
            return Mask(self.index, operation(self.flags, other.flags), True)
        return Mask(self.index, operation(self.per_series, other.per_series), False)
