"""Read the index into memory."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idc_widgets import IDCClient, IDCError
from idc_widgets.query.memory import read_index


def test_a_series_in_several_rows_of_a_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    columns = {name: ["1", "1", "1"] for name in ("StudyInstanceUID", "PatientID", "collection_id")}
    pq.write_table(pa.table({"SeriesInstanceUID": ["1.1", "1.2", "1.1"], **columns}), path)
    with pytest.raises(IDCError, match=r"the series '1\.1' in several rows"):
        IDCClient(path).cohort().summary()


def test_the_default_allocator_of_arrow_is_restored() -> None:
    backend = pa.default_memory_pool().backend_name
    clients = [IDCClient() for _ in range(3)]
    threads = [Thread(target=read_index.read_index, args=(client.engine,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pa.default_memory_pool().backend_name == backend
