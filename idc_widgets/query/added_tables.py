"""Tables that users add to a client, such as labels per patient, and how DuckDB reads them.

An added table is an immutable Arrow table in memory, which DuckDB reads in place during a query.
It is never written to a disk. So it is held once, it ends with the last client or cohort that uses
it, and a forked child has it, too.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

from .._util import fork_safe
from ..errors import InvalidQueryError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AddedTable", "AddedTables", "Key", "key_in_words", "own_copy", "tables_in"]

#: Pairs (column of the index, column of a table) that must be equal.
Key: TypeAlias = "tuple[tuple[str, str], ...]"

#: The names of added tables in SQL that this package writes.
_ID = re.compile(r"added_[0-9a-f]{32}")


@dataclass(frozen=True)
class AddedTable:
    """A table of a user. Tables with the same name, key and content are equal.

    Args:
        name: The name that the user has given.
        key: How its rows belong to series.
        id: Its name in SQL that this package writes, which the content determines.
        origin: The id of the whole table, if this one has only some of its columns.
        content: The rows.
    """

    name: str
    key: Key
    id: str
    origin: str
    content: pa.Table = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        _by_id.setdefault(self.id, self)

    def with_columns(self, columns: Sequence[str]) -> AddedTable:
        """Return a table with only the key and these columns, which a cohort keeps and pickles."""
        kept = dict.fromkeys([*(column for _, column in self.key), *columns])
        text = "\0".join([self.origin, *kept])
        id_ = f"added_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        known = _by_id.get(id_)
        content = self.content.select(list(kept))
        return known or AddedTable(self.name, self.key, id_, self.origin, content)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rows as well; the same table is found again in the same process."""
        return _restored, (self.name, self.key, self.id, self.origin, self.content)


#: The tables that something uses.
_by_id: WeakValueDictionary[str, AddedTable] = WeakValueDictionary()


def _restored(name: str, key: Key, id_: str, origin: str, content: pa.Table) -> AddedTable:
    known = _by_id.get(id_)
    return known or AddedTable(name, key, id_, origin, content)


class AddedTables:
    """The tables of one client, by name. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = fork_safe(threading.Lock())
        #: Folded name → table. It is replaced as a whole, so that readers need no lock.
        self._tables: Mapping[str, AddedTable] = {}

    def __iter__(self) -> Iterator[AddedTable]:
        return iter(self._tables.values())

    def get(self, name: str) -> AddedTable | None:
        """Return the table of a name in any letter case, as in SQL; None if there is none."""
        return self._tables.get(name.casefold())

    def add(self, table: AddedTable, *, replace: bool) -> None:
        """Add a table.

        Raises:
            InvalidQueryError: There is another table of this name, and `replace` is not True.
        """
        folded = table.name.casefold()
        with self._lock:
            earlier = self._tables.get(folded)
            if earlier is not None and earlier.id != table.id and replace is not True:
                raise InvalidQueryError(
                    f"this client has another table {earlier.name!r} already; choose another name, "
                    f"or replace it: client.add_table({table.name!r}, ..., replace=True)"
                )
            self._tables = {**self._tables, folded: table}


def own_copy(name: str, key: Key, content: pa.Table) -> AddedTable:
    """Return a table with a copy of the rows, which others cannot change."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content.combine_chunks())
    copy = sink.getvalue()
    digest = hashlib.sha256(repr((name.casefold(), key)).encode())
    digest.update(copy)
    id_ = f"added_{digest.hexdigest()[:32]}"
    return _by_id.get(id_) or AddedTable(name, key, id_, id_, pa.ipc.open_stream(copy).read_all())


def tables_in(sql: str, named: AddedTables | None = None) -> Mapping[str, AddedTable]:
    """Return the added tables that a query may read, by their names in its SQL.

    Args:
        sql: The query, which may have ids of tables.
        named: Tables that the query may call by their names.
    """
    found = {id_: _by_id.get(id_) for id_ in _ID.findall(sql)} if "added_" in sql else {}
    folded = sql.casefold()
    found |= {table.name: table for table in named or () if table.name.casefold() in folded}
    return {name: table for name, table in found.items() if table is not None}


def key_in_words(key: Key) -> str:
    """Return how a table is joined, for messages.

    >>> key_in_words((("collection_id", "collection_id"), ("PatientID", "case")))
    'collection_id and PatientID (column case)'
    """
    return " and ".join(
        column if column == ours else f"{ours} (column {column})" for ours, column in key
    )
