"""The levels at which the index can be listed: patients, studies and series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .columns import COLUMNS

__all__ = ["LEVELS", "Level"]


@dataclass(frozen=True)
class Level:
    """A level at which the index can be listed.

    Args:
        name: The noun for one row: "patient", "study" or "series". It names the level everywhere.
        plural: The noun for several rows. It is also the name of the method of `Cohort` that
            returns the rows, and of the trait of `BrowserState` that has the picked rows.
        key: The columns whose values identify a row of the level.
        columns: The columns of the table that lists the rows.
    """

    name: str
    plural: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


_SUMS = ("series", "instances", "size_MB")
_PATIENT_COLUMNS = ("collection_id", "PatientID", "PatientSex", "PatientAge", "studies", *_SUMS)
_STUDY_COLUMNS = (
    "collection_id",
    "PatientID",
    "StudyInstanceUID",
    "StudyDate",
    "StudyDescription",
    "Modality",
    *_SUMS,
)

#: Name → level, from the coarsest to the finest.
LEVELS: Mapping[str, Level] = {
    level.name: level
    for level in (
        Level("patient", "patients", ("collection_id", "PatientID"), _PATIENT_COLUMNS),
        Level("study", "studies", ("StudyInstanceUID",), _STUDY_COLUMNS),
        Level("series", "series", ("SeriesInstanceUID",), tuple(COLUMNS)),
    )
}
