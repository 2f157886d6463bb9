"""What a hostile or hurried person may pass: a clear error of ours, and nothing changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from idc_widgets import DuckDBEngine, IDCClient, IDCError, InvalidQueryError, memory


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
    path = client.engine.index.prepared_coding
    assert path is not None
    foreign = pa.table({"a": [1]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, foreign.schema) as writer:
        writer.write_table(foreign)
    assert client.cohort(Modality="XC").summary().series == 4
    memory.prepare(client.engine)
    whole = path.read_bytes()
    assert len(whole) > 100e6
    path.write_bytes(whole[: len(whole) // 2])
    assert IDCClient().cohort(Modality="XC").summary().series == 4
    memory.prepare(client.engine)
    assert path.stat().st_size == len(whole)
