"""Lock files, which the record of downloads and fetched tables share."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from idc_widgets._util import locks


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.locked(path) as ours:
        assert ours is True
        with locks.locked(path) as others:
            assert others is False
        found: list[bool | None] = []

        def look() -> None:
            with locks.locked(path) as other:
                found.append(other)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert found == [False] and path.exists(), "who has not got it removes nothing"
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), locks.locked(path):
        _ = 1 / 0
    with locks.locked(path) as ours:
        assert ours is True


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be removed there")
def test_a_lock_file_that_was_removed_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    with path.open("w") as file:
        assert locks._is_at(path, file.fileno())
        path.unlink()
        assert not locks._is_at(path, file.fileno())
        path.touch()
        assert not locks._is_at(path, file.fileno())

    def too_late(file: int, how: int) -> None:
        path.unlink()

    monkeypatch.setattr("fcntl.flock", too_late)
    with locks.locked(path) as ours:
        assert ours is False


@pytest.mark.skipif(sys.platform == "win32", reason="other calls lock files there")
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locks.locked(tmp_path / "lock") as ours:
        assert ours is None


@pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
def test_what_somebody_put_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"), locks.locked(tmp_path / "link"):
        pass
    assert not (tmp_path / "elsewhere").exists()
    os.mkfifo(tmp_path / "pipe")
    with locks.locked(tmp_path / "pipe") as ours:
        assert ours is True, "nobody has to read it"
