"""The venue and the strategy of Foxtrot's chain: ordinary classes, loaded by the services from the settings file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chain_link import FLUSH_S, PRICE, SYMBOL, Pacer, Report
from msgspec.structs import replace

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.bus.loop import SocketWaiter
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.objects import (
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderRequest,
    SubscribeRequest,
    TickData,
    TimerData,
    TradeData,
)
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.oms.requests import order_of
from foxtrot.strategy import Strategy


class ChainVenue(BaseAdapter):
    """Publishes ticks at a pace when it is told to, accepts every order and fills it at once."""

    default_name = "SIM"
    snapshots = True

    def connect(self, setting: Mapping[str, Any]) -> None:
        """List the contract, and wait for the go."""
        self._pacer = Pacer(Path(setting["folder"]))
        waiter = self.event_engine.waiter
        if not isinstance(waiter, SocketWaiter):
            raise TypeError("the venue's process must wait for sockets")
        waiter.add(self._pacer.mailbox.fileno(), self._on_go)
        self.on_contract(ContractData(SYMBOL, pricetick=0.01, adapter_name=self.adapter_name))

    def close(self) -> None:
        """Send no more ticks."""
        self.event_engine.clock.cancel_timer("chain.tick")
        self._pacer.mailbox.close()

    def send_order(self, request: OrderRequest) -> str:
        """Accept and fill."""
        now = self.event_engine.clock.now()
        self.on_order(replace(order_of(request, now), status=Status.NOTTRADED))
        trade = TradeData(
            f"SIM.t-{request.vt_orderid.partition('.')[2]}",
            request.vt_orderid,
            request.vt_symbol,
            request.direction,
            request.price,
            request.volume,
            now,
            reference=request.reference,
            ts_init=now,
        )
        self.on_trade(trade)
        return request.vt_orderid

    def query_snapshot(self) -> None:
        """Nothing is known of before."""
        self.on_snapshot(VenueSnapshot(self.adapter_name, self.event_engine.clock.now()))

    def subscribe(self, request: SubscribeRequest) -> None: ...  # noqa: D102
    def modify_order(self, request: ModifyRequest) -> None: ...  # noqa: D102
    def cancel_order(self, request: CancelRequest) -> None: ...  # noqa: D102
    def query_account(self) -> None: ...  # noqa: D102
    def query_position(self) -> None: ...  # noqa: D102

    def _on_go(self) -> None:
        self._pacer.look()
        self._send_due(None)

    def _send_due(self, _timer: TimerData | None) -> None:
        for _ in range(self._pacer.due()):
            now = time.time_ns()
            self.on_tick(TickData(SYMBOL, now, PRICE, PRICE + 0.01, 1.0, 1.0, PRICE, ts_init=now))
        wait = self._pacer.wait_ns()
        if wait is not None:
            self.event_engine.clock.set_delay("chain.tick", wait, self._send_due)


class ChainStrategy(Strategy):
    """An order a tick, buying and selling in turn; the reference says when the tick was sent."""

    folder: str = ""

    def on_start(self) -> None:
        """Begin to tell."""
        self.report = Report(Path(self.folder))
        self.set_timer("flush", int(FLUSH_S * NS_PER_SECOND))

    def on_tick(self, tick: TickData) -> None:
        """Order."""
        self.report.ticks += 1
        send = self.buy if self.report.ticks % 2 else self.short
        send(1.0, PRICE, reference=str(tick.ts_event))

    def on_trade(self, trade: TradeData) -> None:
        """The end of the chain."""
        self.report.fill(int(trade.reference))

    def on_timer(self, timer: TimerData) -> None:  # noqa: ARG002 - the only one
        """Tell what came."""
        self.report.flush()

    def on_save(self) -> dict[str, Any]:
        """Called once a commit."""
        self.report.commits += 1
        return {}
