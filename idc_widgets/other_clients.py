"""The names of other clients of IDC, and our calls: docs/coming-from-elsewhere.md has them, too."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["NAMES_ELSEWHERE"]

_SUMMARY = "client.cohort(...).summary()"
_DOWNLOAD = "client.cohort(SeriesInstanceUID=...).download(folder)"
_MANIFEST = "client.read_manifest(path).selection"
_NEW = "client.cohort(series_init_idc_version=...).series()"

#: Method of idc-index's IDCClient, or function of tcia_utils → our call.
NAMES_ELSEWHERE: Mapping[str, str] = {
    # idc-index
    "citations_from_manifest": f"{_MANIFEST}.citations()",
    "citations_from_selection": "client.cohort(...).citations()",
    "client": "IDCClient()",
    "collection_summary": "client.cohort(collection_id=...).summary()",
    "download_analysis_result": "client.cohort(analysis_result_id=...).download(folder)",
    "download_collection": "client.cohort(collection_id=...).download(folder)",
    "download_dicom_instance": "selection.download(folder, instances=...)",
    "download_dicom_patients": "client.cohort(PatientID=...).download(folder)",
    "download_dicom_series": _DOWNLOAD,
    "download_dicom_studies": "client.cohort(StudyInstanceUID=...).download(folder)",
    "download_from_manifest": f"{_MANIFEST}.download(folder)",
    "download_from_selection": "client.cohort(...).download(folder)",
    "fetch_index": "client.fetch_table(table)",
    "get_clinical_table": "client.fetch_table(table), then client.sql('SELECT * FROM table')",
    "get_collections": "client.get_collection_ids()",
    "get_dicom_series": "client.get_series(studyInstanceUID=...)",
    "get_dicom_studies": "client.get_patient_study(patientId=...)",
    "get_idc_version": "client.data_version",
    "get_index_schema": "client.describe(table)",
    "get_instance_file_URL": "selection.plan(folder, instances=...).table()",
    "get_series_file_URLs": "client.cohort(SeriesInstanceUID=...).series().series_aws_url",
    "get_viewer_URL": "client.cohort(...).viewer_urls()",
    "index": "client.sql('SELECT * FROM index')",
    "indices_overview": "client.tables()",
    "prior_versions_index": "client.sql('SELECT * FROM prior_versions_index')",
    "refresh_indices_overview": "client.tables()",
    "sql_query": "client.sql(query)",
    # what one may expect of a client
    "collections": "client.get_collection_ids()",
    "columns": "client.describe('index')",
    "df": "client.cohort().series()",
    "download": "client.cohort(...).download(folder)",
    "fetch": "client.fetch_table(table)",
    "filter": "client.cohort(...)",
    "patients": "client.cohort(...).patients()",
    "query": "client.sql(query)",
    "rows": "client.sql(query)",
    "select": "client.cohort(...).select()",
    "series": "client.cohort(...).series()",
    "studies": "client.cohort(...).studies()",
    "version": "client.data_version",
    "where": "client.cohort(...)",
    # tcia_utils
    "downloadImage": "selection.download(folder, instances=...)",
    "downloadSeries": _DOWNLOAD,
    "getBodyPart": "client.cohort(...).unique('BodyPartExamined')",
    "getBodyPartCounts": "client.cohort(...).value_counts('BodyPartExamined')",
    "getCollectionDescriptions": "client.sql('SELECT * FROM collections_index')",
    "getCollectionPatientCounts": "client.cohort().value_counts('collection_id', unit='patients')",
    "getCollections": "client.get_collection_ids()",
    "getManufacturer": "client.cohort(...).unique('Manufacturer')",
    "getManufacturerCounts": "client.cohort(...).value_counts('Manufacturer')",
    "getModality": "client.cohort(...).unique('Modality')",
    "getModalityCounts": "client.cohort(...).value_counts('Modality')",
    "getNewPatientsInCollection": _NEW,
    "getNewStudiesInPatient": _NEW,
    "getPatient": "client.cohort(collection_id=...).patients()",
    "getPatientByCollectionAndModality": "client.cohort(...).patients()",
    "getSegRefSeries": "client.cohort().originals().having(SeriesInstanceUID=...)",
    "getSeries": "client.cohort(collection_id=...).series()",
    "getSeriesList": "client.cohort(uids=[...]).series()",
    "getSeriesSize": "client.get_series_size(seriesInstanceUID)",
    "getSimpleSearch": "client.cohort(...).series()",
    "getStudy": "client.cohort(collection_id=...).studies()",
    "getUpdatedSeries": "client.cohort(series_revised_idc_version=...).series()",
    "idcOhifViewer": "client.cohort(...).viewer_urls()",
    "makeSeriesReport": _SUMMARY,
    "manifestToList": f"{_MANIFEST}.uids",
    "reportCollectionSummary": _SUMMARY,
    "reportDataSummary": _SUMMARY,
    "reportDoiSummary": "client.cohort(...).select().dois",
}
