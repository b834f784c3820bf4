"""Made-up bars and ticks for tests, demonstrations and benchmarks.

Invariants:

* The same seed and arguments give the same bits on every platform and with every version of numpy: the
  raw output of PCG64 is fixed for ever, and what is made of it uses only integers, +, -, x, / and sqrt,
  which IEEE 754 rounds in one way. (``Generator.normal`` and ``exp`` promise neither.)
* Prices lie on the grid of ``pricetick`` and are positive; high and low span open and close; bid < ask.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.constants import NS_PER_MINUTE, NS_PER_SECOND, Interval
from foxtrot.core.errors import DataError
from foxtrot.data.columns import BarColumns, FloatArray, IntArray, TickColumns

RawBits: TypeAlias = NDArray[np.uint64]
Session: TypeAlias = tuple[str, str]

_HALF = np.float64(2**16)
_MAX_STEP = 0.5


def make_bars(
    seed: int,
    n: int,
    *,
    vt_symbol: str = "SYNTH.LOCAL",
    start: dt.date = dt.date(2024, 1, 1),
    start_price: float = 100.0,
    pricetick: float = 0.01,
    volatility: float = 0.0005,
    sessions: Sequence[Session] = (),
    tz: dt.tzinfo = dt.UTC,
) -> BarColumns:
    """Minute bars of a geometric random walk.

    Args:
        seed: not negative; decides everything.
        n: number of bars.
        vt_symbol: the instrument.
        start: first day, local.
        start_price: price before the first bar, at least 10 ``pricetick``.
        pricetick: price step.
        volatility: standard deviation of a minute's return, below 0.05.
        sessions: local trading times such as ``[("09:30", "16:00")]`` of Mondays to Fridays; empty for
            round the clock, every day.
        tz: zone of ``start`` and ``sessions``.

    Raises:
        DataError: an argument is out of range.
    """
    _check_arguments(seed, n, start_price, pricetick, volatility)
    opens = _minutes(n, start, sessions, tz)
    bits = np.random.PCG64(seed)
    close = _walk(bits, n, start_price / pricetick, volatility)
    before = np.concatenate([[np.rint(start_price / pricetick)], close[:-1]])
    jitter = volatility * start_price / pricetick * 0.25
    opening = np.maximum(1.0, before + np.rint(_gauss(bits, n) * jitter))
    wicks = volatility * close * 0.5
    high = np.maximum(opening, close) + np.rint(np.abs(_gauss(bits, n)) * wicks)
    low = np.minimum(opening, close) - np.rint(np.abs(_gauss(bits, n)) * wicks)
    # Volume has a heavy tail (Pareto with exponent 2): most minutes are quiet, a few are not.
    volume = np.floor(100.0 / np.sqrt(_uniform(bits, n) + 2.0**-20))
    return BarColumns(
        vt_symbol,
        Interval.MINUTE,
        opens,
        opens + NS_PER_MINUTE,
        _on_grid(opening, pricetick),
        _on_grid(high, pricetick),
        _on_grid(np.maximum(1.0, low), pricetick),
        _on_grid(close, pricetick),
        volume,
    )


def make_ticks(
    seed: int,
    n: int,
    *,
    vt_symbol: str = "SYNTH.LOCAL",
    start: dt.date = dt.date(2024, 1, 1),
    start_price: float = 100.0,
    pricetick: float = 0.01,
    volatility: float = 0.00002,
    mean_gap_ms: int = 250,
    max_spread: int = 3,
) -> TickColumns:
    """Quotes of a geometric random walk of the mid price, from midnight UTC of ``start`` on.

    Args:
        seed: not negative; decides everything.
        n: number of ticks.
        vt_symbol: the instrument.
        start: first day, UTC.
        start_price: first mid price, at least 10 ``pricetick``.
        pricetick: price step.
        volatility: standard deviation of the return from tick to tick, below 0.05.
        mean_gap_ms: mean time between two ticks in milliseconds; gaps lie between 1 and twice that.
        max_spread: largest spread in steps of ``pricetick``; narrow spreads are more frequent.

    Raises:
        DataError: an argument is out of range.
    """
    _check_arguments(seed, n, start_price, pricetick, volatility)
    if mean_gap_ms < 1 or max_spread < 1:
        raise DataError(f"mean_gap_ms {mean_gap_ms} and max_spread {max_spread} must be at least 1")
    bits = np.random.PCG64(seed)
    mid = _walk(bits, n, start_price / pricetick, volatility)
    uniform = _uniform(bits, n)
    spread = 1.0 + np.floor(uniform * uniform * max_spread)
    bid = np.maximum(1.0, mid - np.floor(spread / 2.0))
    gaps = (bits.random_raw(n) % np.uint64(2 * mean_gap_ms) + np.uint64(1)).astype(np.int64)
    first = _local_ns(start, "00:00", dt.UTC)
    ts_event = first + np.cumsum(gaps, dtype=np.int64) * 1_000_000
    sizes = [(bits.random_raw(n) % np.uint64(500) + np.uint64(1)).astype(np.float64) for _ in "ba"]
    return TickColumns(
        vt_symbol,
        ts_event,
        _on_grid(bid, pricetick),
        _on_grid(bid + spread, pricetick),
        sizes[0],
        sizes[1],
    )


def _check_arguments(seed: int, n: int, price: float, pricetick: float, volatility: float) -> None:
    if seed < 0 or n < 1:
        raise DataError(f"seed {seed} must not be negative and n {n} must be at least 1")
    if not pricetick > 0.0 or not price >= 10 * pricetick:
        raise DataError(
            f"pricetick {pricetick!r} must be positive and start_price {price!r} at least ten of them"
        )
    if not 0.0 <= volatility < 0.05:
        raise DataError(f"volatility {volatility!r} must be in [0, 0.05) per row")


def _uniform(bits: np.random.PCG64, n: int) -> FloatArray:
    """Uniform numbers in [0, 1) with 53 bits, shape (n,)."""
    raw: RawBits = bits.random_raw(n)
    return (raw >> np.uint64(11)).astype(np.float64) / 2.0**53


def _gauss(bits: np.random.PCG64, n: int) -> FloatArray:
    """Nearly normal numbers of mean 0 and variance 1 within +-6: sums of twelve uniforms, shape (n,)."""
    total = np.zeros(n, dtype=np.uint64)
    for _ in range(3):
        raw: RawBits = bits.random_raw(n)
        for shift in (0, 16, 32, 48):
            total += (raw >> np.uint64(shift)) & np.uint64(0xFFFF)
    # Each of the twelve parts is a whole number of mean (2**16 - 1) / 2.
    return (total.astype(np.float64) - 6.0 * (_HALF - 1.0)) / _HALF


def _walk(bits: np.random.PCG64, n: int, first: float, volatility: float) -> FloatArray:
    """Prices of a geometric walk in whole ticks, at least 1, shape (n,)."""
    returns = np.clip(_gauss(bits, n) * volatility, -_MAX_STEP, _MAX_STEP)
    prices: FloatArray = np.maximum(1.0, np.rint(first * np.cumprod(1.0 + returns)))
    return prices


def _on_grid(ticks: FloatArray, pricetick: float) -> FloatArray:
    """Whole ticks as prices: the doubles nearest to the decimals where 1/pricetick is whole."""
    per_unit = round(1.0 / pricetick)
    if per_unit > 0 and abs(per_unit * pricetick - 1.0) < 1e-12:
        return ticks / float(per_unit)
    return ticks * pricetick


def _minutes(n: int, start: dt.date, sessions: Sequence[Session], tz: dt.tzinfo) -> IntArray:
    """Opens of ``n`` minute bars, ns UTC."""
    if not sessions:
        return _local_ns(start, "00:00", tz) + np.arange(n, dtype=np.int64) * NS_PER_MINUTE
    parts: list[IntArray] = []
    have, day = 0, start
    while have < n:
        for begin, end in sessions if day.weekday() < 5 else ():
            first, last = _local_ns(day, begin, tz), _local_ns(day, end, tz)
            if last <= first:
                raise DataError(f"session {begin}-{end} must end after it begins, on the same day")
            parts.append(np.arange(first, last, NS_PER_MINUTE, dtype=np.int64))
            have += len(parts[-1])
        day += dt.timedelta(days=1)
    opens = np.concatenate(parts)[:n]
    if (np.diff(opens) < NS_PER_MINUTE).any():
        raise DataError(f"sessions {list(sessions)!r} overlap or are out of order")
    return opens


def _local_ns(day: dt.date, clock: str, tz: dt.tzinfo) -> int:
    try:
        time = dt.time.fromisoformat(clock)
    except ValueError as error:
        raise DataError(f"session time {clock!r} is not like '09:30'") from error
    return round(dt.datetime.combine(day, time, tz).timestamp()) * NS_PER_SECOND
