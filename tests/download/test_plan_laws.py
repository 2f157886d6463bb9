"""Plans from columns with random content.

Either a plan is refused, or each of its paths is legal, inside the folder, and used by one series
only. This file has its own rules for legal names, from the documentation of Windows, macOS and
Linux. It shares no code with the package.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import idc_index_data
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from idc_widgets.download import DEFAULT_TEMPLATE, DownloadPlan, PlannedSeries
from idc_widgets.errors import DownloadError

FILE = "ffffffff-ffff-4fff-8fff-ffffffffffff.dcm"
DIGITS = "4294967295"  # the longest suffix that s5cmd adds to an unfinished file
PLATFORMS = ["linux", "darwin", "win32"]
COLUMNS = [
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id", "Modality",
    "SeriesDescription", "StudyDate", "crdc_series_uuid", "series_aws_url", "instanceCount",
    "series_size_MB", "license_short_name",
]  # fmt: skip
HOSTILE_COLUMNS = ["PatientID", "collection_id", "Modality", "SeriesDescription", "StudyDate"]

# --- what is legal ----------------------------------------------------------------------------

WINDOWS_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}


def wrong_with_name(name: str, platform: str) -> str | None:
    """Return why a folder or file of this name is illegal on `platform`; None if it is legal."""
    if name in ("", ".", ".."):
        return "no name"
    if any(unicodedata.category(c) == "Cs" for c in name):
        return "not Unicode"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in name):
        return "invisible characters"
    if platform == "win32":
        if set(name) & set('<>:"/\\|?*'):
            return "forbidden character"
        if name[-1] in ". ":
            return "dropped from the end"
        if name.partition(".")[0].rstrip(" ").upper() in WINDOWS_DEVICES:
            return "a device"
        return "too long" if len(name.encode("utf-16-le")) > 2 * 255 else None
    if set(name) & set("/\0" if platform == "linux" else "/\0:"):
        return "forbidden character"
    return "too long" if len(name.encode()) > 255 else None


def wrong_with_path(path: str, platform: str) -> str | None:
    """Return why a path is too long for `platform`; None if it is not."""
    units, limit = {
        "win32": (len(path.encode("utf-16-le")) // 2, 259),  # MAX_PATH is 260, with the NUL
        "darwin": (len(path.encode()), 1023),
        "linux": (len(path.encode()), 4095),
    }[platform]
    return f"{units} long" if units > limit else None


def same_file(path: str) -> str:
    """Return a key that is equal for two paths if some disk takes them for the same file.

    The rule is Unicode's canonical caseless matching.
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def paths(series: PlannedSeries) -> list[Path]:
    """Return the path of a complete file of the series, and that of an unfinished file."""
    done = series.folder / FILE if series.final_folder is None else series._final_path(FILE)
    return [done, series.folder / (FILE + DIGITS)]


def assert_law(plan: DownloadPlan, platform: str) -> None:
    root = str(plan.folder)
    seen: dict[str, str] = {}
    for series in plan.series:
        for path in map(str, paths(series)):
            assert os.path.normpath(path) == path
            assert os.path.commonpath([root, path]) == root != path, "inside the folder"
            for each in PLATFORMS:  # on every platform, because people copy folders
                for name in PurePosixPath(path).relative_to(root).parts:
                    assert wrong_with_name(name, each) is None, (name, each)
            assert wrong_with_path(path, platform) is None
            owner = seen.setdefault(same_file(path), series.SeriesInstanceUID)
            assert owner == series.SeriesInstanceUID, "only one series uses the path"
        alone = seen.setdefault(same_file(str(series.folder)), series.SeriesInstanceUID)
        assert alone == series.SeriesInstanceUID


@pytest.mark.parametrize(
    ("name", "everywhere"),
    [
        ("..", True), ("", True), ("a/b", True), ("a\0b", True), ("\udc80", True),
        ("a\u202eb", True), ("x" * 256, True), ("é" * 128, False), ("a\\b", False),
        ("a:b", False), ("con", False), ("Com1 .txt", False), ("lpt³", False), ("a.", False),
        ("a ", False), ("a*", False),
    ],
)  # fmt: skip
def test_the_checker_rejects_illegal_names(name: str, everywhere: bool) -> None:
    wrong = [wrong_with_name(name, platform) is not None for platform in PLATFORMS]
    assert all(wrong) if everywhere else any(wrong)


