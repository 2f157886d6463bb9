"""Save selections in files, and read them: their UIDs and the data version, as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .._util import write_whole
from ..errors import InvalidQueryError
from .files import expand_home, is_folder, read_text

__all__ = ["read_saved", "write_saved"]


class SavedSeries(NamedTuple):
    """The series that a saved selection, or the record of downloads, lists.

    Args:
        path: The file that lists the series.
        uids: The SeriesInstanceUIDs.
        data_version: The version of the data. Several versions of recorded downloads are joined by
            commas.
    """

    path: str | os.PathLike[str]
    uids: list[str]
    data_version: str


def write_saved(path: str | os.PathLike[str], uids: Iterable[str], data_version: str) -> Path:
    """Write a selection to a file, whole or not at all, and return the path.

    Raises:
        OSError: The file cannot be written.
    """
    content = {"data_version": data_version, "SeriesInstanceUID": list(uids)}
    target = expand_home(path)
    write_whole(target, json.dumps(content, indent=1) + "\n")
    return target


def read_saved(path: str | os.PathLike[str]) -> SavedSeries:
    """Return the series in a file of `write_saved`, or in the record of a download folder.

    Args:
        path: The file, or the folder of the downloads.

    Raises:
        InvalidQueryError: `path` is neither a saved selection nor a record, or cannot be read.
    """
    from ..download import MAX_RECORD_BYTES, record_path, recorded_series

    untyped: Any = path
    if not isinstance(untyped, str | os.PathLike):
        raise InvalidQueryError(f"{path!r} is not a path; expected text or a Path")
    if is_folder(path):
        path = record_path(expand_home(path))
    text = read_text(path, "a selection", MAX_RECORD_BYTES)
    try:
        content = json.loads(text)
        downloads = recorded_series(content)
        if downloads is None:
            uids = [str(uid) for uid in content["SeriesInstanceUID"]]
            return SavedSeries(path, uids, str(content["data_version"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidQueryError(
            f"{path} is not a selection saved by idc_widgets: expected a file that "
            "Selection.save has written, or the folder or idc_download.json of a download"
        ) from error
    uids = [uid for download in downloads for uid in download.uids]
    versions = sorted({download.data_version for download in downloads})
    return SavedSeries(path, uids, ", ".join(versions))
