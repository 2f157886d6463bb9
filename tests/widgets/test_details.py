"""The panel of row details: what it shows, when it queries, and what hostile values become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.own_table import OwnTable

from idc_widgets import (
    BrowserState,
    IDCClient,
    InvalidQueryError,
    RowDetails,
    SeriesGrid,
)
from idc_widgets.index import COLUMNS
from idc_widgets.query import DataSource
from idc_widgets.widgets import row_content as content_module
from idc_widgets.widgets.row_content import doi_url, row_content

PATIENT = ("nsclc_radiomics", "LUNG1-365")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def details(state: BrowserState) -> RowDetails:
    return RowDetails(state)


@pytest.fixture
def ct(client: IDCClient) -> str:
    """Return the UID of the CT series of the patient."""
    cohort = client.cohort(PatientID=PATIENT[1], Modality="CT")
    return str(cohort.select().uids[0])


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list to which each row is added that is looked up."""
    looked_up: list[Any] = []

    def recorded(client: IDCClient, level: str, key: Any) -> Any:
        looked_up.append((level, key))
        return row_content(client, level, key)

    monkeypatch.setattr("idc_widgets.widgets.details.row_content", recorded)
    return looked_up


def field(content: Any, name: str) -> Any:
    [found] = [field for field in content["fields"] if field["name"] == name]
    return found


def texts(content: Any, name: str) -> list[str]:
    return [text for text, _ in field(content, name)["values"]]


def test_a_series_has_all_columns(client: IDCClient, ct: str) -> None:
    content = row_content(client, "series", ct)
    assert [field["name"] for field in content["fields"]] == list(COLUMNS)
    assert field(content, "Modality") == {
        "name": "Modality",
        "label": "Modality",
        "kind": "text",
        "description": "acquisition modality (DICOM attribute)",
        "values": [("CT", 1)],
        "more": 0,
    }
    assert texts(content, "SeriesInstanceUID") == [ct]
    assert texts(content, "series_size_MB") == ["70.5 MB"]
    assert texts(content, "instanceCount") == ["134"]
    assert field(content, "StudyDescription")["values"] == []
    assert field(content, "StudyDescription")["more"] == 0
    assert content["title"] == "Series details"
    assert content["summary"] == "CT · 134 files · 70.5 MB"
    assert content["identifier"] == ("Series UID", ct)
    assert eval(content["code"], {"client": client}).uids == (ct,)
    assert content["viewers"] == [
        (
            "Open in the viewer",
            next(iter(client.cohort(SeriesInstanceUID=[ct]).viewer_urls().values())),
        )
    ]


def test_without_schemas_our_own_descriptions_serve(
    client: IDCClient, ct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_module, "read_schema", lambda _table: None)
    description = field(row_content(client, "series", ct), "Modality")["description"]
    assert description == COLUMNS["Modality"].description


def test_the_series_of_a_patient_have_several_values(client: IDCClient) -> None:
    content = row_content(client, "patient", PATIENT)
    assert content["summary"] == "M · 080Y · 1 study · 12 series · 115.9 MB"
    names = [field["name"] for field in content["fields"]]
    assert {"instanceCount", "series_size_MB"}.isdisjoint(names)  # it has their sums
    assert texts(content, "instances") == ["145"]
    assert field(content, "Modality")["values"] == [
        ("SR", 6),
        ("SEG", 4),
        ("CT", 1),
        ("RTSTRUCT", 1),
    ]
    assert field(content, "PatientSex")["values"] == [("M", 11), ("–", 1)]
    uids = field(content, "SeriesInstanceUID")
    assert (uids["values"], uids["more"]) == ([], 12)
    descriptions = field(content, "SeriesDescription")
    assert len(descriptions["values"]) + descriptions["more"] == 11
    assert len(eval(content["code"], {"client": client})) == 12


def test_a_study(client: IDCClient, ct: str) -> None:
    [study] = texts(row_content(client, "series", ct), "StudyInstanceUID")
    content = row_content(client, "study", study)
    assert content["summary"] == "CT, RTSTRUCT, SEG, SR · 2010-04-01 · 12 series · 115.9 MB"
    assert content["identifier"] == ("Study UID", study)
    [(_, url)] = content["viewers"]
    assert url.endswith(f"/v3/viewer/?StudyInstanceUIDs={study}"), "a list may be too long"


