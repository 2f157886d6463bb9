"""Look up single instances of slides: the series and the file of each SOPInstanceUID."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .._util import and_more, as_list
from ..errors import InvalidQueryError
from ..query import Engine, OneOf, distinct_rows, known_texts

__all__ = ["Instance", "by_series", "find_instances"]

_TABLE = "sm_instance_index"
_COLUMNS = ("SOPInstanceUID", "SeriesInstanceUID", "crdc_instance_uuid", "instance_size")


class Instance(NamedTuple):
    """A row of sm_instance_index. `DownloadPlan` checks its file name and its size.

    Args:
        SOPInstanceUID: The UID of the instance.
        SeriesInstanceUID: The series that has the instance.
        name: The name of its file: the crdc_instance_uuid and ``.dcm``.
        size_bytes: The size of its file.
    """

    SOPInstanceUID: str
    SeriesInstanceUID: str
    name: str
    size_bytes: int


def find_instances(engine: Engine, given: str | Iterable[str]) -> list[Instance]:
    """Look up instances in sm_instance_index, the table of slide microscopy.

    Args:
        engine: The engine whose tables are searched.
        given: A SOPInstanceUID or several, or a DataFrame with a column SOPInstanceUID.

    Returns:
        The rows of the table, in the given order. An instance that is in several series has
        several rows.

    Raises:
        InvalidQueryError: The table was not fetched, `given` is empty, or the table lacks one of
            the UIDs. In the last case, the message names the first such UID.
    """
    uids = _texts(given)
    if _TABLE not in engine.tables():
        raise InvalidQueryError(
            f"there is no table {_TABLE}; client.fetch_table({_TABLE!r}) gets it"
        )
    rows: dict[str, list[Instance]] = {}
    matches = distinct_rows(engine, _COLUMNS, [OneOf("SOPInstanceUID", tuple(uids))], _TABLE)
    for uid, series, uuid, size in sorted(matches, key=repr):  # a value may be missing
        rows.setdefault(uid, []).append(Instance(uid, series, f"{uuid}.dcm", size))
    if missing := [uid for uid in uids if uid not in rows]:
        is_series = known_texts(engine, "SeriesInstanceUID", missing[:1])
        raise InvalidQueryError(
            f"{_TABLE}, which has slide microscopy (SM) only, has no SOPInstanceUID "
            f"{missing[0][:80]!r}{and_more(len(missing) - 1)}"
            + ("; it is a series: select it, and leave out instances" if is_series else "")
        )
    return [instance for uid in uids for instance in rows[uid]]


def by_series(
    instances: Iterable[Instance], selected: Iterable[str | None]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, str]]]:
    """Group the files of instances by series. Only the selected series are wanted.

    Args:
        instances: The result of `find_instances`.
        selected: The SeriesInstanceUIDs of a selection.

    Returns:
        Two dicts: SeriesInstanceUID → file name → size in bytes, and SeriesInstanceUID → file name
        → SOPInstanceUID.

    Raises:
        InvalidQueryError: No series of an instance is selected, or two instances of a series have
            the same file.
    """
    selected_series = set(selected)
    sizes: dict[str, dict[str, int]] = {}
    uids: dict[str, dict[str, str]] = {}
    selected_uids: set[str] = set()
    other_series: dict[str, str] = {}
    for uid, series, name, size in instances:
        if series not in selected_series:
            other_series[uid] = series
            continue
        selected_uids.add(uid)
        if name in sizes.setdefault(series, {}):
            raise InvalidQueryError(
                f"{_TABLE} has the file {name} of series {series} twice, for the instances "
                f"{uids[series][name]!r} and {uid!r}"
            )
        sizes[series][name] = size
        uids.setdefault(series, {})[name] = uid
    # If an instance is in several series, it is enough that one of them is selected.
    if outside := [uid for uid in other_series if uid not in selected_uids]:
        raise InvalidQueryError(
            f"the instance {outside[0]!r} is of series {other_series[outside[0]]}, which is not in "
            f"this selection{and_more(len(outside) - 1)}"
        )
    return sizes, uids


def _texts(given: Any) -> dict[str, None]:
    """Return the distinct UIDs in the given order, as the keys of a dict."""
    if hasattr(given, "columns"):  # iterating over a DataFrame yields the names of its columns
        if "SOPInstanceUID" not in given.columns:
            raise InvalidQueryError("instances: the table has no column SOPInstanceUID")
        given = given["SOPInstanceUID"]
    uids: dict[str, None] = {}
    for uid in as_list(given):
        if not isinstance(uid, str):
            raise InvalidQueryError(
                f"instances: expected SOPInstanceUIDs as text, not {str(uid)[:80]!r} "
                f"({type(uid).__name__})"
            )
        if not uid.isprintable():  # databases reject control characters and lone surrogates
            raise InvalidQueryError(f"instances: {uid[:80]!r} is not a SOPInstanceUID")
        uids[str(uid)] = None
    if not uids:
        raise InvalidQueryError("instances is empty: expected at least one SOPInstanceUID")
    return uids
