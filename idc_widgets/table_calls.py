"""The calls of `IDCClient` that query, list and add tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .query import (
    AddedTables,
    DuckDBEngine,
    Engine,
    TableCatalog,
    TableFacts,
    add_table,
    run_interruptible,
    to_dataframe,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["TableCalls"]


class TableCalls:
    """The calls on tables, as a mixin of `IDCClient`."""

    engine: Engine
    mirrors: Sequence[str]
    metadata_endpoint_url: str
    _added_tables: AddedTables

    def sql(self, query: str) -> pd.DataFrame:
        """Return the result of one SELECT in DuckDB's dialect.

        The tables are ``index`` (one row per series), ``collections_index``,
        ``analysis_results_index``, ``prior_versions_index``, ``version_metadata_index``, and those
        that were fetched or added: see `tables`, `describe`, `fetch_table` and `add_table`.

        >>> client = IDCClient()
        >>> client.sql("SELECT count(DISTINCT PatientID) AS n FROM index").n.tolist()
        [86362]

        Raises:
            InvalidQueryError: The query does not parse, names a table or column that does not
                exist, or would write.
            KeyboardInterrupt: The query was interrupted (Ctrl-C, or ■ in a notebook).
        """
        engine, added = self.engine, self._added_tables
        if not isinstance(engine, DuckDBEngine):  # nothing can be added to a database
            return run_interruptible(engine, lambda: to_dataframe(engine.query(query)))
        return run_interruptible(engine, lambda: to_dataframe(engine.query(query, added=added)))

    def tables(self) -> pd.DataFrame:
        """Return all tables: those that are available, and those that can be fetched.

        Clinical tables are listed after clinical_index was fetched.

        Returns:
            One row per table: table, available (True if it can be queried at once), rows
            (missing for a table that is not available) and description.
        """
        return self._table_catalog.tables()

    def describe(self, table: str) -> pd.DataFrame:
        """Return the columns of a table, fetched or not, with their descriptions.

        Args:
            table: One of `tables`.

        Returns:
            One row per column, in the order of the table: column, type (in SQL; None for a
            clinical table that was not fetched) and description.

        Raises:
            InvalidQueryError: The table does not exist; the message names the nearest.
        """
        return self._table_catalog.describe(table)

    def add_table(
        self,
        name: str,
        table: pd.DataFrame | pa.Table | str | os.PathLike[str],
        on: str | Sequence[str] | Mapping[str, str] | None = None,
        *,
        replace: bool = False,
    ) -> TableFacts:
        """Add a table of your own, such as labels per patient, to `sql` and `Cohort.join`.

        The table belongs to this client: its cohorts know it, and other clients do not. It is kept
        in memory and written to no file. Forked processes have it, and a pickled cohort contains
        the columns that it joins.

        Args:
            name: Its name in SQL: letters, digits and "_".
            table: A DataFrame, an Arrow table, or the path of a CSV or Parquet file; at most 1 GB
                in memory. Later changes of a DataFrame or file do not matter.
            on: The column by which its rows belong to series: SeriesInstanceUID, StudyInstanceUID,
                PatientID, collection_id, or ``["collection_id", "PatientID"]``. If your column has
                another name, pass a dict: ``{"case": "PatientID"}``. By default, the first of
                SeriesInstanceUID, StudyInstanceUID, PatientID (with collection_id, if it is there)
                and collection_id that the table has. Numbers become text, and white space around
                keys is removed.
            replace: True to replace an earlier table of this name. Cohorts that have joined the
                earlier table keep it.

        Returns:
            What was found: how many keys are in the index, which are not, and which have several
            rows.

        Raises:
            InvalidQueryError: The name is taken or is no name; the table has no key, or none that
                is in the index; or the client queries another database.
            IndexFileError: The file cannot be read, or the table is too large.

        >>> import pandas as pd
        >>> from idc_widgets import IDCClient
        >>> client = IDCClient()
        >>> grades = {"PatientID": ["LUNG1-001", "LUNG1-002", "X"], "grade": [1, 3, 2]}
        >>> labels = pd.DataFrame(grades)
        >>> client.add_table("labels", labels)
        Table 'labels': 3 rows, joined by PatientID. In the index: 2 of 3 values. Unknown: 'X'.
        >>> client.cohort(Modality="CT").join("labels").series().grade.dropna().tolist()
        [1.0, 3.0]
        """
        return add_table(self.engine, self._added_tables, name, table, on, replace=replace)

    @property
    def _table_catalog(self) -> TableCatalog:
        return TableCatalog(
            self.engine, self.mirrors, self.metadata_endpoint_url, self._added_tables
        )
