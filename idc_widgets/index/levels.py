"""The levels at which the index can be listed: patients, studies and series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LEVELS", "Level"]


@dataclass(frozen=True)
class Level:
    """A level at which the index can be listed.

    Args:
        name: the noun for one row, "patient", "study" or "series": the level's name everywhere.
        plural: the noun for several rows; also the name of the method of `Cohort` that returns
            them and of the trait of `BrowserState` that holds the picked ones.
        key: the columns whose values identify a row of the level.
    """

    name: str
    plural: str
    key: tuple[str, ...]


#: Name → level, from the coarsest to the finest.
LEVELS: Mapping[str, Level] = {
    level.name: level
    for level in (
        Level("patient", "patients", ("collection_id", "PatientID")),
        Level("study", "studies", ("StudyInstanceUID",)),
        Level("series", "series", ("SeriesInstanceUID",)),
    )
}
