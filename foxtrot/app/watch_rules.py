"""When the watch steps in. Pure: times are handed in, in ns of the monotonic clock.

Invariants:

* Only the machine's monotonic clock counts, so a step of the wall clock makes nobody dead and no loop.
* Time in which the watch itself stood still (stopped, starved, its machine frozen) is nobody else's silence.
* A process is ended once for each silence, and then not again before it had as long to die.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from foxtrot.bus.health import STALE_NS, HealthBoard, HealthChange
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.core.constants import NS_PER_SECOND

__all__ = ["CrashCounter", "Pulse", "PulseRules"]

_PAUSE_NS = NS_PER_SECOND
"""Between two looks: what exceeds it was our own standing still."""

_SLOW = ("STARTING", "STOPPING")


class CrashCounter:
    """Counts starts after crashes.

    Args:
        limit: so many within the window are a loop; 0 for never.
        window: ns.
    """

    def __init__(self, limit: int, window: int) -> None:
        self._limit = limit
        self._window = window
        self._starts: dict[str, deque[int]] = {}
        self.totals: dict[str, int] = {}

    def started(self, service: str, now: int) -> bool:
        """Take up a start after a crash; True where it makes a loop, which then counts anew from none."""
        self.totals[service] = self.totals.get(service, 0) + 1
        starts = self._starts.setdefault(service, deque())
        starts.append(now)
        while now - starts[0] > self._window:
            starts.popleft()
        if not self._limit or len(starts) < self._limit:
            return False
        starts.clear()
        return True


@dataclass(slots=True)
class Pulse:
    """What is known of the pulse of a process under supervision.

    Attributes:
        pid: 0 while it does not run.
        since: when it began to run (ns, monotonic).
        heard: whether this very process had a heartbeat yet.
        ended: when it was ended last for its silence; 0 for never.
    """

    pid: int = 0
    since: int = 0
    heard: bool = False
    ended: int = 0


@dataclass(slots=True)
class PulseRules:
    """Who has died although it runs.

    Args:
        dead: ns of silence after which a process is dead.
        grace: ns for one that starts or stops.
    """

    dead: int
    grace: int
    board: HealthBoard = field(init=False)
    pulses: dict[str, Pulse] = field(default_factory=dict)
    _looked: int = 0

    def __post_init__(self) -> None:
        self.board = HealthBoard(STALE_NS, self.dead)

    def runs(self, service: str, pid: int, now: int) -> None:
        """Its supervisor says that it runs."""
        known = self.pulses.get(service)
        if known is None or known.pid != pid:
            board = self.board.services.get(service)
            beat = board.beat if board is not None else None
            # It may be READY well before the supervisor calls it running, and fall silent in between.
            heard = beat is not None and beat.pid == pid
            self.pulses[service] = Pulse(pid, now, heard)

    def ended(self, service: str) -> None:
        """It does not run any more."""
        self.pulses.pop(service, None)
        self.board.forget(service)

    def beat(self, beat: Heartbeat, now: int) -> HealthChange | None:
        """Take up a heartbeat; returns what it changed."""
        pulse = self.pulses.get(beat.service)
        if pulse is not None and pulse.pid == beat.pid:
            pulse.heard, pulse.ended = True, 0
        return self.board.beat(beat, now)

    def age(self, service: str, now: int) -> int | None:
        """Nanoseconds since its last heartbeat; None before the first."""
        known = self.board.services.get(service)
        return now - known.seen if known is not None and known.beat is not None else None

    def look(self, now: int) -> list[tuple[str, int]]:
        """Who is dead by now: name and ns of silence of each process that has to be ended."""
        self._forgive(now)
        self.board.check(now)
        dead = []
        for service, pulse in self.pulses.items():
            silence = self._silence(service, pulse, now)
            if silence >= self._allowed(service, pulse) and now - pulse.ended >= self.dead:
                pulse.ended = now
                dead.append((service, silence))
        return dead

    def _forgive(self, now: int) -> None:
        paused = now - self._looked if self._looked else 0
        self._looked = now
        if paused <= _PAUSE_NS:
            return
        for known in self.board.services.values():
            known.seen = min(now, known.seen + paused)
        for pulse in self.pulses.values():
            pulse.since = min(now, pulse.since + paused)

    def _silence(self, service: str, pulse: Pulse, now: int) -> int:
        known = self.board.services.get(service)
        if pulse.heard and known is not None:
            return now - known.seen
        return now - pulse.since

    def _allowed(self, service: str, pulse: Pulse) -> int:
        known = self.board.services.get(service)
        if not pulse.heard or known is None or known.beat is None:
            return self.grace
        return self.grace if known.beat.status in _SLOW else self.dead
