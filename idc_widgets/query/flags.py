"""Conditions on the facts that are derived from other columns and are true or false."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._util import allows_commercial_use_sql
from ..index import DERIVED_MODALITIES
from .condition import Condition
from .engine import Bind, literal

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["FLAGS", "IsFlag", "value_sql"]

#: Keyword of `Cohort.where` → SQL that is TRUE or FALSE; NULL if the fact is not known.
FLAGS: Mapping[str, str] = {
    "commercial_use": allows_commercial_use_sql("license_short_name"),
    # A series is an original image unless it belongs to a set of analysis results, or is an object
    # that describes images. A series of unknown modality may be an image.
    "original": (
        "(analysis_result_id IS NULL AND coalesce(Modality, '') NOT IN "
        f"({', '.join(map(literal, DERIVED_MODALITIES))}))"
    ),
}


@dataclass(frozen=True)
class IsFlag:
    """Series for which a derived fact is true, false or not known.

    Args:
        column: One of `FLAGS`.
        values: The accepted values in this order: True, False, and None for "not known".
    """

    column: str
    values: tuple[bool | None, ...]

    def sql(self, bind: Bind) -> str:  # noqa: ARG002 (it binds no values)
        """Return SQL on the columns that the fact is derived from."""
        fact = FLAGS[self.column]
        parts = {True: f"({fact})", False: f"NOT ({fact})", None: f"({fact}) IS NULL"}
        return f"({' OR '.join(parts[value] for value in self.values)})" if self.values else "FALSE"

    def mask(self, memory: MemoryIndex) -> Mask:
        """Return the mask of the groups with one of the values."""
        return memory.mask_of_facet(self.column, self.values)

    def and_(self, other: IsFlag) -> IsFlag:
        """Return a condition with the values that both accept."""
        return IsFlag(self.column, tuple(value for value in self.values if value in other.values))

    def or_(self, other: Condition) -> IsFlag | None:
        """Return a condition with the values that either accepts."""
        if isinstance(other, IsFlag):
            accepted = {*self.values, *other.values}
            values = tuple(value for value in (True, False, None) if value in accepted)
            return IsFlag(self.column, values)
        return None

    def argument(self) -> object:
        """Return the only value, or the list of values."""
        return self.values[0] if len(self.values) == 1 else list(self.values)


def value_sql(column: str) -> str:
    """Return the SQL of the value of a column, which may be one of `FLAGS`."""
    return FLAGS.get(column, column)
