"""The text that `help` shows for traits."""

from __future__ import annotations

import pydoc

import pytest

from idc_widgets import BrowserState, DownloadWidget, FilterPanel, IDCBrowser


@pytest.mark.parametrize(
    ("widget", "traits"),
    [
        (IDCBrowser, ["cohort", "filters", "paths", "selection"]),
        (
            BrowserState,
            [
                *("cohort", "columns", "distributions", "filters", "message", "patients"),
                *("selection", "series", "studies", "study_cohort"),
            ],
        ),
        (DownloadWidget, ["done_hint", "folder", "job", "paths", "selection"]),
        (FilterPanel, ["expanded"]),
    ],
)
def test_help_says_what_a_trait_is(widget: type, traits: list[str]) -> None:
    shown = " ".join(pydoc.plain(pydoc.render_doc(widget)).replace("|", " ").split())
    for trait in traits:
        text = getattr(widget, trait).help
        assert "Type: " in text
        assert " ".join(text.split()) in shown, trait
