"""Cohorts: values, errors and known counts. For laws on random cohorts see test_laws.py."""

from __future__ import annotations

import datetime
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from idc_widgets import Cohort, IDCClient, Index, InvalidQueryError
from idc_widgets.index import LEVELS

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


def test_the_whole_index(client: IDCClient) -> None:
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


def test_equal_filters_are_equal_cohorts(client: IDCClient) -> None:
    one = client.cohort(Modality=["SEG", "CT", "CT"], collection_id="nlst")
    two = client.cohort(collection_id=["nlst"]).where(Modality=["CT", "SEG"])
    assert one == two
    assert hash(one) == hash(two)
    assert one != client.cohort(collection_id="nlst")
    assert one != IDCClient().cohort(collection_id="nlst", Modality=["CT", "SEG"])
    assert repr(one) == "Cohort(Modality=['CT', 'SEG'], collection_id='nlst')"


def test_a_cohort_cannot_be_changed(client: IDCClient) -> None:
    cohort = client.cohort()
    with pytest.raises(AttributeError, match="cannot assign to field"):
        cohort.engine = None  # type: ignore[assignment]


def test_where_narrows_and_without_widens(client: IDCClient) -> None:
    both = client.cohort(Modality=["CT", "MR"]).where(Modality=["MR", "PT"])
    assert both == client.cohort(Modality="MR")
    assert client.cohort(Modality="CT").where(Modality="MR").summary().series == 0
    assert both.without("Modality") == client.cohort()
    sizes = client.cohort(series_size_MB=(1, None)).where(series_size_MB=(None, 2))
    assert sizes.filters == {"series_size_MB": (1, 2)}
    counts = client.cohort(instanceCount=[134, 5, None]).where(instanceCount=(100, None))
    assert counts == client.cohort(instanceCount=(100, None)).where(instanceCount=[134, 5, None])
    assert counts.filters == {"instanceCount": 134}
    assert client.cohort(text="lung").where(text="kernel") == client.cohort(text="kernel lung")


def test_filters_rebuild_the_cohort(client: IDCClient) -> None:
    cohort = client.cohort(
        collection_id="nsclc_radiomics", StudyDate=("2000-01-01", None), PatientSex=[None, "M"]
    ).of_patients([("nsclc_radiomics", "LUNG1-365")])
    assert client.cohort(**cohort.filters) == cohort


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"collection_id": "nsclc_radiomics"},
        {"PatientSex": None},
        {"PatientSex": [None, "M"], "Modality": ["CT", "SEG"]},
        {"series_size_MB": (None, 500), "collection_id": "nlst"},
        {"instanceCount": (100, 134)},
        {"StudyDate": ("2010-04-01", "2010-04-01")},
        {"StudyDate": (datetime.date(2010, 4, 1), datetime.datetime(2010, 4, 2, 3, 4))},
        {"text": "Lung chest"},
        {"text": "<MIP Range"},
        {"SeriesInstanceUID": CT},
        {"patients": [("nsclc_radiomics", "LUNG1-365"), ("nlst", "100002")]},
        {"Modality": []},
        {"instanceCount": [134, np.int64(135)]},
        {"StudyDate": (None, None)},
    ],
)
def test_sql_says_what_the_cohort_matches(client: IDCClient, filters: dict[str, Any]) -> None:
    cohort = client.cohort(**filters)
    counted = client.sql(f"SELECT count(*) AS n FROM ({cohort.sql})").n[0]
    assert counted == cohort.summary().series
    assert (counted == 0) == (filters == {"Modality": []})


def test_values_of_other_libraries(client: IDCClient) -> None:
    ct = client.cohort(Modality="CT")
    for value in (np.array("CT"), np.array(["CT"]), pd.Series(["CT"]), {"CT"}, np.str_("CT")):
        assert client.cohort(Modality=value) == ct
    missing = client.cohort(StudyDate=None)
    for value in (pd.NaT, pd.NA, float("nan"), np.datetime64("NaT"), [None]):
        assert client.cohort(StudyDate=value) == missing
    day = client.cohort(StudyDate="2010-04-01")
    for value in ("20100401", np.datetime64("2010-04-01", "ns"), pd.Timestamp("2010-04-01")):
        assert client.cohort(StudyDate=value) == day
    after = client.cohort(StudyDate=("2010-04-01", None))
    assert client.cohort(StudyDate=("20100401", None)) == after
    open_end = client.cohort(series_size_MB=(1, float("inf")))
    assert open_end == client.cohort(series_size_MB=(1, None))
    assert client.sql(open_end.sql).shape[0] == open_end.summary().series


