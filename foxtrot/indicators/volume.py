"""Indicators of volume: on-balance volume and volume-weighted average prices."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import ConfigError
from foxtrot.indicators.base import NAN, Indicator, check_period
from foxtrot.indicators.rolling import RollingSum

if TYPE_CHECKING:
    from foxtrot.indicators.base import FloatArray

PRICES_AND_VOLUME = ("high_price", "low_price", "close_price", "volume")


class OBV(Indicator):
    """On-balance volume (Granville 1963), in units: adds a rising bar's volume, subtracts a falling one's.

    It starts with the first bar's volume, as TA-Lib does; only its differences have a meaning.
    """

    inputs = ("close_price", "volume")
    parameters = ()

    def __init__(self) -> None:
        self.warmup = 1
        self.reset()

    def _clear(self) -> None:
        self._close = -float("inf")  # so that the first bar rises
        self._total = 0.0

    def update(self, close: float, volume: float) -> None:
        """Take the next bar's close and volume."""
        if (close - close) + (volume - volume) != 0.0:
            self._refuse(close, volume)
        before = self._close
        self._close = close
        self._total += volume if close > before else -volume if close < before else 0.0
        self.count += 1
        self.previous = self._last
        self.value = self._last = self._total

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        close, volume = columns
        before = np.concatenate(([self._close], close[:-1]))
        signed = np.where(close > before, volume, np.where(close < before, -volume, 0.0))
        totals = np.cumsum(np.concatenate(([self._total], signed)))[1:]
        self._close, self._total = close.item(-1), totals.item(-1)
        return (totals,)


class VWAP(Indicator):
    """Volume-weighted average of the typical price (high + low + close) / 3.

    NaN as long as the volume it covers is zero.

    Args:
        period: how many bars it covers; ``None``: all since the start or ``reset``.
    """

    inputs = PRICES_AND_VOLUME

    def __init__(self, period: int | None = None) -> None:
        self.period = None if period is None else check_period(self, "period", period)
        self.warmup = 1 if period is None else period
        self._amounts, self._volumes = RollingSum(period or 1), RollingSum(period or 1)
        self.reset()

    def _clear(self) -> None:
        self._amounts.reset()
        self._volumes.reset()
        self._amount = self._volume = 0.0

    def update(self, high: float, low: float, close: float, volume: float) -> None:
        """Take the next bar's high, low, close and volume."""
        if (high - high) + (low - low) + (close - close) + (volume - volume) != 0.0:
            self._refuse(high, low, close, volume)
        amount = (high + low + close) / 3.0 * volume
        if self.period is None:
            self._amount = amount = self._amount + amount
            self._volume = volume = self._volume + volume
        else:
            self._amounts.update(amount)
            self._volumes.update(volume)
            amount, volume = self._amounts.value, self._volumes.value
        self.count += 1
        self.previous = self._last
        self.value = self._last = amount / volume if volume != 0.0 else NAN

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        high, low, close, volume = columns
        amount = (high + low + close) / 3.0 * volume
        if self.period is None:
            amounts = np.cumsum(np.concatenate(([self._amount], amount)))[1:]
            volumes = np.cumsum(np.concatenate(([self._volume], volume)))[1:]
            self._amount, self._volume = amounts.item(-1), volumes.item(-1)
        else:
            amounts, volumes = self._amounts.batch(amount)[0], self._volumes.batch(volume)[0]
        values = amounts / volumes
        values[volumes == 0.0] = NAN
        return (values,)


class SessionVWAP(Indicator):
    """VWAP that starts anew each day at a local time.

    A bar belongs to the session in which it opens. Besides prices and volume it takes ``ts_open`` (ns UTC), which
    must not fall.

    Args:
        tz: IANA name of the time zone.
        start: local time at which a session begins; where clocks skip it, the moment right after the gap.

    Raises:
        ConfigError: the zone is unknown.
    """

    inputs = ("ts_open", *PRICES_AND_VOLUME)
    parameters = ("tz", "start")

    def __init__(self, tz: str = "UTC", start: dt.time = dt.time(0)) -> None:
        try:
            self._zone = ZoneInfo(tz)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(
                f"SessionVWAP: tz {tz!r} is no IANA time zone, such as America/New_York"
            ) from error
        self.tz = tz
        self.start = start
        self.warmup = 1
        self.reset()

    def _clear(self) -> None:
        self._end = 0  # ns UTC: where the current session ends
        self._amount = self._volume = 0.0

    def update(self, ts_open: float, high: float, low: float, close: float, volume: float) -> None:
        """Take the next bar's opening stamp (ns UTC), high, low, close and volume."""
        total = (high - high) + (low - low) + (close - close) + (volume - volume)
        if total + (ts_open - ts_open) != 0.0:
            self._refuse(ts_open, high, low, close, volume)
        if ts_open >= self._end:
            self._end = self._next_start(int(ts_open))
            self._amount = self._volume = 0.0
        self._amount += (high + low + close) / 3.0 * volume
        self._volume += volume
        self.count += 1
        self.previous = self._last
        self.value = self._last = self._amount / self._volume if self._volume != 0.0 else NAN

    def _next_start(self, ts: int) -> int:
        day = dt.datetime.fromtimestamp(ts // NS_PER_SECOND, self._zone).date()
        while True:
            moment = dt.datetime.combine(day, self.start, self._zone)
            stamp = int(moment.timestamp()) * NS_PER_SECOND
            if stamp > ts:
                return stamp
            day += dt.timedelta(days=1)
