"""Money: what orders need, how large one sized in money becomes, what fills do, and what is left."""

from __future__ import annotations

import pytest

from foxtrot.core.constants import Offset, Status, VolumeMode
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import ContractData
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import FeeModel, SlippageModel
from tests.unit.simulation.sim_helpers import LONG, SYMBOL, Venue

B = "B.LOCAL"
FUTURE = ContractData(SYMBOL, size=10, margin_rate_long=0.1, margin_rate_short=0.2)


def flat(venue, price, vt_symbol=SYMBOL):
    """A bar without any move."""
    venue.bar(price, price, price, price, vt_symbol=vt_symbol)


# --- sizing


@pytest.mark.parametrize(
    ("fees", "lots"),
    [
        (None, 33),
        (FeeModel(rate=0.01), 33),  # 33 x 30 x 1.01 = 999.9
        (FeeModel(rate=0.02), 32),
        (FeeModel(per_unit=1.0), 32),
        (FeeModel(per_trade=11.0), 32),
        (FeeModel(minimum=15.0), 32),
        (FeeModel(taker_rate=0.02), 32),
        (FeeModel(maker_rate=0.02), 33),
    ],
)
def test_all_of_the_equity_pays_price_and_fee(fees, lots) -> None:
    venue = Venue(1000.0, fees=fees or FeeModel())
    order = venue.buy_equity(1.0)
    flat(venue, 30)
    assert venue.fills == [(lots, 30)]
    assert (venue.last(order).volume, venue.last(order).status) == (lots, Status.ALLTRADED)


def test_equity_is_that_of_the_fill_and_counts_other_positions() -> None:
    venue = Venue(1000.0, contracts=[ContractData(SYMBOL), ContractData(B)])
    venue.buy(5)
    flat(venue, 100)
    flat(venue, 140)  # equity 1,200, cash 500
    venue.send(LONG, 0.4, vt_symbol=B, volume_mode=VolumeMode.EQUITY)
    flat(venue, 100, B)
    assert venue.fills[1:] == [(4, 100)]  # 480


def test_a_fraction_of_equity_is_never_more_than_can_be_paid() -> None:
    venue = Venue(1000.0)
    venue.buy(5)
    flat(venue, 100)
    venue.buy_equity(1.0)
    flat(venue, 140)  # equity 1,200; free 500
    assert venue.fills[1:] == [(3, 140)]


def test_cash_buys_that_much_and_leverage_that_many_times_the_equity() -> None:
    venue = Venue(1000.0, leverage=3.0)
    venue.buy(500.0, volume_mode=VolumeMode.CASH)
    flat(venue, 30)
    venue.buy_equity(1.0)
    flat(venue, 30)
    assert venue.fills == [(16, 30), (84, 30)]  # 3,000 of 3,000


def test_sizing_counts_the_slippage_and_the_lot() -> None:
    contract = ContractData(SYMBOL, min_volume=0.01, pricetick=0.5)
    venue = Venue(1000.0, contracts=[contract], slippage=SlippageModel(ticks=2))
    venue.buy_equity(1.0)
    flat(venue, 29)
    assert venue.fills == [(33.33, 30.0)]
    assert venue.trades[0].slippage == pytest.approx(33.33)


def test_tiny_lots_and_coarse_money_can_be_sized() -> None:
    venue = Venue(1000.0, digits=2, contracts=[ContractData(SYMBOL, min_volume=1e-8)])
    venue.buy_equity(1.0)
    flat(venue, 46_000)
    ((volume, _),) = venue.fills
    assert volume == pytest.approx(1000 / 46_000, abs=3e-7)
    assert volume * 46_000 <= 1000.005


@pytest.mark.parametrize("mode", [VolumeMode.CASH, VolumeMode.EQUITY])
def test_too_little_money_for_one_lot_is_a_reason(mode) -> None:
    venue = Venue(100.0)
    order = venue.buy(1.0 if mode is VolumeMode.EQUITY else 50.0, volume_mode=mode)
    flat(venue, 1000)
    assert venue.status(order) is Status.REJECTED
    assert venue.reason(order) == "too little money for one lot at 1000"


def test_a_sized_order_against_the_position_closes_it_and_goes_on() -> None:
    venue = Venue(1000.0)
    venue.buy_equity(1.0)
    flat(venue, 100)
    venue.short_equity(1.5)
    flat(venue, 100)
    assert venue.fills == [(10, 100), (-15, 100)]
    assert (venue.held(), venue.used) == (-5, 500)


# --- margin


def test_what_cannot_be_paid_is_rejected_with_needs_and_free() -> None:
    venue = Venue(1000.0, fees=FeeModel(rate=0.01))
    order = venue.buy(10)
    flat(venue, 100)
    assert venue.status(order) is Status.REJECTED
    assert venue.reason(order) == "insufficient margin: needs 1,010.00 USD, free 1,000.00"
    assert venue.fills == []


