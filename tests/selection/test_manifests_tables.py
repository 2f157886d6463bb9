"""Tables as manifests: CSV and TSV of several tools, with and without a header."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
from support.manifests import CT, STUDY, Series, reasons, table

from idc_widgets import IDCClient


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize(
    "names",
    [
        "SeriesInstanceUID",
        "Modality|Series UID|StudyInstanceUID|n",
        "PatientID|collection_id|StudyInstanceUID|crdc_series_uuid",
        "n|AWS_URL",
        "gcs_url|PatientID",
    ],
)
def test_tables_with_and_without_a_header(
    client: IDCClient, rows: list[Series], tmp_path: Path, names: str, delimiter: str
) -> None:
    manifest = client.read_manifest(table(rows[:5], names, delimiter))
    assert set(manifest.selection) == {row.uid for row in rows[:5]}
    assert manifest.unknown == ()
    upper_case = table(rows[:5], names, delimiter).replace(names[:9], names[:9].upper())
    path = tmp_path / "table.tsv"
    path.write_bytes(codecs.BOM_UTF8 + upper_case.replace("\n", "\r\n").encode())
    assert client.read_manifest(path) == manifest
    if names != "SeriesInstanceUID":
        without_header = client.read_manifest(table(rows[:5], names, delimiter, has_header=False))
        assert without_header == manifest


def test_the_most_exact_identifier_of_a_row_counts(client: IDCClient, rows: list[Series]) -> None:
    text = (
        "PatientID,collection_id,StudyInstanceUID,SeriesInstanceUID\n"
        f"LUNG1-365,nsclc_radiomics,{STUDY},{CT}\n"
        f"LUNG1-365,,,\n,,,\n,,,{rows[1].uid}\n"
    )
    manifest = client.read_manifest(text)
    assert set(manifest.selection) == {CT, rows[1].uid}
    assert reasons(manifest) == [
        (3, "a PatientID needs a collection_id in the same row"),
        (4, "nothing in this row names a series, a study or a patient"),
    ]


def test_cohorts_as_the_portal_exports_them(client: IDCClient, rows: list[Series]) -> None:
    head = (
        "Manifest for cohort 'mine, all of it'\r\nUser: me@example.org\r\n"
        '"Filters: (Modality IN (\'CT\', ""x""))"\r\nDate generated: 11/22/2026 10:00 UTC\r\n'
        "Total records found: 3\r\nIDC Data Version(s): 25.0\r\n"
        "Total manifest size on disk: 70 MB\r\nrm -rf /\r\n"
    )
    names = "PatientID|collection_id|StudyInstanceUID|SeriesInstanceUID|crdc_series_uuid"
    manifest = client.read_manifest(head + table(rows[:3], names).replace("\n", "\r\n"))
    assert set(manifest.selection) == {row.uid for row in rows[:3]}
    assert reasons(manifest) == [(8, "the command 'rm': only cp and sync are read")]
    lines = "".join(
        json.dumps({"PatientID": row.patient, "SeriesInstanceUID": row.uid}) + "\n" for row in rows
    )
    manifest = client.read_manifest(lines + '{"PatientID": "x"}\n{"Pat\n[]\n')
    assert len(manifest.selection) == 12
    assert [number for number, _ in reasons(manifest)] == [13, 14, 15]


def test_quoted_cells_can_contain_line_ends(client: IDCClient, rows: list[Series]) -> None:
    first, second, third, fourth = (row.uid for row in rows[:4])
    text = (
        "SeriesDescription,SeriesInstanceUID,n\n"
        f'"two\nlines, ""quoted""",{first},1\n'
        f'5" wide,{second},1\n'  # the quote is never closed, but the rows that follow are read
        f"NUL \0 here,{third},1\n"
        f"plain,{fourth},1\n"
    )
    manifest = client.read_manifest(text)
    assert set(manifest.selection) == {first, second, third, fourth}
    assert manifest.unknown == ()


def test_hostile_cells_are_reported(client: IDCClient) -> None:
    cells = ["1.2.3; touch x", "$(x)", '"', "=1+1", "../x", "x" * 200_000, "a\0", "'"]
    lines = "".join(f"CT,{cell}\n" for cell in cells)
    manifest = client.read_manifest(f"Modality,SeriesInstanceUID\n{lines}CT,{CT}\n")
    assert manifest.selection.uids == (CT,)
    assert [line.number for line in manifest.unknown] == list(range(2, len(cells) + 2))
