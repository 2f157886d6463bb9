"""Facets: counts per value, without regard to the filter on the facet itself."""

from __future__ import annotations

import duckdb
import pytest

from idc_widgets import IDCClient, Index, InvalidQueryError


def test_a_facet_ignores_only_the_filter_on_its_own_column(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics", Modality="CT")
    facets = cohort.facets(["Modality", "collection_id"])
    assert {facet.value for facet in facets["Modality"]} == {"CT", "RTSTRUCT", "SEG", "SR"}
    assert len(facets["collection_id"]) > 50
    by_hand = duckdb.sql(
        f"SELECT count(*) FROM '{Index.default().tables['index']}'"
        " WHERE collection_id = 'nsclc_radiomics' AND Modality = 'SEG'"
    ).fetchall()
    assert by_hand[0][0] in {facet.series for facet in facets["Modality"] if facet.value == "SEG"}


def test_facets_by_alias_and_by_single_name(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="rider_lung_ct")
    assert list(cohort.facets(["Modality", "Modality"])) == ["Modality"]
    assert list(cohort.facets("Modality")) == ["Modality"]
    facets = cohort.facets(["program", "program_id"])
    assert facets["program"] == facets["program_id"]


def test_unknown_facets_are_refused_with_the_nearest_name(client: IDCClient) -> None:
    with pytest.raises(InvalidQueryError, match="did you mean 'Modality'"):
        client.cohort().facets(["Modalit"])
    with pytest.raises(InvalidQueryError, match="unknown column 'text'"):
        client.cohort().facets(["text"])
