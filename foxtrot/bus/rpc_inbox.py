"""Numbered reports, the side that receives: each once, in order, and acknowledged when its owner says so.

Invariants:

* Reports of a source are handed on in the order of their numbers, each once, over restarts of either side, provided
  that the owner stores ``uncommitted()`` in the transaction that holds what the reports did, and hands the rows in
  again when it starts.
* Nothing is acknowledged before ``commit`` or ``ack``. A report that arrives early (one before it is missing) is
  dropped; its sender sends it again.
* What will never come, because a sender has died with it, is told to the owner as a span of numbers, never skipped in
  silence. A report that cannot be read is handed on as ``Unreadable``: it has its place in the order.
* A few numbers per source are kept and no report is. Frames of a sender's former life are dropped.

No socket, no clock: an ``RpcServer`` brings messages and takes acknowledgements away.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from foxtrot.bus.rpc_log import LogOnce
from foxtrot.bus.rpc_messages import Bodies, Report, ReportAck, ReportHello
from foxtrot.core.errors import BusError, FrameError

logger = logging.getLogger("foxtrot.bus.rpc_inbox")


class Received(NamedTuple):
    """How far a source's reports have come: the last number, and the sender's boot counter."""

    number: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A report whose body could not be read: its bytes, and why."""

    raw: bytes
    text: str


OnReport = Callable[[str, int, Any], None]
"""``on_report(source, number, body)``: a Struct, None or ``Unreadable``. Where it raises, the report comes again."""
OnLost = Callable[[str, int, int], None]
"""``on_lost(source, first, last)``: reports that nobody holds any more; ask the sender's own source of truth."""
Transmit = Callable[[str, ReportAck], None]


@dataclass(slots=True)
class _Source:
    epoch: int
    committed: int
    received: int
    due: bool = False  # an acknowledgement is owed whether or not something is committed


class ReliableReceiver:
    """Takes the numbered reports of many sources on one topic.

    Args:
        topic: the reports' topic, for example ``q.reports``.
        on_report: called for each report.
        on_lost: called for each span that will never come.
        state: what was committed, by source: the rows of ``uncommitted`` as they were last stored.
        max_sources: sources that are listened to; reports of others are dropped and counted.

    Attributes:
        counters: what has happened, by name.
    """

    def __init__(
        self,
        topic: str,
        on_report: OnReport,
        on_lost: OnLost,
        *,
        state: Mapping[str, Received] | None = None,
        max_sources: int = 1_000,
    ) -> None:
        self.topic = topic
        self.counters: Counter[str] = Counter()
        self._on_report = on_report
        self._on_lost = on_lost
        self._max_sources = max_sources
        self._bodies: Bodies | None = None
        self._transmit: Transmit | None = None
        self._log_once = LogOnce(logger, f"receiver of {topic}")
        self._sources = {
            source: _Source(row.epoch, row.number, row.number)
            for source, row in (state or {}).items()
        }

    # --- for the owner --------------------------------------------------------------------------------------

    def uncommitted(self) -> dict[str, Received]:
        """What has been handed on since the last commit, by source: the rows to store with what the reports did."""
        return {
            name: Received(source.received, source.epoch)
            for name, source in self._sources.items()
            if source.received > source.committed
        }

    def state(self) -> dict[str, Received]:
        """All that has been committed, by source."""
        return {
            name: Received(source.committed, source.epoch) for name, source in self._sources.items()
        }

    def epoch(self, source: str) -> int:
        """Boot counter of a source as it was heard last; 0 where it is unknown."""
        known = self._sources.get(source)
        return 0 if known is None else known.epoch

    def commit(self, rows: Mapping[str, Received]) -> None:
        """Acknowledge what ``uncommitted`` gave, after it has become durable.

        Raises:
            BusError: more is acknowledged than was received.
        """
        for source, row in rows.items():
            self.ack(source, row.number)

    def ack(self, source: str, number: int) -> None:
        """Acknowledge all reports of a source up to a number; an old number changes nothing.

        Raises:
            BusError: that number has not been received.
        """
        known = self._sources.get(source)
        if known is None or number > known.received:
            received = 0 if known is None else known.received
            raise BusError(
                f"report {number} of {source!r} cannot be acknowledged: {received} is the last one received"
            )
        if number > known.committed:
            known.committed = number
            self._tell(source, known)

    def rewind(self) -> None:
        """Forget what has been handed on since the last commit: after a transaction that was rolled back."""
        for source in self._sources.values():
            source.received = source.committed
            source.due = True

    # --- for the server -------------------------------------------------------------------------------------

    def attach(self, bodies: Bodies, transmit: Transmit) -> None:
        """Be given the decoder of bodies and the way back to the senders."""
        self._bodies = bodies
        self._transmit = transmit

    def admits(self, source: str, epoch: int) -> bool:
        """Whether a source may report: there is room for it, and this is its present life."""
        known = self._sources.get(source)
        if known is None:
            if len(self._sources) >= self._max_sources:
                self.counters["refused_sources"] += 1
                return False
            self._sources[source] = _Source(epoch, 0, 0)
            return True
        if epoch < known.epoch:
            self.counters["stale"] += 1
            return False
        known.epoch = epoch
        return True

    def take(self, source: str, epoch: int, message: Report | ReportHello) -> None:
        """Handle a message of a sender; never raises."""
        if not self.admits(source, epoch):
            return
        known = self._sources[source]
        if isinstance(message, ReportHello):
            known.due = True
            return
        if message.number <= known.received:
            self.counters["duplicates"] += 1
            known.due = True
            return
        if message.first > known.received + 1 and not self._skip(source, known, message):
            return
        if message.number > known.received + 1:
            self.counters["early"] += 1
            known.due = True
            return
        if self._call("on_report", lambda: self._deliver(source, message)):
            known.received = message.number
            self.counters["reports"] += 1

    def flush(self) -> None:
        """Send the acknowledgements that are owed: once per batch and source, however many frames asked for it."""
        for name, source in self._sources.items():
            if source.due:
                self._tell(name, source)

    def _skip(self, source: str, known: _Source, message: Report) -> bool:
        """Tell the owner what will never come; returns whether the owner has taken note."""
        first, last = known.received + 1, min(message.first, message.number) - 1
        if first > last:
            return True
        if not self._call("on_lost", lambda: self._on_lost(source, first, last)):
            return False
        self.counters["lost"] += last - first + 1
        known.received = last
        return True

    def _deliver(self, source: str, report: Report) -> None:
        if self._bodies is None:
            raise BusError(f"the receiver of {self.topic!r} is attached to no server")
        try:
            body = self._bodies.decode(report.body)
        except FrameError as error:
            self.counters["unreadable"] += 1
            body = Unreadable(bytes(report.body), str(error))
        self._on_report(source, report.number, body)

    def _call(self, what: str, function: Callable[[], None]) -> bool:
        try:
            function()
        except Exception as error:  # noqa: BLE001 - whatever the owner raises: the report comes again
            self.counters["owner_errors"] += 1
            self._log_once(what, error)
            return False
        return True

    def _tell(self, name: str, source: _Source) -> None:
        source.due = False
        if self._transmit is not None:
            self._transmit(name, ReportAck(source.epoch, source.committed, source.received))
