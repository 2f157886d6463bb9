"""Cohorts with known counts. Random cohorts are in test_random_cohorts.py."""

from __future__ import annotations

import pytest

from idc_widgets import Cohort, IDCClient, IDCError, Index, InvalidQueryError
from idc_widgets.index import LEVELS
from idc_widgets.query import listed_values

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


def test_summary_of_the_whole_index(client: IDCClient) -> None:
    summary = client.cohort().summary()
    assert (summary.collections, summary.patients, summary.studies, summary.series) == (
        179,
        86_451,
        168_507,
        1_044_191,
    )
    assert summary.instances == 58_784_975
    assert summary.size_MB == pytest.approx(99.94e6, rel=1e-3)
    assert len(summary.licenses) == 5


def test_equal_filters_make_equal_cohorts(client: IDCClient) -> None:
    cohort = client.cohort(Modality=["SEG", "CT", "CT"], collection_id="nlst")
    other = client.cohort(collection_id=["nlst"]).where(Modality=["CT", "SEG"])
    assert cohort == other
    assert hash(cohort) == hash(other)
    assert cohort != client.cohort(collection_id="nlst")
    assert cohort != IDCClient(Index()).cohort(collection_id="nlst", Modality=["CT", "SEG"])
    assert repr(cohort) == (
        "Cohort(Modality=['CT', 'SEG'], collection_id='nlst': 333,950 series, 25.4 TB)"
    )


def test_a_cohort_is_immutable(client: IDCClient) -> None:
    cohort = client.cohort()
    with pytest.raises(AttributeError, match="cannot assign to field"):
        cohort.engine = None  # type: ignore[misc, assignment]
    with pytest.raises(AttributeError, match="cannot assign to field"):
        cohort.modality = "CT"  # type: ignore[attr-defined]


def test_where_narrows_and_without_widens(client: IDCClient) -> None:
    both = client.cohort(Modality=["CT", "MR"]).where(Modality=["MR", "PT"])
    assert both == client.cohort(Modality="MR")
    assert client.cohort(Modality="CT").where(Modality="MR").summary().series == 0
    assert both.without("Modality") == client.cohort()


def test_exclude_leaves_out_each_value_and_keeps_missing_ones(client: IDCClient) -> None:
    everything = client.cohort()
    cohort = everything.exclude(BodyPartExamined=["CHEST", "LUNG"], Modality="SR")
    [[expected]] = client.sql(
        "SELECT count(*) AS n FROM index WHERE Modality IS DISTINCT FROM 'SR' AND"
        " (BodyPartExamined IS NULL OR BodyPartExamined NOT IN ('CHEST', 'LUNG'))"
    ).to_numpy()
    assert cohort.summary().series == expected
    assert cohort.where(BodyPartExamined=None).summary().series > 10_000
    assert cohort.exclude(BodyPartExamined=None).where(BodyPartExamined=None).summary().series == 0
    kept, old = everything.exclude(PatientAge=(0, 60)), everything.where(PatientAge=(60.001, None))
    assert kept.summary().series > old.summary().series + 100_000  # those of unknown age


def test_excluded_filters_are_merged_compared_and_removed(client: IDCClient) -> None:
    cohort = client.cohort(Modality=["CT", "SEG"]).exclude(Modality=["SR", "SEG"], species="Human")
    other = client.cohort().exclude(species=["Human"]).exclude(Modality="SR")
    other = other.where(Modality=["SEG", "CT"], exclude={"Modality": "SEG"})
    assert cohort == other
    assert hash(cohort) == hash(other)
    assert cohort.exclude() == cohort.exclude(text="a").without("text") == cohort
    assert cohort.exclude(Manufacturer=[], uids=[], patients=[]) == cohort
    assert repr(cohort) == (
        "Cohort(Modality=['CT', 'SEG'], exclude={'Modality': ['SEG', 'SR'], 'species': 'Human'}: "
        "1,683 series, 295.1 GB)"
    )
    assert listed_values(cohort.conditions, "Modality") == ("CT", "SEG")
    assert listed_values(cohort.conditions, "Modality", excluded=True) == ("SEG", "SR")
    assert listed_values(cohort.conditions, "Manufacturer", excluded=True) == ()
    assert cohort.without("exclude") == client.cohort(Modality=["CT", "SEG"])
    assert cohort.without("Modality") == client.cohort().exclude(species="Human")
    versions = client.cohort().exclude(series_init_idc_version=list(range(1, 20)))
    assert repr(versions).startswith(
        "Cohort(exclude={'series_init_idc_version': [1, 2, 3, ... 19 in all]}: "
    )
    twice = client.cohort().exclude(PatientAge=(0, 18)).exclude(PatientAge=(80, None))
    assert twice.filters == {"exclude": [{"PatientAge": (0, 18)}, {"PatientAge": (80, None)}]}
    assert client.cohort(**twice.filters) == twice


