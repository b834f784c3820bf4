"""Paper venues for tests: a simulated clock, every report that was made, restarts."""

from __future__ import annotations

import itertools

import numpy as np

from foxtrot.adapter.paper import PaperAdapter
from foxtrot.adapter.replay import ReplayAdapter
from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import Direction, Interval, OrderType
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import CancelRequest, ContractData, OrderRequest
from foxtrot.data.columns import BarColumns, TickColumns

SYMBOL = "A.LOCAL"
CONTRACT = ContractData(SYMBOL, pricetick=0.01)
SECOND = 1_000_000_000
START = 1_704_153_600 * SECOND
TOPICS = {
    events.REPORT_ORDER: "orders",
    events.REPORT_TRADE: "trades",
    events.REPORT_POSITION: "positions",
    events.REPORT_ACCOUNT: "accounts",
    events.REPORT_CONTRACT: "contracts",
    events.REPORT_SNAPSHOT: "snapshots",
    events.EVENT_BAR: "bars",
    events.EVENT_TICK: "ticks",
    events.EVENT_LOG: "logs",
}


class Told:
    """Everything that adapters said, by kind and in all."""

    def __init__(self, engine: EventEngine) -> None:
        self.orders, self.trades, self.positions, self.accounts = [], [], [], []
        self.contracts, self.snapshots, self.bars, self.ticks, self.logs = [], [], [], [], []
        self.all = []
        for topic, name in TOPICS.items():
            engine.subscribe(topic, getattr(self, name).append)
            engine.subscribe(topic, self._keep)

    def _keep(self, message) -> None:
        self.all.append(message)

    def forget(self) -> None:
        for name in (*TOPICS.values(), "all"):
            getattr(self, name).clear()


class Process:
    """What dies with a process: event engine, adapters, and what they said. ``kill`` leaves everything as it is."""

    def __init__(
        self, path=None, *, series=(), contracts=(CONTRACT,), clock=None, setting=None, **options
    ):
        self.clock = clock if clock is not None else SimulatedClock(START)
        self.engine = EventEngine(self.clock)
        self.engine.raise_errors = True
        self.told = Told(self.engine)
        self.replay = ReplayAdapter(self.engine, series=series) if series else None
        self.paper = PaperAdapter(
            self.engine, contracts=contracts, source=self.replay, path=path, **options
        )
        self.paper.connect(setting or {})
        self.engine.drain()
        self.ids = itertools.count(1)

    def send(self, direction=Direction.LONG, volume=1.0, price=0.0, stop=0.0, **fields):
        kinds = {(0, 0): OrderType.MARKET, (1, 0): OrderType.LIMIT, (0, 1): OrderType.STOP}
        request = OrderRequest(
            **{
                "vt_symbol": SYMBOL,
                "direction": direction,
                "type": kinds.get((bool(price), bool(stop)), OrderType.STOP_LIMIT),
                "volume": volume,
                "price": price,
                "trigger_price": stop,
                "strategy": "s",
                "vt_orderid": f"PAPER.s-{next(self.ids)}",
                **fields,
            }
        )
        self.paper.send_order(request)
        self.engine.drain()
        return request

    def cancel(self, vt_orderid):
        self.paper.cancel_order(CancelRequest(vt_orderid))
        self.engine.drain()

    def publish(self, message):
        """Market data from somebody else on the event engine."""
        kind = events.EVENT_BAR if hasattr(message, "ts_open") else events.EVENT_TICK
        self.engine.put_topic(self.engine.topic(kind + message.vt_symbol), message)
        self.engine.drain()

    def snapshot(self):
        self.paper.query_snapshot()
        self.engine.drain()
        return self.told.snapshots[-1]

    def kill(self):
        """End it without a word, as SIGKILL does: only the lock of the file goes."""
        if self.paper._desk is not None:
            self.paper._desk.store._db.close()


def bar_columns(closes, vt_symbol=SYMBOL, *, start=START, length=60 * SECOND):
    closes = np.asarray(closes, dtype=np.float64)
    opens = np.concatenate([closes[:1], closes[:-1]])
    times = start + np.arange(len(closes), dtype=np.int64) * length
    return BarColumns(
        vt_symbol,
        Interval.MINUTE,
        times,
        times + length,
        opens,
        np.maximum(opens, closes) + 0.5,
        np.minimum(opens, closes) - 0.5,
        closes,
        np.full(len(closes), 1000.0),
    )


def tick_columns(bids, vt_symbol=SYMBOL, *, start=START, step=SECOND, spread=0.02):
    bids = np.asarray(bids, dtype=np.float64)
    times = start + np.arange(len(bids), dtype=np.int64) * step
    sizes = np.full(len(bids), 100.0)
    return TickColumns(vt_symbol, times, bids, bids + spread, sizes, sizes)
