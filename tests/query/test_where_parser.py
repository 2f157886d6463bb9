"""Arguments of `Cohort.where` and similar calls: which are accepted, and how others are refused."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.own_table import OwnTable

from idc_widgets import Cohort, IDCClient, Index, InvalidQueryError
from idc_widgets.index import COLUMNS, NUMERIC

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
UNKNOWN = "1.2.3.4.5.6.7"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda cohort: cohort.histogram("StudyDat"),
            "histogram 'StudyDat'; did you mean 'StudyDate'",
        ),
        (
            lambda cohort: cohort.histogram("Modality"),
            "unknown column of a histogram 'Modality'; expec",
        ),
        (lambda cohort: cohort.histogram("PatientAge", bins=0), "bins=0: expected a whole number"),
        (
            lambda cohort: cohort.histogram("PatientAge", bins=-3),
            "bins=-3: expected a whole number",
        ),
        (
            lambda cohort: cohort.having(level="studies", Modality="CT"),
            "'studies'; did you mean 'study'",
        ),
        (lambda cohort: cohort.having(level="series", Modality="CT"), "unknown level 'series'"),
        (
            lambda cohort: cohort.having(Modalty="CT"),
            "unknown column 'Modalty'; did you mean 'Modality'",
        ),
        (lambda cohort: cohort.having(Modality="ct"), "unknown Modality 'ct'; did you mean 'CT'"),
        (lambda cohort: cohort.having(Modality=["CT", "SEGG"]), "'SEGG'; did you mean 'SEG'"),
        (lambda cohort: cohort.having(Modality=5), "Modality=5: expected text"),
        (lambda cohort: cohort.having(instanceCount="5"), "expected a number, not str"),
        (lambda cohort: cohort.having(), "having: expected a cohort or a column and its value"),
        (lambda cohort: cohort.lacking(level="patient"), "having: expected a cohort or a column"),
        (lambda cohort: cohort.having(PatientAge=(60, 50)), "upside down, 60 > 50"),
        (lambda cohort: cohort.where(having="CT"), "having='CT': expected a cohort"),
        (
            lambda cohort: cohort.where(having={"level": ["study"], "Modality": "CT"}),
            "unknown level",
        ),
        (lambda cohort: cohort.where(PatientAge=(60, 50)), "upside down, 60 > 50"),
        (lambda cohort: cohort.exclude(PatientAge=(60, 50)), "upside down, 60 > 50"),
        (lambda cohort: cohort.exclude(Modalty="CT"), "'Modalty'; did you mean 'Modality'"),
        (lambda cohort: cohort.exclude(Modality="ct"), "unknown Modality 'ct'; did you mean 'CT'"),
        (lambda cohort: cohort.exclude(species="Humna"), "'Humna'; did you mean 'Human'"),
        (lambda cohort: cohort.where(exclude="SR"), "exclude='SR': expected a dict"),
        (lambda cohort: cohort.exclude(exclude={"Modality": "SR"}), "use where"),
        (lambda cohort: cohort.where(PatientAge=("002Y", "023M")), "upside down"),
        (
            lambda cohort: cohort.where(PatientAge=("abc", None)),
            "'abc' is not an age; expected years",
        ),
        (lambda cohort: cohort.where(PatientAge=(None, "0060Y")), "'0060Y' is not an age"),
        (lambda cohort: cohort.where(PatientAge=(True, None)), "True is not an age"),
        (lambda cohort: cohort.where(PatientAge=([60], None)), r"\[60\] is not an age"),
        (lambda cohort: cohort.where(PatientAge=60), "PatientAge=60: expected text"),
        (lambda cohort: cohort.where(PatientAge="60Y"), "unknown PatientAge '60Y'"),
        (lambda cohort: cohort.where(series_size_MB=(2, 1)), "upside down, 2 > 1"),
        (lambda cohort: cohort.where(SeriesDate=("2010-04-02", "20100401")), "upside down"),
        (lambda cohort: cohort.where(StudyDate=("0000-01-01", None)), "is not a date"),
        (
            lambda cohort: cohort.where(commercial_use="yes"),
            "commercial_use='yes': expected True",
        ),
        (
            lambda cohort: cohort.where(commercial_use=[True, 1]),
            "commercial_use=1: expected True",
        ),
        (
            lambda cohort: cohort.where(commercial_use=(True, False, 0)),
            "commercial_use=0: expected",
        ),
        (lambda cohort: cohort.where(any_of="CT"), "any_of='CT': expected a cohort, or the filte"),
        (lambda cohort: cohort.where(any_of=[{"Modality": "ct"}]), "did you mean 'CT'"),
        (lambda cohort: cohort.where(original="yes"), "original='yes': expected True, False"),
        (lambda cohort: cohort.where(uids=[CT, UNKNOWN]), f"unknown UID '{UNKNOWN}'"),
        (lambda cohort: cohort.where(uids=["1.2", CT, "1.3"]), r"unknown UID '1.2' \(and 1 more\)"),
        (lambda cohort: cohort.where(uids=[5]), "uids=5: expected text, not int"),
        (lambda cohort: cohort.where(uids=[CT, None]), "uids=None: expected text"),
        (
            lambda cohort: cohort.where(cancer_types="Lung Cancr"),
            "'Lung Cancr'; did you mean 'Lung Canc",
        ),
        (
            lambda cohort: cohort.where(cancer_types=["Breast Cancer", "x y z"]),
            "cancer_types 'x y z'",
        ),
        (
            lambda cohort: cohort.where(species="human"),
            "unknown species 'human'; did you mean 'Human'",
        ),
        (lambda cohort: cohort.where(species=1), "species=1: expected text, not int"),
        (lambda cohort: cohort.where(program="TCGA"), "program_id 'TCGA'; did you mean 'tcga'"),
        (
            lambda cohort: cohort.where(cancer_type="Lung Cancer"),
            "'cancer_type'; did you mean 'cancer_t",
        ),
        (lambda cohort: cohort.where(tumor_locations="Breast, Lung"), "unknown tumor_locations"),
        (lambda cohort: cohort.where(patients=[("nlst",)]), "expected .collection_id, PatientID."),
        (
            lambda cohort: cohort.of_patients([("nlst", 100002)]),
            "expected .collection_id, PatientID.",
        ),
        (lambda cohort: cohort.of_patients("nlst"), "expected .collection_id, PatientID."),
        (lambda cohort: cohort.where(text=None), "text=None: expected one or more words"),
        (lambda cohort: cohort.where(text=["lung"]), "expected one or more words"),
        (lambda cohort: cohort.without("cancer_type"), "did you mean 'cancer_types'"),
        (lambda cohort: cohort.facets(["commercial"]), "unknown column 'commercial'; did you mean"),
        (lambda cohort: cohort.join("collection_index"), "did you mean 'collections_index'"),
        (lambda cohort: cohort.join("index"), "cannot be joined to series"),
        (lambda cohort: cohort.join("version_metadata_index"), "cannot be joined to series"),
        (
            lambda cohort: cohort.join("collections_index", columns=["cancer_type"]),
            "unknown column of collections_index 'cancer_type'; did you mean 'cancer_types'",
        ),
    ],
)
def test_bad_arguments_are_refused_with_help(
    client: IDCClient, call: Callable[[Cohort], object], message: str
) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        call(client.cohort())


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (
            {"collection_id": "nsclc_radiomic"},
            "unknown collection_id 'nsclc_radiomic'; did you mean 'nsclc_radiomics'?",
        ),
        (
            {"collection_id": ["nlst", "NLSTS"]},
            "unknown collection_id 'NLSTS'; did you mean 'nlst'?",
        ),
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
def test_bad_filters_are_refused_with_help(
    client: IDCClient, filters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        client.cohort(**filters)


#: Values at the limits of what databases accept.
EXTREME_FILTERS: list[dict[str, Any]] = [
    {"instanceCount": (float("inf"), None)},
    {"instanceCount": (None, float("-inf"))},
    {"PatientAge": (None, float("-inf"))},
    {"PatientAge": (10**400, None)},
    {"instanceCount": 10**400},
    {"text": "\ud800"},
    {"Modality": "\ud800"},
    {"collection_id": ["\ud800"]},
    {"having": {}},
    {"having": {"level": "patient"}},
    {"any_of": "CT"},
    {"any_of": [None]},
    {"original": "yes"},
    {"exclude": {"instanceCount": 10**400}},
    {"self": 1},
    {"engine": 1},
]


@pytest.mark.parametrize("filters", EXTREME_FILTERS, ids=lambda filters: str(filters)[:40])
def test_extreme_filters_are_refused(client: IDCClient, filters: dict[str, Any]) -> None:
    client.cohort().summary()  # read the index into memory: values are looked up there first
    with pytest.raises(InvalidQueryError):
        client.cohort(**filters)


def test_cohorts_of_two_clients_do_not_mix(client: IDCClient) -> None:
    other = IDCClient(Index()).cohort(Modality="CT")
    for call in (
        lambda: client.cohort().having(other),
        lambda: client.cohort().lacking(other),
        lambda: client.cohort(any_of=[other]),
        lambda: client.cohort() | other,
        lambda: client.cohort() & other,
        lambda: client.cohort() - other,
    ):
        with pytest.raises(InvalidQueryError, match="the cohort belongs to another client; make"):
            call()
    with pytest.raises(TypeError, match="unsupported operand"):
        client.cohort() | "CT"  # type: ignore[operator]


def test_cohorts_of_other_data_do_not_mix(client: IDCClient, own_table: OwnTable) -> None:
    own = own_table("Modality", "1,2,3,4,CT").cohort(Modality="CT")
    message = (
        r"a \| b: the cohort belongs to another client with other data, '.*own.csv' instead of"
    )
    with pytest.raises(InvalidQueryError, match=message):
        client.cohort() | own


def test_filters_that_contradict_each_other_can_be_given_again(client: IDCClient) -> None:
    for name, low, high in (
        ("instanceCount", (1, 2), (5, 6)),
        ("StudyDate", (None, "2000-01-01"), ("2010-01-01", None)),
        ("PatientAge", (70, None), (None, "060Y")),
    ):
        cohort = client.cohort(**{name: low}).where(**{name: high})
        assert cohort.summary().series == 0
        assert client.cohort(**cohort.filters) == cohort
        assert client.sql(cohort.to_sql()).empty


def test_equal_ages_in_different_units_match(own_table: OwnTable) -> None:
    ages = ["021D", "003W", "012M", "001Y", "1", "1y", "077D", "011W"]
    lines = [f"{row},2,3,4,{age}" for row, age in enumerate(ages)]
    client = own_table("PatientAge", *lines)
    for first, second in (("021D", "003W"), ("012M", "001Y"), ("077D", "011W"), ("1", "1Y")):
        for age in (first, second):
            cohort = client.cohort(PatientAge=(age, age))
            matches = set(cohort.series().PatientAge)
            assert matches >= {first, second} & set(ages), (age, matches)


def test_dates_of_any_type(client: IDCClient) -> None:
    day = client.cohort(SeriesDate=("2010-04-01", "2010-04-30"))
    for low in (datetime.date(2010, 4, 1), "20100401", pd.Timestamp("2010-04-01 12:00")):
        assert client.cohort(SeriesDate=(low, np.datetime64("2010-04-30"))) == day


def test_the_filters_of_a_cohort_make_an_equal_cohort(client: IDCClient) -> None:
    cohort = client.cohort(
        collection_id="nsclc_radiomics", StudyDate=("2000-01-01", None), PatientSex=[None, "M"]
    ).of_patients([("nsclc_radiomics", "LUNG1-365")])
    assert client.cohort(**cohort.filters) == cohort


def test_values_of_other_libraries_are_accepted(client: IDCClient) -> None:
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
    assert client.sql(open_end.to_sql()).shape[0] == open_end.summary().series


UUID = "12345678-1234-1234-1234-123456789abc"

#: Texts in the form of each kind of value, and with mistakes that people make.
UNKNOWN_TEXTS = [
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.1",
    UUID,
    "s3://idc-open-data/12345678-1234-1234-1234-123456789abc/*",
    "Chest CT with contrasst",
    "1" * 100_000,
]


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in NUMERIC])
def test_an_unknown_value_of_any_column_is_refused_quickly(client: IDCClient, column: str) -> None:
    # The bound is generous: benchmarks/unknown_values.py prints the real figures.
    for text in UNKNOWN_TEXTS:
        before = time.thread_time()
        with pytest.raises(InvalidQueryError, match="unknown"):
            client.cohort(**{column: text})
        assert time.thread_time() - before < 1


def test_a_similar_value_is_proposed_for_a_column_with_many_values(client: IDCClient) -> None:
    for filters, message in [
        ({"StudyDescription": "thorax^thorx"}, "did you mean"),
        ({"SeriesDescription": "chest ct"}, "did you mean"),
        ({"PatientID": "lung1-365"}, "did you mean 'LUNG1-365'"),
    ]:
        with pytest.raises(InvalidQueryError, match=message):
            client.cohort(**filters)


def test_filters_that_need_a_search_per_value_are_bounded(client: IDCClient) -> None:
    """Each word, and each kind of series that a study must have, takes a search of the index."""
    with pytest.raises(InvalidQueryError, match="text: 5,000 different words; expected 100 at"):
        client.cohort(text=" ".join(map(str, range(5_000))))
    assert client.cohort(text="lung " * 5_000) == client.cohort(text="lung")
    rows = client.engine.rows("SELECT DISTINCT StudyDescription FROM index LIMIT 500")
    values = [value for (value,) in rows]
    each = [{"StudyDescription": value} for value in values]
    with pytest.raises(InvalidQueryError, match=r"having: 500 kinds of series; expected 100 at"):
        client.cohort(having=each)
    with pytest.raises(InvalidQueryError, match=r"union of 200 cohorts.*list its values"):
        client.cohort(any_of=[{**one, "Modality": "CT"} for one in each[:200]])
    client.cohort(any_of=each, having={"StudyDescription": values})  # one search each
