"""The public helpers for tests are themselves tested."""

from __future__ import annotations

from typing import Any

import pytest

import foxtrot.testing
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import NS_PER_MINUTE, Direction, OrderType, Status
from foxtrot.core.errors import DataError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import BarData, OrderData, TickData, TimerData, TradeData
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.strategy import Strategy
from foxtrot.testing import (
    START,
    ScriptedAdapter,
    StrategyHarness,
    make_account,
    make_bar,
    make_bars,
    make_contract,
    make_order,
    make_order_request,
    make_position,
    make_tick,
    make_trade,
)

BUILDERS = [
    make_account,
    make_bar,
    make_contract,
    make_order,
    make_order_request,
    make_position,
    make_tick,
    make_trade,
]


def test_everything_public_is_there() -> None:
    for name in foxtrot.testing.__all__:
        assert getattr(foxtrot.testing, name) is not None


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_a_builder_needs_nothing_and_takes_any_field(build: Any) -> None:
    message = build()
    for name in message.__struct_fields__:
        if name not in ("vt_orderid", "vt_tradeid"):
            assert build(**{name: getattr(message, name)}) is not None


def test_bars_follow_each_other() -> None:
    bars = make_bars([10.0, 12.0, 11.0], volume=5.0)
    assert [(b.open_price, b.high_price, b.low_price, b.close_price) for b in bars] == [
        (10.0, 10.0, 10.0, 10.0),
        (10.0, 12.0, 10.0, 12.0),
        (12.0, 12.0, 11.0, 11.0),
    ]
    assert [b.ts_open for b in bars] == [START + i * NS_PER_MINUTE for i in range(3)]
    assert bars[0].ts_event == bars[1].ts_open
    assert {b.volume for b in bars} == {5.0}


