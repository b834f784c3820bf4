"""Reading what others publish: typed, in order, once each, and never older than it needs to be.

Invariants:

* ``drain`` never raises for what came over the wire: frames that cannot be read are counted and quarantined.
* Gaps, duplicates and restarts are handled by ``foxtrot.bus.streams``; this module adds the socket.
* Topics that are conflated are read to the end of the queue first; then the latest message of each is delivered. What
  comes meanwhile is looked at every few milliseconds, so that a slow handler sees the present however many topics there
  are. Each topic has its turn once in a ``drain``; gaps are counted all the same.
* Sockets belong to the thread of the loop: every method is called there.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import zmq

from foxtrot.bus.codec import Codec, Envelope, check_topic
from foxtrot.bus.cursor import Stream
from foxtrot.bus.heartbeat import HEARTBEAT_TOPIC, Heartbeat
from foxtrot.bus.quarantine import Quarantine, Refused
from foxtrot.bus.streams import DURABLE_PREFIXES, MAX_BUFFER, OnEpoch, OnGap, StreamTracker
from foxtrot.core.clock import Clock
from foxtrot.core.errors import BusError, FrameError

SUBSCRIBER_HIGH_WATER = 50_000
"""Messages queued on the reader's side before they pile up at the publisher's."""

DRAIN_LIMIT = 20_000
"""Messages read in one go."""

_BAD_LIMIT = 500  # frames that cannot be read, in one go: each costs as much as a dozen others
_LOOK_NS = 5_000_000  # of delivering conflated messages, then it is looked for newer ones
_LOOK_LIMIT = 2_000
_RECONNECT_MS = 50  # always, without backing off: a restarted service is read again at once
_NOBLOCK = int(zmq.NOBLOCK)  # an enum's member costs more to look up than to use
_READ_AHEAD = (
    4  # times the longest frame: what is longer still ends the connection before it is in memory
)

OnMessage = Callable[[str, Envelope[Any]], object]
OnHeartbeat = Callable[[Heartbeat, int], object]


class Subscriber:
    """A SUB socket and the cursors of what it reads.

    Args:
        context: the process's own.
        clock: tells the age of messages.
        on_message: called with topic and envelope, once for each message, in order within a stream.
        codec: knows the messages.
        on_gap: called with stream, first and last missing number (first 0: take a snapshot) and epoch.
        on_epoch: called with source, old and new epoch: the source has restarted.
        on_heartbeat: called with heartbeat and when it came (ns, monotonic).
        on_refused: called with each frame that could not be read.
        on_frame: called with each frame as it came, before it is read (for recording).
        durable: prefixes of streams that can be replayed.
        conflate: prefixes of topics of which only the latest message counts.
        stream_of: name of the stream of a topic, where topics share a count.
        high_water: messages queued in the socket.
        max_buffer: messages held back per stream while a gap is open.

    Attributes:
        tracker: cursors, and counts of gaps and duplicates.
        quarantine: frames that could not be read.
        received: frames that came in.
        delivered: messages handed on.
        conflated: messages passed over because a later one of their topic had come.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        clock: Clock,
        on_message: OnMessage,
        *,
        codec: Codec | None = None,
        on_gap: OnGap | None = None,
        on_epoch: OnEpoch | None = None,
        on_heartbeat: OnHeartbeat | None = None,
        on_refused: Callable[[Refused], object] | None = None,
        on_frame: Callable[[bytes], object] | None = None,
        durable: tuple[str, ...] = DURABLE_PREFIXES,
        conflate: tuple[str, ...] = (),
        stream_of: Callable[[str], str] | None = None,
        high_water: int = SUBSCRIBER_HIGH_WATER,
        max_buffer: int = MAX_BUFFER,
    ) -> None:
        self.clock = clock
        self.codec = codec if codec is not None else Codec()
        self.quarantine = Quarantine()
        self.received = 0
        self.delivered = 0
        self.conflated = 0
        self.tracker = StreamTracker(
            self._deliver,
            on_gap,
            on_epoch,
            durable=durable,
            stream_of=stream_of,
            max_buffer=max_buffer,
        )
        self.resume = self.tracker.resume
        self.replay = self.tracker.replay
        self.hold = self.tracker.hold
        self._on_message = on_message
        self._on_heartbeat = on_heartbeat
        self._on_refused = on_refused
        self._on_frame = on_frame
        self._conflate = conflate
        self._latest: dict[tuple[str, str], Envelope[Any]] = {}
        self._exact: set[str] = set()
        self._prefixes: tuple[str, ...] = ()
        self.socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        self.socket.set(zmq.RCVHWM, high_water)
        self.socket.set(zmq.MAXMSGSIZE, self.codec.max_frame * _READ_AHEAD)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self.socket.subscribe(HEARTBEAT_TOPIC)

    # --- what is read ---------------------------------------------------------------------------------------

    def connect(self, endpoint: str) -> None:
        """Read from a publisher, which may come up later.

        Raises:
            BusError: the endpoint is malformed.
        """
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            raise BusError(f"cannot read from {endpoint!a}: {error}") from error

    def disconnect(self, endpoint: str) -> None:
        """Read from a publisher no longer; without effect where it was not read from."""
        try:
            self.socket.disconnect(endpoint)
        except zmq.ZMQError as error:
            if error.errno != errno.ENOENT:
                raise BusError(f"cannot leave {endpoint!a}: {error}") from error

    def subscribe(self, topic: str) -> None:
        """Read a topic; one that ends with a dot, or the empty one, stands for all that begin so.

        Raises:
            FrameError: the topic breaks the rules.
        """
        if topic and not topic.endswith("."):
            self.socket.subscribe(check_topic(topic) + b"\0")
            self._exact.add(topic)
        elif topic not in self._prefixes:
            self.socket.subscribe(check_topic(topic) if topic else b"")
            self._prefixes = (*self._prefixes, topic)
        self.tracker.joined()

    def unsubscribe(self, topic: str) -> None:
        """Undo ``subscribe``; without effect where it was not called."""
        if topic in self._exact:
            self._exact.remove(topic)
            self.socket.unsubscribe(topic.encode() + b"\0")
        elif topic in self._prefixes:
            self._prefixes = tuple(prefix for prefix in self._prefixes if prefix != topic)
            self.socket.unsubscribe(topic.encode())
        self.tracker.forget(lambda name: not self.wants(name))

    def wants(self, topic: str) -> bool:
        """Whether a topic is read."""
        return topic in self._exact or topic.startswith(self._prefixes)

    # --- reading --------------------------------------------------------------------------------------------

    def drain(self, limit: int = DRAIN_LIMIT) -> bool:
        """Take what has come in, up to ``limit`` messages, and deliver it; returns whether there may be more."""
        more = self._read(limit)
        if self._latest:
            self._deliver_latest()
        return more or bool(self._latest)

    def age(self, stream: Stream) -> int | None:
        """Nanoseconds since the last message of a stream was published; None before the first."""
        state = self.tracker.states.get(stream)
        return self.clock.now() - state.ts if state is not None and state.ts else None

    def close(self) -> None:
        """Close the socket; what it still holds is dropped."""
        self.socket.close(linger=0)

    def _read(self, limit: int) -> bool:
        """Read up to ``limit`` messages, and deliver what is not conflated; returns whether there may be more."""
        recv, decode, accept = self.socket.recv, self.codec.decode, self.tracker.accept
        deliver, conflate, on_frame = self._on_message, self._conflate, self._on_frame
        more, bad = True, _BAD_LIMIT
        for _ in range(limit):
            try:
                frame = recv(_NOBLOCK)
            except zmq.Again:
                more = False
                break
            self.received += 1
            if on_frame is not None:
                on_frame(frame)
            try:
                topic, envelope = decode(frame)
            except FrameError as error:
                self._refuse(frame, error)
                bad -= 1
                if not bad:
                    break
                continue
            if type(envelope.message) is Heartbeat:
                self._take_heartbeat(topic, envelope)
            elif accept(topic, envelope):
                if conflate and topic.startswith(conflate):
                    self._keep_latest(topic, envelope)
                else:
                    self.delivered += 1
                    deliver(topic, envelope)
        return more

    def _deliver(self, topic: str, envelope: Envelope[Any]) -> None:
        self.delivered += 1
        self._on_message(topic, envelope)

    def _keep_latest(self, topic: str, envelope: Envelope[Any]) -> None:
        key = (envelope.source, topic)
        if key in self._latest:
            self.conflated += 1
        self._latest[key] = envelope

    def _deliver_latest(self) -> None:
        """Give each topic its turn; what comes for one that had it waits for the next ``drain``."""
        latest, monotonic = self._latest, self.clock.monotonic
        look = monotonic() + _LOOK_NS
        for _ in range(len(latest)):
            key = next(
                iter(latest)
            )  # oldest first: a newer message takes the place of the one that it replaces
            self._deliver(key[1], latest.pop(key))
            if monotonic() >= look and not self.socket.closed:
                self._read(_LOOK_LIMIT)
                look = monotonic() + _LOOK_NS

    def _take_heartbeat(self, topic: str, envelope: Envelope[Any]) -> None:
        beat: Heartbeat = envelope.message
        source = envelope.source
        if topic != HEARTBEAT_TOPIC + source or beat.service != source:
            return  # somebody else's, passed on
        if self.tracker.heartbeat(source, beat, self.wants) and self._on_heartbeat is not None:
            self._on_heartbeat(beat, self.clock.monotonic())

    def _refuse(self, frame: bytes, error: FrameError) -> None:
        refused = self.quarantine.add(frame, error, self.clock.now())
        if self._on_refused is not None:
            self._on_refused(refused)
