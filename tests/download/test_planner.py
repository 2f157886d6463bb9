"""Planning: where each series goes, and what is refused."""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import idc_index_data
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.downloads import index_row, planned_folder

from idc_widgets.download import FORMS, DownloadPlan
from idc_widgets.errors import DownloadError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


def test_a_real_series(ct: pa.Table, tmp_path: Path) -> None:
    plan = DownloadPlan.make(ct, tmp_path / "new", endpoint_url="http://localhost:9000/")
    (series,) = plan.series
    study = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
    assert series.folder == (
        tmp_path / "new/nsclc_radiomics/LUNG1-365" / study / f"CT_{series.SeriesInstanceUID}"
    )
    assert series.bucket == "idc-open-data-cr"
    assert series.prefix == "fa592876-b28b-40a6-83ac-6904b6e65efb"
    assert (plan.files, plan.size_bytes) == (134, 70_513_634)
    assert plan.endpoint_url == "http://localhost:9000"
    assert list(tmp_path.iterdir()) == [], "a plan writes nothing"
    size = "1 series, 134 files, 70.5 MB"
    assert repr(plan).startswith(f"DownloadPlan({size}, from http://localhost:9000 to")


@pytest.mark.parametrize("patients", [("A", "A"), ("A", "a"), ("x:y", "x/y"), ("é", "e\u0301")])
def test_two_series_in_one_folder(tmp_path: Path, patients: tuple[str, str]) -> None:
    rows = pa.Table.from_pylist([index_row(i, PatientID=patients[i]) for i in (0, 1)])
    with pytest.raises(DownloadError, match="template '%PatientID/%SeriesInstanceUID'"):
        DownloadPlan.make(rows, tmp_path, template="%PatientID")
    plan = DownloadPlan.make(rows, tmp_path, template="%PatientID/%SeriesInstanceUID")
    assert len(plan.series) == 2


@pytest.mark.parametrize("patient", ["p", "another"])
def test_one_series_twice(tmp_path: Path, patient: str) -> None:
    rows = [index_row(), index_row(PatientID=patient)]
    with pytest.raises(DownloadError, match=r"series 1\.2\.1 has two rows"):
        DownloadPlan.make(pa.Table.from_pylist(rows), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"series_aws_url": None}, r"series 1\.2\.1 has no location"),
        ({"series_aws_url": "https://host/uuid/"}, r"series 1\.2\.1 has no location"),
        ({"series_aws_url": "s3://bucket/*"}, r"series 1\.2\.1 has no location"),
        ({"series_aws_url": "s3://bucket/a/* /tmp\nrm s3://x/"}, r"series 1\.2\.1 has no location"),
        ({"series_aws_url": "s3://bucket/a*b/*"}, r"series 1\.2\.1 has no location"),
        ({"instanceCount": None}, r"series 1\.2\.1 has no count"),
        ({"instanceCount": 0}, r"series 1\.2\.1 has no count"),
        ({"instanceCount": 2.7}, r"series 1\.2\.1 has no count .*\(instanceCount is 2\.7\)"),
        ({"instanceCount": float("inf")}, r"series 1\.2\.1 has no count .* inf\)"),
        ({"instanceCount": "ten"}, r"series 1\.2\.1 has no count .* 'ten'\)"),
        ({"series_size_MB": float("inf")}, r"series 1\.2\.1 has no size .* inf\)"),
        ({"series_size_MB": 1e308}, r"series 1\.2\.1 has no size .* 1e\+308\)"),
        ({"series_size_MB": "0.1"}, r"series 1\.2\.1 has no size .* '0\.1'\)"),
        ({"series_size_MB": None}, r"series 1\.2\.1 has no size"),
        ({"series_size_MB": float("nan")}, r"series 1\.2\.1 has no size"),
        ({"SeriesInstanceUID": None}, "a row has no SeriesInstanceUID"),
    ],
)
def test_a_row_with_a_missing_or_wrong_value(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DownloadError, match=message):
        planned_folder(tmp_path, "%PatientID", **changes)


def test_floats_and_decimals_count_as_numbers(tmp_path: Path) -> None:
    rows = [index_row(instanceCount=10.0, series_size_MB=Decimal("0.100001"))]
    [series] = DownloadPlan.make(pa.Table.from_pylist(rows), tmp_path).series
    assert (series.instances, series.size_bytes) == (10, 100_001)


def test_text_that_is_not_unicode(tmp_path: Path) -> None:
    rows = pa.Table.from_pylist([index_row()])
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([b"a\xed\xa0\x80"]).buffers())
    rows = rows.set_column(rows.column_names.index("PatientID"), "PatientID", wrong)
    with pytest.raises(DownloadError, match=r"is not Unicode: b'a\\xed"):
        DownloadPlan.make(rows, tmp_path)


