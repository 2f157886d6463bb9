"""Lock files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

if sys.platform != "win32":
    import fcntl

from idc_widgets._util import locks


def like_nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace flock by lockf, as NFS does, so that locks behave as they do there."""
    if sys.platform == "win32":
        pytest.skip("there is no flock")
    monkeypatch.setattr("fcntl.flock", fcntl.lockf)


@pytest.mark.parametrize("disk", ["local", "NFS"])
def test_only_one_thread_holds_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: str
) -> None:
    if disk == "NFS":
        like_nfs(monkeypatch)
    path = tmp_path / "lock"
    with locks.locked(path) as first:
        assert first is True
        with locks.locked(path) as second:
            assert second is False
        in_thread: list[bool | None] = []

        def try_it() -> None:
            with locks.locked(path) as third:
                in_thread.append(third)

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        assert in_thread == [False]
        assert path.exists(), "only the holder removes the file"
    assert not path.exists()


@pytest.mark.parametrize("disk", ["local", "NFS"])
def test_a_read_only_descriptor_can_hold_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: str
) -> None:
    """A read-only descriptor gets a lock unless another process holds an exclusive one."""
    if disk == "NFS":
        like_nfs(monkeypatch)
    path = tmp_path / "lock"
    path.touch()
    code = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'w')\n"
        f"fcntl.{'lockf' if disk == 'NFS' else 'flock'}(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with (
        path.open("rb") as file,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
    ):
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        assert locks.try_lock(file.fileno()) is False
        assert locks.try_lock(file.fileno(), shared=True) is False
        other.stdin.close()
        other.wait(30)
        assert locks.try_lock(file.fileno(), shared=True) is True
        assert locks.try_lock(file.fileno()) is True


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), locks.locked(path):
        _ = 1 / 0
    with locks.locked(path) as is_held:
        assert is_held is True


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove open files")
def test_the_lock_of_a_removed_file_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    with path.open("w") as file:
        assert locks._is_at(path, file.fileno())
        path.unlink()
        assert not locks._is_at(path, file.fileno())
        path.touch()
        assert not locks._is_at(path, file.fileno())

    def lock_after_removal(_file: int, _how: int) -> None:
        path.unlink()

    monkeypatch.setattr("fcntl.flock", lock_after_removal)
    with locks.locked(path) as is_held:
        assert is_held is False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks files by other calls")
@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOLCK, None), (errno.ENOTSUP, None), (errno.EWOULDBLOCK, False), (errno.EIO, False)],
)
def test_errors_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: bool | None
) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locks.locked(tmp_path / "lock") as is_held:
        assert is_held is expected
    with (tmp_path / "file").open("w") as file:
        if number == errno.EIO:
            with pytest.raises(OSError, match="refused"):
                locks.try_lock(file.fileno())
        else:
            assert locks.try_lock(file.fileno()) is expected


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_planted_links_and_pipes_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"), locks.locked(tmp_path / "link"):
        pass
    assert not (tmp_path / "elsewhere").exists()
    os.mkfifo(tmp_path / "pipe")
    with locks.locked(tmp_path / "pipe") as is_held:
        assert is_held is True, "it does not wait for a reader"
