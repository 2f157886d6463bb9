"""The SQL of the tables of patients, studies and series: their columns and their order.

`AggregateRows` and `SeriesRows` in `memory` compute the same rows in the same order.
"""

from __future__ import annotations

from ..errors import InvalidQueryError, unknown_message
from ..index import LEVELS

__all__ = ["level_query"]

#: Level → the SQL of its table, with one row per patient, study or series. A relation of series
#: replaces {rows}.
_LEVEL_SQL = {
    "patient": (
        "SELECT collection_id, PatientID,"
        " string_agg(DISTINCT PatientSex, ',' ORDER BY PatientSex) AS PatientSex,"
        " string_agg(DISTINCT PatientAge, ',' ORDER BY PatientAge) AS PatientAge,"
        " count(DISTINCT StudyInstanceUID) AS studies, count(*) AS series,"
        " CAST(sum(instanceCount) AS BIGINT) AS instances, sum(series_size_MB) AS size_MB"
        " FROM {rows} GROUP BY collection_id, PatientID"
        " ORDER BY collection_id, PatientID"
    ),
    # One study of IDC v25 has two patients, so studies are not grouped by patient.
    "study": (
        "SELECT min(collection_id) AS collection_id, min(PatientID) AS PatientID,"
        " StudyInstanceUID, min(StudyDate) AS StudyDate, min(StudyDescription)"
        " AS StudyDescription, string_agg(DISTINCT Modality, ', ' ORDER BY Modality) AS Modality,"
        " count(*) AS series,"
        " CAST(sum(instanceCount) AS BIGINT) AS instances, sum(series_size_MB) AS size_MB"
        " FROM {rows} GROUP BY StudyInstanceUID"
        " ORDER BY 1, 2, 4, 5, 3"
    ),
    "series": (
        "SELECT * FROM {rows} ORDER BY collection_id, PatientID, StudyDate, StudyDescription,"
        " StudyInstanceUID, Modality, TRY_CAST(SeriesNumber AS BIGINT), SeriesDescription,"
        " SeriesInstanceUID"
    ),
}


def level_query(level: str, relation: str) -> str:
    """Return the query for the table of a level.

    Args:
        level: "patient", "study" or "series".
        relation: The SQL of a relation of series.

    Raises:
        InvalidQueryError: The level is unknown.
    """
    if level not in LEVELS:
        raise InvalidQueryError(unknown_message("level", level, LEVELS))
    return _LEVEL_SQL[level].format(rows=relation)
