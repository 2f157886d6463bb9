"""Tables that are fetched: whole and checked, or not there at all."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.fileserver import Answer, Cut, FileServer, HangUp, IgnoreRange, Stall

import idc_widgets
from idc_widgets import FetchError, IDCClient, Index, InvalidQueryError
from idc_widgets.index import fetch_file, progress_line

RELEASE = version("idc-index-data")
HEADER = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id"
BODY = bytes(range(256)) * 2000  # 512,000 bytes
CLINICAL = f"bigquery_export/idc_v{RELEASE.split('.')[0]}_clinical"


def _parquet(**columns: list[object]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


SEG = _parquet(
    SeriesInstanceUID=["1.2.1", "1.2.2"],
    SegmentationType=["BINARY", "FRACTIONAL"],
    total_segments=[3, 1],
    segmented_SeriesInstanceUID=["1.1.1", "1.1.2"],
)
CLINICAL_INDEX = _parquet(
    collection_id=["c1", "c1", "c2", "c2"],
    table_name=["p.d.c1_clinical", "p.d.c1_clinical", "p.d.Index", "p.d.../../x"],
    short_table_name=["c1_clinical", "c1_clinical", "Index", "../../x"],
    column=["dicom_patient_id", "age", "a", "a"],
    column_label=["", "Age at diagnosis", "", ""],
)


def _with_checksums(files: dict[str, bytes]) -> dict[str, bytes]:
    sums = {
        f"{path}.sha256": f"{hashlib.sha256(body).hexdigest()}  {Path(path).name}\n".encode()
        for path, body in files.items()
    }
    return {**files, **sums}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of fetched tables; and no proxy between us and our server."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path / "it's [1] data"))
    return tmp_path / "it's [1] data" / RELEASE


@pytest.fixture
def server() -> Iterator[FileServer]:
    files = {
        f"{RELEASE}/seg_index.parquet": SEG,
        f"{RELEASE}/clinical_index.parquet": CLINICAL_INDEX,
        "big": BODY,
    }
    parts = {
        f"idc-open-metadata/{CLINICAL}/c1_clinical/000000000000.parquet": _parquet(
            dicom_patient_id=["P1"], age=[61]
        ),
        f"idc-open-metadata/{CLINICAL}/c1_clinical/000000000001.parquet": _parquet(
            dicom_patient_id=["P2"], age=[47], grade=["II"]
        ),
        f"idc-open-metadata/{CLINICAL}/c1_clinical_too/000000000000.parquet": b"another table",
    }
    with FileServer({**_with_checksums(files), **parts}) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A small index, quicker to open than the shipped one."""
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER},Modality\n1.2.1,1.2,P1,c1,SEG\n1.1.1,1.2,P1,c1,CT\n")
    return path


@pytest.fixture
def client(own: Path, server: FileServer) -> IDCClient:
    return _client(own, server.url)


def _client(own: Path, *servers: str) -> IDCClient:
    mirrors = [f"{url}/{{version}}/{{name}}.parquet" for url in servers]
    return IDCClient(own, mirrors=mirrors, metadata_endpoint_url=servers[0])


def _big(server: FileServer, target: Path, *more: str, **named: object) -> Path:
    urls = [f"{server.url}/big", *more]
    sums = [f"{url}.sha256" for url in urls]
    return fetch_file("big", urls, target, sha256_urls=sums, pause=0.01, **named)  # type: ignore[arg-type]


def _left(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.rglob("*")) if folder.exists() else []


def _nobody() -> str:
    """An address where nobody listens."""
    with FileServer() as gone:
        return gone.url


# --- one file ------------------------------------------------------------------------------


