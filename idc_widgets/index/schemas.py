"""The descriptions of tables in idc-index-data: their columns, types and meanings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from .folders import package_folder
from .tables import FETCHABLE_TABLES, PACKAGE_TABLES

__all__ = ["Schema", "read_schema", "tables_with_column"]

#: Type in a schema (in BigQuery's words) → type in our SQL.
_SQL_TYPES = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "RECORD": "STRUCT",
}


class Schema(NamedTuple):
    """The description of a table, and the SQL type and description of each column."""

    description: str
    columns: Mapping[str, tuple[str, str]]


def read_schema(table: str) -> Schema | None:
    """Return the schema of a table; None if idc-index-data has none or is not installed."""
    package = package_folder()
    if package is None or table not in (*PACKAGE_TABLES, *FETCHABLE_TABLES):
        return None
    file = package / f"{'idc_index' if table == 'index' else table}_schema.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        columns = {
            str(column["name"]): (_sql_type(column), str(column.get("description") or ""))
            for column in content["columns"]
        }
        return Schema(str(content.get("table_description") or ""), columns)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # everything works without descriptions


def tables_with_column(name: str) -> tuple[str, ...]:
    """Return the tables of idc-index-data, apart from "index", that have a column.

    Letter case is ignored. Tables that join to one series each come first.

    >>> tables_with_column("SliceThickness")[0]
    'ct_index'
    """
    folded = name.casefold()
    schemas = {
        table: read_schema(table)
        for table in (*FETCHABLE_TABLES, *PACKAGE_TABLES)
        if table != "index"
    }
    found = [
        table
        for table, schema in schemas.items()
        if schema is not None and folded in map(str.casefold, schema.columns)
    ]
    return tuple(sorted(found, key=_joins_to_acquisitions))


def _joins_to_acquisitions(table: str) -> bool:
    return table not in ("ct_index", "mr_index", "pt_index")


def _sql_type(column: Mapping[str, object]) -> str:
    sql_type = _SQL_TYPES.get(str(column.get("type")), str(column.get("type")))
    return f"{sql_type}[]" if column.get("mode") == "REPEATED" else sql_type
