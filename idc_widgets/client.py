"""`IDCClient`, the entry point of the package in plain Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ._util import PublicNames, as_list
from .errors import IndexFileError
from .first_api import FirstApi
from .index import METADATA_ENDPOINT, MIRRORS, Index
from .other_clients import NAMES_ELSEWHERE
from .query import (
    AddedTables,
    DuckDBEngine,
    Engine,
    shared_engine,
    takes_filters,
)
from .table_calls import TableCalls

if TYPE_CHECKING:
    from ._util import ProgressCallback
    from .download import DownloadPlan, Source
    from .query import Cohort
    from .selection import FoundUids, Manifest, Selection

__all__ = ["IDCClient"]


class IDCClient(TableCalls, FirstApi, PublicNames):
    """A client of the NCI Imaging Data Commons, which queries its index and downloads from it.

    Args:
        index: A table of series of your own (.parquet or .csv), or an `Index`. By default, the
            index of the installed idc-index-data.
        engine: The engine that runs the queries. By default, DuckDB in this process, on `index`.
            Clients of the same files share one engine and its memory, unless you pass an `Index`.
        endpoint_url: The S3 server for everything that is made from this client: cohorts,
            selections, plans, downloads and widgets. Their own argument `endpoint_url` precedes
            it. By default, that in the environment variable S3_ENDPOINT_URL, else AWS.
        mirrors: The addresses that `fetch_table` tries in turn; ``{version}`` and ``{name}`` in
            them stand for the data version and the name of the table. By default, the addresses
            of idc-index-data.
        metadata_endpoint_url: The S3 server of the clinical tables. By default, AWS.
        auto_cache: False to let no browser of this client call `build_cache` in the background.

    Raises:
        IndexFileError: The table cannot be read, or lacks a required column.
        TypeError: Both `index` and `engine` are given.

    >>> client = IDCClient()
    >>> client.cohort(collection_id="nsclc_radiomics", Modality="CT").summary().patients
    422
    """

    _not_listed = frozenset(("engine", "auto_cache", "metadata_endpoint_url"))
    _names_elsewhere = NAMES_ELSEWHERE

    def __init__(
        self,
        index: Index | str | os.PathLike[str] | None = None,
        *,
        engine: Engine | None = None,
        endpoint_url: str | None = None,
        mirrors: str | Sequence[str] | None = None,
        metadata_endpoint_url: str | None = None,
        auto_cache: bool = True,
    ) -> None:
        if engine is None:  # clients of the same files share one engine, but not of an `Index`
            own = None if index is None or isinstance(index, Index) else Path(index)
            engine = DuckDBEngine(index) if isinstance(index, Index) else shared_engine(Index(own))
        elif index is not None:
            raise TypeError("pass an index or an engine, not both: an engine has its own tables")
        #: The engine that runs the queries of this client.
        self.engine: Engine = engine
        self._added_tables = AddedTables()
        self.endpoint_url = endpoint_url
        self.mirrors = MIRRORS if mirrors is None else tuple(as_list(mirrors))
        self.metadata_endpoint_url = metadata_endpoint_url or METADATA_ENDPOINT
        self.auto_cache = auto_cache

    @property
    def data_version(self) -> str:
        """The release of the index, such as "25.0.5"; for a table of your own, its path."""
        return self.engine.data_version

    @takes_filters
    def cohort(self, /, *_given: object, **filters: object) -> Cohort:
        """Return the series that match all filters; see `Cohort.where` for filters and errors.

        >>> client = IDCClient()
        >>> client.cohort(Modality="CT", PatientID="LUNG1-365").summary().series
        1
        """
        from .query import Cohort  # late: opening a client does not need it

        everything = Cohort(
            self.engine, endpoint_url=self.endpoint_url, added_tables=self._added_tables
        )
        return everything.where(*_given, **filters)

    def find_uids(self, given: str | Iterable[str]) -> FoundUids:
        """Look up UIDs of series and studies, such as those of a pasted text.

        Args:
            given: A text with one UID per line (or with other separators), or a list of UIDs; at
                most 100,000.

        Returns:
            The known UIDs and the cohort of their series, the UIDs that only earlier versions of
            IDC had, and those that are unknown.

        Raises:
            InvalidQueryError: A piece of the text is not a UID; the message names its line.
        """
        from .selection import find_uids  # late: opening a client does not need `selection`

        found = find_uids(self.engine, given, endpoint_url=self.endpoint_url)
        return replace(found, cohort=self._knowing_tables(found.cohort))

    def plan_prior(
        self,
        uids: str | Iterable[str],
        folder: str | os.PathLike[str],
        *,
        version: int | None = None,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
    ) -> DownloadPlan:
        """Plan the download of series as they were in an earlier version of IDC.

        The series are looked up in prior_versions_index. Their files are counted by listing them
        on the server; nothing is written. Their licenses are not known.

        >>> plan = client.plan_prior(client.find_uids(text).prior, "idc_before")  # doctest: +SKIP
        >>> print(plan.preview())  # doctest: +SKIP
        >>> DownloadJob(plan).wait()  # doctest: +SKIP

        Args:
            uids: SeriesInstanceUIDs, StudyInstanceUIDs (those of its series that were changed or
                removed) or crdc_series_uuids (exactly that version of a series).
            folder: The folder to download into. It is created when the download starts. It should
                not contain today's series: by default, both versions of a series would go into the
                same subfolder.
            version: The IDC version whose files to download, such as 20. By default, the newest
                version of each series that differs from today's.
            template: See `Selection.download`; the columns are those of prior_versions_index.
            source: "aws" for the copy at Amazon, "gcs" for the copy at Google.
            endpoint_url: The S3 server. By default, that of this client, else that of `source`.

        Raises:
            InvalidQueryError: A UID is not in prior_versions_index, or not in `version`.
            DownloadError: The server cannot list the files, or their sizes differ from those in the
                table; or the download cannot be planned, see `Selection.download`.
        """
        from .selection import plan_prior

        return plan_prior(
            self.engine,
            uids,
            folder,
            version=version,
            template=template,
            source=source,
            endpoint_url=endpoint_url or self.endpoint_url,
        )

    def read_manifest(self, source: str | os.PathLike[str]) -> Manifest:
        """Read the manifest of another tool, or of this package, into a selection.

        Nothing in it is executed, and the destination of a series is ignored: choose the folder
        when you start the download. A series that is named twice is taken once.

        Args:
            source: A path, or the text itself. It may be an s5cmd manifest of the IDC portal or of
                idc-index; CSV or TSV with a column SeriesInstanceUID, crdc_series_uuid,
                series_aws_url, StudyInstanceUID, or PatientID and collection_id (in each row, the
                first of these that has a value counts); JSON with the same fields; a .tcia
                manifest; or a list of UIDs, crdc_series_uuids or addresses. At most 200 MB.

        Returns:
            The selection, and each line that names no series, with the reason: a command other
            than ``cp`` and ``sync``, syntax of a shell, a destination with ``..`` or in a bucket,
            another bucket, a series that only earlier versions of IDC had, or an unknown series.

        Raises:
            InvalidQueryError: The file does not exist or is too large, or nothing in it is
                recognized.
        """
        from .selection import Selection, read_manifest

        manifest = read_manifest(self.engine, source, endpoint_url=self.endpoint_url)
        cohort = self._knowing_tables(manifest.selection.cohort)
        return replace(manifest, selection=Selection(cohort))

    def load(self, path: str | os.PathLike[str]) -> Selection:
        """Return the series that a saved file or a folder of downloads lists.

        Args:
            path: The file that ``cohort.save(path)`` or ``selection.save(path)`` wrote, at most
                256 MiB; or a folder of downloads, for all series that were ever downloaded into
                it, complete or not. A series of which only some instances were fetched is loaded
                as a whole series.

        Raises:
            InvalidQueryError: The file does not exist or is not a saved selection, or the index
                lacks one of the series.
        """
        from .selection import Selection, load

        loaded = load(self.engine, path, endpoint_url=self.endpoint_url)
        return Selection(self._knowing_tables(loaded.cohort))

    def _knowing_tables(self, cohort: Cohort) -> Cohort:
        return replace(cohort, added_tables=self._added_tables)

    def fetch_table(self, name: str, *, progress: bool | ProgressCallback = True) -> Path:
        """Fetch a further table, once per data version, so that it can be queried in SQL.

        It is stored in the user's data folder ($IDC_WIDGETS_DATA_DIR, or that of the platform),
        where later sessions find it. An interrupted fetch is resumed by the next call.

        Args:
            name: One of `tables`, such as "seg_index"; or the short_table_name of a clinical table.
                clinical_index, which lists these names, is then fetched, too.
            progress: True to show the progress in one line on stderr (in a terminal or Jupyter);
                or a function to call instead, with the number of bytes on disk and the total
                number or None.

        Returns:
            The path of its file; for a clinical table, the path of its folder.

        Raises:
            InvalidQueryError: The table does not exist; the message names the nearest.
            FetchError: The table cannot be fetched or written, or its checksum is wrong; the
                message names each mirror and its problem. The tables are then unchanged.
        """
        return self._table_catalog.fetch(name, progress)

    def build_cache(self) -> Path:
        """Make the first click, and lookups of one study or series, fast in all later sessions.

        This writes to the user's cache folder, once per data version: a copy of the index (see
        `DuckDBEngine.build_copy`), and the in-memory index of facets and grids, which later
        sessions read instead of building it. docs/performance.md has the cost. An `IDCBrowser`
        does this once, in a process of low priority, unless the environment variable
        IDC_WIDGETS_AUTO_CACHE is "0", less than 5 GB are free on the disk, or the client has
        ``auto_cache=False``.

        Returns:
            The path of the copy of the index.

        Raises:
            IndexFileError: A file cannot be written, or the engine does not query the installed
                index.
        """
        if not isinstance(self.engine, DuckDBEngine):
            raise IndexFileError("only the installed index, queried with DuckDB, can be prepared")
        from .query import prepare  # late: it imports pyarrow

        prepare(self.engine)
        return self.engine.build_copy()

    def __repr__(self) -> str:
        return f"IDCClient({self.data_version})"
