"""The catalog of tables: list them, describe their columns, and fetch more."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .._util import exists, remove
from ..errors import FetchError, IndexFileError, InvalidQueryError, unknown_message
from ..index import METADATA_BUCKET, Index, is_clinical_name, read_schema
from .added_tables import AddedTables, key_in_words
from .duckdb_engine import DuckDBEngine
from .engine import Engine, identifier

if TYPE_CHECKING:
    import pandas as pd

    from .._util import ProgressCallback

__all__ = ["TableCatalog"]

_NOT_DUCKDB = "tables can be fetched only for an index that DuckDB queries"
_NO_INDEX_DATA = (
    "the tables that can be fetched are listed in idc-index-data, which is not installed; "
    "run: pip install idc-index-data"
)
_NO_DATA_FOLDER = (
    "there is no folder for fetched tables, as you have no home folder; "
    "set the environment variable IDC_WIDGETS_DATA_DIR to a folder that you can write to"
)


class TableCatalog:
    """The tables of an engine, and those that can be fetched for it.

    Args:
        engine: The engine that queries the tables.
        mirrors: The addresses that `fetch_table` tries in turn; see `IDCClient`.
        metadata_endpoint_url: The S3 server of the clinical tables.
        added: The tables that the user has added.
    """

    def __init__(
        self,
        engine: Engine,
        mirrors: Sequence[str],
        metadata_endpoint_url: str,
        added: AddedTables,
    ) -> None:
        self._engine = engine
        self._added = added
        self._mirrors = mirrors
        self._metadata_endpoint_url = metadata_endpoint_url

    def tables(self) -> pd.DataFrame:
        """Return all tables; see `IDCClient.tables`."""
        import pandas as pd

        available = self._engine.tables()
        clinical = self._clinical_tables()
        lines = []
        for name in self._names():
            schema = read_schema(name)
            description = schema.description if schema is not None else ""
            if not description and name in clinical:
                description = f"Clinical data of the collection {clinical[name]}."
            rows = self._row_count(name) if name in available else None
            lines.append((name, name in available, rows, description))
        for table in self._added:
            description = f"Added by you, joined by {key_in_words(table.key)}."
            lines.append((table.name, True, table.content.num_rows, description))
        frame = pd.DataFrame(lines, columns=["table", "available", "rows", "description"])
        return frame.astype({"available": bool, "rows": "Int64"})

    def describe(self, table: str) -> pd.DataFrame:
        """Return the columns of a table; see `IDCClient.describe`."""
        import pandas as pd

        if (added := self._added.get(str(table))) is not None:
            types_of_added = self._engine.rows(f"DESCRIBE FROM {added.id}")
            of_user = [(name, sql_type, "") for name, sql_type, *_ in types_of_added]
            return pd.DataFrame(of_user, columns=["column", "type", "description"])
        available = self._engine.tables()
        names = self._names()
        if str(table) not in names:
            added_names = [one.name for one in self._added]
            message = unknown_message("table", table, [*names, *added_names])
            if "clinical_index" in names and "clinical_index" not in available:
                message += " (clinical tables are known after client.fetch_table('clinical_index'))"
            raise InvalidQueryError(message)
        schema = read_schema(table)
        types: dict[str, str | None] = dict(available.get(table, {}))
        if schema is not None:
            texts = {column: text for column, (_, text) in schema.columns.items()}
            types = types or {column: sql_type for column, (sql_type, _) in schema.columns.items()}
        else:
            texts = self._clinical_columns(table)
            types = types or dict.fromkeys(texts)
        lines = [(column, sql_type, texts.get(column, "")) for column, sql_type in types.items()]
        return pd.DataFrame(lines, columns=["column", "type", "description"])

    def fetch(self, name: str, progress: bool | ProgressCallback) -> Path:
        """Fetch a table and attach it to the engine; see `IDCClient.fetch_table`."""
        if not isinstance(self._engine, DuckDBEngine):
            raise FetchError(_NOT_DUCKDB)
        engine, index = self._engine, self._engine.index
        existing = engine.files.get(str(name))
        if existing is not None and engine.opened.is_current(name):
            return existing
        if index.data_folder is None:
            raise FetchError(_NO_INDEX_DATA if index.release is None else _NO_DATA_FOLDER)
        if name not in index.fetchable:
            # Check the name before it becomes a part of an address or a path.
            self._check_clinical(name, progress)
        target = index.place(name)
        if exists(target) and _attached_or_removed(engine, name, target):
            return target  # another session fetched it
        self._download(index, name, target, progress)
        try:
            engine.attach(name, target)
        except IndexFileError as error:
            with suppress(OSError):
                remove(target)
            raise FetchError(f"the file fetched as {name} is not a table: {error}") from error
        return target

    def _check_clinical(self, name: str, progress: bool | ProgressCallback) -> None:
        """Raise an error unless there is a clinical table of this name."""
        if is_clinical_name(name):
            try:
                self.fetch("clinical_index", progress)
            except FetchError as error:
                message = unknown_message("table", name, self._names())
                raise FetchError(
                    f"{message}; whether it is a clinical table is unknown: {error}"
                ) from error
            if name in self._clinical_tables():
                return
        raise InvalidQueryError(unknown_message("table", name, self._names()))

    def _download(
        self, index: Index, name: str, target: Path, progress: bool | ProgressCallback
    ) -> None:
        from ..index import fetch_file, fetch_folder, progress_line  # late: it imports requests

        report = progress if callable(progress) else progress_line(name) if progress else None
        if name in index.fetchable:
            urls = index.urls(name, self._mirrors)
            sha256_urls = [f"{url}.sha256" for url in urls]
            fetch_file(name, urls, target, sha256_urls=sha256_urls, progress=report)
        else:
            prefix = index.clinical_prefix(name)
            endpoint_url = self._metadata_endpoint_url
            fetch_folder(name, endpoint_url, METADATA_BUCKET, prefix, target, progress=report)

    def _names(self) -> list[str]:
        """Return the names of all known tables, the available tables first."""
        fetchable = self._engine.index.fetchable if isinstance(self._engine, DuckDBEngine) else ()
        names = [*self._engine.tables(), *fetchable, *self._clinical_tables()]
        return list(dict.fromkeys(names))

    def _clinical_tables(self) -> dict[str, str]:
        """Return clinical table → its collection; empty if clinical_index was not fetched."""
        if "clinical_index" not in self._engine.tables():
            return {}
        rows = self._engine.rows(
            "SELECT short_table_name, string_agg(DISTINCT collection_id, ', ')"
            " FROM clinical_index GROUP BY 1 ORDER BY 1"
        )
        return {name: str(collections) for name, collections in rows if is_clinical_name(name)}

    def _clinical_columns(self, table: str) -> dict[str, str]:
        """Return column → label of a clinical table; empty if clinical_index was not fetched."""
        if "clinical_index" not in self._engine.tables():
            return {}
        rows = self._engine.rows(
            'SELECT "column", any_value(column_label) FROM clinical_index'
            " WHERE short_table_name = ? GROUP BY 1",
            [table],
        )
        return {str(column): str(label or "") for column, label in rows}

    def _row_count(self, table: str) -> int | None:
        try:
            [(count,)] = self._engine.rows(f"SELECT count(*) FROM {identifier(table)}")
        except (InvalidQueryError, IndexFileError):  # its file was deleted, changed or is damaged
            return None
        return int(count)


def _attached_or_removed(engine: DuckDBEngine, name: str, target: Path) -> bool:
    """Attach a table that is on disk, and return True; remove a damaged one, and return False.

    Raises:
        FetchError: The damaged table cannot be removed.
    """
    try:
        engine.attach(name, target)
    except IndexFileError:
        try:
            remove(target)
        except OSError as error:
            message = f"{target} is damaged and cannot be removed: {error.strerror}"
            raise FetchError(message) from error
        return False
    return True
