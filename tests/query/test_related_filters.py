"""Filters that look at other series of the same study or patient."""

from __future__ import annotations

import pytest

from idc_widgets import Cohort, IDCClient

COLLECTION = "nsclc_radiomics"


def count_by_sql(client: IDCClient, cohort: Cohort) -> int:
    """Return the number of series that the SQL of a cohort matches."""
    return int(client.sql(f"SELECT count(*) AS n FROM ({cohort.to_sql()})").n[0])


@pytest.mark.parametrize("level", ["study", "patient"])
def test_several_calls_require_several_series(client: IDCClient, level: str) -> None:
    cohort = client.cohort(Modality="CT")
    having = cohort.having(level=level, Modality="CT").having(level=level, Modality="SEG")
    series = having.summary().series
    assert 0 < series < cohort.summary().series
    assert series == count_by_sql(client, having)
    assert having == cohort.having(level=level, Modality="SEG").having(level=level, Modality="CT")
    assert client.cohort(**having.filters) == having


def test_the_filters_of_one_call_describe_one_series(client: IDCClient) -> None:
    # One call asks for one series, such as a chest CT. With two calls, the CT and the series of the
    # chest may be two series.
    everything = client.cohort()
    chest_ct = everything.having(Modality="CT", BodyPartExamined="CHEST")
    apart = everything.having(Modality="CT").having(BodyPartExamined="CHEST")
    [[studies]] = client.sql(
        "SELECT count(DISTINCT StudyInstanceUID) AS n FROM index"
        " WHERE Modality = 'CT' AND BodyPartExamined = 'CHEST'"
    ).to_numpy()
    assert chest_ct.summary().studies == studies
    assert chest_ct.summary().series == count_by_sql(client, chest_ct)
    assert studies < apart.summary().studies


def test_values_mean_the_same_as_in_where(client: IDCClient) -> None:
    # As in `where`, a tuple is a range, and a list means any of its values.
    lung = client.cohort(collection_id=COLLECTION)
    large = client.cohort(instanceCount=(100, None), Modality=["CT", "PT"])
    having = lung.having(instanceCount=(100, None), Modality=["CT", "PT"])
    assert having == lung.having(large)
    assert 0 < having.summary().studies < lung.summary().studies
    old = lung.having(Modality="CT", exclude={"PatientAge": (0, 60)}, text="lung")
    assert old.summary().series == count_by_sql(client, old) > 0


def test_lacking_is_the_complement(client: IDCClient) -> None:
    lung = client.cohort(collection_id=COLLECTION)
    for level in ("study", "patient"):
        having = lung.having(level=level, Modality="SEG", PatientSex="F")
        lacking = lung.lacking(level=level, Modality="SEG", PatientSex="F")
        assert lacking.select() == (lung - having).select()
        assert client.cohort(**lacking.filters) == lacking


def test_having_a_cohort(client: IDCClient) -> None:
    women = client.cohort(PatientSex="F")
    cohort = client.cohort(Modality="CT").having(women, Modality="SEG")
    assert cohort == client.cohort(Modality="CT").having(Modality="SEG", PatientSex="F")
    assert client.cohort(having=women) == client.cohort().having(women)
    assert women.having(client.cohort()) == women
    assert client.cohort().lacking(client.cohort()).summary().series == 0
    unknown = client.cohort().of_series(["1.2.3.unknown"])
    assert client.cohort().having(unknown).summary().series == 0


def test_having_at_two_levels(client: IDCClient) -> None:
    cohort = client.cohort(collection_id=COLLECTION).having(Modality="CT")
    cohort = cohort.having(level="patient", Modality="SEG")
    assert cohort.filters["having"] == [
        {"level": "patient", "Modality": "SEG"},
        {"Modality": "CT"},
    ]
    assert cohort.summary().series == count_by_sql(client, cohort) > 0


def test_originals_and_derived_series_share_the_studies(client: IDCClient) -> None:
    segmentations = client.cohort(collection_id=COLLECTION, Modality="SEG")
    lung = client.cohort(collection_id=COLLECTION).having(segmentations)
    originals, derived = lung.originals(), lung.derived()
    assert {facet.value for facet in originals.facets(["Modality"])["Modality"]} == {"CT"}
    assert "SEG" in {facet.value for facet in derived.facets(["Modality"])["Modality"]}
    studies = segmentations.summary().studies
    assert originals.summary().studies == derived.summary().studies == studies
    for cohort in (originals, derived):
        assert cohort.summary().series == count_by_sql(client, cohort) > 0


def test_segmentations_are_not_original_even_without_an_analysis_result(client: IDCClient) -> None:
    # These are 22,114 series in IDC v25.
    derived = client.cohort(analysis_result_id=None).derived()
    [[expected]] = client.sql(
        "SELECT count(*) FROM index WHERE analysis_result_id IS NULL AND Modality IN"
        " ('ANN','KO','M3D','PR','REG','RTDOSE','RTPLAN','RTSTRUCT','RWV','SEG','SR')"
    ).to_numpy()
    assert derived.summary().series == expected > 20_000
    everything = client.cohort()
    numbers = [one.summary().series for one in (everything.originals(), everything.derived())]
    assert sum(numbers) == everything.summary().series
    assert {facet.value: facet.series for facet in everything.facets("original")["original"]} == {
        True: numbers[0],
        False: numbers[1],
    }
