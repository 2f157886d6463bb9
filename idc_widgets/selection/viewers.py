"""Addresses that show series in IDC's web viewers."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from ..query import Cohort, Engine, Parameters

__all__ = ["slide_studies", "viewer_url", "viewer_urls"]

VIEWER_URL = "https://viewer.imaging.datacommons.cancer.gov"

#: A query names at most this many studies. For more, it reads all studies with slides.
_MAX_LISTED = 100


def viewer_urls(cohort: Cohort) -> dict[str, str]:
    """Return StudyInstanceUID → address, for each study of a cohort.

    The address shows the series of the study that are in the cohort, in the viewer OHIF. A study
    with slide microscopy (SM) is shown whole, in the viewer Slim. This holds even if the cohort
    has only other series of that study, such as segmentations of the slides.
    """
    where, params = cohort.predicate
    table = cohort.engine.query(
        f"SELECT StudyInstanceUID, SeriesInstanceUID FROM index WHERE {where} ORDER BY 1, 2",
        params,
    )
    studies: dict[str, list[str]] = {}
    for study, uid in zip(*(c.to_pylist() for c in table.columns), strict=True):
        studies.setdefault(study, []).append(uid)
    slides = slide_studies(cohort.engine, studies)
    return {
        study: viewer_url(study, series, is_of_slides=study in slides)
        for study, series in studies.items()
    }


def slide_studies(engine: Engine, studies: Iterable[str]) -> set[str]:
    """Return which of these studies have slide microscopy (SM)."""
    wanted = set(studies)
    if not wanted:
        return set()
    sql = "SELECT DISTINCT StudyInstanceUID FROM index WHERE Modality = 'SM'"
    params = Parameters()
    if len(wanted) <= _MAX_LISTED:
        listed = ", ".join(params.bind(study) for study in sorted(wanted))
        sql += f" AND StudyInstanceUID IN ({listed})"
    return wanted & {study for (study,) in engine.rows(sql, params)}


def viewer_url(study: str, series: Iterable[str], *, is_of_slides: bool) -> str:
    """Return the address that shows a study in one of IDC's viewers.

    Args:
        study: The StudyInstanceUID.
        series: The SeriesInstanceUIDs to show; without any, all series of the study.
        is_of_slides: Whether the study has slide microscopy. Then it is shown whole, in the viewer
            Slim.
    """
    uids = ",".join(quote(uid, safe="") for uid in series)
    uid = quote(study, safe="")
    if is_of_slides:
        return f"{VIEWER_URL}/slim/studies/{uid}"
    some = f"&SeriesInstanceUIDs={uids}" if uids else ""
    return f"{VIEWER_URL}/v3/viewer/?StudyInstanceUIDs={uid}{some}"
