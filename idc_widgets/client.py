"""IDCClient: the plain-Python face of the package, with the calls of IDC's first API."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from threading import current_thread, get_ident, main_thread
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from ._util import plural
from .errors import (
    DownloadError,
    FetchError,
    IndexFileError,
    InvalidQueryError,
    nearest_choice,
    unknown_message,
)
from .index import METADATA_BUCKET, METADATA_ENDPOINT, MIRRORS, Index, is_clinical_name, read_schema
from .query import Cohort, DuckDBEngine, Engine
from .selection import FoundUids, Manifest, Selection, find_uids, read_manifest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ._util import Progress
    from .download import DownloadPlan, Source

__all__ = ["IDCClient"]

OutputFormat: TypeAlias = Literal["json", "df", "list"]
OneOrMore: TypeAlias = "str | Sequence[str]"

_OUTPUT_FORMATS = ("json", "df", "list")

#: Spellings in use for the arguments of IDC's first API, whose own examples mix them.
_SPELLINGS = {
    "seriesInstanceUID": "seriesInstanceUid",
    "SeriesInstanceUID": "seriesInstanceUid",
    "studyInstanceUID": "studyInstanceUid",
    "StudyInstanceUID": "studyInstanceUid",
    "patientID": "patientId",
    "PatientID": "patientId",
}

_Method = TypeVar("_Method", bound=Callable[..., Any])
_Answer = TypeVar("_Answer")


def _any_spelling(method: _Method) -> _Method:
    """Lets a method be called with every spelling of its UID arguments."""
    names = list(inspect.signature(method).parameters)[1:]

    @functools.wraps(method)
    def call(self: IDCClient, *args: Any, **given: Any) -> Any:
        named = {}
        for name, value in given.items():
            known = _SPELLINGS.get(name, name)
            if known not in names:
                near = nearest_choice(name, names)
                hint = f"; did you mean {near!r}?" if near else ""
                raise TypeError(f"{method.__name__}() has no argument {name!r}{hint}")
            if known in named:
                raise TypeError(f"{method.__name__}() got {known!r} in two spellings")
            named[known] = value
        return method(self, *args, **named)

    return call  # type: ignore[return-value]


class IDCClient:
    """Ask the index of the NCI Imaging Data Commons, and download from it.

    Args:
        index: a series table of your own (.parquet or .csv), or an `Index`; by default the index
            that the installed idc-index-data ships.
        engine: what runs the queries; by default DuckDB, in this process, on `index`.
        endpoint_url: the S3 server of `get_images` and `plan_prior`; by default the variable
            S3_ENDPOINT_URL, else AWS.
        mirrors: where `fetch` finds tables, tried in turn: addresses with ``{version}`` and
            ``{name}``; by default those of idc-index-data.
        metadata_endpoint_url: the S3 server of clinical tables; by default AWS.

    Raises:
        IndexFileError: the table cannot be read, or lacks a required column.

    >>> client = IDCClient()
    >>> client.cohort(collection_id="nsclc_radiomics", Modality="CT").summary().patients
    422
    """

    def __init__(
        self,
        index: Index | str | os.PathLike[str] | None = None,
        *,
        engine: Engine | None = None,
        endpoint_url: str | None = None,
        mirrors: Sequence[str] | None = None,
        metadata_endpoint_url: str | None = None,
    ) -> None:
        if isinstance(mirrors, str):
            mirrors = [mirrors]
        if engine is None:
            if index is not None and not isinstance(index, Index):
                index = Index(Path(index))
            engine = DuckDBEngine(index)
        elif index is not None:
            raise TypeError("pass an index or an engine, not both: an engine has its own tables")
        #: Runs the queries of this client.
        self.engine: Engine = engine
        self.endpoint_url = endpoint_url
        self.mirrors = MIRRORS if mirrors is None else tuple(mirrors)
        self.metadata_endpoint_url = metadata_endpoint_url or METADATA_ENDPOINT

    @property
    def version(self) -> str:
        """The IDC data release, such as "v25"; for a table of your own, its file name."""
        if isinstance(self.engine, DuckDBEngine):
            return self.engine.index.version
        return self.engine.data_version

    def cohort(self, /, **filters: object) -> Cohort:
        """The series that fulfil all these filters; arguments and errors as of `Cohort.where`."""
        return Cohort(self.engine).where(**filters)

    def find_uids(self, given: str | Iterable[str]) -> FoundUids:
        """Looks up a list of UIDs of series and studies, such as one that was pasted.

        Args:
            given: a text with one UID a line (or set apart otherwise), or the UIDs; 100,000 at
                most.

        Returns:
            The known UIDs and the cohort of their series, those that only earlier versions of IDC
            had, and those that are unknown.

        Raises:
            InvalidQueryError: a piece of the text is no UID; its line is named.
        """
        return find_uids(self.engine, given)

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
        """What an earlier version of IDC had of series, as a plan that can be downloaded.

        They are looked up in prior_versions_index. Their files are counted on the server, by
        listing; nothing is written. Their licences are not known.

        >>> plan = client.plan_prior(client.find_uids(text).prior, "idc_before")
        >>> print(plan.preview())
        >>> DownloadJob(plan).wait()

        Args:
            uids: SeriesInstanceUIDs, or StudyInstanceUIDs for those of their series that changed
                or went.
            folder: where to; made when the download starts. Best one of its own: by default a
                series that has changed since goes to a folder of the same name as today's.
            version: the IDC version whose files are meant, such as 20; by default, of each
                series, the last that differs from today's.
            template: as of `Selection.download`, from the columns of prior_versions_index.
            source: whose copy: "aws" (Amazon) or "gcs" (Google).
            endpoint_url: the S3 server; by default that of this client, else of `source`.

        Raises:
            InvalidQueryError: one of the UIDs is not in that table, or not of that version.
            DownloadError: the server cannot list them, or has other sizes than the table; or the
                download cannot be planned, see `Selection.download`.
        """
        from .selection import plan_prior  # here, so that opening a client does not wait for it

        endpoint_url = endpoint_url or self.endpoint_url
        return plan_prior(
            self.engine,
            uids,
            folder,
            version=version,
            template=template,
            source=source,
            endpoint_url=endpoint_url,
        )

    def read_manifest(self, source: str | os.PathLike[str]) -> Manifest:
        """Reads the manifest of another tool, or of ours, into a selection.

        Nothing of it is run, and the destination of a series is ignored: where a download goes is
        said when it is started. Series that are named twice are taken once.

        Args:
            source: a path, or the text itself: an s5cmd manifest of the IDC portal or of
                idc-index; CSV or TSV with a column SeriesInstanceUID, crdc_series_uuid,
                series_aws_url, StudyInstanceUID, or PatientID and collection_id (of several, the
                first that a row has counts); JSON with the same; a .tcia manifest; or a list of
                UIDs, crdc_series_uuids or addresses. 200 MB at most.

        Returns:
            The selection, and the lines that gave none with the reason: commands other than
            ``cp`` and ``sync``, what is for a shell, a destination with ``..`` or in a bucket,
            other buckets, series that only prior versions of IDC had, and what is unknown.

        Raises:
            InvalidQueryError: no such file, too large, or nothing in it is recognised.
        """
        return read_manifest(self.engine, source)

    def sql(self, query: str) -> pd.DataFrame:
        """The answer to one SELECT in DuckDB's dialect, as a DataFrame.

        The tables are ``index`` (one row a series), ``collections_index``,
        ``analysis_results_index``, ``prior_versions_index``, ``version_metadata_index``, and those
        that were fetched: see `tables`, `describe` and `fetch`.

        Raises:
            InvalidQueryError: the query does not parse, names what is not there, or would write.
            KeyboardInterrupt: it was interrupted (Ctrl-C, or ■ in a notebook); it ends at once.
        """
        return _interruptible(self.engine, lambda: self.engine.query(query).to_pandas())

    def fetch(self, name: str, *, progress: bool | Progress = True) -> Path:
        """Fetches a further table, once for every data version: from then on it is there in SQL.

        It goes to the user's data folder ($IDC_WIDGETS_DATA_DIR, or the platform's own), where
        later sessions find it. What broke off is gone on with by the next call.

        Args:
            name: one of `tables`, such as "seg_index", or a clinical table by its
                short_table_name in clinical_index, which is then fetched as well.
            progress: whether to show it in one line on stderr (of a terminal or of Jupyter), or
                what to call instead, with the bytes that are there and those in all (or None).

        Returns:
            The path of its file, or of a clinical table its folder.

        Raises:
            InvalidQueryError: there is no such table; the nearest is named.
            FetchError: it cannot be had or written, or its checksum is wrong: each mirror is named
                with what it said. Nothing has changed then.
        """
        from ._util import remove
        from .index import fetch_file, fetch_folder, progress_line

        if not isinstance(self.engine, DuckDBEngine):
            raise FetchError("tables are fetched only for an index that is queried with DuckDB")
        index, there = self.engine.index, self.engine.files.get(str(name))
        if there is not None and there.exists():
            return there
        if index.data_folder is None:
            raise FetchError(
                "which tables there are is known from idc-index-data, which is not installed; "
                "run: pip install idc-index-data"
            )
        if name not in index.fetchable:
            # Checked before any address or path is made of it.
            if not is_clinical_name(name):
                raise InvalidQueryError(unknown_message("table", name, self._table_names()))
            try:
                self.fetch("clinical_index", progress=progress)
            except FetchError as error:
                what = unknown_message("table", name, self._table_names())
                raise FetchError(
                    f"{what}; whether it is a clinical one is unknown: {error}"
                ) from error
            if name not in self._clinical_tables():
                raise InvalidQueryError(unknown_message("table", name, self._table_names()))
        target = index.place(name)
        if target.exists():  # another session fetched it
            try:
                self.engine.attach(name, target)
                return target
            except IndexFileError:
                try:
                    remove(target)
                except OSError as error:
                    message = f"{target} is damaged and cannot be removed: {error.strerror}"
                    raise FetchError(message) from error
        report = progress if callable(progress) else progress_line(name) if progress else None
        if name in index.fetchable:
            urls = index.urls(name, self.mirrors)
            fetch_file(
                name, urls, target, sha256_urls=[f"{url}.sha256" for url in urls], progress=report
            )
        else:
            prefix = index.clinical_prefix(name)
            fetch_folder(
                name, self.metadata_endpoint_url, METADATA_BUCKET, prefix, target, progress=report
            )
        try:
            self.engine.attach(name, target)
        except IndexFileError as error:
            with suppress(OSError):
                remove(target)
            raise FetchError(f"what was fetched as {name} is no table: {error}") from error
        return target

    def tables(self) -> pd.DataFrame:
        """The tables: those that are there, and those that can be fetched.

        Clinical tables are listed once clinical_index was fetched.

        Returns:
            table, available (whether it is there in SQL, without `fetch`), rows (of those) and
            description.
        """
        import pandas as pd

        there = self.engine.tables()
        clinical = self._clinical_tables()
        lines = []
        for name in dict.fromkeys([*there, *self._table_names()]):
            described = read_schema(name)
            text = described.description if described is not None else ""
            if not text and name in clinical:
                text = f"Clinical data of the collection {clinical[name]}."
            rows = self._row_count(name) if name in there else None
            lines.append((name, name in there, rows, text))
        frame = pd.DataFrame(lines, columns=["table", "available", "rows", "description"])
        return frame.astype({"available": bool, "rows": "Int64"})

    def describe(self, table: str) -> pd.DataFrame:
        """The columns of a table, fetched or not, and what they mean.

        Args:
            table: one of `tables`.

        Returns:
            column, type (in SQL; None for a clinical table that is not fetched yet) and
            description, in the order of the table.

        Raises:
            InvalidQueryError: there is no such table; the nearest is named.
        """
        import pandas as pd

        there = self.engine.tables()
        names = self._table_names()
        if str(table) not in {*there, *names}:
            message = unknown_message("table", table, [*there, *names])
            if "clinical_index" in names and "clinical_index" not in there:
                message += " (clinical tables are known after client.fetch('clinical_index'))"
            raise InvalidQueryError(message)
        described = read_schema(table)
        types: dict[str, str | None] = dict(there.get(table, {}))
        if described is not None:
            texts = {column: text for column, (_, text) in described.columns.items()}
            types = types or {column: kind for column, (kind, _) in described.columns.items()}
        else:
            texts = self._clinical_columns(table)
            types = types or dict.fromkeys(texts)
        lines = [(column, kind, texts.get(column, "")) for column, kind in types.items()]
        return pd.DataFrame(lines, columns=["column", "type", "description"])

    def _table_names(self) -> list[str]:
        """The tables that are there, and those that are known of and can be fetched."""
        fetchable = self.engine.index.fetchable if isinstance(self.engine, DuckDBEngine) else ()
        names = [*self.engine.tables(), *fetchable, *self._clinical_tables()]
        return list(dict.fromkeys(names))

    def _clinical_tables(self) -> dict[str, str]:
        """Clinical table → its collection; none before clinical_index was fetched."""
        if "clinical_index" not in self.engine.tables():
            return {}
        rows = self.engine.rows(
            "SELECT short_table_name, string_agg(DISTINCT collection_id, ', ')"
            " FROM clinical_index GROUP BY 1 ORDER BY 1"
        )
        return {name: str(collections) for name, collections in rows if is_clinical_name(name)}

    def _clinical_columns(self, table: str) -> dict[str, str]:
        """Column → its label, of a clinical table; none before clinical_index was fetched."""
        if "clinical_index" not in self.engine.tables():
            return {}
        rows = self.engine.rows(
            'SELECT "column", any_value(column_label) FROM clinical_index'
            " WHERE short_table_name = ? GROUP BY 1",
            [table],
        )
        return {str(column): str(label or "") for column, label in rows}

    def _row_count(self, table: str) -> int | None:
        try:
            [(count,)] = self.engine.rows(f'SELECT count(*) FROM "{table}"')
        except InvalidQueryError:  # its file was deleted, or is damaged
            return None
        return int(count)

    def prepare(self) -> Path:
        """Makes the first click, and lookups of one study or series, quick in every later session.

        Done once for every data version; takes some seconds and 235 MB of the user's cache folder:
        a copy of the index (see `DuckDBEngine.prepare`) and what is held in memory for facets and
        grids, which is then there at once, and shared by all kernels.

        Returns:
            The path of the copy of the index.

        Raises:
            IndexFileError: it cannot be written, or there is nothing to prepare.
        """
        if not isinstance(self.engine, DuckDBEngine):
            raise IndexFileError("only the installed index, queried with DuckDB, is prepared")
        from .query import prepare  # here, so that opening a client does not wait for Arrow

        prepare(self.engine)
        return self.engine.prepare()

    def __repr__(self) -> str:
        return f"IDCClient({self.version})"

    # --- the calls of IDC's first API ------------------------------------------------------

    def get_collection_ids(self) -> list[str]:
        """All collection_ids, sorted."""
        rows = self.engine.rows("SELECT DISTINCT collection_id FROM index ORDER BY 1")
        return [str(value) for (value,) in rows]

    @_any_spelling
    def get_series_size(self, seriesInstanceUid: str) -> float:
        """The size of a series in MB (10^6 bytes).

        Raises:
            InvalidQueryError: the series is not in the index.
        """
        rows = self.engine.rows(
            "SELECT series_size_MB FROM index WHERE SeriesInstanceUID = ?", [seriesInstanceUid]
        )
        if not rows:
            self.cohort(SeriesInstanceUID=seriesInstanceUid)  # says what is wrong with a text
            raise InvalidQueryError(f"{seriesInstanceUid!r} is not one SeriesInstanceUID")
        return float(rows[0][0] or 0)

    @_any_spelling
    def get_patients(
        self, collection: OneOrMore | None = None, outputFormat: OutputFormat = "json"
    ) -> Any:
        """The patients, of all collections or of these, sorted by PatientID.

        Args:
            collection: one collection_id or several.
            outputFormat: "json", a list of dicts; "df", a DataFrame; "list", the PatientIDs.

        Returns:
            PatientID, PatientSex and PatientAge a patient; of several different ages or sexes
            all, comma-joined.

        Raises:
            InvalidQueryError: unknown collection or outputFormat; the nearest is named.
        """
        return self._get(
            "SELECT PatientID, string_agg(DISTINCT PatientSex, ',' ORDER BY PatientSex)"
            " AS PatientSex, string_agg(DISTINCT PatientAge, ',' ORDER BY PatientAge)"
            " AS PatientAge FROM index WHERE {where} GROUP BY PatientID ORDER BY PatientID",
            "PatientID",
            outputFormat,
            collection_id=collection,
        )

    @_any_spelling
    def get_patient_study(
        self,
        collection: OneOrMore | None = None,
        patientId: OneOrMore | None = None,
        studyInstanceUid: OneOrMore | None = None,
        outputFormat: OutputFormat = "json",
    ) -> Any:
        """The studies that fulfil all given arguments, by date, description and series count.

        Returns:
            StudyInstanceUID, StudyDate, StudyDescription and SeriesCount a study; as "list", the
            StudyInstanceUIDs.

        Raises:
            InvalidQueryError: an unknown value; the nearest is named.
        """
        return self._get(
            "SELECT StudyInstanceUID, string_agg(DISTINCT StudyDate, ',' ORDER BY StudyDate)"
            " AS StudyDate, string_agg(DISTINCT StudyDescription, ',' ORDER BY StudyDescription)"
            " AS StudyDescription, count(*) AS SeriesCount FROM index WHERE {where}"
            " GROUP BY StudyInstanceUID"
            " ORDER BY StudyDate, StudyDescription, SeriesCount, StudyInstanceUID",
            "StudyInstanceUID",
            outputFormat,
            collection_id=collection,
            PatientID=patientId,
            StudyInstanceUID=studyInstanceUid,
        )

    @_any_spelling
    def get_series(
        self,
        collection: OneOrMore | None = None,
        patientId: OneOrMore | None = None,
        studyInstanceUid: OneOrMore | None = None,
        modality: OneOrMore | None = None,
        outputFormat: OutputFormat = "json",
    ) -> Any:
        """The series that fulfil all given arguments.

        Returns:
            StudyInstanceUID, SeriesInstanceUID, Modality, SeriesDate, Collection,
            BodyPartExamined, SeriesDescription, Manufacturer, ManufacturerModelName,
            series_size_MB, SeriesNumber, instance_count and ImageCount a series (the last two are
            the number of files), by Modality, SeriesDate, SeriesDescription, BodyPartExamined
            and SeriesNumber; as "list", the SeriesInstanceUIDs.

        Raises:
            InvalidQueryError: an unknown value; the nearest is named.
        """
        return self._get(
            "SELECT StudyInstanceUID, SeriesInstanceUID, Modality, SeriesDate,"
            " collection_id AS Collection, BodyPartExamined, SeriesDescription, Manufacturer,"
            " ManufacturerModelName, series_size_MB, SeriesNumber,"
            " instanceCount AS instance_count, instanceCount AS ImageCount"
            " FROM index WHERE {where} ORDER BY Modality, SeriesDate, SeriesDescription,"
            " BodyPartExamined, SeriesNumber, SeriesInstanceUID",
            "SeriesInstanceUID",
            outputFormat,
            collection_id=collection,
            PatientID=patientId,
            StudyInstanceUID=studyInstanceUid,
            Modality=modality,
        )

    @_any_spelling
    def get_images(
        self,
        seriesInstanceUid: OneOrMore,
        downloadDir: str | os.PathLike[str],
        download: bool = True,
        max_GB: float | None = 50,
    ) -> list[Path]:
        """Downloads series and returns the paths of their files, when all is there and verified.

        Args:
            seriesInstanceUid: one SeriesInstanceUID or several.
            downloadDir: where to; the files of a series are in a folder of its own below
                (``collection_id/PatientID/StudyInstanceUID/Modality_SeriesInstanceUID``).
            download: False to fetch nothing, and return the files that are there already.
            max_GB: refuse if more is still to fetch, in GB (10^9 bytes); None for no limit.

        Raises:
            InvalidQueryError: a series is not in the index.
            LargeDownloadError: more than `max_GB` are still to fetch; nothing was fetched.
            DownloadError: not all could be fetched; what is complete stays, and calling again
                fetches only the rest.
        """
        uids = [seriesInstanceUid] if isinstance(seriesInstanceUid, str) else seriesInstanceUid
        plan = Selection.of(self.engine, uids).plan(
            downloadDir, endpoint_url=self.endpoint_url, check_disk=download
        )
        if not download:
            return [path for paths in plan.complete().values() for path in paths]
        plan.check_consent(max_GB)
        return _files_of(plan)

    get_image = get_images

    def _get(self, sql: str, key: str, outputFormat: str, **filters: object) -> Any:
        if outputFormat not in _OUTPUT_FORMATS:
            raise InvalidQueryError(unknown_message("outputFormat", outputFormat, _OUTPUT_FORMATS))
        given = {name: value for name, value in filters.items() if value is not None}
        if all(isinstance(value, str) for value in given.values()):
            # An answer shows that every value is known; without one, the check below tells.
            where = " AND ".join(f"{name} = ?" for name in given) or "TRUE"
            table = self.engine.query(sql.format(where=where), list(given.values()))
            if table.num_rows:
                return _formatted(table, key, outputFormat)
        where, params = self.cohort(**given).predicate
        return _formatted(self.engine.query(sql.format(where=where), params), key, outputFormat)


def _interruptible(engine: Engine, ask: Callable[[], _Answer]) -> _Answer:
    """An answer that a KeyboardInterrupt need not wait for, as it would for a database in C++."""
    if current_thread() is not main_thread():
        return ask()  # no KeyboardInterrupt comes here
    threads: list[int] = []
    with ThreadPoolExecutor(1, initializer=lambda: threads.append(get_ident())) as pool:
        answer = pool.submit(ask)
        try:
            while not wait([answer], timeout=0.2).done:  # no signal ends an endless one on Windows
                pass
        except KeyboardInterrupt:
            engine.interrupt(*threads)
            raise
        return answer.result()


def _formatted(table: pa.Table, key: str, outputFormat: str) -> Any:
    if outputFormat == "df":
        return table.to_pandas()
    if outputFormat == "list":
        return table.column(key).to_pylist()
    return table.to_pylist()


def _files_of(plan: DownloadPlan) -> list[Path]:
    from .download import DownloadJob

    job = DownloadJob(plan)
    if job.wait() != "complete":
        uid, reason = next(iter(job.failed.items()))
        raise DownloadError(
            f"{len(job.failed):,} of {plural(len(plan.series), 'series')} could not be fetched; "
            f"the others are in {plan.folder}. Of {uid}: {reason}"
        )
    return [path for paths in job.paths.values() for path in paths]
