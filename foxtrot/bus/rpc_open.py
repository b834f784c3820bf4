"""What a client has asked and not been told yet, and how much of it there may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from foxtrot.bus.rpc_messages import Outcome


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds of a client.

    Attributes:
        open: requests without an outcome.
        batch: messages handled per poll.
        interval: ns after which a request is sent again for the first time; it doubles each time.
        max_interval: ns that the interval may grow to.
    """

    open: int = 10_000
    batch: int = 256
    interval: int = 100_000_000
    max_interval: int = 500_000_000


class OpenRequest:
    """A request without an outcome. Times in ns, monotonic."""

    __slots__ = (
        "acknowledged",
        "attempts",
        "deadline",
        "due",
        "frame",
        "interval",
        "method",
        "on_reply",
        "started",
    )

    def __init__(
        self,
        method: str,
        frame: bytes,
        started: int,
        deadline: int,
        interval: int,
        on_reply: Callable[[Outcome], object],
    ) -> None:
        self.method = method
        self.frame = frame
        self.started = started
        self.deadline = deadline
        self.interval = interval
        self.on_reply = on_reply
        self.due = started
        self.attempts = 0
        self.acknowledged = False
