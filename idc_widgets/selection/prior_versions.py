"""Series of earlier versions of IDC: found in prior_versions_index, counted on the server."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import DownloadError, InvalidQueryError
from ..query import Engine, OneOf, Parameters, sorted_unique

if TYPE_CHECKING:
    import pyarrow as pa

    from ..download import DownloadPlan, Source

__all__ = ["plan_prior", "prior_series"]

_TABLE = "prior_versions_index"
_KEYS = ("SeriesInstanceUID", "StudyInstanceUID")
_ROUNDED = 0.01  # MB; the table has two decimals


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
    """A plan of what an earlier version had; arguments and errors of `IDCClient.plan_prior`."""
    from ..download import DEFAULT_TEMPLATE, DownloadPlan, Provenance

    template = DEFAULT_TEMPLATE if template is None else template
    rows = prior_series(engine, uids, version=version, source=source, endpoint_url=endpoint_url)
    plan = DownloadPlan.make(
        rows, folder, template=template, source=source, endpoint_url=endpoint_url
    )
    when = f"v{version}" if version is not None else "before the last change of each series"
    data_version = f"an earlier one, IDC {when} ({_TABLE} of {engine.data_version})"
    return replace(plan, provenance=Provenance(data_version, template))


def prior_series(
    engine: Engine,
    uids: str | Iterable[str],
    *,
    version: int | None = None,
    source: Source = "aws",
    endpoint_url: str | None = None,
) -> pa.Table:
    """The rows of series that an earlier version of IDC had, ready for `DownloadPlan.make`.

    The table prior_versions_index tells no number of files, and sizes are rounded: both are
    asked of the server, by listing.

    Args:
        engine: where to look.
        uids: SeriesInstanceUIDs; a StudyInstanceUID means all series that the table has of it.
        version: the IDC version whose files are meant, such as 20; by default, of each series,
            the last that differs from today's.
        source: whose copy is listed: "aws" (Amazon) or "gcs" (Google).
        endpoint_url: the S3 server; by default that of `source`, and for "aws" the one in the
            variable S3_ENDPOINT_URL, if it is set.

    Returns:
        One row a series, by SeriesInstanceUID: the columns of prior_versions_index and
        instanceCount; series_size_MB (MB = 10^6 bytes) is exact.

    Raises:
        InvalidQueryError: there is no such table, or a UID is not in it (the first is named).
        DownloadError: the server cannot list them, or has other sizes than the table.
    """
    import pyarrow as pa

    from ..download import list_series

    wanted = sorted_unique([uids] if isinstance(uids, str) else uids)
    if _TABLE not in engine.tables():
        raise InvalidQueryError(f"there is no table {_TABLE}; client.fetch({_TABLE!r}) gets it")
    params = Parameters()
    named = [OneOf(key, wanted).sql(params.bind) for key in _KEYS if wanted]
    where = f"({' OR '.join(named) or 'FALSE'})"
    if version is not None:
        where += f" AND {params.bind(version)} BETWEEN min_idc_version AND max_idc_version"
    rows = engine.query(
        f"SELECT * FROM {_TABLE} WHERE {where} QUALIFY row_number() OVER (PARTITION BY"
        " SeriesInstanceUID ORDER BY max_idc_version DESC, min_idc_version DESC, series_aws_url)"
        " = 1 ORDER BY SeriesInstanceUID",
        params,
    )
    missing = sorted(set(wanted).difference(*(rows.column(key).to_pylist() for key in _KEYS)))
    if missing:
        others = f" (and {len(missing) - 1:,} more)" if len(missing) > 1 else ""
        when = "an earlier version" if version is None else f"version {version}"
        raise InvalidQueryError(
            f"{_TABLE} has no series or study {missing[0]!r} of {when} of IDC{others}; "
            "today's index has what did not change; client.find_uids(...) tells what is known"
        )
    urls = [str(url) for url in rows.column("series_aws_url").to_pylist()]
    listed = list_series(urls, endpoint_url, source=source)
    for url, told in zip(urls, rows.column("series_size_MB").to_pylist(), strict=True):
        if told is not None and abs(listed[url][1] / 1e6 - told) > _ROUNDED:
            raise DownloadError(
                f"the server lists {listed[url][1] / 1e6:,.2f} MB at {url}, where {_TABLE} has "
                f"{told:,.2f} MB: some of it is missing or was changed"
            )
    sizes = pa.array([listed[url][1] / 1e6 for url in urls], pa.float64())
    counts = pa.array([listed[url][0] for url in urls], pa.int64())
    place = rows.column_names.index("series_size_MB")
    return rows.set_column(place, "series_size_MB", sizes).append_column("instanceCount", counts)
