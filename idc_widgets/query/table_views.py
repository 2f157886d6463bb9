"""SQL for the files of an index: views on them, and settings that allow no other file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from .engine import identifier, literal

__all__ = ["access_only", "file_literal", "rows_view", "table_view"]


def file_literal(path: Path) -> str:
    """Return a path as a literal for read_parquet, with ``*``, ``?`` and ``[`` escaped.

    >>> file_literal(Path("data[1].parquet"))
    "'data[[]1].parquet'"
    """
    return literal(re.sub(r"[*?\[]", lambda match: f"[{match.group()}]", str(path)))


def table_view(name: str, path: Path) -> str:
    """Return the SQL that makes the view of a table: a Parquet file, or a folder of files."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    listed = ", ".join(map(file_literal, files))
    source = f"read_parquet([{listed}], union_by_name = {len(files) > 1})"
    return f"CREATE OR REPLACE VIEW {identifier(name)} AS FROM {source}"


def rows_view(path: Path, select: str = "* EXCLUDE (file_row_number)") -> str:
    """Return the SQL that makes the view ``_rows`` of a Parquet file: series with row numbers.

    Args:
        path: The file.
        select: The SELECT list that gives the view the columns of the index.
    """
    return (
        f"CREATE OR REPLACE VIEW _rows AS SELECT {select}, file_row_number AS _row"
        f" FROM read_parquet({file_literal(path)}, file_row_number = true)"
    )


def access_only(files: Iterable[Path], folder: Path | None) -> list[str]:
    """Return the statements that allow DuckDB to read only some files, from now on.

    Args:
        files: The files that it may read.
        folder: A folder in which it may read all files; None for no folder.
    """
    # DuckDB opens a path with glob characters by its escaped form, so both forms are allowed.
    listed = ", ".join(f"{literal(str(path))}, {file_literal(path)}" for path in files)
    statements = [f"SET allowed_paths = [{listed}]"]
    if folder is not None:
        forms = f"{literal(str(folder))}, {file_literal(folder)}"
        statements.append(f"SET allowed_directories = [{forms}]")
    return [
        *statements,
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ]
