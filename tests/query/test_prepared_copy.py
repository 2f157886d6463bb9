"""The prepared copy of the installed index."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pytest
from support.small_index import SERIES

from idc_widgets import DuckDBEngine, IDCClient, Index, IndexFileError, InvalidQueryError
from idc_widgets.query.memory import loading, prepare
from idc_widgets.query.prepared_copy import write_prepared_copy


def test_the_copy_has_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path / "new"))
    client = IDCClient()
    path = client.build_cache()
    kinds = sorted(file.name.partition("-")[0] for file in path.parent.iterdir())
    assert kinds == ["encoding", "index", "index"]
    assert Index.default().tables["index"] == path
    shipped = Path(duckdb.__file__).parents[1] / "idc_index_data" / "idc_index.parquet"
    # The sum of the hashes of all rows does not depend on their order.
    digest = "SELECT count(*), sum(hash(t)::HUGEINT) FROM '{}' AS t"
    before, after = (duckdb.sql(digest.format(file)).fetchall() for file in (shipped, path))
    assert before[0][0] == 1_044_191
    assert after == before


def test_a_damaged_copy_is_replaced(small_index: Path) -> None:
    client = IDCClient()
    ids = "SELECT _row, SeriesInstanceUID FROM _rows WHERE PatientID = 'LUNG1-365' ORDER BY 1"
    before = client.engine.rows(ids)
    path = client.build_cache()
    again = IDCClient()
    assert again.build_cache() == path

    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2])
    damaged = IDCClient()
    assert damaged.engine.rows(ids) == before, "it reads the installed index"
    assert damaged.engine.index.tables["index"] == path, "the caller's Index is not changed"
    assert damaged.build_cache() == path
    assert path.stat().st_size == size, "the copy is written again"
    for opened_before in (client, again):
        assert opened_before.engine.rows(ids) == before, "rows keep their numbers"
        assert opened_before.cohort().summary().series == SERIES
        with pytest.raises(InvalidQueryError):
            opened_before.sql("SELECT * FROM read_csv('/etc/passwd')")


def test_a_wrong_bit_is_noticed(small_index: Path) -> None:
    query = "SELECT * EXCLUDE (_row) FROM _rows ORDER BY SeriesInstanceUID"
    expected = IDCClient().engine.query(query)
    path = IDCClient().build_cache()
    content = bytearray(path.read_bytes())
    noticed = 0
    for place in range(1_000, len(content) - 1_000, len(content) // 20):
        damaged = content.copy()
        damaged[place] ^= 4
        path.unlink()
        path.write_bytes(damaged)
        try:
            engine = DuckDBEngine()
        except IndexFileError:
            continue
        assert engine.query(query).equals(expected), place
        assert not engine.opened.is_prepared
        noticed += 1
    assert noticed > 5
    assert IDCClient().build_cache() == path
    again = DuckDBEngine()
    assert again.query(query).equals(expected)
    assert again.opened.is_prepared, "`build_cache` has written it again"


def test_a_copy_without_a_checksum_is_read_and_prepared_again(small_index: Path) -> None:
    path = IDCClient().build_cache()
    checksum = path.with_suffix(".crc32")
    checksum.unlink()
    engine = DuckDBEngine()
    engine.query("SELECT 1")
    assert engine.opened.is_prepared
    engine.build_copy()
    assert checksum.exists()


def test_own_tables_and_unwritable_folders_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "mine.csv"
    own.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n1,2,3,4\n")
    with pytest.raises(IndexFileError, match="is read directly"):
        IDCClient(own).build_cache()
    (tmp_path / "file").touch()
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path / "file"))
    client = IDCClient()
    with pytest.raises(IndexFileError, match="cannot write"):
        client.build_cache()
    assert len(client.get_collection_ids()) == 179


@pytest.mark.skipif(sys.platform == "win32", reason="modes differ on Windows")
def test_nothing_is_prepared_in_a_folder_that_everybody_may_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path))
    tmp_path.chmod(0o777)
    with pytest.raises(IndexFileError, match="everybody may write to"):
        IDCClient().build_cache()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_prepared_where_the_system_would_end_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = r"takes 500.0 MB of memory and DuckDB may use 40\d.\d MB here; give the notebook"
    with duckdb.connect() as connection, pytest.raises(IndexFileError, match=message):
        connection.execute("SET memory_limit = '409 MB'")
        write_prepared_copy(connection.execute, Index().shipped, tmp_path / "copy.parquet")
    monkeypatch.setenv("IDC_WIDGETS_CACHE_DIR", str(tmp_path / "new"))
    engine = DuckDBEngine()
    monkeypatch.setattr(loading, "MEMORY_LIMIT_SQL", "SELECT '390.6 MiB'")
    with pytest.raises(IndexFileError, match=message):
        prepare(engine)
    assert list(tmp_path.iterdir()) == []
