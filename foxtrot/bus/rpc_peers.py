"""What a ROUTER has yet to send, peer by peer.

Invariants:

* Sending never blocks. What a peer's pipe does not take waits in that peer's queue, in order.
* Queues are bounded in frames, bytes, age and number; what does not fit is dropped and counted, for whoever waits for
  a reply asks again. A peer that is gone costs nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import zmq

from foxtrot.bus.rpc_sockets import NOBLOCK, SNDMORE_NOBLOCK, sender_of
from foxtrot.core.constants import NS_PER_SECOND

_GONE = frozenset({zmq.EHOSTUNREACH, zmq.ENOTCONN})


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds of what waits to be sent.

    Attributes:
        frames: messages that wait for one peer.
        bytes: bytes that wait for one peer.
        peers: peers that something may wait for at a time.
        age: ns after which a peer that takes nothing loses its queue.
    """

    frames: int = 1_000
    bytes: int = 4 << 20
    peers: int = 256
    age: int = 30 * NS_PER_SECOND


@dataclass(slots=True)
class _Queue:
    """Messages for one peer, and when it last took one (ns)."""

    since: int
    size: int = 0  # bytes
    messages: deque[tuple[bytes, ...]] = field(default_factory=deque)


class PeerQueues:
    """Sends to the peers of a ROUTER that has ``ROUTER_MANDATORY`` set.

    Attributes:
        sent: messages handed to ZeroMQ.
        dropped: messages that found no room, or outlived their peer's patience.
        gone: messages whose peer had gone.
    """

    def __init__(self, socket: zmq.Socket[bytes], limits: QueueLimits) -> None:
        self._send = sender_of(socket)
        self._limits = limits
        self._queues: dict[bytes, _Queue] = {}
        self.sent = 0
        self.dropped = 0
        self.gone = 0

    def __len__(self) -> int:
        """Peers that something waits for."""
        return len(self._queues)

    @property
    def waiting(self) -> int:
        """Messages that wait, of all peers."""
        return sum(len(queue.messages) for queue in self._queues.values())

    def send(self, parts: tuple[bytes, ...], now: int) -> bool:
        """Send a message whose first part is the peer's identity, or keep it for ``flush``.

        Returns whether anything waits for a peer now.
        """
        queue = self._queues.get(parts[0])
        if queue is not None or not self._try(parts):
            self._keep(parts, queue, now)
        return bool(self._queues)

    def _keep(self, parts: tuple[bytes, ...], queue: _Queue | None, now: int) -> None:
        if queue is None:
            if len(self._queues) >= self._limits.peers:
                self.dropped += 1
                return
            queue = self._queues[parts[0]] = _Queue(now)
        size = sum(map(len, parts))
        if len(queue.messages) >= self._limits.frames or queue.size + size > self._limits.bytes:
            self.dropped += 1
            return
        queue.messages.append(parts)
        queue.size += size

    def flush(self, now: int) -> bool:
        """Send what the peers take by now; returns whether something still waits."""
        for identity in tuple(self._queues):
            queue = self._queues[identity]
            gone = self.gone
            while queue.messages and self._try(queue.messages[0]):
                queue.size -= sum(map(len, queue.messages.popleft()))
                queue.since = now
                if self.gone > gone:
                    break
            if self.gone > gone:
                self.gone += len(queue.messages)
                del self._queues[identity]
            elif not queue.messages:
                del self._queues[identity]
            elif now - queue.since > self._limits.age:
                self.dropped += len(queue.messages)
                del self._queues[identity]
        return bool(self._queues)

    def _try(self, parts: tuple[bytes, ...]) -> bool:
        """Hand a message over; returns False where the peer's pipe is full."""
        try:
            self._send(parts[0], SNDMORE_NOBLOCK)
            for part in parts[1:-1]:
                self._send(part, SNDMORE_NOBLOCK)
            self._send(parts[-1], NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno in _GONE:
                self.gone += 1
            else:  # the socket is closing: nothing can be sent any more
                self.dropped += 1
            return True
        self.sent += 1
        return True
