"""Hooks, errors, warm-up, timers, saving: the life of a strategy."""

from __future__ import annotations

import numpy as np
import pytest

from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import ConfigError, StrategyError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import BarData, TickData, TimerData
from foxtrot.data import BarGenerator
from foxtrot.indicators import SMA
from foxtrot.strategy import Strategy
from foxtrot.strategy.host import StrategyHost, StrategyState
from tests.unit.strategy.strategy_helpers import (
    MINUTE,
    START,
    A,
    bars,
    contract,
    engine,
    run,
    the,
    ticks,
)


def boom(self, *_):
    raise ZeroDivisionError("boom")


# --- errors


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("on_start", "outside of an event"),
        ("on_stop", "outside of an event"),
        ("on_bar", "on BarData A.LOCAL of 2023-11-14 22:1"),
        ("on_order", "on OrderData "),
        ("on_trade", "on TradeData "),
        ("on_timer", "on TimerData 't'"),
    ],
)
def test_an_error_in_a_hook_ends_the_backtest_with_where_when_and_the_traceback(hook, told) -> None:
    class Fails(Strategy):
        def on_start(self) -> None:
            self.set_timer("t", MINUTE)

        def on_bar(self, bar) -> None:
            self.buy(1)

    def start_and_boom(self):
        Strategy.on_start(self)
        boom(self)

    setattr(Fails, hook, start_and_boom if hook == "on_start" else boom)
    backtest = engine(bars([100.0] * 5))
    backtest.set_strategy(Fails)
    with pytest.raises(StrategyError) as caught:
        backtest.run_backtest()
    text = str(caught.value)
    assert "strategy fails raised ZeroDivisionError: boom" in text
    assert told in text
    assert "at 2023-11-14T22:1" in text
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.__cause__.__traceback__ is not None
    assert backtest.world.hosts[0].state is StrategyState.ERROR


def test_an_error_in_on_tick_and_in_a_generators_callback() -> None:
    class Ticks(Strategy):
        on_tick = boom

    with pytest.raises(StrategyError, match="on TickData"):
        run(Ticks, ticks([100.0] * 3))

    class Generates(Strategy):
        def on_start(self) -> None:
            self.resample(BarGenerator("2m", lambda bar: boom(self)))

    with pytest.raises(StrategyError, match="on BarData"):
        run(Generates, bars([100.0] * 9))


def test_a_failed_run_leaves_no_result_of_the_run_before() -> None:
    class Fails(Strategy):
        bar: int = 100

        def on_bar(self, bar) -> None:
            if self.bar == 0:
                boom(self)

    backtest = engine(bars([100.0] * 5))
    backtest.set_strategy(Fails)
    backtest.run_backtest()
    backtest.calculate_statistics()
    backtest.set_strategy(Fails, {"bar": 0})
    with pytest.raises(StrategyError):
        backtest.run_backtest()
    assert backtest.result is backtest.statistics is None
    with pytest.raises(ConfigError, match="nothing to calculate"):
        backtest.calculate_statistics()


class Counter(Strategy):
    """Counts every call of its own code, and fails where it is told to."""

    fail_on: str = ""

    def on_start(self) -> None:
        self.calls = []
        self.sma = self.indicator(SMA(2))
        self.resample(BarGenerator("1m", lambda bar: self.note("week", bar)))
        self.note("start", None)

    def note(self, name, _message) -> None:
        self.calls.append(name)
        if name == self.fail_on:
            raise ValueError(name)

    def on_bar(self, bar) -> None:
        self.note("bar", bar)

    def on_tick(self, tick) -> None:
        self.note("tick", tick)

    def on_order(self, order) -> None:
        self.note("order", order)

    def on_trade(self, trade) -> None:
        self.note("trade", trade)

    def on_timer(self, timer) -> None:
        self.note("timer", timer)

    def on_stop(self) -> None:
        self.note("stop", None)


def host_of(strategy_class=Counter, on_error=None, **setting):
    """A strategy's runtime without a backtest around it."""
    event_engine = EventEngine(SimulatedClock(START))
    host = StrategyHost(
        strategy_class, "s", setting, event_engine, [contract(adapter_name="SIM")], None, on_error
    )
    return event_engine, host


