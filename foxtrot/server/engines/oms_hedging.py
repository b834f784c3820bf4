"""The OMS's way with contracts that keep long and short apart (``net_position=False``).

One request becomes one or several orders (``offset_manager``): all are written down in one transaction, then each is
published and sent as an order of its own. The risk check has seen the request as a whole by then, so parts are refused
together or not at all. Contracts that net never come here.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from foxtrot.accounting.offset import OffsetRefused
from foxtrot.core.ids import IdSource
from foxtrot.core.objects import ContractData, OrderData, OrderRequest
from foxtrot.server.engines.oms_publish import OmsPublisher
from foxtrot.server.oms.offset_manager import OffsetManager
from foxtrot.server.oms.order_manager import OrderManager
from foxtrot.server.oms.requests import order_of


class OmsHedging(OmsPublisher):
    """Part of ``OmsEngine``; its state is ``offsets``, and ``hedged``: whether such a contract is known at all."""

    contracts: dict[str, ContractData]
    hedged: bool
    offsets: OffsetManager
    ids: IdSource
    orders: OrderManager

    def follow_hedged(self) -> None:
        """After a restart: find the contracts and orders to look after."""
        self.hedged = any(not contract.net_position for contract in self.contracts.values())
        if self.hedged:
            for order in self.orders.orders.values():
                if self._is_hedged(order.vt_symbol):
                    self.offsets.follow(order)

    def _take_up_hedged(self, contract: ContractData) -> None:
        """Look after a contract that keeps long and short apart, and after the orders of it that were there first."""
        self.hedged = True
        for order in self.orders.active.values():
            if order.vt_symbol == contract.vt_symbol:
                self.offsets.follow(order)

    @abstractmethod
    def _send(self, request: OrderRequest, order: OrderData) -> None:
        """Release a written order to its venue."""

    def _is_hedged(self, vt_symbol: str) -> bool:
        contract = self.contracts.get(vt_symbol)
        return contract is not None and not contract.net_position

    def _in_parts(self, request: OrderRequest) -> tuple[tuple[OrderRequest, ...], str]:
        """The orders to send for a request (none where its contract nets), and why it is refused."""
        if not self._is_hedged(request.vt_symbol):
            return (), ""
        parts = self.offsets.convert(request.vt_orderid.partition(".")[0], request)
        return ((), parts.reason) if isinstance(parts, OffsetRefused) else (parts, "")

    def _place(self, parts: tuple[OrderRequest, ...]) -> None:
        """Write the parts of a request down in one transaction, then send each."""
        now = self.clock.now()
        orders = [order_of(part, now) for part in parts]
        rows: list[tuple[str, Any]] = [("orders/" + order.vt_orderid, order) for order in orders]
        for order in orders:
            self.orders.add(order)
        self._save([*rows, ("counters/oms", self.ids.last)])
        for order in orders:
            self._publish_order(order)
            self._bind(order)
        for part, order in zip(parts, orders, strict=True):
            self._send(part, order)

    def _bind(self, order: OrderData) -> None:
        """Look after an order of such a contract; what it binds of a position shows in that position."""
        if not self._is_hedged(order.vt_symbol):
            return
        self.offsets.follow(order)
        leg = self.offsets.leg_closed_by(order)
        if leg is not None:
            self._publish_position(leg)
