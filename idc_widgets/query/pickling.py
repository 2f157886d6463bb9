"""Pickle cohorts: by what their engine queries, so that another process can open the same.

An engine cannot be pickled. A cohort that is unpickled in the process that pickled it, or in a fork
of it, gets the same engine. Any other process opens the installed index or the user's own table.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from ..errors import InvalidQueryError
from ..index import Index
from .condition import Conjunction
from .duckdb_engine import DuckDBEngine
from .engine import Engine
from .joins import Join
from .per_engine import PerEngine
from .shared_engine import shared_engine

__all__ = ["reduced"]

_Cohort = TypeVar("_Cohort")

#: The name of each engine of which a cohort was pickled.
_names: PerEngine[Engine, str] = PerEngine(lambda _engine: uuid.uuid4().hex)
#: The engines that have a name, by their name.
_engines: WeakValueDictionary[str, Engine] = WeakValueDictionary()


def reduced(
    kind: type[_Cohort],
    engine: Engine,
    conditions: Conjunction,
    joins: tuple[Join, ...],
    endpoint_url: str | None,
) -> tuple[Any, ...]:
    """Return the function that makes a cohort again, and its arguments, for `pickle`."""
    name = _names.of(engine)
    _engines[name] = engine
    place = None
    if isinstance(engine, DuckDBEngine):
        place = engine.data_version if engine.index.is_own else ""
    return _restored, (
        kind,
        name,
        place,
        engine.data_version,
        conditions,
        joins,
        endpoint_url,
    )


def _restored(kind: Any, name: str, place: str | None, data_version: str, *arguments: Any) -> Any:
    """Return a cohort.

    Args:
        kind: Its class.
        name: The name of its engine.
        place: The path of the user's own table; "" for the installed index, None for a database.
        data_version: The version of the data that the conditions were made for.
        *arguments: The other arguments of the class.

    Raises:
        InvalidQueryError: The data have another version here, or are in another database.
        IndexFileError: The table cannot be read.
    """
    engine = _engines.get(name)
    if engine is None:
        if place is None:
            raise InvalidQueryError(
                f"a cohort of {data_version!r} was pickled in another process, and its database "
                "cannot be opened here; pickle cohort.filters, and call client.cohort(**filters)"
            )
        engine = shared_engine(Index(Path(place) if place else None))
        if engine.data_version != data_version:
            raise InvalidQueryError(
                f"this cohort was pickled with version {data_version} of idc-index-data, and "
                f"{engine.data_version} is installed; run: pip install "
                f"idc-index-data=={data_version}"
            )
    return kind(engine, *arguments)
