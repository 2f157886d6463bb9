"""The calls of other clients: what an AttributeError and docs/coming-from-elsewhere.md name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from idc_widgets import IDCClient
from idc_widgets.other_clients import NAMES_ELSEWHERE

DOCUMENT = Path(__file__).parents[1] / "docs" / "coming-from-elsewhere.md"
SERIES = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"

#: What stands for an argument → an argument.
ARGUMENTS = {
    "cohort(...)": "cohort(PatientID='LUNG1-365')",
    "PatientID=...": "PatientID='LUNG1-365'",
    "StudyInstanceUID=...": "StudyInstanceUID=study",
    "analysis_result_id=...": "analysis_result_id='nlstseg'",
    "collection_id=...": "collection_id='nsclc_radiomics'",
    "series_init_idc_version=...": "PatientID='LUNG1-365', series_init_idc_version=[2, 5]",
    "series_revised_idc_version=...": "PatientID='LUNG1-365', series_revised_idc_version=[2, 5]",
    "SeriesInstanceUID=...": f"SeriesInstanceUID='{SERIES}'",
    "studyInstanceUID=...": "studyInstanceUID=study",
    "patientId=...": "patientId='LUNG1-365'",
    "uids=[...]": f"uids=['{SERIES}']",
    "(seriesInstanceUID)": f"('{SERIES}')",
    "(table)": "('index')",
    "(query)": "('SELECT 1')",
}

#: Calls that need a network.
_FETCHING = re.compile(r"\.(download|fetch_table|citations|plan)\(")


def test_the_client_knows_the_names_of_other_clients(client: IDCClient) -> None:
    for name, call in NAMES_ELSEWHERE.items():
        with pytest.raises(AttributeError, match=re.escape(f"{name!r}; here, it is {call}")):
            getattr(client, name)


@pytest.mark.parametrize("call", sorted({*NAMES_ELSEWHERE.values()}))
def test_our_call_works(client: IDCClient, tmp_path: Path, call: str) -> None:
    cohort = client.cohort(PatientID="LUNG1-365")
    selection = cohort.select()
    for text, argument in ARGUMENTS.items():
        call = call.replace(text, argument)
    names = {
        "IDCClient": IDCClient,
        "client": client,
        "path": selection.to_manifest(tmp_path / "manifest.s5cmd"),
        "selection": selection,
        "study": cohort.unique("StudyInstanceUID")[0],
    }
    fetching = _FETCHING.search(call)
    if fetching:
        assert callable(getattr(eval(call[: fetching.start()], names), fetching[1]))
    else:
        assert eval(call, names) is not None


def test_the_document_has_every_call() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.+)` \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    assert rows
    assert {name: NAMES_ELSEWHERE.get(name) for name in rows} == rows
    listed = list(NAMES_ELSEWHERE)
    expected_elsewhere = listed[listed.index("collections") : listed.index("downloadImage")]
    assert {*NAMES_ELSEWHERE} - {*rows} == {*expected_elsewhere}


def test_the_calls_of_a_cohort_in_the_document_work(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics")
    calls = re.findall(r"\| `(cohort\..+)` \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert len(calls) > 8
    for call in calls:
        assert eval(call, {"cohort": cohort}) is not None
