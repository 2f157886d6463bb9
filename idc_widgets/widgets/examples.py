"""The example cohorts that the browser offers at the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..client import IDCClient
from ..errors import InvalidQueryError
from ..query import Cohort

__all__ = ["EXAMPLES", "Examples", "example_cohorts", "patient_count"]

#: Name → filters, as for `Cohort.where`; True for those of `EXAMPLES`, False for none.
Examples = bool | Mapping[str, Mapping[str, Any]]

#: Name → filters. The examples are counted at the start, so they use only filters that the index in
#: memory counts fast.
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "Lung CT with segmentations": {
        "Modality": ["CT", "SEG"],
        "cancer_types": "Lung Cancer",
        "having": [
            {"level": "patient", "Modality": "CT"},
            {"level": "patient", "Modality": "SEG"},
        ],
    },
    "Breast MR": {"Modality": "MR", "BodyPartExamined": "BREAST"},
    "Prostate MR": {"Modality": "MR", "BodyPartExamined": "PROSTATE"},
    "PET with CT": {
        "Modality": ["CT", "PT"],
        "having": [
            {"level": "patient", "Modality": "CT"},
            {"level": "patient", "Modality": "PT"},
        ],
    },
    "Slides of TCGA": {"Modality": "SM", "program_id": "tcga"},
}


def example_cohorts(client: IDCClient, examples: Examples) -> dict[str, Cohort]:
    """Return the examples: name → cohort.

    Args:
        client: The data. Examples of `EXAMPLES` are left out if the data, such as a table of the
            user, lack one of their columns or values.
        examples: Which examples to return.

    Raises:
        TypeError: `examples` has another type.
        InvalidQueryError: A filter of the user's own example is not valid.
    """
    if isinstance(examples, bool):
        return _usual_cohorts(client) if examples else {}
    cohorts = {}
    is_mapping = isinstance(examples, Mapping)
    for name, filters in examples.items() if is_mapping else [("", None)]:
        if not (isinstance(name, str) and isinstance(filters, Mapping)):
            raise TypeError(
                "expected True, False, or a dict of names and filters as `examples`, such as "
                f"{{'Breast MR': {{'Modality': 'MR'}}}}, not {examples!r}"
            )
        try:
            cohorts[name] = client.cohort(**filters)
        except InvalidQueryError as error:
            raise InvalidQueryError(f"example {name!r}: {error}") from error
    return cohorts


def patient_count(cohort: Cohort) -> int:
    """Return the number of patients; where the index is in memory, count nothing else."""
    matches = cohort.matches
    return cohort.summary().patients if matches is None else len(matches.patients)


def _usual_cohorts(client: IDCClient) -> dict[str, Cohort]:
    cohorts = {}
    for name, filters in EXAMPLES.items():
        try:
            cohorts[name] = client.cohort(**filters)
        except InvalidQueryError:
            continue  # these data lack a column or value of the example
    return cohorts
