"""Clocks: what time it is, and timers by name.

``LiveClock`` reads the wall for records and the monotonic clock for time-outs and timers, so a step of the wall
clock neither loses nor repeats a timer. ``SimulatedClock`` stands where it was last put; ``advance`` fires what
fell due on the way, in order of due time and then of setting. Timers run on the thread that calls ``fire_due`` or
``advance`` (the engine's own), never on a thread of theirs; any thread may set and cancel them. All times are int
nanoseconds.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace

from foxtrot.core.objects import TimerData

NEVER = 2**63 - 1
"""Due time of a clock without timers: later than every stamp."""

TimerCallback = Callable[[TimerData], None]


class _Timer:
    """One entry of the heap; cancelled entries stay there with ``callback`` None until they surface."""

    __slots__ = ("callback", "catch_up", "due", "interval", "name", "sequence")

    def __init__(
        self,
        name: str,
        due: int,
        sequence: int,
        callback: TimerCallback,
        interval: int = 0,
        catch_up: bool = False,
    ) -> None:
        self.name = name
        self.due = due
        self.sequence = sequence
        self.callback: TimerCallback | None = callback
        self.interval = interval
        self.catch_up = catch_up

    def __lt__(self, other: _Timer) -> bool:
        return (self.due, self.sequence) < (other.due, other.sequence)


class Clock(ABC):
    """Now, and named timers. Setting a timer under a name in use replaces that timer."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._timers: dict[str, _Timer] = {}
        self._heap: list[_Timer] = []
        self._sequence = 0
        self.next_due: int = NEVER

    @abstractmethod
    def now(self) -> int:
        """Wall time, ns since the epoch, UTC: what records are stamped with."""

    @abstractmethod
    def monotonic(self) -> int:
        """Time that never steps, ns from an arbitrary start: what time-outs are measured with."""

    @abstractmethod
    def _timer_time(self) -> int:
        """The time line on which timers are due."""

    def set_timer(self, name: str, due: int, callback: TimerCallback) -> None:
        """Call ``callback`` once when the clock reaches ``due`` (ns UTC); a due time in the past fires at once."""
        offset = self._timer_time() - self.now()
        self._add(name, due + offset, callback, 0, False)

    def set_delay(self, name: str, delay: int, callback: TimerCallback) -> None:
        """Call ``callback`` once, ``delay`` ns from now, whatever the wall clock does meanwhile."""
        self._add(name, self._timer_time() + delay, callback, 0, False)

    def set_interval(
        self,
        name: str,
        interval: int,
        callback: TimerCallback,
        *,
        start: int | None = None,
        catch_up: bool = False,
    ) -> None:
        """Call ``callback`` every ``interval`` ns, first at ``start`` (ns UTC; default one interval from now).

        Where the clock jumps over several due times (a gap in the data, a suspended machine), the callback runs
        once for the gap, and the next due time stays on the original grid; ``catch_up=True`` runs each of them.

        Raises:
            ValueError: ``interval`` is not positive.
        """
        if interval <= 0:
            raise ValueError(
                f"timer {name!r}: interval must be positive nanoseconds, got {interval}"
            )
        offset = self._timer_time() - self.now()
        first = self._timer_time() + interval if start is None else start + offset
        self._add(name, first, callback, interval, catch_up)

    def cancel_timer(self, name: str) -> bool:
        """Forget a timer; returns whether there was one."""
        with self._lock:
            timer = self._timers.pop(name, None)
            if timer is None:
                return False
            timer.callback = None
            self._refresh()
            return True

    def timer_names(self) -> tuple[str, ...]:
        """Names of the timers that are set, in order of setting."""
        return tuple(self._timers)

    def next_run(self, until: int) -> int:
        """When the next timer runs on the way to ``until`` (ns): that of a gap's only run; NEVER where none does."""
        with self._lock:
            runs = (
                timer.due
                if not timer.interval or timer.catch_up
                else until - (until - timer.due) % timer.interval
                for timer in self._timers.values()
                if timer.due <= until
            )
            return min(runs, default=NEVER)

    def due_of(self, name: str) -> int:
        """When a timer falls due next (ns, on the line of timers); NEVER where there is none of that name."""
        timer = self._timers.get(name)
        return NEVER if timer is None else timer.due

    def move_timer(self, name: str, due: int) -> None:
        """Have a repeating timer fall due next at ``due`` (ns, on the line of timers); unknown names are ignored."""
        with self._lock:
            timer = self._timers.get(name)
            if timer is not None and timer.callback is not None:
                offset = self._timer_time() - self.now()
                self.set_interval(
                    name,
                    timer.interval,
                    timer.callback,
                    start=due - offset,
                    catch_up=timer.catch_up,
                )

    def skip_due(self, name: str) -> None:
        """Have a repeating timer that is due now wait for its next turn; unknown names are ignored."""
        timer, now = self._timers.get(name), self._timer_time()
        if timer is not None and timer.interval and timer.due <= now:
            self.move_timer(name, now + timer.interval - (now - timer.due) % timer.interval)

    def _add(
        self, name: str, due: int, callback: TimerCallback, interval: int, catch_up: bool
    ) -> None:
        with self._lock:
            self.cancel_timer(name)
            self._sequence += 1
            timer = _Timer(name, due, self._sequence, callback, interval, catch_up)
            self._timers[name] = timer
            heappush(self._heap, timer)
            self._refresh()

    def _refresh(self) -> None:
        heap = self._heap
        while heap and heap[0].callback is None:
            heappop(heap)
        self.next_due = heap[0].due if heap else NEVER

    def _pop_due(self, until: int) -> tuple[_Timer, TimerCallback, int] | None:
        """Take the first timer due at or before ``until`` and set it again if it repeats."""
        with self._lock:
            while self.next_due <= until:
                timer = self._heap[0]
                callback, due = timer.callback, timer.due
                if callback is None:  # _refresh keeps cancelled timers off the top
                    raise AssertionError("a cancelled timer surfaced")
                if not timer.interval:
                    heappop(self._heap)
                    del self._timers[timer.name]
                    self._refresh()
                    return timer, callback, due
                missed = 0 if timer.catch_up else (until - due) // timer.interval
                # A gap's only run takes its turn at the last of the due times that it stands for.
                timer.due = due + (missed or 1) * timer.interval
                heapreplace(self._heap, timer)
                self._refresh()
                if not missed:
                    return timer, callback, due
            return None