def test_a_file_arrives_with_progress(server: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = _big(server, tmp_path / "new" / "big", progress=lambda *now: seen.append(now))
    assert target.read_bytes() == BODY
    assert _left(tmp_path / "new") == ["big"]
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_cut_is_resumed_at_once(server: FileServer, tmp_path: Path) -> None:
    server.fault = lambda request: (
        Cut(200_000) if request.path == "big" and not request.range else None
    )
    assert _big(server, tmp_path / "d" / "big").read_bytes() == BODY
    first, second = server.asked("big")
    assert first.sent == 200_000
    have = len(BODY) - second.sent
    assert second.range == f"bytes={have}-"
    assert 150_000 < have <= 200_000, "only the rest was sent"
    assert second.if_range, "and only if it is of the same file"
    assert _left(tmp_path / "d") == ["big"]


def test_a_later_call_goes_on_and_another_mirror_too(server: FileServer, tmp_path: Path) -> None:
    server.fault = lambda request: Cut(50_000) if request.path == "big" else None
    target = tmp_path / "d" / "big"
    with pytest.raises(FetchError, match=r"/big broke off after .* of 512.0 kB"):
        _big(server, target)
    assert len(server.asked("big")) == 4, "a few tries"
    [part] = _left(tmp_path / "d")
    assert part.startswith(".big."), "kept, but hidden"
    have = (tmp_path / "d" / part).stat().st_size
    with FileServer(_with_checksums({"big": BODY})) as other:
        urls = [f"{other.url}/big"]
        fetch_file("big", urls, target, sha256_urls=[f"{urls[0]}.sha256"])
        assert [request.range for request in other.asked("big")] == [f"bytes={have}-"]
    assert target.read_bytes() == BODY
    assert _left(tmp_path / "d") == ["big"]


def test_a_server_that_ignores_ranges(server: FileServer, tmp_path: Path) -> None:
    faults = iter([Cut(200_000), IgnoreRange()])
    server.fault = lambda request: next(faults) if request.path == "big" else None
    assert _big(server, tmp_path / "d" / "big").read_bytes() == BODY
    assert server.asked("big")[1].sent == len(BODY)


def test_a_file_that_changes_between_two_requests(server: FileServer, tmp_path: Path) -> None:
    new = BODY[::-1]
    server.files["big.sha256"] = hashlib.sha256(new).hexdigest().upper().encode()

    def fault(request: object) -> Cut | None:
        if len(server.asked("big")) == 1:
            return Cut(200_000)
        server.files["big"] = new
        return None

    server.fault = fault
    assert _big(server, tmp_path / "d" / "big").read_bytes() == new


@pytest.mark.parametrize("junk", [b"x" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 1)])
def test_a_partial_file_with_something_else_in_it(
    server: FileServer, tmp_path: Path, junk: bytes
) -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / f".big.{digest[:16]}.part").write_bytes(junk)
    (tmp_path / "d" / ".big.0123456789abcdef.part").write_bytes(b"of another version")
    assert _big(server, tmp_path / "d" / "big").read_bytes() == BODY
    assert _left(tmp_path / "d") == ["big"]


def test_a_whole_partial_file_is_only_checked(server: FileServer, tmp_path: Path) -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    (tmp_path / f".big.{digest[:16]}.part").write_bytes(BODY)
    assert _big(server, tmp_path / "big").read_bytes() == BODY
    assert sum(request.sent for request in server.asked("big")) == 0


def test_a_stalled_body_times_out(server: FileServer, tmp_path: Path) -> None:
    server.fault = lambda request: Stall(1000) if request.path == "big" else None
    started = time.monotonic()
    with pytest.raises(FetchError, match="sent nothing for 1 s, after"):
        _big(server, tmp_path / "big", timeout=(5.0, 1.0))
    assert time.monotonic() - started < 10


def test_the_next_mirror_gives_the_rest_after_a_stall(server: FileServer, tmp_path: Path) -> None:
    server.fault = lambda request: Stall(300_000) if request.path == "big" else None
    with FileServer({"big": BODY}) as other:
        _big(server, tmp_path / "big", f"{other.url}/big", timeout=(5.0, 1.0))
        assert other.asked("big")[0].range
    assert (tmp_path / "big").read_bytes() == BODY


def test_a_moment_of_trouble_is_waited_out(server: FileServer, tmp_path: Path) -> None:
    sums, bodies = iter([Answer(429), None]), iter([Answer(503), HangUp(), None])
    server.fault = lambda request: next(bodies if request.path == "big" else sums)
    assert _big(server, tmp_path / "big").read_bytes() == BODY


def test_two_at_once_do_not_harm_each_other(server: FileServer, tmp_path: Path) -> None:
    """Processes and threads alike: one has the partial file, the others write to their own."""
    code = (
        "import sys; from pathlib import Path; from idc_widgets.index import fetch_file\n"
        "url, target = sys.argv[1:]\n"
        "fetch_file('big', [url], Path(target), sha256_urls=[url + '.sha256'])"
    )
    target = tmp_path / "d" / "big"
    command = [sys.executable, "-c", code, f"{server.url}/big", str(target)]
    process = subprocess.Popen(command, cwd=Path(idc_widgets.__file__).parents[1])
    errors: list[BaseException] = []

    def fetch() -> None:
        try:
            for _ in range(5):
                _big(server, target)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.wait(60) == 0
    assert errors == []
    assert target.read_bytes() == BODY
    assert _left(tmp_path / "d") == ["big"]


