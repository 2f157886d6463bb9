"""Addresses that show series in IDC's web viewers."""

from __future__ import annotations

from ..query import Cohort

__all__ = ["viewer_urls"]

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
    urls = {}
    for study, (series, modalities) in studies.items():
        if "SM" in modalities:
            urls[study] = f"{VIEWER_URL}/slim/studies/{study}"
        else:
            query = f"StudyInstanceUIDs={study}&SeriesInstanceUIDs={','.join(series)}"
            urls[study] = f"{VIEWER_URL}/v3/viewer/?{query}"
    return urls
