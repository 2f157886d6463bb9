"""The catalog of tables: which exist, what their columns mean, and how more are fetched."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.fileserver import FileServer
from support.table_server import (
    RELEASE,
    SEG,
    client_of,
    names_below,
    table_server,
    unused_url,
    use_data_folder,
    with_checksums,
    write_own_table,
)

from idc_widgets import FetchError, IDCClient, Index, InvalidQueryError


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of fetched tables."""
    return use_data_folder(tmp_path, monkeypatch)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with table_server() as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_own_table(tmp_path)


@pytest.fixture
def client(own: Path, server: FileServer) -> IDCClient:
    return client_of(own, server.url)


def test_a_file_that_is_not_parquet_is_refused(
    client: IDCClient, server: FileServer, data: Path
) -> None:
    server.files.update(with_checksums({f"{RELEASE}/seg_index.parquet": b"no table"}))
    with pytest.raises(FetchError, match="is not a table"):
        client.fetch("seg_index")
    assert names_below(data) == []


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
def test_an_unknown_name_is_refused_without_a_request(
    client: IDCClient, server: FileServer, data: Path, name: str, near: str
) -> None:
    client.fetch("clinical_index")
    before = len(server.requests), names_below(data.parent)
    with pytest.raises(InvalidQueryError, match=f"unknown table.*{near}"):
        client.fetch(name)
    with pytest.raises(InvalidQueryError, match="unknown table"):
        client.describe(name)
    assert (len(server.requests), names_below(data.parent)) == before, "no request and no file"
    assert len(client.sql("FROM index")) == 2


def test_offline_an_unknown_name_may_be_a_clinical_table(own: Path) -> None:
    with pytest.raises(FetchError, match=r"did you mean 'seg_index'\?; whether it is a clinical"):
        client_of(own, unused_url()).fetch("seg_indx")


def test_a_fetched_table_is_available_at_once_and_later(
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

    requests = len(server.requests)
    assert client.fetch("seg_index") == path
    later = client_of(own, unused_url())
    assert later.sql(join).total_segments.tolist() == [3]
    assert later.fetch("seg_index") == path
    assert len(server.requests) == requests, "it is not fetched again"


def test_a_table_that_another_session_fetched_is_used(
    client: IDCClient, own: Path, server: FileServer
) -> None:
    client_of(own, server.url).fetch("seg_index")
    requests = len(server.requests)
    client.fetch("seg_index")
    assert len(server.requests) == requests
    assert len(client.sql("FROM seg_index")) == 2


def test_a_damaged_or_deleted_table_is_fetched_anew(
    own: Path, server: FileServer, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data.mkdir(parents=True)
    (data / "seg_index.parquet").write_bytes(b"damaged")
    client = client_of(own, server.url)
    assert "seg_index" in caplog.text
    assert "seg_index" not in client.engine.tables()
    client.fetch("seg_index").unlink()
    assert "seg_index" not in client.engine.tables()
    client.fetch("seg_index")
    assert len(client.sql("FROM seg_index")) == 2


def test_the_database_reads_no_other_files(client: IDCClient, data: Path) -> None:
    """Not beside the data folder, and not above it."""
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


def test_the_installed_index_can_have_fetched_tables(server: FileServer) -> None:
    mirror = f"{server.url}/{{version}}/{{name}}.parquet"
    client = IDCClient(mirrors=mirror)  # type: ignore[arg-type]
    assert client.fetch("index") == client.engine.index.tables["index"]  # type: ignore[attr-defined]
    client.fetch("seg_index", progress=False)
    assert "seg_index" in Index().tables
    assert len(client.sql("FROM seg_index")) == 2


def test_a_clinical_table_has_several_files(
    client: IDCClient, own: Path, server: FileServer, data: Path
) -> None:
    server.page_size = 1
    seen: list[tuple[int, int | None]] = []
    path = client.fetch("c1_clinical", progress=lambda *now: seen.append(now))
    assert path == data / "clinical" / "c1_clinical"
    assert names_below(path) == ["00000.parquet", "00001.parquet"]
    assert seen[-1][0] == seen[-1][1] == sum(file.stat().st_size for file in path.iterdir())
    rows = "SELECT dicom_patient_id, age, grade FROM c1_clinical ORDER BY 1"
    for session in (client, client_of(own, unused_url())):
        assert session.sql(rows).age.tolist() == [61, 47]
    assert names_below(data / "clinical") == ["00000.parquet", "00001.parquet", "c1_clinical"]


def test_tables_lists_available_and_fetchable_tables(client: IDCClient) -> None:
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
    assert len(frame) == 18, "a clinical table with a reserved or invalid name is not listed"


def test_describe_lists_columns_before_and_after_the_fetch(client: IDCClient) -> None:
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
