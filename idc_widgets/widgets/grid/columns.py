"""The columns that the grids show: which ones, in which order and how wide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InvalidQueryError, unknown_message
from ...index import LEVELS, column_info

__all__ = ["ON_DISK", "USUAL_COLUMNS", "Column", "chosen_columns", "possible_columns"]


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
USUAL_COLUMNS: dict[str, tuple[Column, ...]] = {
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

#: The column that shows whether the files of a series are on disk. Only a grid of series with a
#: download widget has it.
ON_DISK = Column("on_disk", 96)

#: The usual widths of columns of each kind that are not in `USUAL_COLUMNS`.
_WIDTHS = {"uid": 190, "count": 74, "number": 110, "size": 76, "date": 98, "age": 58, "flag": 70}


def possible_columns(level: str, *, has_states: bool = False) -> tuple[Column, ...]:
    """Return all columns that a grid of a level can show, the usual ones first.

    Args:
        level: The level.
        has_states: Whether the grid has the column `ON_DISK`.
    """
    usual = {column.name: column for column in _usual_columns(level, has_states)}
    others = (name for name in LEVELS[level].columns if name not in usual)
    return (*usual.values(), *(Column(name, _width(name)) for name in others))


def chosen_columns(
    level: str, names: Sequence[str], *, has_states: bool = False
) -> tuple[Column, ...]:
    """Return columns by name, in the order of the names; without names, the usual ones.

    Args:
        level: The level.
        names: The names. A grid without the column `ON_DISK` leaves it out.
        has_states: Whether the grid has the column `ON_DISK`.

    Raises:
        InvalidQueryError: There is no such column.
    """
    if not has_states:
        names = [name for name in names if name != ON_DISK.name]
    if not names:
        return _usual_columns(level, has_states)
    possible = {column.name: column for column in possible_columns(level, has_states=has_states)}
    for name in names:
        if name not in possible:
            raise InvalidQueryError(unknown_message("column", name, possible))
    return tuple(possible[name] for name in dict.fromkeys(names))


def _usual_columns(level: str, has_states: bool) -> tuple[Column, ...]:
    return (ON_DISK, *USUAL_COLUMNS[level]) if has_states else USUAL_COLUMNS[level]


def _width(name: str) -> int:
    return _WIDTHS.get(column_info(name).kind, 130)
