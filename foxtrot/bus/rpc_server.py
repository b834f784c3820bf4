"""The side that answers: a ROUTER whose every frame is answered, whatever it holds.

Invariants:

* Nothing that a peer sends raises into the service or makes memory grow: bad frames are counted, put in quarantine and
  answered with an error; work per poll, waiting replies, requests being worked on and kept answers are bounded.
* A request (its source and id) is carried out once for as long as it is remembered: one that comes again gets an
  acknowledgement while it is being worked on, afterwards the same reply. Beyond that memory, and over a restart, the
  handler's own records must tell an id that it has seen.
* A handler may answer later. An answer goes to where the request came from last; when nobody is there any more,
  nothing happens.
* A peer that puts an empty frame first (REQ) gets one message per request, the reply; others get an ``Ack`` when the
  reply is not at hand.

All methods belong to the thread of the poll loop.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import Any

import msgspec
import zmq

from foxtrot.bus.address import bind
from foxtrot.bus.codec import Codec, Envelope, FrameReason
from foxtrot.bus.quarantine import Quarantine
from foxtrot.bus.rpc_calls import Call, CallTable, Peer
from foxtrot.bus.rpc_inbox import ReliableReceiver
from foxtrot.bus.rpc_log import LogOnce
from foxtrot.bus.rpc_messages import (
    ERROR_TOPIC,
    Ack,
    Bodies,
    Reply,
    Report,
    ReportAck,
    ReportHello,
    Request,
    RpcCode,
    RpcError,
    refusal,
)
from foxtrot.bus.rpc_methods import Handler, Incoming, Method, Pending, ServerLimits
from foxtrot.bus.rpc_peers import PeerQueues
from foxtrot.bus.rpc_salvage import id_of, topic_of
from foxtrot.bus.rpc_sockets import NOBLOCK, RCVMORE, Context, SocketLoop, open_router
from foxtrot.core.clock import Clock
from foxtrot.core.errors import BusError, FoxtrotError, FrameError
from foxtrot.core.objects import TimerData

logger = logging.getLogger("foxtrot.bus.rpc_server")

_RETRY_FIRST = 5_000_000  # ns until a full pipe is tried again
_RETRY_LAST = 100_000_000


class RpcServer:
    """Answers requests at one endpoint.

    Args:
        endpoint: where to bind, for example ``ipc:///run/foxtrot/oms.rpc`` or ``tcp://127.0.0.1:0``.
        codec: made with ``types=(*RPC_TYPES, ...)``.
        source: name of this service.
        epoch: its boot counter.
        clock: what time-outs are measured with.
        context: of ZeroMQ.
        limits: bounds.
        allow_remote: whether a tcp endpoint may be reachable from other machines.

    Attributes:
        quarantine: bad frames.
        counters: what has happened, by name.
        endpoint: where it is bound (with the port that a wildcard became).

    Raises:
        BusError: the endpoint cannot be bound.
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
        limits: ServerLimits | None = None,
        allow_remote: bool = False,
    ) -> None:
        self.source = source
        self.epoch = epoch
        self.quarantine = Quarantine()
        self.counters: Counter[str] = Counter()
        self._codec = codec
        self._bodies = Bodies(codec)
        self._clock = clock
        self._limits = limits if limits is not None else ServerLimits()
        self._methods: dict[str, Method] = {}
        self._receivers: dict[str, ReliableReceiver] = {}
        self._senders: dict[tuple[str, str], Peer] = {}
        self._calls = CallTable(self._limits.calls)
        self._log_once = LogOnce(logger, source)
        self._retry = _RETRY_FIRST
        self._armed = False
        self._loop: SocketLoop | None = None
        self.socket = open_router(context, codec.max_frame)
        try:
            self.endpoint = bind(self.socket, endpoint, allow_remote=allow_remote)
        except BusError:
            self.socket.close(linger=0)
            raise
        self._timer = f"rpc_server.{source}.{self.endpoint}"
        self._queues = PeerQueues(self.socket, self._limits.queues)

    # --- setting up -----------------------------------------------------------------------------------------

    def register(
        self, method: str, handler: Handler, *bodies: type[msgspec.Struct] | None, keep: bool = True
    ) -> None:
        """Answer a method.

        Args:
            method: its name, which is also the topic of its frames, for example ``q.orders``.
            handler: see ``Handler``. It raises ``RpcError`` to refuse.
            bodies: types that it takes, None for a request without a body; any when none are named.
            keep: whether replies are kept for requests that come again. False for questions that change nothing,
                which are simply asked once more.

        Raises:
            BusError: the method has a handler already.
        """
        self._check_free(method)
        types = tuple(type(None) if body is None else body for body in bodies)
        self._methods[method] = Method(handler, types, keep)

    def receive_reports(self, receiver: ReliableReceiver) -> None:
        """Hand numbered reports on the receiver's topic to it, and its acknowledgements to their senders.

        Raises:
            BusError: the topic is taken.
        """
        topic = receiver.topic
        self._check_free(topic)
        self._receivers[topic] = receiver
        receiver.attach(self._bodies, lambda source, ack: self._acknowledge(topic, source, ack))

    def _check_free(self, topic: str) -> None:
        if topic in self._methods or topic in self._receivers:
            raise BusError(f"{topic!r} has a handler already")

    def attach(self, loop: SocketLoop) -> None:
        """Be served by a poll loop, until ``close``."""
        self._loop = loop
        loop.add(self.socket, self.on_readable)

    def close(self) -> None:
        """Close the socket; promises to answer later become harmless. Idempotent."""
        if self.socket.closed:
            return
        self._clock.cancel_timer(self._timer)
        if self._loop is not None:
            self._loop.remove(self.socket)
        self.socket.close(linger=0)
        self._calls.clear()

    def status(self) -> dict[str, int]:
        """Counters and sizes, by name: for heartbeats and ``status``."""
        return {
            **self.counters,
            **{f"bad_{reason}": count for reason, count in self.quarantine.counts.items()},
            "pending": self._calls.pending,
            "abandoned": self._calls.abandoned,
            "kept_replies": self._calls.kept,
            "kept_bytes": self._calls.kept_bytes,
            "waiting_peers": len(self._queues),
            "waiting_frames": self._queues.waiting,
            "sent": self._queues.sent,
            "dropped": self._queues.dropped,
            "gone": self._queues.gone,
        }

    # --- receiving ------------------------------------------------------------------------------------------

    def on_readable(self) -> None:
        """Handle what has arrived, up to a batch; the poll loop calls it while there is more."""
        for _ in range(self._limits.batch):
            if not self._receive():
                break
        for receiver in self._receivers.values():
            receiver.flush()
        if self._armed:
            self._flush()

    def _receive(self) -> bool:
        """Handle one message; returns whether there was one."""
        socket = self.socket
        try:
            parts = [socket.recv(NOBLOCK), socket.recv(NOBLOCK)]  # from a ROUTER, identity and more
            while socket.getsockopt(RCVMORE):
                parts.append(socket.recv(NOBLOCK))
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if not socket.closed:
                self._log_once("receive", error)
            return False
        self._take(parts)
        return True

    def _take(self, parts: list[bytes]) -> None:
        """Answer one message of a peer."""
        self.counters["received"] += 1
        frame = parts[-1]
        peer = Peer(parts[0], len(parts) > 2 and not parts[1])
        if len(parts) != 2 + peer.delimited:
            text = f"a message of {len(parts) - 1} parts; send one frame, or an empty one before it"
            self._bad(peer, ERROR_TOPIC, FrameError(FrameReason.MALFORMED, text), frame)
            return
        try:
            topic, envelope = self._codec.decode(frame)
        except FrameError as error:
            self._bad(peer, topic_of(frame), error, frame)
            return
        message = envelope.message
        if type(message) is Request:
            self._on_request(peer, topic, envelope, message)
        elif type(message) in (Report, ReportHello):
            self._on_report(peer, topic, envelope)
        elif type(message) in (Reply, Ack, ReportAck):
            self.counters["echoes"] += 1  # answering an answer could go on for ever
        else:
            wrong = FrameError(RpcCode.WRONG_KIND, f"{type(message).__name__} is no request")
            self._bad(peer, topic, wrong, frame)

    def _bad(self, peer: Peer, topic: str, error: FrameError, frame: bytes) -> None:
        self.quarantine.add(frame, error, self._clock.now())
        code = str(error.reason).upper()
        self._send(peer, topic, refusal(id_of(frame, self._codec.max_frame), code, str(error)))

    def _on_request(
        self, peer: Peer, topic: str, envelope: Envelope[Any], request: Request
    ) -> None:
        method = self._methods.get(request.method)
        if topic != request.method:
            text = f"the frame's topic is {topic!r}, the request's method {request.method!r}"
            self._refuse(peer, topic, request, RpcCode.WRONG_TOPIC, text)
            return
        if method is None:
            text = f"{self.source} has no method {request.method!r}"
            self._refuse(peer, topic, request, RpcCode.UNKNOWN_METHOD, text)
            return
        key, digest = (envelope.source, request.id), hash(bytes(request.body))
        known = self._calls.find(key)
        if known is not None:
            self._repeat(known, peer, digest, request)
            return
        try:
            body = self._bodies.decode(request.body)
        except FrameError as error:
            return self._refuse(peer, topic, request, RpcCode.WRONG_BODY, str(error))
        if method.bodies and not isinstance(body, method.bodies):
            text = f"{topic} does not take {type(body).__name__}"
            return self._refuse(peer, topic, request, RpcCode.WRONG_BODY, text)
        if not self._calls.has_room(now := self._clock.monotonic()):
            text = f"{self._calls.pending} requests wait for their answers; ask again"
            self._refuse(peer, topic, request, RpcCode.BUSY, text)
            return
        self._run(Call(key, topic, digest, peer, now, method.keep), method, envelope, body)

    def _refuse(self, peer: Peer, topic: str, request: Request, code: RpcCode, text: str) -> None:
        self.counters[f"refused_{code.lower()}"] += 1
        self._send(peer, topic, refusal(request.id, code, text))

    def _repeat(self, call: Call, peer: Peer, digest: int, request: Request) -> None:
        """Answer a request that has come before."""
        if call.digest != digest or call.method != request.method:
            text = f"id {request.id!r} was given to another request; mint a new one"
            self._refuse(peer, request.method, request, RpcCode.ID_REUSED, text)
            return
        self.counters["repeated"] += 1
        call.peer = peer
        if call.reply is not None:
            self._send_frame(peer, call.reply)
        elif not peer.delimited:
            self._send(peer, call.method, Ack(request.id))

    def _run(self, call: Call, method: Method, envelope: Envelope[Any], body: Any) -> None:
        """Let the handler answer, now or later."""
        self.counters["requests"] += 1
        source, id_ = call.key
        incoming = Incoming(id_, call.method, body, source, envelope.epoch, envelope.ts)
        try:
            result = method.handler(incoming, partial(self._promise, call))
        except RpcError as error:
            self.refuse(call, error.code, error.text)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            self._fail(call, error)
        else:
            if not call.held:
                self.answer(call, result)
            elif call.reply is None and not call.peer.delimited:
                self._send(call.peer, call.method, Ack(call.key[1]))

    def _promise(self, call: Call) -> Pending:
        self._calls.hold(call)
        return Pending(self, call)

    # --- answering ------------------------------------------------------------------------------------------

    def answer(self, call: Call, body: msgspec.Struct | None) -> None:
        """Send and keep the reply of a call that has none; for ``Pending``."""
        try:
            reply = Reply(call.key[1], True, self._bodies.check(body))
            self._settle(call, self._frame(call.method, reply))
        except FrameError as error:
            if error.reason == FrameReason.OVERSIZED:
                error = FrameError(error.reason, f"too long ({error}); ask for less at a time")
            self._fail(call, error)

    def refuse(self, call: Call, code: str, text: str) -> None:
        """Send and keep a reply that says why there is no other; for ``Pending``."""
        try:
            frame = self._frame(call.method, refusal(call.key[1], code, text))
        except FrameError as error:  # frames may be bounded to less than a refusal
            self._log_once(call.method, error)
            self._calls.finish(call, b"")
        else:
            self._settle(call, frame)

    def _fail(self, call: Call, error: Exception) -> None:
        self.counters["handler_errors"] += 1
        self._log_once(call.method, error)
        text = str(error) if isinstance(error, FoxtrotError) else f"{type(error).__name__}: {error}"
        self.refuse(call, RpcCode.HANDLER_ERROR, text)

    def _settle(self, call: Call, frame: bytes) -> None:
        if call.reply is None:
            self._send_frame(call.peer, frame)
            self._calls.finish(call, frame)  # while the reply travels

    def _frame(self, topic: str, message: msgspec.Struct) -> bytes:
        return self._codec.encode(topic, self.source, self.epoch, 0, self._clock.now(), message)

    def _send(self, peer: Peer, topic: str, message: msgspec.Struct) -> None:
        try:
            self._send_frame(peer, self._frame(topic, message))
        except FrameError as error:
            self._log_once(topic, error)

    def _send_frame(self, peer: Peer, frame: bytes) -> None:
        parts = (peer.identity, b"", frame) if peer.delimited else (peer.identity, frame)
        if self._queues.send(parts, self._clock.monotonic()):
            self._arm()

    def _flush(self) -> None:
        """Send what waits, as far as the peers take it."""
        if self._queues and not self.socket.closed:
            self._queues.flush(self._clock.monotonic())
            self._arm()

    def _arm(self) -> None:
        """Have what waits tried again after a while."""
        if self._queues and not self._armed and not self.socket.closed:
            self._armed = True
            self._clock.set_delay(self._timer, self._retry, self._on_timer)

    def _on_timer(self, _timer: TimerData) -> None:
        self._armed = False
        sent = self._queues.sent
        self._flush()
        self._retry = (
            _RETRY_FIRST if self._queues.sent > sent else min(2 * self._retry, _RETRY_LAST)
        )

    # --- numbered reports -----------------------------------------------------------------------------------

    def _on_report(self, peer: Peer, topic: str, envelope: Envelope[Any]) -> None:
        receiver = self._receivers.get(topic)
        if receiver is None:
            self.counters["refused_unknown_method"] += 1
            text = f"{self.source} takes no reports on {topic!r}"
            self._send(peer, topic, refusal("", RpcCode.UNKNOWN_METHOD, text))
            return
        if receiver.admits(envelope.source, envelope.epoch):
            self._senders[topic, envelope.source] = peer
            receiver.take(envelope.source, envelope.epoch, envelope.message)

    def _acknowledge(self, topic: str, source: str, ack: ReportAck) -> None:
        peer = self._senders.get((topic, source))
        if peer is not None:
            self._send(peer, topic, ack)