def test_rows_that_lack_a_column(ct: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no column instanceCount"):
        DownloadPlan.make(ct.drop_columns(["instanceCount"]), tmp_path)


@pytest.mark.parametrize("name", ["a*", "a?", "a\nb", "a\tb", "a\udcffb"])
def test_a_folder_that_s5cmd_cannot_write(ct: pa.Table, tmp_path: Path, name: str) -> None:
    with pytest.raises(DownloadError, match="characters that a folder for downloads cannot have"):
        DownloadPlan.make(ct, tmp_path / name)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("", "the folder has no name"),
        ("s3://bucket/x", "'s3://bucket/x' is an address"),
        ("GS://bucket/x", "is an address"),
        ("https://host/x", "is an address"),
        (Path("s3://bucket/x"), "is an address"),
        (None, "None is not a folder: expected a path"),
        (b"/tmp/x", "is not a folder"),
        (5, "5 is not a folder"),
        (
            "~nobody of that name/x",
            "the home folder of a user who does not exist; .* pass './~nobody",
        ),
        ("~a\0/x", "characters that a folder for downloads cannot have"),
    ],
)
def test_an_invalid_folder(ct: pa.Table, folder: Any, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        DownloadPlan.make(ct, folder, check_disk=False)
    with pytest.raises(DownloadError, match=message):
        DownloadPlan.check_capacity(folder, 1)


@pytest.mark.parametrize(
    "name", [" ", "a 'b' \"c\"", "[a]{b}", "a\xa0b\u3000", "a:b", "./~x", "s3"]
)
def test_a_strange_folder(ct: pa.Table, tmp_path: Path, name: str) -> None:
    assert DownloadPlan.make(ct, tmp_path / name).folder == tmp_path / name


@pytest.mark.skipif(sys.platform == "win32", reason="the current folder cannot be removed")
def test_the_current_folder_is_gone(
    ct: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(
        DownloadError, match=r"'data' is relative to .* no longer exists .*an absolute path"
    ):
        DownloadPlan.make(ct, "data")
    assert DownloadPlan.make(ct, tmp_path).folder == tmp_path
    monkeypatch.chdir(tmp_path)


def test_a_path_that_is_too_long(ct: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="choose a folder with a shorter path"):
        DownloadPlan.make(ct, tmp_path.joinpath(*["x" * 250] * 16))


@pytest.mark.parametrize(
    ("folder", "advice"),
    [
        ("/home/somebody/of/the/radiology/department/idc", "use the template 'short', or"),
        ("/" + "x" * 130, "use the template 'flat', or"),
        ("/" + "x" * 165, "use the template '%crdc_series_uuid', or"),
        ("/" + "x" * 175, "shorter path, of at most 171 characters: /xxx"),
    ],
)
def test_a_path_too_long_for_windows_names_what_fits(folder: str, advice: str) -> None:
    rows = pa.Table.from_pylist(
        [
            index_row(1, series_aws_url=f"s3://bucket/{1:036}/*"),
            index_row(
                2,
                series_aws_url=f"s3://bucket/{2:036}/*",
                PatientID="p" * 40,
                StudyInstanceUID="1." * 32,
                SeriesInstanceUID="2." * 32,
            ),
        ]
    )
    DownloadPlan.make(rows, folder, platform="linux", check_disk=False)
    with pytest.raises(DownloadError, match=re.escape(advice)) as caught:
        DownloadPlan.make(rows, folder, platform="win32", check_disk=False)
    assert "1 of 2 series would be too long: Windows allows 259" in str(caught.value)
    assert f"series {'2.' * 32} needs " in str(caught.value)
    if "use the template" in advice:
        template = advice.split("'")[1]
        DownloadPlan.make(rows, folder, template=template, platform="win32", check_disk=False)


def test_the_longest_path_is_at_the_limit() -> None:
    rows = pa.Table.from_pylist([index_row()])
    name = f"{0:08}-0000-0000-0000-{0:012}.dcm4294967295"
    for platform, limit in [("win32", 259), ("darwin", 1023), ("linux", 4095)]:
        folder = "/" + "é/" * (
            (limit - 1 - len(name) - 1 - 250) // (2 if platform == "win32" else 3)
        )
        units = len(folder) if platform == "win32" else len(folder.encode())
        fitting = folder + "x" * (limit - units - 1 - len(name) - 2)  # 2 is the length of "/x"
        plan = DownloadPlan.make(rows, fitting, template="x", platform=platform, check_disk=False)
        longest = f"{plan.series[0].folder}/{name}"
        assert limit == (len(longest) if platform == "win32" else len(longest.encode()))
        with pytest.raises(DownloadError, match=f"allows {limit:,}"):
            DownloadPlan.make(rows, fitting, template="xx", platform=platform, check_disk=False)


def test_the_template_short(ct: pa.Table, tmp_path: Path) -> None:
    plan = DownloadPlan.make(ct, tmp_path, template="short")
    uuid = "fa592876-b28b-40a6-83ac-6904b6e65efb"
    assert plan.series[0].folder == tmp_path / "nsclc_radiomics" / "LUNG1-365" / uuid
    assert plan == DownloadPlan.make(ct, tmp_path, template=FORMS["short"])
    # A table of the user may lack crdc_series_uuid; the prefix has the same value
    for rows in (
        ct.drop_columns(["crdc_series_uuid"]),
        ct.drop_columns(["crdc_series_uuid"]).append_column("crdc_series_uuid", pa.nulls(1)),
    ):
        assert DownloadPlan.make(rows, tmp_path, template="short") == plan
    assert DownloadPlan.make(ct, tmp_path, template="short/").series[0].folder == tmp_path / "short"


def test_the_template_flat(ct: pa.Table, tmp_path: Path) -> None:
    [series] = DownloadPlan.make(ct, tmp_path, template="flat").series
    assert series.folder == tmp_path / ".idc_widgets" / "fa592876-b28b-40a6-83ac-6904b6e65efb"
    assert series.destination == series.final_folder == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_no_template_leads_to_the_staging_folder(tmp_path: Path) -> None:
    assert planned_folder(tmp_path, ".idc_widgets/uuid") == "idc_widgets/uuid"


def test_ten_thousand_series_have_a_folder_each(tmp_path: Path) -> None:
    index = pq.ParquetFile(idc_index_data.IDC_INDEX_PARQUET_FILEPATH)
    rows = pa.Table.from_batches([next(index.iter_batches(10_000))])
    # Most of them are too large for this disk, and only their number matters here
    small = rows.set_column(
        rows.column_names.index("series_size_MB"), "series_size_MB", pa.array([0.1] * len(rows))
    )
    plan = DownloadPlan.make(small, tmp_path)
    assert len({series.folder for series in plan.series}) == 10_000
