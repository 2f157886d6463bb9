"""SeriesInstanceUIDs by row, which are read in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idc_widgets import DuckDBEngine, IDCClient
from idc_widgets.query.memory import uid_blocks
from idc_widgets.query.memory.uid_blocks import UidBlocks

COUNT = 25


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDBEngine:
    monkeypatch.setattr(uid_blocks, "_BLOCK_ROWS", 4)
    path = tmp_path / "own.csv"
    lines = [f"1.{row},2.{row},P{row},c" for row in range(COUNT)]
    header = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id"
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    engine = IDCClient(path).engine
    assert isinstance(engine, DuckDBEngine)
    return engine


@pytest.mark.parametrize(
    "rows", [[0], [3, 4], [9, 2, 2, 5], [24, 23], [15, 0, 8, 3, 14], list(range(15, -1, -1)), []]
)
def test_rows_that_are_close_together(engine: DuckDBEngine, rows: list[int]) -> None:
    blocks = UidBlocks()
    for _ in range(2):
        assert blocks.uids_of(engine, np.array(rows, dtype=np.int32)) == [f"1.{r}" for r in rows]


def test_rows_that_are_far_apart_are_not_read_in_blocks(engine: DuckDBEngine) -> None:
    assert UidBlocks().uids_of(engine, np.array([0, 4, 8, 12, 16])) is None


def test_blocks_are_kept(engine: DuckDBEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[str] = []
    query = DuckDBEngine.query

    def counted(self: DuckDBEngine, sql: str, params: list[object]) -> object:
        queries.append(sql)
        return query(self, sql, params)

    monkeypatch.setattr(DuckDBEngine, "query", counted)
    monkeypatch.setattr(uid_blocks, "_MAX_KEPT_BLOCKS", 2)
    blocks = UidBlocks()
    for row, expected in [(0, 1), (3, 1), (4, 2), (1, 2), (8, 3), (2, 3), (4, 4)]:
        assert blocks.uids_of(engine, np.array([row])) == [f"1.{row}"]
        assert len(queries) == expected
    blocks.clear()
    assert blocks.uids_of(engine, np.array([4])) == ["1.4"]
    assert len(queries) == 5