def test_a_facet_ignores_what_its_own_column_excludes(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics")
    facets = cohort.exclude(Modality=["SEG", "RTSTRUCT"]).facets(["Modality", "collection_id"])
    assert facets["Modality"] == cohort.facets(["Modality"])["Modality"]
    assert facets["collection_id"] != cohort.facets(["collection_id"])["collection_id"]


def test_tables_of_patients_studies_and_series(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics")
    patients, studies, series = (getattr(cohort, level.plural)() for level in LEVELS.values())
    assert (len(patients), len(studies), len(series)) == (422, 422, 4926)
    patient = patients[patients.PatientID == "LUNG1-365"].iloc[0]
    assert (patient.studies, patient.series, patient.instances) == (1, 12, 145)
    assert (patient.PatientSex, patient.PatientAge) == ("M", "080Y")
    study = studies[studies.PatientID == "LUNG1-365"].iloc[0]
    assert study.Modality == "CT, RTSTRUCT, SEG, SR"
    ct = series[series.SeriesInstanceUID == CT].iloc[0]
    assert (ct.instanceCount, ct.series_size_MB) == (134, 70.513634)


def test_one_patient_id_in_two_collections_is_two_patients(client: IDCClient) -> None:
    twice = client.sql(
        "SELECT PatientID FROM index GROUP BY 1 HAVING count(DISTINCT collection_id) > 1"
    ).PatientID
    assert len(twice) == 89
    assert client.cohort(PatientID=twice[0]).summary().patients == 2


def test_unknown_levels_and_columns_are_refused_with_the_nearest_name(client: IDCClient) -> None:
    with pytest.raises(InvalidQueryError, match="did you mean 'series'"):
        client.cohort().level_sql("serie")
    with pytest.raises(InvalidQueryError, match="did you mean 'Modality'"):
        client.cohort().without("modalit")


def test_the_repr_shortens_long_lists(client: IDCClient) -> None:
    cohort = client.cohort(collection_id=client.get_collection_ids())
    assert "179 in all" in repr(cohort)
    assert isinstance(cohort, Cohort)


def test_arguments_of_the_wrong_type_are_refused(client: IDCClient) -> None:
    everything = client.cohort()
    calls = [
        lambda: everything.histogram("PatientAge", bins=2.5),  # type: ignore[arg-type]
        lambda: everything.histogram("PatientAge", bins="3"),  # type: ignore[arg-type]
        lambda: everything.histogram(["PatientAge"]),  # type: ignore[arg-type]
        lambda: everything.value_counts(["Modality"]),  # type: ignore[arg-type]
        lambda: everything.unique(["Modality"]),  # type: ignore[arg-type]
        lambda: everything.join(["collections_index"]),  # type: ignore[arg-type]
        lambda: everything.join("collections_index", [["species"]]),  # type: ignore[list-item]
        lambda: client.find_uids(5),  # type: ignore[arg-type]
        lambda: client.find_uids(b"1.2.3"),  # type: ignore[arg-type]
        lambda: client.find_uids("1.2.3\n\ud800"),
        lambda: client.sql("SELECT '\ud800'"),
    ]
    for call in calls:
        with pytest.raises(IDCError):
            call()
    assert everything.of_studies(["\ud800"]).summary().series == 0


def test_a_single_text_is_accepted_where_several_are(client: IDCClient) -> None:
    everything = client.cohort()
    series = client.cohort(PatientID="LUNG1-365", Modality="CT").select().uids[0]
    study = "1.3.6.1.4.1.32722.99.99.62087908186665265759322018723889952421"
    for cohort in (everything.of_series(series), everything.of_uids(series)):
        assert cohort.summary().series == 1
    assert everything.of_studies(study) == everything.of_studies([study])
    assert everything.of_series({series: "a path"}) == everything.of_series(series)
    assert list(everything.facets("Modality")) == ["Modality"]
