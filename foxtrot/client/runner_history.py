"""Past bars: asked of an adapter's service for the warm-up, then kept as they come for ``Strategy.history``.

Invariants: nothing waits; a question without an answer is asked again; a service that refuses to answer is told to the
log, and the strategy warms up on what comes live.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from foxtrot.bus.messages import QUERY_HISTORY, BarPage
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome, RpcCode
from foxtrot.client.runner_outbox import NOT_YET
from foxtrot.core.clock import Clock
from foxtrot.core.constants import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND, Interval
from foxtrot.core.objects import BarData, HistoryRequest, TimerData

__all__ = ["BarHistory", "HistoryLoader"]

KEPT = 1_000
"""Bars of an instrument that are kept at least."""

LENGTHS = {
    Interval.MINUTE: NS_PER_MINUTE,
    Interval.HOUR: NS_PER_HOUR,
    Interval.DAILY: NS_PER_DAY,
    Interval.WEEKLY: 7 * NS_PER_DAY,
    Interval.MINUTE_3: 3 * NS_PER_MINUTE,
    Interval.MINUTE_5: 5 * NS_PER_MINUTE,
    Interval.MINUTE_10: 10 * NS_PER_MINUTE,
    Interval.MINUTE_15: 15 * NS_PER_MINUTE,
    Interval.MINUTE_30: 30 * NS_PER_MINUTE,
    Interval.HOUR_2: 2 * NS_PER_HOUR,
    Interval.HOUR_4: 4 * NS_PER_HOUR,
    Interval.SECOND: NS_PER_SECOND,
}
"""Intervals in the order in which an adapter is asked; the first that has bars is taken."""

_SPARE = 4  # a market is open for about a quarter of all hours
_HOLIDAYS = 10 * NS_PER_DAY
_RETRY_NS = NS_PER_SECOND
_REFUSALS = 5


class BarHistory:
    """The newest bars by instrument; a ``HistorySource`` for one strategy.

    Args:
        size: bars of an instrument that are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = max(size, KEPT)
        self._bars: dict[str, deque[BarData]] = {}

    def add(self, bar: BarData) -> None:
        """Keep a bar."""
        bars = self._bars.get(bar.vt_symbol)
        if bars is None:
            bars = self._bars[bar.vt_symbol] = deque(maxlen=self._size)
        bars.append(bar)

    def clear(self) -> None:
        """Forget all."""
        self._bars.clear()

    def history(
        self, vt_symbol: str, count: int, now: int, interval: Interval | None
    ) -> list[BarData]:
        """The newest ``count`` bars known at ``now`` (ns), oldest first."""
        found = [
            bar
            for bar in self._bars.get(vt_symbol, ())
            if bar.ts_event <= now and interval in (None, bar.interval)
        ]
        return found[-count:]


class HistoryLoader:
    """Asks for the newest bars of some instruments, one question after the other.

    Args:
        client: to the adapter's service.
        clock: of sockets, for pauses.
        name: the strategy's, for the log.
        now: the strategies' time, ns UTC; 0 where it has not begun.
        count: bars of each instrument.
        on_done: called once with all bars, oldest first in the order of their closes.
    """

    def __init__(
        self,
        client: RpcClient,
        clock: Clock,
        name: str,
        now: int,
        count: int,
        on_done: Callable[[list[BarData]], object],
    ) -> None:
        self._client = client
        self._clock = clock
        self._now = now
        self._count = count
        self._on_done = on_done
        self._found: list[BarData] = []
        self._questions: deque[tuple[str, Interval, int]] = deque()
        self._refused = 0
        self._told = False
        self._closed = False
        self._timer = f"history.{name}"
        self._logger = logging.getLogger(f"foxtrot.runner.{name}")

    def load(self, vt_symbols: Iterable[str]) -> None:
        """Begin; ``on_done`` may be called at once."""
        if self._count:
            for vt_symbol in vt_symbols:
                starts = [(interval, self._start(length)) for interval, length in LENGTHS.items()]
                if any(start for _, start in starts):
                    starts += [(interval, 0) for interval in LENGTHS]  # data of long ago
                self._questions += [(vt_symbol, interval, start) for interval, start in starts]
        self._next()

    def _start(self, length: int) -> int:
        """From when on there should be enough bars; 0 for all."""
        return max(0, self._now - self._count * length * _SPARE - _HOLIDAYS)

    def close(self) -> None:
        """Ask nothing more; ``on_done`` is not called."""
        self._closed = True
        self._clock.cancel_timer(self._timer)

    def _next(self) -> None:
        if self._closed:
            return
        if not self._questions:
            self._found.sort(key=lambda bar: bar.ts_event)
            self._on_done(self._found)
            return
        vt_symbol, interval, start = self._questions[0]
        request = HistoryRequest(vt_symbol, start, 0, interval)
        self._client.send(QUERY_HISTORY, request, on_reply=self._on_reply)

    def _on_reply(self, outcome: Outcome) -> None:
        if self._closed:
            return
        if not isinstance(outcome, Answer):
            self._tell(f"history: {outcome.reason}; it is asked for again")
            self._next()
        elif not outcome.ok and (outcome.error_code in NOT_YET or self._refused < _REFUSALS):
            self._refused += outcome.error_code not in (*NOT_YET, RpcCode.BUSY)
            self._tell(f"history: {outcome.error_text}; it is asked for again")
            self._clock.set_delay(self._timer, _RETRY_NS, self._on_timer)
        elif not outcome.ok:
            self._logger.error("begins without history: %s", outcome.error_text)
            self._questions.clear()
            self._next()
        else:
            self._take(outcome.body.bars if isinstance(outcome.body, BarPage) else ())

    def _take(self, bars: Sequence[BarData]) -> None:
        """Bars of the question that stands first: enough, or is there more further back?"""
        vt_symbol, interval, start = self._questions.popleft()
        if bars and len(bars) < self._count and start:
            self._questions.appendleft((vt_symbol, interval, 0))
        elif bars:
            self._found += bars[-self._count :]
            while self._questions and self._questions[0][0] == vt_symbol:
                self._questions.popleft()
        elif not self._questions or self._questions[0][0] != vt_symbol:
            self._logger.warning("there is no history of %s; it warms up on live bars", vt_symbol)
        self._next()

    def _on_timer(self, _timer: TimerData) -> None:
        self._next()

    def _tell(self, text: str) -> None:
        if not self._told:
            self._told = True
            self._logger.warning("%s", text)
