"""What a service says of its methods: handlers, what they are given, and the promise to answer later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from foxtrot.bus.rpc_calls import Call, CallLimits
from foxtrot.bus.rpc_peers import QueueLimits


class Incoming(msgspec.Struct, frozen=True):
    """A request as its handler sees it: ``body`` a Struct or None, ``ts`` when it was made (ns UTC, its sender's)."""

    id: str
    method: str
    body: Any
    source: str
    epoch: int
    ts: int


class Settler(Protocol):
    """Who makes and sends replies."""

    def answer(self, call: Call, body: msgspec.Struct | None) -> None:
        """Send and keep the reply of a call that has none."""

    def refuse(self, call: Call, code: str, text: str) -> None:
        """Send and keep a reply that says why there is no other."""


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
        self._settler.answer(self._call, body)
        return True

    def fail(self, code: str, text: str) -> bool:
        """Reply that it was refused or has failed; returns False where it had been answered before."""
        if self.done:
            return False
        self._settler.refuse(self._call, code, text)
        return True


Handler = Callable[[Incoming, Callable[[], Pending]], msgspec.Struct | None]
"""``handler(request, reply_later)``: returns the reply's body, or calls ``reply_later()`` and keeps what it gets."""


class Method(msgspec.Struct, frozen=True):
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
