"""Read a table that a user adds: a DataFrame, an Arrow table, or a CSV or Parquet file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._util import human_size, is_file
from ..errors import IndexFileError, InvalidQueryError, shown_value
from .duckdb_calls import arrow_batches, connect, describe, translated_errors
from .engine import identifier, literal
from .own_table import read_header
from .table_views import file_literal

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MAX_TABLE_BYTES", "read_table"]

#: The largest size of an added table in memory.
MAX_TABLE_BYTES = 1_000_000_000

_EXPECTED = "a pandas DataFrame, a pyarrow Table, or the path of a CSV or Parquet file"


def read_table(source: object, text_columns: Iterable[str]) -> pa.Table:
    """Return a table with columns of plain types, and without the metadata of pandas.

    Args:
        source: The table, or the path of a file.
        text_columns: The columns of a CSV file that are text, whatever they look like, in any
            letter case.

    Raises:
        InvalidQueryError: The type of `source` is wrong, or a column has no name, the name of
            another column, or values of several types.
        IndexFileError: The file is missing or cannot be read, or the table is too large.
    """
    if isinstance(source, (str, os.PathLike)):
        table = _read_file(Path(os.path.expanduser(source)), text_columns)
    else:
        table = _to_arrow(source)
    _check_size(table.nbytes)
    _check_names(table.column_names)
    return _plain(table)


def _to_arrow(source: Any) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    if isinstance(source, pd.DataFrame):
        _check_names(source.columns)
        _check_size(int(source.memory_usage(index=False).sum()))
        if any(name is not None for name in source.index.names):
            source = source.reset_index()  # the key may be the index
            _check_names(source.columns)
        try:
            return pa.Table.from_pandas(source, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise InvalidQueryError(
                f"the DataFrame has a column of several types, or of a type that Arrow lacks: "
                f"{' '.join(map(str, error.args))[:300]}; convert it: "
                "frame.astype({'column': 'string'})"
            ) from error
    if isinstance(source, pa.Table):
        return source
    if hasattr(source, "__arrow_c_stream__"):  # such as a DataFrame of polars
        return pa.table(source)
    raise InvalidQueryError(
        f"{shown_value(source)[:100]} is no table: expected {_EXPECTED}, not "
        f"{type(source).__name__}"
    )


def _read_file(path: Path, text_columns: Iterable[str]) -> pa.Table:
    """Return the rows of a file, which must fit into memory."""
    import pyarrow as pa

    if not is_file(path):
        problem = "is no file" if path.exists() else "does not exist"
        raise IndexFileError(f"{path} {problem}; expected {_EXPECTED}")
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".txt", ".parquet"):
        raise InvalidQueryError(
            f"{path}: expected a name that ends with .csv, .tsv or .parquet; read another format "
            "with pandas, and pass the DataFrame"
        )
    source = f"read_parquet({file_literal(path)})"
    if suffix != ".parquet":
        source = _csv_source(path, {name.casefold() for name in text_columns})
    try:
        with connect() as connection, translated_errors():
            if suffix == ".parquet":
                _check_names(describe(connection, source))
            batches, size = [], 0
            for batch in arrow_batches(connection, f"FROM {source}"):
                size += batch.nbytes
                _check_size(size)
                batches.append(batch)
            if batches:
                return pa.Table.from_batches(batches)
            columns = describe(connection, source)
    except (OSError, InvalidQueryError) as error:
        raise IndexFileError(f"cannot read {path} as a table: {error}") from error
    return pa.table({name: pa.array([], pa.string()) for name in columns})


def _csv_source(path: Path, text_columns: set[str]) -> str:
    """Return the SQL that reads a CSV file; the types of most columns follow from all its lines."""
    names, delimiter = read_header(path)
    _check_names(names)
    texts = {name: "VARCHAR" for name in names if name.casefold() in text_columns}
    types = ", ".join(f"{identifier(name)}: {literal(kind)}" for name, kind in texts.items())
    return (
        f"read_csv({file_literal(path)}, header = true, sample_size = -1, nullstr = '',"
        f" delim = {literal(delimiter)}, quote = '\"', escape = '\"'"
        + (f", types = {{{types}}})" if types else ")")
    )


def _check_size(size: int) -> None:
    if size > MAX_TABLE_BYTES:
        raise IndexFileError(
            f"the table takes {human_size(size)} of memory or more; expected at most "
            f"{human_size(MAX_TABLE_BYTES)}. Add only the columns and rows that you need"
        )


def _check_names(names: Iterable[object]) -> None:
    """Raise InvalidQueryError unless the names are different texts, also if case is ignored."""
    listed = list(names)
    for name in listed:
        if not isinstance(name, str) or not name.strip():
            raise InvalidQueryError(
                f"a column of the table is called {shown_value(name)}; expected names that are "
                "text: rename it"
            )
    folded = Counter(str(name).casefold() for name in listed)
    repeated = [str(name) for name in listed if folded[str(name).casefold()] > 1]
    if repeated:
        raise InvalidQueryError(
            f"the table has columns whose names are equal in SQL, {', '.join(repeated[:4])}; "
            "rename all but one"
        )


def _plain(table: pa.Table) -> pa.Table:
    """Return a table without dictionaries, metadata and NaN, which is a missing value.

    So equal tables have equal bytes.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def plain_type(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        is_text = pa.types.is_null(kind) or pa.types.is_large_string(kind)
        return pa.string() if is_text else kind

    types: Mapping[str, pa.DataType] = {one.name: plain_type(one.type) for one in table.schema}
    table = table.cast(pa.schema(list(types.items())))
    for place, (name, kind) in enumerate(types.items()):
        if pa.types.is_floating(kind) and pc.any(pc.is_nan(table.column(name))).as_py():
            values = table.column(name)
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
            table = table.set_column(place, name, values)
    return table
