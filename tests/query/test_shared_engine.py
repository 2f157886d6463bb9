"""Clients of the same files share one engine and one index in memory."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import pytest

from idc_widgets import IDCClient, Index
from idc_widgets.query import memory

HEADER = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "own.csv"
    path.write_text(HEADER + "1.1,1,P,c\n")
    return path


def test_clients_of_the_installed_index_share_its_memory() -> None:
    first, second = IDCClient(), IDCClient()
    assert first.engine is second.engine
    assert memory.memory_index_of(first.engine) is memory.memory_index_of(second.engine)
    assert first.cohort(Modality="CT") == second.cohort(Modality="CT")


def test_clients_of_one_table_share_it(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = IDCClient(own)
    monkeypatch.chdir(own.parent)
    assert IDCClient("own.csv").engine is client.engine
    assert IDCClient(Index(own)).engine is not client.engine, "an Index gets an engine of its own"
    assert IDCClient().engine is not client.engine


@pytest.mark.parametrize("how", ["in place", "by a rename"])
def test_a_table_that_changed_is_not_shared(own: Path, how: str) -> None:
    client = IDCClient(own)
    other = own if how == "in place" else own.with_name("x")
    other.write_text(HEADER + "1.2,1,P,c\n1.3,1,P,c\n")
    os.replace(other, own)
    changed = IDCClient(own)
    assert changed.engine is not client.engine
    assert changed.cohort().summary().series == 2
    assert client.cohort().summary().series == 1
    assert IDCClient(own).engine is changed.engine


def test_an_engine_ends_with_its_last_client(own: Path) -> None:
    first, second = IDCClient(own), IDCClient(own)
    first.cohort().summary()
    found = memory.memory_index_of(first.engine)
    assert found is not None
    engine, index = weakref.ref(first.engine), weakref.ref(found)
    del first, found
    gc.collect()
    assert engine() is not None
    del second
    gc.collect()
    assert engine() is None
    assert index() is None


def test_other_folders_make_another_engine(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = IDCClient(own)
    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path / "other"))
    assert IDCClient(own).engine is not client.engine


def test_a_table_fetched_by_another_process_is_attached(own: Path) -> None:
    import duckdb

    client = IDCClient(own)
    place = Index(own).place("seg_index")
    place.parent.mkdir(parents=True)
    for number in (1, 2):  # the table is fetched twice
        other = place.with_name("x.parquet")
        duckdb.sql(f"SELECT {number} AS number").to_parquet(str(other))
        os.replace(other, place)
        again = IDCClient(own)
        assert again.engine is client.engine
        assert again.sql("SELECT number FROM seg_index").number.tolist() == [number]


def test_a_prepared_client_is_shared(small_index: Path) -> None:
    client = IDCClient()
    client.build_cache()
    assert IDCClient().engine is client.engine
