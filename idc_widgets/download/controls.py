"""Switches to cancel, pause and resume a download: any thread sets them, the job's thread obeys."""

from __future__ import annotations

import threading

__all__ = ["Controls"]


class Controls:
    """Switches to cancel, pause and resume. Any thread may set them; the supervisor obeys them."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.unpaused = threading.Event()
        self.unpaused.set()
        self.halted = threading.Event()
        """Set by `cancel` and `pause`: the supervisor then stops s5cmd, and stops waiting."""

    def cancel(self) -> None:
        """End the run; complete series stay on disk."""
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
