"""Counts per value, and the comparison of cohorts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from idc_widgets import IDCClient, InvalidQueryError, compare

KEY = "collection_id || PatientID"
COUNTS = {
    "series": "count(*)",
    "studies": "count(DISTINCT StudyInstanceUID)",
    "patients": f"count(DISTINCT {KEY})",
}


@pytest.mark.parametrize("unit", COUNTS)
@pytest.mark.parametrize(
    "columns", [["Modality"], ["PatientSex"], ["PatientSex", "Modality"], ["SeriesNumber"]]
)
def test_values_are_counted_in_the_cohort(client: IDCClient, columns: list[str], unit: Any) -> None:
    cohort = client.cohort(collection_id=["ispy1", "nsclc_radiomics"], Modality=["MR", "CT", "SR"])
    counts = cohort.value_counts(*columns, unit=unit)
    names = ", ".join(columns)
    rows = client.engine.rows(
        f"SELECT {names}, {COUNTS[unit]} FROM ({cohort.to_sql()}) GROUP BY {names}"
    )
    expected = {tuple(row[:-1]): row[-1] for row in rows}
    keys = [key if isinstance(key, tuple) else (key,) for key in counts.index]
    keys = [tuple(None if pd.isna(part) else part for part in key) for key in keys]
    assert dict(zip(keys, counts.tolist(), strict=True)) == expected
    assert counts.tolist() == sorted(counts, reverse=True)
    assert (counts.name, list(counts.index.names)) == (unit, columns)


def test_facts_of_collections_and_flags(client: IDCClient) -> None:
    cohort = client.cohort(collection_id=["ispy1", "nsclc_radiomics"])
    by_fact = cohort.value_counts("cancer_types", "original", unit="patients")
    originals = cohort.originals().summary().patients
    assert by_fact.xs(True, level="original").sum() == originals
    assert cohort.value_counts("original").sum() == cohort.summary().series
    assert cohort.value_counts("program")["community"] > 0 or cohort.unique("program")
    assert cohort.unique("original") == [False, True]
    assert client.cohort().unique("PatientSex")[-1] is None
    assert client.cohort(any_of=[]).value_counts("Modality").empty


def test_a_histogram_counts_patients_of_the_cohort(client: IDCClient) -> None:
    # A histogram has no series below 60 years, and counts patients on request.
    old = client.cohort(PatientAge=(60, None), collection_id="nsclc_radiomics")
    for unit in COUNTS:
        histogram = old.histogram("PatientAge", bins=10, unit=unit)  # type: ignore[arg-type]
        low = [
            count
            for count, edge in zip(histogram.counts, histogram.edges[1:], strict=True)
            if float(edge) <= 60
        ]
        assert not any(low)
        frame = histogram.to_frame()
        assert list(frame.columns) == ["low", "high", unit]
    summary = old.summary()
    assert old.histogram("PatientAge").counts != old.histogram("PatientAge", unit="patients").counts
    assert sum(old.histogram("PatientAge", unit="patients").counts) == summary.patients
    assert sum(old.histogram("instanceCount", unit="studies").counts) >= summary.studies
    axes = old.histogram("PatientAge", unit="patients").plot()
    assert axes.get_xlabel() == "Age (years)"
    assert axes.get_ylabel() == "Patients"


def test_the_table_of_a_paper(client: IDCClient) -> None:
    lung = client.cohort(collection_id="nsclc_radiomics")
    parts = lung.split(train=0.8, test=0.2, stratify="PatientSex")
    table = compare(parts, ["PatientSex", "PatientAge"])
    assert list(table.columns) == ["train", "test"]
    assert table.iloc[0].tolist() == [part.summary().patients for part in parts.values()]
    ages = client.sql(
        "SELECT min(CAST(rtrim(PatientAge, 'Y') AS INT)) AS age"
        f" FROM ({parts['train'].to_sql()}) GROUP BY PatientID"
    ).age.dropna()
    assert table.loc[("PatientAge", "median"), "train"] == sorted(ages)[(len(ages) + 1) // 2 - 1]
    assert table.loc["PatientAge"].iloc[-1, 0] == parts["train"].summary().patients - len(ages)
    empty = compare({"none": client.cohort(any_of=[])}, "PatientAge", unit="series")
    assert empty["none"].tolist() == [0, None, None, None, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.value_counts(), "value_counts: expected a column"),
        (lambda c: c.value_counts("Modalty"), "did you mean 'Modality'"),
        (lambda c: c.value_counts("Modality", unit="patient"), "did you mean 'patients'"),
        (lambda c: c.histogram("PatientAge", unit="files"), "unknown unit 'files'"),
        (lambda c: c.unique("text"), "unknown column 'text'"),
        (lambda c: c.groupby("patients"), "unknown column 'patients'"),
        (lambda c: compare([c], "Modality"), "expected names and cohorts"),
        (lambda c: compare({"a": c}, "text"), "unknown column 'text'"),
    ],
)
def test_bad_arguments(client: IDCClient, call: Any, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        call(client.cohort())