def test_the_collection_and_its_data_sets(client: IDCClient) -> None:
    content = row_content(client, "patient", PATIENT)
    collection = content["collection"]
    assert (collection["id"], collection["title"]) == ("nsclc_radiomics", "NSCLC-Radiomics")
    assert collection["description"].startswith(
        "This collection contains images from 422 non-small"
    )
    assert ("Cancer type", "Lung Cancer") in collection["facts"]
    derived, originals = content["sources"]
    assert (derived["kind"], derived["id"]) == ("Analysis result", "nnu_net_bpr_annotations")
    assert derived["title"].startswith("AI-derived annotations for the NLST")
    assert derived["description"].startswith("Public imaging datasets")
    assert (derived["license"], derived["non_commercial"]) == ("CC BY 4.0", False)
    assert derived["doi_url"] == "https://doi.org/10.5281/zenodo.7473970"
    assert originals["kind"] == "Collection"
    assert (originals["license"], originals["non_commercial"]) == ("CC BY-NC 3.0", True)
    assert "Lambin, P. (2019). Data From NSCLC-Radiomics (Version 4)" in originals["citation"]


def test_a_patient_with_thousands_of_series_is_bounded(client: IDCClient) -> None:
    key = ("ct4harmonization_multicentric", "CT4Harmonization-Multicentric")
    content = row_content(client, "patient", key)
    assert len(content["viewers"]) == content_module.MAX_LINKS
    assert content["more_viewers"] == 1_378 - content_module.MAX_LINKS
    assert len(json.dumps(content)) < 50_000


def test_unknown_rows_are_refused(details: RowDetails) -> None:
    details.show("patient", PATIENT)
    before = details._content
    for level, key, message in (
        ("series", "1.2", "there is no series '1.2'"),
        ("serie", "1.2", "unknown level 'serie'; did you mean 'series'"),
        ("patient", "LUNG1-365", "expected"),
    ):
        with pytest.raises(InvalidQueryError, match=message):
            details.show(level, key)
    assert details._content == before


def test_it_opens_and_closes(details: RowDetails, ct: str) -> None:
    assert not details.is_open
    details.show("series", ct)
    assert details.is_open
    assert details._content["asked"]
    details._handle_custom_msg({"kind": "close"}, [])
    assert not details.is_open
    details.show("series", ct)
    details.hide()
    assert details._content == {}


def test_nothing_is_looked_up_while_it_is_closed(
    details: RowDetails, state: BrowserState, ct: str, queries: list[Any]
) -> None:
    state.pick(patients=[PATIENT])
    state.pick(series=[ct])
    assert queries == []
    details.show("patient", PATIENT)
    assert queries == [("patient", PATIENT)]


def test_it_follows_rows_that_are_picked_alone(
    details: RowDetails, state: BrowserState, ct: str, queries: list[Any]
) -> None:
    details.show("patient", PATIENT)
    state.pick(patients=["LUNG1-001"])
    assert queries[1:] == [("patient", ("nsclc_radiomics", "LUNG1-001"))]
    assert not details._content["asked"], "the focus stays in the grid"
    state.pick(patients=["LUNG1-001", "LUNG1-365"])
    state.filters = state.filters.where(Modality=["CT", "SEG"])
    assert len(queries) == 2
    state.pick(series=[ct])
    assert queries[2:] == [("series", ct)]
    state.pick(patients=[], series=[])
    assert len(queries) == 3
    assert details._content["identifier"] == ("Series UID", ct), "it stays until another row"


def test_a_row_that_cannot_be_looked_up_is_reported(
    details: RowDetails, state: BrowserState, monkeypatch: pytest.MonkeyPatch
) -> None:
    details.show("patient", PATIENT)

    def fail(*_arguments: Any) -> Any:
        raise OSError("no disk")

    with monkeypatch.context() as patch:
        patch.setattr("idc_widgets.widgets.details.row_content", fail)
        with state.turn(reports=True):
            state.pick(patients=["LUNG1-001"])
    assert details._content["problem"].startswith("Not up to date: no disk")
    assert details._content["identifier"][1] == "LUNG1-365"
    state.pick(studies=[])  # any turn tries again
    assert details._content["identifier"][1] == "LUNG1-001"
    assert details._content["problem"] == ""


