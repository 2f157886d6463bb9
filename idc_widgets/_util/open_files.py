"""The limit of files that this process may have open at once."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["too_few_open_files"]

#: The number of further files that this process must be able to open: more than a browser with a
#: download opens.
_NEEDED_FILES = 24


def too_few_open_files() -> str:
    """Raise the limit of open files if it is too low and the process may raise it.

    Returns:
        Why the limit is still too low, and what to do; "" if it is high enough or unknown.
    """
    if sys.platform == "win32":
        return ""
    import resource

    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        opened = len(list(Path("/dev/fd").iterdir()))
    except FileNotFoundError:
        return ""  # without /proc, the number is not known
    except OSError:
        opened = limit  # not even the folder can be opened
    needed = opened + _NEEDED_FILES
    if limit == resource.RLIM_INFINITY or needed <= limit:
        return ""
    if highest == resource.RLIM_INFINITY or needed <= highest:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, highest))
            return ""
    return (
        f"this process may have {limit} files open at once, and {opened} are open; expected room "
        f"for {_NEEDED_FILES} more; raise the limit before you start Jupyter or Python, for "
        "example with `ulimit -n 1024`"
    )
