"""Identifiers of manifests, looked up in the index and in its earlier versions."""

from __future__ import annotations

import pytest
from support.manifests import STUDY, Series, reasons, table

from idc_widgets import IDCClient, Manifest, Selection


@pytest.mark.parametrize("names", ["StudyInstanceUID|n", "PatientID|Modality|collection_id"])
def test_a_study_or_a_patient_stands_for_all_its_series(
    client: IDCClient, rows: list[Series], study: Selection, names: str
) -> None:
    text = table(rows[:1], names)
    assert client.read_manifest(text) == Manifest(study, ())
    text = text.replace("nsclc_radiomics", "nlst").replace(STUDY, "1.2.3")
    [line] = client.read_manifest(text).unknown
    assert line.number == 2
    assert "no patient 'LUNG1-365' in a collection 'nlst'" in line.reason or "1.2.3" in line.reason


def test_series_of_prior_versions_are_reported(client: IDCClient) -> None:
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
    assert [reason for _, reason in reasons(manifest)][:2] == [
        f"only earlier versions of IDC had it, until v{version}: {uid}",
        f"only earlier versions of IDC had it, until v{version}: series {uid}",
    ]
    assert f"it is series {revised} as it was until v" in manifest.unknown[2].reason
