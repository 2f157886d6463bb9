"""What is counted: series, studies or patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from ..errors import InvalidQueryError, unknown_message
from .condition import PATIENT_KEY_SQL

__all__ = ["COUNTED_BY", "Unit", "checked_unit"]

Unit: TypeAlias = Literal["series", "studies", "patients"]

#: Unit → the SQL of its key.
COUNTED_BY: Mapping[str, str] = {
    "series": "SeriesInstanceUID",
    "studies": "StudyInstanceUID",
    "patients": PATIENT_KEY_SQL,
}


def checked_unit(unit: object) -> str:
    """Return the SQL that counts the unit in a group of series.

    Raises:
        InvalidQueryError: There is no such unit.
    """
    if unit not in tuple(COUNTED_BY):
        raise InvalidQueryError(unknown_message("unit", unit, COUNTED_BY))
    return "count(*)" if unit == "series" else f"count(DISTINCT {COUNTED_BY[str(unit)]})"
