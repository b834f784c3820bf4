"""Requests that a server has begun or answered, so that one that comes again is not carried out again.

Invariants:

* A request is known by its source and id. The same id with another method or body is refused, never mixed up.
* Answers are kept up to a number and a size, the oldest go first; requests still being worked on are never forgotten
  for room, unless they have waited longer than their limit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import msgspec

from foxtrot.core.constants import NS_PER_MINUTE

_OVERHEAD = 512  # bytes that a kept answer costs besides its body
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Bounds of what a server remembers.

    Attributes:
        pending: requests being worked on at a time.
        pending_age: ns after which a request that its handler never answered makes room for others.
        replies: answers kept.
        reply_bytes: bytes of answers kept.
    """

    pending: int = 10_000
    pending_age: int = 10 * NS_PER_MINUTE
    replies: int = 10_000
    reply_bytes: int = 16 << 20


class Peer(msgspec.Struct, frozen=True, gc=False):
    """Where a reply goes: a ROUTER identity, and whether an empty delimiter stands between it and the frame."""

    identity: bytes
    delimited: bool


class Call(msgspec.Struct, eq=False, gc=False):
    """One request on its way: who asked last, what it asked, and the reply once there is one.

    ``begun`` is in ns, monotonic; ``digest`` stands for the body. ``keep`` tells whether the reply is kept, ``held``
    whether the reply was promised for later.
    """

    key: Key
    method: str
    digest: int
    peer: Peer
    begun: int
    keep: bool
    held: bool = False
    reply: bytes | None = None  # as a frame


class CallTable:
    """The calls of one server.

    Attributes:
        abandoned: requests whose handler never answered, forgotten for room.
    """

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._pending: OrderedDict[Key, Call] = OrderedDict()
        self._done: OrderedDict[Key, Call] = OrderedDict()
        self._bytes = 0
        self.abandoned = 0

    @property
    def pending(self) -> int:
        """Requests being worked on."""
        return len(self._pending)

    @property
    def kept(self) -> int:
        """Answers kept."""
        return len(self._done)

    @property
    def kept_bytes(self) -> int:
        """Bytes of answers kept, with an allowance for what holds them."""
        return self._bytes

    def find(self, key: Key) -> Call | None:
        """The call of that source and id, where it is still known."""
        return self._pending.get(key) or self._done.get(key)

    def has_room(self, now: int) -> bool:
        """Whether one more request can be worked on; the oldest makes room where it has outlived its limit."""
        if len(self._pending) < self._limits.pending:
            return True
        oldest = next(iter(self._pending.values()), None)
        if oldest is None or now - oldest.begun < self._limits.pending_age:
            return False
        del self._pending[oldest.key]
        self.abandoned += 1
        return True

    def hold(self, call: Call) -> None:
        """Enter a call whose reply comes later."""
        if not call.held and call.reply is None:
            call.held = True
            self._pending[call.key] = call

    def finish(self, call: Call, reply: bytes) -> None:
        """Enter a call's reply, a frame, and keep it where the method wants that."""
        call.reply = reply
        if call.held:
            if self._pending.get(call.key) is not call:
                return
            del self._pending[call.key]
        if not call.keep:
            return
        done = self._done
        done[call.key] = call
        self._bytes += len(reply) + _OVERHEAD
        limits = self._limits
        while len(done) > limits.replies or self._bytes > limits.reply_bytes:
            _, oldest = done.popitem(last=False)
            if oldest.reply is not None:
                self._bytes -= len(oldest.reply) + _OVERHEAD

    def clear(self) -> None:
        """Forget everything."""
        self._pending.clear()
        self._done.clear()
        self._bytes = 0
