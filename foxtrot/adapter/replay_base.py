"""An adapter that brings market data and takes no orders."""

from __future__ import annotations

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.core.constants import Status
from foxtrot.core.objects import CancelRequest, ModifyRequest, OrderData, OrderRequest


class MarketDataAdapter(BaseAdapter):
    """Rejects orders with a reason; has no account and no positions."""

    def send_order(self, request: OrderRequest) -> str:
        """Reject it: this is market data only."""
        now = self.event_engine.clock.now()
        reason = f"{self.adapter_name} plays market data and takes no orders; send them to a venue"
        self.on_order(
            OrderData(
                request.vt_orderid,
                request.vt_symbol,
                request.direction,
                request.type,
                request.volume,
                request.price,
                request.trigger_price,
                Status.REJECTED,
                strategy=request.strategy,
                reference=request.reference,
                reason=reason,
                ts_event=now,
                ts_init=now,
            )
        )
        return request.vt_orderid

    def modify_order(self, request: ModifyRequest) -> None:
        """There are no orders."""

    def cancel_order(self, request: CancelRequest) -> None:
        """There are no orders."""

    def query_account(self) -> None:
        """There is no account."""

    def query_position(self) -> None:
        """There are no positions."""
