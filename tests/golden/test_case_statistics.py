"""Statistics under the convention "backtesting.py", from the published fills and curves of two cases, to 1e-8."""

import csv
import datetime as dt
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foxtrot.analysis import BacktestResult, PriceSeries, calculate_statistics
from foxtrot.core.constants import NS_PER_DAY, Direction
from foxtrot.core.objects import ContractData, TradeData

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
VT_SYMBOL = "GOOG.NASDAQ"

# Name in the case → field of Statistics and factor.
BACKTESTING_PY = {
    "Exposure Time [%]": ("exposure", 100.0),
    "Equity Final [$]": ("equity_final", 1.0),
    "Equity Peak [$]": ("equity_peak", 1.0),
    "Commissions [$]": ("commissions", 1.0),
    "Return [%]": ("total_return", 100.0),
    "Buy & Hold Return [%]": ("buy_hold_return", 100.0),
    "Return (Ann.) [%]": ("annual_return", 100.0),
    "Volatility (Ann.) [%]": ("volatility", 100.0),
    "CAGR [%]": ("cagr", 100.0),
    "Sharpe Ratio": ("sharpe", 1.0),
    "Sortino Ratio": ("sortino", 1.0),
    "Calmar Ratio": ("calmar", 1.0),
    "Alpha [%]": ("alpha", 100.0),
    "Beta": ("beta", 1.0),
    "Max. Drawdown [%]": ("max_drawdown", 100.0),
    "Avg. Drawdown [%]": ("average_drawdown", 100.0),
    "# Trades": ("trades", 1.0),
    "Win Rate [%]": ("win_rate", 100.0),
    "Best Trade [%]": ("best_trade", 100.0),
    "Worst Trade [%]": ("worst_trade", 100.0),
    "Avg. Trade [%]": ("average_trade", 100.0),
    "Profit Factor": ("profit_factor", 1.0),
    "Expectancy [%]": ("expectancy_rate", 100.0),
    "SQN": ("sqn", 1.0),
    "Kelly Criterion": ("kelly", 1.0),
}
BACKTESTING_PY_TIMES = {
    "Start": "start",
    "End": "end",
    "Duration": "duration",
    "Max. Drawdown Duration": "max_drawdown_duration",
    "Avg. Drawdown Duration": "average_drawdown_duration",
    "Max. Trade Duration": "max_trade_duration",
    "Avg. Trade Duration": "average_trade_duration",
}


def load_prices() -> PriceSeries:
    table = pd.read_csv(SHARED / "data" / "equities" / "goog_daily_2004_2013.csv")
    ts_open = (
        pd.to_datetime(table["timestamp"], utc=True)
        .to_numpy(dtype="datetime64[ns]")
        .astype(np.int64)
    )
    columns = [
        table[name].to_numpy(dtype=np.float64)
        for name in ("open", "high", "low", "close", "volume")
    ]
    return PriceSeries(VT_SYMBOL, ts_open, ts_open + NS_PER_DAY, *columns)


def build_result(case: str, indicators_ready: int) -> tuple[BacktestResult, dict]:
    """Build a result from the fills and the curve of a case, daily bars of date d running from d to d + 1."""
    folder = SHARED / "cases" / case
    if not folder.exists():
        pytest.skip(f"no case at {folder}")
    expected = json.loads((folder / "expected.json").read_text())
    prices = load_prices()
    with (folder / "equity.csv").open() as file:
        equity = np.array([float(row["equity"]) for row in csv.DictReader(file)])
    assert len(equity) == len(prices)
    trades = []
    for number, row in enumerate(expected["fills"]):
        fill = dict(zip(expected["fills_columns"], row, strict=True))
        trades.append(
            TradeData(
                vt_tradeid=f"SIM.{number}",
                vt_orderid=f"SIM.{number}",
                vt_symbol=VT_SYMBOL,
                direction=Direction.LONG if fill["side"] == "BUY" else Direction.SHORT,
                price=fill["price"],
                volume=float(fill["quantity"]),
                ts_event=pd.Timestamp(fill["timestamp"]).value,
                commission=fill["commission"],
                commission_currency="USD",
                strategy="case",
            )
        )
    result = BacktestResult(
        orders=(),
        trades=tuple(trades),
        ts=prices.ts_event,
        equity=equity,
        exposure=None,
        gross=None,
        prices=(prices,),
        contracts={VT_SYMBOL: ContractData(vt_symbol=VT_SYMBOL)},
        capital=float(expected["start_cash"]),
        currency="USD",
        strategies={"case": {}},
        conventions={},
        digest=str,
        events=len(equity),
        run_seconds=0.0,
        first_decision=indicators_ready,
    )
    return result, expected


# The index of the first bar at which every indicator has a value: SMA(30), and SMA(100).
CASES = [("goog-sma-cross", 29), ("goog-weekly-daily-rsi", 99)]


@pytest.mark.parametrize(("case", "ready"), CASES)
def test_every_statistic_of_the_case(case, ready):
    result, expected = build_result(case, ready)

    statistics = calculate_statistics(result, convention="backtesting.py")

    wrong = {}
    for name, value in {**expected.get("published", {}), **expected["stats"]}.items():
        if name in BACKTESTING_PY:
            field, factor = BACKTESTING_PY[name]
            mine = getattr(statistics, field) * factor
            good = math.isclose(mine, value, rel_tol=1e-8)
        else:
            mine = getattr(statistics, BACKTESTING_PY_TIMES[name])
            good = mine == (
                pd.Timestamp(value) if isinstance(mine, dt.datetime) else pd.Timedelta(value)
            )
        if not good:
            wrong[name] = (mine, value)
    assert not wrong


@pytest.mark.parametrize(("case", "ready"), CASES)
def test_every_round_trip_of_the_case(case, ready):
    result, expected = build_result(case, ready)

    trips = result.round_trips

    assert len(trips) == len(expected["trades"])
    assert not trips.open
    for trip, row in zip(trips.closed, expected["trades"], strict=True):
        entry, leave, size, entry_price, exit_price, pnl, rate, commission = row
        assert trip.entry_ts == pd.Timestamp(entry).value
        assert trip.exit_ts == pd.Timestamp(leave).value
        assert trip.volume == abs(size)
        assert (trip.direction == Direction.LONG) == (size > 0)
        assert (trip.entry_price, trip.exit_price) == (entry_price, exit_price)
        assert math.isclose(trip.pnl, pnl, rel_tol=1e-9, abs_tol=1e-8)
        assert math.isclose(trip.return_rate, rate, rel_tol=1e-8, abs_tol=1e-11)
        assert math.isclose(trip.commission, commission, rel_tol=1e-9, abs_tol=1e-9)


def test_commissions_and_drawdown_of_the_house_convention_agree_with_the_case():
    result, expected = build_result("goog-weekly-daily-rsi", 99)

    statistics = calculate_statistics(result)

    assert math.isclose(
        statistics.max_drawdown * 100, expected["stats"]["Max. Drawdown [%]"], rel_tol=1e-8
    )
    assert statistics.annual_days == 252
    assert statistics.start == pd.Timestamp("2004-08-19", tz="UTC")
    assert statistics.end == pd.Timestamp("2013-03-02", tz="UTC")
