"""Compare values with the ends of a range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...index import age_in_years
from ..engine import Scalar

if TYPE_CHECKING:
    from .arrow import Array, BoolArray

__all__ = ["comparable", "is_in_range"]


def comparable(column: str, values: Sequence[Scalar]) -> Array:
    """Return values of a column, converted for comparison with a range. No value may be missing.

    Returns:
        Years (float, NaN if the text is not an age) for PatientAge; else the values (objects).
    """
    if column == "PatientAge":
        return np.array([age_in_years(str(age)) for age in values], dtype=float)
    return np.array(values, dtype=object)


def is_in_range(values: Array, low: Scalar, high: Scalar) -> BoolArray:
    """Return one flag per value: True in a closed range. An end of None is open; NaN is outside."""
    flags: BoolArray = np.ones(len(values), dtype=bool)
    if values.dtype.kind == "f":
        flags &= ~np.isnan(values)
    if low is not None:
        flags &= (values >= low).astype(bool)
    if high is not None:
        flags &= (values <= high).astype(bool)
    return flags
