"""A selection: an immutable set of series, and what a person does with it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._util import human_size, plural
from ..errors import InvalidQueryError
from ..index import COLUMNS
from ..query import Cohort, DuckDBEngine, Engine, OneOf, Summary, unique
from .files import expand_home, read_text
from .instances import by_series, find_instances
from .manifests import ManifestFormat, write_manifest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ..download import DownloadJob, DownloadPlan, Provenance, Source, Verify

__all__ = ["License", "Selection"]

VIEWER_URL = "https://viewer.imaging.datacommons.cancer.gov"

#: The paper that whoever uses IDC is asked to cite.
IDC_DOI = "10.1148/rg.230180"

#: Bytes of a file that is loaded; a record of 1,000,000 series has 110 MB.
_LARGEST = 1 << 28

#: What a download plan reads of a series, unless its template is one of a person's own.
_PLAN_COLUMNS = (
    "SeriesInstanceUID",
    "series_aws_url",
    "instanceCount",
    "series_size_MB",
    "collection_id",
    "PatientID",
    "StudyInstanceUID",
    "Modality",
    "license_short_name",
    "source_DOI",
)


@dataclass(frozen=True)
class License:
    """A licence, and how many series of a selection are under it."""

    name: str
    series: int

    @property
    def non_commercial(self) -> bool:
        """True for the Creative Commons licences with the NonCommercial clause (BY-NC)."""
        return "-NC" in self.name

    def __str__(self) -> str:
        return f"{self.name} (non-commercial)" if self.non_commercial else self.name


def _described(series: int, size_MB: float) -> str:
    return f"Selection({plural(series, 'series')}, {human_size(size_MB * 1e6)})"


class Selection:
    """An immutable set of series, with the version of the data that they came from.

    Made by ``cohort.select()`` or ``Selection.of(client.engine, uids)``. What it holds is looked
    up when first asked for, so that selecting a million series costs nothing.
    """

    __slots__ = ("__weakref__", "_summary", "_uids", "cohort")

    cohort: Cohort
    _uids: tuple[str, ...] | None
    _summary: Summary | None

    def __init__(self, cohort: Cohort) -> None:
        object.__setattr__(self, "cohort", cohort)
        object.__setattr__(self, "_uids", None)
        object.__setattr__(self, "_summary", None)

    @classmethod
    def of(cls, engine: Engine, uids: Iterable[str]) -> Selection:
        """The selection of these SeriesInstanceUIDs.

        Raises:
            InvalidQueryError: a UID is not in the index (the first is named).
        """
        return cls(Cohort(engine, SeriesInstanceUID=list(uids)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Selection is immutable; combine selections with | & -")

    @property
    def data_version(self) -> str:
        """The release of the index that the series came from, such as "25.0.5"."""
        return self.cohort.engine.data_version

    @property
    def uids(self) -> tuple[str, ...]:
        """The SeriesInstanceUIDs, sorted."""
        if self._uids is None:
            where, params = self.cohort.predicate
            table = self.cohort.engine.query(
                f"SELECT SeriesInstanceUID FROM index WHERE {where} ORDER BY 1", params
            )
            object.__setattr__(self, "_uids", tuple(table.column(0).to_pylist()))
        assert self._uids is not None
        return self._uids

    @property
    def df(self) -> pd.DataFrame:
        """One row a series, with every column of the index."""
        return self.cohort.series()

    def summary(self) -> Summary:
        """Counts, size and licences, as of `Cohort.summary`."""
        if self._summary is None:
            object.__setattr__(self, "_summary", self.cohort.summary())
        assert self._summary is not None
        return self._summary

    @property
    def size_MB(self) -> float:
        """Size of all files in MB (10^6 bytes)."""
        return self.summary().size_MB

    @property
    def licenses(self) -> tuple[License, ...]:
        """The licences of these series, the most series first."""
        return tuple(License(str(one.value), one.series) for one in self.cohort.licenses())

    @property
    def dois(self) -> dict[str, int]:
        """source_DOI → number of these series that come from it, the most series first."""
        where, params = self.cohort.predicate
        rows = self.cohort.engine.rows(
            f"SELECT source_DOI, count(*) FROM index WHERE ({where}) AND source_DOI IS NOT NULL"
            " GROUP BY 1 ORDER BY 2 DESC, 1",
            params,
        )
        return {str(doi): int(series) for doi, series in rows}

    def citations(self, style: str = "apa", *, resolver: str = "https://doi.org") -> dict[str, str]:
        """DOI → how to cite it: of what these series come from, and last of IDC itself.

        >>> print(*selection.citations().values(), sep="\\n")

        Args:
            style: a style of the Citation Style Language, such as "apa", "ieee" or "nature"; or
                "bibtex".
            resolver: who is asked, one DOI after the other.

        Raises:
            InvalidQueryError: `style` is no name.
            FetchError: one cannot be had; `dois` has them all, unformatted.
        """
        from .._util import fetch_citations  # here, so that asking the index does not wait for it

        if not re.fullmatch("[a-z0-9-]+", style):
            raise InvalidQueryError(
                f'{style!r} is not the name of a style; expected one such as "apa" or "bibtex"'
            )
        accept = f"text/x-bibliography; style={style}"
        if style == "bibtex":
            accept = "application/x-bibtex"
        return fetch_citations(dict.fromkeys([*self.dois, IDC_DOI]), accept, resolver)

    def __len__(self) -> int:
        return self.summary().series

    def __iter__(self) -> Iterator[str]:
        return iter(self.uids)

    def __contains__(self, uid: object) -> bool:
        return uid in set(self.uids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selection):
            return NotImplemented
        if self.cohort == other.cohort:
            return True
        if self.cohort.engine is other.cohort.engine and self.cohort.matches is not None:
            return self.cohort.matches.equal(other.cohort.matches)
        return (
            self.data_version == other.data_version
            and len(self) == len(other)
            and self.uids == other.uids
        )

    def __hash__(self) -> int:
        return hash((self.data_version, len(self)))

    def __repr__(self) -> str:
        return _described(len(self), self.size_MB)

    def __or__(self, other: Selection) -> Selection:
        return self._with({*self.uids, *self._other(other).uids})

    def __and__(self, other: Selection) -> Selection:
        return self._with(set(self.uids).intersection(self._other(other).uids))

    def __sub__(self, other: Selection) -> Selection:
        return self._with(set(self.uids).difference(self._other(other).uids))

    def _with(self, uids: Iterable[str]) -> Selection:
        return Selection(Cohort(self.cohort.engine).of_series(uids))

    def _other(self, other: Selection) -> Selection:
        if not isinstance(other, Selection):
            raise TypeError(f"expected another Selection, not {other!r}")
        if self.data_version != other.data_version:
            raise InvalidQueryError(
                f"these selections are of different data, {self.data_version!r} and "
                f"{other.data_version!r}"
            )
        return other

    # --- what a person does with it --------------------------------------------------------

    def download(
        self,
        folder: str | os.PathLike[str] = "idc_data",
        *,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
        max_GB: float | None = 50,
        verify: Verify = "size",
        instances: str | Iterable[str] | None = None,
    ) -> DownloadJob:
        """Starts to download these series, and returns at once; ``job.wait()`` waits.

        Running it again into the same folder resumes: what is complete is not fetched again.

        Of slides, single instances can be fetched, such as one level or the thumbnail. Files of
        the same series that are there already stay; without `instances`, the rest is fetched:

        >>> client.fetch("sm_instance_index")
        >>> thumbnails = client.sql(
        ...     "SELECT SOPInstanceUID FROM sm_instance_index JOIN index USING (SeriesInstanceUID)"
        ...     " WHERE collection_id = 'tcga_luad' AND list_contains(ImageType, 'THUMBNAIL')"
        ... )
        >>> slides = client.cohort(collection_id="tcga_luad", Modality="SM").select()
        >>> slides.download("idc_data", instances=thumbnails.SOPInstanceUID)

        Args:
            folder: where to; made if it does not exist.
            template: the folder of a series below `folder`, from columns of the index; by default
                ``%collection_id/%PatientID/%StudyInstanceUID/%Modality_%SeriesInstanceUID``.
                ``"short"`` is ``%collection_id/%PatientID/%crdc_series_uuid``; ``"flat"`` puts
                all files right into `folder`.
            source: whose copy: "aws" (Amazon) or "gcs" (Google).
            endpoint_url: the S3 server; by default that of `source`, and for "aws" the one in
                the variable S3_ENDPOINT_URL, if it is set.
            max_GB: refuse if more is still to fetch, in GB (10^9 bytes); None for no limit.
            verify: "size" counts the files and bytes of each series; "dicom" also reads in every
                file of which series it is, with pydicom.
            instances: fetch only these, by SOPInstanceUID, of the series that they are in: one,
                several, or a DataFrame with a column of that name. They are looked up in the
                table sm_instance_index, which has those of slide microscopy (SM), and which
                ``client.fetch("sm_instance_index")`` gets.

        Raises:
            InvalidQueryError: there is no such table, or one of `instances` is not in it, or is of
                a series that is not selected (the first is named).
            DownloadError: nothing was selected, or the download cannot be planned: a folder that
                cannot be written, a template with an unknown column, too little disk space, paths
                that are too long; or more than `max_GB` are still to fetch.
        """
        from ..download import DownloadJob  # here, so that asking the index does not wait for it

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
        folder: str | os.PathLike[str] = "idc_data",
        *,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
        check_disk: bool = True,
        instances: str | Iterable[str] | None = None,
    ) -> DownloadPlan:
        """What `download` would fetch, and to where: a dry run, nothing is written.

        >>> plan = client.cohort(collection_id="nsclc_radiomics").select().plan("idc_data")
        >>> print(plan.preview())     # how much, space, licences, time
        >>> plan.table()              # one row a series: folder, files, size_MB, on_disk, license
        >>> DownloadJob(plan).start()

        Args:
            folder: as of `download`.
            template: as of `download`.
            source: as of `download`.
            endpoint_url: as of `download`.
            check_disk: False to plan for a folder that is only looked at, not written to.
            instances: as of `download`. Only series that they are in are in the plan.

        Raises:
            InvalidQueryError: as of `download`.
            DownloadError: as of `download`, but for `max_GB`.
        """
        from ..download import DEFAULT_TEMPLATE, FORMS, DownloadPlan

        template = DEFAULT_TEMPLATE if template is None else template
        where, params = self.cohort.predicate
        wanted = None if instances is None else find_instances(self.cohort.engine, instances)
        if wanted is not None:
            series = OneOf("SeriesInstanceUID", unique(one.SeriesInstanceUID for one in wanted))
            where = f"({where}) AND {series.sql(params.bind)}"
        elif check_disk:
            DownloadPlan.check_capacity(folder, self._size_bytes())
        # A template of one's own may name any column, and a misspelt one gets the nearest named.
        usual = template == DEFAULT_TEMPLATE or template in FORMS
        columns = ", ".join(_PLAN_COLUMNS if usual else COLUMNS)
        rows = self.cohort.engine.query(
            f"SELECT {columns} FROM index WHERE {where} ORDER BY collection_id, PatientID,"
            " StudyInstanceUID, SeriesInstanceUID",
            params,
        )
        sizes, uids = None, None
        if wanted is not None:
            sizes, uids = by_series(wanted, rows.column("SeriesInstanceUID").to_pylist())
        plan = DownloadPlan.make(
            rows,
            folder,
            template=template,
            source=source,
            endpoint_url=endpoint_url,
            check_disk=check_disk,
            only=sizes,
        )
        provenance = self._provenance(rows, template, plan.size_bytes / 1e6, uids)
        return replace(plan, provenance=provenance)

    def _provenance(
        self,
        rows: pa.Table,
        template: str,
        size_MB: float,
        instances: Mapping[str, Mapping[str, str]] | None,
    ) -> Provenance:
        """Return what the record and the report of a download say about these series."""
        from ..download import Provenance

        names = ("SeriesInstanceUID", "license_short_name", "source_DOI")
        columns: list[list[Any]] = [rows.column(name).to_pylist() for name in names]
        uids, *others = columns
        filters = self.cohort.filters
        # The UIDs are recorded anyway; a list of thousands is not said again
        is_short = all(len(value) <= 1000 for value in filters.values() if isinstance(value, list))
        # Not repr(self): a summary would first read the index into memory
        code = self._code(_described(rows.num_rows, size_MB)) if is_short else None
        if code and instances:
            wanted = [uid for files in instances.values() for uid in files.values()]
            code = f"{code}instances = {wanted!r}\n" if len(wanted) <= 1000 else None
        return Provenance(
            data_version=self.data_version,
            template=template,
            filters=filters if is_short else None,
            code=code,
            licenses_and_dois=dict(zip(uids, zip(*others, strict=True), strict=True)),
            instances=instances or {},
        )

    def _size_bytes(self) -> int:
        if self._summary is not None:
            return round(self._summary.size_MB * 1e6)
        # A whole summary would first read the index into memory
        where, params = self.cohort.predicate
        query = f"SELECT sum(series_size_MB) FROM index WHERE {where}"
        return round((self.cohort.engine.query(query, params).column(0)[0].as_py() or 0) * 1e6)

    def to_manifest(
        self, path: str | os.PathLike[str], format: ManifestFormat | None = None
    ) -> Path:
        """Writes a manifest that `IDCClient.read_manifest` and other tools read; returns its path.

        Args:
            path: the file; replaced as a whole if there is one, and left as it is on an error.
            format: "s5cmd", one ``cp`` a series as the IDC portal does; "csv", one row a series
                with its identifiers, address, licence, number of files and size in MB; "uids",
                one SeriesInstanceUID a line. By default what the name ends in says: .s5cmd (or
                nothing), .csv, .txt.

        Raises:
            InvalidQueryError: no such format, or a series of a table of your own that cannot be
                in it: one without an address in S3, or with a strange UID.
            OSError: the file cannot be written.
        """
        return write_manifest(self.cohort, path, format)

    def viewer_urls(self) -> dict[str, str]:
        """StudyInstanceUID → address that shows its selected series in IDC's viewer.

        OHIF, or Slim for studies with slide microscopy (SM).
        """
        where, params = self.cohort.predicate
        table = self.cohort.engine.query(
            "SELECT StudyInstanceUID, SeriesInstanceUID, Modality"
            f" FROM index WHERE {where} ORDER BY 1, 2",
            params,
        )
        of_studies: dict[str, tuple[list[str], set[str]]] = {}
        for study, uid, modality in zip(*(c.to_pylist() for c in table.columns), strict=True):
            series, modalities = of_studies.setdefault(study, ([], set()))
            series.append(uid)
            modalities.add(modality)
        urls = {}
        for study, (series, modalities) in of_studies.items():
            if "SM" in modalities:
                urls[study] = f"{VIEWER_URL}/slim/studies/{study}"
            else:
                query = f"StudyInstanceUIDs={study}&SeriesInstanceUIDs={','.join(series)}"
                urls[study] = f"{VIEWER_URL}/v3/viewer/?{query}"
        return urls

    def to_code(self) -> str:
        """Python that rebuilds this selection, to paste into a script."""
        return self._code(repr(self))

    def _code(self, described: str) -> str:
        engine = self.cohort.engine
        is_own = isinstance(engine, DuckDBEngine) and engine.index.is_own
        own_table = repr(self.data_version) if is_own else ""
        filters = ", ".join(f"{name}={value!r}" for name, value in self.cohort.filters.items())
        return (
            f"# Data {self.data_version}: {described}\n"
            "from idc_widgets import IDCClient\n\n"
            f"selection = IDCClient({own_table}).cohort({filters}).select()\n"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the UIDs and the data version as JSON, to be read by `load`; returns the path."""
        content = {"data_version": self.data_version, "SeriesInstanceUID": list(self.uids)}
        target = Path(expand_home(path))
        target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str], engine: Engine | None = None) -> Selection:
        """Reads what `save` wrote, or what downloads recorded beside their files.

        Args:
            path: the file, 256 MiB at most; or a folder that was downloaded into, for the series of
                all downloads that were asked for there, complete or not. (Of which only single
                instances were asked for, the record itself says.)
            engine: where to look the series up; by default the installed index.

        Raises:
            InvalidQueryError: no file, or not such a one, or a series that this index does not
                have.
        """
        from ..download import FILE_NAME, FORMAT

        anything: Any = path
        if not isinstance(anything, str | os.PathLike):
            raise InvalidQueryError(f"{path!r} is no path")
        if os.path.isdir(expand_home(path)):
            path = Path(expand_home(path), FILE_NAME)
        text = read_text(path, "a selection", _LARGEST)
        try:
            content = json.loads(text)
            if content.get("format") != FORMAT:
                uids = [str(uid) for uid in content["SeriesInstanceUID"]]
                saved_version = str(content["data_version"])
            else:
                downloads = content["downloads"]
                uids = [str(uid) for one in downloads for uid in dict(one["series"])]
                saved_version = ", ".join(sorted({str(one["data_version"]) for one in downloads}))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidQueryError(f"{path} is not a selection saved by idc_widgets") from error
        engine = engine if engine is not None else DuckDBEngine()
        try:
            return cls.of(engine, uids)
        except InvalidQueryError as error:
            raise InvalidQueryError(
                f"{path} was saved from data {saved_version}, and data {engine.data_version} "
                f"lacks some of it: {error}"
            ) from error
