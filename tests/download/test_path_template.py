"""Folder templates, and names that are legal everywhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.downloads import index_row, planned_folder

from idc_widgets.download import DEFAULT_TEMPLATE, DownloadPlan
from idc_widgets.errors import DownloadError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


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
def test_columns_in_a_template(tmp_path: Path, template: str, folder: str) -> None:
    columns = {
        "Mod": "short", "Model": "long", "StudyDate": None, "Empty": " ", "NaN": float("nan"),
        "Number": 7,
    }  # fmt: skip
    assert planned_folder(tmp_path, template, **columns) == folder


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
def test_wrong_templates_are_refused(tmp_path: Path, template: Any, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        planned_folder(tmp_path, template)


def test_the_default_template(ct: pa.Table, tmp_path: Path) -> None:
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
    assert planned_folder(tmp_path, "%PatientID", PatientID=value) == name


def test_long_values_are_shortened_and_stay_apart(tmp_path: Path) -> None:
    first, second = (planned_folder(tmp_path, "%PatientID", PatientID="é" * 200 + x) for x in "12")
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
    rows = [index_row(i, PatientID=patients[i], Modality=modality) for i in (0, 1)]
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp, "root")
        plan = DownloadPlan.make(
            pa.Table.from_pylist(rows, schema=pa.Table.from_pylist([index_row()]).schema),
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
            folder.mkdir(parents=True)  # legal on this disk, and different from the other folder
        assert len({str(folder).casefold() for folder in folders}) == 2
