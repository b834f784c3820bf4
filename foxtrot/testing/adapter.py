"""A venue that does what the test says: it keeps what it is sent, and reports what it is told to report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec.structs import replace

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.core.constants import Status
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import (
    CancelRequest,
    ModifyRequest,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TradeData,
)


class ScriptedAdapter(BaseAdapter):
    """Records requests; ``report`` and ``fill`` play the venue. Reports wait in the event engine's queue.

    Args:
        event_engine: the dispatcher.
        adapter_name: first part of the ids.

    Attributes:
        sent: order requests in order of arrival, as they came.
        modified: changes that were asked for.
        cancelled: cancellations that were asked for.
        failure: raised by the next requests while it is set.
        is_closed: whether ``close`` was called.
    """

    default_name: ClassVar[str] = "SIM"

    def __init__(self, event_engine: EventEngine, adapter_name: str = default_name) -> None:
        super().__init__(event_engine, adapter_name)
        self.sent: list[OrderRequest] = []
        self.modified: list[ModifyRequest] = []
        self.cancelled: list[CancelRequest] = []
        self.subscribed: list[SubscribeRequest] = []
        self.failure: Exception | None = None
        self.is_closed = False
        self._trades = 0

    # --- the venue's side -----------------------------------------------------------------------------------

    def report(self, vt_orderid: str, status: Status, **fields: Any) -> OrderData:
        """Report a state of an order that was sent; ``fields`` are those of ``OrderData``.

        Raises:
            KeyError: no such order was sent.
        """
        request = self._request(vt_orderid)
        now = self.event_engine.clock.now()
        order = OrderData(
            vt_orderid,
            request.vt_symbol,
            request.direction,
            request.type,
            request.volume,
            request.price,
            request.trigger_price,
            status,
            ts_event=now,
            ts_init=now,
        )
        order = replace(order, **fields)
        self.on_order(order)
        return order

    def fill(self, vt_orderid: str, volume: float, price: float, **fields: Any) -> TradeData:
        """Report a fill of an order that was sent; ``fields`` are those of ``TradeData``.

        Raises:
            KeyError: no such order was sent.
        """
        request = self._request(vt_orderid)
        self._trades += 1
        now = self.event_engine.clock.now()
        trade = TradeData(
            f"{self.adapter_name}.{self._trades}",
            vt_orderid,
            request.vt_symbol,
            request.direction,
            price,
            volume,
            now,
            request.offset,
            ts_init=now,
        )
        trade = replace(trade, **fields)
        self.on_trade(trade)
        return trade

    def _request(self, vt_orderid: str) -> OrderRequest:
        for request in self.sent:
            if request.vt_orderid == vt_orderid:
                return request
        raise KeyError(f"no order {vt_orderid} was sent; sent: {self.sent}")

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    # --- the platform's side --------------------------------------------------------------------------------

    def connect(self, setting: Mapping[str, Any]) -> None:
        """Announce nothing: the test does."""

    def close(self) -> None:
        """Note that it was closed."""
        self._fail()
        self.is_closed = True

    def subscribe(self, request: SubscribeRequest) -> None:
        """Keep the request."""
        self.subscribed.append(request)

    def send_order(self, request: OrderRequest) -> str:
        """Keep the request; it counts as sent even where ``failure`` is raised."""
        self.sent.append(request)
        self._fail()
        return request.vt_orderid

    def modify_order(self, request: ModifyRequest) -> None:
        """Keep the request."""
        self.modified.append(request)
        self._fail()

    def cancel_order(self, request: CancelRequest) -> None:
        """Keep the request."""
        self.cancelled.append(request)
        self._fail()

    def query_account(self) -> None:
        """Report nothing: the test does."""

    def query_position(self) -> None:
        """Report nothing: the test does."""
