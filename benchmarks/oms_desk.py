"""An OMS at work for the benchmarks: the engine of production, a venue that answers at once, a clock and a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.core import events
from foxtrot.core.clock import Clock, SimulatedClock
from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import (
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TradeData,
)
from foxtrot.core.waiter import Waiter
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.oms.requests import order_of
from foxtrot.server.persistence_sqlite import SqlitePersistence

START = 1_700_000_000_000_000_000
SYMBOLS, STRATEGIES = 50, 7
FILL, PART, REST, SILENT = "fill", "part", "rest", "silent"
"""What the venue makes of an order, by the first word of its reference."""

LIVES = {"submitted": SILENT, "filled": FILL}
"""``submitted``: an order until its acknowledgement; ``filled``: also accepted and filled, with all that follows."""

_SHOWN = (
    events.EVENT_ORDER,
    events.EVENT_TRADE,
    events.EVENT_POSITION,
    events.EVENT_ACCOUNT,
)


class Venue(BaseAdapter):
    """Accepts and fills an order as its reference says, while ``send_order`` runs; reports wait in the queue."""

    default_name = "SIM"

    def send_order(self, request: OrderRequest) -> str:  # noqa: D102 - inherits
        fate = request.reference.partition(" ")[0]
        if fate == SILENT:
            return request.vt_orderid
        now = self.event_engine.clock.now()
        working = replace(order_of(request, now), status=Status.NOTTRADED)
        self.on_order(working)
        if fate == REST:
            return request.vt_orderid
        self.on_trade(
            TradeData(
                f"SIM.t-{request.vt_orderid.partition('.')[2]}",
                request.vt_orderid,
                request.vt_symbol,
                request.direction,
                request.price,
                request.volume if fate == FILL else request.volume / 4.0,
                now,
                ts_init=now,
            )
        )
        return request.vt_orderid

    def amend(self, order: OrderData, price: float) -> None:
        """Report that a working order has another price now."""
        self.on_order(replace(order, price=price, ts_event=self.event_engine.clock.now()))

    def connect(self, setting: Mapping[str, Any]) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def subscribe(self, request: SubscribeRequest) -> None: ...  # noqa: D102
    def modify_order(self, request: ModifyRequest) -> None: ...  # noqa: D102
    def cancel_order(self, request: CancelRequest) -> None: ...  # noqa: D102
    def query_account(self) -> None: ...  # noqa: D102
    def query_position(self) -> None: ...  # noqa: D102


class Desk:
    """``MainEngine`` with its OMS on a file, one venue, and somebody who listens to everything it publishes.

    Args:
        path: the database.
        clock: a simulated one by default, so that two runs write the same rows.
        waiter: how the live loop waits.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock | None = None,
        waiter: Waiter | None = None,
        tap: Callable[[SqlitePersistence], object] | None = None,
    ) -> None:
        self.db = SqlitePersistence(path)
        if tap is not None:
            tap(self.db)
        self.event_engine = EventEngine(clock or SimulatedClock(START), waiter=waiter)
        self.main = MainEngine(self.event_engine, persistence=self.db)
        self.oms = self.main.oms
        self.venue = self.main.add_adapter(Venue)
        self.published = 0
        for topic in _SHOWN:
            self.event_engine.subscribe(topic, self._count)

    def open(self) -> Desk:
        """Load the state and have the venue list its contracts."""
        self.oms.load_state()
        for number in range(SYMBOLS):
            self.venue.on_contract(ContractData(symbol(number), pricetick=0.01))
        self.event_engine.drain()
        return self

    def turn(self, requests: Sequence[OrderRequest]) -> None:
        """Queue requests, then handle them and all that follows."""
        submit = self.oms.submit
        for request in requests:
            submit(request, "SIM")
        self.event_engine.drain()

    def close(self) -> None:
        """Let everything go."""
        self.main.close()
        if self.event_engine.errors:
            raise SystemExit(
                f"{self.event_engine.errors} handlers failed: the figures mean nothing"
            )

    def _count(self, _message: object) -> None:
        self.published += 1


def symbol(number: int) -> str:
    return f"SYM{number % SYMBOLS}.NASDAQ"


def request_of(number: int, fate: str, prefix: str = "b") -> OrderRequest:
    """The ``number``-th request of a run: buys and sells in turn, over all instruments and strategies."""
    side = Direction.LONG if number // SYMBOLS % 2 == 0 else Direction.SHORT
    return OrderRequest(
        symbol(number),
        side,
        OrderType.LIMIT,
        100.0,
        101.25,
        strategy=f"strategy{number % STRATEGIES}",
        reference=fate,
        vt_orderid=f"SIM.{prefix}-{number:08}",
    )
