"""The catalog of tables: it lists them, describes their columns, and fetches more."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.fileserver import FileServer
from support.table_server import (
    RELEASE,
    SEG,
    client_of,
    names_below,
    unused_url,
    with_checksums,
)

from idc_widgets import FetchError, IDCClient, Index, InvalidQueryError


def test_a_file_that_is_not_parquet_is_refused(
    fetching_client: IDCClient, mirror: FileServer, data_folder: Path
) -> None:
    mirror.files.update(with_checksums({f"{RELEASE}/seg_index.parquet": b"no table"}))
    with pytest.raises(FetchError, match="is not a table"):
        fetching_client.fetch_table("seg_index")
    assert names_below(data_folder) == []


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
    fetching_client: IDCClient, mirror: FileServer, data_folder: Path, name: str, near: str
) -> None:
    fetching_client.fetch_table("clinical_index")
    before = len(mirror.requests), names_below(data_folder.parent)
    with pytest.raises(InvalidQueryError, match=f"unknown table.*{near}"):
        fetching_client.fetch_table(name)
    with pytest.raises(InvalidQueryError, match="unknown table"):
        fetching_client.describe(name)
    assert (len(mirror.requests), names_below(data_folder.parent)) == before, (
        "nothing is sent or written"
    )
    assert len(fetching_client.sql("FROM index")) == 2


def test_offline_an_unknown_name_may_be_a_clinical_table(own_path: Path) -> None:
    with pytest.raises(FetchError, match=r"did you mean 'seg_index'\?; whether it is a clinical"):
        client_of(own_path, unused_url()).fetch_table("seg_indx")


def test_a_fetched_table_is_available_at_once_and_later(
    fetching_client: IDCClient, own_path: Path, mirror: FileServer, data_folder: Path
) -> None:
    path = fetching_client.fetch_table("seg_index")
    assert path == data_folder / "seg_index.parquet"
    join = (
        "SELECT total_segments FROM index JOIN seg_index USING (SeriesInstanceUID)"
        " WHERE Modality = 'SEG'"
    )
    assert fetching_client.sql(join).total_segments.tolist() == [3]
    seen: list[object] = []
    thread = threading.Thread(
        target=lambda: seen.append(len(fetching_client.sql("FROM seg_index")))
    )
    thread.start()
    thread.join()
    assert seen == [2]

    requests = len(mirror.requests)
    assert fetching_client.fetch_table("seg_index") == path
    later = client_of(own_path, unused_url())
    assert later.sql(join).total_segments.tolist() == [3]
    assert later.fetch_table("seg_index") == path
    assert len(mirror.requests) == requests, "it is not fetched again"


def test_a_table_that_another_session_fetched_is_used(
    fetching_client: IDCClient, own_path: Path, mirror: FileServer
) -> None:
    client_of(own_path, mirror.url).fetch_table("seg_index")
    requests = len(mirror.requests)
    fetching_client.fetch_table("seg_index")
    assert len(mirror.requests) == requests
    assert len(fetching_client.sql("FROM seg_index")) == 2


def test_a_damaged_or_deleted_table_is_fetched_anew(
    own_path: Path, mirror: FileServer, data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data_folder.mkdir(parents=True)
    (data_folder / "seg_index.parquet").write_bytes(b"damaged")
    fetching_client = client_of(own_path, mirror.url)
    assert "seg_index" in caplog.text
    assert "seg_index" not in fetching_client.engine.tables()
    fetching_client.fetch_table("seg_index").unlink()
    assert "seg_index" not in fetching_client.engine.tables()
    fetching_client.fetch_table("seg_index")
    assert len(fetching_client.sql("FROM seg_index")) == 2


def test_the_database_reads_no_other_files(fetching_client: IDCClient, data_folder: Path) -> None:
    """Files beside the data folder and above it cannot be read."""
    fetching_client.fetch_table("seg_index")
    for other in (data_folder.with_name(f"{RELEASE}x"), data_folder.parent):
        other.mkdir(exist_ok=True)
        (other / "x.parquet").write_bytes(SEG)
        for path in (other / "x.parquet", data_folder / ".." / other.name / "x.parquet"):
            quoted = str(path).replace("'", "''")
            with pytest.raises(InvalidQueryError, match="Cannot access file"):
                fetching_client.sql(f"FROM read_parquet('{quoted.replace('[', '[[]')}')")
            with pytest.raises(InvalidQueryError, match="Cannot access file"):
                fetching_client.sql(f"FROM read_text('{quoted}')")


def test_the_installed_index_can_have_fetched_tables(mirror: FileServer) -> None:
    url = f"{mirror.url}/{{version}}/{{name}}.parquet"
    client = IDCClient(mirrors=url)  # type: ignore[arg-type]
    assert client.fetch_table("index") == client.engine.index.tables["index"]  # type: ignore[attr-defined]
    client.fetch_table("seg_index", progress=False)
    assert "seg_index" in Index().tables
    assert len(client.sql("FROM seg_index")) == 2


def test_a_clinical_table_has_several_files(
    fetching_client: IDCClient, own_path: Path, mirror: FileServer, data_folder: Path
) -> None:
    mirror.page_size = 1
    seen: list[tuple[int, int | None]] = []
    path = fetching_client.fetch_table("c1_clinical", progress=lambda *now: seen.append(now))
    assert path == data_folder / "clinical" / "c1_clinical"
    assert names_below(path) == ["00000.parquet", "00001.parquet"]
    assert seen[-1][0] == seen[-1][1] == sum(file.stat().st_size for file in path.iterdir())
    rows = "SELECT dicom_patient_id, age, grade FROM c1_clinical ORDER BY 1"
    for session in (fetching_client, client_of(own_path, unused_url())):
        assert session.sql(rows).age.tolist() == [61, 47]
    assert names_below(data_folder / "clinical") == [
        "00000.parquet",
        "00001.parquet",
        "c1_clinical",
    ]


def test_tables_lists_available_and_fetchable_tables(fetching_client: IDCClient) -> None:
    frame = fetching_client.tables().set_index("table")
    assert frame.loc["index", ["available", "rows"]].tolist() == [True, 2]
    assert not frame.available["seg_index"]
    assert frame.rows.isna()["seg_index"]
    assert "SEG" in frame.description["seg_index"].upper()
    assert len(frame) == 17
    assert all(frame.description)

    fetching_client.fetch_table("seg_index")
    fetching_client.fetch_table("clinical_index")
    frame = fetching_client.tables().set_index("table")
    assert frame.loc["seg_index", ["available", "rows"]].tolist() == [True, 2]
    assert frame.description["c1_clinical"] == "Clinical data of the collection c1."
    assert len(frame) == 18, "a clinical table with a reserved or invalid name is not listed"


def test_describe_lists_columns_before_and_after_the_fetch(fetching_client: IDCClient) -> None:
    index = fetching_client.describe("index").set_index("column")
    assert index.type["series_size_MB"] == "DOUBLE"
    assert "series" in index.description["SeriesInstanceUID"]
    before = fetching_client.describe("seg_index").set_index("column")
    assert before.type["total_segments"] == "BIGINT"
    assert before.type["SegmentationType"] == "VARCHAR"
    fetching_client.fetch_table("seg_index")
    after = fetching_client.describe("seg_index").set_index("column")
    assert after.index.tolist() == pq.read_schema(io.BytesIO(SEG)).names
    assert after.description["total_segments"] == before.description["total_segments"]

    with pytest.raises(
        InvalidQueryError, match=r"known after client.fetch_table\('clinical_index'\)"
    ):
        fetching_client.describe("c1_clinical")
    fetching_client.fetch_table("clinical_index")
    clinical = fetching_client.describe("c1_clinical").set_index("column")
    assert clinical.type.tolist() == [None, None]
    assert clinical.description["age"] == "Age at diagnosis"
    fetching_client.fetch_table("c1_clinical")
    clinical = fetching_client.describe("c1_clinical").set_index("column")
    assert (clinical.type["age"], clinical.description["age"]) == ("BIGINT", "Age at diagnosis")
