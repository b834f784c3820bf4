"""The order management system: a shell around the pure managers.

One message is one step: fold it, save what changed in one transaction, then release the effects (send to the venue,
publish). Nothing is visible before it is saved. Commands come on ``COMMAND_*`` topics, reports of adapters on
``REPORT_*``; orders, trades, positions and accounts go out on ``EVENT_*``.

How it starts, saves and halts is in ``oms_life``, how it publishes in ``oms_publish``, and what is done where long
and short are kept apart in ``oms_hedging``. A message that is malformed in itself (a number that is not finite, no id)
is refused and changes nothing.

A send that fails leaves its order UNKNOWN, never rejected. An order id that comes again is not sent again; its owner is
told how that order stands.

Rows, one per entity: ``orders/<vt_orderid>``, ``trades/<vt_tradeid>``, ``positions/<vt_positionid>``,
``accounts/<ADAPTER.CURRENCY>``, ``contracts/<vt_symbol>``, ``counters/oms`` (last id minted), ``counters/boot``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import isfinite
from typing import Any

from msgspec.structs import replace

from foxtrot.accounting.offset import OffsetMode
from foxtrot.core import events
from foxtrot.core.constants import Status, VolumeMode
from foxtrot.core.engine import EngineOwner, OrderRoute
from foxtrot.core.errors import FoxtrotError, OmsError, OrderError
from foxtrot.core.event_engine import EventEngine, MessageHandler
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
from foxtrot.core.validation import check_max_volume, check_modify, check_request
from foxtrot.server.engines.oms_hedging import OmsHedging
from foxtrot.server.engines.oms_queries import OmsQueries
from foxtrot.server.engines.oms_state import load_state, save_state
from foxtrot.server.oms.account_manager import AccountManager, key_of
from foxtrot.server.oms.instrument_manager import InstrumentManager
from foxtrot.server.oms.offset_manager import OffsetManager
from foxtrot.server.oms.order_manager import OrderManager
from foxtrot.server.oms.position_leg import PositionLeg
from foxtrot.server.oms.position_manager import PositionManager
from foxtrot.server.oms.requests import check_id, order_of, storable
from foxtrot.server.oms.trade_manager import TradeManager
from foxtrot.server.persistence import MemoryPersistence, Persistence

UNITS = VolumeMode.UNITS

RiskCheck = Callable[[OrderRequest, "OmsEngine"], str]
"""Looks at a request before it is written; returns why it is refused, or an empty string."""


def accept_all(_request: OrderRequest, _oms: OmsEngine) -> str:
    """The risk check of an account without limits."""
    return ""


class OmsEngine(OmsQueries, OmsHedging):
    """Orders, trades, positions, accounts and contracts of one process.

    Args:
        main_engine: the owner; asked for the way to a venue.
        event_engine: the dispatcher.
        persistence: where state is kept; in memory by default.
        market: newest prices, for unrealised profit; made and fed from events by default.
        risk: looks at every request before it is written.
        digits: decimal places per currency code; 8 by default.
        offset_mode: how requests are fitted to what is held of contracts with ``net_position=False``.

    Attributes:
        duplicates: orders, reports and fills that came again and changed nothing.
        hedged: whether a contract with ``net_position=False`` is known.

    Raises:
        ConfigError: the ``offset_mode`` is unknown, or NET.
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
        offset_mode: OffsetMode | str = OffsetMode.HEDGE,
    ) -> None:
        OmsHedging.__init__(self, main_engine, event_engine, persistence or MemoryPersistence())
        self.risk = risk
        self.orders = OrderManager()
        self.trades = TradeManager()
        self.accounts = AccountManager(digits)
        self.instruments = InstrumentManager(self.accounts.currency, self._warn_of_unknown)
        self.contracts = self.instruments.contracts
        self.instrument = self.instruments.instrument
        self.positions = PositionManager(self.instrument, self._warn_of_unmatched)
        self.offsets = OffsetManager(self.orders, self.positions, self.instrument, offset_mode)
        self.hedged = False
        self.ids = IdSource("oms")
        self.duplicates = 0
        self._keeps = self.persistence.keeps
        self.market = market if market is not None else MarketView()
        self._command_order = event_engine.topic(events.COMMAND_ORDER)
        if market is None:
            event_engine.subscribe(events.EVENT_TICK, self.market.update)
            event_engine.subscribe(events.EVENT_BAR, self.market.update)

    def handlers(self) -> dict[str, MessageHandler]:
        """The working handlers by topic."""
        return {
            events.COMMAND_ORDER: self.on_order_request,
            events.COMMAND_MODIFY: self.on_modify_request,
            events.COMMAND_CANCEL: self.on_cancel_request,
            events.REPORT_ORDER: self.on_order_report,
            events.REPORT_TRADE: self.on_trade_report,
            events.REPORT_POSITION: self.on_position_report,
            events.REPORT_ACCOUNT: self.on_account_report,
            events.REPORT_CONTRACT: self.on_contract_report,
        }

    def read_state(self) -> None:  # noqa: D102 - inherits
        load_state(self)

    def write_state(self) -> None:  # noqa: D102 - inherits
        save_state(self)

    # --- commands -------------------------------------------------------------------------------------------

    def on_order_request(self, request: OrderRequest) -> None:
        """Write a new order down, then send it; or deny it and say why."""
        vt_orderid = request.vt_orderid
        known = self.orders.orders.get(vt_orderid)
        if known is not None:
            self.duplicates += 1
            self._log(f"order id {vt_orderid} came again and was not sent again", logging.WARNING)
            self._publish_order(known)
            return
        request, reason = self._judged(request)
        if self.hedged and not reason:
            parts, reason = self._in_parts(request)
            if parts:
                self._place(parts)
                return
        order = order_of(request, self.clock.now())
        self.orders.add(order)
        if reason:
            order = self.orders.deny(order, reason)
        if self._keeps:
            self._save([("orders/" + vt_orderid, order), ("counters/oms", self.ids.last)])
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
        route = self._route(order, "modify")
        if route is not None:
            route.modify_order(request)

    def on_cancel_request(self, request: CancelRequest) -> None:
        """Pass a cancellation on to the venue; what became of it comes back as a report."""
        order = self._working(request.vt_orderid, "cancel")
        if order is None:
            return
        route = self._route(order, "cancel")
        if route is not None:
            route.cancel_order(request)

    def submit(self, request: OrderRequest, adapter: str) -> str:
        """Queue a request under an id minted here (unless it has one) and return the id; any thread may call.

        The counter is saved with the order, and the id names the boot, so an id is never minted twice, not even one
        that was minted just before a crash and never written.

        Raises:
            OmsError: the OMS is halted.
            OrderError: the request has an id that is not ``ADAPTER.id``.
        """
        if not self.loaded and not self.halted:
            self.event_engine.call(self.load_state)
        if self.halted:
            raise OmsError(f"order refused, the OMS is halted: {self.halted}")
        if request.vt_orderid:
            check_id(request)
        else:
            request = replace(request, vt_orderid=f"{adapter}.{self.ids.next()}")
        self.event_engine.put_topic(self._command_order, request)
        return request.vt_orderid

    def _judged(self, request: OrderRequest) -> tuple[OrderRequest, str]:
        """The request with prices on the tick, and why it is refused (empty where it is not).

        Raises:
            OrderError: its id is not ``ADAPTER.id``, so that it cannot even be written down.
        """
        adapter = check_id(request)
        try:
            contract = self.contracts.get(request.vt_symbol)
            if contract is None:
                raise OrderError(
                    f"no contract {request.vt_symbol} is known; subscribe to it or connect its adapter first"
                )
            instrument = self.instrument(adapter, request.vt_symbol)
            request = check_request(request, instrument.tick, instrument.lot)
            if contract.max_volume and request.volume_mode is UNITS:
                check_max_volume(request, contract.max_volume)
        except OrderError as error:
            return storable(request), str(error)
        try:
            return request, self.risk(request, self)
        except Exception as error:
            self._logger.exception("the risk check failed on %s", request)
            return request, f"the risk check failed: {error!r}"

    def _send(self, request: OrderRequest, order: OrderData) -> None:
        """Release a written order to its venue; a failure in between leaves it UNKNOWN, never rejected."""
        route = self.main_engine.get_route(request.vt_orderid.partition(".")[0])
        if route is None:
            self.on_order_report(replace(order, status=Status.REJECTED, reason=_no_route(order)))
            return
        try:
            route.send_order(request)
        except Exception as error:  # noqa: BLE001 - the venue's library may raise anything
            self._log(f"sending {order.vt_orderid} failed: {error!r}", logging.ERROR)
            reason = f"sending failed, outcome unknown: {error!r}"
            self.on_order_report(replace(order, status=Status.UNKNOWN, reason=reason))

    def _route(self, order: OrderData, verb: str) -> OrderRoute | None:
        route = self.main_engine.get_route(order.adapter_name)
        if route is None:
            self._log(f"cannot {verb} order {order.vt_orderid}: {_no_route(order)}", logging.ERROR)
        return route

    def _working(self, vt_orderid: str, verb: str) -> OrderData | None:
        order = self.orders.active.get(vt_orderid)
        if order is None:
            known = self.orders.orders.get(vt_orderid)
            state = f"is {known.status.value}" if known else "is unknown"
            self._log(f"cannot {verb} order {vt_orderid}: it {state}", logging.INFO)
        return order

    # --- reports --------------------------------------------------------------------------------------------

    def on_order_report(self, report: OrderData) -> None:
        """Fold what a venue says of an order.

        Raises:
            OmsError: a number in the report is not finite; nothing was changed.
        """
        numbers = report.volume + report.traded + report.average_price
        if not isfinite(numbers + report.price + report.trigger_price):
            raise OmsError(f"a report was refused, it has a number that is not finite: {report}")
        order = self.orders.fold_report(report)
        if order is None:
            self.duplicates += 1
            return
        if self._keeps:
            self._save([("orders/" + order.vt_orderid, order)])
        self._publish_order(order)
        if self.hedged:
            self._bind(order)

    def on_trade_report(self, trade: TradeData) -> None:
        """Fold a fill into its order, position and account, once.

        Raises:
            OmsError: it cannot be booked, or not saved; the OMS is halted.
        """
        if trade.vt_tradeid in self.trades.trades:
            self.duplicates += 1
            return
        try:  # what may raise comes first and changes nothing where it does
            fee, fee_code = self._fee_of(trade) if trade.commission else (0, "")
            leg, realized = self.positions.fold(trade)
        except (FoxtrotError, ValueError, OverflowError) as error:
            raise self._halt(f"booking the fill {trade}", error) from error
        order = self.orders.fold_trade(trade)
        if trade.strategy != order.strategy:
            trade = replace(trade, strategy=order.strategy)
        self.trades.fold(trade)
        code = leg.instrument.currency.code
        codes = {code}
        if (
            fee and fee_code != code
        ):  # paid in another currency: no part of the position's own result
            self.accounts.book(leg.adapter, fee_code, 0, fee)
            codes.add(fee_code)
            fee = 0
        leg.book.commission += fee
        self.accounts.book(leg.adapter, code, realized, fee)
        if self._keeps:
            self._save(self._rows_of(order, trade, leg, codes))
        self._publish_order(order)
        self.event_engine.publish(self._topics[order.strategy][1], trade)
        self._publish_position(leg)

    def _rows_of(
        self, order: OrderData, trade: TradeData, leg: PositionLeg, codes: set[str]
    ) -> list[tuple[str, Any]]:
        """Everything that a fill has changed."""
        rows: list[tuple[str, Any]] = [
            ("orders/" + order.vt_orderid, order),
            ("trades/" + trade.vt_tradeid, trade),
            ("positions/" + leg.key, leg.state()),
        ]
        for code in sorted(codes):
            state = self.accounts.state(leg.adapter, code)
            rows.append((f"accounts/{leg.adapter}.{code}", state))
        return rows

    def _fee_of(self, trade: TradeData) -> tuple[int, str]:
        """A fill's commission in minor units, and the currency it was paid in (the contract's where none is said)."""
        adapter = trade.adapter_name
        code = trade.commission_currency
        if not code:
            code = self.instrument(adapter, trade.vt_symbol).currency.code
        return self.accounts.currency(adapter, code).to_minor(trade.commission), code

    def on_position_report(self, report: PositionData) -> None:
        """Take up a position that the venue held before our first fill."""
        leg = self.positions.fold_report(report)
        if leg is not None:
            self._save([("positions/" + leg.key, leg.state())])
            self._publish_position(leg)

    def roll_day(self) -> None:
        """A new trading day begins: all that is held is yesterday's from here on."""
        self.load_state()
        self.positions.roll_day()
        legs = list(self.positions.legs.values())
        self._save([("positions/" + leg.key, leg.state()) for leg in legs])
        for leg in legs:
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
        adapter, code = key_of(report)
        self._save([(f"accounts/{adapter}.{code}", self.accounts.state(adapter, code))])
        self._publish_account(adapter, code, report.ts_event)

    def on_contract_report(self, contract: ContractData) -> None:
        """Take up a contract; an open position keeps the units that it was booked in."""
        contract, warning = self.instruments.replace(contract, self.positions.rebind)
        if warning:
            self._log(warning, logging.ERROR)
        if not contract.net_position:
            self._take_up_hedged(contract)
        self._save([("contracts/" + contract.vt_symbol, contract)])
        self._publish_contract(contract)

    def _warn_of_unknown(self, vt_symbol: str) -> None:
        self._log(f"{vt_symbol} has no contract; it is booked at size 1, in USD", logging.ERROR)

    def _warn_of_unmatched(self, trade: TradeData, units: float) -> None:
        self._log(
            f"fill {trade.vt_tradeid} closes {units:g} units of {trade.vt_symbol} more than are known to be held; they "
            f"count as opened at the fill's price: ask the adapter for its positions",
            logging.ERROR,
        )


def _no_route(order: OrderData) -> str:
    return f"no adapter {order.adapter_name} is connected"