def test_an_order_that_can_no_longer_be_paid_after_a_part_is_cancelled() -> None:
    venue = Venue(1000.0, volume_share=0.5)
    order = venue.buy(8)
    venue.bar(100, 100, 100, 100, volume=10)
    venue.bar(200, 200, 200, 200, volume=10)
    assert venue.fills == [(5, 100)]
    assert venue.status(order) is Status.CANCELLED
    assert "needs 600.00 USD, free 500.00" in venue.reason(order)


def test_a_reversal_needs_margin_for_what_it_opens_alone() -> None:
    venue = Venue(1000.0)
    venue.buy(10)
    flat(venue, 100)
    order = venue.short(20)
    flat(venue, 100)
    assert venue.fills == [(10, 100), (-20, 100)]
    venue.buy(30)
    flat(venue, 100)
    assert venue.held() == -10
    assert venue.status(order) is Status.ALLTRADED


def test_a_reversal_that_its_own_loss_makes_too_dear_is_refused() -> None:
    venue = Venue(1000.0)
    venue.buy(10)
    flat(venue, 100)
    order = venue.short(20)
    flat(venue, 60)  # 600 left after the close; the short needs 600: just enough
    assert venue.fills[1:] == [(-20, 60)]
    venue = Venue(1000.0)
    venue.buy(10)
    flat(venue, 100)
    order = venue.short(21)
    flat(venue, 60)
    assert "needs 660.00 USD, free 600.00" in venue.reason(order)


def test_leverage_counts_a_reversals_profit_once() -> None:
    venue = Venue(1000.0, leverage=2.0)
    venue.buy(10)
    flat(venue, 100)
    order = venue.short(50)
    flat(venue, 150)  # equity 1,500: at most 3,000 short, which is 20
    assert "needs 3,000.00 USD, free 1,500.00" in venue.reason(order)
    venue.short(30)
    flat(venue, 150)
    assert venue.held() == -20


def test_closing_is_never_refused_whatever_was_lost() -> None:
    venue = Venue(1000.0)
    venue.short(10)
    flat(venue, 100)
    flat(venue, 300)
    order = venue.cover(10)
    flat(venue, 300)
    assert venue.status(order) is Status.ALLTRADED
    assert venue.balance == -1000
    refused = venue.buy(1)
    flat(venue, 300)
    assert "needs 300.00 USD, free 0.00" in venue.reason(refused)


def test_the_loss_of_a_margined_position_is_no_margin_for_another() -> None:
    """A future that has eaten up the account must not let a further one be opened."""
    venue = Venue(10_000.0, contracts=[FUTURE, ContractData(B)])
    venue.buy(10)  # 10 x 10 x 100: 10,000 of notional, 1,000 of margin
    flat(venue, 100)
    assert venue.used == 1000
    flat(venue, 15)  # 8,500 lost: equity 1,500
    more = venue.buy(50)
    flat(venue, 15)
    assert "needs 750.00 USD, free 500.00" in venue.reason(more)
    other = venue.send(LONG, 6, vt_symbol=B)
    flat(venue, 100, B)
    assert "free 500.00" in venue.reason(other)


def test_the_loss_of_a_short_is_no_money_to_buy_with_and_a_paid_longs_profit_neither() -> None:
    venue = Venue(1000.0, contracts=[ContractData(SYMBOL), ContractData(B)])
    venue.short(4)
    flat(venue, 100)
    flat(venue, 200)
    refused = venue.send(LONG, 3, vt_symbol=B)
    flat(venue, 100, B)
    assert "needs 300.00 USD, free 200.00" in venue.reason(refused)
    venue = Venue(1000.0, contracts=[ContractData(SYMBOL), ContractData(B)])
    venue.buy(8)
    flat(venue, 100)
    flat(venue, 200)
    refused = venue.send(LONG, 3, vt_symbol=B)
    flat(venue, 100, B)
    assert "needs 300.00 USD, free 200.00" in venue.reason(refused)


def test_margin_rates_by_side_and_leverage() -> None:
    venue = Venue(10_000.0, contracts=[FUTURE], leverage=2.0)
    venue.buy(2)
    flat(venue, 100)
    assert venue.used == 100  # 2,000 x 0.1 / 2
    venue.short(4)
    flat(venue, 100)
    assert venue.used == 200  # 2,000 x 0.2 / 2
    venue.exchange.report_account()
    account = venue.accounts[-1]
    assert (account.balance, account.margin, account.available) == (10_000, 200, 9800)


# --- fees


