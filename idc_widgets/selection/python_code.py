"""A selection as a short description, and as the Python code that rebuilds it."""

from __future__ import annotations

from .._util import human_size, one_line, plural
from ..query import Cohort, DuckDBEngine, joins_in

__all__ = ["describe", "filters_as_code", "python_code"]


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
    argument = _literal(engine.data_version) if is_own_table else ""
    filters, client = filters_as_code(cohort), f"IDCClient({argument})"
    tables = _tables(cohort)
    if tables:
        tables, client = f"client = {client}\n{tables}", "client"
    # The data version of a user's own table is its path, which may contain line ends.
    return (
        f"# {one_line(f'Data {engine.data_version}: {description}')}\n"
        "from idc_widgets import IDCClient\n\n"
        f"{tables}selection = {client}.cohort({filters}).select()\n"
    )


def filters_as_code(cohort: Cohort) -> str:
    """Return the filters of a cohort as the arguments of a call in Python."""
    filters = cohort.filters
    named = [f"{name}={_literal(value)}" for name, value in filters.items() if name.isidentifier()]
    # The names of a table and a column, such as "labels.grade", are no keywords of Python.
    others = {name: value for name, value in filters.items() if not name.isidentifier()}
    return ", ".join([*named, f"**{_literal(others)}"] if others else named)


def _tables(cohort: Cohort) -> str:
    """Return the lines that provide the tables that filters need, with a comment on each."""
    lines = {}
    for join in joins_in(cohort.conditions):
        if join.added is None:
            lines[join.table] = f"# This needs the table {one_line(join.table)}.\n"
            continue
        key = {column: ours for ours, column in join.key}
        lines[join.table] = (
            f"# your_{join.table} is your table of {plural(join.added.content.num_rows, 'row')}.\n"
            f"client.add_table({_literal(join.table)}, your_{join.table}, on={_literal(key)})\n"
        )
    return "".join(lines.values())


def _literal(value: object) -> str:
    """Return a value as a Python literal, which can contain no other code.

    Raises:
        TypeError: The type of the value has no literal.
    """
    if isinstance(value, dict):
        items = (f"{_literal(key)}: {_literal(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
    if value is None or type(value) in (str, int, float, bool):
        return repr(value)
    raise TypeError(f"{type(value).__name__} has no literal")
