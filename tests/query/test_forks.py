"""Queries in forked children, such as the workers of a PyTorch DataLoader."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from pathlib import Path

import pytest
from support.forks import DEADLINE_SECONDS, in_a_child

from idc_widgets import IDCClient, IndexFileError
from idc_widgets.query import row_source

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def test_a_forked_child_can_query(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics")
    expected = cohort.summary(), row_source(cohort, "series").window(0, 3)

    def check() -> None:
        assert client.sql("SELECT count(*) AS n FROM index").n[0] == 1_044_191
        assert (cohort.summary(), row_source(cohort, "series").window(0, 3)) == expected
        assert client.cohort(PatientID="LUNG1-365").series().shape[0] > 0

    in_a_child(check)
    assert (cohort.summary(), row_source(cohort, "series").window(0, 3)) == expected


def test_threads_of_a_child_and_a_child_of_the_child_can_query(client: IDCClient) -> None:
    client.sql("SELECT 1")

    def count(results: list[int]) -> None:
        results.append(client.sql("SELECT count(*) AS n FROM index").n[0])

    def check() -> None:
        results: list[int] = []
        threads = [threading.Thread(target=count, args=(results,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [1_044_191] * 4
        in_a_child(lambda: count([]))

    in_a_child(check)


def test_a_process_can_fork_while_its_threads_query(client: IDCClient) -> None:
    stop = threading.Event()

    def query() -> None:
        while not stop.is_set():
            client.cohort(Modality="XC").summary()
            client.sql("SELECT max(SeriesInstanceUID) FROM index")

    threads = [threading.Thread(target=query) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            in_a_child(lambda: client.sql("SELECT count(*) AS n FROM index"))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _count(client: IDCClient) -> int:
    return int(client.sql("SELECT count(*) AS n FROM index").n[0])


def test_workers_of_multiprocessing_end(client: IDCClient) -> None:
    client.sql("SELECT 1")
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def work() -> None:
        results.put(_count(client))

    worker = context.Process(target=work)
    worker.start()
    worker.join(DEADLINE_SECONDS)
    assert worker.exitcode == 0
    assert results.get() == 1_044_191


def test_a_child_that_exits_normally_ends(tmp_path: Path) -> None:
    import subprocess

    script = """
import os, sys
from idc_widgets import IDCClient
client = IDCClient()
client.cohort(Modality="CT").summary()
child = os.fork()
if child == 0:
    if sys.argv[1] == "query":
        client.sql("SELECT count(*) FROM index")
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print(client.sql("SELECT 1 AS one").one[0])
"""
    for what in ("query", "nothing"):
        done = subprocess.run(
            [sys.executable, "-c", script, what],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.stdout == "1\n", done.stderr


def test_a_child_refuses_a_table_that_was_changed_since_it_was_opened(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    header = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n"
    own.write_text(header + "1.1,1,P,c\n")
    client = IDCClient(own)
    assert client.cohort().summary().series == 1
    own.write_text(header + "1.2,1,P,c\n1.3,1,P,c\n")

    def check() -> None:
        for _ in range(2):
            with pytest.raises(IndexFileError, match="make a new client"):
                client.sql("SELECT * FROM index")

    in_a_child(check)
