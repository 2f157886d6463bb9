"""Addresses of IDC's web viewers."""

from __future__ import annotations

from support.manifests import CT, STUDY

from idc_widgets import IDCClient, Selection
from idc_widgets.selection import viewer_url


def test_an_address_per_study_names_the_selected_series(study: Selection) -> None:
    urls = study.viewer_urls()
    assert set(urls) == {STUDY}
    assert urls[STUDY].startswith(
        "https://viewer.imaging.datacommons.cancer.gov/v3/viewer/?StudyInstanceUIDs=" + STUDY
    )
    assert CT in urls[STUDY]


def test_slides_are_shown_in_slim(client: IDCClient) -> None:
    slide = client.sql("SELECT SeriesInstanceUID AS uid FROM index WHERE Modality = 'SM' LIMIT 1")
    [url] = client.cohort(SeriesInstanceUID=slide.uid).viewer_urls().values()
    assert "/slim/studies/" in url


def test_series_derived_from_slides_are_shown_with_the_slides(client: IDCClient) -> None:
    derived = client.sql(
        "SELECT Modality, any_value(SeriesInstanceUID) AS uid FROM index"
        " WHERE Modality IN ('ANN', 'SEG', 'SR') AND StudyInstanceUID IN"
        " (SELECT StudyInstanceUID FROM index WHERE Modality = 'SM') GROUP BY 1 ORDER BY 1"
    )
    assert list(derived.Modality) == ["ANN", "SEG", "SR"]
    selected = client.cohort(SeriesInstanceUID=[*derived.uid, CT]).select()
    urls = selected.viewer_urls()
    assert sum("/slim/studies/" in url for url in urls.values()) == len(urls) - 1
    assert "/v3/viewer/" in urls[STUDY]


def test_hostile_uids_are_quoted() -> None:
    url = viewer_url("1.2?a=b&c=//evil", ['1.2"&x=<img src=x>'], is_of_slides=False)
    assert url.endswith(
        "?StudyInstanceUIDs=1.2%3Fa%3Db%26c%3D%2F%2Fevil"
        "&SeriesInstanceUIDs=1.2%22%26x%3D%3Cimg%20src%3Dx%3E"
    )


def test_the_viewers_of_many_studies(client: IDCClient) -> None:
    urls = client.cohort(collection_id=["cptac_luad", "nsclc_radiomics"]).select().viewer_urls()
    slides = client.sql(
        "SELECT DISTINCT StudyInstanceUID AS uid FROM index"
        " WHERE Modality = 'SM' AND collection_id IN ('cptac_luad', 'nsclc_radiomics')"
    )
    assert {study for study, url in urls.items() if "/slim/" in url} == set(slides.uid)
    assert 100 < len(slides) < len(urls) - 100
