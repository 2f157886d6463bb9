"""The cache file of the index in memory: damaged files are ignored and replaced."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from support.rows import records

from idc_widgets import DuckDBEngine, IDCClient
from idc_widgets.index import FACETS, LEVELS, MORE_FACETS, RANGES
from idc_widgets.query import Sort, row_source
from idc_widgets.query.memory import loading


def test_a_foreign_or_truncated_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path))
    client = IDCClient()
    assert isinstance(client.engine, DuckDBEngine)
    path = client.engine.index.prepared_encoding
    assert path is not None
    foreign = pa.table({"a": [1]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, foreign.schema) as writer:
        writer.write_table(foreign)
    assert client.cohort(Modality="XC").summary().series == 4
    loading.prepare(client.engine)
    whole = path.read_bytes()
    assert len(whole) > 100e6
    path.write_bytes(whole[: len(whole) // 2])
    assert IDCClient().cohort(Modality="XC").summary().series == 4
    loading.prepare(client.engine)
    assert path.stat().st_size == len(whole)


def test_an_index_from_the_cache_file_gives_the_same_results(
    client: IDCClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path))
    assert isinstance(client.engine, DuckDBEngine)
    monkeypatch.setattr(client.engine.index, "prepared_encoding", tmp_path / "encoding-1-1.arrow")
    loading.prepare(client.engine)
    fresh = IDCClient()
    monkeypatch.setattr(fresh.engine.index, "prepared_encoding", tmp_path / "encoding-1-1.arrow")
    loaded = loading.memory_index_of(fresh.engine)
    assert loaded is not None
    assert loaded.series_uids is not None
    for filters in ({}, {"text": "lung 1.3.6.1.4.1.14519"}, {"StudyDate": ("2010-01-01", None)}):
        cohort, other = client.cohort(**filters), fresh.cohort(**filters)
        assert cohort.summary() == other.summary()
        assert cohort.facets(FACETS + MORE_FACETS) == other.facets(FACETS + MORE_FACETS)
        for column in RANGES:
            assert cohort.histogram(column) == other.histogram(column)
        for level in LEVELS:
            for sort in (None, Sort("PatientID", descending=True)):
                rows, others = row_source(cohort, level, sort), row_source(other, level, sort)
                assert records(rows.window(5, 50)) == records(others.window(5, 50))
                assert rows.keys([range(3, 9)]) == others.keys([range(3, 9)])
                assert others.positions(rows.keys([range(3, 9)])) == list(range(3, 9))


def test_a_damaged_cache_file_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path))
    client = IDCClient()
    assert isinstance(client.engine, DuckDBEngine)
    path = client.engine.index.prepared_encoding
    assert path is not None
    path.write_bytes(b"ARROW1\0\0 and then nothing")
    assert client.cohort(Modality="XC").summary().series == 4
