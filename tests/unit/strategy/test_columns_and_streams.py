"""Indicators computed as whole columns and streamed bar by bar make the same run, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from foxtrot.core.errors import DataError, StrategyError
from foxtrot.data import BarGenerator
from foxtrot.indicators import EMA, MACD, SMA, BollingerBands
from foxtrot.strategy import Strategy
from foxtrot.strategy.leg_handler import LegHandler
from tests.unit.strategy.strategy_helpers import A, B, bars, run, the, ticks, walk


@pytest.fixture
def streamed(monkeypatch):
    """Leave every indicator on the stream, as it is live."""

    def switch():
        monkeypatch.setattr(LegHandler, "use_columns", lambda self: False)

    return switch


class Mixed(Strategy):
    """Reads every kind of indicator, in hooks and in a generator's callback declared before them."""

    def on_start(self) -> None:
        self.shown = []
        self.resample(BarGenerator("5m", self.on_five), A)
        self.fast = self.indicator(SMA(5), A)
        self.slow = self.indicator(EMA(12), A)
        self.macd = self.indicator(MACD(5, 12, 4), A)
        self.bands = self.indicator(BollingerBands(10), A)
        self.turnover = self.indicator(SMA(3).on("turnover"), A)
        self.late = None

    def on_five(self, bar) -> None:
        self.shown.append((bar.close_price, self.fast.value, self.macd.value))

    def on_bar(self, bar) -> None:
        if bar.vt_symbol != A:
            return
        if self.late is None and len(self.shown) == 3:
            self.late = self.indicator(SMA(4), A)
        late = self.late.value if self.late else 0.0
        self.shown.append(
            (self.fast.value, self.fast.previous, self.slow.value, self.macd.signal, late)
        )
        self.shown.append((self.bands.value, self.bands.upper, self.turnover.value))
        if self.fast.previous <= self.slow.previous and self.fast.value > self.slow.value:
            self.order_target(3, vt_symbol=A)
        elif self.fast.value < self.slow.value:
            self.order_target(-2, vt_symbol=A)


@pytest.mark.parametrize(
    "data",
    [
        lambda: [bars(walk(2500))],
        lambda: [bars(walk(700)), bars(walk(900, 2), B)],
        lambda: [bars(walk(300)), ticks(walk(1200, 3))],
        lambda: [bars(walk(300), turnover=np.arange(300.0))],
    ],
    ids=["one", "two instruments", "bars and quotes", "turnover"],
)
@pytest.mark.parametrize("warmup", [None, 1_700_000_040_000_000_000 + 77 * 60_000_000_000])
def test_columns_and_stream_make_the_same_run(data, warmup, streamed) -> None:
    first = run(Mixed, *data(), warmup_until=warmup)
    streamed()
    second = run(Mixed, *data(), warmup_until=warmup)
    assert len(first.result.trades) > 5
    assert first.result.log_sha256 == second.result.log_sha256
    assert repr(the(first).shown) == repr(the(second).shown)
    assert first.result.equity.tobytes() == second.result.equity.tobytes()


def test_an_indicator_on_an_instrument_without_bars_is_refused() -> None:
    class Blind(Strategy):
        def on_start(self) -> None:
            self.indicator(SMA(3))

    with pytest.raises(StrategyError, match="quotes but no bars to feed it"):
        run(Blind, ticks([100.0] * 9))


def test_bars_made_of_quotes_can_feed_one() -> None:
    class Sees(Strategy):
        def on_start(self) -> None:
            self.sma = SMA(2)
            self.resample(
                BarGenerator("1m", lambda bar: self.sma.update(bar.close_price), price="mid")
            )

    strategy = the(run(Sees, ticks(np.arange(100.0, 140.0))))
    assert strategy.sma.ready


def test_a_price_that_is_not_finite_is_told_in_both_forms(streamed) -> None:
    class Sees(Strategy):
        def on_start(self) -> None:
            self.indicator(SMA(2))

    data = bars([100.0, 101.0, np.nan, 102.0])
    with pytest.raises(DataError, match="close_price is nan"):
        run(Sees, data)
    streamed()
    with pytest.raises(StrategyError, match="close_price is nan"):
        run(Sees, data)


def test_the_first_decision_is_the_bar_at_which_every_declared_indicator_has_a_value() -> None:
    class Two(Strategy):
        def on_start(self) -> None:
            self.indicator(SMA(3))
            self.indicator(SMA(7))

    assert run(Two, bars(walk(50))).result.first_decision == 6
    assert run(Strategy, bars(walk(50))).result.first_decision == 0
    until = 1_700_000_040_000_000_000 + 20 * 60_000_000_000
    assert run(Two, bars(walk(50)), warmup_until=until).result.first_decision == 19
    assert run(Two, bars(walk(5))).result.first_decision <= 4
