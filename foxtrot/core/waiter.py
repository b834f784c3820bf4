"""How the event engine's live loop waits: for a wake-up here, for sockets too in a process that has some.

Invariant: a ``wake`` that comes before or while ``wait`` runs ends that wait; none is lost.
"""

from __future__ import annotations

import threading
from typing import Protocol


class Waiter(Protocol):
    """What the loop blocks in between two rounds of events."""

    def wait(self, seconds: float) -> None:
        """Wait up to so long for something to do (0 to only look), on the loop's thread; it may put events."""

    def wake(self) -> None:
        """End the wait; any thread may call."""


class ThreadWaiter:
    """Waits for other threads to put something."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.wake = self._event.set

    def wait(self, seconds: float) -> None:
        """Wait for ``wake``, at most so long."""
        self._event.wait(seconds)
        self._event.clear()
