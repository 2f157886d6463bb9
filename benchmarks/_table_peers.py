"""Two other tables for Jupyter, which show the series of IDC in the same page: quak and itables.

Each shows what it can. quak asks its kernel for more rows when the last ones come in sight, so it
cannot go to a random place; its scroll goes to the end of the rows that it has. itables puts all
rows into the page; a million would be too many, so it shows the first `ITABLES_ROWS`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

__all__ = ["PEERS", "Peer"]

ITABLES_ROWS = 10_000

#: JavaScript: the element that scrolls the rows of quak, which is in a shadow tree.
_QUAK_BOX = """[...document.querySelectorAll("*")]
  .map((element) => element.shadowRoot?.querySelector("table")?.parentElement)
  .find((box) => box)"""


class Peer(NamedTuple):
    """A table, how to show the series in it, and how to scroll it."""

    name: str
    #: Python: the imports, and the values that `show` needs. It may use `COLUMNS`.
    setup: str
    #: Python: show the table.
    show: str
    #: JavaScript: whether the first rows are on the page.
    is_shown: str
    #: JavaScript: scroll; the argument is the place, from 0 to 1.
    scroll: str
    #: JavaScript: whether the page has the rows of the new place.
    is_there: str
    #: A sentence that says what the figures of this table mean.
    note: str

    def is_missing(self) -> bool:
        """Return whether the package is not installed."""
        return find_spec(self.name) is None


PEERS = (
    Peer(
        "quak",
        """
import duckdb
import quak
from idc_index_data import IDC_INDEX_PARQUET_FILEPATH
""",
        """
connection = duckdb.connect()
connection.execute(
    f"CREATE VIEW series AS SELECT {', '.join(COLUMNS)} FROM '{IDC_INDEX_PARQUET_FILEPATH}'"
)
quak.Widget(connection, table="series")
""",
        f"() => {_QUAK_BOX}?.querySelectorAll('tbody tr').length > 5",
        f"""() => {{
          const box = {_QUAK_BOX};
          window.peer = {{ box, rows: box.querySelectorAll("tbody tr").length }};
          box.scrollTop = box.scrollHeight;
        }}""",
        "() => window.peer.box.querySelectorAll('tbody tr').length > window.peer.rows",
        "it scrolls to the end of the rows it has, not to a random place",
    ),
    Peer(
        "itables",
        f"""
import duckdb
import pandas
from idc_index_data import IDC_INDEX_PARQUET_FILEPATH
from itables.widget import ITable
ROWS = {ITABLES_ROWS}
""",
        """
frame = duckdb.execute(
    f"SELECT {', '.join(COLUMNS)} FROM '{IDC_INDEX_PARQUET_FILEPATH}' LIMIT {ROWS}"
).df()
ITable(frame, maxBytes=0, paging=False, scrollY="400px", scrollCollapse=True)
""",
        "() => document.querySelectorAll('.dt-scroll-body tbody tr').length > 5",
        """(part) => {
          const box = document.querySelector(".dt-scroll-body");
          box.scrollTop = part * (box.scrollHeight - box.clientHeight);
        }""",
        "() => true",
        f"it has {ITABLES_ROWS:,} of 1,044,191 rows, all of them in the page",
    ),
)
