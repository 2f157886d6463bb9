"""DuckDBEngine: read-only queries from any thread, which can be interrupted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from idc_widgets import (
    DuckDBEngine,
    IDCClient,
    InvalidQueryError,
    QueryInterruptedError,
)


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
def test_everything_but_reading_the_tables_is_refused(
    client: IDCClient, sql: str, message: str
) -> None:
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


def test_sql_returns_a_data_frame(client: IDCClient) -> None:
    frame = client.sql("SELECT count(*) AS n FROM index WHERE collection_id = 'nsclc_radiomics'")
    assert frame.n.tolist() == [4926]
    assert client.sql("SELECT count(*) AS n FROM collections_index").n.tolist() == [179]


def test_many_threads_can_query_at_once(client: IDCClient) -> None:
    collections = client.get_collection_ids()[:24]
    expected = {name: client.cohort(collection_id=name).summary().series for name in collections}
    counts: dict[str, int] = {}

    def count(name: str) -> None:
        counts[name] = client.cohort(collection_id=name).summary().series

    threads = [threading.Thread(target=count, args=(name,)) for name in collections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == expected


def test_threads_that_have_ended_leave_no_cursor(client: IDCClient) -> None:
    engine = client.engine
    assert isinstance(engine, DuckDBEngine)
    engine.rows("SELECT 1")
    before = len(engine._cursors._cursors)
    for _ in range(20):
        thread = threading.Thread(target=engine.rows, args=["SELECT 1"])
        thread.start()
        thread.join()
    assert len(engine._cursors._cursors) == before
    engine.interrupt()
    assert engine.rows("SELECT 1") == [(1,)]


#: A query that takes hours.
SLOW_QUERY = (
    "SELECT count(*) FROM index AS a, index AS b"
    " WHERE a.SeriesInstanceUID || b.SeriesInstanceUID LIKE '%x%'"
)


def test_a_long_query_can_be_interrupted(client: IDCClient) -> None:
    errors: list[Exception] = []

    def query() -> None:
        try:
            client.engine.rows(SLOW_QUERY)
        except QueryInterruptedError as error:
            errors.append(error)

    thread = threading.Thread(target=query)
    thread.start()
    while thread.is_alive():  # repeat it, because the query may not have started yet
        thread.join(0.2)
        client.engine.interrupt(thread.ident)
    assert len(errors) == 1
    assert client.engine.rows("SELECT 1") == [(1,)]


def test_an_interrupt_of_another_thread_has_no_effect(client: IDCClient) -> None:
    client.engine.interrupt(-1)
    assert client.sql("SELECT count(*) AS n FROM index").n[0] == 1_044_191
