"""The cache file of the index in memory: damaged files are ignored and replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from support.rows import records
from support.small_index import SERIES, installed

from idc_widgets import DuckDBEngine, IDCClient, Index, IndexFileError
from idc_widgets.index import FACETS, LEVELS, MORE_FACETS, RANGES
from idc_widgets.query import Sort, row_source
from idc_widgets.query.memory import cache_file, loading, read_index


def test_a_foreign_or_truncated_file_is_replaced(small_index: Path) -> None:
    client = IDCClient()
    assert isinstance(client.engine, DuckDBEngine)
    path = client.engine.index.prepared_encoding
    assert path is not None
    path.parent.mkdir()
    foreign = pa.table({"a": [1]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, foreign.schema) as writer:
        writer.write_table(foreign)
    assert client.cohort().summary().series == SERIES
    loading.prepare(client.engine)
    whole = path.read_bytes()
    assert len(whole) > 100 * SERIES
    path.write_bytes(whole[: len(whole) // 2])
    assert IDCClient().cohort().summary().series == SERIES
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
    assert loaded.uids_of is not None
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


def test_a_damaged_cache_file_is_ignored(small_index: Path) -> None:
    client = IDCClient()
    assert isinstance(client.engine, DuckDBEngine)
    path = client.engine.index.prepared_encoding
    assert path is not None
    path.parent.mkdir()
    path.write_bytes(b"ARROW1\0\0 and then nothing")
    assert client.cohort().summary().series == SERIES


@pytest.fixture(scope="module")
def saved(small_package: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the content of a sound cache file of the small index."""
    folder = tmp_path_factory.mktemp("saved")
    with installed(small_package, folder):
        engine = DuckDBEngine()
        cache_file.save(engine, read_index.read_index(engine), folder / "encoding.arrow")
    return (folder / "encoding.arrow").read_bytes()


@pytest.fixture
def prepared(saved: bytes, small_package: Path, tmp_path: Path) -> Iterator[Path]:
    """Put a sound cache file of the small index into a new cache folder; return its path."""
    with installed(small_package, tmp_path):
        path = Index().prepared_encoding
        assert path is not None
        path.write_bytes(saved)
        yield path


def _everything(client: IDCClient) -> list[object]:
    """Return the results of queries that use every array of the index in memory."""
    found = loading.memory_index_of(client.engine)
    assert found is not None
    cohort = client.cohort(text="1.3.6.1.4.1.32722 lung")
    assert len(cohort.select()) > 100
    uids = row_source(cohort, "series").keys([range(20)])
    return [
        cohort.summary(),
        [records(row_source(cohort, level).window(5, 25)) for level in LEVELS],
        uids,
        row_source(cohort, "series").positions(uids),
        # The hashes of so many UIDs are read together.
        row_source(cohort, "series").positions(row_source(cohort, "series").keys([range(101)])),
        cohort.facets(),
        [cohort.histogram(column) for column in RANGES],
    ]


@pytest.fixture(scope="module")
def expected(small_package: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    with installed(small_package, tmp_path_factory.mktemp("expected")):
        return _everything(IDCClient(DuckDBEngine().index))


@pytest.mark.parametrize("percent", range(0, 100, 7))
def test_zeros_in_the_file_are_noticed(
    prepared: Path, expected: list[object], percent: int
) -> None:
    """A power failure or a quota can leave zeros in a file."""
    content = bytearray(prepared.read_bytes())
    start = len(content) * percent // 100
    while not any(content[start : start + 4096]):  # skip a part that has only zeros
        start += 4096
    content[start : start + 4096] = bytes(4096)
    prepared.write_bytes(content)
    assert not cache_file.is_sound(prepared, Index().source)
    assert _everything(IDCClient()) == expected


@pytest.mark.parametrize("spoil", ["truncate", "remove"])
def test_a_file_that_is_cut_off_while_it_is_open_does_no_harm(
    prepared: Path, expected: list[object], spoil: str
) -> None:
    client = IDCClient()
    assert client.cohort().facets()
    if spoil == "truncate":
        os.truncate(prepared, 10_000)
    else:
        prepared.unlink()
    assert _everything(client) == expected


def test_a_sound_file_is_used(
    prepared: Path, expected: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_engine: DuckDBEngine) -> None:
        raise AssertionError("the index is in the file")

    monkeypatch.setattr(loading, "read_index", refuse)
    assert _everything(IDCClient()) == expected
    before = prepared.stat().st_mtime_ns
    client = IDCClient()
    assert isinstance(client.engine, DuckDBEngine)
    loading.prepare(client.engine)
    assert prepared.stat().st_mtime_ns == before


def test_a_file_of_another_index_or_user_is_not_used(prepared: Path) -> None:
    def load(source: str) -> None:
        cache_file.load(prepared, source, lambda: pytest.fail("nothing is damaged"))

    load(Index().source)
    with pytest.raises(IndexFileError, match="was made from the index"):
        load("25.0.5-00000000")
    if os.geteuid() == 0:
        os.chown(prepared, 12345, 12345)
        with pytest.raises(IndexFileError, match="another user"):
            load(Index().source)
