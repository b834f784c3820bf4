"""What a service says of its methods: handlers, what they are given, and the promise to answer later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from foxtrot.bus.rpc_calls import Call, CallLimits
from foxtrot.bus.rpc_messages import Reply, refusal
from foxtrot.bus.rpc_peers import QueueLimits


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as its handler sees it: ``body`` a Struct or None, ``ts`` when it was made (ns UTC, its sender's)."""

    id: str
    method: str
    body: Any
    source: str
    epoch: int
    ts: int


class Settler(Protocol):
    """Who makes and sends replies."""

    def success(self, call: Call, body: msgspec.Struct | None) -> Reply:
        """Return the reply with a body."""

    def settle(self, call: Call, reply: Reply) -> None:
        """Keep and send the reply of a call that has none."""


class Pending:
    """The promise to answer a request later; kept by whoever does the work, harmless when nobody waits any more."""

    __slots__ = ("_call", "_settler")

    def __init__(self, settler: Settler, call: Call) -> None:
        self._settler = settler
        self._call = call

    @property
    def done(self) -> bool:
        """Whether it has been answered."""
        return self._call.reply is not None

    def answer(self, body: msgspec.Struct | None = None) -> bool:
        """Reply with a body; returns False where it had been answered before."""
        if self.done:
            return False
        self._settler.settle(self._call, self._settler.success(self._call, body))
        return True

    def fail(self, code: str, text: str) -> bool:
        """Reply that it was refused or has failed; returns False where it had been answered before."""
        if self.done:
            return False
        self._settler.settle(self._call, refusal(self._call.key[1], code, text))
        return True


Handler = Callable[[Incoming, Callable[[], Pending]], msgspec.Struct | None]
"""``handler(request, reply_later)``: returns the reply's body, or calls ``reply_later()`` and keeps what it gets."""


@dataclass(frozen=True, slots=True)
class Method:
    """A handler, the types of body that it takes (any where empty), and whether its replies are kept."""

    handler: Handler
    bodies: tuple[type, ...]
    keep: bool


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds of a server; ``batch`` is how many messages it handles per poll."""

    batch: int = 256
    queues: QueueLimits = field(default_factory=QueueLimits)
    calls: CallLimits = field(default_factory=CallLimits)
