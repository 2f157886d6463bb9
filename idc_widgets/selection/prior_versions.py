"""Plan downloads of series as they were in earlier versions of IDC."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .._util import and_more, as_keys
from ..errors import DownloadError, InvalidQueryError
from ..query import PRIOR_TABLE, Engine, OneOf, Parameters, is_uuid, sorted_unique

if TYPE_CHECKING:
    import pyarrow as pa

    from ..download import DownloadPlan, Source

__all__ = ["plan_prior", "prior_series"]

_TABLE = PRIOR_TABLE
_KEYS = ("SeriesInstanceUID", "StudyInstanceUID", "crdc_series_uuid")
#: Sizes in the table are rounded to two decimals.
ROUNDING_ERROR_MB = 0.01


def plan_prior(
    engine: Engine,
    uids: str | Iterable[str],
    folder: str | os.PathLike[str],
    *,
    version: int | None = None,
    template: str | None = None,
    source: Source = "aws",
    endpoint_url: str | None = None,
) -> DownloadPlan:
    """Plan the download of series of an earlier version; see `IDCClient.plan_prior`."""
    from ..download import DownloadPlan, Provenance, template_or_default

    template = template_or_default(template)
    rows = prior_series(engine, uids, version=version, source=source, endpoint_url=endpoint_url)
    plan = DownloadPlan.make(
        rows, folder, template=template, source=source, endpoint_url=endpoint_url
    )
    when = f"v{version}" if version is not None else "before the last change of each series"
    data_version = f"IDC {when} (from {_TABLE} of data {engine.data_version})"
    return replace(plan, provenance=Provenance(data_version, template))


def prior_series(
    engine: Engine,
    uids: str | Iterable[str],
    *,
    version: int | None = None,
    source: Source = "aws",
    endpoint_url: str | None = None,
) -> pa.Table:
    """Return series of an earlier version of IDC as rows for `DownloadPlan.make`.

    The table prior_versions_index has no numbers of files, and rounds sizes. So both come from a
    listing of the files on the server.

    Args:
        engine: The engine whose tables are searched.
        uids: SeriesInstanceUIDs; StudyInstanceUIDs, which stand for all series of the study in
            the table; or crdc_series_uuids, each of which stands for one version of a series.
        version: The IDC version, such as 20. By default, the newest version of each series that
            differs from today's.
        source: The copy to list: "aws" (Amazon) or "gcs" (Google).
        endpoint_url: See `Selection.download`.

    Returns:
        A row per series, sorted by SeriesInstanceUID: the columns of prior_versions_index, with
        instanceCount and the exact series_size_MB (MB = 10^6 bytes).

    Raises:
        InvalidQueryError: There is no table prior_versions_index, or it lacks one of the UIDs; the
            message names the first.
        DownloadError: The server cannot list the files, or their sizes differ from the table.
    """
    wanted = sorted_unique(uid.lower() if is_uuid(uid) else uid for uid in as_keys(uids))
    rows = _select(engine, wanted, version)
    missing = sorted(set(wanted).difference(*(rows.column(key).to_pylist() for key in _KEYS)))
    if missing:
        when = "an earlier version" if version is None else f"version {version}"
        raise InvalidQueryError(
            f"{_TABLE} has no series or study {missing[0]!r} of {when} of IDC"
            f"{and_more(len(missing) - 1)}; series that did not change are in the current index; "
            "client.find_uids(...) tells which version has a UID"
        )
    return _with_counts(rows, source, endpoint_url)


def _select(engine: Engine, uids: tuple[str, ...], version: int | None) -> pa.Table:
    """Return one row per series, sorted by SeriesInstanceUID.

    The row describes the series in the IDC version `version`; by default, in the newest version
    that the table has. For each crdc_series_uuid, there is a row with exactly this version.
    """
    if _TABLE not in engine.tables():
        raise InvalidQueryError(
            f"there is no table {_TABLE}, which is part of the package idc-index-data; run: "
            "pip install --upgrade idc-index-data"
        )
    params = Parameters()
    conditions = [OneOf(key, uids).sql(params.bind) for key in _KEYS if uids]
    where = f"({' OR '.join(conditions) or 'FALSE'})"
    if version is not None:
        where += f" AND {params.bind(version)} BETWEEN min_idc_version AND max_idc_version"
    uuids = tuple(uid for uid in uids if is_uuid(uid))
    exact = OneOf("crdc_series_uuid", uuids).sql(params.bind)
    return engine.query(
        f"SELECT * FROM {_TABLE} WHERE {where} QUALIFY row_number() OVER (PARTITION BY"
        f" SeriesInstanceUID, CASE WHEN {exact} THEN crdc_series_uuid END"
        " ORDER BY max_idc_version DESC, min_idc_version DESC, series_aws_url)"
        " = 1 ORDER BY SeriesInstanceUID",
        params,
    )


def _with_counts(rows: pa.Table, source: Source, endpoint_url: str | None) -> pa.Table:
    """Return rows with instanceCount and the exact series_size_MB, from a listing on the server."""
    import pyarrow as pa

    from ..download import list_series

    urls = [str(url) for url in rows.column("series_aws_url").to_pylist()]
    listed = list_series(urls, endpoint_url, source=source)
    for url, size_MB in zip(urls, rows.column("series_size_MB").to_pylist(), strict=True):
        if size_MB is not None and abs(listed[url][1] / 1e6 - size_MB) > ROUNDING_ERROR_MB:
            raise DownloadError(
                f"the server lists {listed[url][1] / 1e6:,.2f} MB at {url}, where {_TABLE} has "
                f"{size_MB:,.2f} MB: files are missing or have changed"
            )
    sizes = pa.array([listed[url][1] / 1e6 for url in urls], pa.float64())
    counts = pa.array([listed[url][0] for url in urls], pa.int64())
    place = rows.column_names.index("series_size_MB")
    return rows.set_column(place, "series_size_MB", sizes).append_column("instanceCount", counts)
