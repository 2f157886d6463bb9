"""Prepare the index in another process, once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from idc_widgets import DuckDBEngine, IDCClient, Index
from idc_widgets._util import locked
from idc_widgets.query import prepare_once, start_preparing

SECONDS = 360


@pytest.fixture
def engine(small_index: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDBEngine:
    """Return an engine of the small index, which other processes find installed, too."""
    (small_index / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(small_index.parent))
    monkeypatch.delenv("IDC_WIDGETS_AUTO_CACHE")
    monkeypatch.setattr(prepare_once, "_MIN_FREE_BYTES", 10**6)
    return DuckDBEngine()


def _prepared_files(engine: DuckDBEngine) -> list[bool]:
    index = engine.index
    assert index.prepared is not None
    assert index.prepared_encoding is not None
    return [index.prepared.exists(), index.prepared_encoding.exists()]


def test_a_process_prepares_the_index_and_ends(engine: DuckDBEngine) -> None:
    process = start_preparing(engine)
    assert process is not None
    assert process.wait(SECONDS) == 0
    assert _prepared_files(engine) == [True, True]
    assert start_preparing(DuckDBEngine()) is None
    assert IDCClient().engine.files["index"] == engine.index.prepared  # type: ignore[attr-defined]
    assert engine.index.prepared is not None
    assert not list(engine.index.prepared.parent.glob(".*"))  # no lock, nothing unfinished


def test_one_process_prepares_at_a_time(engine: DuckDBEngine) -> None:
    assert engine.index.prepared is not None
    folder = engine.index.prepared.parent
    folder.mkdir()
    with locked(folder / ".prepare.lock") as is_held:
        assert is_held
        process = start_preparing(engine)
        assert process is not None
        assert process.wait(SECONDS) == 0
    assert _prepared_files(engine) == [False, False]


def test_another_index_is_left_alone(engine: DuckDBEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.index, "source", "25.0.5-00000000")
    process = start_preparing(engine)
    assert process is not None
    assert process.wait(SECONDS) == 0
    assert _prepared_files(engine) == [False, False]


@pytest.mark.skipif(sys.platform == "win32", reason="reads the priority of a process")
@pytest.mark.parametrize(
    ("work", "seconds", "code"),
    [("sys.exit(os.nice(0))", SECONDS, 19), ("time.sleep(600)", 0.1, 1)],
)
def test_the_process_has_low_priority_and_a_limit_of_time(
    work: str, seconds: float, code: int
) -> None:
    program = (
        "import os, sys, time\n"
        "from idc_widgets.query import prepare_once\n"
        f"prepare_once.Index = lambda: {work}\n"
        f"prepare_once.prepare_here('', {seconds})"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=SECONDS, check=False)
    assert done.returncode == code


@pytest.mark.parametrize("reason", ["setting", "space", "own table", "no cache folder"])
def test_nothing_is_prepared(
    engine: DuckDBEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    if reason == "setting":
        monkeypatch.setenv("IDC_WIDGETS_AUTO_CACHE", "0")
    elif reason == "space":
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(prepare_once, "_MIN_FREE_BYTES", usage.total + 1)
    elif reason == "own table":
        engine = DuckDBEngine(Index(engine.index.shipped))
    else:
        monkeypatch.setattr(engine.index, "prepared", None)

    def fail(*_arguments: Any, **_keywords: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", fail)
    assert start_preparing(engine) is None


def test_a_system_that_starts_no_process(
    engine: DuckDBEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(Path(sys.executable).with_name("missing")))
    assert start_preparing(engine) is None
