"""Windows of time on the local clock of a zone: seconds, minutes, hours, days, weeks, inside trading sessions.

Invariants: a window ends by the clock. A day with a change of clocks has 23 or 25 hours; a window boundary is every
instant at which the clock shows it (twice where an hour repeats), and where clocks jump over a boundary the jump is
one.
"""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from foxtrot.core.constants import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND, Interval
from foxtrot.core.errors import ConfigError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MIDNIGHT = dt.time(0)
ONE_DAY = dt.timedelta(days=1)
UNITS = {"s": NS_PER_SECOND, "m": NS_PER_MINUTE, "h": NS_PER_HOUR, "d": NS_PER_DAY, "w": 0}


@dataclass(frozen=True, slots=True)
class Session:
    """Local hours of trading.

    A session whose close is not later than its open spans midnight and belongs to the day on which it closes; if that
    is no trading day (Friday's night session ends on a Saturday), to the next trading day. A close at 00:00 is the end
    of the day.

    Attributes:
        open: local time of the open.
        close: local time of the close.
        days: weekdays that are trading days, 0 for Monday … 6 for Sunday.
        holidays: dates that are not, although their weekday is.
    """

    open: dt.time
    close: dt.time
    days: tuple[int, ...] = (0, 1, 2, 3, 4)
    holidays: frozenset[dt.date] = frozenset()

    def __post_init__(self) -> None:
        if not self.days or not set(self.days) <= set(range(7)):
            raise ConfigError(f"Session: days must be weekdays 0 (Monday) … 6, not {self.days!r}")

    @property
    def overnight(self) -> bool:
        """Whether it spans midnight."""
        return MIDNIGHT != self.close <= self.open

    def trades_on(self, day: dt.date) -> bool:
        """Whether ``day`` is a trading day."""
        return day.weekday() in self.days and day not in self.holidays


ALL_DAY = Session(MIDNIGHT, MIDNIGHT, days=(0, 1, 2, 3, 4, 5, 6))


class Window(NamedTuple):
    """A window of time, in ns UTC: instants from ``start`` to before ``end``.

    ``since`` to ``until`` is the part of it that is known to be inside trading hours.
    """

    start: int
    end: int
    since: int
    until: int


