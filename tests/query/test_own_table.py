"""Users' own tables of series, good and bad."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.own_table import OwnTable

from idc_widgets import DuckDBEngine, IDCClient, Index, IndexFileError
from idc_widgets.index import COLUMNS

HEADER = "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id"


def _csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_sizes_can_be_fractions_of_bytes(own_table: OwnTable) -> None:
    client = own_table("series_size_MB", "1,2,3,4,0.1234567891", "5,2,3,4,1e-7")
    total = 0.1234567891 + 1e-7
    assert client.cohort().summary().size_MB == pytest.approx(total, rel=1e-9)
    assert client.cohort().patients().size_MB.tolist() == pytest.approx([total], rel=1e-9)


def test_counts_can_be_floats(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    names = ("StudyInstanceUID", "PatientID", "collection_id")
    columns: dict[str, list[Any]] = {name: ["1", "1"] for name in names}
    columns |= {"SeriesInstanceUID": ["1", "2"], "instanceCount": [3.0, math.nan]}
    pq.write_table(pa.table(columns), path)
    summary = IDCClient(path).cohort().summary()
    assert (summary.series, summary.instances) == (2, 3)


def test_the_column_names_of_the_first_index_are_read(tmp_path: Path) -> None:
    path = _csv(
        tmp_path / "mine.csv",
        f"{HEADER},DOI,series_aws_location,instanceCount,series_size_MB,Modality",
        "1.2.3,1.2,P1,mine,10.1/x,s3://bucket/abc-def/,3,1.5,CT",
        "1.2.4,1.2,P1,mine,,s3://bucket/abc-xyz/,,,",
    )
    rows = IDCClient(path).sql("SELECT * FROM index ORDER BY SeriesInstanceUID")
    assert list(rows.columns) == list(COLUMNS)
    first = rows.iloc[0]
    assert first.source_DOI == "10.1/x"
    assert first.series_aws_url == "s3://bucket/abc-def/*"
    assert (first.aws_bucket, first.crdc_series_uuid) == ("bucket", "abc-def")
    assert (first.instanceCount, first.series_size_MB) == (3, 1.5)
    summary = IDCClient(path).cohort(Modality=None).summary()
    assert (summary.series, summary.instances, summary.size_MB) == (1, 0, 0.0)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_files_of_other_programs_are_read(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "mine.csv"
    text = f"{HEADER},Modality,modality,StudyDate\n1.2,1,P,c,CT,MR,20100401\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace(",", delimiter).encode())
    cohort = IDCClient(path).cohort(StudyDate=("2010-04-01", "2010-04-01"))
    assert cohort.series().Modality.tolist() == ["CT"]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-5"])
def test_negative_and_infinite_numbers_are_missing_values(tmp_path: Path, value: str) -> None:
    path = _csv(tmp_path / "mine.csv", f"{HEADER},series_size_MB", f"1,2,3,4,{value}", "5,2,3,4,1")
    client = IDCClient(path)
    assert client.cohort().summary().size_MB == 1.0
    json.dumps(client.get_series(), allow_nan=False)


def test_a_path_may_have_glob_characters(tmp_path: Path) -> None:
    path = tmp_path / "it's [1] *?.parquet"
    duckdb.sql(
        "SELECT '1.2.3' AS SeriesInstanceUID, '1.2' AS StudyInstanceUID, 'P' AS PatientID,"
        " 'c' AS collection_id, 'MR' AS Modality"
    ).to_parquet(str(tmp_path / "plain.parquet"))
    (tmp_path / "plain.parquet").rename(path)
    client = IDCClient(Index(path))
    assert client.get_collection_ids() == ["c"]
    assert client.data_version == str(path)
    assert client.cohort(Modality="MR").summary().series == 1


def test_rows_with_empty_keys_are_kept(tmp_path: Path) -> None:
    path = _csv(tmp_path / "mine.csv", HEADER, "1.2.3,1.2,,mine")
    assert IDCClient(path).cohort().of_patients([("mine", "")]).summary().series == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "SeriesUID,StudyInstanceUID,PatientID,collection_id\n", "SeriesInstanceUID"),
        ("a.csv", f"{HEADER}\n1,2,3,4\n1,2,3,4\n", "has the series '1' in 2 rows"),
        ("a.csv", f"{HEADER},instanceCount\n1,2,3,4,many\n", "many"),
        ("a.csv", "", "no column SeriesInstanceUID"),
        ("a.csv", f"{HEADER}\n1,2,3,4\n5,6,7\n", "Expected Number of Columns: 4 Found: 3"),
        ("a.csv", b"\xff\xfeS\x00", "is not UTF-8 text"),
        ("a.parquet", "this is not Parquet", "cannot read"),
        ("a.xlsx", "", "neither a .parquet nor a .csv"),
    ],
)
def test_a_bad_table_is_refused(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(IndexFileError, match=message):
        IDCClient(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="does not exist"):
        Index(tmp_path / "nope.parquet")
    with pytest.raises(IndexFileError, match="is a folder"):
        Index(tmp_path)


def test_the_message_names_the_nearest_column(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", "SeriesInstanceUIDs,StudyInstanceUID,PatientID,collection_id")
    with pytest.raises(IndexFileError, match="did you mean 'SeriesInstanceUIDs'"):
        DuckDBEngine(Index(path))
