"""Filters that look at other series of the same study or patient."""

from __future__ import annotations

import pytest

from idc_widgets import Cohort, IDCClient

COLLECTION = "nsclc_radiomics"


def count_by_sql(client: IDCClient, cohort: Cohort) -> int:
    """Return the number of series that the SQL of a cohort matches."""
    return int(client.sql(f"SELECT count(*) AS n FROM ({cohort.sql})").n[0])


@pytest.mark.parametrize("level", ["study", "patient"])
def test_having_requires_all_values(client: IDCClient, level: str) -> None:
    cohort = client.cohort(Modality="CT")
    having = cohort.having(level=level, Modality=["CT", "SEG"])
    series = having.summary().series
    assert 0 < series < cohort.summary().series
    assert series == count_by_sql(client, having)
    assert having == cohort.having(level=level, Modality="CT").having(level=level, Modality="SEG")
    assert client.cohort(**having.filters) == having


def test_having_at_two_levels(client: IDCClient) -> None:
    cohort = client.cohort(collection_id=COLLECTION).having(Modality="CT")
    cohort = cohort.having(level="patient", Modality="SEG")
    assert cohort.filters["having"] == [
        {"level": "patient", "Modality": ["SEG"]},
        {"level": "study", "Modality": ["CT"]},
    ]
    assert cohort.summary().series == count_by_sql(client, cohort) > 0


def test_originals_and_derived_series_share_the_studies(client: IDCClient) -> None:
    segmentations = client.cohort(collection_id=COLLECTION, Modality="SEG")
    originals, derived = segmentations.originals_of(), segmentations.derived_from()
    assert {facet.value for facet in originals.facets(["Modality"])["Modality"]} == {"CT"}
    assert "SEG" in {facet.value for facet in derived.facets(["Modality"])["Modality"]}
    studies = segmentations.summary().studies
    assert originals.summary().studies == derived.summary().studies == studies
    for cohort in (originals, derived):
        assert cohort.summary().series == count_by_sql(client, cohort) > 0


def test_several_sources_mean_the_studies_in_common(client: IDCClient) -> None:
    both = client.cohort(originals_of=[{"Modality": "SEG"}, {"Modality": "RTSTRUCT"}])
    assert both == client.cohort(originals_of={"Modality": "RTSTRUCT"}).where(
        originals_of=client.cohort(Modality="SEG")
    )
    assert client.cohort(**both.filters) == both
    assert both.summary().series == count_by_sql(client, both) > 0
