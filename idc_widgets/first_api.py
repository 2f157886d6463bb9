"""The calls of IDC's first API, with its names, spellings and output formats."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from ._util import as_keys
from .errors import (
    MAX_GB,
    EmptySelectionError,
    InvalidQueryError,
    nearest_choice,
    unknown_message,
)
from .query import Engine, to_dataframe

if TYPE_CHECKING:
    import pyarrow as pa

    from .download import DownloadPlan
    from .query import Cohort

__all__ = ["FirstApi"]

OutputFormat: TypeAlias = Literal["json", "df", "list"]
OneOrMore: TypeAlias = "str | Sequence[str]"

_OUTPUT_FORMATS = ("json", "df", "list")

#: Other spelling of an argument → its name here. The examples of the first API use all of them.
_SPELLINGS = {
    "seriesInstanceUID": "seriesInstanceUid",
    "SeriesInstanceUID": "seriesInstanceUid",
    "studyInstanceUID": "studyInstanceUid",
    "StudyInstanceUID": "studyInstanceUid",
    "patientID": "patientId",
    "PatientID": "patientId",
}

_PATIENTS_SQL = (
    "SELECT PatientID, string_agg(DISTINCT PatientSex, ',' ORDER BY PatientSex) AS PatientSex,"
    " string_agg(DISTINCT PatientAge, ',' ORDER BY PatientAge) AS PatientAge"
    " FROM index WHERE {where} GROUP BY PatientID ORDER BY PatientID"
)
_STUDIES_SQL = (
    "SELECT StudyInstanceUID, string_agg(DISTINCT StudyDate, ',' ORDER BY StudyDate) AS StudyDate,"
    " string_agg(DISTINCT StudyDescription, ',' ORDER BY StudyDescription) AS StudyDescription,"
    " count(*) AS SeriesCount FROM index WHERE {where} GROUP BY StudyInstanceUID"
    " ORDER BY StudyDate, StudyDescription, SeriesCount, StudyInstanceUID"
)
_SERIES_SQL = (
    "SELECT StudyInstanceUID, SeriesInstanceUID, Modality, SeriesDate,"
    " collection_id AS Collection, BodyPartExamined, SeriesDescription, Manufacturer,"
    " ManufacturerModelName, series_size_MB, SeriesNumber,"
    " instanceCount AS instance_count, instanceCount AS ImageCount"
    " FROM index WHERE {where} ORDER BY Modality, SeriesDate, SeriesDescription,"
    " BodyPartExamined, SeriesNumber, SeriesInstanceUID"
)

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _accept_any_spelling(method: _Method) -> _Method:
    """Let a method accept every spelling of its UID arguments."""
    names = list(inspect.signature(method).parameters)[1:]

    @functools.wraps(method)
    def call(self: FirstApi, *args: Any, **given: Any) -> Any:
        arguments = {}
        for spelling, value in given.items():
            name = _SPELLINGS.get(spelling, spelling)
            if name not in names:
                nearest = nearest_choice(spelling, names)
                hint = f"; did you mean {nearest!r}?" if nearest else ""
                raise TypeError(f"{method.__name__}() has no argument {spelling!r}{hint}")
            if name in arguments:
                raise TypeError(f"{method.__name__}() got {name!r} in two spellings")
            arguments[name] = value
        return method(self, *args, **arguments)

    return call  # type: ignore[return-value]


class FirstApi:
    """The calls of IDC's first API: a mixin of `IDCClient`.

    Every method also accepts the other spellings of its UID arguments, such as
    ``studyInstanceUID``.
    """

    engine: Engine
    endpoint_url: str | None

    def get_collection_ids(self) -> list[str]:
        """Return all collection_ids, sorted."""
        rows = self.engine.rows("SELECT DISTINCT collection_id FROM index ORDER BY 1")
        return [str(collection_id) for (collection_id,) in rows]

    @_accept_any_spelling
    def get_series_size(self, seriesInstanceUid: str) -> float:
        """Return the size of a series in MB (10^6 bytes).

        Raises:
            InvalidQueryError: The series is not in the index.
        """
        rows = self.engine.rows(
            "SELECT series_size_MB FROM index WHERE SeriesInstanceUID = ?", [seriesInstanceUid]
        )
        if not rows:
            # If the value is a text, this raises an error that says what is wrong with it.
            self._matching(SeriesInstanceUID=seriesInstanceUid)
            raise InvalidQueryError(f"expected one SeriesInstanceUID, not {seriesInstanceUid!r}")
        return float(rows[0][0] or 0)

    @_accept_any_spelling
    def get_patients(
        self, collection: OneOrMore | None = None, outputFormat: OutputFormat = "json"
    ) -> Any:
        """Return the patients of all collections or of some, sorted by PatientID.

        Args:
            collection: One collection_id or several; None for all.
            outputFormat: "json" for a list of dicts, "df" for a DataFrame, "list" for the
                PatientIDs.

        Returns:
            PatientID, PatientSex and PatientAge per patient. If a patient has several ages or
            sexes, all of them are comma-joined.

        Raises:
            InvalidQueryError: A collection or the outputFormat is unknown; the message names the
                nearest.
        """
        return self._get(_PATIENTS_SQL, "PatientID", outputFormat, collection_id=collection)

    @_accept_any_spelling
    def get_patient_study(
        self,
        collection: OneOrMore | None = None,
        patientId: OneOrMore | None = None,
        studyInstanceUid: OneOrMore | None = None,
        outputFormat: OutputFormat = "json",
    ) -> Any:
        """Return the studies that match all given arguments.

        Args:
            collection: One collection_id or several; None for all.
            patientId: One PatientID or several; None for all.
            studyInstanceUid: One StudyInstanceUID or several; None for all.
            outputFormat: "json" for a list of dicts, "df" for a DataFrame, "list" for the
                StudyInstanceUIDs.

        Returns:
            StudyInstanceUID, StudyDate, StudyDescription and SeriesCount per study, sorted by
            date, description and number of series.

        Raises:
            InvalidQueryError: A value is unknown; the message names the nearest.
        """
        return self._get(
            _STUDIES_SQL,
            "StudyInstanceUID",
            outputFormat,
            collection_id=collection,
            PatientID=patientId,
            StudyInstanceUID=studyInstanceUid,
        )

    @_accept_any_spelling
    def get_series(
        self,
        collection: OneOrMore | None = None,
        patientId: OneOrMore | None = None,
        studyInstanceUid: OneOrMore | None = None,
        modality: OneOrMore | None = None,
        outputFormat: OutputFormat = "json",
    ) -> Any:
        """Return the series that match all given arguments.

        Args:
            collection: One collection_id or several; None for all.
            patientId: One PatientID or several; None for all.
            studyInstanceUid: One StudyInstanceUID or several; None for all.
            modality: One Modality or several; None for all.
            outputFormat: "json" for a list of dicts, "df" for a DataFrame, "list" for the
                SeriesInstanceUIDs.

        Returns:
            StudyInstanceUID, SeriesInstanceUID, Modality, SeriesDate, Collection,
            BodyPartExamined, SeriesDescription, Manufacturer, ManufacturerModelName,
            series_size_MB, SeriesNumber, instance_count and ImageCount per series (the last two
            are both the number of files), sorted by Modality, SeriesDate, SeriesDescription,
            BodyPartExamined and SeriesNumber.

        Raises:
            InvalidQueryError: A value is unknown; the message names the nearest.
        """
        return self._get(
            _SERIES_SQL,
            "SeriesInstanceUID",
            outputFormat,
            collection_id=collection,
            PatientID=patientId,
            StudyInstanceUID=studyInstanceUid,
            Modality=modality,
        )

    @_accept_any_spelling
    def get_images(
        self,
        seriesInstanceUid: OneOrMore,
        downloadDir: str | os.PathLike[str],
        download: bool = True,
        max_GB: float | None = MAX_GB,
    ) -> list[Path]:
        """Download series, and return the paths of their files when all are complete and verified.

        Args:
            seriesInstanceUid: One SeriesInstanceUID or several.
            downloadDir: The folder to download into. Each series has a folder of its own in it:
                ``collection_id/PatientID/StudyInstanceUID/Modality_SeriesInstanceUID``.
            download: False to download nothing and only return the files that are complete.
            max_GB: The largest amount to download, in GB (10^9 bytes); None for no limit.

        Returns:
            The paths of all files of the series that are complete.

        Raises:
            InvalidQueryError: A series is not in the index.
            LargeDownloadError: More than `max_GB` are left to download; nothing was downloaded.
            DownloadError: Not all series could be downloaded. Those that are complete stay, and
                the next call downloads only the rest.
        """
        selection = self._matching(SeriesInstanceUID=as_keys(seriesInstanceUid)).select()
        try:
            plan = selection.plan(downloadDir, check_disk=download)
        except EmptySelectionError:
            return []  # as in IDC's first client
        if not download:
            return [path for paths in plan.complete().values() for path in paths]
        plan.check_consent(max_GB)
        return _downloaded(plan)

    get_image = get_images

    def _get(self, sql: str, key: str, outputFormat: str, **filters: object) -> Any:
        """Run a query and return its rows in an output format.

        Args:
            sql: The query, with ``{where}`` for the condition.
            key: The column that the output format "list" returns.
            outputFormat: See `get_patients`.
            **filters: One value or several per column; None for all.
        """
        if outputFormat not in _OUTPUT_FORMATS:
            raise InvalidQueryError(unknown_message("outputFormat", outputFormat, _OUTPUT_FORMATS))
        given = {column: value for column, value in filters.items() if value is not None}
        if all(isinstance(value, str) for value in given.values()):
            # If a row is found, all values are known. Otherwise, `where` names the unknown value.
            where = " AND ".join(f"{column} = ?" for column in given) or "TRUE"
            table = self.engine.query(sql.format(where=where), list(given.values()))
            if table.num_rows:
                return _formatted(table, key, outputFormat)
        where, params = self._matching(**given).predicate
        return _formatted(self.engine.query(sql.format(where=where), params), key, outputFormat)

    def _matching(self, **filters: object) -> Cohort:
        """Return the cohort of the series that match filters.

        Raises:
            InvalidQueryError: A value is unknown.
        """
        from .query import Cohort  # late: opening a client does not need it

        return Cohort(self.engine, endpoint_url=self.endpoint_url).where(**filters)


def _formatted(table: pa.Table, key: str, outputFormat: str) -> Any:
    if outputFormat == "df":
        return to_dataframe(table)
    if outputFormat == "list":
        return table.column(key).to_pylist()
    return table.to_pylist()


def _downloaded(plan: DownloadPlan) -> list[Path]:
    """Run a download, and return the paths of its files."""
    from .download import DownloadJob

    return [path for paths in DownloadJob(plan).result().values() for path in paths]