# --- what is refused -----------------------------------------------------------------------


def test_a_wrong_checksum_leaves_nothing(client: IDCClient, server: FileServer, data: Path) -> None:
    server.files[f"{RELEASE}/seg_index.parquet"] = SEG[:20] + bytes([SEG[20] ^ 1]) + SEG[21:]
    with pytest.raises(FetchError, match=r"cannot fetch seg_index: .*wrong SHA256 checksum"):
        client.fetch("seg_index")
    assert _left(data) == []
    with pytest.raises(InvalidQueryError):
        client.sql("FROM seg_index")


@pytest.mark.parametrize("body", [b"", b"<html>", b"ab" * 31, b"x" * 100_000, "é".encode()])
def test_without_a_checksum_nothing_is_fetched(
    client: IDCClient, server: FileServer, data: Path, body: bytes
) -> None:
    server.files[f"{RELEASE}/seg_index.parquet.sha256"] = body
    with pytest.raises(FetchError, match="no mirror has its checksum"):
        client.fetch("seg_index")
    assert server.asked("seg_index.parquet") == []
    assert _left(data) == []


def test_the_second_mirror_is_used(own: Path, server: FileServer) -> None:
    with FileServer() as empty:
        assert _client(own, empty.url, server.url).fetch("seg_index").read_bytes() == SEG
        assert len(empty.requests) == 2, "asked first, for the checksum and for the file"


def test_the_checksum_of_the_other_mirror_holds(own: Path, server: FileServer) -> None:
    del server.files[f"{RELEASE}/seg_index.parquet.sha256"]
    sums = {f"{RELEASE}/seg_index.parquet.sha256": hashlib.sha256(SEG).hexdigest().encode()}
    with FileServer(sums) as other:
        assert _client(own, server.url, other.url).fetch("seg_index").read_bytes() == SEG


def test_offline(own: Path, data: Path) -> None:
    with FileServer() as one, FileServer() as other:  # at once, so that their ports differ
        first, second = one.url, other.url
    started = time.monotonic()
    with pytest.raises(FetchError, match="no mirror answers") as caught:
        _client(own, first, second).fetch("seg_index")
    assert time.monotonic() - started < 5
    message = str(caught.value)
    assert "seg_index" in message
    assert first in message and second in message
    assert message.count("cannot be reached (offline?)") == 2
    assert _left(data) == []


def test_a_web_page_is_no_table(client: IDCClient, server: FileServer, data: Path) -> None:
    page = Answer(200, b"<html><script>alert(1)</script>please log in", "text/html; charset=utf-8")
    server.fault = lambda request: page if request.path.endswith(".parquet") else None
    with pytest.raises(FetchError, match="answers with a web page") as caught:
        client.fetch("seg_index")
    assert "script" not in str(caught.value), "a server's text is not shown"
    assert _left(data) == []


def test_what_is_no_parquet_is_refused(client: IDCClient, server: FileServer, data: Path) -> None:
    server.files.update(_with_checksums({f"{RELEASE}/seg_index.parquet": b"no table"}))
    with pytest.raises(FetchError, match="is not a table"):
        client.fetch("seg_index")
    assert _left(data) == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("seg_indx", "seg_index"),
        ("../seg_index", "seg_index"),
        ("seg_index/../../x", "seg_index"),
        ("SEG_INDEX", "seg_index"),
        ("c1_clinica", "c1_clinical"),
        ("../../x", "expected one of"),
        ("Index", "index"),
        ("", "expected one of"),
        (None, "expected one of"),
    ],
)
def test_unknown_names(
    client: IDCClient, server: FileServer, data: Path, name: str, near: str
) -> None:
    client.fetch("clinical_index")
    before = len(server.requests), _left(data.parent)
    with pytest.raises(InvalidQueryError, match=f"unknown table.*{near}"):
        client.fetch(name)
    with pytest.raises(InvalidQueryError, match="unknown table"):
        client.describe(name)
    assert (len(server.requests), _left(data.parent)) == before, "no request, no file"
    assert len(client.sql("FROM index")) == 2


