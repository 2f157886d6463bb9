"""The columns that the grids show: which ones, in which order and how wide."""

from __future__ import annotations

from dataclasses import dataclass

from ...index import column_info

__all__ = ["COLUMNS", "ON_DISK", "Column"]


@dataclass(frozen=True)
class Column:
    """A column of a grid. Its header and kind come from the table of columns in `index`.

    Args:
        name: The name of the column in the `RowSource`.
        width: The width in pixels, enough for the header and its menu button.
    """

    name: str
    width: int

    @property
    def title(self) -> str:
        """The header."""
        return column_info(self.name).label

    @property
    def kind(self) -> str:
        """The kind of the values, such as "count", "size", "uid" or "state"."""
        return column_info(self.name).kind


#: Level → the columns of its grid.
COLUMNS: dict[str, tuple[Column, ...]] = {
    "patient": (
        Column("collection_id", 130),
        Column("PatientID", 116),
        Column("PatientSex", 54),
        Column("PatientAge", 58),
        Column("studies", 74),
        Column("series", 68),
        Column("size_MB", 76),
        Column("instances", 64),
    ),
    "study": (
        Column("PatientID", 116),
        Column("StudyDate", 98),
        Column("StudyDescription", 150),
        Column("Modality", 90),
        Column("series", 68),
        Column("size_MB", 76),
        Column("instances", 64),
        Column("StudyInstanceUID", 190),
    ),
    "series": (
        Column("collection_id", 140),
        Column("PatientID", 116),
        Column("Modality", 82),
        Column("SeriesDescription", 220),
        Column("BodyPartExamined", 110),
        Column("series_size_MB", 84),
        Column("instanceCount", 74),
        Column("SeriesDate", 98),
        Column("SeriesNumber", 124),
        Column("Manufacturer", 150),
        Column("license_short_name", 100),
        Column("SeriesInstanceUID", 190),
    ),
}

#: The column that shows whether the files of a series are on disk. Only a grid with a download
#: widget has it.
ON_DISK = Column("on_disk", 96)
