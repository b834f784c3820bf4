"""Frames that could not be read: counted by reason, the last few kept to be looked at."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from foxtrot.core.errors import FrameError

RING_SIZE = 32
HEAD_BYTES = 64


class Refused(NamedTuple):
    """A frame that could not be read: why, when (ns UTC), how long it was and how it began."""

    reason: str
    detail: str
    ts: int
    size: int
    head: bytes


class Quarantine:
    """Counts refused frames for ever and keeps the last ``RING_SIZE``.

    Attributes:
        counts: frames by reason.
        ring: the last of them, oldest first.
    """

    def __init__(self, size: int = RING_SIZE) -> None:
        self.counts: Counter[str] = Counter()
        self.ring: deque[Refused] = deque(maxlen=size)

    def add(self, frame: bytes, error: FrameError, ts: int) -> Refused:
        """Take up a frame that was refused at ``ts`` (ns UTC)."""
        refused = Refused(str(error.reason), str(error), ts, len(frame), frame[:HEAD_BYTES])
        self.counts[refused.reason] += 1
        self.ring.append(refused)
        return refused

    @property
    def total(self) -> int:
        """Frames refused so far."""
        return self.counts.total()
