"""The columns of a user's own table, selected as if they were those of the table "index"."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ..errors import IndexFileError, unknown_message
from .columns import COLUMNS, DATES, NUMERIC, REQUIRED

__all__ = ["columns_by_folded_name", "normalized_select"]


def columns_by_folded_name(place: object, present: Collection[str]) -> dict[str, str]:
    """Return the columns of a table of series by their case-folded names.

    Args:
        place: The name of the table in error messages.
        present: The names of the columns. If two differ only in letter case, the one that is
            spelled as in the index wins.

    Raises:
        IndexFileError: A required column is missing.
    """
    by_folded = {name.casefold(): name for name in present}
    by_folded.update({name.casefold(): name for name in present if name in COLUMNS})
    missing = [name for name in REQUIRED if name.casefold() not in by_folded]
    if missing:
        hint = unknown_message("column", missing[0], present).partition("; ")[2]
        raise IndexFileError(
            f"{place} has no column {missing[0]}, which every table of series needs"
            + (f"; {hint}" if hint else "")
        )
    return by_folded


def normalized_select(path: Path, present: Mapping[str, str]) -> str:
    """Return the SELECT list that gives a user's table the columns of the index.

    Args:
        path: The name of the table in error messages.
        present: The columns of the table, and the SQL expression of each.

    Raises:
        IndexFileError: A required column is missing.
    """
    by_folded = columns_by_folded_name(path, present)
    columns = (
        _column(name, column.sql_type, _source(name, by_folded, present))
        for name, column in COLUMNS.items()
    )
    return ", ".join(columns)


def _source(name: str, by_folded: Mapping[str, str], present: Mapping[str, str]) -> str:
    """Return the SQL expression that a column of the index is read from."""
    given = by_folded.get(name.casefold())
    if given is not None:
        return present[given]
    if name == "source_DOI" and "doi" in by_folded:
        return present[by_folded["doi"]]
    if "series_aws_location" in by_folded:
        # IDC's first index ended the location with a slash and had no columns for its parts.
        location = present[by_folded["series_aws_location"]]
        if name == "series_aws_url":
            return f"rtrim({location}, '/*') || '/*'"
        if name == "aws_bucket":
            return f"split_part({location}, '/', 3)"
        if name == "crdc_series_uuid":
            return f"split_part({location}, '/', 4)"
    return "NULL"


def _column(name: str, sql_type: str, source: str) -> str:
    """Return one column of the SELECT list, with its values normalized."""
    value = f"CAST({source} AS {sql_type})"
    if name in NUMERIC:  # counts, sizes and versions: a negative number and NaN are missing values
        number = f"CAST({source} AS DOUBLE)"
        value = f"CASE WHEN isfinite({number}) AND {number} >= 0 THEN {value} END"
    elif name in DATES:  # 20100401 as in DICOM, or ISO 8601 with or without a time
        value = f"split_part({value}, ' ', 1)"
        value = f"regexp_replace({value}, '^(\\d{{4}})(\\d\\d)(\\d\\d)$', '\\1-\\2-\\3')"
    # An empty key is still a key: its rows are shown and can be picked.
    return f"coalesce({value}, '') AS {name}" if name in REQUIRED else f"{value} AS {name}"
