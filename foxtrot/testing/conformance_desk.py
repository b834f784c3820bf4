"""One adapter under examination: calls it, keeps what it says, and times each call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sized
from itertools import count
from math import isfinite
from typing import Any, TypeVar

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.core import events
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import (
    AccountData,
    ContractData,
    LogData,
    OrderData,
    OrderRequest,
    PositionData,
    TradeData,
)
from foxtrot.core.venue import VenueSnapshot

T = TypeVar("T")

PAUSE_S = 0.001
"""Between two looks at whether something has come."""


def require(condition: object, text: str) -> None:
    """Fail the examination with what is wrong.

    Raises:
        AssertionError: the condition does not hold.
    """
    if not condition:
        raise AssertionError(text)


class ConformanceDesk:
    """The platform's side of an adapter.

    The event engine's loop does not run by itself: messages wait in its queue until ``pump`` or ``wait_for``, so it is
    known what was said before a call returned.

    Args:
        event_engine: the adapter's.
        adapter: the adapter.
        call_limit: seconds that a call may take.
        time_limit: seconds that an answer may take.
        moving: called before each look, to move the market.

    Attributes:
        orders, trades, positions, accounts, contracts, snapshots, logs: what was said, in order.
        market_data: ticks and bars.
    """

    def __init__(
        self,
        event_engine: EventEngine,
        adapter: BaseAdapter,
        *,
        call_limit: float,
        time_limit: float,
        moving: Callable[[ConformanceDesk], None],
    ) -> None:
        self.event_engine = event_engine
        self.adapter = adapter
        self.orders: list[OrderData] = []
        self.trades: list[TradeData] = []
        self.positions: list[PositionData] = []
        self.accounts: list[AccountData] = []
        self.contracts: list[ContractData] = []
        self.snapshots: list[VenueSnapshot] = []
        self.logs: list[LogData] = []
        self.market_data: list[Any] = []
        self._call_limit = call_limit
        self._time_limit = time_limit
        self._moving = moving
        self._watch = LiveClock()
        self._pause = threading.Event()
        self._numbers: Iterator[int] = count(1)
        self._prefix = f"c{self._watch.now()}"
        for topic, kept in (
            (events.REPORT_ORDER, self.orders),
            (events.REPORT_TRADE, self.trades),
            (events.REPORT_POSITION, self.positions),
            (events.REPORT_ACCOUNT, self.accounts),
            (events.REPORT_CONTRACT, self.contracts),
            (events.REPORT_SNAPSHOT, self.snapshots),
            (events.EVENT_LOG, self.logs),
            (events.EVENT_TICK, self.market_data),
            (events.EVENT_BAR, self.market_data),
        ):
            event_engine.subscribe(topic, kept.append)

    def new_id(self) -> str:
        """An order id that was never used before, at this venue or another."""
        return f"{self.adapter.adapter_name}.{self._prefix}-{next(self._numbers)}"

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a method of the adapter.

        Raises:
            AssertionError: it took longer than it may, or reported before it returned.
        """
        before = self._said()
        began = self._watch.monotonic()
        result = function(*arguments)
        seconds = (self._watch.monotonic() - began) / NS_PER_SECOND
        name = getattr(function, "__qualname__", repr(function))
        require(
            seconds <= self._call_limit,
            f"{name} took {seconds:.3f} s; no method may block (limit {self._call_limit:g} s)",
        )
        require(
            self._said() == before,
            f"{name} had its reports handled before it returned; callbacks only queue",
        )
        return result

    def _said(self) -> int:
        kept: tuple[Sized, ...] = (
            self.orders,
            self.trades,
            self.positions,
            self.accounts,
            self.contracts,
        )
        return sum(len(said) for said in kept) + len(self.snapshots)

    def send(self, request: OrderRequest) -> str:
        """Send an order; it must return the request's id."""
        returned = self.call(self.adapter.send_order, request)
        require(
            returned == request.vt_orderid,
            f"send_order returned {returned!r}; it must return the request's id {request.vt_orderid!r}",
        )
        return returned

    def pump(self) -> None:
        """Move the market once, serve timers, and handle what waits."""
        self._moving(self)
        clock = self.event_engine.clock
        if isinstance(clock, LiveClock):
            clock.fire_due()
        else:
            self.event_engine.advance(clock.now() + NS_PER_SECOND)
        self.event_engine.drain()

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Pump until a condition holds.

        Raises:
            AssertionError: it did not in time; says what was waited for, and what the adapter said last.
        """
        limit = self._watch.monotonic() + int(self._time_limit * NS_PER_SECOND)
        self.pump()
        while not condition():
            require(
                self._watch.monotonic() < limit,
                f"waited {self._time_limit:g} s for {what}; last order report: {self.orders[-1:]}, last fill: "
                f"{self.trades[-1:]}, last log: {self.logs[-1:]}",
            )
            self._pause.wait(PAUSE_S)
            self.pump()

    def settle(self, seconds: float) -> None:
        """Pump for a while, for what should not come to come if it does."""
        limit = self._watch.monotonic() + int(seconds * NS_PER_SECOND)
        while self._watch.monotonic() < limit:
            self.pump()
            self._pause.wait(PAUSE_S)

    # --- what was said --------------------------------------------------------------------------------------

    def reports(self, vt_orderid: str) -> list[OrderData]:
        """The reports of an order, in order."""
        return [order for order in self.orders if order.vt_orderid == vt_orderid]

    def fills(self, vt_orderid: str) -> dict[str, TradeData]:
        """The fills of an order by id: told twice is one fill."""
        return {t.vt_tradeid: t for t in self.trades if t.vt_orderid == vt_orderid}

    def filled(self, vt_orderid: str) -> float:
        """Units of an order that have filled."""
        return sum(trade.volume for trade in self.fills(vt_orderid).values())

    def check_fills(self, request: OrderRequest) -> None:
        """Look through all that was said of an order and its fills.

        Raises:
            AssertionError: it contradicts itself, or the request.
        """
        vt_orderid = request.vt_orderid
        fills = self.fills(vt_orderid)
        told: dict[str, TradeData] = {}
        for trade in self.trades:
            same = told.setdefault(trade.vt_tradeid, trade)
            require(same == trade, f"one fill id for two fills: {same} and {trade}")
        for trade in fills.values():
            require(trade.volume > 0.0 and isfinite(trade.volume), f"volume of {trade}")
            require(isfinite(trade.price) and isfinite(trade.commission), f"figures of {trade}")
            require(trade.ts_event > 0, f"a fill without a stamp: {trade}")
            terms = (trade.vt_symbol, trade.direction)
            require(terms == (request.vt_symbol, request.direction), f"terms of {trade}")
        total = self.filled(vt_orderid)
        require(total <= request.volume + 1e-9, f"{total:g} of {request.volume:g} has filled")
        traded = [order.traded for order in self.reports(vt_orderid)]
        require(traded == sorted(traded), f"traded falls in the reports of {vt_orderid}: {traded}")
        require(
            not traded or traded[-1] <= total + 1e-9,
            f"{vt_orderid} was reported to have traded {traded[-1:]}, its fills add up to {total:g}",
        )

    def check_listed(self, request: OrderRequest, snapshot: VenueSnapshot) -> None:
        """See that a snapshot holds the fills of an order as they were reported.

        Raises:
            AssertionError: one is missing, or differs.
        """
        listed = {trade.vt_tradeid: trade for trade in snapshot.fills}
        since = snapshot.fills_since
        for trade in self.fills(request.vt_orderid).values():
            if since is not None and trade.ts_event >= since:
                require(trade.vt_tradeid in listed, f"not in the snapshot: {trade}")
            same = listed.get(trade.vt_tradeid, trade)
            require(same == trade, f"the snapshot says {same}, the report said {trade}")
