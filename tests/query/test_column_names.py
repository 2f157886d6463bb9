"""Aliases of columns, and the messages about columns of other tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from idc_widgets import Cohort, IDCClient, InvalidQueryError


def test_aliases_mean_the_same_in_every_call(client: IDCClient) -> None:
    cohort = client.cohort(collection="nsclc_radiomics", age=(60, None), slices=(100, None))
    assert cohort == client.cohort(
        collection_id="nsclc_radiomics", PatientAge=(60, None), instanceCount=(100, None)
    )
    assert cohort.exclude(sex="F") == cohort.exclude(PatientSex="F")
    assert cohort.having(modality="SEG") == cohort.having(Modality="SEG")
    assert cohort.without("age", "slices").filters == {"collection_id": "nsclc_radiomics"}
    assert cohort.value_counts("license").tolist() == [len(cohort.select())]
    assert cohort.unique("sex") == cohort.unique("PatientSex")
    assert cohort.facets(["sex"])["sex"] == cohort.facets(["PatientSex"])["PatientSex"]
    assert cohort.histogram("size_MB") == cohort.histogram("series_size_MB")
    assert cohort.largest(by="slices") == cohort.largest(by="instanceCount")
    parts = cohort.split(stratify="sex", train=0.5, test=0.5)
    assert parts == cohort.split(stratify="PatientSex", train=0.5, test=0.5)
    assert [value for value, _ in cohort.groupby("sex")] == cohort.unique("PatientSex")


@pytest.mark.parametrize(
    "call",
    [
        lambda cohort: cohort.where(SliceThickness=(None, 3)),
        lambda cohort: cohort.exclude(slicethickness=3),
        lambda cohort: cohort.value_counts("SliceThickness"),
        lambda cohort: cohort.facets(["SliceThickness"]),
        lambda cohort: cohort.histogram("SliceThickness"),
        lambda cohort: cohort.split(stratify="SliceThickness", train=0.5, test=0.5),
        lambda cohort: cohort.without("SliceThickness"),
    ],
)
def test_a_message_names_the_table_that_has_the_column(
    client: IDCClient, call: Callable[[Cohort], object]
) -> None:
    expected = (
        r"the tables? .*ct_index.* it: call client.fetch_table\('ct_index'\) and then cohort.join"
    )
    with pytest.raises(InvalidQueryError, match=expected):
        call(client.cohort())


def test_a_table_that_is_there_need_not_be_fetched(client: IDCClient) -> None:
    with pytest.raises(InvalidQueryError, match=r"collections_index has it: call cohort.join\('co"):
        client.cohort(collection_name="NLST")
    assert (
        "collection_name" in client.cohort(PatientID="LUNG1-365").join("collections_index").series()
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cohort: cohort.where(PatientAge="60-80"), r"pass a pair: PatientAge=\(60, 80\)"),
        (lambda cohort: cohort.where(age="> 60"), r"PatientAge=\(60, None\)"),
        (lambda cohort: cohort.where(age=60), r"PatientAge=\(60, 60\)"),
        (lambda cohort: cohort.where(slices=">100"), r"instanceCount=\(101, None\)"),
        (lambda cohort: cohort.where(slices="<= 100"), r"instanceCount=\(None, 100\)"),
        (lambda cohort: cohort.where(size_MB="100+"), r"series_size_MB=\(100, None\)"),
        (
            lambda cohort: cohort.where(StudyDate="2010-2012"),
            r"StudyDate=\('2010-01-01', '2012-12-31'\)",
        ),
    ],
)
def test_a_message_shows_the_call_that_was_meant(
    client: IDCClient, call: Callable[[Cohort], object], message: str
) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        call(client.cohort())


@pytest.mark.parametrize("given", [tuple(map(str, range(500))), "x" * 10_000])
def test_long_values_are_not_echoed_in_full(client: IDCClient, given: object) -> None:
    for filters in ({"PatientID": given}, {"slices": given}, {"having": given}, {"text": [given]}):
        with pytest.raises(InvalidQueryError) as caught:
            client.cohort(**filters)
        assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "filters", [{"slices": "5"}, {"StudyDate": "2010-04"}, {"age": "old"}, {"SeriesNumber": "1-2"}]
)
def test_no_range_is_proposed_for_what_is_none(client: IDCClient, filters: dict[str, str]) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        client.cohort(**filters)
    assert "pair" not in str(caught.value)
