"""The names in pandas of what cohorts and selections do, and our calls."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PANDAS_NAMES"]

#: Attribute of a DataFrame, or a similar name → our call.
PANDAS_NAMES: Mapping[str, str] = {
    "columns": "cohort.series().columns",
    "count": "cohort.summary().series",
    "df": "cohort.series()",
    "filter": "cohort.where(...)",
    "head": "cohort.series().head()",
    "loc": "cohort.where(...)",
    "nunique": "len(cohort.unique(column))",
    "query": "cohort.where(...)",
    "rows": "cohort.series()",
    "shape": "cohort.summary()",
    "size": "cohort.summary().size_MB",
    "size_bytes": "cohort.summary().size_MB * 1e6",
    "sql": "cohort.to_sql()",
    "to_csv": "cohort.series().to_csv(path)",
    "to_df": "cohort.series()",
    "to_frame": "cohort.series()",
    "to_pandas": "cohort.series()",
    "train_test_split": "cohort.split(train=0.8, test=0.2)",
    "uids": "cohort.select().uids",
}
