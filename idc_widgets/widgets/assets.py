"""What all widgets of the package look like: style, shared front-end code, names for columns."""

from __future__ import annotations

from pathlib import Path

__all__ = ["STATIC", "label", "missing", "script", "style"]

#: Where the ES modules and style sheets are.
STATIC = Path(__file__).parent / "static"

_LABELS = {
    "collection_id": "Collection",
    "Modality": "Modality",
    "BodyPartExamined": "Body part",
    "PatientSex": "Sex",
    "Manufacturer": "Manufacturer",
    "license_short_name": "License",
    "cancer_types": "Cancer type",
    "tumor_locations": "Tumor location",
    "species": "Species",
    "program_id": "Program",
    "analysis_result_id": "Analysis result",
    "commercial_use": "Commercial use",
    "ManufacturerModelName": "Scanner model",
    "sop_class_name": "Object class",
    "transfer_syntax_name": "Transfer syntax",
    "series_init_idc_version": "New in IDC version",
    "PatientAge": "Age",
    "StudyDate": "Study date",
    "SeriesDate": "Series date",
    "series_size_MB": "Size",
    "instanceCount": "Files",
}


def label(column: str) -> str:
    """What a column is called on the screen; its own name unless there is a plainer one."""
    return _LABELS.get(column, column)


def missing(column: str) -> str:
    """What it means on the screen that a series has no value of a column."""
    return "(original images)" if column == "analysis_result_id" else "(missing)"


def style(*names: str) -> str:
    """Style sheets of a widget, after the colours and fonts that all of them share."""
    return _joined("base", *names, suffix="css")


def script(*names: str) -> str:
    """The ES module of a widget: scripts one after another, the last of which exports `render`.

    There is no bundler, and a widget has one module only: what scripts share is put before them.
    """
    return _joined("base", *names, suffix="js")


def _joined(*names: str, suffix: str) -> str:
    files = (STATIC / f"{name}.{suffix}" for name in names)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
