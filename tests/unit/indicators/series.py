"""Series and indicators that the tests of this folder share."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foxtrot.indicators import (
    ADX,
    ATR,
    CCI,
    EMA,
    MACD,
    OBV,
    ROC,
    RSI,
    SMA,
    VWAP,
    WMA,
    BollingerBands,
    DonchianChannel,
    Highest,
    Indicator,
    Lowest,
    RollingSum,
    SessionVWAP,
    StdDev,
    Stochastic,
    WilliamsR,
)

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
Columns = dict[str, np.ndarray]

MAKERS: list[Callable[[], Indicator]] = [
    lambda: SMA(1),
    lambda: SMA(10),
    lambda: SMA(37),
    lambda: RollingSum(7),
    lambda: WMA(1),
    lambda: WMA(9),
    lambda: EMA(1),
    lambda: EMA(12),
    lambda: EMA(12, warmup=20),
    lambda: EMA(12, seed="first"),
    lambda: EMA(12, seed="first", warmup=12),
    MACD,
    lambda: MACD(3, 5, 2),
    lambda: StdDev(1),
    lambda: StdDev(20),
    lambda: StdDev(5, ddof=1),
    BollingerBands,
    lambda: BollingerBands(5, 1.5, ddof=1),
    lambda: DonchianChannel(20),
    lambda: Highest(1),
    lambda: Highest(13),
    lambda: Lowest(13),
    lambda: ATR(1),
    lambda: ATR(14),
    lambda: RSI(1),
    lambda: RSI(14),
    lambda: RSI(14, warmup=30),
    lambda: RSI(14, smoothing="ewm"),
    lambda: RSI(5, smoothing="ewm", warmup=9),
    Stochastic,
    lambda: Stochastic(5, 1, 3),
    lambda: Stochastic(1, 1, 1),
    WilliamsR,
    lambda: CCI(1),
    lambda: CCI(20),
    lambda: CCI(20, deviation="rolling"),
    lambda: ROC(1),
    lambda: ROC(10),
    lambda: ADX(2),
    lambda: ADX(14),
    OBV,
    VWAP,
    lambda: VWAP(10),
    SessionVWAP,
    lambda: SessionVWAP("America/New_York", dt.time(9, 30)),
    lambda: SMA(4).on("volume"),
]


def random_bars(seed: int, rows: int, tick: float = 0.01, start: float = 100.0) -> Columns:
    """Bars on a price grid, with flat stretches, bars without range and minutes without volume."""
    random = np.random.default_rng(seed)
    moves = random.integers(-3, 4, rows) * (random.random(rows) < 0.7)
    close = np.round(start / tick + np.cumsum(moves)) * tick
    high = close + random.integers(0, 4, rows) * tick
    low = close - random.integers(0, 4, rows) * tick
    return {
        "ts_open": 1.7e18 + np.arange(rows) * 3_600e9,
        "high_price": high,
        "low_price": low,
        "close_price": close,
        "volume": np.where(random.random(rows) < 0.3, 0.0, random.integers(1, 900, rows)),
    }


def real_bars(name: str = "equities/us_daily/spy.csv", rows: int = 5_000) -> Columns:
    """Real daily bars, or a skipped test where the sibling folder is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the folder of sample data is absent: {DATA}")
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))[:rows]
    columns = {
        f"{field}_price": np.array([float(row[field]) for row in table])
        for field in ("open", "high", "low", "close")
    }
    columns["volume"] = np.array([float(row["volume"]) for row in table])
    days = np.array([row["timestamp"][:10] for row in table], dtype="datetime64[ns]")
    columns["ts_open"] = days.astype(np.int64).astype(np.float64)
    return columns


def inputs_of(indicator: Indicator, columns: Columns) -> list[np.ndarray]:
    return [columns[name] for name in indicator.inputs]


def streamed(indicator: Indicator, columns: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs after each row, by ``update``."""
    rows = []
    for row in zip(*(column.tolist() for column in columns), strict=True):
        indicator.update(*row)
        rows.append([getattr(indicator, name) for name in indicator.outputs])
    return [np.array(output) for output in zip(*rows, strict=True)]


def state(indicator: Indicator) -> str:
    """Everything in an indicator and its parts, floats to the last bit, as text."""
    parts = []
    for name, held in sorted(vars(indicator).items()):
        told = state(held) if isinstance(held, Indicator) else repr(held)
        parts.append(f"{name}={told}")
    return f"{type(indicator).__name__}({', '.join(parts)})"
