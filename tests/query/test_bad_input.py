"""What a hostile or hurried person may pass: a clear error of ours, and nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idc_widgets import DuckDBEngine, IDCClient, IDCError, InvalidQueryError
from idc_widgets.query.memory import loading, read_index


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
def test_sql_that_writes_inside_a_select(tmp_path: Path, sql: str) -> None:
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


BAD: list[dict[str, Any]] = [
    {"instanceCount": (float("inf"), None)},
    {"instanceCount": (None, float("-inf"))},
    {"PatientAge": (None, float("-inf"))},
    {"PatientAge": (10**400, None)},
    {"instanceCount": 10**400},
    {"text": "\ud800"},
    {"Modality": "\ud800"},
    {"collection_id": ["\ud800"]},
    {"having": {"Modality": []}},
    {"originals_of": []},
    {"self": 1},
    {"engine": 1},
]


@pytest.mark.parametrize("filters", BAD, ids=lambda one: str(one)[:40])
def test_filters(client: IDCClient, filters: dict[str, Any]) -> None:
    client.cohort().summary()  # with the index in memory, and not in a file alone
    with pytest.raises(InvalidQueryError):
        client.cohort(**filters)


def test_other_questions(client: IDCClient) -> None:
    everything = client.cohort()
    questions = [
        lambda: everything.histogram("PatientAge", bins=2.5),  # type: ignore[arg-type]
        lambda: everything.histogram("PatientAge", bins="3"),  # type: ignore[arg-type]
        lambda: everything.histogram(["PatientAge"]),  # type: ignore[arg-type]
        lambda: everything.join(["collections_index"]),  # type: ignore[arg-type]
        lambda: everything.join("collections_index", [["species"]]),  # type: ignore[list-item]
        lambda: client.find_uids(5),  # type: ignore[arg-type]
        lambda: client.find_uids(b"1.2.3"),  # type: ignore[arg-type]
        lambda: client.find_uids("1.2.3\n\ud800"),
        lambda: client.sql("SELECT '\ud800'"),
    ]
    for question in questions:
        with pytest.raises(IDCError):
            question()
    assert everything.of_studies(["\ud800"]).summary().series == 0
    assert list(everything.facets("Modality")) == ["Modality"]


def test_text_finds_itself(tmp_path: Path) -> None:
    texts = ["ΟΔΟΣ", "İstanbul", "STRASSE", "ẞ", "Éclair"]
    own = tmp_path / "own.csv"
    lines = ["SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,StudyDescription"]
    lines += [f"1.{at},2.{at},p,c,{text}" for at, text in enumerate(texts)]
    own.write_text("\n".join(lines) + "\n", encoding="utf-8")
    client = IDCClient(own)
    for text in texts:
        cohort = client.cohort(text=text)
        assert cohort.summary().series == 1, text
        assert len(client.sql(cohort.sql)) == 1, text


def test_a_damaged_prepared_file_is_made_again(
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


def test_a_series_twice_in_a_parquet(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    columns = {name: ["1", "1", "1"] for name in ("StudyInstanceUID", "PatientID", "collection_id")}
    pq.write_table(pa.table({"SeriesInstanceUID": ["1.1", "1.2", "1.1"], **columns}), path)
    with pytest.raises(IDCError, match=r"the series '1\.1' in several rows"):
        IDCClient(path).cohort().summary()


def test_dates_with_a_time_are_dates(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    keys = ("StudyInstanceUID", "PatientID", "collection_id")
    columns = {name: ["1", "2"] for name in ("SeriesInstanceUID", *keys)}
    days = [datetime(2010, 4, 1), datetime(2010, 4, 2, 13)]
    pq.write_table(pa.table({**columns, "StudyDate": days}), path)
    client = IDCClient(path)
    assert client.cohort(StudyDate="2010-04-01").summary().series == 1
    assert client.cohort(StudyDate=("2010-04-01", "2010-04-02")).summary().series == 2


AFTER_ALL = """
import atexit, sys
from idc_widgets import IDCClient
cohort = IDCClient().cohort(collection_id="nlst")
before = cohort.facets(["Modality", "PatientSex", "species"])
if "fork" in sys.argv:
    import os
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert cohort.facets(["Modality", "PatientSex", "species"]) == before
    os._exit(0)
atexit.register(lambda: print(cohort.facets(["Modality", "PatientSex"]) is not None))
"""


@pytest.mark.parametrize("how", ["fork", "exit"])
def test_facets_in_a_forked_process_and_at_the_very_end(how: str) -> None:
    if how == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    command = [sys.executable, "-c", AFTER_ALL, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert how == "fork" or done.stdout == "True\n"


def test_the_allocator_of_arrow_is_what_it_was(tmp_path: Path) -> None:
    usual = pa.default_memory_pool().backend_name
    clients = [IDCClient() for _ in range(3)]
    threads = [Thread(target=read_index.read_index, args=(client.engine,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pa.default_memory_pool().backend_name == usual
