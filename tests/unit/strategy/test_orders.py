"""What a strategy can send, what is refused before it leaves, and what it then knows."""

from __future__ import annotations

import math

import pytest

from foxtrot.core.constants import Direction, OrderType, Status, TimeInForce
from foxtrot.core.errors import FoxtrotError, OrderError, StrategyError
from foxtrot.indicators import SMA
from foxtrot.simulation.models import FeeModel, IntrabarPath
from foxtrot.strategy import Strategy
from tests.unit.strategy.strategy_helpers import (
    A,
    B,
    at_bars,
    bars,
    contract,
    fills,
    run,
    the,
    walk,
)

FLAT = [100.0] * 6


def refused(call, *data, **options):
    """The error that a call inside of ``on_bar`` raises, as the backtest tells it."""
    with pytest.raises(StrategyError) as caught:
        run(at_bars({1: call}), *(data or (bars(FLAT),)), **options)
    return caught.value.__cause__


# --- what is refused


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.buy(), "exactly one of volume"),
        (lambda s: s.buy(1, cash=5), "exactly one of volume"),
        (lambda s: s.buy(cash=5, equity=1), "exactly one of volume"),
        (lambda s: s.buy(0), "volume must be positive"),
        (lambda s: s.buy(-1), "volume must be positive"),
        (lambda s: s.sell(math.nan), "volume must be positive"),
        (lambda s: s.short(math.inf), "volume must be positive"),
        (lambda s: s.buy(1.5), "1.5"),
        (lambda s: s.buy(equity=150), "fraction of equity"),
        (lambda s: s.buy(1, 100.003), "100.003"),
        (lambda s: s.buy(1, math.nan), "price"),
        (lambda s: s.buy(1, math.inf), "price"),
        (lambda s: s.buy(1, 0.0), "price is missing"),
        (lambda s: s.buy(1, stop=0.0), "trigger_price is missing"),
        (lambda s: s.cover(1, stop=99.999), "trigger_price"),
        (lambda s: s.buy(1, stop_loss=99.999), "stop_loss"),
        (lambda s: s.buy(1, stop_loss=105, take_profit=95), "wrong sides"),
        (lambda s: s.short(1, stop_loss=95, take_profit=105), "wrong sides"),
        (lambda s: s.buy(1, 99, time_in_force=TimeInForce.GTD), "needs expire_ts"),
        (lambda s: s.modify_order("SIM.x-1", price=1.0), "no order 'SIM.x-1'"),
        (lambda s: s.cancel_order("SIM.x-1"), "no order 'SIM.x-1'"),
        (lambda s: s.modify_order(s.buy(1, 99), volume=-1), "volume must be positive"),
        (lambda s: s.modify_order(s.buy(1, 99), price=99.999), "price"),
    ],
)
def test_a_malformed_order_is_refused_where_it_is_sent(call, text) -> None:
    error = refused(call, contract=contract(pricetick=0.01))
    assert isinstance(error, OrderError)
    assert text in str(error)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.buy(1, vt_symbol="X.LOCAL"), "does not trade 'X.LOCAL'; it trades: A.LOCAL"),
        (lambda s: s.history(0), "count must be positive"),
        (lambda s: [s.indicator(SMA(2)) for _ in range(2)], "once, in on_start"),
    ],
)
def test_a_wrong_call_says_what_there_is(call, text) -> None:
    class Wrong(at_bars({1: call})):
        def on_start(self) -> None:
            super().on_start()
            self.again = self.indicator(SMA(3))

    with pytest.raises(StrategyError) as caught:
        run(Wrong, bars(FLAT))
    assert text in str(caught.value.__cause__)


@pytest.mark.parametrize("name", ["buy", "close", "position", "last_price", "contract", "history"])
def test_with_several_instruments_one_must_be_named(name) -> None:
    call = {
        "buy": lambda s: s.buy(1),
        "close": lambda s: s.close(),
        "position": lambda s: s.position(),
        "last_price": lambda s: s.last_price(),
        "contract": lambda s: s.contract(),
        "history": lambda s: s.history(1),
    }[name]
    error = refused(call, bars(FLAT), bars(FLAT, B))
    assert "trades several instruments (A.LOCAL, B.LOCAL); say which by vt_symbol=" in str(error)


