"""What a client has asked and not been told yet: how much of it there may be, and when to look at it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

import msgspec

from foxtrot.bus.rpc_messages import Outcome
from foxtrot.core.clock import NEVER, Clock
from foxtrot.core.objects import TimerData

_FINISHED = 10_000  # ids of past requests, kept to tell a late reply from a strange one


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


class OpenRequest(msgspec.Struct, eq=False):
    """A request without an outcome; times in ns, monotonic. ``on_reply`` is None where ``call`` waits for it."""

    id: str
    method: str
    frame: bytes
    started: int
    deadline: int
    interval: int
    on_reply: Callable[[Outcome], object] | None
    due: int = 0
    attempts: int = 0
    acknowledged: bool = False
    outcome: Outcome | None = None


class Schedule:
    """When open requests are due, and the one timer that tells. A request that was answered leaves when it was due.

    Args:
        clock: of the timer.
        name: of the timer.
        open_: the requests by id.
        look: called when one may be due.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        open_: dict[str, OpenRequest],
        look: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._name = name
        self._open = open_
        self._look = look
        self._heap: list[tuple[int, str]] = []
        self._alarm = NEVER
        self._stopped = False

    def add(self, entry: OpenRequest) -> None:
        """Have a request looked at when it is due."""
        heappush(self._heap, (entry.due, entry.id))
        if entry.due < self._alarm:
            self.arm()

    def pop(self, now: int) -> OpenRequest | None:
        """The next request that is due at ``now`` (ns, monotonic), or None."""
        while self._heap and self._heap[0][0] <= now:
            due, id_ = heappop(self._heap)
            entry = self._open.get(id_)
            if entry is not None and entry.due == due:
                return entry
        return None

    def left(self, now: int, most: int) -> int:
        """Nanoseconds until something is due, at most ``most``."""
        return max(0, min(self._heap[0][0] - now, most)) if self._heap else max(0, most)

    def arm(self) -> None:
        """Set the timer for the request that is due first."""
        if self._stopped or not self._heap or self._heap[0][0] >= self._alarm:
            return
        self._alarm = self._heap[0][0]
        delay = max(0, self._alarm - self._clock.monotonic())
        self._clock.set_delay(self._name, delay, self._on_timer)

    def stop(self) -> None:
        """Cancel the timer, for good."""
        self._stopped = True
        self._clock.cancel_timer(self._name)

    def _on_timer(self, _timer: TimerData) -> None:
        self._alarm = NEVER
        self._look()


class Finished:
    """Ids of past requests, as many as are worth remembering."""

    def __init__(self) -> None:
        self._timed_out: OrderedDict[str, bool] = OrderedDict()

    def add(self, id_: str, timed_out: bool) -> None:
        """Remember a request, and whether its time was over."""
        self._timed_out[id_] = timed_out
        if len(self._timed_out) > _FINISHED:
            self._timed_out.popitem(last=False)

    def kind(self, id_: str) -> str:
        """What a reply is whose request is not open: ``late``, ``repeated`` or ``strange``."""
        timed_out = self._timed_out.get(id_)
        return "strange" if timed_out is None else "late" if timed_out else "repeated"
