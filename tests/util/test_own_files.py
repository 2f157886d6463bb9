"""Files and folders of this user in places where others may write."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from idc_widgets._util import own_files

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and links differ on Windows")


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    own_files.make_own_folder(folder)
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match=r"everybody may write to .*; run chmod o-w"):
        own_files.make_own_folder(folder)
    folder.chmod(0o1777)  # sticky, like /tmp
    own_files.make_own_folder(folder)
    folder.chmod(0o775)  # allowed, because users often have a group of their own
    own_files.make_own_folder(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_files_and_links_of_another_user_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    own_files.make_own_folder(tmp_path / "link" / "below")  # a link of the user is followed
    os.chown(tmp_path / "link", 12345, 12345, follow_symlinks=False)
    with pytest.raises(PermissionError, match="is a link that another user made"):
        own_files.make_own_folder(tmp_path / "link" / "below")
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    (tmp_path / "theirs").chmod(0o1777)
    with pytest.raises(PermissionError, match="everybody may write"):
        own_files.make_own_folder(tmp_path / "theirs")
    part = tmp_path / "part"
    part.write_text("theirs")
    os.chown(part, 12345, 12345)
    assert own_files.partial_size(part) == 0
    with pytest.raises(PermissionError, match="not a file of this user"):
        own_files.open_partial(part, resume=True)


def test_a_partial_file_is_created_anew_or_resumed(tmp_path: Path) -> None:
    part = tmp_path / "part"
    assert own_files.partial_size(part) == 0
    with own_files.open_partial(part, resume=False) as file:
        file.write(b"one ")
    assert own_files.partial_size(part) == 4
    with own_files.open_partial(part, resume=True) as file:
        file.write(b"two")
    assert part.read_bytes() == b"one two"
    with own_files.open_partial(part, resume=False) as file:
        file.write(b"three")
    assert part.read_bytes() == b"three"


def test_links_and_pipes_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    part = tmp_path / "part"
    for plant in (
        lambda: part.symlink_to(tmp_path / "victim"),
        lambda: part.symlink_to(tmp_path / "new"),
        lambda: part.hardlink_to(tmp_path / "victim"),
        lambda: os.mkfifo(part),
    ):
        plant()
        assert own_files.partial_size(part) == 0
        with pytest.raises(OSError):
            own_files.open_partial(part, resume=True)
        with own_files.open_partial(part, resume=False) as file:
            file.write(b"table")
        part.unlink()
    assert (tmp_path / "victim").read_text() == "precious"
    assert os.listdir(tmp_path) == ["victim"]


def test_a_planted_link_in_place_of_a_partial_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    part = tmp_path / "part"
    part.symlink_to(tmp_path / "victim")
    own_files.make_partial_folder(part)
    assert part.is_dir() and not part.is_symlink()
    (part / "file").touch()
    own_files.make_partial_folder(part)
    assert (part / "file").exists(), "a folder of this user is kept"
    assert list((tmp_path / "victim").iterdir()) == []
