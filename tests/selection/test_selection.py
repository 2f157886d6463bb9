"""Selections: sets of series, and what they write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from idc_widgets import IDCClient, InvalidQueryError, Selection

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"


@pytest.fixture(scope="module")
def patient(client: IDCClient) -> Selection:
    return client.cohort(PatientID="LUNG1-365").select()


def test_what_it_holds(client: IDCClient, patient: Selection) -> None:
    assert len(patient) == len(patient.uids) == len(patient.df) == 12
    assert list(patient.uids) == sorted(patient.uids)
    assert CT in patient
    assert "1.2.3" not in patient
    assert patient.size_MB == pytest.approx(115.91594)
    assert patient.data_version == client.engine.data_version
    assert repr(patient) == "Selection(12 series, 115.9 MB)"


def test_non_commercial_licences_are_marked(patient: Selection) -> None:
    assert [str(one) for one in patient.licenses] == [
        "CC BY 4.0",
        "CC BY-NC 3.0 (non-commercial)",
    ]
    assert sum(one.series for one in patient.licenses) == 12


def test_set_operations(client: IDCClient, patient: Selection) -> None:
    ct = client.cohort(PatientID="LUNG1-365", Modality="CT").select()
    rest = patient - ct
    assert len(rest) == 11
    assert (rest | ct) == patient
    assert (rest & ct).uids == ()
    assert (patient & ct) == ct
    assert hash(rest | ct) == hash(patient)
    assert rest != ct
    with pytest.raises(AttributeError, match="cannot assign"):
        patient.cohort = client.cohort()


def test_selections_of_different_data_do_not_mix(patient: Selection, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n1,2,3,4\n")
    with pytest.raises(InvalidQueryError, match=r"different data.*mine\.csv"):
        patient | IDCClient(path).cohort().select()


def test_tables_of_one_name_are_different_data(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my.csv").write_text(
            "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n" + f"{folder},2,3,4\n"
        )
    one, two = (IDCClient(tmp_path / name / "my.csv").cohort().select() for name in ("a", "b"))
    with pytest.raises(InvalidQueryError, match="different data"):
        one | two
    rebuilt: dict[str, Selection] = {}
    exec(two.to_code(), rebuilt)
    assert rebuilt["selection"].uids == ("b",)


def test_save_and_load(patient: Selection, tmp_path: Path) -> None:
    path = patient.save(tmp_path / "selection.json")
    assert Selection.load(path) == patient
    path.write_text(json.dumps({"data_version": "1.0.0", "SeriesInstanceUID": ["1.2.3", CT]}))
    with pytest.raises(InvalidQueryError, match=r"saved from data 1\.0\.0.*1\.2\.3"):
        Selection.load(path)
    for text in ("", "[]", '{"SeriesInstanceUID": 5}'):
        path.write_text(text)
        with pytest.raises(InvalidQueryError, match="not a selection"):
            Selection.load(path)
    path.write_text(json.dumps({"data_version": "1", "SeriesInstanceUID": [CT]}), "utf-8-sig")
    assert Selection.load(path).uids == (CT,), "as Windows' Notepad writes it"


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes of that kind")
def test_load_of_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    wrong: Any = None
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", "", "a\0b", "~a\0b"):
        with pytest.raises(InvalidQueryError, match="is not a file"):
            Selection.load(path)
    with pytest.raises(InvalidQueryError, match="None is not a path"):
        Selection.load(wrong)
    with open(tmp_path / "large", "wb") as file:
        file.truncate((1 << 28) + 1)  # a hole: no such bytes are written
    with pytest.raises(InvalidQueryError, match=r"a selection of 268\.4 MB; expected 268\.4 MB at"):
        Selection.load(tmp_path / "large")


def test_tilde_is_the_home_folder(
    client: IDCClient, patient: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    patient.save("~/mine.json")
    assert Selection.load("~/mine.json") == patient
    patient.to_manifest("~/mine.csv")
    assert client.read_manifest("~/mine.csv").selection == patient
    assert len(list(tmp_path.iterdir())) == 2


def test_a_manifest_has_an_address_a_series_and_nothing_else(
    client: IDCClient, patient: Selection, tmp_path: Path
) -> None:
    written = patient.to_manifest(tmp_path / "m.s5cmd").read_text().splitlines()
    lines = [line for line in written if not line.startswith("# ")]
    assert written[0].startswith(
        f"# 12 series of the NCI Imaging Data Commons, data {patient.data_version}"
    )
    assert written[2] == (
        "#   s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run m.s5cmd"
    )
    assert len(written) == 3 + 12
    urls = client.cohort(PatientID="LUNG1-365").series().series_aws_url
    assert sorted(lines) == sorted(f"cp {url} ." for url in urls)

    hostile = tmp_path / "mine.csv"
    hostile.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,series_aws_url\n"
        '1,2,3,4,"s3://b/x/* .\nrm s3://b/*"\n'
    )
    target = tmp_path / "bad.s5cmd"
    with pytest.raises(InvalidQueryError, match="not the address"):
        IDCClient(hostile).cohort().select().to_manifest(target)
    assert not target.exists()


def test_viewer_urls(client: IDCClient, patient: Selection) -> None:
    urls = patient.viewer_urls()
    assert set(urls) == {STUDY}
    assert urls[STUDY].startswith(
        "https://viewer.imaging.datacommons.cancer.gov/v3/viewer/?StudyInstanceUIDs=" + STUDY
    )
    assert CT in urls[STUDY]
    slide = client.sql("SELECT SeriesInstanceUID AS uid FROM index WHERE Modality = 'SM' LIMIT 1")
    [url] = Selection.of(client.engine, slide.uid).viewer_urls().values()
    assert "/slim/studies/" in url


def test_code_rebuilds_the_selection(client: IDCClient) -> None:
    selection = client.cohort(Modality="CT", StudyDate=("2010-01-01", None))
    selection = selection.of_patients([("nsclc_radiomics", "LUNG1-365")]).select()
    code = selection.to_code() + "print(*selection.uids)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == list(selection.uids) == [CT]
