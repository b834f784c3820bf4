"""The kill switch of the OMS: halts of trading, durable, and in force before the next order is judged.

What a flatten sends goes past the limits of risk (it can only reduce what is held) and past a halt that lets closing
orders pass; it is owned by the strategy that held the position, or by ``FLATTEN`` where nobody's fills explain it.
"""

from __future__ import annotations

from foxtrot.core.constants import Direction, Offset, OrderType
from foxtrot.core.objects import CancelRequest, OrderRequest
from foxtrot.server.engines.oms_reconcile import OmsReconcile
from foxtrot.server.journal.facts import Halted, Resumed, control_key

FLATTEN = "FLATTEN"
"""Owner of orders that close what no strategy's fills explain."""

LONG = Direction.LONG
SHORT = Direction.SHORT


class OmsControl(OmsReconcile):
    """Part of ``OmsEngine``; call these on the event engine's thread (``EventEngine.call``)."""

    def halt_trading(self, reason: str, strategy: str = "", *, closing: bool = False) -> None:
        """Stop new orders of one strategy, or (empty) of all; it is durable when this returns.

        Args:
            reason: why, for those whose orders are denied.
            strategy: whose orders; empty for everybody's.
            closing: whether orders that only reduce a position still pass.

        Raises:
            OmsError: it is in force, but could not be saved.
        """
        self.load_state()
        halt = self.gate.halt(reason, self.clock.now(), strategy, closing=closing)
        fact = Halted(reason, halt.ts, strategy, closing)
        self.step.note(str(control_key(fact)), fact, "control", fact)
        self._log(f"trading is halted{_whose(strategy)}: {reason}", 40)
        self.flush()

    def resume_trading(self, reason: str, strategy: str = "") -> bool:
        """End a halt of the same strategy, or of all; False where there was none.

        Raises:
            OmsError: it could not be saved; the OMS is stalled, and halts are as the disk has them afterwards.
        """
        self.load_state()
        if self.gate.resume(strategy) is None:
            return False
        fact = Resumed(reason, self.clock.now(), strategy)
        self.step.note(str(control_key(fact)), fact, "control", fact)
        self._log(f"trading goes on{_whose(strategy)}: {reason}", 30)
        self.flush()
        return True

    def cancel_all(self, strategy: str = "") -> int:
        """Cancel the working orders of one strategy, or of all; returns how many were asked for."""
        orders = [
            order
            for order in list(self.orders.active.values())
            if not strategy or order.strategy == strategy
        ]
        for order in orders:
            self.on_cancel_request(CancelRequest(order.vt_orderid))
        return len(orders)

    def flatten(self, strategy: str = "") -> int:
        """Close what one strategy or the whole account holds, at the market; returns how many orders it takes."""
        self.load_state()
        requests = self._closing_of(strategy) if strategy else self._closing_all()
        for request in requests:
            self._trusted.add(request.vt_orderid)
            try:
                self.on_order_request(request)
            finally:
                self._trusted.discard(request.vt_orderid)
        return len(requests)

    def _closing_of(self, strategy: str) -> list[OrderRequest]:
        return [
            self._closing(adapter, vt_symbol, units, strategy)
            for adapter, owner, vt_symbol, units in self.held.state()
            if owner == strategy
        ]

    def _closing_all(self) -> list[OrderRequest]:
        """What strategies hold, each under its own name, and what is left of a leg; one that is kept apart by name."""
        requests: list[OrderRequest] = []
        for leg in list(self.positions.legs.values()):
            lots, lot = leg.book.lots, leg.instrument.lot
            if not lots:
                continue
            vt_symbol = leg.instrument.vt_symbol
            offset = Offset.NONE if leg.direction is Direction.NET else Offset.CLOSE
            if leg.direction is Direction.NET:
                for adapter, owner, symbol, units in self.held.state():
                    if (adapter, symbol) == (leg.adapter, vt_symbol):
                        requests.append(self._closing(adapter, symbol, units, owner))
                        lots -= lot.to_lots(units)
            if lots:
                units = lot.from_lots(lots)
                requests.append(self._closing(leg.adapter, vt_symbol, units, FLATTEN, offset))
        return requests

    def _closing(
        self, adapter: str, vt_symbol: str, units: float, owner: str, offset: Offset = Offset.NONE
    ) -> OrderRequest:
        return OrderRequest(
            vt_symbol,
            SHORT if units > 0 else LONG,
            OrderType.MARKET,
            abs(units),
            offset=offset,
            reduce_only=True,
            strategy=owner,
            vt_orderid=f"{adapter}.{self.ids.next()}",
        )


def _whose(strategy: str) -> str:
    return f" for strategy {strategy}" if strategy else ""
