"""Bars out of ticks, and larger bars out of smaller ones, while the data streams.

``foxtrot.data.windows`` says in which window an instant lies; ``BarGenerator`` folds what lies in one into a bar.

Invariants:

* A window ends by the clock. A missing minute neither shifts nor prolongs it; input of a later window first finishes
  the one before. Windows without input give no bar, unless ``fill_gaps`` asks for flat ones.
* Windows are those of the local clock of a time zone: a day with a change of clocks has 23 or 25 hours, a window
  boundary is every instant at which the clock shows it (twice where an hour repeats), and where clocks jump over a
  boundary the jump is one.
* Bars never overlap; the sums of volume and turnover are those of the input.
* Input must not go back in time. All state is O(1); the common case, input in the current window, costs two integer
  comparisons before it is folded in.
"""

from __future__ import annotations

from collections.abc import Callable

from foxtrot.core.constants import Interval
from foxtrot.core.errors import ConfigError, DataError
from foxtrot.core.objects import BarData, TickData, TradeTick, ns_to_datetime
from foxtrot.data.windows import Session, Window, WindowSchedule

NEVER = -(2**63)
NOTHING: tuple[BarData, ...] = ()


class BarGenerator:
    """Makes bars of one instrument from its ticks, trades or smaller bars.

    Each ``update_*`` returns the bars that its input has finished, oldest first: usually none, one at the end of a
    window, and two where a bar both ends a gap and reaches the end of its own window (more only with ``fill_gaps``).
    A finished bar has ``ts_open`` = start and ``ts_event`` = end of its window; ``ts_init`` is the stamp of what
    finished it.

    Smaller bars count to the window in which they end, which is finished as soon as one ends with it. Ticks and trades
    count by ``closed``: ``"left"``: start <= t < end, finished by the first tick at or after the end; ``"right"``:
    start < t <= end, finished by the first tick at exactly the end, once it is part of the bar, or after it. (Further
    ticks with that same stamp then count to the next window.)

    Args:
        span: length and unit of a window, see ``WindowSchedule``.
        on_bar: called with each finished bar, before ``update_*`` returns.
        tz: IANA name of the time zone whose clock cuts the windows.
        session: trading hours; ``None`` for all day.
        anchor: ``"midnight"`` or ``"session"``: where windows are counted from.
        last_weekday: last day of a week, 0 for Monday … 4 for Friday.
        closed: which end of a window belongs to it, for ticks and trades.
        price: of a tick: ``"last"``, ``"bid"``, ``"ask"`` or ``"mid"``. A tick without it (0) only moves the clock.
        volume: of a tick: ``"cumulative"``: growth of the day's ``volume`` and turnover (a fall starts a new day; the
            first tick gives none); ``"last"``: ``last_volume``.
        outside: what to do with input outside of the session: ``"error"`` or ``"skip"`` (counted in ``skipped``).
        fill_gaps: give windows without input a flat bar at the last close, for seconds, minutes and hours.

    Attributes:
        skipped: how many inputs lay outside of the session.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        span: str | Interval,
        on_bar: Callable[[BarData], object] | None = None,
        *,
        tz: str = "UTC",
        session: Session | None = None,
        anchor: str = "midnight",
        last_weekday: int = 4,
        closed: str = "left",
        price: str = "last",
        volume: str = "cumulative",
        outside: str = "error",
        fill_gaps: bool = False,
    ) -> None:
        self._schedule = WindowSchedule(
            span, tz=tz, session=session, anchor=anchor, last_weekday=last_weekday
        )
        self._right = _choice("closed", closed, ("left", "right")) == "right"
        self._price = _choice("price", price, ("last", "bid", "ask", "mid"))
        self._cumulative = _choice("volume", volume, ("cumulative", "last")) == "cumulative"
        self._strict = _choice("outside", outside, ("error", "skip")) == "error"
        if fill_gaps and not self._schedule.intraday:
            raise ConfigError(f"fill_gaps is for seconds, minutes and hours, not for {span}")
        self._fill = fill_gaps
        self._on_bar = on_bar
        self.skipped = 0
        self._vt_symbol = ""
        self._adapter_name = ""
        self._start = self._end = 0  # of the current window
        self._since = self._until = 0  # the part of it that needs no look at the schedule
        self._live = False  # whether the current window has input
        self._inside = True  # whether the last input was inside of the session
        self._done = NEVER  # end of the last finished bar
        self._last = NEVER  # input must not be older than this
        self._open = self._high = self._low = self._close = 0.0
        self._volume = self._turnover = self._interest = 0.0
        self._day_volume: float | None = None  # cumulative figures of the last tick
        self._day_turnover = 0.0
        self._spare_volume = self._spare_turnover = 0.0  # of ticks that had no price

    def update_tick(self, tick: TickData) -> tuple[BarData, ...]:
        """Take a tick.

        Raises:
            DataError: it is older than the one before or than a finished bar, of another instrument, not finite, or
                outside of the session.
        """
        price = self._price_of(tick)
        finished = self._advance(tick, price + tick.volume + tick.last_volume)
        volume, turnover = self._flows(tick)
        if not self._inside:
            return finished
        if price == 0.0:
            self._spare_volume += volume
            self._spare_turnover += turnover
            return finished
        if self._spare_volume:
            volume, turnover = volume + self._spare_volume, turnover + self._spare_turnover
            self._spare_volume = self._spare_turnover = 0.0
        interest = self._interest if tick.session is None else tick.session.open_interest
        self._fold(price, price, price, price, volume, turnover, interest)
        if self._right and tick.ts_event == self._end:
            finished += self._finish(tick.ts_event)
        return finished

    def update_trade(self, trade: TradeTick) -> tuple[BarData, ...]:
        """Take a print of the tape; its turnover is price times volume.

        Raises:
            DataError: as ``update_tick``.
        """
        price, volume = trade.price, trade.volume
        finished = self._advance(trade, price + volume)
        if self._inside:
            self._fold(price, price, price, price, volume, price * volume, self._interest)
            if self._right and trade.ts_event == self._end:
                finished += self._finish(trade.ts_event)
        return finished

    def update_bar(self, bar: BarData) -> tuple[BarData, ...]:
        """Take a smaller bar.

        Raises:
            DataError: it does not end after the one before and after the last finished bar, begins before the window
                in which it ends, or is of another instrument, not finite, or outside of the session.
        """
        ts = bar.ts_event
        volume, turnover = bar.volume, bar.turnover
        total = bar.open_price + bar.high_price + bar.low_price + bar.close_price
        total += volume + turnover
        if ts <= self._last or bar.vt_symbol != self._vt_symbol or total - total != 0.0:
            self._check(bar, total, self._last + 1)
        finished = NOTHING
        if not self._since < ts <= self._until:
            finished = self._turn(ts - 1, bar)
        self._last = ts
        if self._inside:
            opened, close = bar.open_price, bar.close_price
            high, low = bar.high_price, bar.low_price
            self._fold(opened, high, low, close, volume, turnover, bar.open_interest)
            if ts == self._end:
                finished += self._finish(ts)
        return finished

    def flush(self, ts: int) -> tuple[BarData, ...]:
        """Finish by the clock what ended before ``ts`` (ns UTC).

        What ends at ``ts`` itself is finished too, unless input of that stamp still belongs to it (``closed="right"``,
        and bars). Later input that is older than a bar finished here is refused.
        """
        finished = NOTHING
        until = ts - 1 if self._right else ts
        if self._live and self._end <= until:
            finished = self._finish(ts)
        if self._fill and not self._live:
            finished += self._flat(until, ts)
        self._last = max(self._last, self._done)
        return finished

    def close(self) -> tuple[BarData, ...]:
        """Give out the unfinished bar, if any; its ``ts_event`` is the stamp of its last input."""
        if not self._live:
            return NOTHING
        self._end = max(self._last, self._start + 1)
        self._since = self._until = 0
        return self._finish(self._last)

    def _advance(self, message: TickData | TradeTick, total: float) -> tuple[BarData, ...]:
        """Check a tick, move the clock to it and finish the window that it has left."""
        ts = message.ts_event
        if ts < self._last or message.vt_symbol != self._vt_symbol or total - total != 0.0:
            self._check(message, total, self._last)
        key = max(ts - 1, self._done) if self._right else ts
        finished = NOTHING
        if not self._since <= key < self._until:
            finished = self._turn(key, message)
        self._last = ts
        return finished

    def _turn(self, key: int, message: TickData | TradeTick | BarData) -> tuple[BarData, ...]:
        """Go to the window of ``key``, finishing the one before."""
        if isinstance(message, BarData):
            self._right = True  # a bar that ends with the window is part of it: flush waits for it
        window = self._schedule.find(key)
        finished = NOTHING
        ts = message.ts_event
        self._check_place(window, message)
        if self._live and (window.end != self._end if window else key >= self._end):
            finished = self._finish(ts)
        self._inside = window is not None
        if window is None:
            self.skipped += 1
            self._since = self._until = 0
            return finished
        if self._fill and not self._live:
            finished += self._flat(window.start, ts)
        if not self._live:
            self._start, self._end = window.start, window.end
        self._since, self._until = window.since, window.until
        return finished

    def _fold(
        self,
        opened: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        turnover: float,
        interest: float,
    ) -> None:
        if self._live:
            self._high = high if high > self._high else self._high
            self._low = low if low < self._low else self._low
            self._volume += volume
            self._turnover += turnover
        else:
            self._live = True
            self._open, self._high, self._low = opened, high, low
            self._volume, self._turnover = volume, turnover
        self._close = close
        self._interest = interest

    def _finish(self, ts: int) -> tuple[BarData, ...]:
        self._live = False
        start = max(self._start, self._done)
        self._done = self._end
        bar = BarData(
            self._vt_symbol,
            start,
            self._end,
            self._open,
            self._high,
            self._low,
            self._close,
            self._volume,
            self._schedule.interval,
            self._turnover,
            self._interest,
            ts,
            self._adapter_name,
        )
        if self._on_bar is not None:
            self._on_bar(bar)
        return (bar,)

    def _flat(self, until: int, ts: int) -> tuple[BarData, ...]:
        """Give the windows between the last bar and ``until`` flat bars."""
        finished = NOTHING
        while self._done != NEVER:
            window = self._schedule.following(self._done)
            if window.end > until:
                break
            self._start, self._end = window.start, window.end
            self._open = self._high = self._low = self._close
            self._volume = self._turnover = 0.0
            finished += self._finish(ts)
        return finished

    def _price_of(self, tick: TickData) -> float:
        if self._price == "last":
            return tick.last_price
        bid, ask = tick.bid_price_1, tick.ask_price_1
        if self._price == "mid":
            return (bid + ask) / 2.0 if bid != 0.0 and ask != 0.0 else 0.0
        return bid if self._price == "bid" else ask

    def _flows(self, tick: TickData) -> tuple[float, float]:
        """Return the volume and turnover that a tick adds."""
        if not self._cumulative:
            return tick.last_volume, tick.last_volume * tick.last_price
        volume, turnover = tick.volume, tick.session.turnover if tick.session is not None else 0.0
        before, turnover_before = self._day_volume, self._day_turnover
        self._day_volume, self._day_turnover = volume, turnover or turnover_before
        if before is None:
            return 0.0, 0.0
        if volume < before:
            self._day_turnover = turnover
            return volume, turnover
        return volume - before, self._day_turnover - turnover_before

    def _check(self, message: TickData | TradeTick | BarData, total: float, least: int) -> None:
        """Remember the instrument, or raise what is wrong with the input."""
        ts, vt_symbol = message.ts_event, message.vt_symbol
        if not self._vt_symbol:
            self._vt_symbol, self._adapter_name = vt_symbol, message.adapter_name
        if vt_symbol != self._vt_symbol:
            raise DataError(
                f"bar generator of {self._vt_symbol} was given {vt_symbol}; use one for each instrument"
            )
        if ts < least:
            raise DataError(
                f"{vt_symbol}: input of {_told(ts)} came after {_told(self._last)}; "
                f"give the data in order of ts_event, each stamp of a bar once"
            )
        if total - total != 0.0:
            raise DataError(f"{vt_symbol}: NaN or infinity in {message}")

    def _check_place(self, window: Window | None, message: TickData | TradeTick | BarData) -> None:
        """Raise where a bar lies in two windows, or where input lies in none and that is an error."""
        if window is None and self._strict:
            session = self._schedule.session
            raise DataError(
                f"{self._vt_symbol}: input of {_told(message.ts_event)} is outside of the session {session.open} to "
                f"{session.close} {self._schedule.zone.key}; correct session or tz, or set outside='skip'"
            )
        if window is not None and isinstance(message, BarData) and message.ts_open < window.start:
            raise DataError(
                f"{self._vt_symbol}: the bar {_told(message.ts_open)} to {_told(message.ts_event)} begins before the "
                f"window in which it ends ({_told(window.start)}); correct tz, session or span"
            )


def _told(ts: int) -> str:
    return f"{ns_to_datetime(ts).isoformat()} ({ts})"


def _choice(name: str, choice: str, choices: tuple[str, ...]) -> str:
    if choice not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {choice!r}")
    return choice
