"""Market data of the workloads: seeded, in columns, on a tick of 0.01, the same on every machine.

Invariant: one seed and one size give the same decimals always, so fills and profit of every runner can be compared to
the cent. Times are ns UTC on a calendar without breaks that begins on 2024-01-01.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.constants import NS_PER_MINUTE, Interval
from foxtrot.data.columns import BarColumns, TickColumns

SEED = 20240101
TICKS_PER_UNIT = 100.0
BEGIN_NS = 1_704_067_200 * 10**9
SIGMA = 5e-4

Ints = NDArray[np.int64]


def one_instrument(rows: int) -> list[BarColumns]:
    """Minute bars of one instrument."""
    return [_bars(np.random.default_rng(SEED), "ONE.LOCAL", rows, 1000.0)]


def many_instruments(count: int, rows: int) -> list[BarColumns]:
    """Minute bars of ``count`` instruments on the same minutes."""
    rng = np.random.default_rng(SEED + 2)
    series = []
    for number in range(count):
        first_price = float(rng.uniform(200.0, 1500.0))
        series.append(_bars(rng, f"N{number:02d}.LOCAL", rows, first_price))
    return series


def quotes(rows: int) -> list[TickColumns]:
    """Best bid and offer of one instrument, a new one about every 100 ms, one to three ticks apart."""
    rng = np.random.default_rng(SEED + 1)
    middle = 1000.0 * np.exp(rng.normal(0.0, 3e-6, rows).cumsum())
    spread = rng.choice(np.array([1, 2, 3]), rows, p=[0.6, 0.3, 0.1])
    bid = np.floor(middle * TICKS_PER_UNIT - spread / 2.0).astype(np.int64)
    bid_volume = rng.integers(1, 500, rows)
    ask_volume = rng.integers(1, 500, rows)
    steps = rng.integers(20_000_000, 180_000_000, rows)
    return [
        TickColumns(
            "ONE.LOCAL",
            (BEGIN_NS + steps.cumsum()).astype(np.int64),
            _prices(bid),
            _prices(bid + spread),
            bid_volume.astype(np.float64),
            ask_volume.astype(np.float64),
        )
    ]


def _bars(rng: np.random.Generator, vt_symbol: str, rows: int, first_price: float) -> BarColumns:
    """A geometric random walk of closes; each open lies a few ticks from the close before it."""
    walk = first_price * np.exp(rng.normal(0.0, SIGMA, rows).cumsum())
    close = np.rint(walk * TICKS_PER_UNIT).astype(np.int64)
    gap = np.rint(rng.normal(0.0, 3.0, rows)).astype(np.int64)
    open_ = np.concatenate((close[:1], close[:-1] + gap[1:]))
    wick = SIGMA * first_price * TICKS_PER_UNIT * 0.5
    above = np.rint(np.abs(rng.normal(0.0, wick, rows))).astype(np.int64)
    below = np.rint(np.abs(rng.normal(0.0, wick, rows))).astype(np.int64)
    volume = np.maximum(40, rng.lognormal(7.0, 0.8, rows)).astype(np.int64)
    ts_open = BEGIN_NS + NS_PER_MINUTE * np.arange(rows, dtype=np.int64)
    return BarColumns(
        vt_symbol,
        Interval.MINUTE,
        ts_open,
        ts_open + NS_PER_MINUTE,
        _prices(open_),
        _prices(np.maximum(open_, close) + above),
        _prices(np.maximum(np.minimum(open_, close) - below, 1)),
        _prices(close),
        volume.astype(np.float64),
    )


def _prices(ticks: Ints) -> NDArray[np.float64]:
    """Ticks as the doubles nearest to their decimals."""
    return np.round(ticks / TICKS_PER_UNIT, 2)
