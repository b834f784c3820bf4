"""The case index-sma-stock-and-future: the same signals traded as a cash instrument and as a future."""

from __future__ import annotations

import pytest

from foxtrot import Strategy
from foxtrot.core.constants import Product
from foxtrot.core.objects import ContractData
from foxtrot.indicators import SMA, Cross
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel, FeeModel
from tests.golden.backtest_cases import (
    CASES,
    SHARED,
    engine,
    expected_fills,
    fills_of,
    loader,
    needs,
    same_equity,
    same_fills,
)

CASE = CASES / "index-sma-stock-and-future"
DATA = SHARED / "data" / "index" / "eurostoxx50_daily_2006.csv"
SYMBOL = "SX5E.EUREX"
MARGIN = 1000.0

pytestmark = needs(CASE / "expected.json", DATA, CASES / "loader.py")


class IndexSma(Strategy):
    period: int = 15

    def on_start(self) -> None:
        sma = self.indicator(SMA(self.period))
        self.cross = Cross(self.last_price, lambda: sma.value)

    def on_bar(self, bar) -> None:
        crossed = self.cross.update()
        if crossed > 0 and self.position().is_flat and not self.orders():
            self.buy(1)
        elif crossed < 0 and self.position().is_long:
            self.sell(1)


def run(contract, fees):
    backtest = engine()
    backtest.configure(AccountSettings(10_000.0), ExecutionModel(fees=fees))
    backtest.set_strategy(IndexSma)
    backtest.load_data(DATA, contract=contract)
    return backtest, backtest.run_backtest()


@pytest.fixture(scope="module")
def expected():
    return loader().load_expected("index-sma-stock-and-future")


def test_as_a_cash_instrument(expected) -> None:
    backtest, result = run(ContractData(SYMBOL, product=Product.INDEX), FeeModel())
    same_fills(fills_of(result), expected_fills(expected["fills"]), 1e-9)
    same_equity(result, CASE / "equity.csv", "equity_cash_instrument", 0.005)
    published = expected["published"]["cash_instrument"]
    assert result.equity[-1] == pytest.approx(published["final_value"], abs=0.005)
    (account,) = backtest.world.oms.get_all_accounts()
    cash = backtest.world.adapter.exchange.account
    assert (cash.balance - cash.used) / 1e8 == pytest.approx(published["final_cash"], abs=0.005)
    assert account.balance == cash.balance / 1e8


def test_as_a_future(expected) -> None:
    contract = ContractData(
        SYMBOL,
        product=Product.FUTURES,
        size=10.0,
        margin_rate_long=0.025,
        margin_rate_short=0.025,
    )
    fee = expected["commission_future_per_fill"]
    _, result = run(contract, FeeModel(per_unit=fee))
    rows = [{**row, "commission": fee} for row in expected["fills"]]
    same_fills(fills_of(result), expected_fills(rows), 1e-9)
    same_equity(result, CASE / "equity.csv", "equity_future", 0.005)
    published = expected["published"]["future"]
    assert result.equity[-1] == pytest.approx(published["final_value"], abs=0.005)
    # settled daily, all of the equity but the margin posted is cash
    assert result.equity[-1] - MARGIN == pytest.approx(published["final_cash"], abs=0.005)
