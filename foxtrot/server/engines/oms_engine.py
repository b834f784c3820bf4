"""The order management system: a shell around the pure managers.

One message is one step: fold it, save what changed in one transaction, then release the effects (send to the venue,
publish). Nothing is visible before it is saved. Commands come on ``COMMAND_*`` topics, reports of adapters on
``REPORT_*``; orders, trades, positions and accounts go out on ``EVENT_*``.

Rows, one per entity: ``orders/<vt_orderid>``, ``trades/<vt_tradeid>``, ``positions/<vt_positionid>``,
``accounts/<vt_accountid>``, ``contracts/<vt_symbol>``, ``counters/oms``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace

from foxtrot.accounting.instrument import Instrument
from foxtrot.core import events
from foxtrot.core.constants import Status, VolumeMode
from foxtrot.core.engine import BaseEngine, EngineOwner
from foxtrot.core.errors import AccountingError, OrderError
from foxtrot.core.event_engine import EventEngine, Topic
from foxtrot.core.ids import IdSource
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    AccountData,
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderData,
    OrderRequest,
    PositionData,
    TradeData,
)
from foxtrot.core.validation import check_modify, check_request
from foxtrot.server.engines.oms_queries import OmsQueries
from foxtrot.server.engines.oms_state import load_state, save_state
from foxtrot.server.oms.account_manager import AccountManager
from foxtrot.server.oms.order_manager import OrderManager
from foxtrot.server.oms.position_manager import PositionLeg, PositionManager
from foxtrot.server.oms.trade_manager import TradeManager
from foxtrot.server.persistence import MemoryPersistence, Persistence

SUBMITTING = Status.SUBMITTING
UNITS = VolumeMode.UNITS

RiskCheck = Callable[[OrderRequest, "OmsEngine"], str]
"""Looks at a request before it is written; returns why it is refused, or an empty string."""


def accept_all(_request: OrderRequest, _oms: OmsEngine) -> str:
    """The risk check of an account without limits."""
    return ""


class OmsEngine(OmsQueries, BaseEngine):
    """Orders, trades, positions, accounts and contracts of one process.

    Args:
        main_engine: the owner; asked for the way to a venue.
        event_engine: the dispatcher.
        persistence: where state is kept; in memory by default.
        market: newest prices, for unrealised profit; made and fed from events by default.
        risk: looks at every request before it is written.
        digits: decimal places per currency code; 8 by default.
    """

    def __init__(
        self,
        main_engine: EngineOwner,
        event_engine: EventEngine,
        persistence: Persistence | None = None,
        *,
        market: MarketView | None = None,
        risk: RiskCheck = accept_all,
        digits: dict[str, int] | None = None,
    ) -> None:
        BaseEngine.__init__(self, main_engine, event_engine, "oms")
        self.persistence = persistence if persistence is not None else MemoryPersistence()
        self.risk = risk
        self.contracts: dict[str, ContractData] = {}
        self.orders = OrderManager(self._lot_of)
        self.trades = TradeManager()
        self.accounts = AccountManager(digits)
        self.positions = PositionManager(self.instrument)
        self.ids = IdSource("oms")
        self.duplicates = 0
        self.market = market if market is not None else MarketView()
        self._instruments: dict[tuple[str, str], Instrument] = {}
        self._topics: dict[str, tuple[Topic, Topic]] = {}
        self._position_topics: dict[str, tuple[Topic, Topic]] = {}
        self._command_order = event_engine.topic(events.COMMAND_ORDER)
        self._logger = logging.getLogger("foxtrot.oms")
        self._subscribe(feeds_market=market is None)

    def _subscribe(self, feeds_market: bool) -> None:
        subscribe = self.event_engine.subscribe
        subscribe(events.COMMAND_ORDER, self.on_order_request)
        subscribe(events.COMMAND_MODIFY, self.on_modify_request)
        subscribe(events.COMMAND_CANCEL, self.on_cancel_request)
        subscribe(events.REPORT_ORDER, self.on_order_report)
        subscribe(events.REPORT_TRADE, self.on_trade_report)
        subscribe(events.REPORT_POSITION, self.on_position_report)
        subscribe(events.REPORT_ACCOUNT, self.on_account_report)
        subscribe(events.REPORT_CONTRACT, self.on_contract_report)
        if feeds_market:
            subscribe(events.EVENT_TICK, self.market.update)
            subscribe(events.EVENT_BAR, self.market.update)

    # --- commands -------------------------------------------------------------------------------------------

    def on_order_request(self, request: OrderRequest) -> None:
        """Write a new order down, then send it; or deny it and say why."""
        vt_orderid = request.vt_orderid
        if vt_orderid in self.orders.orders:
            self.duplicates += 1
            self._log(f"order id {vt_orderid} came again and was ignored", logging.WARNING)
            return
        reason = ""
        try:
            request = self._checked(request)
        except OrderError as error:
            reason = str(error)
        order = _order_of(request, self.clock.now())
        self.orders.add(order)
        reason = reason or self.risk(request, self)
        if reason:
            order = self.orders.deny(order, reason)
        self.persistence.save_many(
            [("orders/" + vt_orderid, order), ("counters/oms", self.ids.last)]
        )
        self._publish_order(order)
        if not reason:
            self._send(request, order)

    def on_modify_request(self, request: ModifyRequest) -> None:
        """Pass a change on to the venue; what became of it comes back as a report."""
        order = self._working(request.vt_orderid, "modify")
        if order is None:
            return
        try:
            instrument = self.instrument(order.adapter_name, order.vt_symbol)
            request = check_modify(request, instrument.tick, instrument.lot)
        except OrderError as error:
            self._log(f"change refused: {error}", logging.ERROR)
            return
        route = self.main_engine.get_route(order.adapter_name)
        if route is not None:
            route.modify_order(request)

    def on_cancel_request(self, request: CancelRequest) -> None:
        """Pass a cancellation on to the venue; what became of it comes back as a report."""
        order = self._working(request.vt_orderid, "cancel")
        if order is None:
            return
        route = self.main_engine.get_route(order.adapter_name)
        if route is not None:
            route.cancel_order(request)

    def submit(self, request: OrderRequest, adapter: str) -> str:
        """Queue a request under an id minted here (unless it has one) and return the id; any thread may call.

        The counter is saved with the order, so an id is never minted twice.
        """
        if not request.vt_orderid:
            request = replace(request, vt_orderid=f"{adapter}.{self.ids.next()}")
        self.event_engine.put_topic(self._command_order, request)
        return request.vt_orderid

    def _checked(self, request: OrderRequest) -> OrderRequest:
        """The request with prices on the tick.

        Raises:
            OrderError: it is malformed, or its contract is unknown.
        """
        if request.vt_symbol not in self.contracts:
            raise OrderError(
                f"no contract {request.vt_symbol} is known; subscribe to it or connect its adapter first"
            )
        adapter = request.vt_orderid.partition(".")[0]
        instrument = self.instrument(adapter, request.vt_symbol)
        return check_request(request, instrument.tick, instrument.lot)

    def _send(self, request: OrderRequest, order: OrderData) -> None:
        """Release a written order to its venue; a failure in between leaves it UNKNOWN, never rejected."""
        route = self.main_engine.get_route(request.vt_orderid.partition(".")[0])
        if route is None:
            reason = f"no adapter {order.adapter_name} is connected"
            self.on_order_report(replace(order, status=Status.REJECTED, reason=reason))
            return
        try:
            route.send_order(request)
        except Exception as error:  # noqa: BLE001 - the venue's library may raise anything
            self._log(f"sending {order.vt_orderid} failed: {error!r}", logging.ERROR)
            reason = f"sending failed, outcome unknown: {error!r}"
            self.on_order_report(replace(order, status=Status.UNKNOWN, reason=reason))

    def _working(self, vt_orderid: str, verb: str) -> OrderData | None:
        order = self.orders.active.get(vt_orderid)
        if order is None:
            known = self.orders.orders.get(vt_orderid)
            state = f"is {known.status.value}" if known else "is unknown"
            self._log(f"cannot {verb} order {vt_orderid}: it {state}", logging.INFO)
        return order

    # --- reports --------------------------------------------------------------------------------------------

    def on_order_report(self, report: OrderData) -> None:
        """Fold what a venue says of an order."""
        order = self.orders.fold_report(report)
        if order is None:
            self.duplicates += 1
            return
        self.persistence.save_many([("orders/" + order.vt_orderid, order)])
        self._publish_order(order)

    def on_trade_report(self, trade: TradeData) -> None:
        """Fold a fill into its order, position and account, once."""
        if not self.trades.fold(trade):
            self.duplicates += 1
            return
        order = self.orders.fold_trade(trade)
        if trade.strategy != order.strategy:
            trade = replace(trade, strategy=order.strategy)
            self.trades.restore(trade)
        leg, realized = self.positions.fold(trade)
        currency = leg.instrument.currency
        fee = currency.to_minor(trade.commission) if trade.commission else 0
        leg.book.commission += fee
        self.accounts.book(leg.adapter, currency.code, realized, fee)
        account = f"{leg.adapter}.{currency.code}"
        self.persistence.save_many(
            [
                ("orders/" + order.vt_orderid, order),
                ("trades/" + trade.vt_tradeid, trade),
                ("positions/" + leg.key, leg.state()),
                ("accounts/" + account, self.accounts.state(leg.adapter, currency.code)),
            ]
        )
        self._publish_order(order)
        event_engine = self.event_engine
        event_engine.publish(self._topics_of(order.strategy)[1], trade)
        self._publish_position(leg)

    def on_position_report(self, report: PositionData) -> None:
        """Take up a position that the venue held before our first fill."""
        leg = self.positions.fold_report(report)
        if leg is not None:
            self.persistence.save_many([("positions/" + leg.key, leg.state())])
            self._publish_position(leg)

    def on_account_report(self, report: AccountData) -> None:
        """Take over what a venue says of an account, and say by how much we were off."""
        difference = self.accounts.fold_report(report)
        if difference:
            self._log(
                f"account {report.vt_accountid}: the venue's balance differs from ours by {difference:+.8g} "
                f"{report.currency}; the venue's is taken over",
                logging.WARNING,
            )
        state = self.accounts.state(report.adapter_name, report.currency)
        self.persistence.save_many([("accounts/" + report.vt_accountid, state)])
        topic = self.event_engine.topic(events.EVENT_ACCOUNT + report.vt_accountid)
        self.event_engine.publish(topic, report)

    def on_contract_report(self, contract: ContractData) -> None:
        """Take up a contract; a changed one replaces it where nothing has been booked on it."""
        self.contracts[contract.vt_symbol] = contract
        key = (contract.adapter_name, contract.vt_symbol)
        if key in self._instruments and not self._is_booked(key):
            del self._instruments[key]
        self.persistence.save_many([("contracts/" + contract.vt_symbol, contract)])
        topic = self.event_engine.topic(events.EVENT_CONTRACT + contract.vt_symbol)
        self.event_engine.publish(topic, contract)

    def _is_booked(self, key: tuple[str, str]) -> bool:
        return any(
            (leg.adapter, leg.instrument.vt_symbol) == key for leg in self.positions.legs.values()
        )

    # --- instruments ----------------------------------------------------------------------------------------

    def instrument(self, adapter: str, vt_symbol: str) -> Instrument:
        """The instrument of a contract at an adapter; a fill without a contract is booked at size 1, lot 1e-8."""
        key = (adapter, vt_symbol)
        instrument = self._instruments.get(key)
        if instrument is None:
            contract = self.contracts.get(vt_symbol)
            if contract is None:
                contract = ContractData(vt_symbol, min_volume=1e-8, adapter_name=adapter)
                self._log(
                    f"{vt_symbol} has no contract; it is booked at size 1, in USD", logging.ERROR
                )
            try:
                instrument = Instrument(
                    contract, self.accounts.currency(adapter, contract.currency)
                )
            except AccountingError as error:
                raise OrderError(str(error)) from error
            self._instruments[key] = instrument
        return instrument

    def _lot_of(self, vt_symbol: str) -> float:
        contract = self.contracts.get(vt_symbol)
        return contract.min_volume if contract is not None else 1e-8

    # --- publishing -----------------------------------------------------------------------------------------

    def _topics_of(self, strategy: str) -> tuple[Topic, Topic]:
        """The order and trade topics of a strategy."""
        topics = self._topics.get(strategy)
        if topics is None:
            resolve = self.event_engine.topic
            topics = (
                resolve(events.EVENT_ORDER + strategy),
                resolve(events.EVENT_TRADE + strategy),
            )
            self._topics[strategy] = topics
        return topics

    def _publish_order(self, order: OrderData) -> None:
        self.event_engine.publish(self._topics_of(order.strategy)[0], order)

    def _publish_position(self, leg: PositionLeg) -> None:
        """Publish a position and its account, built only where somebody listens."""
        topics = self._position_topics.get(leg.key)
        code = leg.instrument.currency.code
        if topics is None:
            resolve = self.event_engine.topic
            topics = (
                resolve(events.EVENT_POSITION + leg.instrument.vt_symbol),
                resolve(f"{events.EVENT_ACCOUNT}{leg.adapter}.{code}"),
            )
            self._position_topics[leg.key] = topics
        position_topic, account_topic = topics
        if position_topic.handlers:
            mark = self.market.price(leg.instrument.vt_symbol)
            self.event_engine.publish(position_topic, leg.snapshot(mark, self.clock.now()))
        if account_topic.handlers:
            account = self.accounts.snapshot(leg.adapter, code, leg.ts_event)
            self.event_engine.publish(account_topic, account)

    def _log(self, msg: str, level: int) -> None:
        self._logger.log(level, "%s", msg)
        self.main_engine.write_log(msg, "oms", level)

    # --- state ----------------------------------------------------------------------------------------------

    def load_state(self) -> None:
        """Restore everything from persistence; orders that were in flight come back as UNKNOWN."""
        load_state(self)

    def save_state(self) -> None:
        """Write everything in one transaction (each step has done so already; this is the last look)."""
        save_state(self)

    def close(self) -> None:
        """Save for the last time and close the persistence."""
        self.save_state()
        self.persistence.close()


def _order_of(request: OrderRequest, now: int) -> OrderData:
    """The order that a request asks for, before anyone has seen it."""
    return OrderData(
        request.vt_orderid,
        request.vt_symbol,
        request.direction,
        request.type,
        request.volume if request.volume_mode is UNITS else 0.0,
        request.price,
        request.trigger_price,
        SUBMITTING,
        0.0,
        0.0,
        request.offset,
        request.time_in_force,
        request.expire_ts,
        request.reduce_only,
        request.volume_mode,
        request.volume,
        request.strategy,
        request.reference,
        request.parent_orderid,
        "",
        now,
        now,
        "",
        request.account,
    )
