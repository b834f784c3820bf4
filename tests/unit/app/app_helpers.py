"""A small world for tests of the application: strategies in a file, prices in a file, settings in a file."""

from __future__ import annotations

from pathlib import Path

STRATEGIES = '''
from foxtrot.indicators import SMA
from foxtrot.strategy import Strategy


class Flip(Strategy):
    """Long for a few bars, flat for as many."""

    bars: int = 5
    share: float = 0.5

    def on_start(self):
        self.count = 0
        self.averages = [self.indicator(SMA(3), s) for s in self.vt_symbols]

    def on_bar(self, bar):
        self.count += 1
        if self.count % self.bars == 0:
            if self.position(bar.vt_symbol):
                self.close(bar.vt_symbol)
            else:
                self.buy(equity=self.share, vt_symbol=bar.vt_symbol)
        if self.count == 7:
            self.log("seven bars have [passed]")


class Faulty(Strategy):
    """Divides by zero on its 30th bar."""

    count: int = 0

    def on_bar(self, bar):
        self.count += 1
        if self.count == 30:
            self.divide(bar.close_price)

    def divide(self, price):
        return price / (self.count - 30)


class Wrong(Strategy):
    """Sends an order that cannot be."""

    def on_bar(self, bar):
        self.buy(-1)
'''

PRICES = "date,open,high,low,close,volume\n" + "".join(
    f"2024-{1 + day // 28:02d}-{1 + day % 28:02d},{100.5 + day},{102 + day},{99 + day},{101 + day},1000\n"
    for day in range(84)
)

SETTINGS = """\
name = "flip"

[[data]]
path = "prices.csv"
vt_symbol = "TEST.LOCAL"

[[strategy]]
path = "strategies.py:Flip"
setting = { bars = 4 }

[output]
folder = "out"
report = false
"""


def make_world(folder: Path, settings: str = SETTINGS) -> Path:
    """Write strategies, prices and settings into a folder; return the path of the settings."""
    (folder / "strategies.py").write_text(STRATEGIES)
    (folder / "prices.csv").write_text(PRICES)
    path = folder / "job.toml"
    path.write_text(settings)
    return path
