"""The adapter of the simulated exchange: the backtest's venue, with the same face as a live one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TradeData,
)
from foxtrot.simulation.book import Book
from foxtrot.simulation.exchange import AccountSettings, Reports, SimulatedExchange
from foxtrot.simulation.models import ExecutionModel


class SimulatedAdapter(BaseAdapter):
    """A venue in this process. Whoever delivers market data calls ``exchange.on_bar`` and ``on_tick``.

    Args:
        event_engine: the dispatcher; its clock stamps arrivals.
        adapter_name: first part of the ids.
        market: newest prices, shared with the driver.
        account: opening balance and currency.
        model: conventions of execution.
    """

    default_name: ClassVar[str] = "SIM"

    def __init__(
        self,
        event_engine: EventEngine,
        adapter_name: str = default_name,
        *,
        market: MarketView | None = None,
        account: AccountSettings | None = None,
        model: ExecutionModel | None = None,
    ) -> None:
        super().__init__(event_engine, adapter_name)
        self.exchange = SimulatedExchange(
            adapter_name,
            event_engine.clock,
            market if market is not None else MarketView(),
            account if account is not None else AccountSettings(),
            model if model is not None else ExecutionModel(),
            self._reports(),
            keep_closed=False,
        )

    def _reports(self) -> Reports:
        """Reports are made on the engine's own thread, so they are queued without waking anyone (hot path)."""
        append = self.event_engine.queue.append
        order_topic, trade_topic = self._report_order, self._report_trade

        def on_order(order: OrderData) -> None:
            append((order_topic, order))

        def on_trade(trade: TradeData) -> None:
            append((trade_topic, trade))

        return Reports(on_order, on_trade, self.on_account)

    def list_contract(self, contract: ContractData, *, on_ticks: bool) -> Book:
        """Open a contract's book and announce it."""
        book = self.exchange.list_contract(contract, on_ticks=on_ticks)
        self.on_contract(contract)
        return book

    def connect(self, setting: Mapping[str, Any]) -> None:  # noqa: ARG002 - nothing to be told
        """Announce the account."""
        self.exchange.report_account()

    def close(self) -> None:
        """Nothing is open."""

    def subscribe(self, request: SubscribeRequest) -> None:
        """The driver delivers everything that was loaded; nothing to ask for."""

    def send_order(self, request: OrderRequest) -> str:
        """Hand an order to the exchange."""
        self.exchange.submit(request)
        return request.vt_orderid

    def modify_order(self, request: ModifyRequest) -> None:
        """Hand a change to the exchange."""
        self.exchange.modify(request)

    def cancel_order(self, request: CancelRequest) -> None:
        """Hand a cancellation to the exchange."""
        self.exchange.cancel(request)

    def query_account(self) -> None:
        """Report the account."""
        self.exchange.report_account()

    def query_position(self) -> None:
        """Positions follow from the fills; there is nothing from before."""
