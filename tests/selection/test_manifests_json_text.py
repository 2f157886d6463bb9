"""JSON as manifests: lists, objects with known keys, and invalid JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.manifests import CT, STUDY, Series

from idc_widgets import IDCClient, InvalidQueryError, Manifest, Selection


def test_identifiers_in_lists_and_objects_at_any_depth(
    client: IDCClient, rows: list[Series], study: Selection, tmp_path: Path
) -> None:
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
        {"group": [[STUDY], {"more": [CT]}]},
    ):
        for indent in (None, 1):
            path = tmp_path / "manifest.json"
            path.write_text(json.dumps(content, indent=indent))
            assert client.read_manifest(path) == Manifest(study, ()), content
    assert client.read_manifest(study.save(tmp_path / "saved.json")) == Manifest(study, ())
    assert client.read_manifest(str(uids)) == Manifest(study, ())  # a list in Python's notation
    manifest = client.read_manifest(json.dumps([CT, "1.2.3", "x; rm", 5, "\ud800"], indent=1))
    assert manifest.selection.uids == (CT,)
    assert [(line.number, line.text) for line in manifest.unknown] == [
        *((1, "5"), (1, "\ufffd")),  # only plain texts in quotes have line numbers
        *((3, "1.2.3"), (4, "x; rm")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '["1.2.3", "1.2',  # truncated: a part of a list must not be taken for all of it
        '{"SeriesInstanceUID": ["1.2.3"]',
        '{"a": 1}',
        "[1" + "0" * 5000 + "]",
        "[section]\na = 1",
    ],
)
def test_invalid_json_and_json_without_known_keys_are_refused(client: IDCClient, text: str) -> None:
    with pytest.raises(InvalidQueryError, match=r"JSON|nothing in the manifest is recognized"):
        client.read_manifest(text + "\n")