def test_long_lists_are_bound_as_arrays(client: IDCClient) -> None:
    uids = client.sql(
        "SELECT SeriesInstanceUID AS uid FROM index WHERE Modality = 'PT' LIMIT 3000"
    ).uid.tolist()
    cohort = client.cohort(SeriesInstanceUID=uids)
    assert cohort.predicate[1] == [sorted(uids)]
    assert cohort.summary().series == 3000
    patients = cohort.patients()
    keys = list(zip(patients.collection_id, patients.PatientID, strict=True))
    assert len(keys) > 50
    assert len(client.cohort(patients=keys).patients()) == len(keys)


def test_levels(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics")
    patients, studies, series = (getattr(cohort, level.plural)() for level in LEVELS.values())
    assert (len(patients), len(studies), len(series)) == (422, 422, 4926)
    one = patients[patients.PatientID == "LUNG1-365"].iloc[0]
    assert (one.studies, one.series, one.instances) == (1, 12, 145)
    assert (one.PatientSex, one.PatientAge) == ("M", "080Y")
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


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (
            {"collection_id": "nsclc_radiomic"},
            "unknown collection 'nsclc_radiomic'; did you mean 'nsclc_radiomics'?",
        ),
        ({"collection_id": ["nlst", "NLSTS"]}, "unknown collection 'NLSTS'; did you mean 'nlst'?"),
        ({"Modalty": "CT"}, "unknown column 'Modalty'; did you mean 'Modality'?"),
        ({"Modality": "ct"}, "unknown Modality 'ct'; did you mean 'CT'?"),
        ({"PatientID": "LUNG1-3655"}, "did you mean 'LUNG1-365'"),
        ({"SeriesInstanceUID": ["1.2", "1.3"]}, r"unknown SeriesInstanceUID '1.2' \(and 1 more\)"),
        ({"Modality": 5}, "Modality=5: expected text"),
        ({"Modality": b"CT"}, "expected text, not bytes"),
        ({"Modality": {"CT": 1}}, "expected text, not dict"),
        ({"instanceCount": "5"}, "expected a number, not str"),
        ({"instanceCount": (5, 1)}, "upside down, 5 > 1"),
        ({"instanceCount": (5, 6, 7)}, "two ends"),
        ({"Modality": ("CT", "MR")}, "a range needs a number or date column"),
        ({"StudyDate": ("2010-13-01", None)}, "'2010-13-01' is not a date"),
        ({"StudyDate": ("2010-W01-1", None)}, "'2010-W01-1' is not a date"),
        ({"StudyDate": ("2010041", None)}, "'2010041' is not a date"),
        ({"StudyDate": (2010, None)}, "expected text, not int"),
        ({"text": "  "}, "expected one or more words"),
        ({"patients": ["LUNG1-365"]}, "expected \\(collection_id, PatientID\\)"),
    ],
)
def test_bad_filters(client: IDCClient, filters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        client.cohort(**filters)


def test_bad_names(client: IDCClient) -> None:
    with pytest.raises(InvalidQueryError, match="did you mean 'Modality'"):
        client.cohort().facets(["Modalit"])
    with pytest.raises(InvalidQueryError, match="unknown column 'text'"):
        client.cohort().facets(["text"])
    assert list(client.cohort().facets(["Modality", "Modality"])) == ["Modality"]
    with pytest.raises(InvalidQueryError, match="did you mean 'series'"):
        client.cohort().level_sql("serie")
    with pytest.raises(InvalidQueryError, match="did you mean 'Modality'"):
        client.cohort().without("modality")


def test_facets_ignore_their_own_filter_only(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics", Modality="CT")
    facets = cohort.facets(["Modality", "collection_id"])
    assert {one.value for one in facets["Modality"]} == {"CT", "RTSTRUCT", "SEG", "SR"}
    assert len(facets["collection_id"]) > 50
    by_hand = duckdb.sql(
        f"SELECT count(*) FROM '{Index.default().tables['index']}'"
        " WHERE collection_id = 'nsclc_radiomics' AND Modality = 'SEG'"
    ).fetchall()
    assert by_hand[0][0] in {one.series for one in facets["Modality"] if one.value == "SEG"}


def test_repr_of_a_long_list_is_short(client: IDCClient) -> None:
    cohort = client.cohort(collection_id=client.get_collection_ids())
    assert "179 in all" in repr(cohort)
    assert isinstance(cohort, Cohort)
