"""A selection: a fixed set of series, and everything that can be done with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .._util import PublicNames, html_facts
from ..errors import DEFAULT_FOLDER, MAX_GB, InvalidQueryError
from ..query import (
    PANDAS_NAMES,
    Cohort,
    License,
    Summary,
    in_words,
    quick_size,
    shortened,
    size_in_words,
)
from .manifests import ManifestFormat, write_manifest
from .planning import plan_download
from .python_code import describe, python_code
from .saved import write_saved
from .viewers import viewer_urls

if TYPE_CHECKING:
    import pandas as pd

    from ..download import DownloadJob, DownloadPlan, Source, Verify

__all__ = ["Selection"]


class _Contents:
    """The series of a cohort. They are queried when they are first needed, and then kept."""

    __slots__ = ("_cohort", "_summary", "_uid_set", "_uids")

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self._summary: Summary | None = None
        self._uids: tuple[str, ...] | None = None
        self._uid_set: frozenset[str] | None = None

    @property
    def summary(self) -> Summary:
        if self._summary is None:
            self._summary = self._cohort.summary()
        return self._summary

    @property
    def uids(self) -> tuple[str, ...]:
        if self._uids is None:
            where, params = self._cohort.predicate
            table = self._cohort.engine.query(
                f"SELECT SeriesInstanceUID FROM index WHERE {where} ORDER BY 1", params
            )
            uids: list[Any] = table.column(0).to_pylist()
            self._uids = tuple(uids)
        return self._uids

    @property
    def uid_set(self) -> frozenset[str]:
        if self._uid_set is None:
            self._uid_set = frozenset(self.uids)
        return self._uid_set

    def quick_size(self) -> tuple[int, float] | None:
        if self._summary is not None:
            return self._summary.series, self._summary.size_MB
        return quick_size(self._cohort.engine, self._cohort.conditions)

    @property
    def size_bytes(self) -> int:
        if self._summary is not None:
            return round(self._summary.size_MB * 1e6)
        # To compute the whole summary, the index would first be read into memory.
        where, params = self._cohort.predicate
        query = f"SELECT sum(series_size_MB) FROM index WHERE {where}"
        size_MB = self._cohort.engine.query(query, params).column(0)[0].as_py()
        return round((size_MB or 0) * 1e6)


@dataclass(frozen=True, eq=False, repr=False)
class Selection(PublicNames):
    """A fixed set of series, with the version of the data that they come from.

    Make one with ``cohort.select()``, and from UIDs with ``client.cohort(uids=uids).select()``.
    Combine several with ``|``, ``&`` and ``-``. The series are queried when they are first needed,
    so that nothing is read when you select a million series.

    >>> from idc_widgets import IDCClient
    >>> IDCClient().cohort(PatientID="LUNG1-365").select()
    Selection(12 series, 115.9 MB)

    Args:
        cohort: The cohort whose series are selected.
    """

    _names_elsewhere = MappingProxyType(
        {
            name: call.replace("cohort.", "selection.cohort.").replace(
                "selection.cohort.series()", "selection.series()"
            )
            for name, call in PANDAS_NAMES.items()
        }
    )

    cohort: Cohort
    _contents: _Contents = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_contents", _Contents(self.cohort))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the cohort. Its series are the same wherever the data have the same version."""
        return Selection, (self.cohort,)

    @property
    def data_version(self) -> str:
        """The release of the index that the series come from, such as "25.0.5"."""
        return self.cohort.engine.data_version

    @property
    def uids(self) -> tuple[str, ...]:
        """The SeriesInstanceUIDs, sorted."""
        return self._contents.uids

    def patients(self) -> pd.DataFrame:
        """Return one row per patient, as `Cohort.patients` does."""
        return self.cohort.patients()

    def studies(self) -> pd.DataFrame:
        """Return one row per study, as `Cohort.studies` does."""
        return self.cohort.studies()

    def series(self) -> pd.DataFrame:
        """Return one row per series, as `Cohort.series` does: with all columns of the index."""
        return self.cohort.series()

    def summary(self) -> Summary:
        """Return counts, size and licenses, as `Cohort.summary` does."""
        return self._contents.summary

    @property
    def size_MB(self) -> float:
        """Size of all files in MB (10^6 bytes)."""
        return self.summary().size_MB

    def licenses(self) -> tuple[License, ...]:
        """Return the licenses of the series, as `Cohort.licenses` does."""
        return self.cohort.licenses()

    @property
    def dois(self) -> dict[str, int]:
        """Source_DOI → its number of series, largest first."""
        where, params = self.cohort.predicate
        rows = self.cohort.engine.rows(
            f"SELECT source_DOI, count(*) FROM index WHERE ({where}) AND source_DOI IS NOT NULL"
            " GROUP BY 1 ORDER BY 2 DESC, 1",
            params,
        )
        return {str(doi): int(series) for doi, series in rows}

    def citations(self, style: str = "apa", *, resolver: str = "https://doi.org") -> dict[str, str]:
        r"""Return the citations of the sources of these series, and lastly the citation of IDC.

        >>> print(*selection.citations().values(), sep="\n")  # doctest: +SKIP

        Args:
            style: A style of the Citation Style Language, such as "apa", "ieee" or "nature"; or
                "bibtex".
            resolver: The address of the server that formats the citations.

        Returns:
            The citations by DOI.

        Raises:
            InvalidQueryError: `style` cannot be the name of a style.
            FetchError: A citation could not be fetched. `dois` has all DOIs, without citations.
        """
        from .citations import IDC_DOI, fetch_citations  # late: it imports requests

        return fetch_citations(dict.fromkeys([*self.dois, IDC_DOI]), style, resolver)

    def __len__(self) -> int:
        return self.summary().series

    def __iter__(self) -> Iterator[str]:
        return iter(self.uids)

    def __contains__(self, uid: object) -> bool:
        return uid in self._contents.uid_set

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selection):
            return NotImplemented
        if self.cohort == other.cohort:
            return True
        if self.cohort.engine is other.cohort.engine and self.cohort.matches is not None:
            return self.cohort.matches.equals(other.cohort.matches)
        return (
            self.data_version == other.data_version
            and len(self) == len(other)
            and self.uids == other.uids
        )

    def __hash__(self) -> int:
        return hash((self.data_version, len(self)))

    def __repr__(self) -> str:
        return f"Selection({self._size() or in_words(self.cohort.filters, None)})"

    def _repr_html_(self) -> str:
        filters = {name: shortened(value) for name, value in self.cohort.filters.items()}
        return html_facts("Selection", [*filters.items(), ("size", self._size())])

    def _size(self) -> str:
        """Return the size in words; empty if counting it could take long."""
        size = self._contents.quick_size()
        return size_in_words(*size) if size else ""

    def __or__(self, other: Selection) -> Selection:
        """Return the series that are in this selection, in the other one, or in both.

        Raises:
            TypeError: `other` is not a Selection.
            InvalidQueryError: `other` is a selection of another data version.
        """
        return self._with({*self.uids, *self._compatible(other).uids})

    def __and__(self, other: Selection) -> Selection:
        """Return the series that are in both selections; raises as ``|`` does."""
        return self._with(self._contents.uid_set.intersection(self._compatible(other).uids))

    def __sub__(self, other: Selection) -> Selection:
        """Return the series that are here but not in the other one; raises as ``|`` does."""
        return self._with(self._contents.uid_set.difference(self._compatible(other).uids))

    def _with(self, uids: Iterable[str]) -> Selection:
        return Selection(replace(self.cohort, conditions=()).of_series(uids))

    def _compatible(self, other: Selection) -> Selection:
        """Return `other` if it can be combined with this selection; otherwise raise."""
        if not isinstance(other, Selection):
            raise TypeError(f"expected another Selection, not {other!r}")
        if self.data_version != other.data_version:
            raise InvalidQueryError(
                f"these selections are of different data, {self.data_version!r} and "
                f"{other.data_version!r}"
            )
        return other

    # --- downloads, files, viewers and code ------------------------------------------------

    def download(
        self,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        *,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
        max_GB: float | None = MAX_GB,
        verify: Verify = "size",
        instances: str | Iterable[str] | None = None,
    ) -> DownloadJob:
        """Start to download these series, and return the running job.

        Wait for its end with ``job.wait()``. To resume an interrupted download, call this again
        with the same folder: files that are complete are not fetched again.

        Args:
            folder: The folder of the download. It is created if it does not exist.
            template: The folder of each series within `folder`, made of columns of the index; by
                default
                ``%collection_id/%PatientID/%StudyInstanceUID/%Modality_%SeriesInstanceUID``.
                ``"short"`` stands for ``%collection_id/%PatientID/%crdc_series_uuid``. With
                ``"flat"``, all files are in `folder` itself.
            source: The copy to fetch from: "aws" (Amazon) or "gcs" (Google).
            endpoint_url: The S3 server. By default that of the client, if it was given one. If not,
                that of `source`, or for "aws" the one in the environment variable S3_ENDPOINT_URL
                if it is set.
            max_GB: The largest amount left to fetch, in GB (10^9 bytes); None for no limit.
            verify: "size" checks the number of files and bytes per series; "dicom" also reads the
                SeriesInstanceUID in the header of each file, with pydicom.
            instances: Fetch only these SOPInstanceUIDs of slide microscopy (SM), such as those of
                the thumbnails: one, several, or a DataFrame with a column SOPInstanceUID. First
                call ``client.fetch_table("sm_instance_index")``, the table in which they are
                looked up. Other files of the series that are already on disk stay.

        Raises:
            InvalidQueryError: The table sm_instance_index was not fetched, or lacks one of
                `instances`; or no series of an instance is selected.
            EmptySelectionError: The selection is empty; the message names a filter.
            LargeDownloadError: More than `max_GB` are left to fetch.
            DownloadError: The folder cannot be written, the template names an unknown column, the
                disk lacks space, or paths are too long.
        """
        from ..download import DownloadJob  # late: queries do not need it

        plan = self.plan(
            folder,
            template=template,
            source=source,
            endpoint_url=endpoint_url,
            instances=instances,
        )
        plan.check_consent(max_GB)
        return DownloadJob(plan, verify=verify).start()

    def plan(
        self,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        *,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
        check_disk: bool = True,
        instances: str | Iterable[str] | None = None,
    ) -> DownloadPlan:
        """Return a plan of what `download` would fetch, and where to; write nothing.

        >>> plan = client.cohort(PatientID="LUNG1-365").select().plan("idc_data")
        >>> print(plan.preview())
        12 series, 145 files, 115.9 MB, into ...
        >>> DownloadJob(plan).start()  # doctest: +SKIP

        Only the thumbnails of slides:

        >>> client.fetch_table("sm_instance_index")  # doctest: +SKIP
        >>> thumbnails = client.sql(
        ...     "SELECT SOPInstanceUID FROM sm_instance_index JOIN index USING (SeriesInstanceUID)"
        ...     " WHERE collection_id = 'tcga_luad' AND list_contains(ImageType, 'THUMBNAIL')"
        ... )  # doctest: +SKIP
        >>> slides = client.cohort(collection_id="tcga_luad", Modality="SM").select()
        >>> slides.plan("idc_data", instances=thumbnails)  # doctest: +SKIP

        Args:
            folder: See `download`.
            template: See `download`.
            source: See `download`.
            endpoint_url: See `download`.
            check_disk: False if nothing will be written to `folder`. The permissions of the folder
                and the free space are then not checked.
            instances: See `download`. The plan then has only the series of these instances.

        Raises:
            InvalidQueryError: See `download`.
            EmptySelectionError: See `download`.
            DownloadError: See `download`.
        """
        if check_disk and instances is None:
            from ..download import DownloadPlan  # late: queries do not need it

            # Fail before the rows are read, which takes seconds for all series of the index.
            DownloadPlan.check_capacity(folder, self._contents.size_bytes)
        return plan_download(
            self.cohort,
            folder,
            template=template,
            source=source,
            endpoint_url=endpoint_url,
            check_disk=check_disk,
            instances=instances,
        )

    def to_manifest(
        self, path: str | os.PathLike[str], format: ManifestFormat | None = None
    ) -> Path:
        """Write a manifest for `IDCClient.read_manifest` and other tools, and return its path.

        Args:
            path: The file. An existing file is replaced as a whole; an error leaves it as it is.
            format: "s5cmd" for a ``cp`` command per series, as the IDC portal writes; "csv" for a
                row per series with its identifiers, address, license, number of files and size in
                MB; "uids" for a SeriesInstanceUID per line. By default, the ending of the file name
                decides: .s5cmd (or none), .csv or .txt.

        Raises:
            InvalidQueryError: The format is unknown; or a series of a user's own table has no
                address in S3, or a UID that cannot be written.
            OSError: The file cannot be written.
        """
        return write_manifest(self.cohort, path, format)

    def viewer_urls(self) -> dict[str, str]:
        """Return StudyInstanceUID → the address at which IDC's viewer shows its selected series.

        The viewer is OHIF, or Slim for studies with slide microscopy (SM).
        """
        return viewer_urls(self.cohort)

    def to_code(self) -> str:
        """Return Python code that rebuilds this selection, to paste into a script."""
        return python_code(self.cohort, describe(len(self), self.size_MB))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the UIDs and the data version as JSON for `IDCClient.load`, and return the path.

        Raises:
            OSError: The file cannot be written; an existing file stays as it is.
        """
        return write_saved(path, self.uids, self.data_version)