@pytest.mark.parametrize(
    ("fees", "fee"),
    [
        (FeeModel(), 0.0),
        (FeeModel(rate=0.001), 0.2),
        (FeeModel(per_unit=0.05), 0.1),
        (FeeModel(per_trade=1.5), 1.5),
        (FeeModel(minimum=1.0), 1.0),
        (FeeModel(rate=0.01, minimum=1.0), 2.0),
        (FeeModel(rate=0.001, per_unit=0.05, per_trade=1.0), 1.3),
        (FeeModel(taker_rate=0.002, maker_rate=0.001), 0.4),
    ],
)
def test_the_fee_of_a_taking_fill(fees, fee) -> None:
    venue = Venue(fees=fees)
    venue.buy(2)
    flat(venue, 100)
    assert venue.trades[0].commission == pytest.approx(fee)
    assert venue.trades[0].commission_currency == "USD"
    assert venue.balance == pytest.approx(100_000 - fee)


def test_a_makers_rebate_is_paid() -> None:
    venue = Venue(fees=FeeModel(maker_rate=-0.001, taker_rate=0.002))
    venue.buy(2, 99)
    venue.bar(100, 101, 98, 100)
    assert venue.trades[0].commission == pytest.approx(-0.198)
    assert venue.balance == pytest.approx(100_000.198)


def test_fees_are_booked_in_whole_minor_units() -> None:
    venue = Venue(digits=2, fees=FeeModel(rate=0.00123))
    venue.buy(1)
    flat(venue, 100.1)
    assert venue.trades[0].commission == 0.12


@pytest.mark.parametrize(
    "model",
    [
        {"rate": -0.1},
        {"per_unit": float("nan")},
        {"minimum": float("inf")},
        {"maker_rate": float("nan")},
        {"taker_rate": float("inf")},
    ],
)
def test_fee_figures_that_make_no_sense_are_refused(model) -> None:
    with pytest.raises(ConfigError, match=next(iter(model))):
        FeeModel(**model)


# --- slippage


def test_slippage_makes_taking_fills_worse_and_leaves_limits_alone() -> None:
    venue = Venue(
        contracts=[ContractData(SYMBOL, pricetick=0.25, size=2)],
        slippage=SlippageModel(ticks=2, rate=0.01),
    )
    venue.buy(1)
    venue.short(3)
    venue.buy(1, 99)
    venue.short(1, stop=98)
    venue.bar(100, 101, 97, 100)
    assert venue.fills == [(1, 101.5), (-3, 98.5), (1, 99), (-1, 96.52)]
    assert [t.slippage for t in venue.trades] == pytest.approx([3.0, 9.0, 0.0, 2.96])


@pytest.mark.parametrize("model", [{"ticks": -1}, {"rate": float("nan")}, {"rate": 1.0}])
def test_slippage_that_makes_no_sense_is_refused(model) -> None:
    with pytest.raises(ConfigError, match="slippage"):
        SlippageModel(**model)


# --- several strategies


def test_strategies_do_not_steal_each_others_closes() -> None:
    venue = Venue()
    venue.buy(10, strategy="a")
    venue.short(4, strategy="b")
    flat(venue, 100)
    first, second, nothing = (
        venue.sell(10, strategy="a"),
        venue.cover(10, strategy="b"),
        venue.sell(1, strategy="c"),
    )
    flat(venue, 110)
    assert venue.fills == [(10, 100), (-4, 100), (-10, 110), (4, 110)]
    assert venue.last(second).volume == 4
    assert venue.status(first) is Status.ALLTRADED
    assert (venue.status(nothing), venue.reason(nothing)) == (
        Status.CANCELLED,
        "nothing to close",
    )
    assert [venue.held(s) for s in "abc"] == [0, 0, 0]
    assert venue.balance == 100_000 + 100 - 40


def test_a_close_is_not_refused_because_another_strategy_holds_the_opposite() -> None:
    """The account nets a's long against b's short, so a's close opens a short of the account."""
    venue = Venue(1000.0, fees=FeeModel(rate=0.01))
    venue.buy(9, strategy="a")
    flat(venue, 100)
    venue.short(9, strategy="b")
    flat(venue, 100)
    close = venue.sell(9, strategy="a")
    flat(venue, 300)
    assert venue.status(close) is Status.ALLTRADED


def test_two_closes_of_one_position_close_it_once() -> None:
    venue = Venue()
    venue.buy(3)
    flat(venue, 100)
    one, two = venue.sell(2), venue.sell(2)
    flat(venue, 101)
    assert venue.fills[1:] == [(-2, 101), (-1, 101)]
    assert venue.last(two).volume == 1
    assert venue.trades[1].offset is Offset.CLOSE
    assert venue.status(one) is Status.ALLTRADED


@pytest.mark.parametrize("capital", [0.0, -1.0, float("nan")])
def test_an_account_needs_capital(capital) -> None:
    with pytest.raises(ConfigError, match="capital"):
        AccountSettings(capital)
