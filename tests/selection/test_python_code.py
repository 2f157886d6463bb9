"""Python code that rebuilds a selection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.manifests import CT
from support.own_table import REQUIRED

from idc_widgets import IDCClient, Selection


def test_the_code_rebuilds_the_selection(client: IDCClient) -> None:
    selection = client.cohort(Modality="CT", StudyDate=("2010-01-01", None))
    selection = selection.of_patients([("nsclc_radiomics", "LUNG1-365")]).select()
    code = selection.to_code() + "print(*selection.uids)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == list(selection.uids) == [CT]


def test_the_code_names_the_file_of_an_own_table(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{REQUIRED}\n1,2,3,4\n")
    rebuilt: dict[str, Selection] = {}
    exec(IDCClient(path).cohort().select().to_code(), rebuilt)
    assert rebuilt["selection"].uids == ("1",)
