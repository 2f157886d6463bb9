"""Forked children, such as the workers of a PyTorch DataLoader."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

#: The system ends a hanging child after this time.
DEADLINE_SECONDS = 360


def in_a_child(check: Callable[[], None]) -> None:
    """Run a function in a forked child, and fail if it fails or hangs there."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(DEADLINE_SECONDS)
            check()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