@pytest.mark.parametrize("name", ["LUNG1-365", "Müller 日本", "100%", ".hidden", "CONTRAST", "a b"])
def test_the_checker_accepts_legal_names(name: str) -> None:
    assert [wrong_with_name(name, platform) for platform in PLATFORMS] == [None] * 3


def test_the_checker_knows_equal_paths() -> None:
    assert same_file("/a/É") == same_file("/A/e\u0301") == same_file("/a/E\u0301")
    assert same_file("\u0390") == same_file("\u03aa\u0301")
    assert wrong_with_path("x" * 260, "win32") and not wrong_with_path("x" * 259, "win32")
    assert not wrong_with_path("😀" * 129, "win32") and wrong_with_path("😀" * 130, "win32")


# --- real rows with random values --------------------------------------------------------------


# About 500 rows, the same every time
REAL: list[dict[str, Any]] = [
    dict(zip(COLUMNS, values, strict=True))
    for values in duckdb.execute(
        f"SELECT {', '.join(COLUMNS)} FROM '{idc_index_data.IDC_INDEX_PARQUET_FILEPATH}'"
        " WHERE hash(SeriesInstanceUID) % 2000 = 7 ORDER BY SeriesInstanceUID"
    ).fetchall()
]

HOSTILE = st.sampled_from(
    [
        "..", ".", "/", "/etc/passwd", "\\", "..\\..", "a/../..", "C:\\x", "\\\\host\\share", "~",
        "a\0b", "\n", "con", "NUL.txt", "Com1 .x", "lpt³", "aux.", "CONIN$", "\u202egpj.exe",
        "\u200f", "\ufeff", "a.", "a ", " a", "...", "a" * 300, "é" * 200, "日" * 100, "😀" * 70,
        "A", "a", "É", "e\u0301", "é", "\u0390", "\u03aa\u0301", "ß", "SS", "ſ", "S", "K", "K",
        "%", "%%", "%PatientID", "100%", "$HOME", "`x`", "; rm -rf x", "-rf", "*", "?", "<>|\"",
        "", " ", "unknown", "_", ".idc_widgets", None,
    ]
) | st.text(max_size=30)  # fmt: skip
PREFIXES = ["..", ".", "con", "nul.x", "A_b", "a-b", "_", "a.", "x" * 200, "x" * 199 + "y", "-rf"]


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    chosen = draw(st.lists(st.sampled_from(REAL), min_size=1, max_size=6, unique_by=id))
    changed = []
    for row in chosen:
        columns = draw(st.lists(st.sampled_from(HOSTILE_COLUMNS), unique=True))
        # A table holds UTF-8, so its values cannot have lone surrogates; a template can have them
        changed.append(row | {column: draw(HOSTILE.filter(_is_unicode)) for column in columns})
    if draw(st.integers(0, 3)) == 3:
        prefix = draw(st.sampled_from(PREFIXES))
        changed[0] |= {"series_aws_url": f"s3://bucket/{prefix}/*", "crdc_series_uuid": None}
    return changed


def _is_unicode(text: str | None) -> bool:
    return text is None or not re.search("[\ud800-\udfff]", text)


NAMED = ["%" + column for column in [*HOSTILE_COLUMNS, "SeriesInstanceUID", "crdc_series_uuid"]]
TEXTS = ["..", ".", "/", "\\", "%%", " ", "con", "x", "\ud800", "\0", "\u202e", "*", ":"]
TEMPLATES = st.sampled_from(
    [
        "short",
        "flat",
        "%crdc_series_uuid",
        DEFAULT_TEMPLATE,
        "%PatientID/%SeriesDescription_%SeriesInstanceUID",
    ]
) | st.lists(st.sampled_from([*NAMED, *TEXTS]), max_size=8).map("".join)
ROOTS = st.sampled_from(["/d", "/home/somebody/idc", "/d/" + "x" * 100, "/d/" + "long/" * 45])


def make(
    chosen: list[dict[str, Any]], root: str, template: str, platform: str, only: Any = None
) -> DownloadPlan:
    numbers: dict[str, pa.DataType] = {"instanceCount": pa.int64(), "series_size_MB": pa.float64()}
    schema = pa.schema([(column, numbers.get(column, pa.string())) for column in COLUMNS])
    table = pa.Table.from_pylist(chosen, schema=schema)
    return DownloadPlan.make(
        table, root, template=template, check_disk=False, platform=platform, only=only
    )


