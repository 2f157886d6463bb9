"""What is on the disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from idc_widgets.download import disk
from idc_widgets.errors import DownloadError

UUID = "0a1b2c3d-0000-4000-8000-00000000ffff"


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems may fill the hole")
def test_bytes_that_did_not_arrive_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "part"
    with open(path, "wb") as file:  # the last part of a large file has come first
        file.seek(10_000_000)
        file.write(b"x" * 8192)
        os.fsync(file.fileno())
    assert 8192 <= disk.allocated(str(path)) < 100_000
    path.write_bytes(b"x" * 10)
    assert disk.allocated(str(path)) == 10
    assert disk.allocated(str(tmp_path / "gone")) == 0


def test_only_unfinished_files_are_removed(tmp_path: Path) -> None:
    kept = {f"{UUID}.dcm", f"{UUID}.dcm.1", f"{UUID}.dcmx1", f"x{UUID}.dcm1", "1.dcm1", "notes"}
    for name in {*kept, f"{UUID}.dcm123", f"{UUID.upper()}.dcm0"}:
        (tmp_path / name).touch()
    (tmp_path / f"{UUID}.dcm9").mkdir()
    disk.remove_temps(tmp_path)
    assert set(os.listdir(tmp_path)) == {*kept, f"{UUID}.dcm9"}
    disk.remove_temps(tmp_path / "gone")


def test_dicom_files(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"123")
    (tmp_path / "a.dcm7").write_bytes(b"123")
    (tmp_path / "b.txt").write_bytes(b"123")
    (tmp_path / "c.dcm").mkdir()
    assert disk.dicom_files(tmp_path) == {"a.dcm": 3}
    assert disk.dicom_files(tmp_path / "gone") == {}
    assert disk.dicom_files(tmp_path / "b.txt") == {}


def test_tagged_files(tmp_path: Path) -> None:
    for name in ("a_1.dcm", "a_2_x.dcm", "b_1.dcm", "c.dcm", "_1.dcm", "a_1.dcm7", "a_3.txt"):
        (tmp_path / name).write_bytes(b"123")
    (tmp_path / "a_4.dcm").mkdir()
    assert disk.tagged_files(tmp_path) == {
        "a": {"1.dcm": 3, "2_x.dcm": 3},
        "b": {"1.dcm": 3},
        "": {"1.dcm": 3},
    }
    assert disk.tagged_files(tmp_path / "gone") == {}


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_a_file_that_cannot_be_looked_at_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"123")
    (tmp_path / "loop.dcm").symlink_to(tmp_path / "loop.dcm")
    (tmp_path / "b.dcm").write_bytes(b"1234")
    assert disk.dicom_files(tmp_path) == {"a.dcm": 3, "b.dcm": 4}


def test_space(tmp_path: Path) -> None:
    free, margin = disk.space(tmp_path / "new")
    assert free > 0 and 0 < margin <= 10**9
    disk.check_space(tmp_path, 0)
    disk.check_space(tmp_path, free - 2 * margin)
    with pytest.raises(DownloadError, match=r"are free, of which .* must be left"):
        disk.check_space(tmp_path, free)
