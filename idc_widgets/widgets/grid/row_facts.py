"""What the menu of a row needs to know about it."""

from __future__ import annotations

from typing import Any, TypedDict

from ...index import LEVELS, column_info
from ...query import row_source
from ..row_content import MAX_SERIES, VIEWER_COLUMNS, row_code, viewer_links
from ..state import BrowserState, narrow

__all__ = ["RowFacts", "row_facts"]


class RowFacts(TypedDict):
    """What the menu of a row needs to know about it.

    ``name`` is the label of the identifier, such as "Series UID". ``code`` is Python code that
    selects the row. ``viewer`` is the address of IDC's viewer or, if it is empty, ``problem`` says
    why there is none.
    """

    name: str
    identifier: str
    code: str
    viewer: str
    problem: str


def row_facts(state: BrowserState, level: str, key: Any) -> RowFacts:
    """Return what the menu of a row needs to know about it.

    Args:
        state: The state, whose client has the row.
        level: The level of the row.
        key: The key of the row.
    """
    cohort = narrow(state.client.cohort(), level, (key,))
    series = row_source(cohort, "series", columns=VIEWER_COLUMNS).window(0, MAX_SERIES)
    viewers = viewer_links(state.client, series, is_whole=level != "series")
    return {
        "name": column_info(LEVELS[level].key[-1]).label,
        "identifier": key if isinstance(key, str) else key[-1],
        "code": row_code(cohort),
        "viewer": viewers[0][1] if len(viewers) == 1 else "",
        "problem": "" if len(viewers) == 1 else "choose one of the studies",
    }
