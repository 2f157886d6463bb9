"""What is left of a cohort after each filter, and why it is empty."""

from __future__ import annotations

from pathlib import Path

from idc_widgets import DuckDBEngine, IDCClient


def test_what_is_left_after_each_filter(client: IDCClient) -> None:
    cohort = client.cohort(Modality="MR", PatientAge=(60, None)).exclude(PatientSex="F")
    flow = cohort.flow()
    assert flow["filter"].tolist() == [
        "",
        "Modality='MR'",
        "PatientAge=(60, None)",
        "exclude={'PatientSex': 'F'}",
    ]
    mr = client.cohort(Modality="MR")
    for row, so_far in zip(
        flow.itertuples(),
        [client.cohort(), mr, mr & cohort.without("exclude"), cohort],
        strict=True,
    ):
        summary = so_far.summary()
        assert (row.series, row.patients) == (summary.series, summary.patients)
    # The filter on the age removes many series only because their age is missing.
    no_age = mr.exclude(PatientAge=(None, None)).summary().series
    assert flow.missing.tolist() == [0, 0, no_age, 0]
    assert flow.fell.tolist()[1:] == (-flow.series.diff()[1:]).astype(int).tolist()


def test_the_flow_of_a_choice_begins_with_what_it_chooses_from(client: IDCClient) -> None:
    lung = client.cohort(collection_id="nsclc_radiomics", Modality="CT")
    flow = lung.largest().where(PatientSex="F").flow()
    assert [text.partition("=")[0] for text in flow["filter"]] == [
        "",
        "Modality",
        "collection_id",
        "ranked",
        "PatientSex",
    ]
    assert "'of'" not in flow["filter"][3]
    part = lung.split(a=0.5, b=0.5, stratify="PatientSex")["a"]
    assert len(part.flow()) == 4


def test_series_without_a_value_are_counted(client: IDCClient, tmp_path: Path) -> None:
    old = client.cohort(PatientAge=(60, None), Modality="MR", PatientSex="F")
    counts = old.left_out()
    assert list(counts) == ["PatientAge", "PatientSex"]
    for column, count in counts.items():
        values = old.without(column).value_counts(column)
        assert count == values[values.index.isna()].sum() > 0
    unread = IDCClient(engine=DuckDBEngine())  # its index is not in memory
    assert unread.cohort(**old.filters).left_out() == counts
    assert client.cohort(PatientSex=["F", None], Modality="MR").left_out() == {}
    women = client.cohort(collection_id="nsclc_radiomics", PatientSex="F")
    preview = str(women.plan(tmp_path).preview())
    assert "the filter on PatientSex leaves out 422 series that are without a value" in preview


def test_which_filter_leaves_nothing(client: IDCClient) -> None:
    lung = client.cohort(collection_id="nsclc_radiomics")
    assert lung.why_empty() is None
    assert lung.where(Modality="MR").why_empty() == (
        "collection_id='nsclc_radiomics' matches none of the 128,143 series that Modality='MR' "
        "leaves."
    )
    # The filters on one column contradict each other.
    women = lung.where(PatientSex="F")
    assert women.where(PatientSex="M").why_empty() == (
        "No value of PatientSex fulfills all filters on it."
    )
    old = lung.where(Modality="SEG", instanceCount=(100, None))
    assert "that the filters before it leave" in str(old.why_empty())
