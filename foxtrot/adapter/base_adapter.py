"""``BaseAdapter``: what a venue connection must do, and the callbacks that carry its data into the platform.

Contract for whoever writes one:

* ``connect`` returns at once; what it finds (contracts, accounts, positions, working orders) arrives through the
  callbacks. It may be called again after ``close``.
* No method blocks; the venue's library may call the ``on_*`` callbacks from threads of its own.
* ``send_order`` uses the request's ``vt_orderid`` (the client's own id) as the venue's client order id, so that a
  repeated request is recognised, and returns it. What became of the order arrives as reports: ``on_order`` for states,
  ``on_trade`` for fills, each fill once with an id that is unique at the venue for ever.
* A report is the venue's word: an outcome that is not known (a time-out) is not reported as a rejection.

Market data is published at once; reports go to the OMS, which publishes orders, trades, positions and accounts after
it has saved them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from foxtrot.core import events
from foxtrot.core.constants import Exchange
from foxtrot.core.event_engine import EventEngine, Topic
from foxtrot.core.objects import (
    AccountData,
    BarData,
    CancelRequest,
    ContractData,
    HistoryRequest,
    LogData,
    ModifyRequest,
    OrderData,
    OrderRequest,
    PositionData,
    SubscribeRequest,
    TickData,
    TradeData,
)
from foxtrot.core.venue import VenueSnapshot


class BaseAdapter(ABC):
    """Connection to one venue account.

    Args:
        event_engine: the dispatcher of this process.
        adapter_name: first part of every id that this adapter makes; no dots.

    Raises:
        ValueError: the name is empty or has a dot.
    """

    default_name: ClassVar[str] = ""
    """Name that an adapter is added under when none is given."""

    default_setting: ClassVar[Mapping[str, Any]] = {}
    """What ``connect`` needs to be told, with default values."""

    exchanges: ClassVar[tuple[Exchange, ...]] = ()
    """Exchanges that can be reached through this adapter; empty for any."""

    snapshots: ClassVar[bool] = False
    """Whether ``query_snapshot`` is answered; the OMS then sends no order before it has compared itself with one."""

    def __init__(self, event_engine: EventEngine, adapter_name: str) -> None:
        if not adapter_name or "." in adapter_name:
            raise ValueError(f"adapter name {adapter_name!r} must not be empty nor have a dot")
        self.event_engine = event_engine
        self.adapter_name = adapter_name
        self._report_order = event_engine.topic(events.REPORT_ORDER)
        self._report_trade = event_engine.topic(events.REPORT_TRADE)
        self._topics: dict[str, Topic] = {}

    # --- to be written by each adapter ----------------------------------------------------------------------

    @abstractmethod
    def connect(self, setting: Mapping[str, Any]) -> None:
        """Open the connection and ask for contracts, account, positions and working orders."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; working orders are left as they are."""

    @abstractmethod
    def subscribe(self, request: SubscribeRequest) -> None:
        """Ask for an instrument's market data."""

    @abstractmethod
    def send_order(self, request: OrderRequest) -> str:
        """Send a new order; returns its ``vt_orderid`` (the request's)."""

    @abstractmethod
    def modify_order(self, request: ModifyRequest) -> None:
        """Change price, trigger or volume of a working order (cancel and replace where the venue has no more)."""

    @abstractmethod
    def cancel_order(self, request: CancelRequest) -> None:
        """Cancel a working order."""

    @abstractmethod
    def query_account(self) -> None:
        """Ask for balances; they arrive through ``on_account``."""

    @abstractmethod
    def query_position(self) -> None:
        """Ask for positions; they arrive through ``on_position``."""

    def query_orders(self) -> None:  # noqa: B027 - optional
        """Ask for the orders that the venue knows; they arrive through ``on_order``. Default: nothing to ask."""

    def query_trades(self) -> None:  # noqa: B027 - optional
        """Ask for past fills; they arrive through ``on_trade``. Default: nothing to ask."""

    def query_snapshot(self) -> None:  # noqa: B027 - optional
        """Ask for the account as a whole; it arrives through ``on_snapshot``. Default: nothing to ask.

        Orders, fills, positions and balances in one answer: all that the venue knew at the moment that the snapshot
        names, so that the OMS can tell what it has missed. An adapter that answers says so by ``snapshots``.
        """

    def reports_arrived(self) -> None:  # noqa: B027 - optional
        """All reports so far are durable with whoever folds them. Default: nothing to do."""

    def query_history(self, request: HistoryRequest) -> list[BarData]:  # noqa: ARG002 - part of the contract
        """Bars of the past, oldest first. Default: none."""
        return []

    # --- callbacks ------------------------------------------------------------------------------------------

    def on_tick(self, tick: TickData) -> None:
        """A quote has arrived."""
        self._put(events.EVENT_TICK + tick.vt_symbol, tick)

    def on_bar(self, bar: BarData) -> None:
        """A bar has closed."""
        self._put(events.EVENT_BAR + bar.vt_symbol, bar)

    def on_order(self, order: OrderData) -> None:
        """The venue says how an order stands."""
        self._put_report(self._report_order, order)

    def on_trade(self, trade: TradeData) -> None:
        """The venue says that an order has filled."""
        self._put_report(self._report_trade, trade)

    def on_position(self, position: PositionData) -> None:
        """The venue says what we hold."""
        self._put(events.REPORT_POSITION, position)

    def on_account(self, account: AccountData) -> None:
        """The venue says what is in an account."""
        self._put(events.REPORT_ACCOUNT, account)

    def on_contract(self, contract: ContractData) -> None:
        """The venue lists a contract."""
        self._put(events.REPORT_CONTRACT, contract)

    def on_snapshot(self, snapshot: VenueSnapshot) -> None:
        """The venue says how the account stands as a whole."""
        self._put(events.REPORT_SNAPSHOT, snapshot)

    def on_log(self, msg: str, level: int = 20) -> None:
        """Something to tell; never a secret."""
        now = self.event_engine.clock.now()
        self._put(events.EVENT_LOG, LogData(msg, level, self.adapter_name, now))

    def write_log(self, msg: str) -> None:
        """Log at level INFO."""
        self.on_log(msg)

    def _put(self, name: str, message: object) -> None:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = self.event_engine.topic(name)
        self._put_report(topic, message)

    def _put_report(self, topic: Topic, message: object) -> None:
        self.event_engine.put_topic(topic, message)
