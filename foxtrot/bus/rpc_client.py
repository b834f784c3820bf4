"""The side that asks: a DEALER that asks again until it is answered, and that no silence can wedge.

Invariants:

* A request is sent again under its id, at intervals that grow, until it is answered or its time is over. Then its
  outcome is ``Unknown``; it is never told as failed. Each request has exactly one outcome.
* A reply that comes after its request's outcome is counted and dropped; it is never taken for another request's.
* Nothing waits in ZeroMQ for a server that is away. After a silence for the whole of a request's time the socket is
  opened anew. When the server has restarted (its epoch is another), all that is open is sent again at once.
* What is open is bounded; ``send`` raises when there is no room.

All methods belong to the thread of the poll loop. ``call`` blocks and is for programs without a loop, such as commands.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import zmq

from foxtrot.bus.codec import Codec, Envelope
from foxtrot.bus.quarantine import Quarantine
from foxtrot.bus.rpc_log import LogOnce
from foxtrot.bus.rpc_messages import (
    Ack,
    Answer,
    Bodies,
    Outcome,
    Reply,
    ReportAck,
    Request,
    RpcCode,
    Unknown,
)
from foxtrot.bus.rpc_open import ClientLimits, Finished, OpenRequest, Schedule
from foxtrot.bus.rpc_outbox import ReliableSender
from foxtrot.bus.rpc_sockets import Context, DealerLink, ReadPace, SocketLoop
from foxtrot.core.clock import Clock, LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import BusError, FrameError
from foxtrot.core.ids import IdSource

logger = logging.getLogger("foxtrot.bus.rpc_client")

DEFAULT_TIMEOUT = 5 * NS_PER_SECOND
_SOON = 10_000_000  # ns until a server that is away, or a full pipe, is tried again
_REOPEN = NS_PER_SECOND  # at most once in so many ns


class RpcClient:
    """Asks the server at one endpoint.

    Args:
        endpoint: where to connect.
        codec: made with ``types=(*RPC_TYPES, ...)``.
        source: name of this service.
        epoch: its boot counter; a program without one takes a time stamp, so that ids are never used twice.
        clock: what time-outs are measured with.
        context: of ZeroMQ.
        identity: a fixed ROUTER identity, where the server must know it; taken over from a predecessor.
        on_epoch: called with the server's source and new epoch when it has restarted.
        limits: bounds.

    Attributes:
        quarantine: frames from the server that could not be read.
        counters: what has happened, by name.
        server_epoch: boot counter of the server that was heard last, None before.

    Raises:
        BusError: the endpoint is malformed.
    """

    def __init__(
        self,
        endpoint: str,
        codec: Codec,
        *,
        source: str,
        epoch: int,
        clock: Clock,
        context: Context,
        identity: bytes = b"",
        on_epoch: Callable[[str, int], object] | None = None,
        limits: ClientLimits | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.source = source
        self.epoch = epoch
        self.quarantine = Quarantine()
        self.counters: Counter[str] = Counter()
        self.server_epoch: int | None = None
        self._codec = codec
        self._bodies = Bodies(codec)
        self._clock = clock
        self._on_epoch = on_epoch
        self._limits = limits if limits is not None else ClientLimits()
        self._ids = IdSource(f"{source}-{epoch}")
        self._open: dict[str, OpenRequest] = {}
        self._finished = Finished()
        timer = f"rpc_client.{source}.{endpoint}"
        self._schedule = Schedule(clock, timer, self._open, self._look)
        self._pace = ReadPace(self._limits.batch)
        self._heard = 0
        self._reopened = 0
        self._outboxes: dict[str, ReliableSender] = {}
        self._log_once = LogOnce(logger, source)
        self._link = DealerLink(context, endpoint, codec.max_frame, identity, self._log_once)

    # --- asking ---------------------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        body: msgspec.Struct | None = None,
        *,
        on_reply: Callable[[Outcome], object],
        timeout: int = DEFAULT_TIMEOUT,
        request_id: str | None = None,
    ) -> str:
        """Ask, and be told the outcome by ``on_reply`` from the poll loop, exactly once; returns the request's id.

        Args:
            method: what is asked, for example ``q.orders``.
            body: a Struct that the codec knows, or None.
            on_reply: called with ``Answer`` or ``Unknown``.
            timeout: ns.
            request_id: an id of the caller's own, unique for this source; one is minted by default.

        Raises:
            BusError: too many requests are open, the id is in use, or the client is closed.
            FrameError: method or body cannot travel.
        """
        entry = self._begin(method, body, on_reply, timeout, request_id)
        self._schedule.add(entry)
        return entry.id

    def call(
        self,
        method: str,
        body: msgspec.Struct | None = None,
        *,
        timeout: int = DEFAULT_TIMEOUT,
        request_id: str | None = None,
    ) -> Outcome:
        """Ask and wait for the outcome, at most ``timeout`` ns; other requests are served meanwhile.

        Raises:
            BusError: as ``send``; or the clock is not a live one.
            FrameError: method or body cannot travel.
        """
        if not isinstance(self._clock, LiveClock):
            raise BusError("call waits in real time: give the client a LiveClock, or use send")
        entry = self._begin(method, body, None, timeout, request_id)
        try:
            now = entry.started
            frame = self._link.wait(self._schedule.left(now, entry.due - now))
            if frame is not None:
                self._take(frame)
        finally:
            if entry.outcome is None:  # seldom: most are answered before they are due
                self._schedule.add(entry)
        return entry.outcome if entry.outcome is not None else self._await(entry)

    def _await(self, entry: OpenRequest) -> Outcome:
        while entry.outcome is None:
            frame = self._link.wait(self._schedule.left(self._clock.monotonic(), _REOPEN))
            if frame is not None:
                self._take(frame)
            else:
                self._look()
        return entry.outcome

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The DEALER; another one after a silence."""
        return self._link.socket

    @property
    def open(self) -> int:
        """Requests without an outcome."""
        return len(self._open)

    def status(self) -> dict[str, int]:
        """Counters and sizes, by name: for heartbeats and ``status``."""
        return {
            **self.counters,
            **{f"bad_{reason}": count for reason, count in self.quarantine.counts.items()},
            "open": len(self._open),
        }

    # --- numbered reports -----------------------------------------------------------------------------------

    def send_reports(self, outbox: ReliableSender) -> None:
        """Send an outbox's reports over this connection, until ``close``.

        Raises:
            BusError: another outbox has the topic.
        """
        if outbox.topic in self._outboxes:
            raise BusError(f"topic {outbox.topic!r} has an outbox already")
        self._outboxes[outbox.topic] = outbox
        outbox.start(self)

    def transmit(self, topic: str, message: msgspec.Struct, seq: int = 0) -> bool:
        """Send a message now or not at all; returns whether it was handed to a connection."""
        try:
            now = self._clock.now()
            frame = self._codec.encode(topic, self.source, self.epoch, seq, now, message)
        except FrameError as error:
            self._log_once(topic, error)
            return False
        sent = self._link.send(frame)
        self.counters["sent" if sent else "blocked"] += 1
        return sent

    # --- life -----------------------------------------------------------------------------------------------

    def attach(self, loop: SocketLoop) -> None:
        """Be served by a poll loop, until ``close``."""
        self._link.attach(loop, self.on_readable)

    def close(self) -> None:
        """Close the socket; what is open becomes ``Unknown``, outboxes keep what they hold. Idempotent."""
        if self._link.closed:
            return
        self._schedule.stop()
        for outbox in self._outboxes.values():
            outbox.stop()
        self._link.close()
        for id_ in tuple(self._open):
            self._give_up(id_, "the client was closed")

    def _reopen(self, now: int) -> None:
        """Replace the socket, and ask everything that is open over the new one."""
        self._reopened = now
        self.counters["reopened"] += 1
        self._link.reopen()
        self._ask_all(now)

    def _ask_all(self, now: int) -> None:
        for entry in tuple(self._open.values()):
            entry.interval = self._limits.interval
            self._attempt(entry, now)
            self._schedule.add(entry)

    # --- sending --------------------------------------------------------------------------------------------

    def _no_room(self, id_: str) -> BusError:
        if self._link.closed:
            return BusError(f"the client of {self.endpoint!r} is closed")
        if id_ in self._open:
            return BusError(f"request id {id_!r} is in use; mint a new one")
        self.counters["overflows"] += 1
        return BusError(
            f"{len(self._open)} requests to {self.endpoint!r} are open, the limit; "
            f"wait for their outcomes"
        )

    def _begin(
        self,
        method: str,
        body: msgspec.Struct | None,
        on_reply: Callable[[Outcome], object] | None,
        timeout: int,
        request_id: str | None,
    ) -> OpenRequest:
        """Enter a new request and send it."""
        id_ = request_id if request_id is not None else self._ids.next()
        open_, limits, clock = self._open, self._limits, self._clock
        if len(open_) >= limits.open or id_ in open_ or self._link.socket.closed:
            raise self._no_room(id_)
        request = Request(id_, method, self._bodies.check(body))
        frame = self._codec.encode(method, self.source, self.epoch, 0, clock.now(), request)
        now = clock.monotonic()
        entry = OpenRequest(id_, method, frame, now, now + timeout, limits.interval, on_reply)
        open_[id_] = entry
        self._attempt(entry, now)
        return entry

    def _attempt(self, entry: OpenRequest, now: int) -> None:
        """Send a request and settle when to look at it again."""
        if self._link.send(entry.frame):
            self.counters["sent"] += 1
            entry.attempts += 1
            delay = entry.interval
            entry.interval = min(2 * entry.interval, self._limits.max_interval)
        else:
            self.counters["blocked"] += 1
            delay = _SOON
        entry.due = min(now + delay, entry.deadline)

    def _look(self) -> None:
        """Send again what is due, and give up what is out of time."""
        now = self._clock.monotonic()
        silent = False
        while (entry := self._schedule.pop(now)) is not None:
            if now < entry.deadline:
                self._attempt(entry, now)
                self._schedule.add(entry)
            else:
                silent = silent or self._heard < entry.started
                self._give_up(entry.id, "no answer in time")
        if silent and now - self._reopened >= _REOPEN and not self._link.closed:
            self._reopen(now)
        self._schedule.arm()

    # --- receiving ------------------------------------------------------------------------------------------

    def on_readable(self) -> None:
        """Handle what has arrived, up to a batch; the poll loop calls it while there is more."""
        limit = self._pace.limit()
        taken = 0
        while taken < limit and (frame := self._link.receive()) is not None:
            self._take(frame)
            taken += 1
        self._pace.taken(taken)

    def _take(self, frame: bytes) -> None:
        try:
            topic, envelope = self._codec.decode(frame)
        except FrameError as error:
            self.quarantine.add(frame, error, self._clock.now())
            return
        message = envelope.message
        self._heard = self._clock.monotonic()
        if envelope.epoch != self.server_epoch:
            self._on_restart(envelope)
        if type(message) is Reply:
            self._on_reply(envelope, message)
        elif type(message) is Ack:
            self._on_acknowledged(message)
        elif type(message) is ReportAck and topic in self._outboxes:
            self._outboxes[topic].on_ack(envelope.epoch, message)
        else:
            self.counters["strange"] += 1

    def _on_restart(self, envelope: Envelope[Any]) -> None:
        first, self.server_epoch = self.server_epoch is None, envelope.epoch
        if first:
            return
        self.counters["server_restarts"] += 1
        self._ask_all(self._heard)
        on_epoch = self._on_epoch
        if on_epoch is not None:
            try:
                on_epoch(envelope.source, envelope.epoch)
            except Exception as error:  # noqa: BLE001 - whatever the owner raises
                self._owner_failed("on_epoch", error)

    def _on_acknowledged(self, message: Ack) -> None:
        entry = self._open.get(message.id)
        if entry is None:
            self.counters[self._finished.kind(message.id)] += 1
        else:
            entry.acknowledged = True
            entry.interval = self._limits.max_interval

    def _on_reply(self, envelope: Envelope[Any], reply: Reply) -> None:
        entry = self._open.get(reply.id)
        if entry is None:
            self.counters[self._finished.kind(reply.id)] += 1
            return
        if not reply.ok and reply.error_code == RpcCode.BUSY:
            self.counters["busy"] += 1  # nothing was done: it is asked again when it is due
            return
        try:
            body = self._bodies.decode(reply.body)
        except FrameError as error:
            self._give_up(reply.id, f"the reply cannot be read here: {error}")
            return
        told = (reply.ok, body, reply.error_code, reply.error_text)
        answer = Answer(reply.id, entry.method, *told, envelope.source, envelope.epoch)
        self._finish(entry, answer, timed_out=False)

    def _give_up(self, id_: str, reason: str) -> None:
        entry = self._open[id_]
        self.counters["unknown"] += 1
        waited = self._clock.monotonic() - entry.started
        outcome = Unknown(id_, entry.method, reason, entry.attempts, entry.acknowledged, waited)
        self._finish(entry, outcome, timed_out=True)

    def _finish(self, entry: OpenRequest, outcome: Outcome, *, timed_out: bool) -> None:
        del self._open[entry.id]
        self._finished.add(entry.id, timed_out)
        entry.outcome = outcome
        if entry.on_reply is not None:
            try:
                entry.on_reply(outcome)
            except Exception as error:  # noqa: BLE001 - whatever the owner raises
                self._owner_failed(f"on_reply of {entry.method}", error)

    def _owner_failed(self, where: str, error: Exception) -> None:
        self.counters["callback_errors"] += 1
        self._log_once(where, error)
