"""Random expressions of cohorts match the same series as brute force, in memory and by SQL.

The environment variable IDC_WIDGETS_EXAMPLES sets the number of expressions; see
test_random_cohorts.py.
"""

from __future__ import annotations

import os
import pickle
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from support.bruteforce import whole_index
from support.random_expressions import Expression, random_expressions

from idc_widgets import IDCClient

EXAMPLES = int(os.environ.get("IDC_WIDGETS_EXAMPLES", "300"))

#: Expressions with more series are compared by their number alone.
MAX_COMPARED_SERIES = 20_000


@pytest.mark.timeout(1800)
@settings(
    max_examples=max(5, EXAMPLES // 3),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take an hour
)
@given(expression=st.deferred(lambda: random_expressions(whole_index())))
def test_expressions_match_brute_force(client: IDCClient, expression: Expression) -> None:
    cohort = expression.build(client)
    expected = np.flatnonzero(expression.mask)
    summary = cohort.summary()
    assert summary.series == len(expected)
    assert summary.patients == len(np.unique(whole_index().patient[expected]))
    [[counted]] = client.sql(f"SELECT count(*) AS n FROM ({cohort.to_sql()})").to_numpy()
    assert counted == len(expected)
    if len(expected) < MAX_COMPARED_SERIES:
        uids = sorted(whole_index().column("SeriesInstanceUID").take(expected))
        assert list(cohort.select().uids) == uids
        assert sorted(client.sql(cohort.to_sql()).SeriesInstanceUID) == uids
    rebuilt: dict[str, Any] = {}
    exec(cohort.select().to_code(), rebuilt)
    for same in (client.cohort(**cohort.filters), rebuilt["selection"].cohort):
        assert same == cohort
        assert hash(same) == hash(cohort)
    assert pickle.loads(pickle.dumps(cohort)) == cohort
    steps = cohort.flow()
    assert steps.series.iloc[-1] == len(expected)
    assert (steps.missing <= steps.fell).all()
