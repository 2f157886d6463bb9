"""Where files go: the template, paths that are legal everywhere, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import idc_index_data
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idc_widgets.download import DEFAULT_TEMPLATE, DownloadPlan
from idc_widgets.errors import DownloadError


def make_row(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "collection_id": "c",
        "PatientID": "p",
        "StudyInstanceUID": "1.2",
        "Modality": "CT",
        "SeriesInstanceUID": f"1.2.{number}",
        "series_aws_url": "s3://bucket/uuid/*",
        "instanceCount": 10,
        "series_size_MB": 0.1,
        **changes,
    }


def folder_of(tmp: Path, template: str = DEFAULT_TEMPLATE, **changes: Any) -> str:
    """The planned folder of one row, relative to the download folder."""
    rows = pa.Table.from_pylist([make_row(**changes)])
    plan = DownloadPlan.make(rows, tmp, template=template)
    return plan.series[0].folder.relative_to(tmp).as_posix()


def test_a_real_series(ct: pa.Table, tmp_path: Path) -> None:
    plan = DownloadPlan.make(ct, tmp_path / "new", endpoint_url="http://localhost:9000/")
    (series,) = plan.series
    study = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
    assert series.folder == (
        tmp_path / "new/nsclc_radiomics/LUNG1-365" / study / f"CT_{series.SeriesInstanceUID}"
    )
    assert series.bucket == "idc-open-data-cr"
    assert series.prefix == "fa592876-b28b-40a6-83ac-6904b6e65efb"
    assert (plan.instances, plan.size_bytes) == (134, 70_513_634)
    assert plan.endpoint_url == "http://localhost:9000"
    assert list(tmp_path.iterdir()) == [], "a plan writes nothing"
    assert repr(plan).startswith("<DownloadPlan: 1 series, 70.5 MB, from http://localhost:9000 to")


def test_an_empty_plan(ct: pa.Table, tmp_path: Path) -> None:
    plan = DownloadPlan.make(ct.slice(0, 0), tmp_path)
    assert (plan.series, plan.size_bytes) == ((), 0)


def test_endpoint(ct: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_ENDPOINT_URL", raising=False)
    assert DownloadPlan.make(ct, tmp_path).endpoint_url == "https://s3.amazonaws.com"
    monkeypatch.setenv("S3_ENDPOINT_URL", "https://storage.googleapis.com")
    assert DownloadPlan.make(ct, tmp_path).endpoint_url == "https://storage.googleapis.com"
    assert DownloadPlan.make(ct, tmp_path, endpoint_url="http://h").endpoint_url == "http://h"


@pytest.mark.parametrize("url", ["s3.amazonaws.com", "ftp://host", "https://", "http://h:99999"])
def test_endpoint_that_is_none(ct: pa.Table, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="not the address of a server"):
        DownloadPlan.make(ct, tmp_path, endpoint_url=url)


# --- the template ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("%Modality_%SeriesInstanceUID", "CT_1.2.1"),
        ("%PatientID%Modality", "pCT"),
        ("100%%/%PatientIDs", "100%/ps"),
        ("/%PatientID//x\\y/", "p/x/y"),
        ("plain", "plain"),
        ("", "."),
        ("%Model", "long"),  # there is a column Mod as well
        ("%Mode", "shorte"),
        ("%StudyDate", "unknown"),
        ("%Empty", "unknown"),
        ("%NaN", "unknown"),
        ("%Number", "7"),
    ],
)
def test_template(tmp_path: Path, template: str, folder: str) -> None:
    columns = {
        "Mod": "short", "Model": "long", "StudyDate": None, "Empty": " ", "NaN": float("nan"),
        "Number": 7,
    }  # fmt: skip
    assert folder_of(tmp_path, template, **columns) == folder


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("%patientid", "did you mean 'PatientID'"),
        ("x/%Modalty_%PatientID", "unknown column 'Modalty_'; did you mean 'Modality'"),
        ("100%", "a percent sign itself is %%"),
        ("% PatientID", "a percent sign itself is %%"),
    ],
)
def test_wrong_template(tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        folder_of(tmp_path, template)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("../../etc", "_.._etc"),
        ("..", "_"),
        (". .", "_"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("a\n\x00\x7f\u202e\u200bz", "a_____z"),
        (" .hidden. ", "hidden"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("Com1 .x", "_Com1 .x"),
        ("lpt³", "_lpt³"),
        ("CONTRAST", "CONTRAST"),
        ("Müller 日本", "Müller 日本"),
        ("%PatientID", "%PatientID"),
    ],
)
def test_a_value_is_one_safe_name(tmp_path: Path, value: str, name: str) -> None:
    assert folder_of(tmp_path, "%PatientID", PatientID=value) == name


def test_long_values_are_shortened_and_stay_apart(tmp_path: Path) -> None:
    first, second = (folder_of(tmp_path, "%PatientID", PatientID="é" * 200 + x) for x in "12")
    assert first != second
    assert {len(os.fsencode(first)), len(os.fsencode(second))} <= {254, 255}
    (tmp_path / first).mkdir()


TEXT = st.text(max_size=300) | st.sampled_from(["..", "/etc", "CON", "a/../..", "~", "-x", None])
PIECES = ["%PatientID", "%Modality", "..", ".", "/", "%%", " ", "x", "\\", "_"]


@settings(max_examples=150, deadline=None)
@given(
    template=st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    patients=st.tuples(TEXT, TEXT),
    modality=TEXT,
)
def test_no_path_leaves_the_folder(
    template: str, patients: tuple[str | None, str | None], modality: str | None
) -> None:
    rows = [make_row(i, PatientID=patients[i], Modality=modality) for i in (0, 1)]
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp, "root")
        plan = DownloadPlan.make(
            pa.Table.from_pylist(rows, schema=pa.Table.from_pylist([make_row()]).schema),
            root,
            template=template + "/%SeriesInstanceUID",
        )
        folders = [series.folder for series in plan.series]
        for folder in folders:
            assert os.path.normpath(folder) == str(folder)
            assert root in folder.parents
            for part in folder.relative_to(root).parts:
                assert not set(part) & set('/\\:*?"<>|') and part.isprintable()
                assert part == part.strip(" .") != ""
                assert part.split(".")[0].strip().lower() not in {"con", "nul", "com1", "aux"}
            folder.mkdir(parents=True)  # legal here, and not the folder of the other
        assert len({str(folder).casefold() for folder in folders}) == 2


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("patients", [("A", "A"), ("A", "a"), ("x:y", "x/y"), ("é", "e\u0301")])
def test_two_series_in_one_folder(tmp_path: Path, patients: tuple[str, str]) -> None:
    rows = pa.Table.from_pylist([make_row(i, PatientID=patients[i]) for i in (0, 1)])
    with pytest.raises(DownloadError, match="template '%PatientID/%SeriesInstanceUID'"):
        DownloadPlan.make(rows, tmp_path, template="%PatientID")
    plan = DownloadPlan.make(rows, tmp_path, template="%PatientID/%SeriesInstanceUID")
    assert len(plan.series) == 2


def test_one_series_twice(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"series 1\.2\.1 is there twice"):
        DownloadPlan.make(pa.Table.from_pylist([make_row(), make_row()]), tmp_path)


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
        ({"series_size_MB": None}, r"series 1\.2\.1 has no size"),
        ({"series_size_MB": float("nan")}, r"series 1\.2\.1 has no size"),
        ({"SeriesInstanceUID": None}, "a row has no SeriesInstanceUID"),
    ],
)
def test_a_row_that_lacks_something(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        folder_of(tmp_path, "%PatientID", **changes)


def test_rows_that_lack_a_column(ct: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no column instanceCount"):
        DownloadPlan.make(ct.drop_columns(["instanceCount"]), tmp_path)


@pytest.mark.parametrize("name", ["a*", "a?", "a\nb", "a\tb", "a\udcffb"])
def test_a_folder_that_s5cmd_cannot_write(ct: pa.Table, tmp_path: Path, name: str) -> None:
    with pytest.raises(DownloadError, match="characters that a download cannot have"):
        DownloadPlan.make(ct, tmp_path / name)


def test_a_folder_that_is_a_file(ct: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(DownloadError, match="file is a file"):
        DownloadPlan.make(ct, file)
    with pytest.raises(DownloadError, match=r"cannot be made: .*file is a file"):
        DownloadPlan.make(ct, file / "below")
    assert file.read_text() == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is where even root cannot write")
def test_a_folder_that_nobody_can_write(ct: pa.Table) -> None:
    with pytest.raises(DownloadError, match=r"cannot write to /proc/x/y: .*; choose another"):
        DownloadPlan.make(ct, "/proc/x/y")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from idc_widgets.download import disk\n"
        "from idc_widgets.errors import DownloadError\n"
        "folder = Path(sys.argv[1])\n"
        "if os.getuid() == 0: os.setuid(65534)\n"  # permissions do not bind root
        "try: disk.check_folder(folder / 'new')\n"
        "except DownloadError as error: print(error)\n"
    )
    # Below /tmp, because pytest's own folders are closed to other users
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        answer = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
        )
        assert answer.stdout.startswith(f"cannot write to {folder}/new: Permission denied")


def test_a_path_that_is_too_long(ct: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="choose a folder with a shorter path"):
        DownloadPlan.make(ct, tmp_path.joinpath(*["x" * 250] * 16))


def test_a_disk_that_is_too_full(tmp_path: Path) -> None:
    free_MB = shutil.disk_usage(tmp_path).free / 1e6
    rows = pa.Table.from_pylist([make_row(instanceCount=1, series_size_MB=free_MB + 5000)])
    with pytest.raises(DownloadError, match=r"\d [GT]B are still to fetch, [\d.]+ [GT]B are free"):
        DownloadPlan.make(rows, tmp_path / "new", template="x")
    assert not (tmp_path / "new").exists()
    # What is there already need not fit again (a sparse file takes no space)
    (tmp_path / "new" / "x").mkdir(parents=True)
    with open(tmp_path / "new" / "x" / "1.dcm", "wb") as file:
        file.truncate(round((free_MB + 5000) * 1e6))
    plan = DownloadPlan.make(rows, tmp_path / "new", template="x")
    assert plan.complete() == {"1.2.1": [tmp_path / "new" / "x" / "1.dcm"]}


def test_ten_thousand_series_are_planned_in_two_seconds(tmp_path: Path) -> None:
    index = pq.ParquetFile(idc_index_data.IDC_INDEX_PARQUET_FILEPATH)
    rows = pa.Table.from_batches([next(index.iter_batches(10_000))])
    # Most of them are too large for this disk; not the size but the time is at stake
    small = rows.set_column(
        rows.column_names.index("series_size_MB"), "series_size_MB", pa.array([0.1] * len(rows))
    )
    start = time.perf_counter()
    plan = DownloadPlan.make(small, tmp_path)
    assert time.perf_counter() - start < 2
    assert len({series.folder for series in plan.series}) == 10_000
