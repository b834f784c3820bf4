"""Small results, built by hand."""

import numpy as np

from foxtrot.analysis.result import BacktestResult, PriceSeries
from foxtrot.core.constants import NS_PER_DAY, Direction, Offset
from foxtrot.core.objects import TradeData

MONDAY = 19_723 * NS_PER_DAY  # 2024-01-01
SYMBOL = "ABC.LOCAL"


def business_days(count: int, first: int = MONDAY) -> np.ndarray:
    """Return the opening times (midnight UTC) of so many weekdays from a Monday on."""
    k = np.arange(count)
    return first + (k // 5 * 7 + k % 5) * NS_PER_DAY


def daily_prices(
    closes, symbol: str = SYMBOL, ts_open=None, length: int = NS_PER_DAY
) -> PriceSeries:
    """Return bars that open at the close before, with highs and lows one per cent beyond."""
    close = np.asarray(closes, dtype=np.float64)
    open_ = np.concatenate((close[:1], close[:-1]))
    ts_open = business_days(len(close)) if ts_open is None else np.asarray(ts_open, dtype=np.int64)
    high, low = np.maximum(open_, close) * 1.01, np.minimum(open_, close) * 0.99
    return PriceSeries(
        symbol, ts_open, ts_open + length, open_, high, low, close, np.ones(len(close))
    )


def fill(
    number: int,
    direction: str,
    volume: float,
    price: float,
    ts: int,
    *,
    order: str = "",
    symbol: str = SYMBOL,
    strategy: str = "s",
    commission: float = 0.0,
    slippage: float = 0.0,
    offset: Offset = Offset.NONE,
    currency: str = "",
) -> TradeData:
    """Return one fill, of an order of its own unless told otherwise."""
    return TradeData(
        vt_tradeid=f"SIM.{number}",
        vt_orderid=f"SIM.{order or number}",
        vt_symbol=symbol,
        direction=Direction(direction),
        price=price,
        volume=volume,
        ts_event=ts,
        offset=offset,
        commission=commission,
        commission_currency=currency,
        slippage=slippage,
        strategy=strategy,
    )


def make_result(
    ts=(), equity=(), trades=(), prices=(), capital: float = 1000.0, **changes
) -> BacktestResult:
    """Return a result with these points and fills."""
    fields = {
        "orders": (),
        "trades": tuple(trades),
        "ts": np.asarray(ts, dtype=np.int64),
        "equity": np.asarray(equity, dtype=np.float64),
        "exposure": None,
        "gross": None,
        "prices": tuple(prices),
        "contracts": {},
        "capital": capital,
        "currency": "USD",
        "strategies": {"s": {"class": "Some", "n": 3}},
        "conventions": {"Market orders": "next open"},
        "digest": lambda: "ab" * 32,
        "events": len(ts),
        "run_seconds": 0.5,
    }
    return BacktestResult(**{**fields, **changes})


def curve_result(returns, capital: float = 100_000.0, **changes) -> BacktestResult:
    """Return a result on weekdays whose daily returns are these."""
    equity = capital * np.cumprod(1.0 + np.asarray(returns, dtype=np.float64))
    ts_open = business_days(len(equity))
    return make_result(ts_open + NS_PER_DAY, equity, capital=capital, **changes)
