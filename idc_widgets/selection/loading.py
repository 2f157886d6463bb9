"""Load the series that a saved selection, or a folder of downloads, lists."""

from __future__ import annotations

import os

from ..errors import InvalidQueryError
from ..query import Cohort, Engine
from .saved import read_saved
from .selection import Selection

__all__ = ["load"]


def load(
    engine: Engine, path: str | os.PathLike[str], *, endpoint_url: str | None = None
) -> Selection:
    """Return the selection of the listed series; see `IDCClient.load`."""
    saved = read_saved(path)
    everything = Cohort(engine, endpoint_url=endpoint_url)
    try:
        return everything.where(SeriesInstanceUID=saved.uids).select()
    except InvalidQueryError as error:
        raise InvalidQueryError(
            f"{saved.path} was saved from data {saved.data_version}, and data "
            f"{engine.data_version} lacks some of it: {error}; for the rest, call "
            f"client.read_manifest({os.fspath(saved.path)!r})"
        ) from error
