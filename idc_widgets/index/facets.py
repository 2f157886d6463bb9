"""Facets: the columns that are shown as a dropdown with counts.

Some are columns of the index, some are facts about the collection of a series, and two are derived:
``commercial_use`` from the license, ``original`` from the modality and the analysis result.
"""

from __future__ import annotations

__all__ = [
    "ALIASES",
    "COLLECTION_FACETS",
    "DERIVED_MODALITIES",
    "FACETS",
    "MORE_FACETS",
    "TEXT_COLUMNS",
]

#: Columns that `Cohort.facets` counts by default, in the order they are shown.
FACETS = (
    "collection_id",
    "Modality",
    "BodyPartExamined",
    "PatientSex",
    "Manufacturer",
    "license_short_name",
)

#: Columns of the table collections_index with comma-joined values. Each of the values is counted.
COLLECTION_FACETS = ("cancer_types", "tumor_locations", "species", "program_id")

#: Further columns that are counted as fast as `FACETS`. Two of them are derived.
#: ``commercial_use`` is False where the license has the NonCommercial clause, True for other
#: licenses, missing without a license. ``original`` is True for original images, False for what is
#: derived from images: analysis results, and series of `DERIVED_MODALITIES`.
MORE_FACETS = (
    *COLLECTION_FACETS,
    "original",
    "analysis_result_id",
    "commercial_use",
    "ManufacturerModelName",
    "sop_class_name",
    "transfer_syntax_name",
    "series_init_idc_version",
)

#: Alternative name of a column → its name. Every call that takes a column takes these, too.
ALIASES = {
    "age": "PatientAge",
    "body_part": "BodyPartExamined",
    "collection": "collection_id",
    "doi": "source_DOI",
    "files": "instanceCount",
    "license": "license_short_name",
    "manufacturer": "Manufacturer",
    "modality": "Modality",
    "program": "program_id",
    "sex": "PatientSex",
    "size_MB": "series_size_MB",
    "slices": "instanceCount",
}

#: Columns that the filter ``text`` searches, besides the names of collections.
TEXT_COLUMNS = (
    "collection_id",
    "PatientID",
    "StudyDescription",
    "SeriesDescription",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)

#: Modalities of objects that are derived from images and describe them (DICOM PS3.3, C.7.3.1.1.1).
#: They are never original images, whatever their collection.
DERIVED_MODALITIES = (
    "ANN",
    "KO",
    "M3D",
    "PR",
    "REG",
    "RTDOSE",
    "RTPLAN",
    "RTSTRUCT",
    "RWV",
    "SEG",
    "SR",
)
