"""The licenses of the series of a cohort or a selection."""

from __future__ import annotations

from dataclasses import dataclass

from .._util import is_non_commercial

__all__ = ["License"]


@dataclass(frozen=True)
class License:
    """A license, and the number of series that have it.

    Args:
        name: The short name, such as "CC BY 4.0".
        series: The number of series that have it.
    """

    name: str
    series: int

    @property
    def non_commercial(self) -> bool:
        """True for a Creative Commons license with the NonCommercial clause (BY-NC).

        >>> License("CC BY-NC 3.0", 4).non_commercial
        True
        """
        return is_non_commercial(self.name)

    def __str__(self) -> str:
        return f"{self.name} (non-commercial)" if self.non_commercial else self.name
