"""A strategy that is under load and keeps books of its own; loaded by path into runners that are killed.

Each bar brings a market order, every fourth one a limit far away in place of the last; each fill of a bar's order
brings an order the other way. What it decides and hears goes into chains of digests, so that its state
stays small and says afterwards whether anything was missed, doubled or out of order.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from foxtrot.core.constants import Direction
from foxtrot.core.objects import BarData, TradeData
from foxtrot.strategy import Strategy

EMPTY = ""


def link(chain: str, name: str) -> str:
    """A chain of digests, one name longer."""
    return hashlib.sha256(f"{chain}/{name}".encode()).hexdigest()


class Diligent(Strategy):
    """An order for each bar and one for each fill of those."""

    def on_start(self) -> None:
        self.bars = self.count = 0
        self.decided = self.filled = EMPTY
        self.resting = ""

    def on_bar(self, bar: BarData) -> None:
        self.bars += 1
        send = self.buy if self.bars % 2 else self.short
        self.note(send(2, reference=f"bar {self.bars}"))
        if self.bars % 4 == 0:
            if self.resting and any(o.vt_orderid == self.resting for o in self.orders()):
                self.cancel_order(self.resting)
            price = self.round_price(bar.close_price / 2)
            self.resting = self.buy(1, price, reference=f"rest {self.bars}")
            self.note(self.resting)

    def on_trade(self, trade: TradeData) -> None:
        self.count += 1
        self.filled = link(self.filled, trade.vt_tradeid)
        if trade.reference.startswith("bar"):
            send = self.short if trade.direction is Direction.LONG else self.buy
            self.note(send(1, reference=f"fill {trade.vt_tradeid}"))

    def note(self, vt_orderid: str) -> None:
        self.decided = link(self.decided, vt_orderid)

    def on_save(self) -> dict[str, Any]:
        names = ("bars", "count", "decided", "filled", "resting")
        return {name: getattr(self, name) for name in names}

    def on_load(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class Odd(Strategy):
    """Misbehaves while there are files of certain names in a folder.

    ``stuck``: goes round for ever; ``loud``: logs a hundred lines a bar.
    """

    folder: str = ""

    def on_bar(self, bar: BarData) -> None:
        folder = Path(self.folder)
        while (folder / "stuck").exists():
            pass
        if (folder / "loud").exists():
            for number in range(100):
                self.log(f"{number} {'x' * 200}")


class Burst(Strategy):
    """Sends many orders with each bar."""

    size: int = 30

    def on_bar(self, bar: BarData) -> None:
        for number in range(self.size):
            (self.buy if number % 2 else self.short)(1)
