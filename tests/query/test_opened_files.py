"""Files that are changed, replaced or removed while an engine uses them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from support import small_index as small

from idc_widgets import DuckDBEngine, IDCClient, Index, IndexFileError, InvalidQueryError
from idc_widgets.query import duckdb_engine, row_source

SERIES = 40


def _write(path: Path, *, backwards: bool = False, series: int = SERIES) -> None:
    """Write a table of series, and rename it to a path as another program would."""
    other = path.with_name("other.parquet")
    duckdb.sql(
        "SELECT 'P' || i AS PatientID, '1.' || i AS SeriesInstanceUID, '2.' || i AS"
        f" StudyInstanceUID, 'c' AS collection_id FROM range({series}) AS t(i)"
        f" ORDER BY i {'DESC' if backwards else ''}"
    ).to_parquet(str(other))
    os.replace(other, path)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.parquet"
    _write(path)
    return path


def test_a_query_that_fails_opens_no_file_for_good(small_index: Path) -> None:
    client = IDCClient()
    client.build_cache()
    assert client.engine.opened.is_prepared

    def fail() -> int:
        with pytest.raises(InvalidQueryError):
            client.sql("SELECT CAST('x' AS INT)")
        return len(list(Path("/dev/fd").iterdir()))

    fail()
    before = fail()
    for _ in range(5):
        after = fail()
    assert after == before


QUERIES: list[Callable[[IDCClient], object]] = [
    lambda client: row_source(client.cohort(), "series").window(0, 5),
    lambda client: row_source(client.cohort(), "series").keys([range(3)]),
    lambda client: client.cohort(text="1.3").summary(),
    lambda client: client.cohort().series(),
    lambda client: client.cohort().select().plan("x"),
    lambda client: client.sql("SELECT * FROM index"),
    lambda client: client.cohort().histogram("series_size_MB"),
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("series", [SERIES, SERIES // 2])
def test_a_table_that_was_replaced_is_refused(
    own: Path, query: Callable[[IDCClient], object], series: int
) -> None:
    client = IDCClient(own)
    assert client.cohort(PatientID="P0").summary().series == 1
    _write(own, backwards=True, series=series)
    with pytest.raises(IndexFileError, match=r"own.parquet was changed .* make a new client"):
        query(client)
    client = IDCClient(own)
    rows = row_source(client.cohort(PatientID="P3"), "series")
    assert rows.keys([range(1)]) == ("1.3",)


def test_a_table_that_was_removed_is_refused(own: Path) -> None:
    client = IDCClient(own)
    own.unlink()
    with pytest.raises(IndexFileError, match="make a new client"):
        client.cohort().series()


def test_a_csv_file_is_read_once_and_may_change(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    header = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n"
    own.write_text(header + "1.1,1,P,c\n")
    client = IDCClient(own)
    own.write_text(header + "1.2,1,P,c\n")
    assert client.cohort().series().SeriesInstanceUID.tolist() == ["1.1"]
    assert IDCClient(own).cohort().series().SeriesInstanceUID.tolist() == ["1.2"]


@pytest.mark.parametrize("table", ["idc_index.parquet", "collections_index.parquet"])
def test_an_upgrade_of_the_installed_index_is_noticed(small_index: Path, table: str) -> None:
    client = IDCClient()
    name = table.removesuffix(".parquet").removeprefix("idc_")
    assert len(client.sql(f"SELECT * FROM {name} LIMIT 1")) == 1
    path = small_index / table
    shutil.copy(path, path.with_name("new"))
    os.replace(path.with_name("new"), path)
    with pytest.raises(IndexFileError, match="make a new client"):
        client.sql(f"SELECT * FROM {name} LIMIT 1")
    assert len(IDCClient().sql(f"SELECT * FROM {name} LIMIT 1")) == 1


def _prepared() -> tuple[IDCClient, DuckDBEngine, Path]:
    IDCClient().build_cache()
    client = IDCClient()
    assert isinstance(client.engine, DuckDBEngine)
    path = client.engine.index.prepared
    assert path is not None and client.engine.files["index"] == path
    return client, client.engine, path


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    os.truncate(path, 1000)


def _replace(path: Path) -> None:
    path.with_name("x").write_bytes(b"PAR1")
    os.replace(path.with_name("x"), path)


@pytest.mark.parametrize("spoil", [_remove, _truncate, _replace])
def test_queries_go_on_when_the_prepared_copy_is_gone(
    small_index: Path, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    client, engine, copy = _prepared()
    cohort = client.cohort(PatientID="LUNG1-365")
    before = (cohort.series().SeriesInstanceUID.tolist(), cohort.histogram("StudyDate"))
    spoil(copy)
    assert client.sql("SELECT count(*) AS n FROM index").n[0] == small.SERIES
    assert engine.files["index"] == engine.index.shipped
    assert (cohort.series().SeriesInstanceUID.tolist(), cohort.histogram("StudyDate")) == before
    plan = cohort.select().plan(tmp_path / "data")
    assert plan is not None
    assert client.build_cache() == copy, "the copy is written again"
    assert engine.files["index"] == copy
    assert cohort.series().SeriesInstanceUID.tolist() == before[0]


def test_queries_go_on_when_rows_of_the_prepared_copy_are_damaged(
    small_index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, copy = _prepared()
    content = copy.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    copy.write_bytes(b"PAR1" + bytes(len(content) - footer - 4) + content[-footer:])
    client = IDCClient()
    with pytest.raises(InvalidQueryError, match="no_column"):
        client.sql("SELECT no_column FROM index")
    assert not caplog.messages, "a wrong query says nothing about the copy"
    uids = client.sql("SELECT SeriesInstanceUID FROM index ORDER BY 1").SeriesInstanceUID
    assert len(uids) == uids.nunique() == small.SERIES and uids[0].startswith("1.2.276.0.")
    assert any("reading the installed index instead" in message for message in caplog.messages)
    assert client.build_cache() == copy
    assert copy.stat().st_size > 1000 and copy.read_bytes()[4:1000].strip(b"\0"), "written again"


def test_a_query_that_fails_on_sound_rows_keeps_the_prepared_copy(small_index: Path) -> None:
    client, engine, copy = _prepared()
    with pytest.raises(InvalidQueryError, match="Conversion Error"):
        client.sql("SELECT CAST(PatientID AS INTEGER) FROM index")
    assert engine.files["index"] == copy


def test_a_query_is_repeated_if_the_copy_is_removed_while_it_runs(
    small_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine, copy = _prepared()
    runs = []

    def run() -> list[tuple[object, ...]]:
        if not runs:
            copy.unlink()
        runs.append(1)
        return engine._cursor().execute("SELECT count(*) FROM index").fetchall()

    assert engine._answer("SELECT count(*) FROM index", run) == [(small.SERIES,)]
    assert len(runs) == 2


def test_a_copy_that_is_removed_in_every_run_is_refused(small_index: Path) -> None:
    _, engine, copy = _prepared()
    runs: list[int] = []

    def run() -> list[tuple[object, ...]]:
        runs.append(1)
        engine.build_copy()
        copy.unlink()
        return engine._cursor().execute("SELECT 1").fetchall()

    with pytest.raises(IndexFileError, match="make a new client"):
        engine._answer("SELECT 1", run)
    assert len(runs) == duckdb_engine._MAX_RUNS


def test_after_the_index_was_replaced_only_its_prepared_copy_can_be_read(
    small_index: Path,
) -> None:
    client, _, copy = _prepared()
    shipped = small_index / "idc_index.parquet"
    shutil.copy(small_index / "collections_index.parquet", shipped.with_name("new"))
    os.replace(shipped.with_name("new"), shipped)
    assert client.sql("SELECT count(*) AS n FROM index").n[0] == small.SERIES, "the copy is read"
    copy.unlink()
    with pytest.raises(IndexFileError, match="make a new client"):
        client.sql("SELECT count(*) AS n FROM index")


def test_old_files_of_other_versions_are_removed_unless_they_are_in_use(
    small_index: Path,
) -> None:
    cache = small_index.with_name("cache")
    cache.mkdir()
    month_ago = 40 * 24 * 3600
    names = {
        "index-1.0.0-0123abcd.parquet": month_ago,
        "encoding-1.0.0-0123abcd-1.arrow": month_ago,
        "index-2.0.0-0123abcd.parquet": 3600,
        "encoding-2.0.0-0123abcd-1.arrow": 3600,
        "index-3.0.0-0123abcd.parquet": month_ago,  # in use
        f".{'a' * 32}.tmp": 2 * 24 * 3600,
        f".{'b' * 32}.tmp": 3600,
    }
    of_the_user = {
        "notes.tmp",
        "index-2019-study.parquet",
        "index-1.0.0.parquet",
        "encoding-experiment.arrow",
        "coding-theory.arrow",
        ".index-notes 1.2",
    }
    names |= dict.fromkeys(of_the_user, month_ago)
    for name, age in names.items():
        path = cache / name
        path.touch()
        time = path.stat().st_mtime - age
        os.utime(path, (time, time))
    from idc_widgets._util import hold

    in_use = hold(cache / "index-3.0.0-0123abcd.parquet")
    assert in_use is not None
    os.utime(cache / "index-3.0.0-0123abcd.parquet", (1, 1))
    try:
        IDCClient().build_cache()
    finally:
        os.close(in_use)
    left = {path.name for path in cache.iterdir()} & set(names)
    assert left == {
        "index-2.0.0-0123abcd.parquet",
        "encoding-2.0.0-0123abcd-1.arrow",
        "index-3.0.0-0123abcd.parquet",
        f".{'b' * 32}.tmp",
        *of_the_user,
    }


def test_a_copy_of_another_user_is_not_used(small_index: Path) -> None:
    _, _, copy = _prepared()
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(copy, 12345, 12345)
    assert Index().tables["index"] == Index().shipped
