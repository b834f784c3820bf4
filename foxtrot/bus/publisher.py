"""Publishing messages with their numbers, without ever waiting for whoever reads.

Invariants:

* The messages of a stream are numbered 1, 2, 3 ... within an epoch; the numbers of a durable stream come from the
  caller and go on over restarts. A stream is a topic unless the caller names it.
* A send never blocks. A reader that stalls loses what exceeds its queue, finds the gap, and asks for a replay.
* Sockets belong to the thread of the loop: every method is called there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec
import zmq

from foxtrot.bus.address import bind
from foxtrot.bus.codec import MAX_SOURCE_CHARS, Codec
from foxtrot.bus.heartbeat import HEARTBEAT_TOPIC, MAX_LISTED, Heartbeat
from foxtrot.core.clock import Clock
from foxtrot.core.errors import BusError

PUBLISHER_HIGH_WATER = 10_000
"""Messages queued for one reader before the next are dropped for it."""

_HANDSHAKE_MS = 5_000  # then a connection that has not said what it is loses its descriptor
_NOBLOCK = int(zmq.NOBLOCK)  # an enum's member costs more to look up than to use
_MAX_INBOUND = 4_096  # bytes; readers send nothing but subscriptions


class Publisher:
    """A PUB socket and the numbers of its streams.

    Args:
        context: the process's own.
        endpoint: where to bind.
        source: the service's name, 1 to 64 characters.
        epoch: its boot counter.
        clock: stamps messages.
        codec: knows the messages.
        high_water: messages queued for one reader.
        allow_remote: whether a tcp endpoint may leave the loopback.

    Attributes:
        endpoint: where readers connect to.
        streams: last number by stream.
        sent: messages published.
        dropped: messages that the socket refused.

    Raises:
        BusError: the endpoint cannot be bound, or the source is no name.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        source: str,
        epoch: int,
        clock: Clock,
        codec: Codec | None = None,
        *,
        high_water: int = PUBLISHER_HIGH_WATER,
        allow_remote: bool = False,
    ) -> None:
        if not source.isprintable() or not 0 < len(source) <= MAX_SOURCE_CHARS:
            raise BusError(
                f"source {source!a} must be 1 to {MAX_SOURCE_CHARS} printable characters"
            )
        self.source = source
        self.epoch = epoch
        self.clock = clock
        self.codec = codec if codec is not None else Codec()
        self.streams: dict[str, int] = {}
        self.sent = 0
        self.dropped = 0
        self._heartbeats = 0
        self._durable: set[str] = set()
        self._encode = self.codec.encode
        self._now = clock.now
        self._socket: zmq.Socket[bytes] = context.socket(zmq.PUB)
        self._send_frame = self._socket.send
        self._socket.set(zmq.SNDHWM, high_water)
        self._socket.set(zmq.MAXMSGSIZE, _MAX_INBOUND)
        self._socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        self._socket.set(zmq.LINGER, 0)
        try:
            self.endpoint = bind(self._socket, endpoint, allow_remote=allow_remote)
        except BusError:
            self._socket.close()
            raise

    def publish(
        self, topic: str, message: msgspec.Struct, seq: int | None = None, stream: str | None = None
    ) -> int:
        """Publish a message; returns its number.

        Args:
            topic: what readers subscribe to.
            message: of a type that the codec knows.
            seq: the number in a durable stream, greater than the last (readers ask for what lies between); by default
                the next.
            stream: the stream that is counted in, where it is not the topic.

        Raises:
            FrameError: topic or message cannot travel; nothing was sent and no number used.
            BusError: ``seq`` is not beyond the last.
        """
        name = topic if stream is None else stream
        last = self.streams.get(name, 0)
        if seq is None:
            seq = last + 1
        elif seq <= last:
            raise BusError(
                f"stream {name} stands at {last} and cannot go on with {seq}; replays are asked for"
            )
        else:
            self._durable.add(name)
        frame = self._encode(topic, self.source, self.epoch, seq, self._now(), message)
        self.streams[name] = seq
        self._send(frame)
        return seq

    def seed(self, stream: str, seq: int) -> None:
        """Tell where a durable stream stands, before its first message of this epoch."""
        self._durable.add(stream)
        self.streams[stream] = max(seq, self.streams.get(stream, 0))

    def heartbeat(self, status: str = "", counters: Mapping[str, int] | None = None) -> Heartbeat:
        """Publish a sign of life with the last number of each stream; the work loop calls it each second.

        Where there are more than 8,000 streams, only the durable ones are listed.
        """
        complete = len(self.streams) <= MAX_LISTED
        streams = self.streams if complete else {s: self.streams[s] for s in self._durable}
        now = self._now()
        beat = Heartbeat(
            service=self.source,
            epoch=self.epoch,
            status=status,
            streams=dict(streams),
            ts=now,
            pid=os.getpid(),
            counters={"sent": self.sent, "dropped": self.dropped, **(counters or {})},
            complete=complete,
        )
        self._heartbeats += 1
        topic = HEARTBEAT_TOPIC + self.source
        self._send(self._encode(topic, self.source, self.epoch, self._heartbeats, now, beat))
        return beat

    def close(self, linger: float = 0.0) -> None:
        """Close the socket, giving what is queued up to ``linger`` seconds to leave."""
        self._socket.close(linger=int(linger * 1000))

    def _send(self, frame: bytes) -> None:
        try:
            self._send_frame(frame, _NOBLOCK)
        except zmq.Again:
            self.dropped += 1
        else:
            self.sent += 1
