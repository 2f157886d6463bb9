"""Messages about identifiers that a column does not have: which kind they are, and what to call."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from idc_widgets import IDCClient, InvalidQueryError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
UUID = "085e85b3-3780-47f6-8538-585bcca95336"
UNKNOWN_UUID = "12345678-1234-1234-1234-123456789abc"
UNKNOWN_UID = "1.2.3.4.5.6.7"
DOI = "10.7937/k9/tcia.2016.eln8ygle"


def message(client: IDCClient, **filters: Any) -> str:
    """Return the message for filters that are refused."""
    with pytest.raises(InvalidQueryError) as caught:
        client.cohort(**filters)
    return str(caught.value)


@pytest.mark.parametrize(
    ("column", "given", "hint"),
    [
        ("SeriesInstanceUID", STUDY, "this is a StudyInstanceUID, not a SeriesInstanceUID"),
        ("SeriesInstanceUID", UUID, "this is a crdc_series_uuid, not a SeriesInstanceUID"),
        ("SeriesInstanceUID", "LUNG1-365", "this is a PatientID, not a SeriesInstanceUID"),
        ("SeriesInstanceUID", "nlst", "this is a collection_id, not a SeriesInstanceUID"),
        ("SeriesInstanceUID", CT[:-1], None),
        ("StudyInstanceUID", CT, "this is a SeriesInstanceUID, not a StudyInstanceUID"),
        ("StudyInstanceUID", UNKNOWN_UUID, "this has the form of a crdc_series_uuid"),
        ("StudyInstanceUID", UNKNOWN_UUID.upper(), "this has the form of a crdc_series_uuid"),
        ("StudyInstanceUID", DOI, "this is a source_DOI, not a StudyInstanceUID"),
        ("crdc_series_uuid", UUID.upper(), f"did you mean {UUID!r}?"),
        ("crdc_series_uuid", CT, "this is a SeriesInstanceUID, not a crdc_series_uuid"),
        ("crdc_series_uuid", UNKNOWN_UID, "this has the form of a UID"),
        ("PatientID", STUDY, "this is a StudyInstanceUID, not a PatientID"),
        ("PatientID", UUID.upper(), "this is a crdc_series_uuid, not a PatientID"),
        ("PatientID", "nsclc_radiomics", "this is a collection_id, not a PatientID"),
        ("collection_id", "LUNG1-365", "this is a PatientID, not a collection_id"),
        ("collection_id", STUDY, "this has the form of a UID"),
        ("analysis_result_id", "nlst", "this is a collection_id, not an analysis_result_id"),
        ("source_DOI", "LUNG1-365", "this is a PatientID, not a source_DOI"),
        ("uids", "LUNG1-365", "this is a PatientID, not a UID of a series or study"),
        ("uids", UNKNOWN_UID, None),
    ],
)
def test_an_identifier_of_another_kind_is_named(
    client: IDCClient, column: str, given: str, hint: str | None
) -> None:
    name = "UID" if column == "uids" else column
    end = f"; {hint}" if hint else ""
    assert message(client, **{column: [given]}) == f"unknown {name} {given!r}{end}"


def test_a_patient_whose_id_has_the_form_of_a_uid(client: IDCClient) -> None:
    [(patient,)] = client.engine.rows(
        "SELECT PatientID FROM index WHERE PatientID LIKE '1.3.6.1.4.1.%' LIMIT 1"
    )
    assert client.cohort(PatientID=patient).summary().patients == 1
    hint = "; this is a PatientID, not a UID of a series or study"
    assert message(client, uids=patient).endswith(hint)


def test_only_earlier_versions_had_it(client: IDCClient, tmp_path: Path) -> None:
    uid, study, uuid, version = client.engine.rows(
        "SELECT SeriesInstanceUID, StudyInstanceUID, crdc_series_uuid, max_idc_version"
        " FROM prior_versions_index AS prior WHERE SeriesInstanceUID NOT IN"
        " (SELECT SeriesInstanceUID FROM index) AND StudyInstanceUID NOT IN"
        " (SELECT StudyInstanceUID FROM index) AND (SELECT count(*) FROM prior_versions_index"
        " AS other WHERE other.StudyInstanceUID = prior.StudyInstanceUID) = 1 LIMIT 1"
    )[0]

    def hint(kind: str, text: str) -> str:
        return (
            f"only earlier versions of IDC had this {kind}, until v{version}: "
            f"call client.plan_prior({text!r}, folder)"
        )

    for column in ("SeriesInstanceUID", "uids", "StudyInstanceUID"):
        assert message(client, **{column: [uid]}).endswith(hint("SeriesInstanceUID", uid))
    assert message(client, StudyInstanceUID=study).endswith(hint("StudyInstanceUID", study))
    assert message(client, crdc_series_uuid=uuid).endswith(hint("crdc_series_uuid", uuid))
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"data_version": "v19", "SeriesInstanceUID": [CT, uid]}))
    for call in (
        lambda: client.get_series_size(uid),
        lambda: client.get_images([CT, uid], downloadDir=tmp_path),
        lambda: client.load(path),
    ):
        with pytest.raises(InvalidQueryError, match=re.escape(hint("SeriesInstanceUID", uid))):
            call()
    rest = client.read_manifest(path)
    assert rest.selection.uids == (CT,)
    assert [line.number for line in rest.unknown] == [1]


def test_a_load_of_old_data_says_what_to_call(client: IDCClient, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"data_version": "v19", "SeriesInstanceUID": [CT, UNKNOWN_UID]}))
    with pytest.raises(InvalidQueryError) as caught:
        client.load(path)
    assert str(caught.value).endswith(f"for the rest, call client.read_manifest({str(path)!r})")