class LiveClock(Clock):
    """The machine's clocks. The event engine's loop calls ``fire_due``."""

    def now(self) -> int:
        """Wall time in ns UTC."""
        return time.time_ns()

    def monotonic(self) -> int:
        """Monotonic time in ns."""
        return time.monotonic_ns()

    def _timer_time(self) -> int:
        return time.monotonic_ns()

    def fire_due(self) -> int:
        """Run every timer that is due; returns how many ran."""
        fired = 0
        until = time.monotonic_ns()
        while (item := self._pop_due(until)) is not None:
            timer, callback, due = item
            now = self.now()
            callback(TimerData(timer.name, now - (time.monotonic_ns() - due), now))
            fired += 1
        return fired

    def wait_ns(self) -> int:
        """Nanoseconds until the next timer is due (0 when one is overdue; ``NEVER`` without timers)."""
        if self.next_due == NEVER:
            return NEVER
        return max(0, self.next_due - time.monotonic_ns())


class SimulatedClock(Clock):
    """A clock that stands still until it is put forward.

    ``ns`` is the present; a driver that has looked at ``next_due`` may set it straight (that is the hot path of the
    backtest), everyone else calls ``advance``.
    """

    def __init__(self, start: int = 0) -> None:
        super().__init__()
        self.ns = start

    def now(self) -> int:
        """Simulated time in ns UTC."""
        return self.ns

    def monotonic(self) -> int:
        """Simulated time too: it never goes back."""
        return self.ns

    def _timer_time(self) -> int:
        return self.ns

    def advance(self, to: int) -> int:
        """Go forward to ``to`` (ns UTC), firing timers on the way; returns how many ran.

        Raises:
            ValueError: ``to`` lies in the past.
        """
        if to < self.ns:
            raise ValueError(f"the clock stands at {self.ns} ns and cannot go back to {to} ns")
        fired = 0
        while self.fire_next(to):
            fired += 1
        self.ns = to
        return fired

    def fire_next(self, to: int) -> bool:
        """Go forward to the next timer due at or before ``to`` and run it; returns whether there was one."""
        item = self._pop_due(to)
        if item is None:
            return False
        timer, callback, due = item
        self.ns = max(self.ns, due)
        callback(TimerData(timer.name, due, self.ns))
        return True
