"""Numbered reports, the side that sends: kept until they are acknowledged, sent again in order.

Invariants:

* A report leaves the outbox when the receiver has said that it is durable, and not before. When the outbox is full,
  ``put`` raises and ``on_halt`` is called; nothing is dropped.
* Numbers grow by one over restarts. A durable outbox brings its own (its owner stores reports before it puts them). One
  in memory asks the receiver where its former life ended and goes on from there; until it knows, nothing is sent.
* At most a window of reports is on its way. Without progress they are sent again from the first that the receiver
  lacks, at intervals that grow; at once when the receiver has restarted.

No socket of its own: an ``RpcClient`` sends for it and brings acknowledgements.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from foxtrot.bus.codec import Codec, FrameReason
from foxtrot.bus.rpc_messages import Bodies, Report, ReportAck, ReportHello
from foxtrot.core.clock import Clock
from foxtrot.core.errors import BusError, FrameError
from foxtrot.core.objects import TimerData

logger = logging.getLogger("foxtrot.bus.rpc_outbox")

_OVERHEAD = 128  # bytes that a kept report costs besides its body
_HEAD_BYTES = 1_024  # of a frame, around the body
_SOON = 10_000_000  # ns until a pipe that was full, or a server that was away, is tried again


class OutboxFullError(BusError):
    """The outbox holds as many reports, or bytes, as it may: the receiver has not acknowledged for too long."""


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """Bounds of an outbox.

    Attributes:
        window: reports on their way at a time.
        reports: reports kept.
        bytes: bytes kept.
        interval: ns without progress after which reports are sent again.
        max_interval: ns that the interval may grow to.
    """

    window: int = 256
    reports: int = 100_000
    bytes: int = 64 << 20
    interval: int = 100_000_000
    max_interval: int = 500_000_000


class Courier(Protocol):
    """Who sends for an outbox; ``transmit`` returns False where the message cannot be taken now."""

    source: str
    epoch: int

    def transmit(self, topic: str, message: msgspec.Struct, seq: int = 0) -> bool:
        """Send a message now or not at all."""


class ReliableSender:
    """An outbox of numbered reports on one topic.

    Args:
        topic: the reports' topic, for example ``q.reports``.
        codec: of the process.
        clock: what intervals are measured with.
        on_halt: called with the reason when the outbox overflows (once, until it has drained by half) or when the
            receiver knows numbers that this outbox never gave out. The owner must stop whatever makes reports.
        on_acked: called with a number when all reports up to it are durable at the receiver.
        durable: whether the owner stores reports and gives each its number.
        last: the last number that a durable outbox has given out.
        kept: its stored reports that are not acknowledged, in order, ending at ``last``.
        limits: bounds.

    Attributes:
        counters: what has happened, by name.
        halted: why the outbox has stopped sending for good, or empty.
    """

    def __init__(
        self,
        topic: str,
        codec: Codec,
        clock: Clock,
        *,
        on_halt: Callable[[str], None],
        on_acked: Callable[[int], None] | None = None,
        durable: bool = False,
        last: int = 0,
        kept: Iterable[tuple[int, msgspec.Struct]] = (),
        limits: OutboxLimits | None = None,
    ) -> None:
        self.topic = topic
        self.counters: Counter[str] = Counter()
        self.halted = ""
        self.durable = durable
        self._bodies = Bodies(codec)
        self._longest = codec.max_frame - _HEAD_BYTES
        self._clock = clock
        self._on_halt = on_halt
        self._on_acked = on_acked
        self._limits = limits if limits is not None else OutboxLimits()
        self._kept = {number: self._bodies.encode(body) for number, body in kept}
        self._bytes = sum(map(_size, self._kept.values()))
        self._last = last
        self._acked = last - len(self._kept)
        self._sent = self._acked
        self._received = self._acked
        self._greeted = False
        self._full = False
        self._courier: Courier | None = None
        self._peer_epoch: int | None = None
        self._interval = self._limits.interval
        self._stalled_at = 0  # ns, monotonic: without progress until then, reports are sent again
        self._blocked = False
        self._alarm = 0  # when the timer is due, 0 for never
        self._timer = f"outbox.{topic}"
        if list(self._kept) != list(range(self._acked + 1, last + 1)):
            raise BusError(
                f"outbox {topic!r}: kept reports must be numbered up to {last} without a gap"
            )

    @property
    def waiting(self) -> int:
        """Reports that are not acknowledged."""
        return len(self._kept)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of reports that are not acknowledged, with an allowance for what holds them."""
        return self._bytes

    @property
    def last(self) -> int:
        """The last number given out; of an outbox in memory provisional until the receiver has answered."""
        return self._last

    def put(self, body: msgspec.Struct, number: int | None = None) -> None:
        """Keep a report and send it, now or as soon as possible.

        Args:
            body: of a type that the codec knows.
            number: ``last + 1`` in a durable outbox, None in one in memory.

        Raises:
            OutboxFullError: there is no room; ``on_halt`` has been called.
            BusError: the number is not the next one, or the outbox has been halted.
            FrameError: the body cannot travel, or is too long to; nothing was kept and no number given out.
        """
        if self.halted:
            raise BusError(f"outbox {self.topic!r} has been halted: {self.halted}")
        expected = self._last + 1 if self.durable else None
        if number != expected:
            raise BusError(f"outbox {self.topic!r}: number {number} given, {expected} expected")
        raw = self._bodies.encode(body)
        if (
            _size(raw) > self._longest
        ):  # it would stay at the head for ever, and hold up all that follow
            text = f"a report of {_size(raw)} bytes is too long; the limit is {self._longest}"
            raise FrameError(FrameReason.OVERSIZED, text)
        self._check_room(_size(raw))
        if not self._kept:
            self._stalled_at = self._clock.monotonic() + self._interval
        self._last += 1
        self._kept[self._last] = raw
        self._bytes += _size(raw)
        if self._greeted and self._last - self._acked <= self._limits.window:
            self._pump()

    # --- for the client -------------------------------------------------------------------------------------

    def start(self, courier: Courier) -> None:
        """Begin to send."""
        self._courier = courier
        self._timer = f"outbox.{self.topic}.{courier.source}"
        self._on_timer(None)

    def stop(self) -> None:
        """Send no more; what is kept stays."""
        self._courier = None
        self._clock.cancel_timer(self._timer)

    def on_ack(self, epoch: int, ack: ReportAck) -> None:
        """Take an acknowledgement; ``epoch`` is the receiver's boot counter."""
        if self._courier is None or ack.epoch != self._courier.epoch or self.halted:
            self.counters["stale_acks"] += 1
            return
        if not self._greeted and not self._greet(ack):
            return
        if ack.received > self._last:
            self._halt(
                f"the receiver knows reports up to {ack.received}, the last one given out here is {self._last}: "
                f"this outbox has lost its history"
            )
            return
        restarted = self._peer_epoch is not None and epoch != self._peer_epoch
        self._peer_epoch = epoch
        progress = ack.received > self._received or ack.committed > self._acked
        self._drop_until(min(ack.committed, self._last))
        self._received = max(ack.received, self._acked)
        self._sent = max(self._sent, self._received)
        if restarted:
            self.counters["receiver_restarts"] += 1
            self._sent = self._received
        if progress or restarted:
            self._interval = self._limits.interval
            self._stalled_at = self._clock.monotonic() + self._interval
        self._pump()

    def _greet(self, ack: ReportAck) -> bool:
        """Learn from the first acknowledgement where the receiver stands; returns whether numbers fit."""
        if not self.durable:
            base = ack.received
            self._kept = {base + i: raw for i, raw in enumerate(self._kept.values(), 1)}
            self._acked = self._sent = self._received = base
            self._last = base + len(self._kept)
        elif ack.received > self._last:
            return self._halt(
                f"the receiver knows reports up to {ack.received}, this outbox up to {self._last}: its file is not "
                f"the one that was used last"
            )
        else:
            self._sent = max(self._acked, ack.received)
        self._greeted = True
        return True

    def _halt(self, reason: str) -> bool:
        self.halted = reason
        self._clock.cancel_timer(self._timer)
        logger.error("outbox %s: %s", self.topic, reason)
        self._on_halt(reason)
        return False

    def _check_room(self, size: int) -> None:
        limits = self._limits
        if len(self._kept) < limits.reports and self._bytes + size <= limits.bytes:
            return
        self.counters["overflows"] += 1
        text = (
            f"outbox {self.topic!r} holds {len(self._kept)} reports of {self._bytes} bytes that are not acknowledged "
            f"(limits {limits.reports}, {limits.bytes}); see that the receiver runs"
        )
        if not self._full:
            self._full = True
            self._on_halt(text)
        raise OutboxFullError(text)

    def _drop_until(self, number: int) -> None:
        """Forget what is durable at the receiver."""
        if number <= self._acked:
            return
        for done in range(self._acked + 1, number + 1):
            self._bytes -= _size(self._kept.pop(done))
        self._acked = number
        if len(self._kept) * 2 < self._limits.reports and self._bytes * 2 < self._limits.bytes:
            self._full = False
        if self._on_acked is not None:
            self._on_acked(number)

    # --- sending --------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what the window has room for, and see that somebody looks after it."""
        end = min(self._last, self._acked + self._limits.window)
        self._blocked = False
        while self._sent < end and not self._blocked:
            self._blocked = not self._transmit(self._sent + 1)
            self._sent += not self._blocked
        if self._kept:
            self._arm()

    def _transmit(self, number: int) -> bool:
        if self._courier is None:
            return False
        report = Report(number, self._acked + 1, self._kept[number])
        if not self._courier.transmit(self.topic, report, number):
            return False
        self.counters["sent"] += 1
        return True

    def _arm(self) -> None:
        """Look again when progress is due, soon where the way was blocked."""
        now = self._clock.monotonic()
        due = now + _SOON if self._blocked else self._stalled_at
        if self._courier is None or (self._alarm and self._alarm <= due):
            return
        self._alarm = due
        delay = max(0, due - now)
        self._clock.set_delay(self._timer, delay, self._on_timer)

    def _on_timer(self, _timer: TimerData | None) -> None:
        self._alarm = 0
        if self._courier is None or self.halted:
            return
        if not self._greeted:
            self._blocked = not self._courier.transmit(
                self.topic, ReportHello(self._last if self.durable else 0)
            )
            self._back_off()
        elif not self._kept:
            return
        elif self._clock.monotonic() < self._stalled_at:
            self._pump()
        else:
            self._resend()

    def _resend(self) -> None:
        """Send again what has made no progress."""
        self._back_off()
        if self._sent > self._received:
            self.counters["resends"] += 1
            self._sent = self._received
            self._pump()
        else:  # all have arrived: ask whether they are durable by now
            self._transmit(self._acked + 1)

    def _back_off(self) -> None:
        self._stalled_at = self._clock.monotonic() + self._interval
        self._interval = min(2 * self._interval, self._limits.max_interval)
        self._arm()


def _size(raw: msgspec.Raw) -> int:
    return len(memoryview(raw)) + _OVERHEAD
