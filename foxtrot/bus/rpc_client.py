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
from collections import Counter, OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import msgspec
import zmq

from foxtrot.bus.codec import Codec, Envelope
from foxtrot.bus.quarantine import Quarantine
from foxtrot.bus.rpc_log import LogOnce
from foxtrot.bus.rpc_messages import (
    NIL,
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
from foxtrot.bus.rpc_open import ClientLimits, OpenRequest
from foxtrot.bus.rpc_outbox import ReliableSender
from foxtrot.bus.rpc_sockets import Context, DealerLink, SocketLoop
from foxtrot.core.clock import NEVER, Clock, LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import BusError, FrameError
from foxtrot.core.ids import IdSource
from foxtrot.core.objects import TimerData

logger = logging.getLogger("foxtrot.bus.rpc_client")

DEFAULT_TIMEOUT = 5 * NS_PER_SECOND
_SOON = 10_000_000  # ns until a server that is away, or a full pipe, is tried again
_FINISHED = 10_000  # ids of past requests, kept to tell a late reply from a strange one
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
        self._finished: OrderedDict[str, bool] = OrderedDict()  # id: whether its time was over
        self._heap: list[tuple[int, str]] = []
        self._alarm = NEVER
        self._heard = 0
        self._reopened = 0
        self._outboxes: dict[str, ReliableSender] = {}
        self._log_once = LogOnce(logger, source)
        self._timer = f"rpc_client.{source}.{endpoint}"
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
        id_ = request_id if request_id is not None else self._ids.next()
        self._check_room(id_)
        raw = NIL if body is None else self._bodies.encode(body)
        request = Request(id_, method, raw)
        frame = self._codec.encode(method, self.source, self.epoch, 0, self._clock.now(), request)
        now = self._clock.monotonic()
        entry = OpenRequest(method, frame, now, now + timeout, self._limits.interval, on_reply)
        self._open[id_] = entry
        self._attempt(id_, entry, now)
        self._arm()
        return id_

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
        outcomes: list[Outcome] = []
        self.send(method, body, on_reply=outcomes.append, timeout=timeout, request_id=request_id)
        while not outcomes:
            now = self._clock.monotonic()
            wait = min(self._heap[0][0] - now if self._heap else NEVER, _REOPEN)
            if self._link.wait(max(0, wait)):
                frame = self._link.receive()
                if frame is not None:
                    self._take(frame)
            else:
                self._look()
        return outcomes[0]

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
        return self._transmit(frame)

    # --- life -----------------------------------------------------------------------------------------------

    def attach(self, loop: SocketLoop) -> None:
        """Be served by a poll loop, until ``close``."""
        self._link.attach(loop, self.on_readable)

    def close(self) -> None:
        """Close the socket; what is open becomes ``Unknown``, outboxes keep what they hold. Idempotent."""
        if self._link.closed:
            return
        self._clock.cancel_timer(self._timer)
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
        for id_, entry in tuple(self._open.items()):
            entry.interval = self._limits.interval
            self._attempt(id_, entry, now)
        self._arm()

    # --- sending --------------------------------------------------------------------------------------------

    def _check_room(self, id_: str) -> None:
        if self._link.closed:
            raise BusError(f"the client of {self.endpoint!r} is closed")
        if id_ in self._open:
            raise BusError(f"request id {id_!r} is in use; mint a new one")
        if len(self._open) >= self._limits.open:
            self.counters["overflows"] += 1
            raise BusError(
                f"{len(self._open)} requests to {self.endpoint!r} are open, the limit; "
                f"wait for their outcomes"
            )

    def _attempt(self, id_: str, entry: OpenRequest, now: int) -> None:
        """Send a request and settle when to look at it again."""
        if self._transmit(entry.frame):
            entry.attempts += 1
            delay = entry.interval
            entry.interval = min(2 * entry.interval, self._limits.max_interval)
        else:
            delay = _SOON
        entry.due = min(now + delay, entry.deadline)
        heappush(self._heap, (entry.due, id_))

    def _transmit(self, frame: bytes) -> bool:
        sent = self._link.send(frame)
        self.counters["sent" if sent else "blocked"] += 1
        return sent

    def _arm(self) -> None:
        """Set the timer for the request that is due first."""
        if not self._heap or self._heap[0][0] >= self._alarm or self._link.closed:
            return
        self._alarm = self._heap[0][0]
        delay = max(0, self._alarm - self._clock.monotonic())
        self._clock.set_timer(self._timer, self._clock.now() + delay, self._look)

    def _look(self, timer: TimerData | None = None) -> None:
        """Send again what is due, and give up what is out of time."""
        if timer is not None:
            self._alarm = NEVER
        now = self._clock.monotonic()
        silent = False
        while self._heap and self._heap[0][0] <= now:
            due, id_ = heappop(self._heap)
            entry = self._open.get(id_)
            if entry is None or entry.due != due:
                continue
            if now < entry.deadline:
                self._attempt(id_, entry, now)
                continue
            silent = silent or self._heard < entry.started
            self._give_up(id_, "no answer in time")
        if silent and now - self._reopened >= _REOPEN and not self._link.closed:
            self._reopen(now)
        self._arm()

    # --- receiving ------------------------------------------------------------------------------------------

    def on_readable(self) -> None:
        """Handle what has arrived, up to a batch; the poll loop calls it while there is more."""
        for _ in range(self._limits.batch):
            frame = self._link.receive()
            if frame is None:
                return
            self._take(frame)

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
            self._guarded("on_epoch", lambda: on_epoch(envelope.source, envelope.epoch))

    def _on_acknowledged(self, message: Ack) -> None:
        entry = self._open.get(message.id)
        if entry is None:
            self._count_late(message.id)
        else:
            entry.acknowledged = True
            entry.interval = self._limits.max_interval

    def _on_reply(self, envelope: Envelope[Any], reply: Reply) -> None:
        entry = self._open.get(reply.id)
        if entry is None:
            self._count_late(reply.id)
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
        self._finish(reply.id, entry, answer, timed_out=False)

    def _count_late(self, id_: str) -> None:
        timed_out = self._finished.get(id_)
        kind = "strange" if timed_out is None else "late" if timed_out else "repeated"
        self.counters[kind] += 1

    def _give_up(self, id_: str, reason: str) -> None:
        entry = self._open[id_]
        self.counters["unknown"] += 1
        waited = self._clock.monotonic() - entry.started
        outcome = Unknown(id_, entry.method, reason, entry.attempts, entry.acknowledged, waited)
        self._finish(id_, entry, outcome, timed_out=True)

    def _finish(self, id_: str, entry: OpenRequest, outcome: Outcome, *, timed_out: bool) -> None:
        del self._open[id_]
        self._finished[id_] = timed_out
        if len(self._finished) > _FINISHED:
            self._finished.popitem(last=False)
        self._guarded(f"on_reply of {entry.method}", lambda: entry.on_reply(outcome))

    def _guarded(self, where: str, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001 - whatever the owner raises
            self.counters["callback_errors"] += 1
            self._log_once(where, error)
