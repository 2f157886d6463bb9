"""SQL that gives a user's own table, a CSV or Parquet file, the columns of the index."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from ..errors import IndexFileError
from ..index import normalized_select
from .engine import identifier, literal
from .table_views import file_literal

__all__ = ["csv_query", "parquet_select", "read_header"]

#: The delimiters that a CSV file may have.
_DELIMITERS = ",;\t|"

#: At most this many characters of a header are read. The header of the index has 500.
_MAX_HEADER_CHARACTERS = 100_000


def parquet_select(path: Path, names: Iterable[str]) -> str:
    """Return the SELECT list that gives a Parquet file the columns of the index.

    Args:
        path: The file, to be named in errors.
        names: The columns that it has.

    Raises:
        IndexFileError: A required column is missing.
    """
    return normalized_select(path, {name: identifier(name) for name in names})


def csv_query(path: Path) -> str:
    """Return the SQL that reads a CSV file as a table with the columns of the index.

    Raises:
        IndexFileError: The file is not UTF-8, names a column twice, or lacks a required column.
    """
    names, delimiter = read_header(path)
    # Columns are addressed by position, as names that differ only in letter case are equal in SQL.
    name_in_sql = {name: f"c{position}" for position, name in enumerate(names)}
    select = normalized_select(path, name_in_sql)
    types = ", ".join(f"{name}: 'VARCHAR'" for name in name_in_sql.values())
    return (
        f"SELECT {select} FROM read_csv({file_literal(path)}, auto_detect = false, header = true,"
        f" nullstr = '', delim = {literal(delimiter)}, quote = '\"', escape = '\"',"
        f" columns = {{{types}}})"
    )


def read_header(path: Path) -> tuple[list[str], str]:
    """Return the column names of a CSV file, and its delimiter: the most frequent in the header.

    DuckDB could guess both, but takes the header for data if one of the later lines is too short.

    Raises:
        IndexFileError: The file is not UTF-8, or names a column twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(_MAX_HEADER_CHARACTERS)
    except UnicodeDecodeError as error:
        raise IndexFileError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    delimiter = max(_DELIMITERS, key=line.count)
    names = next(csv.reader([line], delimiter=delimiter), [])
    for name in names:
        if names.count(name) > 1:
            raise IndexFileError(f"{path} has {names.count(name)} columns called {name!r}")
    return names, delimiter
