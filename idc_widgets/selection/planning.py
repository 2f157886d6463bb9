"""Plan the download of a cohort: read its rows from the index and hand them to `download`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import EmptySelectionError
from ..index import COLUMNS
from ..query import Cohort, OneOf, sorted_unique
from .instances import by_series, find_instances
from .python_code import describe, python_code

if TYPE_CHECKING:
    import pyarrow as pa

    from ..download import DownloadPlan, Provenance, Source

__all__ = ["plan_download"]

#: The columns that a plan needs if its template is built in.
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

#: If a filter lists more UIDs, the record of a download leaves out the filters and the code. It
#: still lists the UIDs of all series.
MAX_UIDS_IN_CODE = 1000


def plan_download(
    cohort: Cohort,
    folder: str | os.PathLike[str],
    *,
    template: str | None,
    source: Source,
    endpoint_url: str | None,
    check_disk: bool,
    instances: str | Iterable[str] | None,
) -> DownloadPlan:
    """Plan the download of a cohort; arguments and errors are those of `Selection.plan`."""
    from ..download import DEFAULT_TEMPLATE, FORMS, DownloadPlan, template_or_default

    template = template_or_default(template)
    where, params = cohort.predicate
    wanted = None if instances is None else find_instances(cohort.engine, instances)
    if wanted is not None:
        series = OneOf("SeriesInstanceUID", sorted_unique(row.SeriesInstanceUID for row in wanted))
        where = f"({where}) AND {series.sql(params.bind)}"
    # A user's template may name any column. If all columns are read, an error can suggest the
    # nearest one.
    is_built_in = template == DEFAULT_TEMPLATE or template in FORMS
    columns = ", ".join(_PLAN_COLUMNS if is_built_in else COLUMNS)
    rows = cohort.engine.query(
        f"SELECT {columns} FROM index WHERE {where} ORDER BY collection_id, PatientID,"
        " StudyInstanceUID, SeriesInstanceUID",
        params,
    )
    if not rows.num_rows and wanted is None:
        raise EmptySelectionError(_nothing_selected(cohort))
    sizes, sop_uids = None, None
    if wanted is not None:
        sizes, sop_uids = by_series(wanted, rows.column("SeriesInstanceUID").to_pylist())
    plan = DownloadPlan.make(
        rows,
        folder,
        template=template,
        source=source,
        endpoint_url=cohort.endpoint_url if endpoint_url is None else endpoint_url,
        check_disk=check_disk,
        only=sizes,
    )
    provenance = _provenance(cohort, rows, template, plan.size_bytes / 1e6, sop_uids or {})
    return replace(plan, provenance=provenance)


def _nothing_selected(cohort: Cohort) -> str:
    """Return the message for a selection without series: the filter that leaves nothing.

    >>> from idc_widgets import IDCClient
    >>> _nothing_selected(IDCClient().cohort(collection_id="nlst", Modality="MG"))
    "nothing is selected: collection_id='nlst' matches none of the ... that Modality='MG' leaves."
    """
    return f"nothing is selected: {cohort.why_empty()}"


def _provenance(
    cohort: Cohort,
    rows: pa.Table,
    template: str,
    size_MB: float,
    instances: Mapping[str, Mapping[str, str]],
) -> Provenance:
    """Return what the record and the report of a download say about these series."""
    from ..download import Provenance

    names = ("SeriesInstanceUID", "license_short_name", "source_DOI")
    columns: list[list[Any]] = [rows.column(name).to_pylist() for name in names]
    uids, licenses, dois = columns
    filters = cohort.filters
    has_short_filters = _longest_list(filters) <= MAX_UIDS_IN_CODE
    code = None
    if has_short_filters:
        # repr(selection) would query the summary, for which the whole index is read.
        code = python_code(cohort, describe(rows.num_rows, size_MB))
    if code and instances:
        wanted = [uid for files in instances.values() for uid in files.values()]
        code = f"{code}instances = {wanted!r}\n" if len(wanted) <= MAX_UIDS_IN_CODE else None
    return Provenance(
        data_version=cohort.engine.data_version,
        template=template,
        filters=filters if has_short_filters else None,
        code=code,
        left_out=cohort.left_out(),
        licenses_and_dois=dict(zip(uids, zip(licenses, dois, strict=True), strict=True)),
        instances=instances,
    )


def _longest_list(value: object) -> int:
    """Return the number of items of the longest list in filters, such as those of ``exclude``."""
    if isinstance(value, dict):
        return max(map(_longest_list, value.values()), default=0)
    if isinstance(value, list):
        return max(len(value), *map(_longest_list, value), 0)
    return 0
