"""Filters as text, as chips and buttons show them."""

from __future__ import annotations

import pytest

from idc_widgets.widgets.filter_text import filter_text, range_text

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("column", "argument", "text"),
    [
        ("Modality", "CT", "Modality = CT"),
        ("Modality", ["CT", None], "Modality = CT, (missing)"),
        ("Modality", None, "Modality = (missing)"),
        ("BodyPartExamined", list("ABCDE"), "Body part = A, B, C and 2 more"),
        ("PatientID", HOSTILE, f"Patient ID = {HOSTILE}"),
        ("instanceCount", (1000, None), "Files ≥ 1,000"),
        ("series_size_MB", (None, 0.5), "Size ≤ 0.5 MB"),
        ("StudyDate", ("2010-01-01", "2011-01-01"), "Study date 2010-01-01 – 2011-01-01"),
        ("StudyDate", (None, None), "Study date is not missing"),
        ("Modality", [], "Modality = none of its values"),
        ("text", "lung", "Text “lung”"),
        ("patients", [("a", "b"), ("c", "d")], "2 patients"),
        ("having", {"Modality": ["CT", "SEG"]}, "Studies with CT or SEG"),
        ("having", [{"Modality": "CT"}, {"Modality": "SEG"}], "Studies with CT and SEG"),
        (
            "having",
            [
                {"level": "patient", "Modality": "CT", "BodyPartExamined": "LUNG"},
                {"level": "study", "Modality": "SR"},
            ],
            "Patients with a series (Modality = CT; Body part = LUNG); Studies with SR",
        ),
        ("original", True, "Original images"),
        ("original", False, "Derived from images"),
        ("any_of", [{"Modality": "CT"}, {"PatientSex": "F"}], "Modality = CT or Sex = F"),
        (
            "any_of",
            [[{"Modality": "CT", "PatientSex": "F"}, {}], [{"original": True}]],
            "((Modality = CT; Sex = F) or (everything)) and (Original images)",
        ),
        ("any_of", [{"PatientSex": "F"}] * 5, "Sex = F or Sex = F or Sex = F or 2 more"),
        ("any_of", [], "No series"),
        (
            "part",
            {"by": "PatientID", "random_state": 0, "range": (0.0, 0.8)},
            "Random part of the patients (0 – 80 %)",
        ),
        (
            "part",
            {
                "by": "study",
                "random_state": 0,
                "stratify": "PatientSex",
                "ranges": [("F", 0.0, 0.8)],
                "of": {"Modality": "CT"},
            },
            "Random part of the studies per Sex (Modality = CT)",
        ),
        (
            "ranked",
            {"order": "largest", "n": 2, "per": "study", "by": "instanceCount", "of": {}},
            "Largest 2 series per study by Files (everything)",
        ),
        (
            "ranked",
            {"order": "latest", "n": 1, "per": "patient", "by": "StudyDate", "of": {"text": "a"}},
            "Latest 1 study per patient (Text “a”)",
        ),
        ("uids", ["1.2"], "1 UID"),
        ("uids", [str(i) for i in range(50_000)], "50,000 UIDs"),
        ("uids", [["1.1", "1.2"], ["1.3"]], "2 UIDs and 1 UID"),
        ("uids", [], "0 UIDs"),
        ("commercial_use", True, "Commercial use allowed"),
        ("commercial_use", False, "Commercial use not allowed"),
        ("commercial_use", [True, None], "Commercial use = yes, (missing)"),
        ("PatientAge", (60, 80), "Age 60 – 80 years"),
        ("PatientAge", ["060Y"], "Age = 060Y"),
        ("analysis_result_id", None, "Analysis result = (none)"),
        ("analysis_result_id", ["x", None], "Analysis result = x, (none)"),
        (
            "cancer_types",
            [["Lung"], ["Breast", None]],
            "Cancer type = Lung and Cancer type = Breast, (missing)",
        ),
        ("series_init_idc_version", [24, 25], "New in IDC version = 24, 25"),
        ("exclude", {"Modality": ["SR", "SEG"]}, "Modality: all but SR, SEG"),
        (
            "exclude",
            {"PatientAge": (0, 18), "text": "lung"},
            "Age: all but 0 – 18 years; Not: Text “lung”",
        ),
        (
            "exclude",
            [{"PatientAge": (0, 18)}, {"PatientAge": (80, None)}],
            "Age: all but 0 – 18 years and Age: all but ≥ 80 years",
        ),
        ("exclude", {"StudyDate": (None, None)}, "Study date is missing"),
        ("exclude", {"species": HOSTILE}, f"Species: all but {HOSTILE}"),
        ("exclude", {"commercial_use": False}, "Commercial use: all but no"),
        ("exclude", {"having": {"Modality": ["SEG"]}}, "Not: Studies with SEG"),
        (
            "exclude",
            {"any_of": [{"Modality": "CT", "PatientSex": "F"}]},
            "Not: (Modality = CT; Sex = F)",
        ),
    ],
)
def test_filters_as_text(column, argument, text):
    assert filter_text(column, argument) == text


def test_chips_of_real_cohorts(client):
    segmented = client.cohort(Modality="SEG", PatientAge=(60, None))
    cohort = client.cohort().originals().having(segmented).having(Modality=["CT", "PT"])
    texts = [filter_text(column, argument) for column, argument in cohort.filters.items()]
    assert texts == [
        "Studies with CT or PT and a series (Modality = SEG; Age ≥ 60 years)",
        "Original images",
    ]


@pytest.mark.parametrize(
    ("column", "low", "high", "text"),
    [
        ("PatientAge", 60.0, 79.99999999999999, "60 – 79 years"),
        ("PatientAge", 0.5, 1.25, "0.5 – 1.25 years"),
        ("series_size_MB", 0.0032, 12.999999999999998, "0.0032 – 13 MB"),
        ("series_size_MB", None, 1234567.8, "≤ 1,234,568 MB"),
        ("instanceCount", 5, 5, "5"),
    ],
)
def test_ranges_as_text(column, low, high, text):
    assert range_text(column, low, high) == text
