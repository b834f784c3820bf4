"""The newest market data per instrument, as one process has seen it: what marks and collars are read from."""

from __future__ import annotations

from foxtrot.core.objects import BarData, TickData


class MarketRecord:
    """The newest market data of one instrument.

    Whoever delivers it stores bars and ticks alike in ``last``; ``bar`` and ``tick`` are kept by ``MarketView.update``.
    ``arrived`` is when ``last`` came in (ns UTC of this process), 0 where nobody says so.
    """

    __slots__ = ("arrived", "bar", "last", "tick", "vt_symbol")

    def __init__(self, vt_symbol: str) -> None:
        self.vt_symbol = vt_symbol
        self.last: BarData | TickData | None = None
        self.bar: BarData | None = None
        self.tick: TickData | None = None
        self.arrived = 0

    def price(self) -> float:
        """Close of the newest bar or middle of the newest quote; 0 before the first."""
        last = self.last
        if isinstance(last, BarData):
            return last.close_price
        return last.mid_price if last is not None else 0.0

    def ts(self) -> int:
        """When the newest data became known (ns UTC): here, where that was noted, else by its own stamp; 0 before."""
        if self.arrived:
            return self.arrived
        return self.last.ts_event if self.last is not None else 0


class MarketView:
    """Market records by ``vt_symbol``."""

    def __init__(self) -> None:
        self.records: dict[str, MarketRecord] = {}

    def record(self, vt_symbol: str) -> MarketRecord:
        """The record of an instrument, made empty where there is none."""
        record = self.records.get(vt_symbol)
        if record is None:
            record = self.records[vt_symbol] = MarketRecord(vt_symbol)
        return record

    def update(self, message: BarData | TickData, arrived: int = 0) -> None:
        """Take up a bar or tick; register it for ``EVENT_BAR`` and ``EVENT_TICK``.

        Args:
            message: the data.
            arrived: when it came in (ns UTC of this process), where data may be replayed with stamps of another time.
        """
        record = self.record(message.vt_symbol)
        record.last = message
        record.arrived = arrived
        if isinstance(message, BarData):
            record.bar = message
        else:
            record.tick = message

    def price(self, vt_symbol: str) -> float:
        """Newest price of an instrument, 0 where none is known."""
        record = self.records.get(vt_symbol)
        return record.price() if record is not None else 0.0
