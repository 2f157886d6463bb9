"""Read the index into memory."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idc_widgets import DuckDBEngine, IDCClient, IDCError, IndexFileError
from idc_widgets.query.memory import read_index
from idc_widgets.query.memory.once import WORKER_NAME, Once, make_ahead


def test_a_series_in_several_rows_of_a_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    columns = {name: ["1", "1", "1"] for name in ("StudyInstanceUID", "PatientID", "collection_id")}
    pq.write_table(pa.table({"SeriesInstanceUID": ["1.1", "1.2", "1.1"], **columns}), path)
    with pytest.raises(IDCError, match=r"the series '1\.1' in several rows"):
        IDCClient(path).cohort().summary()


def _wait_for_workers() -> None:
    """Wait until no thread reads columns ahead."""
    for thread in threading.enumerate():
        if thread.name == WORKER_NAME:
            thread.join()


def test_the_default_allocator_of_arrow_is_restored() -> None:
    _wait_for_workers()  # earlier tests may have started some
    backend = pa.default_memory_pool().backend_name
    clients = [IDCClient() for _ in range(3)]
    threads = [Thread(target=read_index.read_index, args=(client.engine,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _wait_for_workers()
    assert pa.default_memory_pool().backend_name == backend


@pytest.mark.parametrize("threads", ["none can be started", "one works ahead"])
def test_columns_that_are_read_later_are_the_same(
    small_index: Path, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if threads == "none can be started":

        def fail(_thread: Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(Thread, "start", fail)
    engine = DuckDBEngine()
    index = read_index.read_index(engine)
    _wait_for_workers()
    rows = engine.rows("SELECT StudyInstanceUID, SeriesDescription, Modality FROM index")
    descriptions = index.series_columns["SeriesDescription"]
    assert descriptions.decode(descriptions.codes) == [row[1] for row in rows]
    uids = index.study_uids.take(pa.array(index.study_of_series)).to_pylist()
    assert uids == [row[0] for row in rows]
    modality = index.group_columns["Modality"]
    assert modality.decode(modality.codes[index.group_of_series]) == [row[2] for row in rows]


def test_a_file_that_is_replaced_before_its_last_column_was_read(
    small_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_index, "make_ahead", lambda *_: None)
    engine = DuckDBEngine()
    index = read_index.read_index(engine)
    path = engine.index.shipped
    path.write_bytes(path.read_bytes())
    for _ in range(2):  # the second use raises the same error
        with pytest.raises(IndexFileError, match="was changed or replaced"):
            _ = index.study_uids
    assert index.group_of_series.size


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")
def test_a_forked_child_reads_what_a_thread_of_its_parent_was_reading() -> None:
    lock, started = threading.Event(), threading.Event()

    def wait() -> int:
        started.set()
        lock.wait()
        return 1

    value = Once(wait)
    make_ahead([value], lambda: None)
    started.wait()
    child = os.fork()
    if child == 0:
        lock.set()
        os._exit(0 if value.get() == 1 else 1)
    lock.set()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert value.get() == 1
