"""Manifests: what other tools write and what we write, hostile lines too; on the real index."""

from __future__ import annotations

import codecs
import csv
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.s3server import S3Server

from idc_widgets import IDCClient, InvalidQueryError, Manifest, Selection
from idc_widgets.download import s5cmd
from idc_widgets.selection.manifests import ManifestFormat, UnknownLine

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
PORTAL = """\
# To download the files in this manifest, first install s5cmd (https://github.com/peak/s5cmd),
# then run the following command:
# s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run cohort_996_aws.s5cmd
"""
EXAMPLES = max(3, int(os.environ.get("IDC_WIDGETS_EXAMPLES", "300")) // 30)


class Row:
    """A series of the index, by all its names."""

    def __init__(self, row: Mapping[Any, Any]) -> None:
        self.uid, self.study = row["SeriesInstanceUID"], row["StudyInstanceUID"]
        self.patient, self.collection = row["PatientID"], row["collection_id"]
        self.uuid, self.url = row["crdc_series_uuid"], row["series_aws_url"]


@pytest.fixture(scope="module")
def rows(client: IDCClient) -> list[Row]:
    """The twelve series of one study, the CT first."""
    frame = client.cohort(StudyInstanceUID=STUDY).series()
    found = [Row(row) for row in frame.to_dict("records")]
    return sorted(found, key=lambda row: row.uid != CT)


@pytest.fixture(scope="module")
def study(client: IDCClient) -> Selection:
    return client.cohort(StudyInstanceUID=STUDY).select()


@pytest.fixture(scope="module", autouse=True)
def in_memory(client: IDCClient) -> None:
    """Lookups are quick once the index is in memory."""
    client.cohort().facets()


def unknown(manifest: Manifest) -> list[tuple[int, str]]:
    return [(one.number, one.reason) for one in manifest.unknown]


# --- formats -------------------------------------------------------------------------------

COMMANDS: list[Callable[[Row], str]] = [
    lambda row: f"cp {row.url} .",
    lambda row: f"cp {row.url}  .",  # as in a manifest of idc-index
    lambda row: f'cp "{row.url}" "/data/a b; c/"',
    lambda row: f"cp '{row.url}' 'it is here'",
    lambda row: f"cp --show-progress -c 5 --concurrency=3 {row.url} .",
    lambda row: f"sync --size-only {row.url} a\\ b/",
    lambda row: f"s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com cp {row.url} x",
    lambda row: f"  cp s3://idc-open-data/{row.uuid.upper()}/ .",
    lambda row: f"cp gs://public-datasets-idc/{row.uuid}/* C:\\data",
    lambda row: f"cp s3://idc-open-cr/{row.uuid}/*.dcm /etc",
    lambda row: f"https://idc-open-data.s3.amazonaws.com/{row.uuid}/",
    lambda row: f"https://storage.googleapis.com/idc-open-data/{row.uuid}",
]


def test_s5cmd(client: IDCClient, rows: list[Row], study: Selection) -> None:
    assert len(rows) == len(COMMANDS)
    lines = [command(row) for command, row in zip(COMMANDS, rows, strict=True)]
    manifest = client.read_manifest(PORTAL + "\n\n".join([*lines, lines[0]]))
    assert manifest.unknown == ()
    assert manifest.selection == study
    assert str(manifest) == repr(manifest) == "12 series"


def table(rows: list[Row], names: str, delimiter: str = ",", header: bool = True) -> str:
    of: dict[str, Callable[[Row], str]] = {
        "SeriesInstanceUID": lambda row: row.uid,
        "Series UID": lambda row: row.uid,
        "StudyInstanceUID": lambda row: row.study,
        "PatientID": lambda row: row.patient,
        "collection_id": lambda row: row.collection,
        "crdc_series_uuid": lambda row: row.uuid,
        "AWS_URL": lambda row: row.url,
        "gcs_url": lambda row: row.url.replace("s3://", "gs://"),
        "Modality": lambda row: "SEG",
        "n": lambda row: "7",
    }
    columns = names.split("|")
    lines = [[of[name](row) for name in columns] for row in rows]
    return "\n".join(delimiter.join(line) for line in ([columns] if header else []) + lines) + "\n"


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
def test_tables(
    client: IDCClient, rows: list[Row], tmp_path: Path, names: str, delimiter: str
) -> None:
    manifest = client.read_manifest(table(rows[:5], names, delimiter))
    assert set(manifest.selection) == {row.uid for row in rows[:5]}
    assert manifest.unknown == ()
    shouted = table(rows[:5], names, delimiter).replace(names[:9], names[:9].upper())
    path = tmp_path / "table.tsv"
    path.write_bytes(codecs.BOM_UTF8 + shouted.replace("\n", "\r\n").encode())
    assert client.read_manifest(path) == manifest
    if names != "SeriesInstanceUID":
        without = client.read_manifest(table(rows[:5], names, delimiter, header=False))
        assert without == manifest


@pytest.mark.parametrize("names", ["StudyInstanceUID|n", "PatientID|Modality|collection_id"])
def test_studies_and_patients(
    client: IDCClient, rows: list[Row], study: Selection, names: str
) -> None:
    text = table(rows[:1], names)
    assert client.read_manifest(text) == Manifest(study, ())
    text = text.replace("nsclc_radiomics", "nlst").replace(STUDY, "1.2.3")
    [one] = client.read_manifest(text).unknown
    assert one.number == 2
    assert "no patient 'LUNG1-365' in a collection 'nlst'" in one.reason or "1.2.3" in one.reason


def test_the_first_key_of_a_row_counts(client: IDCClient, rows: list[Row]) -> None:
    text = (
        "PatientID,collection_id,StudyInstanceUID,SeriesInstanceUID\n"
        f"LUNG1-365,nsclc_radiomics,{STUDY},{CT}\n"
        f"LUNG1-365,,,\n,,,\n,,,{rows[1].uid}\n"
    )
    manifest = client.read_manifest(text)
    assert set(manifest.selection) == {CT, rows[1].uid}
    assert unknown(manifest) == [
        (3, "a PatientID needs a collection_id in the same row"),
        (4, "nothing in this row names a series, a study or a patient"),
    ]


def test_a_cohort_of_the_portal(client: IDCClient, rows: list[Row]) -> None:
    head = (
        "Manifest for cohort 'mine, all of it'\r\nUser: me@example.org\r\n"
        '"Filters: (Modality IN (\'CT\', ""x""))"\r\nDate generated: 11/22/2026 10:00 UTC\r\n'
        "Total records found: 3\r\nIDC Data Version(s): 25.0\r\n"
        "Total manifest size on disk: 70 MB\r\nrm -rf /\r\n"
    )
    names = "PatientID|collection_id|StudyInstanceUID|SeriesInstanceUID|crdc_series_uuid"
    manifest = client.read_manifest(head + table(rows[:3], names).replace("\n", "\r\n"))
    assert set(manifest.selection) == {row.uid for row in rows[:3]}
    assert unknown(manifest) == [(8, "the command 'rm': only cp and sync are read")]
    lines = "".join(
        json.dumps({"PatientID": row.patient, "SeriesInstanceUID": row.uid}) + "\n" for row in rows
    )
    manifest = client.read_manifest(lines + '{"PatientID": "x"}\n{"Pat\n[]\n')
    assert len(manifest.selection) == 12
    assert [number for number, _ in unknown(manifest)] == [13, 14, 15]


def test_quotes_over_lines(client: IDCClient, rows: list[Row]) -> None:
    one, two, three, four = (row.uid for row in rows[:4])
    text = (
        "SeriesDescription,SeriesInstanceUID,n\n"
        f'"two\nlines, ""quoted""",{one},1\n'
        f'5" wide,{two},1\n'  # never closed: the rows after it must not vanish in it
        f"NUL \0 here,{three},1\n"
        f"plain,{four},1\n"
    )
    manifest = client.read_manifest(text)
    assert set(manifest.selection) == {one, two, three, four}
    assert manifest.unknown == ()


def test_json(client: IDCClient, rows: list[Row], study: Selection, tmp_path: Path) -> None:
    uids = [row.uid for row in rows]
    nested = {
        "cohort": {"name": "mine", "filters": {"Modality": ["CT", "SEG"]}, "size": 3},
        "manifest": {"data": [{"crdc_series_uuid": row.uuid, "Modality": "CT"} for row in rows]},
    }
    for content in (
        uids,
        [{"seriesInstanceUID": uid, "StudyInstanceUID": "1.2"} for uid in uids],
        [{"aws_url": row.url} for row in rows],
        {"data_version": "24.0.0", "SeriesInstanceUID": uids},
        {"StudyInstanceUID": [STUDY]},
        {"PatientID": "LUNG1-365", "collection_id": "nsclc_radiomics"},
        nested,
        [row.uuid for row in rows],
        {"anything": [[STUDY], {"more": [CT]}]},
    ):
        for indent in (None, 1):
            path = tmp_path / "manifest.json"
            path.write_text(json.dumps(content, indent=indent))
            assert client.read_manifest(path) == Manifest(study, ()), content
    assert client.read_manifest(study.save(tmp_path / "saved.json")) == Manifest(study, ())
    assert client.read_manifest(str(uids)) == Manifest(study, ())  # a list as Python shows it
    manifest = client.read_manifest(json.dumps([CT, "1.2.3", "x; rm", 5, "\ud800"], indent=1))
    assert manifest.selection.uids == (CT,)
    assert [(one.number, one.text) for one in manifest.unknown] == [
        *((1, "5"), (1, "\ufffd")),  # where these are is not looked for
        *((3, "1.2.3"), (4, "x; rm")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '["1.2.3", "1.2',  # broke off: half of a list must not pass for the whole
        '{"SeriesInstanceUID": ["1.2.3"]',
        '{"a": 1}',
        "[1" + "0" * 5000 + "]",
        "[section]\na = 1",
    ],
)
def test_json_that_is_none(client: IDCClient, text: str) -> None:
    with pytest.raises(InvalidQueryError, match=r"JSON|nothing in it is known"):
        client.read_manifest(text + "\n")


def test_tcia(client: IDCClient, rows: list[Row], tmp_path: Path) -> None:
    text = (
        "downloadServerUrl=https://public.cancerimagingarchive.net/nbia-download/servlet/Download\n"
        "includeAnnotation=true\nnoOfrRetry=4\ndatabasketId=manifest-1561766528292.tcia\n"
        "manifestVersion=3.0\nListOfSeriesToDownload=\n"
        + "\n".join(row.uid for row in rows[:4])
        + "\n1.2.3\nx=1\n"
    )
    path = tmp_path / "manifest.tcia"
    path.write_text(text)
    manifest = client.read_manifest(path)
    assert set(manifest.selection) == {row.uid for row in rows[:4]}
    assert [number for number, _ in unknown(manifest)] == [11, 12]


def test_lists(client: IDCClient, rows: list[Row], study: Selection) -> None:
    text = f"# mine\n{CT}, '{rows[1].uid}'\n\n{rows[2].uuid}\n{rows[3].url}\n  {CT}\n"
    manifest = client.read_manifest(text)
    assert set(manifest.selection) == {row.uid for row in rows[:4]}
    assert manifest.unknown == ()
    assert client.read_manifest(STUDY) == Manifest(study, ())  # a line alone
    assert client.read_manifest(f"cp {rows[0].url} .").selection.uids == (CT,)


@pytest.mark.parametrize(
    ("encoding", "bom"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("latin-1", b""),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings(
    client: IDCClient, rows: list[Row], tmp_path: Path, encoding: str, bom: bytes, end: str
) -> None:
    text = f"# é\x85 ü{end}{CT}{end}\xe9{end}{rows[1].uid}{end}"
    path = tmp_path / "list"
    path.write_bytes(bom + text.encode(encoding))
    manifest = client.read_manifest(path)
    assert set(manifest.selection) == {CT, rows[1].uid}
    assert [(one.number, one.text) for one in manifest.unknown] == [(3, "é")]


# --- hostile lines -------------------------------------------------------------------------

UUID = "085e85b3-3780-47f6-8538-585bcca95336"  # in 4d_lung
GOOD = f"s3://idc-open-data/{UUID}/*"
HOSTILE = [
    ("rm s3://idc-open-data/*", "the command 'rm'"),
    (f"mv {GOOD} .", "the command 'mv'"),
    (f"s5cmd --log debug rm {GOOD}", "the command 'rm'"),
    (f"cp {GOOD} . ; touch x", "';'"),
    (f"cp {GOOD} .; touch x", "';'"),
    (f"cp {GOOD} . && touch x", "'&'"),
    (f"cp {GOOD} . | sh", "'|'"),
    (f"cp {GOOD} > x", "'>'"),
    (f"cp {GOOD} $(touch x)", "a command for a shell"),
    (f'cp {GOOD} "$(touch x)"', "a command for a shell"),
    (f"cp {GOOD} `touch x`", "a command for a shell"),
    (f"cp {GOOD} ../../etc", "contains '..'"),
    (f"cp {GOOD} 'a\\..\\b'", "contains '..'"),
    (f"cp {GOOD} a b", "3 arguments"),
    ("cp", "0 arguments"),
    ("s5cmd", "0 arguments"),
    (f"cp {GOOD} s3://idc-open-data/", "would write to"),
    ("cp x s3://idc-open-data/", "'x' is not the address"),
    (f"cp {GOOD} 'a", "a quote is not closed"),
    (f"cp --exclude *.dcm {GOOD} .", "--exclude selects single"),
    (f"cp s3://evil/{UUID}/* .", "'evil' is not a bucket of IDC"),
    (f"cp s3://idc-open-data.evil/{UUID}/* .", "is not a bucket of IDC"),
    (f"https://evil.example/idc-open-data/{UUID}/*", "at AWS or Google"),
    (f"https://s3.amazonaws.com.evil/idc-open-data/{UUID}/*", "at AWS or Google"),
    ("cp s3://idc-open-data/* .", "not a whole series"),
    ("cp s3://idc-open-data/08*/* .", "is a pattern"),
    (f"cp s3://idc-open-data/{UUID[:-1]}?/* .", "is a pattern"),
    (f"cp s3://idc-open-data/{UUID}/../../x/* .", "contains '..'"),
    (f"cp s3://idc-open-data/{UUID}/{UUID}.dcm .", "not a whole series"),
    (f"cp s3://idc-open-data/{UUID[:-1]}7/* .", "has the crdc_series_uuid"),
    ("1.2.3; touch x", "'touch' is not a UID"),
    ("1.2.3.4.5", "data 25.0.5 has no series or study 1.2.3.4.5"),
    ("1.2." + "3" * 70, "is not a UID"),
    ("<script>alert(1)</script>", "is not a UID"),
    ("' OR 1=1 --", "is not a UID"),
    ("1.2.3'; DROP TABLE index", "is not a UID"),
    ("a\0b", "NUL"),
    ("\u202e1.2.3", "characters that no identifier has"),
    ("\ud800", "characters that no identifier has"),
    ("x" * 1_000_001, "a line of 1,000,001 characters"),
    (",;,", "is not a UID"),
    ("=cmd|' /C calc'!A0", "is not a UID"),
]


def test_hostile_lines(client: IDCClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "\n".join([CT, *(line for line, _ in HOSTILE), f"cp {GOOD} ."])
    manifest = client.read_manifest(text)
    assert len(manifest.selection) == 2, "only the first line and the last"
    assert [one.number for one in manifest.unknown] == list(range(2, len(HOSTILE) + 2))
    for one, (line, reason) in zip(manifest.unknown, HOSTILE, strict=True):
        assert reason in one.reason, line
        assert len(one.text) <= 200
    assert list(tmp_path.iterdir()) == []
    assert str(manifest).startswith(
        f"2 series; {len(HOSTILE)} lines are not known: line 2: the command 'rm': only cp and sync"
        " are read; line 3: "
    )
    assert str(manifest).endswith(f"; and {len(HOSTILE) - 3} more")


def test_hostile_cells(client: IDCClient) -> None:
    cells = ["1.2.3; touch x", "$(x)", '"', "=1+1", "../x", "x" * 200_000, "a\0", "'"]
    lines = "".join(f"CT,{cell}\n" for cell in cells)
    manifest = client.read_manifest(f"Modality,SeriesInstanceUID\n{lines}CT,{CT}\n")
    assert manifest.selection.uids == (CT,)
    assert [one.number for one in manifest.unknown] == list(range(2, len(cells) + 2))


def test_prior_versions(client: IDCClient) -> None:
    [(uid, uuid, version)] = client.engine.rows(
        "SELECT SeriesInstanceUID, crdc_series_uuid, max_idc_version FROM prior_versions_index"
        " WHERE SeriesInstanceUID NOT IN (SELECT SeriesInstanceUID FROM index) AND (SELECT count(*)"
        " FROM prior_versions_index AS other WHERE other.SeriesInstanceUID ="
        " prior_versions_index.SeriesInstanceUID) = 1 ORDER BY 1 LIMIT 1"
    )
    [(revised, old)] = client.engine.rows(
        "SELECT SeriesInstanceUID, crdc_series_uuid FROM prior_versions_index"
        " WHERE SeriesInstanceUID IN (SELECT SeriesInstanceUID FROM index) ORDER BY 2 LIMIT 1"
    )
    manifest = client.read_manifest(f"{uid}\ncp s3://idc-open-data/{uuid}/* .\n{old}\n")
    assert len(manifest.selection) == 0
    assert [reason for _, reason in unknown(manifest)][:2] == [
        f"only prior versions of IDC had it, until v{version}: {uid}",
        f"only prior versions of IDC had it, until v{version}: series {uid}",
    ]
    assert f"it is series {revised} as it was until v" in manifest.unknown[2].reason


@pytest.mark.parametrize(
    "text", ["hello\nworld\n", "rm -rf /\n", "PK\x03\x04\0\0\n\0", "a,b\n1,2\n"]
)
def test_nothing_is_recognised(client: IDCClient, tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(
        InvalidQueryError, match=r"nothing in it is known: expected an s5cmd.*line 1"
    ):
        client.read_manifest(path)


def test_what_is_no_manifest(client: IDCClient, tmp_path: Path) -> None:
    for text in ("", " ", "\n", "  \n \r\n"):
        with pytest.raises(InvalidQueryError, match="empty"):
            client.read_manifest(text)
    for source in (tmp_path, tmp_path / "none", "none.s5cmd", "x" * 5000, "a\0b", "~a\0b"):
        with pytest.raises(InvalidQueryError, match="is not a file"):
            client.read_manifest(source)
    for wrong in (5, None, b"1.2.3", [CT]):
        with pytest.raises(InvalidQueryError, match="neither a path nor the text"):
            client.read_manifest(wrong)  # type: ignore[arg-type]
    large = tmp_path / "large"
    with open(large, "wb") as file:
        file.truncate(200_000_001)  # a hole: no such bytes are written
    with pytest.raises(InvalidQueryError, match=r"a manifest of 200\.0 MB; expected 200\.0 MB"):
        client.read_manifest(large)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text() | st.lists(st.sampled_from([CT, GOOD, "cp ", '"', ",", "\n", "[", "{", "=", "'"])))
def test_any_text_is_read_or_refused(client: IDCClient, text: str | list[str]) -> None:
    text = "".join(text) + "\n"
    try:
        manifest = client.read_manifest(text)
    except InvalidQueryError:
        return
    assert len(manifest.selection) <= 2
    assert all(isinstance(one, UnknownLine) for one in manifest.unknown)
    assert {one.number for one in manifest.unknown} <= set(range(1, len(text) + 2))


# --- writing -------------------------------------------------------------------------------

FILES: list[tuple[str, ManifestFormat | None]] = [
    ("m.s5cmd", None),
    ("m.csv", None),
    ("m.csv", "uids"),
]


@pytest.fixture(scope="module")
def every_uid(client: IDCClient) -> list[str]:
    frame = client.sql(
        "SELECT SeriesInstanceUID AS uid FROM index WHERE hash(crdc_series_uuid) % 97 = 0"
    )
    return list(frame.uid)


@pytest.mark.parametrize(("name", "format"), FILES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_written_is_read_back(
    client: IDCClient,
    every_uid: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    format: ManifestFormat | None,
    data: st.DataObject,
) -> None:
    uids = data.draw(st.lists(st.sampled_from(every_uid), min_size=1, max_size=40))
    selection = Selection.of(client.engine, uids)
    path = selection.to_manifest(tmp_path_factory.mktemp("written") / name, format)
    assert client.read_manifest(path) == Manifest(selection, ())


def test_large_and_empty(client: IDCClient, tmp_path: Path) -> None:
    for selection in (
        client.cohort(collection_id="tcga_luad").select(),
        client.cohort().of_series([]).select(),
    ):
        for name in ("m.s5cmd", "m.csv", "m.txt"):
            path = selection.to_manifest(tmp_path / name)
            assert client.read_manifest(path) == Manifest(selection, ())
            assert len(client.read_manifest(path).selection) == len(selection)
    assert path.read_text() == "# 0 series of the NCI Imaging Data Commons, data 25.0.5\n"


def test_csv(client: IDCClient, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    patients = ["=1+1", "+1", "-1", "@x", "'=1", "'x", "a,b", 'a"b', "a\nb", "plain"]
    with open(own, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id"])
        writer.writerows((f"=S{i}", f"-T{i}", one, "c") for i, one in enumerate(patients))
    mine = IDCClient(own)
    path = mine.cohort().select().to_manifest(tmp_path / "m.csv")
    with open(path, newline="") as file:
        found = list(csv.DictReader(file))
    assert not [
        cell for row in found for cell in row.values() if cell.startswith(tuple("=+-@\t\r"))
    ]
    assert [row["PatientID"] for row in found] == [
        *("'=1+1", "'+1", "'-1", "'@x", "''=1", "'x", "a,b", 'a"b', "a\nb", "plain"),
    ]
    assert mine.read_manifest(path) == Manifest(mine.cohort().select(), ())
    # By the patients alone, who have no identifiers of a known form.
    alone = tmp_path / "patients.csv"
    with open(alone, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["PatientID", "collection_id"])
        writer.writerows((row["PatientID"], "c") for row in found if "\n" not in row["PatientID"])
    assert len(mine.read_manifest(alone).selection) == len(patients) - 1

    [row] = client.sql(f"SELECT * FROM index WHERE SeriesInstanceUID = '{CT}'").to_dict("records")
    path = Selection.of(client.engine, [CT]).to_manifest(tmp_path / "one.csv")
    with open(path, newline="") as file:
        [written] = csv.DictReader(file)
    assert list(written) == [
        *("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id"),
        *("crdc_series_uuid", "series_aws_url", "license_short_name", "instanceCount"),
        "series_size_MB",
    ]
    assert written == {name: str(row[name]) for name in written}


def test_formats_are_checked(client: IDCClient, study: Selection, tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError, match=r"ends in \.s5cmd, \.csv or \.txt"):
        study.to_manifest(tmp_path / "m.tcia")
    with pytest.raises(InvalidQueryError, match="unknown format 's5cm'; did you mean 's5cmd'"):
        study.to_manifest(tmp_path / "m.csv", "s5cm")  # type: ignore[arg-type]
    own = tmp_path / "own.csv"
    own.write_text("SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id\n#a,2,3,4\n")
    with pytest.raises(InvalidQueryError, match="'#a' cannot be in a list"):
        IDCClient(own).cohort().select().to_manifest(tmp_path / "m.txt")


def test_a_file_is_replaced_as_a_whole(study: Selection, tmp_path: Path) -> None:
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
    assert {one.name for one in tmp_path.iterdir()} == {"own.csv", "m.s5cmd"}


@pytest.mark.skipif(os.name == "nt", reason="no such file names there")
def test_a_file_name_is_no_command(study: Selection, tmp_path: Path) -> None:
    path = study.to_manifest(tmp_path / "a\nrm s3:b .s5cmd")
    lines = path.read_text().splitlines()
    assert [line for line in lines if not line.startswith(("# ", "cp s3://idc-open-data"))] == []
    assert len(lines) == 3 + 12


def test_s5cmd_runs_what_is_written(rows: list[Row], client: IDCClient, tmp_path: Path) -> None:
    path = Selection.of(client.engine, [row.uid for row in rows[:2]]).to_manifest(tmp_path / "m")
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
    assert {one.name for one in tmp_path.iterdir()} == {"m", "0.dcm", "1.dcm"}
