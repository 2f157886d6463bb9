"""Addresses of IDC's web viewers."""

from __future__ import annotations

from support.manifests import CT, STUDY

from idc_widgets import IDCClient, Selection


def test_an_address_per_study_names_the_selected_series(study: Selection) -> None:
    urls = study.viewer_urls()
    assert set(urls) == {STUDY}
    assert urls[STUDY].startswith(
        "https://viewer.imaging.datacommons.cancer.gov/v3/viewer/?StudyInstanceUIDs=" + STUDY
    )
    assert CT in urls[STUDY]


def test_slides_are_shown_in_slim(client: IDCClient) -> None:
    slide = client.sql("SELECT SeriesInstanceUID AS uid FROM index WHERE Modality = 'SM' LIMIT 1")
    [url] = Selection.of(client.engine, slide.uid).viewer_urls().values()
    assert "/slim/studies/" in url
