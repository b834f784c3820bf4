"""What a strategy is served with: timers, history, saving, a log."""

from __future__ import annotations

import logging

import numpy as np

from foxtrot.core import events
from foxtrot.strategy import Strategy
from tests.unit.strategy.strategy_helpers import (
    MINUTE,
    START,
    A,
    B,
    at_bars,
    bars,
    fills,
    run,
    the,
    ticks,
    walk,
)
from tests.unit.strategy.test_life import host_of, publish_everything


def test_timers_in_a_backtest_come_on_their_grid_and_a_gap_is_no_flood() -> None:
    heard = []

    class Timed(Strategy):
        def on_start(self) -> None:
            self.set_timer("t", MINUTE // 2)
            self.set_timer("late", MINUTE, start=START + 10 * MINUTE)
            self.set_timer("never", MINUTE)
            self.cancel_timer("never")

        def on_timer(self, timer) -> None:
            heard.append((timer.name, (timer.ts_due - START) / MINUTE))
            assert self.now >= timer.ts_due

    first, second = bars([100.0] * 2), bars([100.0] * 2, start=START + 1000 * MINUTE)
    joined = type(first)(
        A,
        first.interval,
        *(
            np.concatenate((getattr(first, n), getattr(second, n)))
            for n in (
                "ts_open",
                "ts_event",
                "open_price",
                "high_price",
                "low_price",
                "close_price",
                "volume",
            )
        ),
    )
    run(Timed, joined)
    assert [due for name, due in heard if name == "t"] == [1.0, 2.0, 1001.0, 1002.0]
    assert [due for name, due in heard if name == "late"] == [1001.0, 1002.0]
    assert {name for name, _ in heard} == {"t", "late"}


def test_an_order_of_a_timer_fills_no_earlier_than_the_next_open() -> None:
    class Timed(Strategy):
        def on_start(self) -> None:
            self.set_timer("t", MINUTE, start=START + MINUTE + 1)

        def on_timer(self, timer) -> None:
            self.cancel_timer("t")
            self.buy(1)

    backtest = run(Timed, bars([100.0, 101.0, 102.0, 103.0]))
    (trade,) = backtest.result.trades
    assert (trade.price, trade.ts_event) == (101.0, START + 2 * MINUTE)


# --- history


def test_history_never_shows_what_is_not_known() -> None:
    seen = []

    class Past(Strategy):
        def on_start(self) -> None:
            assert self.history(5) == []

        def on_bar(self, bar) -> None:
            past = self.history(3)
            seen.append(len(past))
            assert past[-1] == bar
            assert all(b.ts_event <= self.now for b in past)
            assert self.history(1, interval="1d") == []

    run(Past, bars(walk(6)))
    assert seen == [1, 2, 3, 3, 3, 3]


def test_history_of_another_instrument_and_without_a_source() -> None:
    def look(s):
        return s.history(9, B)

    backtest = run(at_bars({3: look}), bars(walk(6)), bars(walk(3, 2), B, start=START + MINUTE))
    past = the(backtest).out[3]
    assert [b.vt_symbol for b in past] == [B] * len(past)
    assert all(b.ts_event <= START + 4 * MINUTE for b in past)
    _, host = host_of()
    assert host.strategy.history(5) == []


# --- saving


def test_what_is_saved_is_taken_up_again() -> None:
    class Keeps(Strategy):
        seen: int = 0

        def on_save(self):
            return {"seen": self.seen}

        def on_load(self, state) -> None:
            self.seen = state["seen"]

    event_engine, host = host_of(Keeps)
    host.start()
    host.strategy.seen = 7
    host.strategy.buy(1)
    publish_everything(event_engine)
    state = host.save()
    _, other = host_of(Keeps)
    other.start()
    other.load(state)
    assert other.strategy.seen == 7
    assert other.strategy.position().volume == 1
    assert other.strategy.position().price == 1.0
    assert other.strategy.buy(1) == "SIM.s-2"
    assert Strategy.on_save(host.strategy) == {}
    assert Strategy.on_load(host.strategy, {}) is None


def test_logging_goes_out_under_the_strategys_name(caplog) -> None:
    event_engine, host = host_of()
    heard = []
    event_engine.subscribe(events.EVENT_LOG, heard.append)
    host.start()
    with caplog.at_level(logging.INFO, logger="foxtrot.strategy.s"):
        host.strategy.log("hello", logging.WARNING)
    event_engine.drain()
    assert (heard[0].msg, heard[0].level, heard[0].source) == ("hello", logging.WARNING, "s")
    assert caplog.messages == ["hello"]


def test_the_plain_strategy_does_nothing() -> None:
    backtest = run(Strategy, bars(walk(5)), ticks(walk(5)))
    assert fills(backtest) == []
    backtest = run(at_bars({0: lambda s: s.buy(1)}, on_trade=Strategy.on_trade), bars(walk(5)))
    assert len(fills(backtest)) == 1
