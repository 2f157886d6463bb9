"""The filter panel: the usual dropdowns, and the second row of filters."""

from __future__ import annotations

import itertools

import pytest

from idc_widgets.index import MORE_FACETS, RANGES
from idc_widgets.query import listed_values
from idc_widgets.widgets.facets import FacetDropdown
from idc_widgets.widgets.filters import FilterPanel
from idc_widgets.widgets.state import BrowserState

#: The numbers of the requests.
numbers = itertools.count(1)


def toggle(panel: FilterPanel) -> None:
    """Send what the front end sends when "More filters" is clicked."""
    content = {"kind": "expand", "expanded": not panel.expanded}
    request = {"view": "view", "number": next(numbers)}
    panel._toggle._handle_custom_msg({**content, **request}, [])
    assert panel._toggle._answered == f"view:{request['number']}"


def dropdown(panel: FilterPanel, column: str) -> FacetDropdown:
    return next(child for child in panel.children[-1].children if child.column == column)


def choose(facet: FacetDropdown, values: list, number: int = 1) -> None:
    content = {"kind": "choose", "view": "view", "number": number, "values": values}
    facet._handle_custom_msg(content, [])


def test_the_second_row_is_made_when_it_is_first_shown(state):
    panel = FilterPanel(state)
    before = panel.children
    toggle(panel)
    assert panel.expanded
    *others, more = panel.children
    assert tuple(others) == before
    assert [child.column for child in more.children] == [*MORE_FACETS, *RANGES]
    toggle(panel)
    toggle(panel)
    assert panel.children[-1] is more
    assert FilterPanel(state, expanded=True).expanded


def test_hidden_dropdowns_are_not_counted(state):
    panel = FilterPanel(state)
    toggle(panel)
    species = dropdown(panel, "species")
    toggle(panel)
    assert panel.children[-1].layout.display == "none"
    before = species._values
    state.filters = state.filters.where(Modality="CT")
    assert species._values == before
    toggle(panel)
    assert panel.children[-1].layout.display == ""
    assert species._values == [["Human", 422, 422]] != before


def test_the_button_shows_the_number_of_active_hidden_filters(state):
    panel = FilterPanel(state)
    assert panel._toggle._count == 0
    state.filters = state.filters.where(PatientAge=(60, 80), commercial_use=True, text="lung")
    assert panel._toggle._count == 2
    state.filter_values("species", ["Human"], exclude=True)
    assert panel._toggle._count == 3
    state.filters = state.filters.where(species="Human")  # the same column
    assert panel._toggle._count == 3


@pytest.mark.parametrize("column", MORE_FACETS)
def test_every_column_can_be_chosen(state, column):
    panel = FilterPanel(state, expanded=True)
    facet = dropdown(panel, column)
    values = [value for value, *_ in facet._values]
    assert facet._label != column
    choose(facet, values[:1])
    assert state.message == ""
    assert listed_values(state.filters.conditions, column) == tuple(values[:1])
    assert facet._chosen == values[:1]


def test_the_text_of_a_missing_value(state):
    panel = FilterPanel(state, expanded=True)
    assert dropdown(panel, "analysis_result_id")._missing == "(none)"
    assert dropdown(panel, "species")._missing == "(missing)"


def test_versions_are_listed_newest_first(client):
    facet = FacetDropdown(BrowserState(client), "series_init_idc_version")
    values = [value for value, *_ in facet._values]
    assert len(values) > 10
    assert values == sorted(values, reverse=True)


def test_a_closed_panel_no_longer_counts(state):
    panel = FilterPanel(state, expanded=True)
    species = dropdown(panel, "species")
    panel.close()
    before = species._values
    state.filters = state.filters.where(Modality="CT")
    assert species._values == before
    assert not state.dropdown_counts._dropdowns


def test_misspelled_arguments_raise_errors(state):
    with pytest.raises(
        TypeError, match="FilterPanel has no argument 'expandet'; did you mean 'exp"
    ):
        FilterPanel(state, expandet=True)