def test_a_user_error_of_any_kind_in_order_target_is_one_of_ours() -> None:
    assert isinstance(refused(lambda s: s.order_target(math.nan)), FoxtrotError)
    assert isinstance(refused(lambda s: s.order_target(0.5)), FoxtrotError)


# --- what is sent


@pytest.mark.parametrize(
    ("call", "type_", "direction"),
    [
        (lambda s: s.buy(1), OrderType.MARKET, Direction.LONG),
        (lambda s: s.short(1, 100), OrderType.LIMIT, Direction.SHORT),
        (lambda s: s.sell(1, stop=99), OrderType.STOP, Direction.SHORT),
        (lambda s: s.cover(1, 101, stop=100), OrderType.STOP_LIMIT, Direction.LONG),
    ],
)
def test_prices_make_the_type(call, type_, direction) -> None:
    backtest = run(at_bars({0: call}), bars(FLAT))
    (order,) = backtest.result.orders
    assert (order.type, order.direction) == (type_, direction)
    assert order.vt_orderid == the(backtest).out[0] == "SIM.steps-1"


def test_what_a_strategy_hears_is_the_story_of_its_order() -> None:
    backtest = run(at_bars({0: lambda s: s.buy(2, reference="why")}), bars(FLAT))
    strategy = the(backtest)
    assert [o.status for o in strategy.heard_orders] == [
        Status.SUBMITTING,
        Status.NOTTRADED,
        Status.ALLTRADED,
    ]
    (trade,) = strategy.heard_trades
    assert (trade.reference, trade.strategy, trade.volume) == ("why", "steps", 2)


def test_position_and_orders_are_known_before_the_hook() -> None:
    seen = []

    def on_trade(self, trade) -> None:
        seen.append((self.position().volume, len(self.orders()), bool(self.position())))

    run(at_bars({0: lambda s: s.buy(2)}, on_trade=on_trade), bars(FLAT))
    assert seen == [(2, 0, True)]


def test_close_sends_what_is_held_and_nothing_when_flat() -> None:
    steps = {
        0: lambda s: s.close(),
        1: lambda s: s.short(3),
        3: lambda s: s.close(reference="out"),
        5: lambda s: s.close(),
    }
    backtest = run(at_bars(steps), bars(walk(8)))
    assert [v for v, _ in fills(backtest)] == [-3, 3]
    assert the(backtest).out[0] == the(backtest).out[5] == ""


def test_sell_and_cover_never_open() -> None:
    steps = {0: lambda s: s.sell(1), 1: lambda s: s.buy(2), 3: lambda s: s.sell(5)}
    backtest = run(at_bars(steps), bars(walk(6)))
    assert [v for v, _ in fills(backtest)] == [2, -2]
    assert backtest.result.orders[0].reason == "nothing to close"


def test_order_target_counts_what_is_held_and_what_works() -> None:
    steps = {
        0: lambda s: (s.buy(2, 90.0), s.order_target(5)),  # 3 are missing
        1: lambda s: s.order_target(5),  # held 0, on their way 5
        2: lambda s: s.order_target(-1, 120.0),
        3: lambda s: (s.cancel_all(), s.order_target(3)),
        4: lambda s: s.order_target(3),
    }
    backtest = run(at_bars(steps), bars(FLAT))
    assert [v for v, _ in fills(backtest)] == [3, 4, -4]
    orders = backtest.result.orders
    assert [(o.direction, o.volume) for o in orders[:3]] == [
        (Direction.LONG, 2),
        (Direction.LONG, 3),
        (Direction.SHORT, 6),
    ]
    assert the(backtest).out[1] == ""
    # asked for, but not yet known to be cancelled: 3 held + 2 - 6 are -1, so 4 more are sent
    assert orders[3].volume == 4


def test_protective_orders_do_not_count_as_working_towards_a_target() -> None:
    steps = {0: lambda s: s.buy(2, stop_loss=90), 2: lambda s: s.order_target(2)}
    backtest = run(at_bars(steps), bars(FLAT))
    assert the(backtest).out[2] == ""


