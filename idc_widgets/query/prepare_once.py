"""Prepare the installed index once, in a process of low priority that ends by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress

from .._util import exists, is_file, locked, make_own_folder
from ..index import Index
from .duckdb_engine import DuckDBEngine
from .engine import Engine

__all__ = ["NEEDED_BYTES", "prepare_here", "start_preparing"]

#: If this environment variable is "0", only a call of `IDCClient.build_cache` prepares anything.
SETTING = "IDC_WIDGETS_AUTO_CACHE"

#: The size of the prepared files of IDC's index.
NEEDED_BYTES = 250 * 10**6

#: Nothing is prepared without being asked if less than this is free on the disk.
_MIN_FREE_BYTES = 5 * 10**9

#: The process ends after this time, whatever it does.
_MAX_SECONDS = 1_800

_CODE = """
import sys
sys.path[:] = {path!r}
from idc_widgets.query import prepare_here
prepare_here({source!r}, {seconds!r})
"""


def start_preparing(engine: Engine) -> subprocess.Popen[bytes] | None:
    """Start a process that prepares the installed index, unless it is prepared already.

    The process goes on if this one ends. It has the lowest priority, and ends by itself. If it
    needs more memory than there is, the system ends it first.

    Returns:
        The process; None if there is nothing to prepare, the disk has little space, or the user
        has switched this off.
    """
    index = engine.index if isinstance(engine, DuckDBEngine) else None
    if index is None or not sys.executable or os.environ.get(SETTING) == "0":
        return None
    if index.prepared is None or index.prepared_encoding is None or not _has_space(index):
        return None
    if is_file(index.prepared) and is_file(index.prepared_encoding):
        return None
    path = [os.path.abspath(folder) for folder in sys.path]
    code = _CODE.format(path=path, source=index.source, seconds=_MAX_SECONDS)
    windows_flags = 0
    if sys.platform == "win32":
        windows_flags = (
            subprocess.IDLE_PRIORITY_CLASS
            | subprocess.CREATE_NEW_PROCESS_GROUP
            | subprocess.CREATE_NO_WINDOW
        )
    with suppress(OSError):  # the system starts no more processes
        return subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C in this process does not reach the other.
            start_new_session=True,
            creationflags=windows_flags,
        )
    return None


def prepare_here(source: str, max_seconds: float) -> None:
    """Prepare the installed index in this process; used in a process that does nothing else.

    Args:
        source: `Index.source` of the index to prepare. Another index is left alone.
        max_seconds: The process ends after this time.
    """
    timer = threading.Timer(max_seconds, os._exit, [1])
    timer.daemon = True
    timer.start()
    _take_lowest_priority()
    index = Index()
    if index.source != source or index.prepared is None:
        return
    make_own_folder(index.prepared.parent)
    with locked(index.prepared.with_name(".prepare.lock")) as is_held:
        if is_held is False:
            return  # another process is at it
        from .memory import prepare  # late: it imports pyarrow

        engine = DuckDBEngine(index)
        prepare(engine)
        engine.build_copy()


def _has_space(index: Index) -> bool:
    assert index.prepared is not None, "the caller has checked it"
    folder = next(folder for folder in index.prepared.parents if exists(folder))
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return False
    # Some network disks report no size.
    return not usage.total or usage.free >= _MIN_FREE_BYTES


def _take_lowest_priority() -> None:
    if sys.platform != "win32":  # on Windows, the process was started with it
        with suppress(OSError):
            # Linux derives the priority of reads and writes from it.
            os.setpriority(os.PRIO_PROCESS, 0, 19)
    if sys.platform == "linux":
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("1000")
