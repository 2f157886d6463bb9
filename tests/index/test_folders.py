"""Home, cache and data folders that are missing, unreadable or relative."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_index import SERIES

from idc_widgets import IDCClient, Index
from idc_widgets.index.folders import cache_folder, data_folder

USE = """
from idc_widgets import FetchError, IDCClient, IndexFileError
client = IDCClient()
assert client.cohort().summary().series == SERIES
assert len(client.sql("SELECT 1")) == 1
assert len(client.tables()) >= 5
"""

REFUSED = (
    USE
    + """
try:
    client.build_cache()
except IndexFileError as error:
    print("build_cache:", error)
try:
    client.fetch_table("seg_index", progress=False)
except FetchError as error:
    print("fetch:", error)
"""
)


def _run(package: Path, script: str, home: str, **env: str) -> str:
    """Run a script in a new process, with the small index in place of the whole one."""
    small = f"""
import pathlib
from idc_widgets.index import catalog
catalog.package_folder = lambda: pathlib.Path({str(package)!r})
SERIES = {SERIES}
"""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("IDC_WIDGETS_", "XDG_", "HOME"))
    }
    done = subprocess.run(
        [sys.executable, "-c", small + script],
        capture_output=True,
        text=True,
        check=False,
        env=kept | {"HOME": home, "PYTHONDONTWRITEBYTECODE": "1"} | env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_relative_folder_stays_where_it_was(
    small_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", "cache")
    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", "data")
    IDCClient().build_cache()
    client = IDCClient()
    monkeypatch.chdir(tmp_path / "other")
    assert client.sql("SELECT count(*) AS n FROM index").n[0] == SERIES
    assert Index().prepared != client.engine.index.prepared  # type: ignore[attr-defined]


@pytest.mark.parametrize("chosen", ["~/x", "~"])
def test_a_tilde_is_the_home_folder(
    chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", chosen)
    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", chosen)
    expected = Path(os.path.expanduser(chosen))
    assert tmp_path in (expected, *expected.parents)
    assert cache_folder() == data_folder() == expected


def test_a_client_opens_without_a_home(small_package: Path) -> None:
    script = (
        "import platformdirs\n"
        "def missing(*args, **options): raise RuntimeError('no home')\n"
        "platformdirs.user_cache_path = platformdirs.user_data_path = missing\n" + REFUSED
    )
    output = _run(small_package, script, "/nonexistent")
    assert "set the environment variable IDC_WIDGETS_CACHE_DIR" in output
    assert "set the environment variable IDC_WIDGETS_DATA_DIR" in output


@pytest.mark.parametrize("kind", ["is a file", "cannot be entered", "cannot be created"])
def test_a_client_opens_with_a_home_that_cannot_be_used(
    kind: str, small_package: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    prelude = ""
    if kind == "is a file":
        home.touch()
    elif kind == "cannot be entered":
        home.mkdir()
        # Refuse access in Python: tests may run as root, and root can enter every folder.
        prelude = f"""
import os, pathlib
real = os.stat
def stat(path, *args, **options):
    if str(path).startswith({str(home)!r}):
        raise PermissionError(13, "Permission denied", str(path))
    return real(path, *args, **options)
os.stat = stat
real_mkdir = os.mkdir
def mkdir(path, *args, **options):
    if str(path).startswith({str(home)!r}):
        raise PermissionError(13, "Permission denied", str(path))
    return real_mkdir(path, *args, **options)
os.mkdir = mkdir
"""
    else:
        home = Path("/proc/nowhere")
    output = _run(small_package, prelude + REFUSED, str(home))
    prepared, fetched = output.splitlines()
    assert prepared.startswith("build_cache: cannot write")
    assert prepared.endswith(
        "; to use another folder, set the environment variable IDC_WIDGETS_CACHE_DIR"
    )
    assert fetched.startswith("fetch: cannot fetch seg_index")


def test_a_client_opens_in_a_folder_that_was_deleted(small_package: Path, tmp_path: Path) -> None:
    script = f"import os; os.chdir({str(tmp_path)!r}); os.mkdir('x'); os.chdir('x')\n"
    _run(small_package, script + "os.rmdir('../x')\n" + USE, str(tmp_path))
    relative = {"IDC_WIDGETS_CACHE_DIR": "cache", "IDC_WIDGETS_DATA_DIR": "data"}
    _run(small_package, script + "os.rmdir('../x')\n" + USE, str(tmp_path), **relative)
