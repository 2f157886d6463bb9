"""The folder that DuckDB writes to when memory is short."""

from __future__ import annotations

import gc
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from idc_widgets import DuckDBEngine
from idc_widgets.query import spill_folder


def _setting(engine: DuckDBEngine, name: str) -> str:
    [(value,)] = engine.rows(f"SELECT current_setting('{name}')")
    return str(value)


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_each_engine_has_a_private_folder_with_a_limit(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(temporary_folder)
    first, second = DuckDBEngine(), DuckDBEngine()
    folders = [Path(_setting(engine, "temp_directory")) for engine in (first, second)]
    assert folders[0] != folders[1]
    for folder in folders:
        assert folder.parent == temporary_folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    number, unit = _setting(first, "max_temp_directory_size").split()
    assert unit in ("GiB", "MiB", "KiB", "bytes")
    assert unit != "GiB" or float(number) < 10
    del first, second
    gc.collect()
    assert list(temporary_folder.iterdir()) == []


def test_a_large_sort_spills_into_it(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(temporary_folder)
    usual = spill_folder.SpillFolder.settings

    def settings(self: spill_folder.SpillFolder) -> list[str]:
        return [*usual(self), "SET memory_limit = '200MB'", "SET threads = 1"]

    monkeypatch.setattr(spill_folder.SpillFolder, "settings", settings)
    engine = DuckDBEngine()
    seen: set[str] = set()
    folder, ended = Path(_setting(engine, "temp_directory")), threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            seen.update(path.name for path in folder.iterdir())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        rows = engine._cursor().execute(
            "SELECT md5(i::VARCHAR) AS a, sha256(i::VARCHAR) AS b FROM range(4_000_000) AS t(i)"
            " ORDER BY a"
        )
        while rows.fetchmany(500_000):
            pass
    finally:
        ended.set()
        watcher.join()
    assert any(name.startswith("duckdb_temp") for name in seen), seen
    assert not (temporary_folder / ".tmp").exists()


def test_a_folder_that_a_cleaner_removed_is_made_again(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = spill_folder.SpillFolder.settings

    def settings(self: spill_folder.SpillFolder) -> list[str]:
        return [*usual(self), "SET memory_limit = '200MB'", "SET threads = 1"]

    monkeypatch.setattr(spill_folder.SpillFolder, "settings", settings)
    engine = DuckDBEngine()
    folder = Path(_setting(engine, "temp_directory"))
    # A sort spills at such a limit; an aggregation sometimes fails for want of memory.
    large = (
        "SELECT i FROM (SELECT i, sha256(i::VARCHAR) AS b FROM range(1_500_000) AS t(i))"
        " ORDER BY b OFFSET 1_499_999"
    )
    for _ in range(2):
        shutil.rmtree(folder)
        assert len(engine.rows(large)) == 1
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    other = spill_folder.SpillFolder()
    assert other.path is not None
    assert not spill_folder.remove_unless_held(folder / "in_use"), "other processes see its mark"
    other.close()


def test_without_a_temporary_folder_queries_work(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary_folder / "missing"))
    engine = DuckDBEngine()
    assert engine.rows("SELECT count(*) FROM index") == [(1_044_191,)]
    assert _setting(engine, "temp_directory") == ""


def test_the_folders_of_killed_processes_are_removed(temporary_folder: Path) -> None:
    script = """
import os, sys, tempfile
tempfile.tempdir = sys.argv[1]
from idc_widgets import DuckDBEngine
engine = DuckDBEngine()
print("open", flush=True)
sys.stdin.read()
os._exit(1)
"""
    command = [sys.executable, "-c", script, str(temporary_folder)]
    spill_folder._swept_in.clear()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        foreign = temporary_folder / "idc_widgets_spill_of_mine"
        foreign.mkdir()
        engine = DuckDBEngine()
        assert len(list(temporary_folder.iterdir())) == 3, "the folder of a live process stays"
        process.kill()
    spill_folder._swept_in.clear()
    another = DuckDBEngine()
    left = {path for path in temporary_folder.iterdir() if path != foreign}
    assert left == {Path(_setting(each, "temp_directory")) for each in (engine, another)}


def test_a_forked_child_leaves_the_folder_of_its_parent(temporary_folder: Path) -> None:
    folder = spill_folder.SpillFolder()
    assert folder.path is not None
    child = os.fork()
    if child == 0:
        folder.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert folder.path.is_dir()
    folder.close()
    assert list(temporary_folder.iterdir()) == []
