"""The cache file of the index in memory: damaged files are ignored and replaced."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from idc_widgets import DuckDBEngine, IDCClient
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
