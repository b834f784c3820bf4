"""The first layer of risk: each limit, global and of a strategy, with its code and figures."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from foxtrot.core.constants import Direction, Offset, OrderType, Status, VolumeMode
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import ModifyRequest
from foxtrot.server.oms.risk import RiskManager
from foxtrot.server.oms.risk_limits import OrderRate, RiskLimits, RiskSettings
from foxtrot.testing import make_account, make_tick
from tests.unit.server.oms_desk import Desk
from tests.unit.server.risk_desk import LONG, SHORT, SYMBOL, RiskDesk, of_strategy


def test_without_limits_everything_passes_and_nothing_is_read() -> None:
    risk = RiskManager()

    assert not risk.active
    assert risk(RiskDesk().request(1e12), object()) == ""  # type: ignore[arg-type]


# --- size and value -------------------------------------------------------------------------------------------


def test_an_order_of_too_many_units_is_denied_with_the_numbers() -> None:
    desk = RiskDesk(max_volume=1_000.0)

    assert desk.ask(1_000) == ""
    assert desk.ask(1_500) == (
        "MAX_VOLUME: 1,500 is more than 1,000 (order of 1,500 AAPL.NASDAQ at 120)"
    )


def test_an_order_of_too_much_value_is_denied_in_its_currency() -> None:
    desk = RiskDesk(max_notional=1_000_000.0)

    assert desk.ask(8_000) == ""
    assert desk.ask(10_000) == (
        "MAX_NOTIONAL: 1,200,000 USD is more than 1,000,000 USD (order of 10,000 AAPL.NASDAQ at 120)"
    )


def test_the_contracts_size_counts_for_its_value() -> None:
    desk = RiskDesk(max_notional=1_000_000.0)
    desk.add_contract("ES.CME", size=50.0)
    desk.quote(5_000, "ES.CME")

    assert desk.ask(4, vt_symbol="ES.CME") == ""
    assert desk.ask(5, vt_symbol="ES.CME").startswith("MAX_NOTIONAL: 1,250,000 USD")


@pytest.mark.parametrize(
    ("direction", "price", "notional"),
    [(LONG, 150.0, "15,000"), (LONG, 100.0, "10,000"), (SHORT, 100.0, "12,000")],
)
def test_an_order_is_worth_its_own_price_and_a_sell_at_least_the_last(
    direction: Direction, price: float, notional: str
) -> None:
    desk = RiskDesk(max_notional=1.0)

    assert f": {notional} USD" in desk.ask(100, price, direction=direction)


def test_limits_may_be_told_apart_by_instrument_and_currency() -> None:
    desk = RiskDesk(
        max_volume={SYMBOL: 100.0, "*.CME": 5.0, "*": 1_000.0},
        max_notional={"USD": 1e6, "JPY": 1e8},
    )
    desk.add_contract("ES.CME")
    desk.add_contract("7203.TSE", currency="JPY")
    for symbol in ("ES.CME", "7203.TSE"):
        desk.quote(100, symbol)

    assert desk.ask(101).startswith("MAX_VOLUME: 101 is more than 100 ")
    assert desk.ask(6, vt_symbol="ES.CME").startswith("MAX_VOLUME: 6 is more than 5 ")
    assert desk.ask(1_001, vt_symbol="7203.TSE").startswith("MAX_VOLUME: 1,001 is more than 1,000")
    assert desk.ask(1_000, vt_symbol="7203.TSE") == ""


def test_what_a_table_of_limits_does_not_name_may_not_be_traded() -> None:
    desk = RiskDesk(max_notional={"EUR": 1e6})

    assert desk.ask(1).startswith('NO_LIMIT: max_notional says nothing of USD; add it, or "*"')


def test_an_order_in_cash_is_worth_that_much_and_sized_at_its_price() -> None:
    desk = RiskDesk(max_notional=5_000.0, max_volume=20.0)

    assert desk.ask(2_400, volume_mode=VolumeMode.CASH) == ""
    assert desk.ask(2_520, volume_mode=VolumeMode.CASH) == (
        "MAX_VOLUME: 21 is more than 20 (order of 2,520 USD of AAPL.NASDAQ at 120)"
    )
    assert (
        RiskDesk(max_notional=5_000.0)
        .ask(6_000, volume_mode=VolumeMode.CASH)
        .startswith("MAX_NOTIONAL: 6,000 USD")
    )


def test_an_order_for_a_part_of_the_equity_is_measured_by_what_the_account_is_worth() -> None:
    desk = RiskDesk(max_volume=500.0)
    assert desk.ask(0.5, volume_mode=VolumeMode.EQUITY).startswith("UNSIZED: the account has no")
    desk.accounts.fold_report(make_account(120_000.0))
    assert desk.ask(0.5, volume_mode=VolumeMode.EQUITY) == ""  # 500 units at 120
    assert desk.ask(0.51, volume_mode=VolumeMode.EQUITY).startswith("MAX_VOLUME: ")
    assert RiskDesk(max_open_orders=1).ask(0.5, volume_mode=VolumeMode.EQUITY) == ""


def test_open_profit_is_part_of_the_equity() -> None:
    desk = RiskDesk(max_volume=500.0)
    desk.accounts.fold_report(make_account(60_000.0))
    desk.fill(1_000.0, price=60.0)  # worth 60,000 more at 120
    assert desk.ask(0.5, volume_mode=VolumeMode.EQUITY) == ""
    assert desk.ask(0.51, volume_mode=VolumeMode.EQUITY).startswith("MAX_VOLUME: ")


def test_closing_for_a_part_of_the_equity_is_as_large_as_what_is_held() -> None:
    desk = RiskDesk(max_volume=50.0)
    desk.fill(60)
    closing: dict[str, Any] = {"direction": SHORT, "reduce_only": True}

    assert desk.ask(1.0, volume_mode=VolumeMode.EQUITY, **closing).startswith(
        "MAX_VOLUME: 60 is more than 50"
    )


# --- prices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "price", "denied"),
    [
        (LONG, 132, False),
        (LONG, 133, True),
        (LONG, 1, False),
        (SHORT, 108, False),
        (SHORT, 107, True),
        (SHORT, 999, False),
    ],
)
def test_the_collar_keeps_a_limit_from_paying_more(
    direction: Direction, price: float, denied: bool
) -> None:
    reason = RiskDesk(price_collar=0.1).ask(1, price, direction=direction)

    assert reason.startswith("PRICE_COLLAR: ") == denied, reason


def test_the_collar_tells_by_how_much() -> None:
    assert RiskDesk(price_collar=0.1).ask(5, 150) == (
        "PRICE_COLLAR: 150 is 25.0000% worse than the last price 120, more than 10.0000% "
        "(order of 5 AAPL.NASDAQ at 150)"
    )


def test_the_passive_collar_keeps_a_limit_from_lying_far_away() -> None:
    desk = RiskDesk(passive_collar=0.2)

    assert desk.ask(1, 96) == ""
    assert "better than the last price" in desk.ask(1, 95)
    assert "better than the last price" in desk.ask(1, 145, direction=SHORT)


def test_a_stop_limit_is_held_against_its_trigger_and_a_stop_against_nothing() -> None:
    desk = RiskDesk(price_collar=0.1, price=0.0)
    stop_limit: dict[str, Any] = {"type": OrderType.STOP_LIMIT, "trigger_price": 200.0}

    assert desk.ask(1, 210, **stop_limit) == ""
    assert "than the trigger 200" in desk.ask(1, 230, **stop_limit)
    assert desk.ask(1, type=OrderType.STOP, trigger_price=200.0) == ""


@pytest.mark.parametrize("price", [0.0, 120.0])
def test_a_stale_or_missing_last_price_refuses_what_needs_it(price: float) -> None:
    desk = RiskDesk(price_collar=0.1, max_price_age=5.0)
    desk.wait(5)
    assert desk.ask(1, price) == ""

    desk.wait(2.5)
    assert desk.ask(1, price) == (
        "STALE_PRICE: the last price of AAPL.NASDAQ, 120, is 7.5 s old, more than 5 s "
        "(order of 1 AAPL.NASDAQ at 120)"
    )
    nothing = RiskDesk(price_collar=0.1, price=0.0)
    assert nothing.ask(1, price).startswith("NO_PRICE: no price of AAPL.NASDAQ is known")


def test_a_price_of_the_future_is_stale_too() -> None:
    desk = RiskDesk(price_collar=0.1)
    desk.clock = type(desk.clock)(desk.clock.now() - 3_600_000_000_000)

    assert "3,600 s ahead of the clock" in desk.ask(1)


def test_a_closing_market_order_gets_out_whatever_the_price() -> None:
    desk = RiskDesk(price_collar=0.1, price=0.0)

    assert desk.ask(1, reduce_only=True, direction=SHORT) == ""
    assert desk.ask(1, direction=SHORT).startswith("NO_PRICE")


def test_a_limit_order_is_valued_without_any_market() -> None:
    desk = RiskDesk(max_notional=1_000.0, price=0.0)

    assert desk.ask(10, 100) == ""
    assert desk.ask(11, 100).startswith("MAX_NOTIONAL: 1,100 USD")
    assert desk.ask(1).startswith("NO_PRICE")


def test_a_collar_works_at_negative_prices() -> None:
    desk = RiskDesk(price_collar=0.1)
    desk.market.update(make_tick(0.0, 0.0, SYMBOL, ts_event=desk.clock.now(), last_price=-30.0))

    assert desk.ask(1, -28) == ""
    assert desk.ask(1, -26).startswith("PRICE_COLLAR")


# --- symbols and sides ----------------------------------------------------------------------------------------


def test_only_listed_symbols_may_be_traded() -> None:
    desk = RiskDesk(symbols=("ES.CME", "*.NASDAQ"))

    assert desk.ask(1) == ""
    assert desk.ask(1, vt_symbol="IBM.NYSE") == (
        "SYMBOL: IBM.NYSE is not among the symbols: ES.CME, *.NASDAQ"
    )


def test_long_only_may_close_what_is_long_and_open_nothing_short() -> None:
    desk = RiskDesk(sides=(LONG,))
    assert desk.ask(1, direction=SHORT).startswith("SIDE: 1 units would be held SHORT")

    desk.fill(10)

    assert desk.ask(10, direction=SHORT) == ""
    assert desk.ask(11, direction=SHORT) == (
        "SIDE: 1 units would be held SHORT, which is not among the sides (order of 11 AAPL.NASDAQ at 120)"
    )
    desk.work(4, direction=SHORT)
    assert desk.ask(7, direction=SHORT).startswith("SIDE: 1 units")
    assert desk.ask(7, direction=SHORT, reduce_only=True) == ""


# --- positions ------------------------------------------------------------------------------------------------


def test_the_position_counts_with_all_that_works_on_its_side() -> None:
    desk = RiskDesk(max_position=100.0)
    desk.fill(50)
    desk.work(30)
    desk.work(500, direction=SHORT)
    desk.work(500, vt_symbol="IBM.NYSE")

    assert desk.ask(20) == ""
    assert desk.ask(21) == (
        "MAX_POSITION: 101 units LONG after all fills is more than 100 (order of 21 AAPL.NASDAQ at 120)"
    )


def test_what_has_filled_of_a_working_order_is_not_counted_twice() -> None:
    desk = RiskDesk(max_position=100.0)
    order = desk.work(80)
    desk.fill(60, vt_orderid=order.vt_orderid)

    assert desk.ask(20) == ""
    assert desk.ask(21).startswith("MAX_POSITION: 101")


def test_a_report_that_is_ahead_of_its_fills_hides_nothing() -> None:
    desk = RiskDesk(max_position=100.0)
    order = desk.work(80)
    desk.orders.fold_report(replace(order, status=Status.PARTTRADED, traded=60.0))

    assert desk.ask(21).startswith("MAX_POSITION: 101")


def test_an_order_that_shrinks_a_position_beyond_the_limit_passes() -> None:
    desk = RiskDesk(max_position=100.0)
    desk.fill(500)

    assert desk.ask(1).startswith("MAX_POSITION: 501")
    assert desk.ask(200, direction=SHORT) == ""
    assert desk.ask(600, direction=SHORT) == ""  # ends 100 short
    assert desk.ask(601, direction=SHORT).startswith("MAX_POSITION: 101 units SHORT")
    assert desk.ask(9_999, direction=SHORT, reduce_only=True) == ""


def test_a_resting_stop_counts_only_as_far_as_it_takes_the_position_away_first() -> None:
    desk = RiskDesk(max_position=100.0)
    desk.fill(100)
    desk.work(100, direction=SHORT, reduce_only=True)

    assert desk.ask(100, direction=SHORT) == ""  # the stop first, then 100 short
    assert desk.ask(101, direction=SHORT).startswith("MAX_POSITION: 101")


def test_an_order_that_cannot_be_measured_makes_the_position_unknown() -> None:
    desk = RiskDesk(max_position=100.0)
    desk.work(0.5, volume_mode=VolumeMode.EQUITY)

    assert desk.ask(1).startswith("UNSIZED: the account has no USD")
    assert desk.ask(1, direction=SHORT) == ""
    desk.accounts.fold_report(make_account(12_000.0))  # 60 units at its limit
    assert desk.ask(40) == ""
    assert desk.ask(41).startswith("MAX_POSITION: 101")


def test_working_cash_counts_at_its_price() -> None:
    desk = RiskDesk(max_position=100.0)
    desk.work(9_600, 0.0, volume_mode=VolumeMode.CASH)  # 80 units at 120

    assert desk.ask(20) == ""
    assert desk.ask(21).startswith("MAX_POSITION: 101")


def test_a_reducing_order_without_a_size_takes_at_most_what_is_held() -> None:
    desk = RiskDesk(max_position=100.0)
    desk.fill(30)
    equity: dict[str, Any] = {"volume_mode": VolumeMode.EQUITY, "reduce_only": True}
    desk.work(1.0, direction=SHORT, **equity)

    assert desk.ask(100, direction=SHORT) == ""
    assert desk.ask(101, direction=SHORT).startswith("MAX_POSITION: 101")


def test_long_and_short_kept_apart_are_limited_each() -> None:
    desk = RiskDesk(max_position=100.0)
    desk.add_contract("rb2510.SHFE", net_position=False)
    desk.quote(3_000, "rb2510.SHFE")
    future: dict[str, Any] = {"vt_symbol": "rb2510.SHFE"}
    desk.fill(90, offset=Offset.OPEN, **future)
    desk.fill(90, direction=SHORT, offset=Offset.OPEN, **future)  # nothing net, 180 in all

    assert desk.ask(10, offset=Offset.OPEN, **future) == ""
    assert desk.ask(11, offset=Offset.OPEN, **future).startswith("MAX_POSITION: 101 units LONG")
    assert desk.ask(90, **future) == ""  # closes the short first
    assert desk.ask(101, **future).startswith("MAX_POSITION: 101 units LONG")
    assert desk.ask(999, direction=SHORT, offset=Offset.CLOSE, **future) == ""
    desk.work(10, offset=Offset.OPEN, **future)
    assert desk.ask(1, offset=Offset.OPEN, **future).startswith("MAX_POSITION: 101 units LONG")


def test_an_offset_means_nothing_where_positions_net() -> None:
    desk = RiskDesk(max_position=100.0)

    assert desk.ask(101, offset=Offset.CLOSE).startswith("MAX_POSITION: 101")


# --- open orders, rate, duplicates ----------------------------------------------------------------------------


def test_no_more_orders_may_work_than_allowed() -> None:
    desk = RiskDesk(max_open_orders=2)
    assert [desk.send(1) for _ in range(2)] == ["", ""]

    assert desk.send(1) == "MAX_OPEN_ORDERS: 3 orders would work, more than 2"

    desk.end(next(iter(desk.orders.active.values())))
    assert desk.send(1) == ""


def test_the_order_rate_is_a_sliding_window() -> None:
    desk = RiskDesk(order_rate=OrderRate(orders=3, seconds=1.0))
    for _ in range(3):
        assert desk.send(1) == ""
        desk.wait(0.25)

    assert desk.send(1) == (
        "ORDER_RATE: 4 orders in 1 s are more than 3; the next may go in 0.25 s"
    )
    desk.wait(0.25)
    assert desk.send(1) == ""
    assert desk.send(1).startswith("ORDER_RATE")


def test_denied_orders_are_not_counted() -> None:
    desk = RiskDesk(order_rate=OrderRate(orders=1), max_volume=10.0)

    assert desk.send(11).startswith("MAX_VOLUME")
    assert desk.send(10) == ""


def test_the_same_order_again_is_denied_for_a_while() -> None:
    desk = RiskDesk(duplicate_window=0.5)
    assert desk.send(10, 120) == ""
    desk.wait(0.2)

    assert desk.send(10, 120) == (
        "DUPLICATE: the same order (LONG 10 AAPL.NASDAQ at 120) was sent 200 ms ago, less than 500 ms"
    )
    assert desk.send(10, 119) == ""
    assert desk.send(11, 120) == ""
    assert desk.send(10, 120, direction=SHORT) == ""
    assert desk.send(10, 120, strategy="other") == ""
    desk.wait(0.3)
    assert desk.send(10, 120) == ""


# --- strategies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "volume", "text"),
    [
        ({"max_volume": 5.0}, 6, "MAX_VOLUME: 6 is more than 5 of strategy sma "),
        ({"max_notional": 600.0}, 6, "MAX_NOTIONAL: 720 USD is more than 600 USD of strategy sma"),
        ({"symbols": ("ES.CME",)}, 6, "SYMBOL: AAPL.NASDAQ is not among the symbols of strategy"),
        (
            {"sides": (SHORT,)},
            6,
            "SIDE: 6 units would be held LONG, which is not among the sides of",
        ),
        ({"max_position": 5.0}, 6, "MAX_POSITION: 6 units LONG after all fills is more than 5 of"),
        (
            {"max_open_orders": 0},
            6,
            "MAX_OPEN_ORDERS: 1 orders would work, more than 0 of strategy",
        ),
    ],
)
def test_a_strategy_has_limits_of_its_own(limits: dict[str, Any], volume: float, text: str) -> None:
    desk = RiskDesk(of_strategy("sma", **limits))

    assert desk.ask(volume, strategy="sma").startswith(text)
    assert desk.ask(volume, strategy="other") == ""


def test_a_strategys_own_limits_never_widen_the_global_ones() -> None:
    settings = RiskSettings(max_volume=5.0, strategies={"sma": RiskLimits(max_volume=10.0)})

    assert "is more than 5 (" in RiskDesk(settings).ask(6, strategy="sma")


def test_rates_and_open_orders_are_counted_for_each_strategy_and_for_all() -> None:
    rate = OrderRate(orders=1)
    own = RiskLimits(order_rate=rate, max_open_orders=1)
    settings = RiskSettings(
        max_open_orders=3, order_rate=OrderRate(orders=3), strategies={"a": own, "b": own}
    )
    desk = RiskDesk(settings)

    assert [desk.send(1, strategy=name) for name in "ab"] == ["", ""]
    assert desk.send(1, strategy="a").startswith(
        "MAX_OPEN_ORDERS: 2 orders would work, more than 1"
    )
    assert desk.send(1, strategy="c") == ""
    assert desk.send(1, strategy="c").startswith(
        "MAX_OPEN_ORDERS: 4 orders would work, more than 3"
    )


def test_a_strategys_position_is_that_of_its_own_fills() -> None:
    desk = RiskDesk(of_strategy("sma", max_position=100.0))
    desk.fill(80, strategy="sma")
    desk.fill(80, strategy="other", direction=SHORT)
    desk.work(10, strategy="sma")
    desk.work(500, strategy="other")

    assert desk.ask(10, strategy="sma") == ""
    assert desk.ask(11, strategy="sma").startswith("MAX_POSITION: 101 units LONG")


def test_limits_on_a_strategys_position_need_to_know_what_it_holds() -> None:
    with pytest.raises(ConfigError, match=r"risk\.strategies\.sma: .*StrategyPositions"):
        RiskManager(of_strategy("sma", max_position=100.0))


# --- changes of working orders --------------------------------------------------------------------------------


def test_a_change_is_held_against_the_limits_as_the_order_that_it_makes() -> None:
    desk = RiskDesk(max_volume=100.0, price_collar=0.1, max_position=150.0)
    desk.fill(60)
    order = desk.work(80, 120.0)

    def change(**fields: Any) -> str:
        denial = desk.risk.check_modify(
            order, ModifyRequest(order.vt_orderid, **fields), desk, desk.clock.now()
        )
        return "" if denial is None else str(denial)

    assert change(volume=90.0) == ""
    assert change(volume=91.0).startswith("MAX_POSITION: 151")
    assert change(volume=101.0).startswith("MAX_VOLUME: 101")
    assert change(price=140.0).startswith("PRICE_COLLAR")
    assert change(volume=1.0) == ""


def test_a_change_that_makes_an_order_smaller_passes_whatever_the_limits() -> None:
    desk = RiskDesk(max_volume=10.0)
    order = desk.work(80, 120.0)

    assert (
        desk.risk.check_modify(order, ModifyRequest(order.vt_orderid, volume=50.0), desk, 0) is None
    )


# --- restart --------------------------------------------------------------------------------------------------


def test_after_a_restart_rates_and_duplicates_are_as_before() -> None:
    limits: dict[str, Any] = {"order_rate": OrderRate(orders=2), "duplicate_window": 0.5}
    before = RiskDesk(**limits)
    before.send(10, 120)
    before.wait(0.25)
    before.send(20, 120)

    after = RiskManager(RiskSettings(**limits))
    after.restore(before.orders.orders.values())

    assert after.window == 1_000_000_000
    for wait in (0.1, 0.2, 0.4, 0.3):
        before.wait(wait)
        for volume in (10, 20, 30):
            request = before.request(volume, 120)
            now = before.clock.now()
            assert after.check(request, before, now) == before.risk.check(request, before, now)


def test_orders_that_were_never_sent_from_here_do_not_count_after_a_restart() -> None:
    desk = RiskDesk(order_rate=OrderRate(orders=1))
    denied = desk.orders.deny(desk.work(1), "MAX_VOLUME: ...")
    external = desk.work(2, strategy="EXTERNAL")
    child = desk.work(3, parent_orderid="SIM.o-1")

    desk.risk.restore([denied, external, child])

    assert desk.ask(1) == ""


# --- in the OMS -----------------------------------------------------------------------------------------------


def test_the_oms_denies_with_the_code_and_never_sends() -> None:
    desk = Desk(risk=RiskManager(RiskSettings(max_volume=5.0)))

    desk.send(volume=6.0, price=100.0)

    order = desk.orders[-1]
    assert order.status is Status.DENIED
    assert order.reason == "MAX_VOLUME: 6 is more than 5 (order of 6 TEST.LOCAL at 100)"
    assert desk.venue.sent == []
