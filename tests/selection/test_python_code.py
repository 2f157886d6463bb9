"""Python code that rebuilds a selection."""

from __future__ import annotations

import ast
import enum
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.manifests import CT
from support.own_table import REQUIRED

from idc_widgets import Cohort, IDCClient, Selection


def test_the_code_rebuilds_the_selection(client: IDCClient) -> None:
    selection = client.cohort(Modality="CT", StudyDate=("2010-01-01", None))
    selection = selection.of_patients([("nsclc_radiomics", "LUNG1-365")]).select()
    code = selection.to_code() + "print(*selection.uids)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == list(selection.uids) == [CT]


def test_the_code_has_what_is_excluded(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics")
    cohort = cohort.exclude(Modality=["SEG", "RTSTRUCT"], PatientAge=(0, 50)).exclude(text="-365")
    rebuilt: dict[str, Selection] = {}
    exec(cohort.select().to_code(), rebuilt)
    assert rebuilt["selection"].cohort == cohort
    assert rebuilt["selection"].uids == cohort.select().uids


def test_the_code_names_the_file_of_an_own_table(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{REQUIRED}\n1,2,3,4\n")
    rebuilt: dict[str, Selection] = {}
    exec(IDCClient(path).cohort().select().to_code(), rebuilt)
    assert rebuilt["selection"].uids == ("1",)


#: Names that end a line, a text or a comment, or that make code look as if it ran in another order.
HOSTILE = [
    "cohort\nraise SystemExit('pwned')\n#",
    "cohort\rraise SystemExit('pwned')\r#",
    "cohort\x0craise SystemExit('pwned')\x0b#",
    "cohort\u2028raise SystemExit('pwned')\u2029#\x85",
    "');raise SystemExit('pwned')#",
    '");raise SystemExit("pwned")#',
    "\u202e\u2066 # \u2069\u200b",
    "\\",
]


def _statements(code: str) -> list[type[ast.stmt]]:
    return [type(statement) for statement in ast.parse(code).body]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such file names")
@pytest.mark.parametrize("name", HOSTILE)
def test_the_name_of_a_file_is_not_run_as_code(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.csv"
    path.write_text(f"{REQUIRED}\n1,2,3,4\n")
    code = IDCClient(path).cohort().select().to_code()
    assert _statements(code) == [ast.ImportFrom, ast.Assign]
    assert all(character.isprintable() or character == "\n" for character in code)
    assert code.splitlines() == code.split("\n")[:-1]
    rebuilt: dict[str, Selection] = {}
    exec(code, rebuilt)
    assert rebuilt["selection"].uids == ("1",)


@pytest.mark.parametrize("value", HOSTILE)
def test_values_of_filters_are_not_run_as_code(tmp_path: Path, value: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{REQUIRED},Modality\n1,2,3,4,{json.dumps(value)[1:-1]}\n")
    client = IDCClient(path)
    shown = client.sql("SELECT Modality AS value FROM index").value[0]
    code = client.cohort(Modality=shown).select().to_code()
    assert _statements(code) == [ast.ImportFrom, ast.Assign]
    keyed = client.cohort().of_patients([(value, value)]).select().to_code()
    assert _statements(keyed) == [ast.ImportFrom, ast.Assign]
    rebuilt: dict[str, Selection] = {}
    exec(keyed, rebuilt)
    assert len(rebuilt["selection"]) == 0


def test_a_member_of_an_enum_is_a_plain_value(client: IDCClient) -> None:
    class Modality(str, enum.Enum):
        CT = "CT"

    code = client.cohort(Modality=Modality.CT).select().to_code()
    assert "cohort(Modality='CT')" in code


def test_every_kind_of_filter_is_a_literal(client: IDCClient) -> None:
    ct = client.cohort(Modality="CT", series_size_MB=(0.5, None))
    cohort: Cohort = client.cohort(PatientSex=[None, "F"], commercial_use=True, uids=[CT])
    cohort = cohort.having(Modality=["CT", "SEG"]).lacking(ct, level="patient")
    cohort = (cohort | ct.originals()) - ct
    call = ast.parse(cohort.select().to_code()).body[1].value.func.value  # type: ignore[attr-defined]
    filters = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert filters == cohort.filters
