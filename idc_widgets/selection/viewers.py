"""Addresses that show series in IDC's web viewers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import quote

from ..query import Cohort

__all__ = ["viewer_url", "viewer_urls"]

VIEWER_URL = "https://viewer.imaging.datacommons.cancer.gov"


def viewer_urls(cohort: Cohort) -> dict[str, str]:
    """Return StudyInstanceUID → address, for each study of a cohort.

    The address shows the series of the study that are in the cohort, in the viewer OHIF. Studies
    with slide microscopy (SM) are shown whole, in the viewer Slim.
    """
    where, params = cohort.predicate
    table = cohort.engine.query(
        "SELECT StudyInstanceUID, SeriesInstanceUID, Modality"
        f" FROM index WHERE {where} ORDER BY 1, 2",
        params,
    )
    studies: dict[str, tuple[list[str], set[str]]] = {}
    for study, uid, modality in zip(*(c.to_pylist() for c in table.columns), strict=True):
        series, modalities = studies.setdefault(study, ([], set()))
        series.append(uid)
        modalities.add(modality)
    return {study: viewer_url(study, *facts) for study, facts in studies.items()}


def viewer_url(study: str, series: Iterable[str], modalities: Collection[str | None]) -> str:
    """Return the address that shows a study in one of IDC's viewers.

    Args:
        study: The StudyInstanceUID.
        series: The SeriesInstanceUIDs to show; without any, all series of the study.
        modalities: The modalities of the series. With slide microscopy (SM) among them, the study
            is shown whole, in the viewer Slim.
    """
    uids = ",".join(quote(uid, safe="") for uid in series)
    uid = quote(study, safe="")
    if "SM" in modalities:
        return f"{VIEWER_URL}/slim/studies/{uid}"
    some = f"&SeriesInstanceUIDs={uids}" if uids else ""
    return f"{VIEWER_URL}/v3/viewer/?StudyInstanceUIDs={uid}{some}"