def test_a_grid_alone_shows_the_details_of_a_row_below_itself(state: BrowserState) -> None:
    grid = SeriesGrid(state)
    [view] = grid.children
    keys = grid._rows.keys([range(2)])

    def ask(row: int) -> None:
        content = {"kind": "details", "generation": view._source["generation"], "row": row}
        view._handle_custom_msg(content, [])

    ask(0)
    [_, below] = grid.children
    assert below._content["identifier"] == ("Series UID", keys[0])
    below._handle_custom_msg({"kind": "close"}, [])
    ask(1)
    assert grid.children == (view, below)
    assert below._content["identifier"] == ("Series UID", keys[1])
    asked: list[Any] = []
    grid.on_details(lambda *row: asked.append(row))
    ask(0)
    assert asked == [("series", keys[0])]
    assert below._content["identifier"] == ("Series UID", keys[1])
    grid.close()
    assert below.comm is None


def test_hostile_values_stay_text(own_table: OwnTable) -> None:
    client = own_table(
        "Modality,SeriesDescription,source_DOI,analysis_result_id,license_short_name,StudyDate",
        f'"1.2""&x={HOSTILE}",1.2?a=b&c=//evil,{HOSTILE},{HOSTILE},CT,{HOSTILE}{"x" * 5000},'
        "javascript:alert(1),'; DROP TABLE index; --,CC BY-NC 4.0,2020-01-01",
        f"1.3,1.2?a=b&c=//evil,{HOSTILE},{HOSTILE},SM,=1+1,10.1234/{HOSTILE}x,,,",
    )
    key = (HOSTILE, HOSTILE)
    content = row_content(client, "patient", key)
    [(_, url)] = content["viewers"]
    prefix = "https://viewer.imaging.datacommons.cancer.gov/"
    assert url == f"{prefix}slim/studies/1.2%3Fa%3Db%26c%3D%2F%2Fevil"
    longest = max(len(text) for one in content["fields"] for text, _ in one["values"])
    assert longest == content_module.MAX_VALUE_CHARACTERS
    assert content["collection"] == {"id": HOSTILE, "title": "", "description": "", "facts": []}
    first, second = content["sources"]
    assert (first["doi"], first["doi_url"]) == ("javascript:alert(1)", "")
    assert (second["doi"], second["doi_url"]) == (f"10.1234/{HOSTILE}x", "")
    assert first["non_commercial"]
    assert len(eval(content["code"], {"client": client})) == 2
    uid = f'1.2"&x={HOSTILE}'
    assert row_content(client, "series", uid)["viewers"] == content["viewers"]
    state = BrowserState(client)
    details = RowDetails(state)
    details.show("series", uid)
    html = details._static_data()["text/html"]
    assert "<img" not in html
    assert "&lt;img" in html


def test_hostile_descriptions_become_text(
    client: IDCClient, ct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"<p>Lung{HOSTILE}</p><script>alert(1)</script>" + "<b>x</b> " * 100_000
    source = DataSource(text, text, text, "10.7937/K9/TCIA.2015.PF0M9REI")
    monkeypatch.setattr(content_module, "collection_sources", lambda *_: [source, source])
    content = row_content(client, "series", ct)
    [described] = content["sources"]
    for shown in (content["collection"]["description"], described["citation"], described["title"]):
        assert shown.startswith("Lung\n\nx x x")
        assert shown.endswith("…")
    assert len(json.dumps(content)) < 30_000


def test_dois_become_addresses_of_the_resolver() -> None:
    assert doi_url("10.7937/tcia.hmq8-j677") == "https://doi.org/10.7937/tcia.hmq8-j677"
    assert doi_url('10.1234/a"b<c>#?d') == "https://doi.org/10.1234/a%22b%3Cc%3E%23%3Fd"
    for text in (
        "",
        "10.1234/",
        "https://evil.example/10.1234/x",
        "10.1234/a b",
        "10.1234/" + "x" * 300,
    ):
        assert doi_url(text) == ""


def test_the_static_view_has_the_columns(details: RowDetails, ct: str) -> None:
    assert details._static_data()["text/plain"] == "IDC row details."
    details.show("series", ct)
    view = details._static_data()
    assert "Modality: CT" in view["text/plain"]
    assert f">{ct}</td>" in view["text/html"]


def test_after_close_nothing_follows(
    details: RowDetails, state: BrowserState, queries: list[Any]
) -> None:
    details.show("patient", PATIENT)
    details.close()
    state.pick(patients=["LUNG1-001"])
    assert queries == [("patient", PATIENT)]


def test_unknown_arguments_are_refused(state: BrowserState) -> None:
    with pytest.raises(TypeError, match="RowDetails has no argument 'stat'"):
        RowDetails(state, stat=1)