@pytest.mark.parametrize(
    ("build", "fields", "names"),
    [
        (make_bar, {"high_price": 99.0}, "high_price makes no sense"),
        (make_bar, {"low_price": 101.0}, "low_price makes no sense"),
        (make_bar, {"volume": -1.0}, "volume makes no sense"),
        (make_bar, {"ts_event": START}, "ts_event .* makes no sense"),
        (make_bar, {"close_price": float("nan")}, "must be finite"),
        (make_bar, {"vt_symbol": "TEST"}, "vt_symbol 'TEST'"),
        (make_bar, {"volume": "many"}, "Expected `float`, got `str`"),
        (make_tick, {"bid_price_1": 102.0}, "ask_price_1 makes no sense"),
        (make_tick, {"bid_volume_1": -1.0}, "bid_volume_1"),
        (make_contract, {"size": 0.0}, "size makes no sense"),
        (make_contract, {"min_volume": 0.0}, "min_volume makes no sense"),
        (make_contract, {"pricetick": -1.0}, "pricetick makes no sense"),
        (make_order_request, {"volume": 0.0}, "volume makes no sense"),
        (make_order_request, {"direction": "SIDEWAYS"}, "SIDEWAYS"),
        (make_order, {"traded": 11.0}, "traded makes no sense"),
        (make_order, {"vt_orderid": "nodot"}, r"is not ADAPTER\.id"),
        (make_trade, {"volume": -1.0}, "volume makes no sense"),
        (make_trade, {"direction": Direction.NET}, "direction makes no sense"),
        (make_position, {"volume": -1.0, "direction": Direction.LONG}, "volume makes no sense"),
        (make_account, {"balance": float("inf")}, "balance must be finite"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    build: Any, fields: dict[str, Any], names: str
) -> None:
    with pytest.raises(ValueError, match=names):
        build(**fields)


def test_a_price_makes_a_limit_order_and_ids_are_new() -> None:
    assert make_order_request().type is OrderType.MARKET
    assert make_order_request(price=10.0).type is OrderType.LIMIT
    assert make_order(price=0.0).type is OrderType.MARKET
    assert make_order().vt_orderid != make_order().vt_orderid
    assert make_trade().vt_tradeid != make_trade().vt_tradeid


def test_a_scripted_venue_knows_what_it_was_sent() -> None:
    adapter = ScriptedAdapter(EventEngine(SimulatedClock()))
    with pytest.raises(KeyError, match=r"no order SIM\.1 was sent"):
        adapter.report("SIM.1", Status.NOTTRADED)
    adapter.send_order(make_order_request(vt_orderid="SIM.1"))
    assert adapter.report("SIM.1", Status.CANCELLED, reason="x").reason == "x"
    assert adapter.fill("SIM.1", 1.0, 10.0).vt_tradeid == "SIM.1"


# --- the harness ------------------------------------------------------------------------------------------


class Example(Strategy):
    """Buys above a limit, and notes what it sees."""

    limit: float = 11.0

    def on_start(self) -> None:
        self.seen: list[str] = []
        self.set_timer("hourly", 60 * NS_PER_MINUTE)

    def on_stop(self) -> None:
        self.seen.append("stop")

    def on_bar(self, bar: BarData) -> None:
        self.seen.append(f"bar {bar.close_price:g}")
        if bar.close_price > self.limit and not self.position():
            self.buy(2.0)
        if bar.close_price < 0.5:
            raise RuntimeError("too low")

    def on_tick(self, tick: TickData) -> None:
        self.buy(1.0)

    def on_order(self, order: OrderData) -> None:
        self.seen.append(order.status.value)

    def on_trade(self, trade: TradeData) -> None:
        self.seen.append(f"trade {trade.price:g}")

    def on_timer(self, timer: TimerData) -> None:
        self.seen.append("timer")


def test_a_strategy_is_moved_on_by_one_bar_at_a_time() -> None:
    with StrategyHarness(Example, {"limit": 11.5}, account=AccountSettings(1_000.0)) as harness:
        first, second, third = make_bars([11.0, 12.0, 13.0])
        harness.feed(first)
        assert (harness.orders, harness.position().volume) == ([], 0.0)
        harness.feed(second)
        assert [order.status for order in harness.active_orders] == [Status.NOTTRADED]
        harness.feed(third)
        assert harness.position().volume == 2.0
        assert [trade.price for trade in harness.trades] == [12.0]  # the third bar's open
        assert harness.active_orders == []
        assert harness.account().balance == 1_000.0
        seen = harness.strategy.seen  # type: ignore[attr-defined]
    assert seen == [
        "bar 11",
        "bar 12",
        "SUBMITTING",
        "NOTTRADED",
        "ALLTRADED",
        "trade 12",
        "bar 13",
        "stop",
    ]


def test_quotes_fill_at_once_where_the_book_moves_on_ticks() -> None:
    harness = StrategyHarness(Example, on_ticks=True)
    harness.feed(make_tick(99.0, 101.0))
    assert [trade.price for trade in harness.trades] == [101.0]
    harness.feed(make_bar(5.0))  # shown to the strategy, but does not move the book
    assert harness.strategy.seen[-1] == "bar 5"  # type: ignore[attr-defined]
    harness.stop()


def test_timers_fire_as_the_clock_goes_on() -> None:
    harness = StrategyHarness(Example)
    harness.advance(START + 60 * NS_PER_MINUTE)
    assert harness.strategy.seen == ["timer"]  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="the clock stands at 2024-01-02T01:00:00"):
        harness.feed(make_bar())
    harness.stop()


def test_what_a_strategy_raises_comes_out_of_feed() -> None:
    with pytest.raises(RuntimeError, match="too low"), StrategyHarness(Example) as harness:
        harness.feed(make_bar(0.25))


def test_several_instruments_are_kept_apart() -> None:
    contracts = [make_contract("A.LOCAL"), make_contract("B.LOCAL")]
    harness = StrategyHarness(Quiet, contracts=contracts)
    harness.feed(make_bar(1.0, "A.LOCAL"))
    assert harness.position("B.LOCAL").is_flat
    with pytest.raises(DataError, match=r"C\.LOCAL is not listed; contracts: A\.LOCAL, B\.LOCAL"):
        harness.feed(make_bar(1.0, "C.LOCAL"))
    with pytest.raises(DataError, match="no account in EUR"):
        harness.account("EUR")
    harness.stop()


class Quiet(Strategy):
    """Does nothing."""
