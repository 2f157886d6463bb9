"""The largest series, and the latest and earliest studies."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from idc_widgets import Cohort, IDCClient, InvalidQueryError

KEYS = {"collection": ["collection_id"], "patient": ["collection_id", "PatientID"]}


def count_by_sql(client: IDCClient, cohort: Cohort) -> int:
    return int(client.sql(f"SELECT count(*) AS n FROM ({cohort.to_sql()})").n[0])


def check(client: IDCClient, cohort: Cohort, expected: set[str]) -> None:
    assert set(cohort.select().uids) == expected
    assert cohort.summary().series == len(expected) == count_by_sql(client, cohort)
    assert client.cohort(**cohort.filters) == cohort


@pytest.mark.parametrize(
    ("per", "by"),
    [
        ("study", "instanceCount"),
        ("patient", "series_size_MB"),
        ("patient", "SeriesDate"),
        ("collection", "series_init_idc_version"),
    ],
)
def test_the_largest_series(client: IDCClient, per: str, by: str) -> None:
    cohort = client.cohort(collection_id=["rider_lung_ct", "cptac_cm"])
    series = cohort.series().sort_values("SeriesInstanceUID")
    key = KEYS.get(per, ["StudyInstanceUID"])
    ordered = series.sort_values(by, ascending=False, na_position="last", kind="stable")
    for count in (1, 3):
        expected = ordered.groupby(key).head(count).SeriesInstanceUID
        check(client, cohort.largest(count, per, by), set(expected))


def test_a_column_that_is_not_in_memory(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="rider_lung_ct")
    series = cohort.series().sort_values("SeriesInstanceUID")
    ordered = series.sort_values("series_revised_idc_version", ascending=False, kind="stable")
    expected = ordered.groupby("StudyInstanceUID").head(1).SeriesInstanceUID
    check(client, cohort.largest(by="series_revised_idc_version"), set(expected))


@pytest.mark.parametrize("per", ["patient", "collection"])
@pytest.mark.parametrize("order", ["latest", "earliest"])
def test_the_latest_and_the_earliest_studies(client: IDCClient, order: str, per: str) -> None:
    # Two patients share a study, and other studies have no date.
    cohort = client.cohort(PatientID=["108001", "123342"]) | client.cohort(collection_id="ispy1")
    cohort |= client.cohort(collection_id="bonemarrowwsi_pediatricleukemia")
    series = cohort.series()
    owners = series[KEYS[per]].apply(tuple, axis=1)
    studies = pd.DataFrame(
        {"owner": owners, "study": series.StudyInstanceUID, "day": series.StudyDate}
    )
    # pandas 2 finds no minimum of texts and missing values.
    studies = studies.groupby(["owner", "study"]).day.agg(lambda days: days.dropna().min())
    studies = studies.reset_index()
    assert studies.day.isna().any()
    studies = studies.sort_values("study").sort_values(
        "day", ascending=order == "earliest", na_position="last", kind="stable"
    )
    for count in (1, 2):
        chosen = set(studies.groupby("owner").head(count)[["owner", "study"]].apply(tuple, axis=1))
        is_chosen = [pair in chosen for pair in zip(owners, series.StudyInstanceUID, strict=True)]
        ranked = getattr(cohort, order)(count, per)
        check(client, ranked, set(series.SeriesInstanceUID[is_chosen]))


def test_the_order_of_calls_matters(client: IDCClient) -> None:
    lung = client.cohort(collection_id="nsclc_radiomics")
    largest_ct, ct_if_largest = lung.where(Modality="CT").largest(), lung.largest()
    assert largest_ct.summary().series == lung.summary().studies
    assert ct_if_largest.where(Modality="SEG").summary().series < lung.summary().studies
    both = lung.largest(2) & lung.largest(1)
    assert both.select() == lung.largest(1).select()
    nothing = client.cohort().of_series(["1.2"])
    assert nothing.largest().summary().series == nothing.latest().summary().series == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.largest(0), "n=0: expected a whole number of at least 1"),
        (lambda c: c.largest("study"), "n='study': expected a whole number"),
        (lambda c: c.largest(per="series"), "unknown per 'series'; expected one of"),
        (lambda c: c.largest(per="patients"), "did you mean 'patient'"),
        (lambda c: c.largest(by="Modality"), "expected a column of numbers or dates"),
        (lambda c: c.largest(by="series_size_mb"), "did you mean 'series_size_MB'"),
        (lambda c: c.latest(per="study"), "unknown per 'study'"),
        (lambda c: c.where(ranked="largest"), "expected what cohort.largest"),
        (
            lambda c: c.where(
                ranked={"order": "oldest", "n": 1, "per": "study", "by": "StudyDate", "of": {}}
            ),
            "unknown order 'oldest'",
        ),
    ],
)
def test_bad_arguments(client: IDCClient, call: Any, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        call(client.cohort())