def test_offline_an_unknown_name_is_told_from_a_clinical_one(own: Path) -> None:
    with pytest.raises(FetchError, match=r"did you mean 'seg_index'\?; whether it is a clinical"):
        _client(own, _nobody()).fetch("seg_indx")


def test_a_folder_that_cannot_be_made(own: Path, server: FileServer, data: Path) -> None:
    data.parent.write_text("a file")
    client = _client(own, server.url)
    with pytest.raises(FetchError, match="cannot fetch seg_index: cannot write"):
        client.fetch("seg_index")
    assert data.parent.read_text() == "a file"


def test_a_full_disk(client: IDCClient, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FetchError, match="No space left on device"):
        client.fetch("seg_index")
    assert _left(data) == []


# --- tables in SQL -------------------------------------------------------------------------


def test_a_fetched_table_is_there_at_once_and_later(
    client: IDCClient, own: Path, server: FileServer, data: Path
) -> None:
    path = client.fetch("seg_index")
    assert path == data / "seg_index.parquet"
    join = (
        "SELECT total_segments FROM index JOIN seg_index USING (SeriesInstanceUID)"
        " WHERE Modality = 'SEG'"
    )
    assert client.sql(join).total_segments.tolist() == [3]
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(len(client.sql("FROM seg_index"))))
    thread.start()
    thread.join()
    assert seen == [2]

    asked = len(server.requests)
    assert client.fetch("seg_index") == path
    later = _client(own, _nobody())
    assert later.sql(join).total_segments.tolist() == [3]
    assert later.fetch("seg_index") == path
    assert len(server.requests) == asked, "it is not fetched again"


def test_a_table_that_another_session_fetched(
    client: IDCClient, own: Path, server: FileServer
) -> None:
    _client(own, server.url).fetch("seg_index")
    asked = len(server.requests)
    client.fetch("seg_index")
    assert len(server.requests) == asked
    assert len(client.sql("FROM seg_index")) == 2


