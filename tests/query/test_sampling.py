"""Random samples and splits."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import pytest
from support.own_table import OwnTable

from idc_widgets import Cohort, IDCClient, InvalidQueryError

LUNG = ["nsclc_radiomics", "lung_pet_ct_dx"]


def share(random_state: int, key: str) -> float:
    """Return the hash of a key, from 0 to 1."""
    digest = hashlib.md5(f"{random_state}/{key}".encode()).hexdigest()
    return int(digest[:13], 16) / 16**13


def count_by_sql(client: IDCClient, cohort: Cohort) -> int:
    return int(client.sql(f"SELECT count(*) AS n FROM ({cohort.to_sql()})").n[0])


def keys(cohort: Cohort) -> set[tuple[str, str]]:
    patients = cohort.patients()
    return set(zip(patients.collection_id, patients.PatientID, strict=True))


def test_a_split_is_disjoint_and_complete(client: IDCClient) -> None:
    everything = client.cohort()
    parts = everything.split(train=0.7, val=0.1, test=0.2)
    patients = {name: keys(part) for name, part in parts.items()}
    assert set.union(*patients.values()) == keys(everything)
    assert sum(map(len, patients.values())) == everything.summary().patients
    assert sum(part.summary().series for part in parts.values()) == everything.summary().series
    for name, part in parts.items():
        assert count_by_sql(client, part) == part.summary().series
        assert client.cohort(**part.filters) == part
        expected = {"train": 0.7, "val": 0.1, "test": 0.2}[name]
        assert abs(len(patients[name]) / everything.summary().patients - expected) < 0.01
    # The same person in two collections is in one part.
    ids = [{patient_id for _, patient_id in part} for part in patients.values()]
    assert set.intersection(*ids) == set()
    assert sum(map(len, ids)) == len(set.union(*ids)) < everything.summary().patients


def test_the_hash_of_the_patient_id_decides(client: IDCClient) -> None:
    lung = client.cohort(collection_id=LUNG)
    parts = lung.split(a=0.25, b=0.75, random_state=11)
    for name, (low, high) in {"a": (0, 0.25), "b": (0.25, 1)}.items():
        expected = {key for key in keys(lung) if low <= share(11, key[1]) < high}
        assert keys(parts[name]) == expected
    # So the split of a narrower cohort has its patients in the same parts.
    chest = lung.where(Modality="CT").split(a=0.25, b=0.75, random_state=11)["a"]
    assert keys(chest) == keys(lung.where(Modality="CT")) & keys(parts["a"])
    assert lung.split(a=0.25, b=0.75, random_state=12)["a"] != parts["a"]


def test_a_split_is_stable_when_series_are_added(own_table: OwnTable) -> None:
    def patients(count: int) -> dict[str, set[tuple[str, str]]]:
        rows = [f"1.{number},2.{number},P{number % 50},mine,CT" for number in range(count)]
        parts = own_table("Modality", *rows).cohort().split(train=0.5, test=0.5)
        return {name: keys(part) for name, part in parts.items()}

    few, many = patients(30), patients(500)
    assert sum(map(len, few.values())) == 30
    assert all(few[name] <= many[name] for name in few)


def test_a_part_can_be_split_again(client: IDCClient) -> None:
    train = client.cohort(collection_id=LUNG).split(train=0.8, test=0.2)["train"]
    folds = train.split(one=0.5, two=0.5)
    patients = [keys(fold) for fold in folds.values()]
    assert patients[0] | patients[1] == keys(train)
    assert not patients[0] & patients[1]
    assert min(map(len, patients)) > 0.4 * len(keys(train))
    studies = train.split(level="study", one=0.5, two=0.5)
    assert sum(part.summary().studies for part in studies.values()) == train.summary().studies
    series = train.split(level="series", one=0.5, two=0.5)
    assert sum(part.summary().series for part in series.values()) == train.summary().series


@pytest.mark.parametrize("column", ["PatientSex", "instanceCount", "source_DOI"])
def test_strata_have_the_shares(client: IDCClient, column: str) -> None:
    lung = client.cohort(collection_id=LUNG, instanceCount=(100, 200))
    parts = lung.split(train=0.6, test=0.4, stratify=column, random_state=5)
    frames = {name: part.series() for name, part in parts.items()}
    assert sum(map(len, frames.values())) == lung.summary().series
    strata = lung.series().groupby("PatientID")[column].min()
    for value in strata.drop_duplicates():
        of_value = strata.index[strata.isna() if value is None else strata == value]
        ids = {name: set(frame.PatientID) & set(of_value) for name, frame in frames.items()}
        assert not ids["train"] & ids["test"]
        assert abs(len(ids["train"]) - 0.6 * len(of_value)) <= 0.5
    for part in parts.values():
        assert count_by_sql(client, part) == part.summary().series
        assert client.cohort(**part.filters) == part


def test_an_empty_cohort_has_empty_parts(client: IDCClient) -> None:
    empty = client.cohort(any_of=[])
    for stratify in (None, "PatientSex"):
        for part in empty.split(a=0.5, b=0.5, stratify=stratify).values():
            assert part.summary().series == count_by_sql(client, part) == 0
    with pytest.raises(InvalidQueryError, match="the cohort has 0 patients"):
        empty.sample(1)


def test_a_sample_has_the_lowest_hashes(client: IDCClient) -> None:
    lung = client.cohort(collection_id=LUNG)
    sample = lung.sample(25, random_state=3)
    ordered = sorted(keys(lung), key=lambda key: share(3, "\x1f".join(key)))
    assert keys(sample) == set(ordered[:25])
    assert keys(lung.sample(10, random_state=3)) == set(ordered[:10])
    assert count_by_sql(client, sample) == sample.summary().series
    assert client.cohort(**sample.filters) == sample == lung.sample(25, random_state=3)
    assert sample.summary().series == lung.where(patients=ordered[:25]).summary().series
    everyone = lung.sample(len(ordered))
    assert keys(everyone) == set(ordered)
    assert lung.sample(25) != lung.sample(25), "each has its own random state"


@pytest.mark.parametrize("level", ["patient", "study", "series"])
def test_levels_of_a_sample(client: IDCClient, level: str) -> None:
    lung = client.cohort(collection_id=LUNG, Modality=["CT", "SEG"])
    summary = lung.sample(17, level=level, random_state=0).summary()
    assert {"patient": summary.patients, "study": summary.studies, "series": summary.series}[
        level
    ] == 17
    smaller = lung.sample(17, level=level, random_state=0).sample(5, level=level, random_state=0)
    assert smaller == lung.sample(5, level=level, random_state=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.split(), "expected the share of each part, such as split"),
        (lambda c: c.split(train=0.8, test=0.3), r"train, test add up to 1.1; expected 1, such as"),
        (lambda c: c.split(train=80, test=20), "add up to 100; expected 1"),
        (lambda c: c.split(train=1.2, test=-0.2), r"test=-0.2: expected a share above 0"),
        (lambda c: c.split(train="0.8", test=0.2), "train='0.8': expected a share"),
        (lambda c: c.split(train=math.nan, test=1.0), "train=nan: expected a share"),
        (lambda c: c.split(a=True), "a=True: expected a share"),
        (lambda c: c.split(a=1, level="patients"), "'patients'; did you mean 'patient'"),
        (lambda c: c.split(a=1, stratify="PatientSx"), "'PatientSx'; did you mean 'PatientSex'"),
        (lambda c: c.split(a=1, stratify="PatientID"), r"has 1,\d+ values; expected 1,000 at"),
        (lambda c: c.split(a=1, random_state=None), "random_state=None: expected a whole number"),
        (lambda c: c.sample(0), "n=0: expected a whole number of at least 1"),
        (lambda c: c.sample(1.5), "n=1.5: expected a whole number"),
        (lambda c: c.sample(10**6), r"n=1,000,000: the cohort has 1,\d\d\d patients; expected no"),
        (lambda c: c.sample(5, level="file"), "unknown level 'file'"),
        (lambda c: c.sample(5, random_state="x"), "random_state='x': expected a whole number"),
        (
            lambda c: c.where(
                part={
                    "by": "study",
                    "random_state": 0,
                    "stratify": "PatientSex",
                    "ranges": [5],
                    "of": {},
                }
            ),
            "expected a part that cohort.sample",
        ),
        (lambda c: c.where(part=5), "part=5: expected a part that cohort.sample"),
        (lambda c: c.where(part={"by": "study", "random_state": 0, "range": (0, 2)}), "expected a"),
    ],
)
def test_bad_arguments(client: IDCClient, call: Any, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        call(client.cohort(collection_id=[*LUNG, "acrin_nsclc_fdg_pet"]))
