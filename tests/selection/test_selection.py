"""Selections: the series that they have, and their set operations."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from support.manifests import CT
from support.own_table import REQUIRED

from idc_widgets import IDCClient, InvalidQueryError, Selection


def own_selection(path: Path, *rows: str) -> Selection:
    """Return all series of a small table that is written to `path`."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([REQUIRED, *rows, ""]))
    return IDCClient(path).cohort().select()


def test_uids_size_and_version(client: IDCClient, study: Selection) -> None:
    assert len(study) == len(study.uids) == len(study.series()) == 12
    assert list(study.uids) == list(study) == sorted(study.uids)
    assert CT in study
    assert client.cohort(SeriesInstanceUID=CT).select().uids == (CT,)
    assert "1.2.3" not in study
    assert study.size_MB == pytest.approx(115.91594)
    assert study.data_version == client.engine.data_version
    assert repr(study) == "Selection(12 series, 115.9 MB)"


def test_non_commercial_licenses_are_marked(study: Selection) -> None:
    assert [str(entry) for entry in study.licenses()] == [
        "CC BY 4.0",
        "CC BY-NC 3.0 (non-commercial)",
    ]
    assert sum(entry.series for entry in study.licenses()) == 12


def test_set_operations(client: IDCClient, study: Selection) -> None:
    ct = client.cohort(PatientID="LUNG1-365", Modality="CT").select()
    rest = study - ct
    assert len(rest) == 11
    assert (rest | ct) == study
    assert (rest & ct).uids == ()
    assert (study & ct) == ct
    assert hash(rest | ct) == hash(study)
    assert rest != ct
    not_a_selection: Any = [CT]
    with pytest.raises(TypeError, match="expected another Selection"):
        study | not_a_selection


def test_a_selection_cannot_be_changed(client: IDCClient, study: Selection) -> None:
    untyped: Any = study
    for name in ("cohort", "uids", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
            setattr(untyped, name, client.cohort())
    with pytest.raises(TypeError, match="item assignment"):
        untyped.uids[0] = "1.2.3"


def test_the_series_are_queried_once(client: IDCClient, monkeypatch: pytest.MonkeyPatch) -> None:
    selection = client.cohort(PatientID="LUNG1-365").select()
    assert CT in selection
    assert len(selection) == 12
    monkeypatch.setattr(type(client.engine), "query", None)
    monkeypatch.setattr(type(selection.cohort), "summary", None)
    assert CT in selection and "1.2.3" not in selection
    assert len(selection) == len(list(selection)) == 12
    assert selection.size_MB == pytest.approx(115.91594)


def test_selections_of_different_data_cannot_be_combined(study: Selection, tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError, match=r"different data.*mine\.csv"):
        study | own_selection(tmp_path / "mine.csv", "1,2,3,4")


def test_tables_of_the_same_name_are_different_data(tmp_path: Path) -> None:
    first = own_selection(tmp_path / "a" / "own.csv", "a,2,3,4")
    second = own_selection(tmp_path / "b" / "own.csv", "b,2,3,4")
    with pytest.raises(InvalidQueryError, match="different data"):
        first | second
