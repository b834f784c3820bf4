"""What a run of the backtest engine leaves behind: progress, conventions, the equity curve, books that agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foxtrot.core.constants import Direction, Interval
from foxtrot.data.columns import BarColumns
from foxtrot.data.feed import SINGLE_ROWS
from foxtrot.simulation.models import FeeModel, Finalize, SlippageModel
from foxtrot.strategy import Strategy
from tests.unit.server.test_backtester import Flips
from tests.unit.strategy.strategy_helpers import (
    MINUTE,
    START,
    A,
    B,
    at_bars,
    bars,
    engine,
    fills,
    run,
    the,
    ticks,
    walk,
)

ROOT = Path(__file__).resolve().parents[3]


def test_progress_is_told_to_the_last_row() -> None:
    told = []
    rows = 2 * SINGLE_ROWS + 1000
    backtest = engine(bars(walk(rows)))
    backtest.set_strategy(Strategy)
    backtest.run_backtest(lambda done, total, ts: told.append((done, total, ts)))
    assert [done for done, _, _ in told] == [SINGLE_ROWS, 2 * SINGLE_ROWS, rows]
    assert told[-1] == (rows, rows, START + rows * MINUTE)


def test_conventions_and_assumptions_are_told() -> None:
    backtest = engine(bars(walk(30)), capital=5000)
    backtest.set_strategy(Strategy)
    backtest.load_data(bars(walk(30), B), "2023-11-14")
    result = backtest.run_backtest()
    assert result.conventions["Account"] == "5,000.00 USD, counted to 8 decimal places"
    assert "Market orders fill" in result.conventions
    assert result.events == 60


def test_equity_and_statistics_begin_where_the_warm_up_ends() -> None:
    data = bars(walk(100))
    split = START + 40 * MINUTE
    backtest = run(Flips, data, warmup_until=split)
    result, statistics = backtest.result, backtest.calculate_statistics()
    assert len(result.ts) == len(result.equity) == len(result.exposure) == len(result.gross) == 60
    assert result.ts[0] == split + MINUTE
    assert statistics.start.timestamp() * 1e9 == split
    held = data.close_price[-1] / data.open_price[40] - 1.0
    assert statistics.buy_hold_return == pytest.approx(held)
    assert "equity and statistics begin there" in result.conventions["Warm-up"]


def test_the_end_closes_positions_where_asked_and_takes_no_order_after() -> None:
    class Sticky(Strategy):
        def on_bar(self, bar) -> None:
            if not self.position():
                self.buy(1)

        def on_trade(self, trade) -> None:
            if trade.direction is Direction.SHORT:
                self.again = self.buy(1)

    backtest = run(Sticky, ticks(walk(20)), bars(walk(5)), finalize=Finalize.LAST_CLOSE)
    assert backtest.world.adapter.exchange.books[A].position.lots == 0
    last = next(o for o in backtest.result.orders if o.vt_orderid == the(backtest).again)
    assert last.reason == "the data has ended"


def test_the_equity_curve_is_the_account_marked_at_every_bar() -> None:
    model = {"fees": FeeModel(rate=0.001, per_trade=0.3), "slippage": SlippageModel(rate=0.0005)}
    first, second = bars(walk(200)), bars(walk(90, 2), B, step=2 * MINUTE)
    backtest = run(Flips, first, second, contract=None, **model)
    result = backtest.result
    closes = {}
    for data in (first, second):
        for ts, close in zip(data.ts_event.tolist(), data.close_price.tolist(), strict=True):
            closes.setdefault(ts, {})[data.vt_symbol] = close
    cash, held, mark, trades = 100_000.0, {A: 0.0, B: 0.0}, {}, list(result.trades)
    for row, ts in enumerate(sorted(closes)):
        while trades and trades[0].ts_init <= ts:
            trade = trades.pop(0)
            sign = 1 if trade.direction is Direction.LONG else -1
            cash -= sign * trade.price * trade.volume + trade.commission
            held[trade.vt_symbol] += sign * trade.volume
        mark.update(closes[ts])
        worth = sum(held[symbol] * mark[symbol] for symbol in mark)
        assert result.ts[row] == ts
        assert result.equity[row] == pytest.approx(cash + worth, abs=1e-6)
        assert result.gross[row] == pytest.approx(
            sum(abs(held[s]) * mark[s] for s in mark), abs=1e-6
        )
    assert row == len(result.ts) - 1
    assert trades == []


def test_the_equity_of_quotes_is_marked_at_the_last_one_of_each_minute() -> None:
    data = ticks(np.arange(100.0, 112.0))
    backtest = run(at_bars({}), data)
    assert len(backtest.result.ts) == 4  # the last of four quotes has the stamp of the next minute
    assert backtest.result.ts[-1] == data.ts_event[-1]

    class Buys(Strategy):
        def on_tick(self, tick) -> None:
            if not self.position():
                self.buy(2)

    result = run(Buys, data).result
    assert result.equity[-1] == 100_000 + 2 * (111 - 101)
    assert result.exposure.tolist() == [True] * 4


def test_quotes_that_outlast_the_bars_still_count() -> None:
    backtest = run(at_bars({2: lambda s: s.buy(2)}), bars([100.0] * 3), ticks([200.0] * 30))
    result = backtest.result
    assert fills(backtest) == [(2, 201)]
    assert result.ts[-1] > START + 3 * MINUTE
    assert result.equity[-1] == 100_000 - 2


def test_quotes_without_prices_make_an_empty_curve() -> None:
    empty = ticks([0.0] * 3, spread=0.0)
    assert len(run(Strategy, empty).result.ts) == 0


def test_quotes_with_a_last_price_are_marked_by_it_where_a_side_is_missing() -> None:
    data = ticks([100.0] * 8)
    last = np.full(8, 105.0)
    data = type(data)(
        A,
        data.ts_event,
        data.bid_price_1,
        np.zeros(8),
        data.bid_volume_1,
        data.ask_volume_1,
        last_price=last,
        volume=last,
    )
    (series,) = run(Strategy, data).result.prices
    assert set(series.close_price.tolist()) == {105.0}


def test_an_empty_result_of_bars_has_statistics() -> None:
    backtest = run(Strategy, bars(walk(10)))
    assert backtest.calculate_statistics().trades == 0
    assert backtest.statistics is not None
    assert len(backtest.statistics.to_frame()) > 40


def test_bars_keep_their_optional_columns() -> None:
    seen = []
    data = bars(walk(3), open_interest=np.array([1.0, 2.0, 3.0]))
    assert isinstance(data, BarColumns)

    class Looks(Strategy):
        def on_bar(self, bar) -> None:
            seen.append((bar.turnover, bar.open_interest, bar.interval))

    run(Looks, data)
    assert seen == [(0.0, n, Interval.MINUTE) for n in (1.0, 2.0, 3.0)]


@pytest.mark.parametrize("what", ["balance", "position"])
def test_books_that_differ_after_the_run_are_told(what) -> None:
    backtest = run(Flips, bars(walk(50)))
    exchange = backtest.world.adapter.exchange
    backtest.world.check_accounts()
    if what == "balance":
        exchange.account.balance += 1
    else:
        exchange.books[A].position.lots += 1
    from foxtrot.core.errors import StrategyError

    with pytest.raises(StrategyError, match="please report this"):
        backtest.world.check_accounts()