def test_cancel_all_and_modify() -> None:
    steps = {
        0: lambda s: s.buy(1, 90),
        1: lambda s: s.modify_order(s.out[0], price=91, volume=2),
        2: lambda s: [s.orders(A)[0].price, len(s.orders("X"))],
        3: lambda s: (s.short(1, 120), s.cancel_all(A)),
    }
    backtest = run(at_bars(steps), bars(FLAT))
    assert the(backtest).out[2] == [91, 0]
    assert [o.status for o in backtest.result.orders] == [Status.CANCELLED] * 2
    assert the(backtest).orders() == []


def test_a_change_can_be_asked_for_before_the_order_was_heard_of() -> None:
    steps = {0: lambda s: s.modify_order(s.buy(1, 90), price=100.0)}
    backtest = run(at_bars(steps), bars(FLAT))
    assert fills(backtest) == [(1, 100)]


def test_an_unsupported_time_in_force_comes_back_rejected() -> None:
    steps = {0: lambda s: s.buy(1, time_in_force=TimeInForce.IOC)}
    backtest = run(at_bars(steps), bars(FLAT))
    assert backtest.result.orders[0].status is Status.REJECTED
    assert the(backtest).orders() == []


def test_rounding_goes_by_the_contract() -> None:
    steps = {
        0: lambda s: (
            s.round_price(100.003, Direction.LONG),
            s.round_price(100.003, Direction.SHORT),
            s.round_volume(2.7),
            s.contract().size,
            s.vt_symbol,
            s.now,
            s.last_price(),
        )
    }
    data = bars(FLAT)
    backtest = run(at_bars(steps), data, contract=contract(pricetick=0.01, size=5))
    assert the(backtest).out[0] == (100.0, 100.01, 2.0, 5.0, A, int(data.ts_event[0]), 100.0)


# --- the local view


class Noise(Strategy):
    """Something of everything, driven by the prices alone."""

    def on_bar(self, bar) -> None:
        n = int(bar.close_price * 100)
        position = self.position()
        if n % 7 == 0:
            self.cancel_all()
        if n % 3 == 0:
            self.buy(1 + n % 4, stop_loss=bar.close_price - 1, take_profit=bar.close_price + 0.7)
        elif n % 5 == 0:
            self.short(1 + n % 3, bar.close_price + 0.2, stop_loss=bar.close_price + 1.0)
        elif n % 11 == 0:
            self.buy(2, stop=bar.close_price + 0.3)
        elif position and n % 13 == 0:
            self.close()
        elif n % 17 == 0:
            self.order_target(-5)


def test_the_local_view_equals_the_oms_and_the_venue_at_the_end() -> None:
    fees = FeeModel(rate=0.0003, minimum=0.5)
    model = {"fees": fees, "volume_share": 0.002, "intrabar_path": IntrabarPath.HIGH_FIRST}
    backtest = run(Noise, bars(walk(1500)), **model)
    world, view = backtest.world, the(backtest).position()
    (leg,) = world.oms.positions.legs.values()
    book = world.adapter.exchange.books[A]
    assert len(backtest.result.trades) > 300
    assert leg.instrument.lot.to_lots(view.volume) == leg.book.lots == book.position.lots
    assert view.state() == [leg.book.lots, leg.book.cost, leg.book.realized, leg.book.commission]
    assert book.position.cost == leg.book.cost
    working = {o.vt_orderid: o for o in world.oms.get_all_active_orders()}
    mine = {o.vt_orderid: o for o in the(backtest).orders()}
    assert mine == working
    assert {o.request.vt_orderid for o in book.orders} == set(working)
    assert backtest.result.equity[-1] == pytest.approx(
        100_000
        + view.realized_pnl
        + view.unrealized_pnl(backtest.result.prices[0].close_price[-1])
        - view.commission,
        abs=1e-6,
    )


def test_a_position_tells_of_itself() -> None:
    steps = {0: lambda s: s.short(2)}
    position = the(run(at_bars(steps), bars([100, 101, 101]))).position()
    assert (position.is_short, position.is_long, position.is_flat) == (True, False, False)
    assert (position.price, position.unrealized_pnl(99)) == (100, 2)
    assert repr(position) == "StrategyPosition(A.LOCAL, -2 @ 100)"
