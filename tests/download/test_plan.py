"""Where files go: the template, paths that are legal everywhere, and what is refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import idc_index_data
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.downloads import file_name

from idc_widgets import IDCClient, Selection
from idc_widgets.download import DEFAULT_TEMPLATE, FORMS, DownloadPlan, preview
from idc_widgets.errors import DownloadError
from idc_widgets.query.memory.loading import memory_index_of

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


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
    # s5cmd takes no other
    assert DownloadPlan.make(ct, tmp_path, endpoint_url="HTTP://H/").endpoint_url == "http://H"


@pytest.mark.parametrize(
    "url",
    [
        *("s3.amazonaws.com", "ftp://host", "https://", "http://h:99999"),
        *("http://h x", "http://h/ x", "http://h\n", "ht\ttp://h", "http://h\xa0", "http://h\\x"),
        *("http://" + "h" * 64, "http://h..x"),
    ],
)
def test_endpoint_that_is_none(ct: pa.Table, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="not the address of a server"):
        DownloadPlan.make(ct, tmp_path, endpoint_url=url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://me:geheim@h", "http://geheim@h:9", "me:geheim@h", "http://h/geheim\\@x"),
        *("http://h?token=geheim", "http://h/x?geheim", "http://h#geheim", "http://h:x?geheim"),
    ],
)
@pytest.mark.parametrize("of", ["argument", "variable"])
def test_what_may_be_secret_is_neither_taken_nor_repeated(
    ct: pa.Table, tmp_path: Path, url: str, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if of == "variable":
        monkeypatch.setenv("S3_ENDPOINT_URL", url)
    with pytest.raises(DownloadError, match="the address of the server") as caught:
        DownloadPlan.make(ct, tmp_path, endpoint_url=url if of == "argument" else None)
    assert "geheim" not in str(caught.value)


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
        ("100%", "write a percent sign as %%"),
        ("% PatientID", "write a percent sign as %%"),
        (5, "the template 5 is not text"),
    ],
)
def test_wrong_template(tmp_path: Path, template: Any, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        folder_of(tmp_path, template)


def test_no_template_is_the_usual_one(ct: pa.Table, tmp_path: Path) -> None:
    usual = DownloadPlan.make(ct, tmp_path, template=DEFAULT_TEMPLATE)
    assert DownloadPlan.make(ct, tmp_path, template=None) == usual


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


@pytest.mark.parametrize("patient", ["p", "another"])
def test_one_series_twice(tmp_path: Path, patient: str) -> None:
    rows = [make_row(), make_row(PatientID=patient)]
    with pytest.raises(DownloadError, match=r"series 1\.2\.1 is there twice"):
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
def test_a_row_that_lacks_something(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        folder_of(tmp_path, "%PatientID", **changes)


def test_numbers_as_other_tables_have_them(tmp_path: Path) -> None:
    rows = [make_row(instanceCount=10.0, series_size_MB=Decimal("0.100001"))]
    [series] = DownloadPlan.make(pa.Table.from_pylist(rows), tmp_path).series
    assert (series.instances, series.size_bytes) == (10, 100_001)


def test_text_that_is_not_unicode(tmp_path: Path) -> None:
    rows = pa.Table.from_pylist([make_row()])
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([b"a\xed\xa0\x80"]).buffers())
    rows = rows.set_column(rows.column_names.index("PatientID"), "PatientID", wrong)
    with pytest.raises(DownloadError, match=r"is not Unicode: b'a\\xed"):
        DownloadPlan.make(rows, tmp_path)


def test_rows_that_lack_a_column(ct: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no column instanceCount"):
        DownloadPlan.make(ct.drop_columns(["instanceCount"]), tmp_path)


@pytest.mark.parametrize("name", ["a*", "a?", "a\nb", "a\tb", "a\udcffb"])
def test_a_folder_that_s5cmd_cannot_write(ct: pa.Table, tmp_path: Path, name: str) -> None:
    with pytest.raises(DownloadError, match="characters that a download cannot have"):
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
        ("~a\0/x", "characters that a download cannot have"),
    ],
)
def test_a_folder_that_is_none(ct: pa.Table, folder: Any, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        DownloadPlan.make(ct, folder, check_disk=False)
    with pytest.raises(DownloadError, match=message):
        DownloadPlan.check_capacity(folder, 1)


@pytest.mark.parametrize(
    "name", [" ", "a 'b' \"c\"", "[a]{b}", "a\xa0b\u3000", "a:b", "./~x", "s3"]
)
def test_a_strange_folder(ct: pa.Table, tmp_path: Path, name: str) -> None:
    assert DownloadPlan.make(ct, tmp_path / name).folder == tmp_path / name


@pytest.mark.skipif(sys.platform == "win32", reason="the folder one works in cannot be removed")
def test_the_folder_one_works_in_is_gone(
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


def test_a_folder_that_is_a_file(ct: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(DownloadError, match="file is a file"):
        DownloadPlan.make(ct, file)
    with pytest.raises(DownloadError, match=r"cannot be created: .*file is a file"):
        DownloadPlan.make(ct, file / "below")
    assert file.read_text() == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is where even root cannot write")
def test_a_folder_that_nobody_can_write(ct: pa.Table) -> None:
    with pytest.raises(DownloadError, match=r"cannot write to /proc/x/y: .*; choose another"):
        DownloadPlan.make(ct, "/proc/x/y")
    with pytest.raises(DownloadError, match=r"no files can be stored in /proc/x: .* has no space"):
        DownloadPlan.check_capacity("/proc/x", 45_300_000_000)


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


@pytest.mark.parametrize(
    ("folder", "advice"),
    [
        ("/home/somebody/of/the/radiology/department/idc", "use the template 'short', or"),
        ("/" + "x" * 130, "use the template 'flat', or"),
        ("/" + "x" * 165, "use the template '%crdc_series_uuid', or"),
        ("/" + "x" * 175, "shorter path, of at most 171 characters: /xxx"),
    ],
)
def test_windows_is_told_what_fits(folder: str, advice: str) -> None:
    rows = pa.Table.from_pylist(
        [
            make_row(1, series_aws_url=f"s3://bucket/{1:036}/*"),
            make_row(
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
    rows = pa.Table.from_pylist([make_row()])
    name = f"{0:08}-0000-0000-0000-{0:012}.dcm4294967295"
    for platform, limit in [("win32", 259), ("darwin", 1023), ("linux", 4095)]:
        folder = "/" + "é/" * (
            (limit - 1 - len(name) - 1 - 250) // (2 if platform == "win32" else 3)
        )
        units = len(folder) if platform == "win32" else len(folder.encode())
        fitting = folder + "x" * (limit - units - 1 - len(name) - 2)  # one for "x", one for "/"
        plan = DownloadPlan.make(rows, fitting, template="x", platform=platform, check_disk=False)
        longest = f"{plan.series[0].folder}/{name}"
        assert limit == (len(longest) if platform == "win32" else len(longest.encode()))
        with pytest.raises(DownloadError, match=f"allows {limit:,}"):
            DownloadPlan.make(rows, fitting, template="xx", platform=platform, check_disk=False)


def test_a_disk_that_is_too_full(tmp_path: Path) -> None:
    free_MB = shutil.disk_usage(tmp_path).free / 1e6
    rows = pa.Table.from_pylist([make_row(instanceCount=1, series_size_MB=free_MB + 5000)])
    with pytest.raises(DownloadError, match=r"\d [GT]B are still to fetch, [\d.]+ [GT]B are free"):
        DownloadPlan.make(rows, tmp_path / "new", template="x")
    assert not (tmp_path / "new").exists()
    # What is there already need not fit again (a sparse file takes no space)
    (tmp_path / "new" / "x").mkdir(parents=True)
    with open(tmp_path / "new" / "x" / file_name(1), "wb") as file:
        file.truncate(round((free_MB + 5000) * 1e6))
    plan = DownloadPlan.make(rows, tmp_path / "new", template="x")
    assert plan.complete() == {"1.2.1": [tmp_path / "new" / "x" / file_name(1)]}


def test_a_margin_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.Table.from_pylist([make_row(series_size_MB=70.0)])

    def plan(free: float, total: float) -> DownloadPlan:
        usage = shutil.disk_usage("/")._replace(free=round(free * 1e6), total=round(total * 1e6))
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        return DownloadPlan.make(rows, tmp_path, template="x")

    assert plan(80, 500).preview().fits, "2 % of a small disk"
    assert plan(1070, 100_000).preview().fits, "1 GB of a large one"
    message = "70.0 MB are still to fetch, 79.9 MB are free, of which 10.0 MB must be left"
    with pytest.raises(DownloadError, match=message):
        plan(79.9, 500)
    with pytest.raises(DownloadError, match=r"1\.1 GB are free, of which 1\.0 GB must be left"):
        plan(1069.9, 100_000)
    (tmp_path / "x").mkdir()
    for number in range(10):
        with open(tmp_path / "x" / file_name(number), "wb") as file:
            file.truncate(7_000_000)
    assert plan(0, 500).preview().fits, "nothing is left to fetch"


# --- the forms -------------------------------------------------------------------------------


def test_short(ct: pa.Table, tmp_path: Path) -> None:
    plan = DownloadPlan.make(ct, tmp_path, template="short")
    uuid = "fa592876-b28b-40a6-83ac-6904b6e65efb"
    assert plan.series[0].folder == tmp_path / "nsclc_radiomics" / "LUNG1-365" / uuid
    assert plan == DownloadPlan.make(ct, tmp_path, template=FORMS["short"])
    # A table of one's own may lack that column: the prefix is the same
    for rows in (
        ct.drop_columns(["crdc_series_uuid"]),
        ct.drop_columns(["crdc_series_uuid"]).append_column("crdc_series_uuid", pa.nulls(1)),
    ):
        assert DownloadPlan.make(rows, tmp_path, template="short") == plan
    assert DownloadPlan.make(ct, tmp_path, template="short/").series[0].folder == tmp_path / "short"


def test_flat(ct: pa.Table, tmp_path: Path) -> None:
    [series] = DownloadPlan.make(ct, tmp_path, template="flat").series
    assert series.folder == tmp_path / ".idc_widgets" / "fa592876-b28b-40a6-83ac-6904b6e65efb"
    assert series.destination == series.final_folder == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_no_template_leads_to_where_flat_files_arrive(tmp_path: Path) -> None:
    assert folder_of(tmp_path, ".idc_widgets/uuid") == "idc_widgets/uuid"


def test_settling_moves_nothing_that_has_its_folder(tmp_path: Path) -> None:
    rows = pa.Table.from_pylist([make_row(instanceCount=2, series_size_MB=6e-6)])
    [series] = DownloadPlan.make(rows, tmp_path, template="x").series
    assert series.finalize() == [] and series.files() == {}
    series.folder.mkdir()
    for name in (file_name(2), file_name(1)):
        (series.folder / name).write_bytes(b"123")
    assert series.finalize() == [series.folder / file_name(1), series.folder / file_name(2)]
    assert series.is_complete(series.files())


# --- where from ------------------------------------------------------------------------------


def test_google_has_the_same_keys_in_other_buckets(ct: pa.Table, tmp_path: Path) -> None:
    aws, gcs = (DownloadPlan.make(ct, tmp_path, source=source) for source in ("aws", "gcs"))
    assert gcs.endpoint_url == "https://storage.googleapis.com"
    assert [one.bucket for one in (aws.series[0], gcs.series[0])] == [
        "idc-open-data-cr",
        "idc-open-cr",
    ]
    assert aws.series[0].prefix == gcs.series[0].prefix
    assert aws.series[0].folder == gcs.series[0].folder, "one source goes on for the other"


def test_the_buckets_are_those_of_the_index(client: IDCClient, tmp_path: Path) -> None:
    pairs = client.sql(
        "SELECT aws_bucket, gcs_bucket FROM prior_versions_index"
        # Until version 19, Google had the first one under another name
        " WHERE max_idc_version >= 20 GROUP BY ALL"
    )
    known: dict[str, str] = dict(pairs.itertuples(index=False))
    assert len(known) == len(pairs) >= 2
    for bucket in client.sql("SELECT DISTINCT aws_bucket FROM index")["aws_bucket"]:
        rows = pa.Table.from_pylist([make_row(series_aws_url=f"s3://{bucket}/uuid/*")])
        [series] = DownloadPlan.make(rows, tmp_path, source="gcs").series
        assert series.bucket == known.get(bucket, "idc-open-cr")


def test_which_endpoint_wins(ct: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://mirror")
    google = DownloadPlan.make(ct, tmp_path, source="gcs")
    assert google.endpoint_url == "https://storage.googleapis.com", "the mirror may be of AWS"
    mirror = DownloadPlan.make(ct, tmp_path, source="gcs", endpoint_url="http://h:9/")
    assert mirror.endpoint_url == "http://h:9" and mirror.series == google.series


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gcs", r"series 1\.2\.1 is in the bucket 'bucket', which has no known copy at Google"),
        ("gsc", "unknown source 'gsc'; did you mean 'gcs'"),
    ],
)
def test_no_such_source(tmp_path: Path, source: Any, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        DownloadPlan.make(pa.Table.from_pylist([make_row()]), tmp_path, source=source)


# --- before the start ------------------------------------------------------------------------


@pytest.fixture
def no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_rate", None)


def three(tmp_path: Path, template: str = "%SeriesInstanceUID") -> DownloadPlan:
    """Three series, of which one is complete and one there in part."""
    rows = [
        make_row(
            number,
            series_aws_url=f"s3://bucket/uuid-{number}/*",
            instanceCount=files,
            series_size_MB=size_MB,
            license_short_name=license,
        )
        for number, files, size_MB, license in [
            (1, 2, 6e-6, "CC BY-NC 4.0"),
            (2, 3, 20.0, "CC BY 4.0"),
            (3, 4, 30.0, "CC BY-NC 4.0"),
        ]
    ]
    for folder, number in (("1.2.1", 1), ("1.2.1", 2), ("1.2.2", 1)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / file_name(number)).write_bytes(b"123")
    return DownloadPlan.make(pa.Table.from_pylist(rows), tmp_path, template=template)


def test_preview(tmp_path: Path, no_rate: None) -> None:
    plan = three(tmp_path)
    before = plan.preview()
    assert (before.series, before.files, before.size_bytes) == (3, 9, 50_000_006)
    assert (before.files_to_fetch, before.bytes_to_fetch) == (6, 49_999_997)
    assert before.non_commercial == {"CC BY-NC 4.0": 2}
    assert before.seconds is None and before.fits
    assert before.free_bytes == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)
    lines = str(before).splitlines()
    assert lines[0] == f"3 series, 9 files, 50.0 MB, into {tmp_path}"
    assert lines[1] == "still to fetch: 6 files, 50.0 MB"
    assert lines[2].startswith("free on the disk: ") and lines[2].endswith(" must be left")
    assert lines[3:] == ["2 series are for non-commercial use (CC BY-NC 4.0)"]

    preview.remember_rate(10.0)
    preview.remember_rate(0.0)  # a download that got nothing tells nothing
    assert plan.preview().seconds == pytest.approx(5.0, rel=1e-3)
    assert "about 5 s at 10.0 MB/s, the rate of the last download" in str(plan.preview())


def test_preview_of_what_is_there(tmp_path: Path) -> None:
    plan = three(tmp_path)
    done = DownloadPlan(plan.series[:1], plan.folder, plan.endpoint_url).preview()
    assert (done.files_to_fetch, done.bytes_to_fetch, done.seconds) == (0, 0, 0.0)
    assert str(done).splitlines()[1:] == [
        "everything is on disk already",
        "1 series is for non-commercial use (CC BY-NC 4.0)",
    ]


def test_preview_of_nothing_there_and_no_space(tmp_path: Path) -> None:
    licenses = ["CC BY-NC 4.0", "CC BY-NC 3.0", "CC BY-NC 4.0", None, "CC BY 3.0"]
    rows = [
        make_row(i, license_short_name=name, series_size_MB=1e9) for i, name in enumerate(licenses)
    ]
    plan = DownloadPlan.make(pa.Table.from_pylist(rows), tmp_path / "new", check_disk=False)
    before = plan.preview()
    assert not before.fits
    text = str(before)
    assert "still to fetch: 50 files, 5,000.0 TB; nothing is on disk yet" in text
    assert "must be left: NOT ENOUGH" in text
    assert "3 series are for non-commercial use (2 CC BY-NC 4.0, 1 CC BY-NC 3.0)" in text
    assert "the licence of 1 series is not known" in text
    assert not (tmp_path / "new").exists()


def test_licenses_are_those_of_the_selection(client: IDCClient, tmp_path: Path) -> None:
    selection = client.cohort(collection_id=["nsclc_radiomics", "4d_lung"]).select()
    told = selection.plan(tmp_path, check_disk=False).preview()
    assert told.licenses == {one.name: one.series for one in selection.licenses}
    marked = {one.name for one in selection.licenses if one.non_commercial}
    assert set(told.non_commercial) == marked and marked


def test_consent(tmp_path: Path) -> None:
    plan = three(tmp_path)
    assert plan.needs_consent(0.049) and not plan.needs_consent(0.05) and not plan.needs_consent()
    assert not plan.needs_consent(None)
    message = r"50\.0 MB are still to fetch, and the limit is 0\.049 GB; .*pass max_GB=1, or"
    with pytest.raises(DownloadError, match=message):
        plan.check_consent(0.049)
    (tmp_path / "1.2.2" / file_name(2)).write_bytes(bytes(19_999_997))
    assert not plan.needs_consent(0.049), "what is there needs none"
    assert plan.needs_consent(0.029)


def test_a_large_selection_asks_for_consent(
    client: IDCClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=10**15, total=10**15)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    large = client.cohort(collection_id="nsclc_radiomics").select()
    limit = large.size_MB / 1e3 - 0.1
    with pytest.raises(DownloadError, match=f"the limit is {limit:g} GB; .*pass max_GB="):
        large.download(tmp_path / "new", max_GB=limit)
    assert not (tmp_path / "new").exists()


def test_table(tmp_path: Path) -> None:
    table = three(tmp_path).table()
    assert table.to_dict("list") == {
        "SeriesInstanceUID": ["1.2.1", "1.2.2", "1.2.3"],
        "folder": ["1.2.1", "1.2.2", "1.2.3"],
        "files": [2, 3, 4],
        "size_MB": [6e-6, 20.0, 30.0],
        "on_disk": ["complete", "partly", "none"],
        "license": ["CC BY-NC 4.0", "CC BY 4.0", "CC BY-NC 4.0"],
    }
    flat = three(tmp_path, "flat").table()
    assert list(flat["folder"]) == ["."] * 3 and set(flat["on_disk"]) == {"none"}


def test_a_dry_run_of_a_selection(client: IDCClient, tmp_path: Path) -> None:
    selection = Selection.of(client.engine, [CT])
    for template in (None, "short", "flat", "%SeriesInstanceUID"):
        plan = selection.plan(tmp_path / "new", template=template, source="gcs")
        [row] = plan.table().to_dict("records")
        assert (row["files"], row["size_MB"], row["on_disk"]) == (134, 70.513634, "none")
        assert row["license"] == "CC BY-NC 3.0"
        assert plan.series[0].bucket == "idc-open-cr"
        assert list(plan.table()["folder"]) == [
            plan.series[0].destination.relative_to(tmp_path / "new").as_posix()
        ]
    assert list(tmp_path.iterdir()) == []
    assert list(DownloadPlan((), tmp_path, "http://h").table().columns) == list(row)


def test_ten_thousand_series_have_a_folder_each(tmp_path: Path) -> None:
    index = pq.ParquetFile(idc_index_data.IDC_INDEX_PARQUET_FILEPATH)
    rows = pa.Table.from_batches([next(index.iter_batches(10_000))])
    # Most of them are too large for this disk; not the size but the number is at stake
    small = rows.set_column(
        rows.column_names.index("series_size_MB"), "series_size_MB", pa.array([0.1] * len(rows))
    )
    plan = DownloadPlan.make(small, tmp_path)
    assert len({series.folder for series in plan.series}) == 10_000


def test_planning_does_not_read_the_whole_index_into_memory(tmp_path: Path) -> None:
    client = IDCClient()
    plan = client.cohort(SeriesInstanceUID=[CT]).select().plan(tmp_path)
    assert plan.provenance.code is not None
    assert plan.provenance.code.splitlines()[0].endswith("Selection(1 series, 70.5 MB)")
    assert memory_index_of(client.engine, make=False) is None
