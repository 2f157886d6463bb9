"""Random expressions of cohorts match the same series on other databases as on our own engine."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from support.bruteforce import whole_index
from support.random_expressions import Expression, random_expressions

from idc_widgets import IDCClient


@pytest.mark.timeout(1800)
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(expression=st.deferred(lambda: random_expressions(whole_index(), depth=2)))
def test_expressions_match_the_same_series(
    client: IDCClient, other: IDCClient, expression: Expression
) -> None:
    cohort = expression.build(other)
    assert cohort.filters == expression.build(client).filters
    condition, params = cohort.predicate
    [(series,)] = other.engine.rows(f"SELECT count(*) FROM index WHERE {condition}", params)
    assert series == np.count_nonzero(expression.mask)
    if series < 20_000:
        rows = np.flatnonzero(expression.mask)
        uids = sorted(whole_index().column("SeriesInstanceUID").take(rows))
        assert list(cohort.select().uids) == uids
