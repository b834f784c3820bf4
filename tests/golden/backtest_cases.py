"""What the cases that run a whole backtest have in common: where they are, their loader, and how runs are compared."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from foxtrot import BacktestEngine, EventEngine, MainEngine
from foxtrot.core.constants import NS_PER_DAY, Direction
from foxtrot.core.objects import ns_to_datetime

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CASES = SHARED / "cases"

FIGURES = {
    "# Trades": ("trades", 1.0),
    "Avg. Drawdown [%]": ("average_drawdown", 100.0),
    "Avg. Trade [%]": ("average_trade", 100.0),
    "Best Trade [%]": ("best_trade", 100.0),
    "Buy & Hold Return [%]": ("buy_hold_return", 100.0),
    "Calmar Ratio": ("calmar", 1.0),
    "Equity Final [$]": ("equity_final", 1.0),
    "Equity Peak [$]": ("equity_peak", 1.0),
    "Expectancy [%]": ("expectancy_rate", 100.0),
    "Exposure Time [%]": ("exposure", 100.0),
    "Max. Drawdown [%]": ("max_drawdown", 100.0),
    "Profit Factor": ("profit_factor", 1.0),
    "Return (Ann.) [%]": ("annual_return", 100.0),
    "Return [%]": ("total_return", 100.0),
    "Volatility (Ann.) [%]": ("volatility", 100.0),
    "CAGR [%]": ("cagr", 100.0),
    "SQN": ("sqn", 1.0),
    "Kelly Criterion": ("kelly", 1.0),
    "Sharpe Ratio": ("sharpe", 1.0),
    "Sortino Ratio": ("sortino", 1.0),
    "Win Rate [%]": ("win_rate", 100.0),
    "Worst Trade [%]": ("worst_trade", 100.0),
    "Alpha [%]": ("alpha", 100.0),
    "Beta": ("beta", 1.0),
    "Commissions [$]": ("commissions", 1.0),
}
DURATIONS = {
    "Max. Drawdown Duration": "max_drawdown_duration",
    "Avg. Drawdown Duration": "average_drawdown_duration",
    "Max. Trade Duration": "max_trade_duration",
    "Avg. Trade Duration": "average_trade_duration",
}


def needs(*paths: Path) -> pytest.MarkDecorator:
    """Skip where a file of the case is absent."""
    absent = [str(path) for path in paths if not path.exists()]
    return pytest.mark.skipif(bool(absent), reason=f"not there: {', '.join(absent)}")


def loader() -> ModuleType:
    """The cases' own loader, by its path."""
    spec = importlib.util.spec_from_file_location("case_loader", CASES / "loader.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def engine() -> BacktestEngine:
    """A backtest engine as a user gets one."""
    event_engine = EventEngine()
    return MainEngine(event_engine).add_engine(BacktestEngine)


def day(ts: int) -> str:
    """The day in which a stamp lies, as the cases write it."""
    return ns_to_datetime(ts).strftime("%Y-%m-%dT00:00:00Z")


def fills_of(result) -> list[tuple[str, str, float, float, float]]:
    """Fills as (day of the bar, side, quantity, price, commission); those of one day in order of side and price."""
    fills = []
    for trade in result.trades:
        side = "BUY" if trade.direction is Direction.LONG else "SELL"
        bar = day(
            trade.ts_init - NS_PER_DAY
        )  # made at the bar's close, wherever inside of it it is stamped
        fills.append((bar, side, trade.volume, trade.price, trade.commission))
    return sorted(fills)


def expected_fills(rows) -> list[tuple[str, str, float, float, float]]:
    """The case's fills in the same form."""
    return sorted(
        (r["timestamp"], r["side"], r["quantity"], r["price"], r["commission"]) for r in rows
    )


def same_fills(found, expected, price_tolerance=1e-6) -> None:
    """Trade for trade: day, side, quantity, price and commission."""
    assert [f[:3] for f in found] == [e[:3] for e in expected]
    assert [f[3] for f in found] == pytest.approx([e[3] for e in expected], abs=price_tolerance)
    assert [f[4] for f in found] == pytest.approx([e[4] for e in expected], abs=1e-6)


def same_equity(result, file: Path, column: str, tolerance: float) -> None:
    """Bar for bar."""
    expected = pd.read_csv(file)
    expected = expected[expected[column].notna()]
    found = {
        day(ts - NS_PER_DAY): value
        for ts, value in zip(result.ts.tolist(), result.equity.tolist(), strict=True)
    }
    assert len(expected) > 0
    values = [found[stamp] for stamp in expected["timestamp"]]
    assert values == pytest.approx(expected[column].tolist(), abs=tolerance, rel=0)


def same_statistics(statistics, expected, rel: float) -> None:
    """Every figure that the case has."""
    checked = 0
    for label, (name, factor) in FIGURES.items():
        if label in expected:
            assert getattr(statistics, name) * factor == pytest.approx(
                expected[label], rel=rel, abs=1e-8
            ), label
            checked += 1
    for label, name in DURATIONS.items():
        if label in expected:
            assert getattr(statistics, name) == pd.Timedelta(expected[label]), label
            checked += 1
    others = {"Start", "End", "Duration"}
    assert checked == len(set(expected) - others)
