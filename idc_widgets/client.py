"""IDCClient: the plain-Python face of the package, with the calls of IDC's first API."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from .cohort import Cohort
from .engine import DuckDBEngine, Engine
from .errors import DownloadError, IndexFileError, InvalidQueryError, nearest, unknown
from .index import Index
from .selection import Selection
from .units import plural

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from .download import DownloadPlan

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


def _any_spelling(method: _Method) -> _Method:
    """Lets a method be called with every spelling of its UID arguments."""
    names = list(inspect.signature(method).parameters)[1:]

    @functools.wraps(method)
    def call(self: IDCClient, *args: Any, **given: Any) -> Any:
        named = {}
        for name, value in given.items():
            known = _SPELLINGS.get(name, name)
            if known not in names:
                near = nearest(name, names)
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
        endpoint_url: the S3 server of `get_images`; by default the variable S3_ENDPOINT_URL,
            else AWS.

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
    ) -> None:
        if engine is None:
            if index is not None and not isinstance(index, Index):
                index = Index(Path(index))
            engine = DuckDBEngine(index)
        elif index is not None:
            raise TypeError("pass an index or an engine, not both: an engine has its own tables")
        #: Runs the queries of this client.
        self.engine: Engine = engine
        self.endpoint_url = endpoint_url

    @property
    def version(self) -> str:
        """The IDC data release, such as "v25"; for a table of your own, its file name."""
        if isinstance(self.engine, DuckDBEngine):
            return self.engine.index.version
        return self.engine.data_version

    def cohort(self, **filters: object) -> Cohort:
        """The series that fulfil all these filters; arguments and errors as of `Cohort.where`."""
        return Cohort(self.engine, **filters)

    def sql(self, query: str) -> pd.DataFrame:
        """The answer to one SELECT in DuckDB's dialect, as a DataFrame.

        The tables are ``index`` (one row a series), ``collections_index``,
        ``analysis_results_index``, ``prior_versions_index`` and ``version_metadata_index``.

        Raises:
            InvalidQueryError: the query does not parse, names what is not there, or would write.
        """
        return self.engine.query(query).to_pandas()

    def prepare(self) -> Path:
        """Makes lookups of one patient, study or series quick, once for every data version.

        Takes some seconds and about 95 MB of the user's cache folder; see `DuckDBEngine.prepare`.

        Returns:
            The path of the copy that was made.

        Raises:
            IndexFileError: it cannot be written, or there is nothing to prepare.
        """
        if not isinstance(self.engine, DuckDBEngine):
            raise IndexFileError("only the installed index, queried with DuckDB, is prepared")
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
    ) -> list[Path]:
        """Downloads series and returns the paths of their files, when all is there and verified.

        Args:
            seriesInstanceUid: one SeriesInstanceUID or several.
            downloadDir: where to; the files of a series are in a folder of its own below
                (``collection_id/PatientID/StudyInstanceUID/Modality_SeriesInstanceUID``).
            download: False to fetch nothing, and return the files that are there already.

        Raises:
            InvalidQueryError: a series is not in the index.
            DownloadError: not all could be fetched; what is complete stays, and calling again
                fetches only the rest.
        """
        uids = [seriesInstanceUid] if isinstance(seriesInstanceUid, str) else seriesInstanceUid
        plan = Selection.of(self.engine, uids).plan(
            downloadDir, endpoint_url=self.endpoint_url, check_disk=download
        )
        if not download:
            return [path for paths in plan.complete().values() for path in paths]
        return _files_of(plan)

    get_image = get_images

    def _get(self, sql: str, key: str, outputFormat: str, **filters: object) -> Any:
        if outputFormat not in _OUTPUT_FORMATS:
            raise InvalidQueryError(unknown("outputFormat", outputFormat, _OUTPUT_FORMATS))
        given = {name: value for name, value in filters.items() if value is not None}
        if all(isinstance(value, str) for value in given.values()):
            # An answer shows that every value is known; without one, the check below tells.
            where = " AND ".join(f"{name} = ?" for name in given) or "TRUE"
            table = self.engine.query(sql.format(where=where), list(given.values()))
            if table.num_rows:
                return _formatted(table, key, outputFormat)
        where, params = self.cohort(**given).predicate
        return _formatted(self.engine.query(sql.format(where=where), params), key, outputFormat)


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
