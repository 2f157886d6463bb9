"""The calls of IDC's first API, in every spelling, compared with plain DuckDB."""

from __future__ import annotations

import json

import duckdb
import pandas as pd
import pytest

from idc_widgets import IDCClient, Index, InvalidQueryError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"

PATIENT_KEYS = ["PatientID", "PatientSex", "PatientAge"]
STUDY_KEYS = ["StudyInstanceUID", "StudyDate", "StudyDescription", "SeriesCount"]
SERIES_KEYS = [
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "SeriesDate",
    "Collection",
    "BodyPartExamined",
    "SeriesDescription",
    "Manufacturer",
    "ManufacturerModelName",
    "series_size_MB",
    "SeriesNumber",
    "instance_count",
    "ImageCount",
]


def plain(sql: str) -> list[tuple]:
    """Return the rows of a query in plain DuckDB; ``{index}`` stands for the installed file."""
    return duckdb.sql(sql.format(index=f"'{Index.default().tables['index']}'")).fetchall()


def test_get_collection_ids(client: IDCClient) -> None:
    ids = client.get_collection_ids()
    assert ids == [row[0] for row in plain("SELECT DISTINCT collection_id FROM {index} ORDER BY 1")]
    assert len(ids) == 179


@pytest.mark.parametrize("name", ["seriesInstanceUid", "seriesInstanceUID", "SeriesInstanceUID"])
def test_get_series_size(client: IDCClient, name: str) -> None:
    assert client.get_series_size(CT) == client.get_series_size(**{name: CT}) == 70.513634
    with pytest.raises(InvalidQueryError, match=r"unknown SeriesInstanceUID '1\.2\.3'"):
        client.get_series_size("1.2.3")
    for value in (None, [], 5):
        with pytest.raises(InvalidQueryError):
            client.get_series_size(value)


def test_get_patients(client: IDCClient) -> None:
    patients = client.get_patients("nsclc_radiomics")
    assert [list(row) for row in patients] == [PATIENT_KEYS] * 422
    expected = plain(
        "SELECT PatientID, string_agg(DISTINCT PatientSex), string_agg(DISTINCT PatientAge)"
        " FROM {index} WHERE collection_id = 'nsclc_radiomics' GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row.values()) for row in patients] == expected
    assert len(client.get_patients(outputFormat="list")) == 86_362
    assert client.get_patients(["nlst", "nsclc_radiomics"], outputFormat="df").shape == (26_832, 3)


def test_get_patient_study(client: IDCClient) -> None:
    by_study = client.get_patient_study(studyInstanceUid=STUDY)
    assert by_study == client.get_patient_study(studyInstanceUID=STUDY)
    assert by_study == client.get_patient_study("nsclc_radiomics", "LUNG1-365")
    assert by_study == [
        dict(zip(STUDY_KEYS, (STUDY, "2010-04-01", None, 12), strict=True)),
    ]
    every = client.get_patient_study("nlst", outputFormat="list")
    assert len(every) == len(set(every))
    [(count,)] = plain(
        "SELECT count(DISTINCT StudyInstanceUID) FROM {index} WHERE collection_id = 'nlst'"
    )
    assert len(every) == count


def test_get_series(client: IDCClient) -> None:
    series = client.get_series(studyInstanceUID=STUDY)
    assert series == client.get_series(studyInstanceUid=STUDY)
    assert [list(row) for row in series] == [SERIES_KEYS] * 12
    assert [row["Modality"] for row in series] == sorted(row["Modality"] for row in series)
    [ct] = client.get_series(patientId="LUNG1-365", modality="CT")
    assert ct["SeriesInstanceUID"] == CT
    assert ct["series_size_MB"] == 70.513634
    assert ct["instance_count"] == ct["ImageCount"] == 134
    [(count,)] = plain(
        "SELECT count(*) FROM {index} WHERE collection_id = 'nlst' AND Modality = 'SEG'"
    )
    assert len(client.get_series("nlst", modality="SEG", outputFormat="list")) == count


def test_filters_combine(client: IDCClient) -> None:
    assert client.get_series("nlst", "LUNG1-365") == []
    assert len(client.get_series("nsclc_radiomics", "LUNG1-365", STUDY, "SEG")) == 4


def test_output_formats(client: IDCClient) -> None:
    frame = client.get_series(patientId="LUNG1-365", outputFormat="df")
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == SERIES_KEYS
    uids = client.get_series(patientId="LUNG1-365", outputFormat="list")
    assert uids == frame.SeriesInstanceUID.tolist()
    # JSON has no NaN: missing values are None.
    json.dumps(client.get_series(patientId="LUNG1-365"), allow_nan=False)
    json.dumps(client.get_patients("nsclc_radiomics"), allow_nan=False)
    with pytest.raises(InvalidQueryError, match="unknown outputFormat 'jsn'; did you mean 'json'"):
        client.get_patients(outputFormat="jsn")


def test_bad_arguments(client: IDCClient) -> None:
    with pytest.raises(TypeError, match="no argument 'studyInstanceUIDs'; did you mean"):
        client.get_series(studyInstanceUIDs=STUDY)
    with pytest.raises(TypeError, match="two spellings"):
        client.get_series(studyInstanceUID=STUDY, studyInstanceUid=STUDY)
    with pytest.raises(InvalidQueryError, match="did you mean 'nsclc_radiomics'"):
        client.get_patients("nsclc_radiomic")
