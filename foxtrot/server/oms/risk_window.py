"""What risk remembers of orders gone by: how many in a sliding window, and which.

Invariants: memory is bounded, whatever comes; times are ns UTC and handed in. Where the clock steps back, everything
remembered moves back with it: what was recent stays recent, and a step neither opens a limit nor blocks it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

MOST_REMEMBERED = 65_536
"""Orders that a duplicate memory holds at most; the oldest are forgotten first."""


class RateWindow:
    """Times of the newest orders.

    Args:
        orders: how many are allowed in a window; so many times are kept.
        window: its length in ns.
    """

    __slots__ = ("_times", "orders", "window")

    def __init__(self, orders: int, window: int) -> None:
        self.orders = orders
        self.window = window
        self._times: deque[int] = deque(maxlen=orders)

    def wait(self, now: int) -> int:
        """Nanoseconds until the next order is allowed; 0 for now."""
        self._follow(now)
        times = self._times
        return max(0, times[0] + self.window - now) if len(times) == self.orders else 0

    def add(self, now: int) -> None:
        """Count an order."""
        self._follow(now)
        self._times.append(now)

    def clear(self) -> None:
        """Forget all."""
        self._times.clear()

    def _follow(self, now: int) -> None:
        """Move back with a clock that stepped back."""
        times = self._times
        if times and now < times[-1]:
            ahead = times[-1] - now
            self._times = deque((ts - ahead for ts in times), maxlen=self.orders)


class DuplicateMemory:
    """When each of the newest orders was accepted.

    Args:
        window: ns after which an order may come again.
        most: how many are remembered.
    """

    __slots__ = ("_most", "_newest", "_seen", "window")

    def __init__(self, window: int, most: int = MOST_REMEMBERED) -> None:
        self.window = window
        self._most = most
        self._newest = 0
        self._seen: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def age(self, key: Hashable, now: int) -> int | None:
        """Nanoseconds since the same order was accepted; None where it was not, or long enough ago."""
        self._follow(now)
        seen = self._seen.get(key)
        return now - seen if seen is not None and now - seen < self.window else None

    def add(self, key: Hashable, now: int) -> None:
        """Remember an order, and forget what is too old."""
        self._follow(now)
        self._newest = now
        seen = self._seen
        seen.pop(key, None)
        seen[key] = now
        while len(seen) > self._most or seen[next(iter(seen))] <= now - self.window:
            del seen[next(iter(seen))]

    def clear(self) -> None:
        """Forget all."""
        self._seen.clear()
        self._newest = 0

    def _follow(self, now: int) -> None:
        """Move back with a clock that stepped back."""
        if now < self._newest:
            ahead = self._newest - now
            self._seen = {key: ts - ahead for key, ts in self._seen.items()}
            self._newest = now
