"""Single instances of slides: which file of which series a SOPInstanceUID is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..errors import InvalidQueryError
from ..query import Engine, OneOf, Parameters, known_texts

__all__ = ["Instance", "by_series", "find_instances"]

_TABLE = "sm_instance_index"
_COLUMNS = ("SOPInstanceUID", "SeriesInstanceUID", "crdc_instance_uuid", "instance_size")


class Instance(NamedTuple):
    """A row of sm_instance_index; whether name and size can be is for `DownloadPlan` to say."""

    SOPInstanceUID: str
    SeriesInstanceUID: str
    name: str
    """Of its file: the crdc_instance_uuid and ``.dcm``."""
    size_bytes: int


def find_instances(engine: Engine, given: str | Iterable[str]) -> list[Instance]:
    """Looks up instances in the table sm_instance_index, which has those of slide microscopy.

    Args:
        engine: where to look.
        given: a SOPInstanceUID or several, or a DataFrame with a column of that name.

    Returns:
        The rows of the table, in the order that was given; of an instance that is in several
        series there are several.

    Raises:
        InvalidQueryError: there is no such table, nothing is given, something given is no text or
            not in the table (the first is named).
    """
    uids = _texts(given)
    if _TABLE not in engine.tables():
        raise InvalidQueryError(f"there is no table {_TABLE}; client.fetch({_TABLE!r}) gets it")
    params = Parameters()
    where = OneOf("SOPInstanceUID", tuple(uids)).sql(params.bind)
    found: dict[str, list[Instance]] = {}
    for uid, series, uuid, size in engine.rows(
        f"SELECT DISTINCT {', '.join(_COLUMNS)} FROM {_TABLE} WHERE {where} ORDER BY 1, 2, 3, 4",
        params,
    ):
        found.setdefault(uid, []).append(Instance(uid, series, f"{uuid}.dcm", size))
    if missing := [uid for uid in uids if uid not in found]:
        is_series = known_texts(engine, "SeriesInstanceUID", missing[:1])
        raise InvalidQueryError(
            f"{_TABLE}, which has slide microscopy (SM) only, has no SOPInstanceUID "
            f"{missing[0][:80]!r}{_and_more(missing)}"
            + ("; it is a series: select it, and leave instances out" if is_series else "")
        )
    return [instance for uid in uids for instance in found[uid]]


def by_series(
    instances: Iterable[Instance], selected: Iterable[str | None]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, str]]]:
    """The files of instances in the selected series, by SeriesInstanceUID.

    Args:
        instances: as `find_instances` gives them.
        selected: the SeriesInstanceUIDs of a selection.

    Returns:
        Of each series the name of each file to its bytes, and to its SOPInstanceUID.

    Raises:
        InvalidQueryError: an instance is of no selected series, or a file is there twice.
    """
    there = set(selected)
    sizes: dict[str, dict[str, int]] = {}
    uids: dict[str, dict[str, str]] = {}
    elsewhere: dict[str, str] = {}
    chosen: set[str] = set()
    for uid, series, name, size in instances:
        if series not in there:
            elsewhere[uid] = series
            continue
        chosen.add(uid)
        if name in sizes.setdefault(series, {}):
            raise InvalidQueryError(
                f"{_TABLE} has the file {name} of series {series} twice, for the instances "
                f"{uids[series][name]!r} and {uid!r}"
            )
        sizes[series][name] = size
        uids.setdefault(series, {})[name] = uid
    if outside := [uid for uid in elsewhere if uid not in chosen]:
        raise InvalidQueryError(
            f"the instance {outside[0]!r} is of series {elsewhere[outside[0]]}, which is not in "
            f"this selection{_and_more(outside)}"
        )
    return sizes, uids


def _texts(given: Any) -> dict[str, None]:
    """Each UID once, in the order that was given."""
    if hasattr(given, "columns"):  # a DataFrame, of which Python would take the column names
        if "SOPInstanceUID" not in given.columns:
            raise InvalidQueryError("instances: the table has no column SOPInstanceUID")
        given = given["SOPInstanceUID"]
    if isinstance(given, str):
        given = [given]
    is_single = isinstance(given, bytes) or getattr(given, "ndim", 1) == 0
    if is_single or not isinstance(given, Iterable):
        raise InvalidQueryError(f"instances={given!r:.80}: expected SOPInstanceUIDs")
    uids: dict[str, None] = {}
    for uid in given:
        if not isinstance(uid, str):
            raise InvalidQueryError(
                f"instances: expected SOPInstanceUIDs as text, not {str(uid)[:80]!r} "
                f"({type(uid).__name__})"
            )
        if not uid.isprintable():  # lone surrogates and control characters: no database knows them
            raise InvalidQueryError(f"instances: {uid[:80]!r} is no SOPInstanceUID")
        uids[str(uid)] = None
    if not uids:
        raise InvalidQueryError("instances is empty: expected one SOPInstanceUID at least")
    return uids


def _and_more(uids: list[str]) -> str:
    return f" (and {len(uids) - 1:,} more)" if len(uids) > 1 else ""
