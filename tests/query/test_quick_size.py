"""The reprs of cohorts, selections and summaries, in text and HTML."""

from __future__ import annotations

import pytest

from idc_widgets import Cohort, DuckDBEngine, IDCClient, QueryInterruptedError
from idc_widgets.index import Index


def test_reprs_have_one_style(client: IDCClient) -> None:
    cohort = client.cohort(PatientID="LUNG1-365", Modality=["CT", "SEG"])
    size = "5 series, 113.6 MB"
    assert repr(cohort) == f"Cohort(Modality=['CT', 'SEG'], PatientID='LUNG1-365': {size})"
    assert repr(cohort.select()) == f"Selection({size})"
    assert repr(client.cohort()).startswith("Cohort(1,044,191 series, ")
    assert repr(cohort.summary()) == (
        "Summary(1 collection, 1 patient, 1 study, 5 series, 138 files, 113.6 MB, "
        "CC BY 4.0 and CC BY-NC 3.0)"
    )


@pytest.mark.parametrize(
    "narrow",
    [
        lambda cohort: cohort.where(text="lung"),
        lambda cohort: cohort.having(Modality="SEG"),
        lambda cohort: ~cohort.having(Modality="SEG"),
        lambda cohort: cohort.largest() | cohort.where(PatientSex="F"),
        lambda cohort: cohort.sample(2, level="series", random_state=0),
    ],
)
def test_no_repr_counts_what_takes_long(client: IDCClient, narrow) -> None:  # type: ignore[no-untyped-def]
    cohort = narrow(client.cohort(PatientID="LUNG1-365"))
    assert " series, " not in repr(cohort)
    selection = cohort.select()
    assert repr(selection) == repr(cohort).replace("Cohort", "Selection")
    assert len(selection) > 0
    assert " series, " in repr(selection)  # its series have been counted by now


def test_the_repr_is_the_same_before_the_index_is_in_memory(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics", PatientAge=(60, None))
    client.cohort().summary()
    fresh = Cohort(DuckDBEngine(Index.default()), cohort.conditions)
    assert repr(fresh) == repr(cohort)


def test_a_repr_does_not_fail(client: IDCClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise QueryInterruptedError("interrupted")

    cohort = Cohort(DuckDBEngine(Index.default())).where(Modality="CT")
    monkeypatch.setattr(cohort.engine, "rows", interrupted)
    assert repr(cohort) == "Cohort(Modality='CT')"


def test_html_is_escaped_small_and_themed(client: IDCClient) -> None:
    hostile = "<img src=x onerror=alert(1)>" * 100
    cohort = client.cohort(PatientID="LUNG1-365").where(text=hostile)
    plain = client.cohort(PatientID="LUNG1-365")
    for shown in (cohort, cohort.select(), plain, plain.select(), plain.summary()):
        html = shown._repr_html_()
        assert "<img" not in html
        assert len(html) < 4000
        assert "var(--jp-content-font-color1,var(--vscode-editor-foreground,inherit))" in html
        assert type(shown).__name__ in html
    assert "&lt;img" in cohort._repr_html_()
    assert "12 series, 115.9 MB" in plain._repr_html_()
