"""Lines of manifests: commands of s5cmd, lists of identifiers, and hostile lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.manifests import ADDRESS, CT, STUDY, UUID, Series

from idc_widgets import IDCClient, Manifest, Selection

PORTAL = """\
# To download the files in this manifest, first install s5cmd (https://github.com/peak/s5cmd),
# then run the following command:
# s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run cohort_996_aws.s5cmd
"""


COMMANDS: list[Callable[[Series], str]] = [
    lambda row: f"cp {row.url} .",
    lambda row: f"cp {row.url}  .",  # as idc-index writes it
    lambda row: f'cp "{row.url}" "/data/a b; c/"',
    lambda row: f"cp '{row.url}' 'a folder'",
    lambda row: f"cp --show-progress -c 5 --concurrency=3 {row.url} .",
    lambda row: f"sync --size-only {row.url} a\\ b/",
    lambda row: f"s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com cp {row.url} x",
    lambda row: f"  cp s3://idc-open-data/{row.uuid.upper()}/ .",
    lambda row: f"cp gs://public-datasets-idc/{row.uuid}/* C:\\data",
    lambda row: f"cp s3://idc-open-cr/{row.uuid}/*.dcm /etc",
    lambda row: f"https://idc-open-data.s3.amazonaws.com/{row.uuid}/",
    lambda row: f"https://storage.googleapis.com/idc-open-data/{row.uuid}",
]


def test_commands_of_s5cmd(client: IDCClient, rows: list[Series], study: Selection) -> None:
    assert len(rows) == len(COMMANDS)
    lines = [command(row) for command, row in zip(COMMANDS, rows, strict=True)]
    manifest = client.read_manifest(PORTAL + "\n\n".join([*lines, lines[0]]))
    assert manifest.unknown == ()
    assert manifest.selection == study
    assert str(manifest) == repr(manifest) == "12 series"


def test_lists_of_identifiers_of_several_kinds(
    client: IDCClient, rows: list[Series], study: Selection
) -> None:
    text = f"# my list\n{CT}, '{rows[1].uid}'\n\n{rows[2].uuid}\n{rows[3].url}\n  {CT}\n"
    manifest = client.read_manifest(text)
    assert set(manifest.selection) == {row.uid for row in rows[:4]}
    assert manifest.unknown == ()
    assert client.read_manifest(STUDY) == Manifest(study, ())
    assert client.read_manifest(f"cp {rows[0].url} .").selection.uids == (CT,)


#: A hostile line, and a part of the message that explains why it is not read.
HOSTILE = [
    ("rm s3://idc-open-data/*", "the command 'rm'"),
    (f"mv {ADDRESS} .", "the command 'mv'"),
    (f"s5cmd --log debug rm {ADDRESS}", "the command 'rm'"),
    (f"cp {ADDRESS} . ; touch x", "';'"),
    (f"cp {ADDRESS} .; touch x", "';'"),
    (f"cp {ADDRESS} . && touch x", "'&'"),
    (f"cp {ADDRESS} . | sh", "'|'"),
    (f"cp {ADDRESS} > x", "'>'"),
    (f"cp {ADDRESS} $(touch x)", "a shell command"),
    (f'cp {ADDRESS} "$(touch x)"', "a shell command"),
    (f"cp {ADDRESS} `touch x`", "a shell command"),
    (f"cp {ADDRESS} ../../etc", "contains '..'"),
    (f"cp {ADDRESS} 'a\\..\\b'", "contains '..'"),
    (f"cp {ADDRESS} a b", "3 arguments"),
    ("cp", "0 arguments"),
    ("s5cmd", "0 arguments"),
    (f"cp {ADDRESS} s3://idc-open-data/", "would write to"),
    ("cp x s3://idc-open-data/", "'x' is not the address"),
    (f"cp {ADDRESS} 'a", "a quote is not closed"),
    (f"cp --exclude *.dcm {ADDRESS} .", "--exclude selects single"),
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


def test_hostile_lines_are_reported_and_never_run(
    client: IDCClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "\n".join([CT, *(line for line, _ in HOSTILE), f"cp {ADDRESS} ."])
    manifest = client.read_manifest(text)
    assert len(manifest.selection) == 2, "only the first line and the last one name series"
    assert [line.number for line in manifest.unknown] == list(range(2, len(HOSTILE) + 2))
    for unknown, (line, reason) in zip(manifest.unknown, HOSTILE, strict=True):
        assert reason in unknown.reason, line
        assert len(unknown.text) <= 200
    assert list(tmp_path.iterdir()) == []
    assert str(manifest).startswith(
        f"2 series; {len(HOSTILE)} lines are not known: line 2: the command 'rm': only cp and sync"
        " are read; line 3: "
    )
    assert str(manifest).endswith(f"; and {len(HOSTILE) - 3} more")
