"""Selections in files: saved, loaded, and refused."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.manifests import CT

from idc_widgets import IDCClient, InvalidQueryError, Selection


def test_a_saved_selection_loads_as_the_same(
    study: Selection, client: IDCClient, tmp_path: Path
) -> None:
    path = study.save(tmp_path / "selection.json")
    assert client.load(path) == study
    path.write_text(json.dumps({"data_version": "1", "SeriesInstanceUID": [CT]}), "utf-8-sig")
    assert client.load(path).uids == (CT,), "Windows' Notepad writes a byte order mark"


def test_series_that_the_index_lacks_are_reported(client: IDCClient, tmp_path: Path) -> None:
    path = tmp_path / "selection.json"
    path.write_text(json.dumps({"data_version": "1.0.0", "SeriesInstanceUID": ["1.2.3", CT]}))
    with pytest.raises(InvalidQueryError, match=r"saved from data 1\.0\.0.*1\.2\.3"):
        client.load(path)


@pytest.mark.parametrize("text", ["", "[]", "5", '{"SeriesInstanceUID": 5}', "[" * 100_000])
def test_other_files_are_refused(client: IDCClient, tmp_path: Path, text: str) -> None:
    path = tmp_path / "selection.json"
    path.write_text(text)
    with pytest.raises(InvalidQueryError, match="not a selection"):
        client.load(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_only_regular_files_are_loaded(client: IDCClient, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", "", "a\0b", "~a\0b"):
        with pytest.raises(InvalidQueryError, match="is not a file"):
            client.load(path)
    not_a_path: Any = None
    with pytest.raises(InvalidQueryError, match="None is not a path"):
        client.load(not_a_path)


def test_files_above_the_size_limit_are_refused(client: IDCClient, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate((1 << 28) + 1)  # sparse: takes no space on the disk
    with pytest.raises(InvalidQueryError, match=r"a selection of 268\.4 MB; expected 268\.4 MB at"):
        client.load(tmp_path / "large")


def test_an_error_leaves_the_saved_file_as_it_is(
    study: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study.save(tmp_path / "selection.json")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        study.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_tilde_stands_for_the_home_folder(
    client: IDCClient, study: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    study.save("~/mine.json")
    assert client.load("~/mine.json") == study
    study.to_manifest("~/mine.csv")
    assert client.read_manifest("~/mine.csv").selection == study
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_what_is_no_file_is_named(tmp_path: Path, client: IDCClient) -> None:
    (tmp_path / "manifest.s5cmd").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name, message in {
        "manifst.s5cmd": "does not exist; did you mean '.*manifest.s5cmd'",
        "": "it is a folder; expected the file of a manifest",
        "pipe": "it is a pipe",
    }.items():
        with pytest.raises(InvalidQueryError, match=message):
            client.read_manifest(tmp_path / name)
