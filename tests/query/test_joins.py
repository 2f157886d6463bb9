"""Cohorts joined with other tables of the index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.bruteforce import collections, data_folder, whole_index

from idc_widgets import IDCClient
from idc_widgets.index import COLUMNS, FACETS


@pytest.fixture(scope="module")
def prior() -> pd.DataFrame:
    """Return the table of the earlier versions of series."""
    return pd.read_parquet(data_folder() / "prior_versions_index.parquet")


def plain(column: pd.Series) -> list[Any]:
    """Return the values of a column, with None for missing values."""
    values = column.astype(object)
    return values.where(column.notna(), None).tolist()


def test_a_join_is_a_left_merge(client: IDCClient) -> None:
    cohort = client.cohort(Modality=["PT", "NM"], PatientSex=["F", None])
    facts = ["species", "cancer_types", "subjects"]
    joined = cohort.join("collections_index", columns=facts).series()
    rows = whole_index().rows
    rows = rows[
        rows.Modality.isin(["PT", "NM"]) & (rows.PatientSex.isna() | (rows.PatientSex == "F"))
    ]
    merged = rows.merge(collections()[["collection_id", *facts]], on="collection_id", how="left")
    assert list(joined.columns) == [*COLUMNS, *facts]
    merged = merged.set_index("SeriesInstanceUID").loc[joined.SeriesInstanceUID].reset_index()
    assert len(joined) == len(merged) > 1000
    for name in joined.columns:
        assert plain(joined[name]) == plain(merged[name]), name
    assert plain(joined.SeriesInstanceUID) == plain(cohort.series().SeriesInstanceUID)
    in_sql = client.sql(cohort.join("collections_index", columns=facts).to_sql())
    assert sorted(in_sql.columns) == sorted(joined.columns)
    assert len(in_sql) == len(joined)


def test_a_join_adds_columns_and_changes_nothing_else(client: IDCClient) -> None:
    unjoined = client.cohort(collection_id="nsclc_radiomics")
    joined = unjoined.join("collections_index", columns=["cancer_types"])
    assert joined != unjoined
    assert joined == unjoined.join("collections_index", columns=["cancer_types"])
    assert joined.filters == unjoined.filters
    assert joined.summary() == unjoined.summary()
    assert joined.facets(FACETS) == unjoined.facets(FACETS)
    assert joined.select().uids == unjoined.select().uids
    assert "cancer_types" in joined.where(Modality="CT").series()
    assert "cancer_types" in joined.without("collection_id").where(Modality="PT").series()


def test_joins_of_two_tables_with_equal_column_names(
    client: IDCClient, prior: pd.DataFrame
) -> None:
    cohort = client.cohort(collection_id="acrin_nsclc_fdg_pet", Modality="PT")
    joined = cohort.join("collections_index").join("prior_versions_index").series()
    assert len(joined) == cohort.summary().series
    assert len(set(joined.columns)) == len(joined.columns)
    rest = [name for name in collections() if name != "collection_id"]
    versions = [name for name in prior if name != "SeriesInstanceUID"]
    named = [f"prior_versions_index_{name}" if name in COLUMNS else name for name in versions]
    assert list(joined.columns) == [*COLUMNS, *rest, *named]
    assert set(joined.collection_name) == {"ACRIN-NSCLC-FDG-PET"}
    # The versions of a series are a list; a series without any has a missing value.
    of_series = prior.groupby("SeriesInstanceUID").max_idc_version.apply(sorted).to_dict()
    for uid, versions_ in zip(joined.SeriesInstanceUID, joined.max_idc_version, strict=True):
        expected = of_series.get(uid)
        assert (None if expected is None else expected) == (
            sorted(versions_) if isinstance(versions_, (list, np.ndarray)) else None
        )


def test_the_same_table_joined_twice(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics", Modality="CT")
    for columns in (["species"], ["cancer_types"]):
        once = cohort.join("collections_index", columns=["cancer_types"])
        twice = once.join("collections_index", columns=columns).series()
        assert len(twice) == 422
        assert len(set(twice.columns)) == len(twice.columns)
        assert set(twice.cancer_types) == {"Lung Cancer"} or len(set(twice.cancer_types)) == 1
        assert len(twice.columns) >= len(COLUMNS) + 1
    assert once.join("collections_index", columns=[]).series().shape == (422, len(COLUMNS) + 1)
