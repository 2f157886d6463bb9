"""A selection in a few words, and as the Python code that rebuilds it."""

from __future__ import annotations

from .._util import human_size, plural
from ..query import Cohort, DuckDBEngine

__all__ = ["describe", "python_code"]


def describe(series: int, size_MB: float) -> str:
    """Return the representation of a selection: its number of series and its size.

    >>> describe(12, 115.91594)
    'Selection(12 series, 115.9 MB)'
    """
    return f"Selection({plural(series, 'series')}, {human_size(size_MB * 1e6)})"


def python_code(cohort: Cohort, description: str) -> str:
    """Return Python code that rebuilds the selection of a cohort.

    Args:
        cohort: The cohort that was selected.
        description: Text for the comment in the first line.
    """
    engine = cohort.engine
    is_own_table = isinstance(engine, DuckDBEngine) and engine.index.is_own
    argument = repr(engine.data_version) if is_own_table else ""
    filters = ", ".join(f"{name}={value!r}" for name, value in cohort.filters.items())
    return (
        f"# Data {engine.data_version}: {description}\n"
        "from idc_widgets import IDCClient\n\n"
        f"selection = IDCClient({argument}).cohort({filters}).select()\n"
    )