class WindowSchedule:
    """Finds the window of an instant.

    Args:
        span: length and unit of a window: ``"30s"``, ``"5m"``, ``"4h"``, ``"1d"``, ``"1w"`` or an ``Interval``. Several
            days or weeks are not offered: they have no natural beginning.
        tz: IANA name of the time zone whose clock cuts the windows.
        session: trading hours; ``None`` for all day, every day.
        anchor: where seconds, minutes and hours are counted from: ``"midnight"`` (windows are cut at open and close
            of the session) or the ``"session"``'s open. The last window of a day or session may be shorter.
        last_weekday: last day of a week, 4 (Friday) for weeks Saturday … Friday. A week ends with that day: at its
            session's close, or at midnight.

    Raises:
        ConfigError: an argument is not among these.
    """

    def __init__(
        self,
        span: str | Interval,
        *,
        tz: str = "UTC",
        session: Session | None = None,
        anchor: str = "midnight",
        last_weekday: int = 4,
    ) -> None:
        match = re.fullmatch(r"([1-9]\d*)([smhdw])", span)
        if match is None or (match[2] in "dw" and match[1] != "1"):
            raise ConfigError(
                f"span {span!r} is no window of time: give seconds, minutes or hours such as 30s, 5m, 4h, or 1d or 1w"
            )
        self.unit = match[2]
        self.span = int(match[1]) * UNITS[self.unit]
        if self.span > NS_PER_DAY:
            raise ConfigError(f"span {span!r} is longer than a day; use 1d or 1w")
        try:
            self.zone = ZoneInfo(tz)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(f"tz {tz!r} is no IANA time zone, such as Europe/Berlin") from error
        if anchor not in ("midnight", "session"):
            raise ConfigError(f"anchor must be midnight or session, not {anchor!r}")
        if last_weekday not in range(7):
            raise ConfigError(f"last_weekday must be 0 (Monday) … 6 (Sunday), not {last_weekday!r}")
        values = {member.value for member in Interval}
        self.interval = Interval(span) if span in values else Interval.OTHER
        self.session = session or ALL_DAY
        self.intraday = self.unit in "smh"
        self.from_midnight = anchor == "midnight"
        self.last_weekday = last_weekday
        self._day: dt.date | None = None  # whose bounds are cached
        self._bounds: Sequence[int] = ()
        self._close = 0

    def find(self, ts: int) -> Window | None:
        """Return the window with start <= ``ts`` < end (ns UTC), or ``None`` outside of the session."""
        if self._bounds and self._bounds[0] <= ts < self._close:
            return self._pick(bisect_right(self._bounds, ts) - 1)
        today = self._local(ts).date()
        for day in (today, today + ONE_DAY) if self.session.overnight else (today,):
            opened, closed = self._hours(day)
            if opened <= ts < closed:
                if not self.intraday:
                    return self._long_window(day, opened, closed)
                self._cut(day, opened, closed)
                return self._pick(bisect_right(self._bounds, ts) - 1)
        return None

    def following(self, ts: int) -> Window:
        """Return the first window of seconds, minutes or hours on a trading day that starts at or after ``ts``."""
        day = self._local(ts).date()
        while True:
            if self.session.trades_on(day):
                opened, closed = self._hours(day)
                if day != self._day:
                    self._cut(day, opened, closed)
                position = bisect_left(self._bounds, ts)
                if position < len(self._bounds):
                    return self._pick(position)
            day += ONE_DAY

    def _pick(self, position: int) -> Window:
        bounds = self._bounds
        start = bounds[position]
        end = bounds[position + 1] if position + 1 < len(bounds) else self._close
        return Window(start, end, start, end)

    def _long_window(self, day: dt.date, opened: int, closed: int) -> Window:
        trading_day = day
        while self.session.overnight and not self.session.trades_on(trading_day):
            trading_day += ONE_DAY
        if self.unit == "d":
            return Window(opened, self._hours(trading_day)[1], opened, closed)
        last = trading_day + ONE_DAY * ((self.last_weekday - trading_day.weekday()) % 7)
        start = self._hours(last - 6 * ONE_DAY)[0]
        return Window(start, self._hours(last)[1], opened, closed)

    def _hours(self, day: dt.date) -> tuple[int, int]:
        """Return open and close (ns UTC) of the session that belongs to ``day``."""
        session = self.session
        opening_day = day - ONE_DAY if session.overnight else day
        closing_day = day + ONE_DAY if session.close == MIDNIGHT else day
        return self._instant(opening_day, session.open), self._instant(closing_day, session.close)

    def _cut(self, day: dt.date, opened: int, closed: int) -> None:
        """Compute and cache the boundaries between ``opened`` and ``closed``."""
        cuts = {opened, closed}
        if self.from_midnight and self.session.overnight:
            cuts.add(self._instant(day, MIDNIGHT))
        if self._offset(opened) != self._offset(closed - NS_PER_SECOND):
            cuts.add(self._change_of_clocks(opened, closed))
        edges = sorted(cuts)
        bounds: list[Sequence[int]] = []
        origin = opened + self._offset(opened)  # as shown by the local clock
        for start, end in pairwise(edges):
            shown = start + self._offset(start)
            before = start + self._offset(start - NS_PER_SECOND)
            if self.from_midnight:
                origin = min(shown, before) // NS_PER_DAY * NS_PER_DAY
            first = start + (origin - shown) % self.span
            passed = (before - origin) % self.span or self.span
            skipped = passed + shown - before > self.span  # clocks jump over a boundary
            if first != start and (start == opened or skipped):
                bounds.append((start,))
            bounds.append(range(first, end, self.span))
        self._day, self._close = day, closed
        self._bounds = bounds[0] if len(bounds) == 1 else [ts for part in bounds for ts in part]

    def _change_of_clocks(self, low: int, high: int) -> int:
        low, high = low // NS_PER_SECOND, high // NS_PER_SECOND
        offset = self._offset(low * NS_PER_SECOND)
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle * NS_PER_SECOND) == offset:
                low = middle
            else:
                high = middle
        return high * NS_PER_SECOND

    def _local(self, ts: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(ts // NS_PER_SECOND, self.zone)

    def _offset(self, ts: int) -> int:
        offset = self._local(ts).utcoffset() or dt.timedelta()
        return (offset.days * 86_400 + offset.seconds) * NS_PER_SECOND

    def _instant(self, day: dt.date, time: dt.time) -> int:
        since = dt.datetime.combine(day, time, self.zone) - EPOCH
        return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1_000
