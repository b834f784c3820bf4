"""The OMS's way with reports: what venues say of orders, fills, positions, accounts and contracts.

Invariants: a report that came before changes nothing; a fill is booked once for ever. A message that is malformed in
itself (a number that is not finite) is refused and changes nothing. A fill that cannot be booked blocks its instrument,
since what is held of it is not known any more.
"""

from __future__ import annotations

import logging
from math import isfinite

from msgspec.structs import replace

from foxtrot.core.errors import FoxtrotError, OmsError
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData
from foxtrot.server.engines.oms_commands import OmsCommands
from foxtrot.server.journal.facts import Blocked, DayRolled, control_key
from foxtrot.server.oms.account_manager import key_of
from foxtrot.server.oms.reconcile_synthetic import absorb
from foxtrot.server.oms.reconcile_types import Block


class OmsReports(OmsCommands):
    """Part of ``OmsEngine``: what comes up from venues."""

    def on_order_report(self, report: OrderData) -> None:
        """Fold what a venue says of an order.

        Raises:
            OmsError: a number in the report is not finite; nothing was changed.
        """
        numbers = report.volume + report.traded + report.average_price
        if not isfinite(numbers + report.price + report.trigger_price):
            raise OmsError(f"a report was refused, it has a number that is not finite: {report}")
        if self.keeps and report.vt_orderid not in self.orders.orders:
            self._recall(report.vt_orderid)
        order = self.orders.fold_report(report)
        if order is None:
            self.duplicates += 1
            return
        if self.keeps:
            self._note_order(order)
        topic = (self._topics.get(order.strategy) or self._topics_of(order.strategy))[0]
        if topic.handlers:  # _publish_order without its call
            self._emit((topic, order))
        if self.hedged:
            self._bind(order)

    def on_trade_report(self, trade: TradeData) -> None:
        """Fold a fill into its order, position and account, once.

        Raises:
            OmsError: it cannot be booked; nothing was changed, and its instrument is blocked.
        """
        if self.keeps:
            if self._knows_trade(trade.vt_tradeid):
                self.duplicates += 1
                return
            self._recall(trade.vt_orderid)
            trade = self._absorbed(trade)
        elif trade.vt_tradeid in self.trades.trades:
            self.duplicates += 1
            return
        self.fold_fill(trade)

    def fold_fill(self, trade: TradeData) -> None:
        """Fold a fill that is new (or made up by reconciliation).

        Raises:
            OmsError: it cannot be booked; nothing was changed, and its instrument is blocked. Where the error is one
                that nobody foresaw the OMS is halted, and a restart goes on from what is saved.
        """
        try:
            booking = self.books.book(trade)
        except (FoxtrotError, ValueError, OverflowError) as error:
            raise self._cannot_book(trade, error) from error
        except Exception as error:  # nobody foresaw it, so the books may be half changed
            raise self._halt(f"booking the fill {trade}", error) from error
        leg = booking.leg
        order = self.orders.fold_trade(trade)
        if trade.strategy != order.strategy:
            trade = replace(trade, strategy=order.strategy)
        self.trades.trades.setdefault(trade.vt_tradeid, trade)  # TradeManager.fold
        if self.keeps:
            self._note_order(order)
            self.step.note_trade(trade)
            self._note_leg(leg)
            self._note_held(trade)
            for code in booking.codes:
                self._note_account(leg.adapter, code)
            if trade.vt_orderid in self.unsettled:
                self._settle(order)
        order_topic, trade_topic = self._topics.get(order.strategy) or self._topics_of(
            order.strategy
        )
        if order_topic.handlers:
            self._emit((order_topic, order))
        if trade_topic.handlers:
            self._emit((trade_topic, trade))
        topics = self._position_topics.get(leg.key)
        if topics is None or topics[0].handlers or topics[1].handlers:
            self._publish_position(leg)

    def _knows_trade(self, vt_tradeid: str) -> bool:
        return vt_tradeid in self.trades.trades or self.persistence.knows_trade(vt_tradeid)

    def _absorbed(self, trade: TradeData) -> TradeData:
        """A fill less what a made-up one of its order stood for (``reconcile_synthetic``)."""
        if not self.orders.filled(trade.vt_orderid):
            return trade
        stored = {t.vt_tradeid: t for t in self.persistence.load_fills(trade.vt_orderid)}
        stored |= {t.vt_tradeid: t for t in self._unsaved_fills(trade.vt_orderid)}
        if not any(".SYN-" in key for key in stored):
            return trade
        lot = self.instrument(trade.adapter_name, trade.vt_symbol).lot
        return absorb(trade, stored.values(), lot).trade

    def _unsaved_fills(self, vt_orderid: str) -> list[TradeData]:
        """Fills of an order that are folded and not yet committed."""
        facts = (fact for _, fact in self.step.facts)
        return [
            fact for fact in facts if isinstance(fact, TradeData) and fact.vt_orderid == vt_orderid
        ]

    def _cannot_book(self, trade: TradeData, error: Exception) -> OmsError:
        reason = f"the fill {trade.vt_tradeid} cannot be booked: {error}"
        block = Block(trade.adapter_name, trade.vt_symbol)
        if self.keeps:
            self.gate.block(block, reason)
            fact = Blocked(block.adapter, block.vt_symbol, block.strategy, reason, self.clock.now())
            self.step.note(str(control_key(fact)), fact, "control", fact)
        return OmsError(
            f"booking the fill {trade} failed: {error}; nothing was changed, and {trade.vt_symbol} is blocked until a "
            f"reconciliation finds position and venue in agreement"
        )

    # --- positions, accounts, contracts ---------------------------------------------------------------------

    def on_position_report(self, report: PositionData) -> None:
        """Take up a position that the venue held before our first fill."""
        leg = self.positions.fold_report(report)
        if leg is not None:
            if self.keeps:
                self.step.note("positions/" + leg.key, leg.state(), "positions", report)
            self._publish_position(leg)

    def roll_day(self) -> None:
        """A new trading day begins: all that is held is yesterday's from here on."""
        self.load_state()
        self.positions.roll_day()
        legs = list(self.positions.legs.values())
        if self.keeps:
            self.step.facts.append(("control", DayRolled(ts_event=self.clock.now())))
            for leg in legs:
                self._note_leg(leg)
        for leg in legs:
            self._publish_position(leg)
        if self.keeps:
            self.flush()

    def on_account_report(self, report: AccountData) -> None:
        """Take over what a venue says of an account, and say by how much we were off."""
        adapter, code = key_of(report)
        self.accounts.currency(adapter, code)
        before = self.accounts.state(adapter, code)
        difference = self.accounts.fold_report(report)
        if difference:
            self._log(
                f"account {report.vt_accountid}: the venue's balance differs from ours by {difference:+.8g} "
                f"{report.currency}; the venue's is taken over",
                logging.WARNING,
            )
        after = self.accounts.state(adapter, code)
        if self.keeps and after != before:
            self.step.note(f"accounts/{adapter}.{code}", after, "accounts", report)
        self._publish_account(adapter, code, report.ts_event)

    def on_contract_report(self, contract: ContractData) -> None:
        """Take up a contract; an open position keeps the units that it was booked in."""
        known = self.contracts.get(contract.vt_symbol)
        contract, warning = self.books.take_contract(contract)
        if warning:
            self._log(warning, logging.ERROR)
        if not contract.net_position:
            self._take_up_hedged(contract)
        if self.keeps and (known is None or replace(known, ts_init=contract.ts_init) != contract):
            self.step.note("contracts/" + contract.vt_symbol, contract, "contracts", contract)
        self._publish_contract(contract)
