"""The limit of files that this process may have open at once."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["too_few_open_files"]

#: A browser with a download opens fewer files than this beside those of the kernel.
_NEEDED = 24


def too_few_open_files() -> str:
    """Return why this process cannot open enough files, and what to do; "" if it can.

    A limit that the process may raise by itself is raised.
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
    needed = opened + _NEEDED
    if limit == resource.RLIM_INFINITY or needed <= limit:
        return ""
    if highest == resource.RLIM_INFINITY or needed <= highest:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, highest))
            return ""
    return (
        f"this process may have {limit} files open at once, and {opened} are open; expected room "
        f"for {_NEEDED} more; raise the limit before you start Jupyter or Python, such as with "
        "`ulimit -n 1024`"
    )
