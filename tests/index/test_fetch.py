"""Fetched files are complete and checked, or not there at all."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.fileserver import Answer, Cut, FileServer, HangUp, IgnoreRange, Stall
from support.table_server import (
    BIG,
    CLINICAL,
    RELEASE,
    SEG,
    client_of,
    names_below,
    unused_url,
    with_checksums,
)

import idc_widgets
from idc_widgets import FetchError, IDCClient, Index, InvalidQueryError
from idc_widgets.index import fetch_file, progress_line


def _fetch_big(mirror: FileServer, target: Path, *more: str, **named: object) -> Path:
    urls = [f"{mirror.url}/big", *more]
    sums = [f"{url}.sha256" for url in urls]
    return fetch_file("big", urls, target, sha256_urls=sums, pause=0.01, **named)  # type: ignore[arg-type]


def test_a_file_arrives_with_progress(mirror: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = _fetch_big(mirror, tmp_path / "new" / "big", progress=lambda *now: seen.append(now))
    assert target.read_bytes() == BIG
    assert names_below(tmp_path / "new") == ["big"]
    assert seen == sorted(seen)
    assert seen[-1] == (len(BIG), len(BIG))


def test_a_broken_transfer_is_resumed_at_once(mirror: FileServer, tmp_path: Path) -> None:
    mirror.fault = lambda request: (
        Cut(200_000) if request.path == "big" and not request.range else None
    )
    assert _fetch_big(mirror, tmp_path / "d" / "big").read_bytes() == BIG
    first, second = mirror.requests_for("big")
    assert first.sent == 200_000
    kept = len(BIG) - second.sent
    assert second.range == f"bytes={kept}-"
    assert 150_000 < kept <= 200_000, "only the rest was sent"
    assert second.if_range, "it is sent only if the file is the same"
    assert names_below(tmp_path / "d") == ["big"]


def test_a_later_call_resumes_from_another_mirror(mirror: FileServer, tmp_path: Path) -> None:
    mirror.fault = lambda request: Cut(50_000) if request.path == "big" else None
    target = tmp_path / "d" / "big"
    with pytest.raises(FetchError, match=r"/big broke off after .* of 512.0 kB"):
        _fetch_big(mirror, target)
    assert len(mirror.requests_for("big")) == 4, "it is tried four times"
    [part] = names_below(tmp_path / "d")
    assert part.startswith(".big."), "it is kept, but hidden"
    kept = (tmp_path / "d" / part).stat().st_size
    with FileServer(with_checksums({"big": BIG})) as other:
        urls = [f"{other.url}/big"]
        fetch_file("big", urls, target, sha256_urls=[f"{urls[0]}.sha256"])
        assert [request.range for request in other.requests_for("big")] == [f"bytes={kept}-"]
    assert target.read_bytes() == BIG
    assert names_below(tmp_path / "d") == ["big"]


def test_a_server_that_ignores_ranges_sends_the_whole_file(
    mirror: FileServer, tmp_path: Path
) -> None:
    faults = iter([Cut(200_000), IgnoreRange()])
    mirror.fault = lambda request: next(faults) if request.path == "big" else None
    assert _fetch_big(mirror, tmp_path / "d" / "big").read_bytes() == BIG
    assert mirror.requests_for("big")[1].sent == len(BIG)


def test_a_file_that_changes_between_two_requests_is_fetched_anew(
    mirror: FileServer, tmp_path: Path
) -> None:
    new = BIG[::-1]
    mirror.files["big.sha256"] = hashlib.sha256(new).hexdigest().upper().encode()

    def fault(request: object) -> Cut | None:
        if len(mirror.requests_for("big")) == 1:
            return Cut(200_000)
        mirror.files["big"] = new
        return None

    mirror.fault = fault
    assert _fetch_big(mirror, tmp_path / "d" / "big").read_bytes() == new


@pytest.mark.parametrize("junk", [b"x" * 1000, b"x" * len(BIG), b"x" * (len(BIG) + 1)])
def test_a_partial_file_with_other_content_is_replaced(
    mirror: FileServer, tmp_path: Path, junk: bytes
) -> None:
    digest = hashlib.sha256(BIG).hexdigest()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / f".big.{digest[:16]}.part").write_bytes(junk)
    (tmp_path / "d" / ".big.0123456789abcdef.part").write_bytes(b"of another version")
    assert _fetch_big(mirror, tmp_path / "d" / "big").read_bytes() == BIG
    assert names_below(tmp_path / "d") == ["big"]


def test_a_complete_partial_file_is_only_checked(mirror: FileServer, tmp_path: Path) -> None:
    digest = hashlib.sha256(BIG).hexdigest()
    (tmp_path / f".big.{digest[:16]}.part").write_bytes(BIG)
    assert _fetch_big(mirror, tmp_path / "big").read_bytes() == BIG
    assert sum(request.sent for request in mirror.requests_for("big")) == 0


def test_a_stalled_body_times_out(mirror: FileServer, tmp_path: Path) -> None:
    mirror.fault = lambda request: Stall(1000) if request.path == "big" else None
    with pytest.raises(FetchError, match="sent nothing for 1 s, after"):
        _fetch_big(mirror, tmp_path / "big", timeout=(5.0, 1.0))


def test_the_next_mirror_sends_the_rest_after_a_stall(mirror: FileServer, tmp_path: Path) -> None:
    mirror.fault = lambda request: Stall(300_000) if request.path == "big" else None
    with FileServer({"big": BIG}) as other:
        _fetch_big(mirror, tmp_path / "big", f"{other.url}/big", timeout=(5.0, 1.0))
        assert other.requests_for("big")[0].range
    assert (tmp_path / "big").read_bytes() == BIG


def test_transient_errors_are_retried(mirror: FileServer, tmp_path: Path) -> None:
    sums, bodies = iter([Answer(429), None]), iter([Answer(503), HangUp(), None])
    mirror.fault = lambda request: next(bodies if request.path == "big" else sums)
    assert _fetch_big(mirror, tmp_path / "big").read_bytes() == BIG


def test_concurrent_fetches_do_not_interfere(mirror: FileServer, tmp_path: Path) -> None:
    """One thread or process holds the partial file; the others write to files of their own."""
    code = (
        "import sys; from pathlib import Path; from idc_widgets.index import fetch_file\n"
        "url, target = sys.argv[1:]\n"
        "fetch_file('big', [url], Path(target), sha256_urls=[url + '.sha256'])"
    )
    target = tmp_path / "d" / "big"
    command = [sys.executable, "-c", code, f"{mirror.url}/big", str(target)]
    process = subprocess.Popen(command, cwd=Path(idc_widgets.__file__).parents[1])
    errors: list[BaseException] = []

    def fetch() -> None:
        try:
            for _ in range(5):
                _fetch_big(mirror, target)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.wait(60) == 0
    assert errors == []
    assert target.read_bytes() == BIG
    assert names_below(tmp_path / "d") == ["big"]


def test_a_wrong_checksum_leaves_nothing(
    fetching_client: IDCClient, mirror: FileServer, data_folder: Path
) -> None:
    mirror.files[f"{RELEASE}/seg_index.parquet"] = SEG[:20] + bytes([SEG[20] ^ 1]) + SEG[21:]
    with pytest.raises(FetchError, match=r"cannot fetch seg_index: .*wrong SHA256 checksum"):
        fetching_client.fetch_table("seg_index")
    assert names_below(data_folder) == []
    with pytest.raises(InvalidQueryError):
        fetching_client.sql("FROM seg_index")


@pytest.mark.parametrize("body", [b"", b"<html>", b"ab" * 31, b"x" * 100_000, "é".encode()])
def test_without_a_checksum_nothing_is_fetched(
    fetching_client: IDCClient, mirror: FileServer, data_folder: Path, body: bytes
) -> None:
    mirror.files[f"{RELEASE}/seg_index.parquet.sha256"] = body
    with pytest.raises(FetchError, match="no mirror has its checksum"):
        fetching_client.fetch_table("seg_index")
    assert mirror.requests_for("seg_index.parquet") == []
    assert names_below(data_folder) == []


def test_the_second_mirror_is_used(own_path: Path, mirror: FileServer) -> None:
    with FileServer() as empty:
        assert (
            client_of(own_path, empty.url, mirror.url).fetch_table("seg_index").read_bytes() == SEG
        )
        assert len(empty.requests) == 2, "the checksum and the file are requested there first"


def test_the_checksum_of_another_mirror_is_used(own_path: Path, mirror: FileServer) -> None:
    del mirror.files[f"{RELEASE}/seg_index.parquet.sha256"]
    sums = {f"{RELEASE}/seg_index.parquet.sha256": hashlib.sha256(SEG).hexdigest().encode()}
    with FileServer(sums) as other:
        assert (
            client_of(own_path, mirror.url, other.url).fetch_table("seg_index").read_bytes() == SEG
        )


def test_offline_each_mirror_is_named(own_path: Path, data_folder: Path) -> None:
    first, second = unused_url(), unused_url()
    with pytest.raises(FetchError, match="no mirror answers") as caught:
        client_of(own_path, first, second).fetch_table("seg_index")
    message = str(caught.value)
    assert "seg_index" in message
    assert first in message and second in message
    assert message.count("cannot be reached (offline?)") == 2
    assert names_below(data_folder) == []


def test_a_web_page_is_refused(
    fetching_client: IDCClient, mirror: FileServer, data_folder: Path
) -> None:
    page = Answer(200, b"<html><script>alert(1)</script>please log in", "text/html; charset=utf-8")
    mirror.fault = lambda request: page if request.path.endswith(".parquet") else None
    with pytest.raises(FetchError, match="answers with a web page") as caught:
        fetching_client.fetch_table("seg_index")
    assert "script" not in str(caught.value), "the text of a server is not shown"
    assert names_below(data_folder) == []


def test_a_folder_that_cannot_be_created_is_an_error(
    own_path: Path, mirror: FileServer, data_folder: Path
) -> None:
    data_folder.parent.write_text("a file")
    fetching_client = client_of(own_path, mirror.url)
    with pytest.raises(FetchError, match="cannot fetch seg_index: cannot write") as caught:
        fetching_client.fetch_table("seg_index")
    assert str(caught.value).endswith("set the environment variable IDC_WIDGETS_DATA_DIR")
    assert data_folder.parent.read_text() == "a file"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_planted_links_are_not_written_through(mirror: FileServer, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    digest = hashlib.sha256(BIG).hexdigest()
    (tmp_path / f".big.{digest[:16]}.part").symlink_to(tmp_path / "victim")
    assert _fetch_big(mirror, tmp_path / "big").read_bytes() == BIG
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "big").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="modes differ on Windows")
def test_nothing_is_fetched_into_a_folder_that_everybody_may_write_to(
    fetching_client: IDCClient, data_folder: Path
) -> None:
    data_folder.mkdir(parents=True)
    data_folder.chmod(0o777)
    with pytest.raises(FetchError, match=r"cannot fetch seg_index: .*everybody may write to"):
        fetching_client.fetch_table("seg_index")
    assert names_below(data_folder) == []


def test_a_table_that_does_not_fit_on_the_disk_is_not_fetched(
    fetching_client: IDCClient,
    mirror: FileServer,
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = shutil.disk_usage("/")._replace(total=1000, free=1000)
    fetching_client.fetch_table("clinical_index")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(FetchError, match=r"not enough disk space: .* are still to write"):
        fetching_client.fetch_table("c1_clinical")
    assert mirror.requests_for("clinical/000000000000.parquet") == []
    with pytest.raises(FetchError, match="not enough disk space"):
        fetching_client.fetch_table("seg_index")
    assert names_below(data_folder) == ["clinical", "clinical_index.parquet"]


def test_a_full_disk_leaves_nothing(
    fetching_client: IDCClient, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FetchError, match="No space left on device"):
        fetching_client.fetch_table("seg_index")
    assert names_below(data_folder) == []


def test_parts_on_disk_are_not_fetched_again(
    fetching_client: IDCClient, mirror: FileServer, data_folder: Path
) -> None:
    mirror.fault = lambda request: (
        Answer(403) if request.path.endswith("000000000001.parquet") else None
    )
    with pytest.raises(FetchError, match=r"c1_clinical: .*HTTP 403 \(Forbidden\)"):
        fetching_client.fetch_table("c1_clinical")
    assert "c1_clinical" not in Index(data_folder / "../../mine.csv").tables
    mirror.fault = lambda request: None
    fetching_client.fetch_table("c1_clinical")
    assert len(mirror.requests_for("clinical/000000000000.parquet")) == 1
    assert len(fetching_client.sql("FROM c1_clinical")) == 2


def test_a_damaged_part_is_an_error(
    fetching_client: IDCClient, mirror: FileServer, data_folder: Path
) -> None:
    mirror.etag = lambda body: "0" * 32
    with pytest.raises(FetchError, match="wrong MD5 checksum"):
        fetching_client.fetch_table("c1_clinical")
    mirror.etag = lambda body: "0" * 32 + "-2"  # the ETag of a file that was uploaded in parts
    fetching_client.fetch_table("c1_clinical")
    assert len(fetching_client.sql("FROM c1_clinical")) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "something else than a list"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult/>", "something else than a list"),
        (b"<L><Contents><Key>%s</Key><Size>x</Size></Contents></L>", "something else than a list"),
        (b"<ListBucketResult/>", "has no object"),
        (b"<L><NextContinuationToken>x</NextContinuationToken></L>", "lists more than 100 pages"),
    ],
)
def test_a_bad_listing_is_an_error(
    fetching_client: IDCClient, mirror: FileServer, body: bytes, message: str
) -> None:
    fetching_client.fetch_table("clinical_index")
    key = f"{CLINICAL}/c1_clinical/0.parquet".encode()
    mirror.fault = lambda request: Answer(200, body.replace(b"%s", key), "application/xml")
    with pytest.raises(FetchError, match=message):
        fetching_client.fetch_table("c1_clinical")


def test_progress_is_shown_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress_line("x") is None, "a file cannot show a line that is rewritten"
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    line = progress_line("seg_index")
    assert line is not None
    for done in (0, 1000, 2000, 5000, 5000):
        line(done, 5000)
    shown = [text.strip() for text in stream.getvalue().split("\r") if text]
    assert shown == ["seg_index: 0 bytes of 5.0 kB", "seg_index: 5.0 kB"]
    assert stream.getvalue().endswith("\n")


def test_files_of_killed_processes_are_removed_after_a_day(
    mirror: FileServer, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    a_file, a_folder, recent, part = (
        folder / f".seg_index.parquet.{'a' * 32}.tmp",
        folder / f".c1_clinical.{'b' * 32}.tmp",
        folder / f".seg_index.parquet.{'c' * 32}.tmp",
        folder / ".seg_index.parquet.0123456789abcdef.part",
    )
    a_folder.mkdir()
    for path in (a_file, recent, part, a_folder / "00000.parquet"):
        path.write_bytes(b"x")
    two_days_ago = time.time() - 2 * 24 * 3600
    for path in (a_file, part, a_folder / "00000.parquet", a_folder):
        os.utime(path, (two_days_ago, two_days_ago))
    _fetch_big(mirror, folder / "big")
    assert names_below(folder) == sorted([recent.name, part.name, "big"])
