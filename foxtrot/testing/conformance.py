"""The contract of an adapter as tests: subclass it, say how to make yours, run pytest.

    class TestMyAdapter(AdapterConformance):
        vt_symbol = "ABC.LOCAL"
        resting_price = 50.0

        def make_adapter(self, event_engine):
            return MyAdapter(event_engine, "MY")

Every call is timed, nothing may be reported before a call returns, and answers have a time limit. It needs a venue
where a market order of ``volume`` fills, so for a live one its test network. Loads no test library: the methods are
plain, and what an adapter has not is skipped by ``unittest.SkipTest``, which pytest knows; ``examine`` runs them
without it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from math import isclose
from unittest import SkipTest

from foxtrot.core.constants import Direction, Status
from foxtrot.core.objects import (
    CancelRequest,
    HistoryRequest,
    ModifyRequest,
    OrderRequest,
    SubscribeRequest,
)
from foxtrot.testing.conformance_base import ConformanceBase
from foxtrot.testing.conformance_desk import require

__all__ = ["AdapterConformance"]

SHORT = Direction.SHORT
ENDED = frozenset({Status.ALLTRADED, Status.CANCELLED, Status.REJECTED, Status.EXPIRED})


class AdapterConformance(ConformanceBase):
    """Tests of one adapter; a subclass whose name begins with ``Test`` is collected by pytest.

    Its attributes and hooks are those of ``ConformanceBase``; ``make_adapter`` and ``vt_symbol`` must be given.
    """

    # --- the connection -------------------------------------------------------------------------------------

    def test_the_name_is_the_first_part_of_all_ids(self) -> None:
        """Accounts, orders and fills are ``ADAPTER.id``."""
        desk = self.desk
        desk.call(desk.adapter.query_account)
        desk.wait_for(lambda: desk.accounts, "an account after query_account")
        self.fill()
        start = desk.adapter.adapter_name + "."
        ids = [account.vt_accountid for account in desk.accounts]
        ids += [order.vt_orderid for order in desk.orders]
        ids += [trade.vt_tradeid for trade in desk.trades]
        ids += [position.vt_positionid for position in desk.positions]
        wrong = [text for text in ids if not text.startswith(start)]
        require(not wrong, f"these ids do not begin with {start!r}: {wrong}")

    def test_it_can_be_closed_twice_and_connected_again(self) -> None:
        """A second life begins like the first, and fills go on under new ids."""
        desk = self.desk
        first = self.fill()
        known = {trade.vt_tradeid for trade in desk.trades}
        desk.call(desk.adapter.close)
        desk.call(desk.adapter.close)
        desk.contracts.clear()
        self.connect()
        second = self.fill(SHORT)
        repeated = known & desk.fills(second.vt_orderid).keys()
        require(not repeated, f"fill ids were used again after a reconnection: {repeated}")
        require(first.vt_orderid != second.vt_orderid, "order ids were used again")

    def test_close_ends_its_threads(self) -> None:
        """Nothing is left running."""
        if not self.threads_end:
            raise SkipTest("threads_end is False")
        self.desk.adapter.close()
        self.desk.wait_for(
            lambda: threading.active_count() <= self._threads,
            f"threads to end; there are {[t.name for t in threading.enumerate()]}",
        )

    def test_market_data_may_be_asked_for(self) -> None:
        """``subscribe`` neither blocks nor raises, and may be repeated."""
        for _ in range(2):
            self.desk.call(self.desk.adapter.subscribe, SubscribeRequest(self.vt_symbol))
        self.desk.pump()

    def test_queries_neither_block_nor_raise(self) -> None:
        """All of them, also those that an adapter does not answer."""
        desk, adapter = self.desk, self.desk.adapter
        for query in (
            adapter.query_account,
            adapter.query_position,
            adapter.query_orders,
            adapter.query_trades,
            adapter.query_snapshot,
        ):
            desk.call(query)
        desk.pump()
        bars = desk.call(adapter.query_history, HistoryRequest(self.vt_symbol))
        stamps = [bar.ts_event for bar in bars]
        require(stamps == sorted(stamps), "query_history must return bars oldest first")

    # --- orders ---------------------------------------------------------------------------------------------

    def test_a_resting_order_is_reported_as_it_was_sent(self) -> None:
        """Its report echoes the request."""
        request = self.rest()
        order = self.desk.reports(request.vt_orderid)[-1]
        for name in ("vt_symbol", "direction", "type", "volume", "price", "strategy", "reference"):
            theirs, ours = getattr(order, name), getattr(request, name)
            require(theirs == ours, f"the report's {name} is {theirs!r}, the request's {ours!r}")
        require(order.traded == 0.0, "nothing has traded")
        self.desk.call(self.desk.adapter.cancel_order, CancelRequest(request.vt_orderid))

    def test_a_cancelled_order_is_reported_cancelled(self) -> None:
        """And nothing of it fills later."""
        request = self.rest()
        self.cancel(request)
        self.desk.settle(self.quiet)
        require(not self.desk.fills(request.vt_orderid), "a cancelled order has filled")

    def test_cancelling_what_is_unknown_does_no_harm(self) -> None:
        """It neither raises nor ends, fills or makes an order."""
        desk = self.desk
        request = self.rest()
        desk.call(desk.adapter.cancel_order, CancelRequest(desk.new_id()))
        desk.settle(self.quiet)
        last = desk.reports(request.vt_orderid)[-1]
        require(last.status not in ENDED, f"another order was ended: {last}")
        require(not desk.trades, f"something has filled: {desk.trades}")
        self.cancel(request)

    def test_cancelling_what_has_filled_changes_nothing(self) -> None:
        """A filled order stays filled."""
        desk = self.desk
        request = self.fill()
        told = len(desk.orders)
        desk.call(desk.adapter.cancel_order, CancelRequest(request.vt_orderid))
        desk.settle(self.quiet)
        wrong = [
            order
            for order in desk.orders[told:]
            if order.vt_orderid == request.vt_orderid and order.status is not Status.ALLTRADED
        ]
        require(not wrong, f"a filled order was reported otherwise: {wrong}")

    def test_a_change_is_made_or_refused_and_the_order_works_on(self) -> None:
        """The order is not lost, and does not fill by it."""
        if not self.other_price:
            raise SkipTest("set other_price to have changes examined")
        desk = self.desk
        request = self.rest()
        change = ModifyRequest(request.vt_orderid, price=self.other_price)
        desk.call(desk.adapter.modify_order, change)
        desk.settle(self.quiet)
        last = desk.reports(request.vt_orderid)[-1]
        require(last.status is Status.NOTTRADED, f"the order does not work on: {last}")
        allowed = (self.resting_price, self.other_price)
        require(last.price in allowed, f"the price is {last.price}, neither the old nor the new")
        self.cancel(request)

    # --- fills ----------------------------------------------------------------------------------------------

    def test_a_market_order_fills_whole(self) -> None:
        """Its fills add up to its volume, with prices, stamps and sides that make sense."""
        request = self.fill()
        self.desk.settle(self.quiet)
        self.desk.check_fills(request)

    def test_fills_in_parts_add_up(self) -> None:
        """An order that finds too little goes on, and its parts are one after the other."""
        self.thin_market(self.desk)
        self.desk.pump()
        request = self.fill()
        self.desk.settle(self.quiet)
        fills = self.desk.fills(request.vt_orderid)
        require(len(fills) > 1, "the market was thin, but the order filled at once")
        self.desk.check_fills(request)
        total = self.desk.filled(request.vt_orderid)
        require(isclose(total, request.volume), f"{total:g} of {request.volume:g} has filled")

    def test_a_repeated_request_is_one_order(self) -> None:
        """The client's id makes it recognised, whether it still works or has filled, and other terms do not count."""
        desk = self.desk
        request = self.fill()
        for repeated in (request, request):
            desk.send(repeated)
        desk.settle(self.quiet)
        total = desk.filled(request.vt_orderid)
        require(
            isclose(total, request.volume),
            f"a repeated request was filled again: {total:g} of {request.volume:g}",
        )
        wrong = [o for o in desk.reports(request.vt_orderid) if o.status is Status.REJECTED]
        require(
            not wrong, f"a repeated request was rejected under the id of the filled order: {wrong}"
        )

    def test_past_fills_are_told_as_they_were(self) -> None:
        """``query_trades`` and ``query_orders`` say nothing else than the live reports did."""
        desk = self.desk
        request = self.fill()
        desk.call(desk.adapter.query_trades)
        desk.call(desk.adapter.query_orders)
        desk.settle(self.quiet)
        self.desk.check_fills(request)
        last = desk.reports(request.vt_orderid)[-1]
        require(
            last.status not in {Status.REJECTED, Status.CANCELLED},
            f"a filled order is told otherwise later: {last}",
        )

    # --- what is not known ----------------------------------------------------------------------------------

    def test_an_unknown_outcome_is_never_a_rejection(self) -> None:
        """Where the venue does not answer, nothing is said about the order (or the call raises)."""
        self.lose_answers(self.desk)
        request = self.order()
        with suppress(ConnectionError, TimeoutError, OSError):
            self.desk.send(request)
        self.desk.settle(self.quiet)
        self.check_not_ended(request)

    def test_an_order_after_close_is_not_rejected(self) -> None:
        """It raises, or says nothing: the order becomes UNKNOWN and is asked for later."""
        self.desk.call(self.desk.adapter.close)
        request = self.order()
        with suppress(ConnectionError, TimeoutError, OSError):
            self.desk.send(request)
        self.desk.settle(self.quiet)
        self.check_not_ended(request)

    def check_not_ended(self, request: OrderRequest) -> None:
        """No report says that the order ended without a fill."""
        bad = {Status.REJECTED, Status.CANCELLED, Status.EXPIRED}
        wrong = [o for o in self.desk.reports(request.vt_orderid) if o.status in bad]
        require(not wrong, f"an order of unknown outcome was reported ended: {wrong}")

    # --- the snapshot ---------------------------------------------------------------------------------------

    def test_a_snapshot_agrees_with_the_reports(self) -> None:
        """Orders, fills and positions in it are those that were reported."""
        desk = self.desk
        if not desk.adapter.snapshots:
            raise SkipTest("the adapter answers no snapshots")
        filled, resting = self.fill(), self.rest()
        desk.snapshots.clear()
        desk.call(desk.adapter.query_snapshot)
        desk.wait_for(lambda: desk.snapshots, "a snapshot after query_snapshot")
        shot = desk.snapshots[-1]
        name = desk.adapter.adapter_name
        require(shot.adapter == name, f"the snapshot is of {shot.adapter!r}, not {name!r}")
        orders = {order.vt_orderid: order for order in shot.orders}
        require(resting.vt_orderid in orders, "the working order is not in the snapshot")
        require(orders[resting.vt_orderid].is_active(), "the working order is not active in it")
        desk.check_listed(filled, shot)
        done = orders.get(filled.vt_orderid)
        if done is not None:
            require(done.status is Status.ALLTRADED, f"the filled order is not: {done}")
            require(isclose(done.traded, filled.volume), f"the filled order has not: {done}")
        listed = {o.vt_orderid for o in shot.orders if o.is_active()}
        require(not shot.open_orders_complete or filled.vt_orderid not in listed, "it ended")
        if shot.positions is not None:
            held = [p for p in shot.positions if p.vt_symbol == self.vt_symbol and p.volume]
            require(held, "the position is not in the snapshot")
        self.cancel(resting)
