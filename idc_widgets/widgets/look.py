"""What all widgets of the package look like: one base style sheet, and names for columns."""

from __future__ import annotations

from pathlib import Path

__all__ = ["STATIC", "label", "style"]

#: Where the ES modules and style sheets are.
STATIC = Path(__file__).parent / "static"

_LABELS = {
    "collection_id": "Collection",
    "Modality": "Modality",
    "BodyPartExamined": "Body part",
    "PatientSex": "Sex",
    "Manufacturer": "Manufacturer",
    "license_short_name": "License",
}


def label(column: str) -> str:
    """What a column is called on the screen; its own name unless there is a plainer one."""
    return _LABELS.get(column, column)


def style(name: str) -> str:
    """The style sheet of one widget, with the colours and fonts that all of them share."""
    sheets = (STATIC / "base.css", STATIC / f"{name}.css")
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
