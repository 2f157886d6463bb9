"""The one table of columns: the name of each in SQL and on the screen, and what it holds.

Dropdowns, grids, chips, histograms and messages on the screen take their labels and units from
here. In Python code, messages have the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["COLUMNS", "DATES", "NUMERIC", "REQUIRED", "ColumnInfo", "column_info"]

#: What the values of a column are: "text"; "uid", a long identifier; "count", an integer;
#: "number", an integer that is not a count; "size", megabytes of 10^6 bytes; "date", ISO 8601 text
#: (YYYY-MM-DD); "age", a DICOM Age String, shown in years; "flag", true or false; "state", a word
#: that changes while a download runs.
Kind: TypeAlias = Literal["text", "uid", "count", "number", "size", "date", "age", "flag", "state"]

_SQL_TYPES: Mapping[Kind, str] = {
    "count": "BIGINT",
    "number": "BIGINT",
    "size": "DOUBLE",
    "flag": "BOOLEAN",
}
_UNITS: Mapping[Kind, str] = {"size": "MB", "age": "years"}


@dataclass(frozen=True)
class ColumnInfo:
    """What is known about a column.

    Args:
        name: The name in SQL and in filters: the DICOM keyword where DICOM has one.
        label: The name on the screen.
        kind: What its values are.
        description: One sentence without a full stop.
        missing: How a missing value is shown.
    """

    name: str
    label: str
    kind: Kind = "text"
    description: str = ""
    missing: str = "(missing)"

    @property
    def sql_type(self) -> str:
        """The type in SQL."""
        return _SQL_TYPES.get(self.kind, "VARCHAR")

    @property
    def unit(self) -> str:
        """The unit of the values as a person types and reads them; empty without one."""
        return _UNITS.get(self.kind, "")


def _by_name(*columns: ColumnInfo) -> Mapping[str, ColumnInfo]:
    return {column.name: column for column in columns}


#: The columns of the table "index", which has one row per series, in the order of that table.
#: Names are those of idc-index-data.
COLUMNS: Mapping[str, ColumnInfo] = _by_name(
    ColumnInfo("collection_id", "Collection", "text", "Collection that the series belongs to"),
    ColumnInfo(
        "analysis_result_id",
        "Analysis result",
        "text",
        "Set of analysis results that the series belongs to, if any",
        missing="(none)",
    ),
    ColumnInfo(
        "PatientID", "Patient ID", "text", "Identifier of the patient within the collection"
    ),
    ColumnInfo("SeriesInstanceUID", "Series UID", "uid", "Identifier of the series"),
    ColumnInfo("StudyInstanceUID", "Study UID", "uid", "Identifier of the study"),
    ColumnInfo("source_DOI", "DOI", "text", "Digital Object Identifier of the data set"),
    ColumnInfo("PatientAge", "Age", "age", "Age of the patient at the time of imaging"),
    ColumnInfo("PatientSex", "Sex", "text", "Sex of the patient: F, M or O"),
    ColumnInfo(
        "StudyDate", "Study date", "date", "Date of the study, shifted by de-identification"
    ),
    ColumnInfo("StudyDescription", "Study description", "text", "Description of the study"),
    ColumnInfo("BodyPartExamined", "Body part", "text", "Body part that was imaged"),
    ColumnInfo("Modality", "Modality", "text", "Type of the acquisition or of the derived object"),
    ColumnInfo("SOPClassUID", "Object class UID", "uid", "Identifier of the type of DICOM object"),
    ColumnInfo("sop_class_name", "Object class", "text", "Type of DICOM object"),
    ColumnInfo(
        "TransferSyntaxUID", "Transfer syntax UID", "uid", "Identifier of the file encoding"
    ),
    ColumnInfo("transfer_syntax_name", "Transfer syntax", "text", "Encoding of the files"),
    ColumnInfo(
        "PhotometricInterpretation",
        "Photometric interpretation",
        "text",
        "Meaning of the pixel data, such as MONOCHROME2 or RGB",
    ),
    ColumnInfo(
        "PixelRepresentation",
        "Pixel representation",
        "text",
        "Pixel values: 0 for unsigned integers, 1 for signed integers",
    ),
    ColumnInfo("Manufacturer", "Manufacturer", "text", "Manufacturer of the equipment"),
    ColumnInfo("ManufacturerModelName", "Scanner model", "text", "Model of the equipment"),
    ColumnInfo(
        "SeriesDate", "Series date", "date", "Date of the series, shifted by de-identification"
    ),
    ColumnInfo("SeriesDescription", "Series description", "text", "Description of the series"),
    ColumnInfo("SeriesNumber", "Series number", "text", "Number of the series within its study"),
    ColumnInfo(
        "instanceCount", "Files", "count", "Number of files (DICOM instances) of the series"
    ),
    ColumnInfo("license_short_name", "License", "text", "License of the series"),
    ColumnInfo(
        "series_init_idc_version",
        "New in IDC version",
        "number",
        "IDC version in which the series first appeared",
    ),
    ColumnInfo(
        "series_revised_idc_version",
        "Revised in IDC version",
        "number",
        "IDC version in which the series last changed",
    ),
    ColumnInfo("aws_bucket", "Bucket", "text", "Bucket on Amazon S3 that has the files"),
    ColumnInfo("crdc_series_uuid", "CRDC series UUID", "uid", "Folder of the files in the bucket"),
    ColumnInfo("series_aws_url", "Address on S3", "uid", "Address of the files on Amazon S3"),
    ColumnInfo("series_size_MB", "Size", "size", "Size of all files of the series"),
)

#: Columns that are derived: facts of a series' collection or license, and the sums and states that
#: the grids of patients and studies show.
_DERIVED = _by_name(
    ColumnInfo("cancer_types", "Cancer type", "text", "Types of cancer in the collection"),
    ColumnInfo(
        "tumor_locations", "Tumor location", "text", "Locations of tumors in the collection"
    ),
    ColumnInfo("species", "Species", "text", "Species in the collection"),
    ColumnInfo("program_id", "Program", "text", "Program that shares the collection"),
    ColumnInfo(
        "original",
        "Original images",
        "flag",
        "Whether the series is an original image: no analysis result, segmentation, report ...",
    ),
    ColumnInfo(
        "commercial_use", "Commercial use", "flag", "Whether the license allows commercial use"
    ),
    ColumnInfo("studies", "Studies", "count", "Number of studies"),
    ColumnInfo("series", "Series", "count", "Number of series"),
    ColumnInfo("instances", "Files", "count", "Number of files (DICOM instances)"),
    ColumnInfo("size_MB", "Size", "size", "Size of all files"),
    ColumnInfo("on_disk", "On disk", "state", "Whether the files are in the download folder"),
)

#: Columns of numbers in the table "index".
NUMERIC = frozenset(name for name, column in COLUMNS.items() if column.sql_type != "VARCHAR")

#: Columns of dates in the table "index".
DATES = frozenset(name for name, column in COLUMNS.items() if column.kind == "date")

#: Columns that a user's own table must have. Other columns that it lacks have missing values.
REQUIRED = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id")


def column_info(name: str) -> ColumnInfo:
    """Return what is known about a column; for a column that is not here, its name is the label.

    >>> column_info("BodyPartExamined").label, column_info("series_size_MB").unit
    ('Body part', 'MB')
    >>> column_info("a column of your own").label
    'a column of your own'
    """
    return COLUMNS.get(name) or _DERIVED.get(name) or ColumnInfo(name, name)
