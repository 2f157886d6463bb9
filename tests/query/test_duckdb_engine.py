"""Queries: bound, read-only, from any thread."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest
from support.rows import records

from idc_widgets import (
    DuckDBEngine,
    IDCClient,
    Index,
    IndexFileError,
    InvalidQueryError,
    QueryInterruptedError,
)
from idc_widgets.index import FACETS, LEVELS, MORE_FACETS, RANGES
from idc_widgets.query import Sort, row_source
from idc_widgets.query.engine import literal
from idc_widgets.query.memory import loading


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT 1; SELECT 2", "got 2"),
        ("", "got 0"),
        ("SELECT nope FROM index", "nope"),
        ("FROM indx", 'Did you mean "index"'),
        ("CREATE TABLE x AS SELECT 1", "CREATE"),
        ("COPY index TO '/tmp/idc_widgets_must_not_exist.csv'", "COPY"),
        ("ATTACH '/tmp/idc_widgets_must_not_exist.db'", "ATTACH"),
        ("INSTALL httpfs", "expected a SELECT"),
        ("SET threads = 1", "expected a SELECT"),
        ("DROP VIEW index", "DROP"),
        ("EXPLAIN ANALYZE CREATE OR REPLACE VIEW index AS SELECT 1 AS a", "expected a SELECT"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/idc_widgets_must_not_exist'", "EXPLAIN"),
        ("SELECT '\ud800'", "not Unicode"),
        ("SELECT * FROM read_csv('/etc/passwd')", "Cannot access file"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM glob('/etc/*')", "Cannot access file"),
    ],
)
def test_only_reading_the_tables_is_possible(client: IDCClient, sql: str, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        client.sql(sql)
    assert not list(Path("/tmp").glob("idc_widgets_must_not_exist*"))


@pytest.mark.parametrize(
    "sql",
    [
        "WITH x AS (DELETE FROM _csv RETURNING *) SELECT * FROM x",
        "WITH x AS (UPDATE _csv SET Modality = 'ZZ' RETURNING *) SELECT * FROM x",
        "WITH x AS (INSERT INTO _csv SELECT * FROM _csv RETURNING *) SELECT * FROM x",
        "WITH x AS (COPY (SELECT 1) TO '{folder}/evil.parquet') SELECT * FROM x",
        "SELECT 'ä€😀' AS a, * FROM (/* */ delete from _csv returning *)",
    ],
)
def test_statements_that_write_inside_a_select_are_refused(tmp_path: Path, sql: str) -> None:
    own = tmp_path / "own.csv"
    own.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality\n1,2,3,4,CT\n"
    )
    client = IDCClient(own)
    with pytest.raises(InvalidQueryError):
        client.sql(sql.format(folder=client.engine.index.data_folder))  # type: ignore[attr-defined]
    assert client.sql("SELECT Modality, 'delete' AS \"copy\" FROM index").values.tolist() == [
        ["CT", "delete"]
    ]


def test_sql_answers_with_a_data_frame(client: IDCClient) -> None:
    frame = client.sql("SELECT count(*) AS n FROM index WHERE collection_id = 'nsclc_radiomics'")
    assert frame.n.tolist() == [4926]
    assert client.sql("SELECT count(*) AS n FROM collections_index").n.tolist() == [179]


@pytest.mark.parametrize("value", ["", "'", "it's", "?", "x'; DROP VIEW index; --", "\\", "é\n"])
def test_literals_come_back_as_they_were(client: IDCClient, value: str) -> None:
    table = client.engine.query(f"SELECT {literal(value)} AS value, ? AS bound", [value])
    assert table.to_pylist() == [{"value": value, "bound": value}]


def test_what_is_no_literal_is_refused() -> None:
    for value in (float("nan"), "a\0b", object()):
        with pytest.raises(InvalidQueryError):
            literal(value)


def test_many_threads_ask_at_once(client: IDCClient) -> None:
    collections = client.get_collection_ids()[:24]
    expected = {name: client.cohort(collection_id=name).summary().series for name in collections}
    found: dict[str, int] = {}

    def ask(name: str) -> None:
        found[name] = client.cohort(collection_id=name).summary().series

    threads = [threading.Thread(target=ask, args=(name,)) for name in collections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


# --- the copy for quick lookups ------------------------------------------------------------


def test_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path / "new"))
    client = IDCClient()
    ids = "SELECT _row, SeriesInstanceUID FROM _rows WHERE PatientID = 'LUNG1-365' ORDER BY 1"
    before = client.engine.rows(ids)
    (tmp_path / "new").mkdir()
    for stale in ("index-1.0.0.parquet", "encoding-1.0.0-1.arrow"):
        (tmp_path / "new" / stale).touch()

    path = client.prepare()
    left = sorted(one.name.partition("-")[0] for one in path.parent.iterdir())
    assert left == ["encoding", "index"], "nothing else is left"
    assert Index.default().tables["index"] == path
    shipped = Path(duckdb.__file__).parents[1] / "idc_index_data" / "idc_index.parquet"
    different = duckdb.sql(
        f"(FROM '{shipped}' EXCEPT ALL FROM '{path}')"
        f" UNION ALL (FROM '{path}' EXCEPT ALL FROM '{shipped}')"
    ).fetchall()
    assert different == []

    again = IDCClient()
    assert again.prepare() == path

    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[: whole // 2])
    spoilt = IDCClient()
    assert spoilt.engine.rows(ids) == before, "the installed index is read instead"
    assert spoilt.prepare() == path
    assert path.stat().st_size == whole, "and the copy made again"
    for one in (client, again):
        assert one.engine.rows(ids) == before, "rows keep their numbers"
        assert one.cohort().summary().series == 1_044_191
        with pytest.raises(InvalidQueryError):
            one.sql("SELECT * FROM read_csv('/etc/passwd')")


def test_a_prepared_memory_answers_like_a_new_one(
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
        one, two = client.cohort(**filters), fresh.cohort(**filters)
        assert one.summary() == two.summary()
        assert one.facets(FACETS + MORE_FACETS) == two.facets(FACETS + MORE_FACETS)
        for column in RANGES:
            assert one.histogram(column) == two.histogram(column)
        for level in LEVELS:
            for sort in (None, Sort("PatientID", descending=True)):
                rows, others = row_source(one, level, sort), row_source(two, level, sort)
                assert records(rows.window(5, 50)) == records(others.window(5, 50))
                assert rows.keys([range(3, 9)]) == others.keys([range(3, 9)])
                assert others.positions(rows.keys([range(3, 9)])) == list(range(3, 9))


def test_a_spoilt_prepared_memory_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path))
    client = IDCClient()
    assert isinstance(client.engine, DuckDBEngine)
    path = client.engine.index.prepared_encoding
    assert path is not None
    path.write_bytes(b"ARROW1\0\0 and then nothing")
    assert client.cohort(Modality="XC").summary().series == 4


def test_what_cannot_be_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "mine.csv"
    own.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n1,2,3,4\n")
    with pytest.raises(IndexFileError, match="used as it is"):
        IDCClient(own).prepare()
    (tmp_path / "file").touch()
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path / "file"))
    client = IDCClient()
    with pytest.raises(IndexFileError, match="cannot write"):
        client.prepare()
    assert len(client.get_collection_ids()) == 179


SLOW = (
    "SELECT count(*) FROM index AS one, index AS two"
    " WHERE one.SeriesInstanceUID || two.SeriesInstanceUID LIKE '%x%'"
)


def test_a_long_query_can_be_interrupted(client: IDCClient) -> None:
    errors: list[Exception] = []

    def ask() -> None:
        try:
            client.engine.rows(SLOW)
        except QueryInterruptedError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive():  # once it has begun
        thread.join(0.2)
        client.engine.interrupt(thread.ident)
    assert len(errors) == 1
    assert client.engine.rows("SELECT 1") == [(1,)]


def test_only_the_named_thread_is_interrupted(client: IDCClient) -> None:
    client.engine.interrupt(-1)
    assert client.sql("SELECT count(*) AS n FROM index").n[0] == 1_044_191


def test_ctrl_c_ends_a_long_query() -> None:
    script = f"""
import os, signal, threading
from idc_widgets import IDCClient
signal.signal(signal.SIGINT, signal.default_int_handler)
client = IDCClient()
threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    client.sql({SLOW!r})
except KeyboardInterrupt:
    print("interrupted", client.sql("SELECT 1 AS one").one[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "interrupted 1\n"
