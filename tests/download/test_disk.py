"""Files on disk, and checks of folders and space."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from idc_widgets.download import DownloadPlan, disk
from idc_widgets.errors import DownloadError

UUID = "0a1b2c3d-0000-4000-8000-00000000ffff"


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems may fill the hole")
def test_bytes_that_have_not_arrived_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "part"
    with open(path, "wb") as file:  # the last part of a large file arrives first
        file.seek(10_000_000)
        file.write(b"x" * 8192)
        os.fsync(file.fileno())
    assert 8192 <= disk.allocated_bytes(str(path)) < 100_000
    path.write_bytes(b"x" * 10)
    assert disk.allocated_bytes(str(path)) == 10
    assert disk.allocated_bytes(str(tmp_path / "gone")) == 0


def test_the_size_is_used_if_no_block_was_ever_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"x" * 10_000)
    known = path.stat()
    blocks = 0

    class Status:
        def __getattr__(self, name: str) -> Any:
            return blocks if name == "st_blocks" else getattr(known, name)

    monkeypatch.setattr(disk, "_devices_with_blocks", set(), raising=False)
    monkeypatch.setattr(disk.os, "stat", lambda path: Status())
    assert disk.allocated_bytes(str(path)) == 10_000
    blocks = 8
    assert disk.allocated_bytes(str(path)) == 8 * 512
    blocks = 0  # as if the file had no data yet, only a size
    assert disk.allocated_bytes(str(path)) == 0


def test_only_unfinished_files_are_removed(tmp_path: Path) -> None:
    kept = {f"{UUID}.dcm", f"{UUID}.dcm.1", f"{UUID}.dcmx1", f"x{UUID}.dcm1", "1.dcm1", "notes"}
    kept |= {f"{UUID}.dcm2", f"{UUID}.dcm12345678901"}
    for name in {*kept, f"{UUID}.dcm12345", f"{UUID.upper()}.dcm4294967295"}:
        (tmp_path / name).touch()
    (tmp_path / f"{UUID}.dcm99999").mkdir()
    disk.remove_unfinished_files(tmp_path)
    assert set(os.listdir(tmp_path)) == {*kept, f"{UUID}.dcm99999"}
    disk.remove_unfinished_files(tmp_path / "gone")


def test_a_folder_that_another_job_creates_and_removes(tmp_path: Path) -> None:
    folder, done = tmp_path / "a" / "b", threading.Event()

    def other() -> None:
        while not done.is_set():
            folder.mkdir(parents=True, exist_ok=True)
            for path in (folder, folder.parent):
                with suppress(OSError):  # the folder is not empty
                    path.rmdir()
            time.sleep(0.0001)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        for _ in range(500):
            disk.check_folder(folder)
    finally:
        done.set()
        thread.join()


def test_dicom_files(tmp_path: Path) -> None:
    for name in (f"{UUID}.dcm", f"{UUID}.dcm77777", f"._{UUID}.dcm", "mine.dcm", "b.txt"):
        (tmp_path / name).write_bytes(b"123")
    (tmp_path / f"{UUID[:-1]}0.dcm").mkdir()
    assert disk.dicom_files(tmp_path) == {f"{UUID}.dcm": 3}
    assert disk.dicom_files(tmp_path / "gone") == {}
    assert disk.dicom_files(tmp_path / "b.txt") == {}


def test_tagged_files(tmp_path: Path) -> None:
    one, two = f"{UUID}.dcm", f"{UUID[:-1]}0.dcm"
    for name in (f"a_{one}", f"a_{two}", f"b_{one}", one, "a_1.dcm", f"a_{one}77777", f"a_b_{one}"):
        (tmp_path / name).write_bytes(b"123")
    (tmp_path / f"c_{one}").mkdir()
    assert disk.tagged_files(tmp_path) == {"a": {one: 3, two: 3}, "b": {one: 3}}
    assert disk.tagged_files(tmp_path / "gone") == {}


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_a_broken_entry_does_not_hide_the_others(tmp_path: Path) -> None:
    one, loop, two = (f"{UUID[:-1]}{end}.dcm" for end in "abc")
    (tmp_path / one).write_bytes(b"123")
    (tmp_path / loop).symlink_to(tmp_path / loop)
    (tmp_path / two).write_bytes(b"1234")
    assert disk.dicom_files(tmp_path) == {one: 3, two: 4}


def test_free_space(tmp_path: Path) -> None:
    free, margin = disk.free_space(tmp_path / "new")
    assert free > 0 and 0 < margin <= 10**9
    disk.check_space(tmp_path, 0)
    disk.check_space(tmp_path, free - 2 * margin)
    with pytest.raises(DownloadError, match=r"are free, of which .* must be left"):
        disk.check_space(tmp_path, free)


def test_a_folder_that_is_a_file(ct: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(DownloadError, match="file is a file"):
        DownloadPlan.make(ct, file)
    with pytest.raises(DownloadError, match=r"cannot be created: .*file is a file"):
        DownloadPlan.make(ct, file / "below")
    assert file.read_text() == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="even root cannot write into /proc")
def test_a_folder_that_cannot_be_written(ct: pa.Table) -> None:
    with pytest.raises(DownloadError, match=r"cannot write to /proc/x/y: .*; choose another"):
        DownloadPlan.make(ct, "/proc/x/y")
    with pytest.raises(DownloadError, match=r"no files can be stored in /proc/x: .* has no space"):
        DownloadPlan.check_capacity("/proc/x", 45_300_000_000)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_folder_of_another_user(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from idc_widgets.download import disk\n"
        "from idc_widgets.errors import DownloadError\n"
        "folder = Path(sys.argv[1])\n"
        "if os.getuid() == 0: os.setuid(65534)\n"  # permissions do not bind root
        "try: disk.check_folder(folder / 'new')\n"
        "except DownloadError as error: print(error)\n"
    )
    # Below /tmp, because other users cannot enter pytest's own folders
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        answer = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
        )
        assert answer.stdout.startswith(f"cannot write to {folder}/new: Permission denied")
