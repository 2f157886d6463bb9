"""Reading files in folders where somebody else may put pipes, devices and links."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from idc_widgets._util import open_regular, read_regular


def test_a_regular_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(path, 4)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "missing", 5)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["pipe", "link", "device", "folder"])
def test_other_things_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "planted"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link":
            (tmp_path / "other").write_bytes(b"1")
            path.symlink_to("other")
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
    open_files = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    with pytest.raises(OSError, match="it is not a regular file"):
        read_regular(path, 5)
    with pytest.raises(OSError, match="it is not a regular file"):
        open_regular(path)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == open_files


@pytest.mark.skipif(sys.platform != "linux", reason="it reads a file of Linux")
def test_a_file_that_is_longer_than_its_size_is_read_up_to_the_limit() -> None:
    """A file may grow while it is read. The files of /proc have content and the size 0."""
    path = Path("/proc/self/status")
    assert path.stat().st_size == 0
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_regular(path, 10)
