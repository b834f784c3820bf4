"""The OMS's way with contracts that keep long and short apart (``net_position=False``).

One request becomes one or several orders (``offset_manager``): all are written down in one transaction, then each is
published and sent as an order of its own. The risk check has seen the request as a whole by then, so parts are refused
together or not at all. Contracts that net never come here.
"""

from __future__ import annotations

from abc import abstractmethod

from foxtrot.accounting.offset import OffsetRefused
from foxtrot.core.objects import ContractData, OrderData, OrderRequest
from foxtrot.server.engines.oms_base import OmsBase
from foxtrot.server.oms.requests import order_of, request_digest


class OmsHedging(OmsBase):
    """Part of ``OmsEngine``; its state is ``offsets``, and ``hedged``: whether such a contract is known at all."""

    def follow_hedged(self) -> None:
        """After a restart: find the contracts and orders to look after.

        Orders that ended before all their fills came are named by rows ``unsettled/<vt_orderid>``.
        """
        self.hedged = any(not contract.net_position for contract in self.contracts.values())
        for key, still in list(self.persistence.load_prefix("unsettled/")):
            vt_orderid = key.partition("/")[2]
            if still and self._recall(vt_orderid) is not None:
                self.unsettled.add(vt_orderid)
            else:
                self.persistence.delete(key)
        if self.hedged:
            for order in self.orders.orders.values():
                if self._is_hedged(order.vt_symbol):
                    self.offsets.follow(order)

    def _settle(self, order: OrderData) -> None:
        """Note whether an ended order still waits for fills, so that a restart knows what it binds."""
        vt_orderid = order.vt_orderid
        waits = not order.is_active() and order.traded > self.orders.filled(vt_orderid)
        if waits != (vt_orderid in self.unsettled):
            (self.unsettled.add if waits else self.unsettled.discard)(vt_orderid)
            self.step.rows["unsettled/" + vt_orderid] = waits

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

    def _place(self, came: OrderRequest, parts: tuple[OrderRequest, ...]) -> None:
        """Write the parts of a request down in one step, then send each."""
        now = self.clock.now()
        orders = [order_of(part, now) for part in parts]
        for part, order in zip(parts, orders, strict=True):
            self.orders.add(order)
            if self.keeps:
                self._note_order(order)
                one = came if order.vt_orderid == came.vt_orderid else part
                self.step.rows["requests/" + order.vt_orderid] = request_digest(one)
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
        if self.keeps:
            self._settle(order)
        leg = self.offsets.leg_closed_by(order)
        if leg is not None:
            self._publish_position(leg)
