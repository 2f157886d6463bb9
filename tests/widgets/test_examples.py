"""The example cohorts of the browser: what they choose, and for which data they are offered."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.own_table import OwnTable

from idc_widgets import IDCBrowser, IDCClient, InvalidQueryError
from idc_widgets.query import listed_values
from idc_widgets.widgets.examples import EXAMPLES, Examples
from idc_widgets.widgets.summary import SummaryBar

#: The numbers of the requests.
numbers = itertools.count(1)


def choices_of(browser: IDCBrowser) -> SummaryBar:
    bar = browser._parts[1]
    assert isinstance(bar, SummaryBar)
    return bar


def counts(browser: IDCBrowser) -> dict[str, str]:
    return {example["name"]: example["count"] for example in choices_of(browser)._examples}


def click(browser: IDCBrowser, name: str) -> None:
    content = {"kind": "example", "name": name, "view": "page", "number": next(numbers)}
    choices_of(browser)._handle_custom_msg(content, [])
    assert choices_of(browser)._answered == f"page:{content['number']}"


def test_each_example_is_a_cohort_of_the_index(client: IDCClient) -> None:
    browser = IDCBrowser(client)
    assert 4 <= len(EXAMPLES) <= 6
    assert list(counts(browser)) == list(EXAMPLES)
    for name, count in counts(browser).items():
        click(browser, name)
        assert browser.filters == client.cohort(**EXAMPLES[name])
        # Count with SQL instead of the index in memory.
        condition, params = browser.filters.predicate
        [(patients,)] = client.engine.rows(
            f"SELECT count(DISTINCT (collection_id, PatientID)) FROM index WHERE {condition}",
            params,
        )
        assert patients > 100
        assert count == f"{patients:,} patients"
        browser.state.clear()
    assert list(counts(browser)) == list(EXAMPLES)


def test_the_hint_of_an_example_has_its_filters(client: IDCClient) -> None:
    [example] = choices_of(
        IDCBrowser(client, examples={"Small": {"PatientID": "LUNG1-365"}})
    )._examples
    assert example == {"name": "Small", "count": "1 patient", "hint": "Patient ID = LUNG1-365"}


def test_examples_are_counted_when_they_are_first_offered(client: IDCClient) -> None:
    browser = IDCBrowser(client, collection_id="nsclc_radiomics")
    assert counts(browser) == {}
    browser.state.clear()
    assert list(counts(browser)) == list(EXAMPLES)


def test_a_click_drops_picks_that_it_hides(client: IDCClient) -> None:
    browser = IDCBrowser(client)
    browser.pick(patients=["LUNG1-365"])
    click(browser, "Breast MR")  # made before the page has heard of the pick
    assert browser.state.patients == ()
    assert listed_values(browser.filters.conditions, "Modality") == ("MR",)
    click(browser, "no such example")
    assert listed_values(browser.filters.conditions, "Modality") == ("MR",)


def test_no_examples(client: IDCClient) -> None:
    assert counts(IDCBrowser(client, examples=False)) == {}
    assert counts(IDCBrowser(client, examples={})) == {}


def test_own_examples(client: IDCClient) -> None:
    own = {"Young": {"PatientAge": (0, 18), "Modality": "MR"}, "None": {"PatientAge": (130, 140)}}
    browser = IDCBrowser(client, examples=own)
    assert list(counts(browser)) == ["Young"], "an example without series is left out"
    click(browser, "Young")
    assert browser.filters == client.cohort(**own["Young"])


def test_examples_are_left_out_if_the_table_of_a_user_lacks_them(own_table: OwnTable) -> None:
    client = own_table(
        "Modality,BodyPartExamined",
        "1.1,1,P1,mine,MR,BREAST",
        "1.2,2,P2,mine,MR,BREAST",
        "1.3,3,P3,mine,CT,CHEST",
    )
    browser = IDCBrowser(client)
    assert counts(browser) == {"Breast MR": "2 patients"}
    click(browser, "Breast MR")
    assert len(browser.selection) == 2


@pytest.mark.parametrize("header", ["Modality", "SeriesDescription"])
def test_a_table_without_such_columns_has_no_examples(own_table: OwnTable, header: str) -> None:
    assert counts(IDCBrowser(own_table(header, "1.1,1,P1,mine,MR"))) == {}


@pytest.mark.parametrize("examples", [["Breast MR"], {"Breast MR": "MR"}, {1: {}}, None, "yes"])
def test_examples_of_another_type_are_refused(client: IDCClient, examples: Any) -> None:
    with pytest.raises(TypeError, match="expected True, False, or a dict of names and filters"):
        IDCBrowser(client, examples=examples)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"Mine": {"Modality": "CTT"}}, "example 'Mine': unknown Modality 'CTT'"),
        ({"Mine": {"Modalty": "CT"}}, "example 'Mine': unknown column 'Modalty'"),
    ],
)
def test_own_examples_with_unknown_values_raise(
    client: IDCClient, examples: Examples, message: str
) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        IDCBrowser(client, examples=examples)