@settings(max_examples=200, deadline=None)
@given(chosen=rows(), root=ROOTS, template=TEMPLATES, platform=st.sampled_from(PLATFORMS))
@example(chosen=REAL[:6], root="/d/" + "long/" * 45, template="flat", platform="win32")
@example(
    chosen=[REAL[0] | {"PatientID": "é"}, REAL[1] | {"PatientID": "E\u0301"}],
    root="/d",
    template="%PatientID",
    platform="darwin",
)
@example(chosen=REAL[:1], root="/d", template="x /%PatientID. ", platform="win32")
@example(
    chosen=[REAL[0] | {"series_aws_url": "s3://bucket/../*"}],
    root="/d",
    template="flat",
    platform="linux",
)
def test_every_path_is_inside_unique_and_legal(
    chosen: list[dict[str, Any]], root: str, template: str, platform: str
) -> None:
    try:
        plan = make(chosen, root, template, platform)
    except DownloadError as error:
        message = str(error)
        if "would be too long" in message:
            assert_refusal_helps(chosen, root, template, platform, message)
            return
        assert "two series would share the folder" in message and len(chosen) > 1
        assert template != "flat" and not template.endswith(("UID", "uuid")), "UIDs differ"
        assert template != "short"
        return
    assert len(plan.series) == len(chosen)
    assert_law(plan, platform)


@settings(max_examples=50, deadline=None)
@given(chosen=rows(), template=st.sampled_from(["short", "flat", DEFAULT_TEMPLATE]), data=st.data())
def test_selected_objects_go_into_the_folder_of_their_series(
    chosen: list[dict[str, Any]], template: str, data: st.DataObject
) -> None:
    names = st.uuids().map(lambda uuid: f"{uuid}.dcm")
    sizes = st.dictionaries(names, st.integers(0, 10**12), min_size=1, max_size=5)
    uids = st.sampled_from([row["SeriesInstanceUID"] for row in chosen])
    only = data.draw(st.dictionaries(uids, sizes))
    try:
        whole = make(chosen, "/d", template, "linux")
    except DownloadError:
        with pytest.raises(DownloadError):
            make(chosen, "/d", template, "linux", only)
        return
    some = make(chosen, "/d", template, "linux", only)
    assert_law(some, "linux")
    for one, other in zip(some.series, whole.series, strict=True):
        assert (one.folder, one.final_folder, one.prefix) == (
            other.folder,
            other.final_folder,
            other.prefix,
        )
        wanted = only.get(one.SeriesInstanceUID)
        assert one == other if wanted is None else one.is_complete(wanted)
        for name in wanted or ():
            assert not one.is_complete({**wanted, name: wanted[name] + 1})
            assert not one.is_complete({n: size for n, size in wanted.items() if n != name})


def assert_refusal_helps(
    chosen: list[dict[str, Any]], root: str, template: str, platform: str, message: str
) -> None:
    """Assert that the advice in a message works."""
    # Below this short folder, names are the same as below `root`, and nearly all of them fit.
    short = "/d"
    if advised := re.search(r"use the template '([^']+)', or a folder", message):
        assert_law(make(chosen, root, advised[1], platform), platform)
    else:
        limit = re.search(r"shorter path, of at most ([\d,]+) (?:bytes|characters): ", message)
        assert limit
        room = int(limit[1].replace(",", ""))
        assert room < len(root)
        if room > 3:
            fitting = "/" + "r" * (room - 1)
            forms = ["short", "flat", "%crdc_series_uuid", template]
            fits = [_fits(chosen, fitting, form, platform) for form in forms]
            assert any(fits), "a folder of the advised length"
            assert not any(_fits(chosen, fitting + "r", form, platform) for form in forms)
    try:
        plan = make(chosen, short, template, platform)
    except DownloadError:
        return
    longer = len(root) - len(short)  # in characters and in bytes, as both are ASCII
    worst = max((str(path) for one in plan.series for path in paths(one)), key=len)
    assert wrong_with_path(worst + "x" * longer, platform), "it was refused, but fits"


def _fits(chosen: list[dict[str, Any]], root: str, template: str, platform: str) -> bool:
    try:
        make(chosen, root, template, platform)
    except DownloadError:
        return False
    return True


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("template", ["short", "flat", "%crdc_series_uuid", "%SeriesInstanceUID"])
def test_real_rows_fit_everywhere(template: str, platform: str) -> None:
    plan = make(REAL, "/home/somebody/idc", template, platform)
    assert len(plan.series) == len(REAL) > 400
    assert_law(plan, platform)
