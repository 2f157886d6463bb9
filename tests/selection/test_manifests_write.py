"""Written manifests: in each format, read back, and run by s5cmd."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.manifests import CT, EXAMPLES, Series
from support.own_table import REQUIRED
from support.s3server import S3Server

from idc_widgets import IDCClient, InvalidQueryError, Manifest, Selection
from idc_widgets.download import s5cmd
from idc_widgets.selection.manifests import ManifestFormat

#: File name and format; if the format is None, the name decides.
FILES: list[tuple[str, ManifestFormat | None]] = [
    ("m.s5cmd", None),
    ("m.csv", None),
    ("m.csv", "uids"),
]


@pytest.fixture(scope="module")
def many_uids(client: IDCClient) -> list[str]:
    """Return the SeriesInstanceUIDs of a random sample, about 1 % of the index."""
    frame = client.sql(
        "SELECT SeriesInstanceUID AS uid FROM index WHERE hash(crdc_series_uuid) % 97 = 0"
    )
    return list(frame.uid)


@pytest.mark.parametrize(("name", "format"), FILES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_written_manifest_reads_back_as_the_same_selection(
    client: IDCClient,
    many_uids: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    format: ManifestFormat | None,
    data: st.DataObject,
) -> None:
    uids = data.draw(st.lists(st.sampled_from(many_uids), min_size=1, max_size=40))
    selection = client.cohort(SeriesInstanceUID=uids).select()
    path = selection.to_manifest(tmp_path_factory.mktemp("written") / name, format)
    assert client.read_manifest(path) == Manifest(selection, ())


def test_large_and_empty_selections(client: IDCClient, tmp_path: Path) -> None:
    for selection in (
        client.cohort(collection_id="tcga_luad").select(),
        client.cohort().of_series([]).select(),
    ):
        for name in ("m.s5cmd", "m.csv", "m.txt"):
            path = selection.to_manifest(tmp_path / name)
            assert client.read_manifest(path) == Manifest(selection, ())
            assert len(client.read_manifest(path).selection) == len(selection)
    assert path.read_text() == "# 0 series of the NCI Imaging Data Commons, data 25.0.5\n"


def test_a_manifest_has_an_address_per_series_and_nothing_else(
    client: IDCClient, study: Selection, tmp_path: Path
) -> None:
    written = study.to_manifest(tmp_path / "m.s5cmd").read_text().splitlines()
    lines = [line for line in written if not line.startswith("# ")]
    assert written[0].startswith(
        f"# 12 series of the NCI Imaging Data Commons, data {study.data_version}"
    )
    assert written[2] == (
        "#   s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run m.s5cmd"
    )
    assert len(written) == 3 + 12
    urls = client.cohort(PatientID="LUNG1-365").series().series_aws_url
    assert sorted(lines) == sorted(f"cp {url} ." for url in urls)


def test_a_hostile_address_is_not_written_to_a_manifest(tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.csv"
    hostile.write_text(f'{REQUIRED},series_aws_url\n1,2,3,4,"s3://b/x/* .\nrm s3://b/*"\n')
    target = tmp_path / "bad.s5cmd"
    with pytest.raises(InvalidQueryError, match="not the address"):
        IDCClient(hostile).cohort().select().to_manifest(target)
    assert not target.exists()


def test_csv_has_a_row_per_series_with_all_its_identifiers(
    client: IDCClient, tmp_path: Path
) -> None:
    [row] = client.sql(f"SELECT * FROM index WHERE SeriesInstanceUID = '{CT}'").to_dict("records")
    path = client.cohort(SeriesInstanceUID=[CT]).to_manifest(tmp_path / "one.csv")
    with path.open(newline="") as file:
        [written] = csv.DictReader(file)
    assert list(written) == [
        *("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id"),
        *("crdc_series_uuid", "series_aws_url", "license_short_name", "instanceCount"),
        "series_size_MB",
    ]
    assert written == {name: str(row[name]) for name in written}


def test_csv_escapes_text_that_looks_like_a_formula(tmp_path: Path) -> None:
    table = tmp_path / "own.csv"
    patients = ["=1+1", "+1", "-1", "@x", "'=1", "'x", "a,b", 'a"b', "a\nb", "plain"]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id"])
        writer.writerows((f"=S{i}", f"-T{i}", patient, "c") for i, patient in enumerate(patients))
    client = IDCClient(table)
    path = client.cohort().select().to_manifest(tmp_path / "m.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))]
    escaped = ["'=1+1", "'+1", "'-1", "'@x", "''=1", "'x", "a,b", 'a"b', "a\nb", "plain"]
    assert [row["PatientID"] for row in rows] == escaped
    assert client.read_manifest(path) == Manifest(client.cohort().select(), ())
    # A table with patients only is recognized by its header, because any text can be a PatientID.
    only_patients = tmp_path / "patients.csv"
    with only_patients.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["PatientID", "collection_id"])
        writer.writerows((patient, "c") for patient in escaped if "\n" not in patient)
    assert len(client.read_manifest(only_patients).selection) == len(patients) - 1


def test_unknown_formats_and_strange_uids_are_refused(study: Selection, tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError, match=r"ends in \.s5cmd, \.csv or \.txt"):
        study.to_manifest(tmp_path / "m.tcia")
    with pytest.raises(InvalidQueryError, match="unknown format 's5cm'; did you mean 's5cmd'"):
        study.to_manifest(tmp_path / "m.csv", "s5cm")  # type: ignore[arg-type]
    own = tmp_path / "own.csv"
    own.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n#a,2,3,4\n")
    with pytest.raises(InvalidQueryError, match="'#a' cannot be written into a list"):
        IDCClient(own).cohort().select().to_manifest(tmp_path / "m.txt")


def test_an_error_leaves_the_existing_file_as_it_is(study: Selection, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,series_aws_url\n"
        "1,2,3,4,s3://b/x/*\n5,2,3,4,file:///etc\n"
    )
    path = study.to_manifest(tmp_path / "m.s5cmd")
    before = path.read_text()
    with pytest.raises(InvalidQueryError, match="not the address"):
        IDCClient(own).cohort().select().to_manifest(path)
    with pytest.raises(OSError, match="nowhere"):
        study.to_manifest(tmp_path / "nowhere" / "m.csv")
    assert path.read_text() == before
    assert {path.name for path in tmp_path.iterdir()} == {"own.csv", "m.s5cmd"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_a_file_name_cannot_add_a_command(study: Selection, tmp_path: Path) -> None:
    path = study.to_manifest(tmp_path / "a\nrm s3:b .s5cmd")
    lines = path.read_text().splitlines()
    assert [line for line in lines if not line.startswith(("# ", "cp s3://idc-open-data"))] == []
    assert len(lines) == 3 + 12


def test_s5cmd_runs_a_written_manifest(
    rows: list[Series], client: IDCClient, tmp_path: Path
) -> None:
    path = client.cohort(SeriesInstanceUID=[row.uid for row in rows[:2]]).to_manifest(
        tmp_path / "m"
    )
    with S3Server() as server:
        for number, row in enumerate(rows[:2]):
            server.objects[row.url.split("/")[2], f"{row.uuid}/{number}.dcm"] = b"x"
        subprocess.run(
            [s5cmd.binary(), "--no-sign-request", "--endpoint-url", server.url, "run", path],
            cwd=tmp_path,
            env=s5cmd.environment(),
            check=True,
            capture_output=True,
        )
    assert {path.name for path in tmp_path.iterdir()} == {"m", "0.dcm", "1.dcm"}
