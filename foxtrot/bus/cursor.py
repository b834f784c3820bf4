"""Where a reader stands in one stream, and what it holds back while a gap is open."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from foxtrot.bus.codec import Envelope


class Stream(NamedTuple):
    """A source and the name of one of its streams, which is a topic unless topics share a count."""

    source: str
    name: str


Item = tuple[str, Envelope[Any]]


@dataclass(slots=True)
class StreamCounts:
    """What was seen on the way.

    Attributes:
        gaps: gaps found, those within one that was still open too.
        missing: messages in them.
        duplicates: messages dropped because they were known.
        old_epochs: messages and heartbeats dropped because their epoch is over.
        overflows: times that what was held back grew over its bound and was left to the replay.
        refused: messages of more streams than can be followed.
    """

    gaps: int = 0
    missing: int = 0
    duplicates: int = 0
    old_epochs: int = 0
    overflows: int = 0
    refused: int = 0


class StreamState:
    """The cursor of one stream.

    Attributes:
        epoch: the newest epoch seen.
        seq: number of the last message delivered, or known from a snapshot.
        ts: when that was published (ns UTC; 0 before the first).
        live: whether messages are delivered as they come; else they are held back.
        durable: whether numbers go on over epochs.
        target: highest number that is known to exist.
        checked: the last epoch whose numbers are known to go on from those seen here.
        wants_snapshot: whether nothing but a snapshot tells where the stream stands.
        buffer: what is held back, without a hole.
    """

    __slots__ = (
        "buffer",
        "checked",
        "durable",
        "epoch",
        "live",
        "seq",
        "stream",
        "target",
        "ts",
        "wants_snapshot",
    )

    def __init__(self, stream: Stream, durable: bool, epoch: int, seq: int) -> None:
        self.stream = stream
        self.durable = durable
        self.epoch = epoch
        self.seq = seq
        self.ts = 0
        self.live = True
        self.checked = epoch
        self.wants_snapshot = False
        self.target = seq
        self.buffer: deque[Item] = deque()

    def restart(self, epoch: int) -> None:
        """Go over to a newer epoch, where an ordinary stream begins anew."""
        self.epoch = epoch
        if not self.durable:
            self.seq = self.target = 0
            self.buffer.clear()

    def last_missing(self) -> int:
        """Last number before what is held back, or the highest that is known to exist."""
        return self.buffer[0][1].seq - 1 if self.buffer else self.target