def test_a_damaged_or_deleted_table_is_fetched_anew(
    own: Path, server: FileServer, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data.mkdir(parents=True)
    (data / "seg_index.parquet").write_bytes(b"damaged")
    client = _client(own, server.url)
    assert "seg_index" in caplog.text
    assert "seg_index" not in client.engine.tables()
    client.fetch("seg_index").unlink()
    assert "seg_index" not in client.engine.tables()
    client.fetch("seg_index")
    assert len(client.sql("FROM seg_index")) == 2


def test_the_database_still_reads_nothing_else(client: IDCClient, data: Path) -> None:
    """Neither beside the data folder, nor above it."""
    client.fetch("seg_index")
    for other in (data.with_name(f"{RELEASE}x"), data.parent):
        other.mkdir(exist_ok=True)
        (other / "x.parquet").write_bytes(SEG)
        for path in (other / "x.parquet", data / ".." / other.name / "x.parquet"):
            quoted = str(path).replace("'", "''")
            with pytest.raises(InvalidQueryError, match="Cannot access file"):
                client.sql(f"FROM read_parquet('{quoted.replace('[', '[[]')}')")
            with pytest.raises(InvalidQueryError, match="Cannot access file"):
                client.sql(f"FROM read_text('{quoted}')")


def test_the_shipped_index_takes_fetched_tables_too(server: FileServer) -> None:
    mirror = f"{server.url}/{{version}}/{{name}}.parquet"
    client = IDCClient(mirrors=mirror)  # type: ignore[arg-type]
    assert client.fetch("index") == client.engine.index.tables["index"]  # type: ignore[attr-defined]
    client.fetch("seg_index", progress=False)
    assert "seg_index" in Index().tables
    assert len(client.sql("FROM seg_index")) == 2


# --- clinical tables -----------------------------------------------------------------------


def test_a_clinical_table_of_two_parts(
    client: IDCClient, own: Path, server: FileServer, data: Path
) -> None:
    server.page_size = 1
    seen: list[tuple[int, int | None]] = []
    path = client.fetch("c1_clinical", progress=lambda *now: seen.append(now))
    assert path == data / "clinical" / "c1_clinical"
    assert _left(path) == ["00000.parquet", "00001.parquet"]
    assert seen[-1][0] == seen[-1][1] == sum(one.stat().st_size for one in path.iterdir())
    rows = "SELECT dicom_patient_id, age, grade FROM c1_clinical ORDER BY 1"
    for one in (client, _client(own, _nobody())):
        assert one.sql(rows).age.tolist() == [61, 47]
    assert _left(data / "clinical") == ["00000.parquet", "00001.parquet", "c1_clinical"]


def test_parts_that_are_there_are_not_sent_again(
    client: IDCClient, server: FileServer, data: Path
) -> None:
    server.fault = lambda request: (
        Answer(403) if request.path.endswith("000000000001.parquet") else None
    )
    with pytest.raises(FetchError, match=r"c1_clinical: .*HTTP 403 \(Forbidden\)"):
        client.fetch("c1_clinical")
    assert "c1_clinical" not in Index(data / "../../mine.csv").tables
    server.fault = lambda request: None
    client.fetch("c1_clinical")
    assert len(server.asked("clinical/000000000000.parquet")) == 1
    assert len(client.sql("FROM c1_clinical")) == 2


def test_a_damaged_part(client: IDCClient, server: FileServer, data: Path) -> None:
    server.etag = lambda body: "0" * 32
    with pytest.raises(FetchError, match="wrong MD5 checksum"):
        client.fetch("c1_clinical")
    server.etag = lambda body: "0" * 32 + "-2"  # what S3 says of a file uploaded in parts
    client.fetch("c1_clinical")
    assert len(client.sql("FROM c1_clinical")) == 2


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
def test_a_listing_that_is_none(
    client: IDCClient, server: FileServer, body: bytes, message: str
) -> None:
    client.fetch("clinical_index")
    key = f"{CLINICAL}/c1_clinical/0.parquet".encode()
    server.fault = lambda request: Answer(200, body.replace(b"%s", key), "application/xml")
    with pytest.raises(FetchError, match=message):
        client.fetch("c1_clinical")


# --- what there is -------------------------------------------------------------------------


def test_tables(client: IDCClient) -> None:
    frame = client.tables().set_index("table")
    assert frame.loc["index", ["available", "rows"]].tolist() == [True, 2]
    assert not frame.available["seg_index"]
    assert frame.rows.isna()["seg_index"]
    assert "SEG" in frame.description["seg_index"].upper()
    assert len(frame) == 17
    assert all(frame.description)

    client.fetch("seg_index")
    client.fetch("clinical_index")
    frame = client.tables().set_index("table")
    assert frame.loc["seg_index", ["available", "rows"]].tolist() == [True, 2]
    assert frame.description["c1_clinical"] == "Clinical data of the collection c1."
    assert len(frame) == 18, "a table that takes the name of ours, or is no name, is not listed"


def test_describe(client: IDCClient) -> None:
    index = client.describe("index").set_index("column")
    assert index.type["series_size_MB"] == "DOUBLE"
    assert "series" in index.description["SeriesInstanceUID"]
    before = client.describe("seg_index").set_index("column")
    assert before.type["total_segments"] == "BIGINT"
    assert before.type["SegmentationType"] == "VARCHAR"
    client.fetch("seg_index")
    after = client.describe("seg_index").set_index("column")
    assert after.index.tolist() == pq.read_schema(io.BytesIO(SEG)).names
    assert after.description["total_segments"] == before.description["total_segments"]

    with pytest.raises(InvalidQueryError, match=r"known after client.fetch\('clinical_index'\)"):
        client.describe("c1_clinical")
    client.fetch("clinical_index")
    clinical = client.describe("c1_clinical").set_index("column")
    assert clinical.type.tolist() == [None, None]
    assert clinical.description["age"] == "Age at diagnosis"
    client.fetch("c1_clinical")
    clinical = client.describe("c1_clinical").set_index("column")
    assert (clinical.type["age"], clinical.description["age"]) == ("BIGINT", "Age at diagnosis")


# --- the line of progress ------------------------------------------------------------------


def test_the_line_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress_line("x") is None, "nobody sees a line rewritten in a file"
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    line = progress_line("seg_index")
    assert line is not None
    for done in (0, 1000, 2000, 5000, 5000):
        line(done, 5000)
    shown = [text.strip() for text in stream.getvalue().split("\r") if text]
    assert shown == ["seg_index: 0 bytes of 5.0 kB", "seg_index: 5.0 kB"]
    assert stream.getvalue().endswith("\n")
