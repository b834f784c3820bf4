"""A world for one test; whatever runs in it ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.runner_world import World, configure, strategy

PROBE = '''
from foxtrot.indicators import SMA
from foxtrot.strategy import Strategy

class Probe(Strategy):
    """Buys on bars that close at 1, sells at 2, leaves a limit at 3, cancels at 4, raises at 5."""
    note: str = ""

    def on_start(self):
        self.bars, self.ticks, self.fills, self.heard, self.loaded, self.ended = [], [], [], [], {}, False

    def on_bar(self, bar):
        self.bars.append(bar.ts_event)
        price = bar.close_price
        if price == 1: self.buy(1)
        if price == 2: self.sell(1)
        if price == 3: self.buy(1, 50.0)
        if price == 4: self.cancel_all()
        if price == 5: raise RuntimeError("five")
        if price == 6: self.log("six"); self.buy(1, 50.0); raise RuntimeError("six")

    def on_tick(self, tick):
        self.ticks.append(tick.ts_event)

    def on_order(self, order):
        self.heard.append((order.vt_orderid, str(order.status)))

    def on_trade(self, trade):
        self.fills.append(trade.vt_tradeid)

    def on_stop(self):
        self.ended = True

    def on_save(self):
        return {"fills": self.fills, "bars": self.bars}

    def on_load(self, state):
        self.loaded = dict(state)
        self.fills = list(state["fills"])
        self.bars = list(state["bars"])

class Warm(Probe):
    def on_start(self):
        super().on_start()
        self.sma = self.indicator(SMA(3))
'''

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    """Makes a world with strategies of the class ``Probe`` (file ``probe.py``), by name and further settings."""
    made: list[World] = []
    (tmp_path / "probe.py").write_text(PROBE)

    def make(*names: str, adapter: str = "", path: str = "probe.py:Probe", **more: str) -> World:
        parts = [strategy(name, path, more.get(name, "")) for name in names or ("s",)]
        world = World(configure(tmp_path, *parts, adapter=adapter))
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: MakeWorld) -> Any:
    """A world with one strategy, ``s``."""
    return make_world()
