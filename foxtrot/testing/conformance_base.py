"""What an examination of an adapter is set up with: its hooks, and the orders that it sends."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from unittest import SkipTest

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.core.constants import Direction, Offset, OrderType, Status
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import CancelRequest, OrderRequest
from foxtrot.testing.conformance_desk import ConformanceDesk

LONG = Direction.LONG


class ConformanceBase:
    """Hooks for the adapter's author, and what the tests share.

    Attributes:
        setting: what ``connect`` is given, besides the adapter's ``default_setting``.
        vt_symbol: an instrument that can be traded.
        volume: units of an order; a multiple of the lot.
        resting_price: price of a buy limit that rests, on the tick and far below the market.
        other_price: another one, for a change of price.
        offset: of the orders that open.
        call_limit: seconds that a call may take.
        time_limit: seconds that an answer may take.
        quiet: seconds to wait for what should not come.
        threads_end: whether ``close`` must end all threads.
    """

    setting: Mapping[str, Any] = {}
    vt_symbol = ""
    volume = 1.0
    resting_price = 0.0
    other_price = 0.0
    offset = Offset.NONE
    call_limit = 0.25
    time_limit = 10.0
    quiet = 0.05
    threads_end = True

    desk: ConformanceDesk

    # --- to be written by the adapter's author --------------------------------------------------------------

    def make_adapter(self, event_engine: EventEngine) -> BaseAdapter:
        """Make the adapter; called for each test."""
        raise NotImplementedError("write make_adapter(self, event_engine) to return your adapter")

    def make_event_engine(self) -> EventEngine:
        """Make its dispatcher; by default one with a live clock."""
        return EventEngine()

    def move_market(self, desk: ConformanceDesk) -> None:
        """Called before each look for answers: make prices come where the venue does not by itself."""

    def thin_market(self, desk: ConformanceDesk) -> None:  # noqa: ARG002 - for the author's own
        """Offer less than ``volume`` from now on, so that orders fill in parts."""
        raise SkipTest("write thin_market to have partial fills examined")

    def lose_answers(self, desk: ConformanceDesk) -> None:  # noqa: ARG002 - for the author's own
        """Have the venue not answer from now on, as in a time-out."""
        raise SkipTest("write lose_answers to have unknown outcomes examined")

    @classmethod
    def examine(cls) -> dict[str, str]:
        """Run every test without pytest; tells by name ``passed``, ``skipped: why`` or ``failed: why``."""
        outcomes: dict[str, str] = {}
        for name in sorted(name for name in dir(cls) if name.startswith("test_")):
            suite = cls()
            try:
                suite.setup_method()
                try:
                    getattr(suite, name)()
                finally:
                    suite.teardown_method()
                outcomes[name] = "passed"
            except SkipTest as reason:
                outcomes[name] = f"skipped: {reason}"
            except Exception as error:  # noqa: BLE001 - any failure is told, and the next test runs
                outcomes[name] = f"failed: {type(error).__name__}: {error}"
        return outcomes

    # --- around each test -----------------------------------------------------------------------------------

    def setup_method(self) -> None:
        """Make and connect the adapter."""
        self._threads = threading.active_count()
        engine = self.make_event_engine()
        adapter = self.make_adapter(engine)
        self.desk = ConformanceDesk(
            engine,
            adapter,
            call_limit=self.call_limit,
            time_limit=self.time_limit,
            moving=self.move_market,
        )
        self.connect()

    def teardown_method(self) -> None:
        """Close the adapter."""
        self.desk.adapter.close()

    def connect(self) -> None:
        """Connect, and wait until the instrument is announced."""
        adapter = self.desk.adapter
        self.desk.call(adapter.connect, {**adapter.default_setting, **self.setting})
        self.desk.wait_for(
            lambda: any(c.vt_symbol == self.vt_symbol for c in self.desk.contracts),
            f"the contract {self.vt_symbol!r} to be announced",
        )

    def order(self, direction: Direction = LONG, price: float = 0.0, **fields: Any) -> OrderRequest:
        """A request under a new id: at market, or a limit order where there is a price."""
        return OrderRequest(
            self.vt_symbol,
            direction,
            OrderType.LIMIT if price else OrderType.MARKET,
            self.volume,
            price,
            offset=self.offset,
            strategy="conformance",
            reference="r1",
            vt_orderid=self.desk.new_id(),
            **fields,
        )

    def fill(self, direction: Direction = LONG) -> OrderRequest:
        """Send an order at market and wait until it has filled."""
        request = self.order(direction)
        self.desk.send(request)
        self.desk.wait_for(
            lambda: self.desk.filled(request.vt_orderid) >= request.volume - 1e-9,
            f"the market order {request.vt_orderid} to fill",
        )
        return request

    def rest(self) -> OrderRequest:
        """Send a limit order that rests and wait until it is reported to work."""
        request = self.order(price=self.resting_price)
        self.desk.send(request)
        self.desk.wait_for(
            lambda: any(
                o.status is Status.NOTTRADED for o in self.desk.reports(request.vt_orderid)
            ),
            f"the limit order {request.vt_orderid} to be reported NOTTRADED",
        )
        return request

    def cancel(self, request: OrderRequest) -> None:
        """Cancel a working order and wait for the report."""
        desk = self.desk
        desk.call(desk.adapter.cancel_order, CancelRequest(request.vt_orderid))
        desk.wait_for(
            lambda: desk.reports(request.vt_orderid)[-1].status is Status.CANCELLED,
            f"{request.vt_orderid} to be reported CANCELLED",
        )