def publish_everything(event_engine) -> None:
    order = {"vt_orderid": "SIM.s-1", "vt_symbol": A, "direction": "LONG"}
    from foxtrot.core.constants import Direction, OrderType
    from foxtrot.core.objects import OrderData, TradeData

    ts = event_engine.clock.now() + MINUTE
    event_engine.advance(ts)
    for name, message in (
        (events.EVENT_BAR + A, BarData(A, ts - MINUTE, ts, 1, 1, 1, 1)),
        (events.EVENT_TICK + A, TickData(A, ts, 1, 2)),
        (
            events.EVENT_ORDER + "s",
            OrderData(order["vt_orderid"], A, Direction.LONG, OrderType.MARKET, 1.0),
        ),
        (
            events.EVENT_TRADE + "s",
            TradeData("SIM.1", order["vt_orderid"], A, Direction.LONG, 1.0, 1.0, ts),
        ),
        (events.EVENT_STRATEGY + "s.timer", TimerData("t", ts, ts)),
    ):
        event_engine.dispatch(event_engine.topic(name), message)


def test_every_hook_runs_while_running() -> None:
    event_engine, host = host_of()
    publish_everything(event_engine)  # not started: nothing
    host.start()
    publish_everything(event_engine)
    assert host.strategy.calls[0] == "start"
    assert {"bar", "tick", "order", "trade", "timer"} <= set(host.strategy.calls)
    assert host.strategy.is_trading


def test_after_the_stop_no_code_of_the_strategy_runs() -> None:
    event_engine, host = host_of()
    host.start()
    publish_everything(event_engine)
    host.stop()
    assert host.strategy.calls[-1] == "stop"
    count = len(host.strategy.calls)
    publish_everything(event_engine)
    host.stop()
    assert len(host.strategy.calls) == count
    assert host.state is StrategyState.STOPPED
    assert not host.strategy.is_trading
    with pytest.raises(StrategyError, match="not trading"):
        host.strategy.buy(1)


@pytest.mark.parametrize("where", ["bar", "tick", "order", "trade", "timer", "week", "start"])
def test_after_an_error_no_code_of_the_strategy_runs_but_its_view_is_kept_up(where) -> None:
    told = []
    event_engine, host = host_of(
        on_error=lambda host, error, message: told.append((error, message)), fail_on=where
    )
    host.start()
    publish_everything(event_engine)
    publish_everything(event_engine)
    assert host.state is StrategyState.ERROR
    assert str(host.error) == where
    ((error, message),) = told
    assert (str(error), message is None) == (where, where == "start")
    count = len(host.strategy.calls)
    publish_everything(event_engine)
    host.stop()
    assert len(host.strategy.calls) == count
    assert host.strategy.position().volume == 3  # fills go on to be folded


def test_without_an_owner_the_error_goes_on_to_the_event_engine() -> None:
    event_engine, host = host_of(fail_on="bar")
    host.start()
    publish_everything(event_engine)
    assert event_engine.errors == 1


def test_unwired_nothing_is_heard() -> None:
    event_engine, host = host_of()
    host.start()
    host.strategy.set_timer("t", MINUTE)
    host.unwire()
    count = len(host.strategy.calls)
    publish_everything(event_engine)
    assert len(host.strategy.calls) == count
    assert event_engine.clock.timer_names() == ()


@pytest.mark.parametrize("name", ["", "a.b"])
def test_a_name_must_fit_into_a_topic(name) -> None:
    event_engine = EventEngine(SimulatedClock(0))
    with pytest.raises(StrategyError, match="must not be empty nor have a dot"):
        StrategyHost(Strategy, name, {}, event_engine, [contract()])


def test_a_strategy_must_trade_something() -> None:
    with pytest.raises(StrategyError, match="trades nothing"):
        StrategyHost(Strategy, "s", {}, EventEngine(SimulatedClock(0)), [])


# --- warm-up


def test_the_warm_up_feeds_indicators_and_generators_and_calls_no_hook() -> None:
    class Warm(Counter):
        def on_start(self) -> None:
            super().on_start()
            self.trading = []

        def note(self, name, message) -> None:
            super().note(name, message)
            if name == "week":
                self.trading.append(self.is_trading)

        def on_bar(self, bar) -> None:
            super().on_bar(bar)
            self.first = getattr(self, "first", (bar.ts_open, self.sma.value))

    data = bars(np.arange(100.0, 110.0))
    until = START + 4 * MINUTE
    strategy = the(run(Warm, data, warmup_until=until))
    assert strategy.calls.count("bar") == 6
    assert strategy.calls.count("week") == 10
    assert strategy.trading == [False] * 4 + [True] * 6
    assert strategy.first == (until, 103.5)


def test_an_order_while_warming_up_is_refused_with_what_to_ask() -> None:
    class Eager(Strategy):
        def on_start(self) -> None:
            self.buy(1)

    with pytest.raises(StrategyError, match="warming up") as caught:
        run(Eager, bars([100.0] * 5), warmup_until=START + MINUTE)
    assert "is_trading" in str(caught.value)
