"""Cancel, pause and resume: set by `DownloadJob` from any thread, followed by its own thread."""

from __future__ import annotations

import threading

__all__ = ["Controls"]


class Controls:
    """Cancel, pause and resume, as set from any thread and followed by the supervisor."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.unpaused = threading.Event()
        self.unpaused.set()
        self.halted = threading.Event()
        """Set by both `cancel` and `pause`: stop what is being done now."""

    def cancel(self) -> None:
        """End the run; what is complete stays."""
        self.cancelled.set()
        self.halted.set()
        self.unpaused.set()

    def pause(self) -> None:
        """Interrupt the run until `resume`, unless it is cancelled."""
        if not self.cancelled.is_set():
            self.unpaused.clear()
            self.halted.set()

    def resume(self) -> None:
        """End a pause, unless the run is cancelled."""
        if not self.cancelled.is_set():
            self.halted.clear()
            self.unpaused.set()
