"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from idc_widgets._util import atomic, write_whole


@pytest.mark.parametrize("content", ["é\r\n", "é\r\n".encode(), ["é", "\r\n"]])
def test_text_bytes_and_pieces_are_written_as_they_are(tmp_path: Path, content: str) -> None:
    atomic.write_whole(tmp_path / "a", "before")
    atomic.write_whole(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == "é\r\n".encode()
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("only_writer", [False, True])
def test_an_error_leaves_the_old_file(tmp_path: Path, only_writer: bool) -> None:
    def pieces() -> Iterator[str]:
        yield "new"
        raise ZeroDivisionError

    target = tmp_path / "a"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        atomic.write_whole(target, pieces(), only_writer=only_writer)
    with pytest.raises(KeyboardInterrupt), atomic.replaced_when_complete(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(OSError), atomic.replaced_when_complete(target):
        pass  # nothing was written, so nothing can be renamed
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_the_only_writer_replaces_the_file_of_a_killed_process(tmp_path: Path) -> None:
    (tmp_path / ".a.tmp").write_text("half a file")
    atomic.write_whole(tmp_path / "a", "whole", only_writer=True)
    assert (tmp_path / "a").read_text() == "whole"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / ".a.tmp").symlink_to(tmp_path / "other")
    (tmp_path / "a").symlink_to(tmp_path / "other")
    atomic.write_whole(tmp_path / "a", "new", only_writer=True)
    assert (tmp_path / "other").read_text() == "mine"
    assert (tmp_path / "a").read_text() == "new" and not (tmp_path / "a").is_symlink()


def test_a_name_as_long_as_the_disk_allows(tmp_path: Path) -> None:
    atomic.write_whole(tmp_path / ("a" * 255), "text")
    assert os.listdir(tmp_path) == ["a" * 255]


def test_a_folder_that_another_process_made_first_stays(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    atomic.move_into_place(tmp_path / "ours", tmp_path / "theirs")
    assert [path.name for path in tmp_path.rglob("*")] == ["theirs", "theirs"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        atomic.move_into_place(tmp_path / "file", tmp_path / "theirs")


def test_files_and_folders_are_removed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    for name in ("folder", "folder"):
        atomic.remove(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["missing/manifest.s5cmd", "folder"])
def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as caught:
        write_whole(tmp_path / name, "text")
    assert caught.value.filename == str(tmp_path / name)
    assert ".tmp" not in str(caught.value)
    assert list(tmp_path.rglob(".*")) == []
