"""The OMS's answers to questions: state, history in bounded pages, and the streams of strategies.

Invariants: a question is answered between two steps, so what is told is durable; no answer reads more than a page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from foxtrot.bus.messages import (
    QUERY_ACCOUNTS,
    QUERY_CONTRACTS,
    QUERY_ORDERS,
    QUERY_POSITIONS,
    QUERY_TRADES,
    STREAM_REPLAY,
    STREAM_SNAPSHOT,
    AccountList,
    ContractList,
    HistoryQuery,
    OrderPage,
    PositionList,
    StreamPage,
    StreamRequest,
    StreamSnapshot,
    TradePage,
)
from foxtrot.bus.rpc_messages import RpcError
from foxtrot.bus.rpc_methods import Incoming, Pending
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.core.clock import LiveClock
from foxtrot.core.errors import FoxtrotError, PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.engines.oms_engine import OmsEngine
from foxtrot.server.engines.oms_pages import Answer
from foxtrot.server.journal.journal import Journal
from foxtrot.server.persistence_query import Page, PageQuery
from foxtrot.server.persistence_sqlite import SqlitePersistence

__all__ = ["OmsAnswers"]

Later = Callable[[], Pending]
T = TypeVar("T", OrderData, TradeData)

MAX_REPLAY = 1_000


class OmsAnswers:
    """Answers for one OMS.

    Args:
        oms: what is asked about.
        store: its database.
    """

    def __init__(self, oms: OmsEngine, store: SqlitePersistence) -> None:
        self._oms = oms
        self._store = store

    def register(self, server: RpcServer) -> None:
        """Answer on a server."""
        server.register(QUERY_ORDERS, self._orders, HistoryQuery, None, keep=False)
        server.register(QUERY_TRADES, self._trades, HistoryQuery, None, keep=False)
        server.register(QUERY_POSITIONS, self._positions, None, keep=False)
        server.register(QUERY_ACCOUNTS, self._accounts, None, keep=False)
        server.register(QUERY_CONTRACTS, self._contracts, ContractList, None, keep=False)
        server.register(STREAM_SNAPSHOT, self._snapshot, StreamRequest, keep=False)
        server.register(STREAM_REPLAY, self._replay, StreamRequest, keep=False)

    def _orders(self, asked: Incoming, later: Later) -> OrderPage | None:
        query = asked.body or HistoryQuery(active=True)
        oms = self._oms
        if query.id:
            order = oms.get_order(query.id)
            return OrderPage((order,) if order is not None else ())
        if query.active:
            found = [
                order
                for order in oms.get_all_active_orders(query.vt_symbol)
                if query.strategy in ("", order.strategy)
            ]
            return OrderPage(tuple(found[:MAX_REPLAY]))
        self._history(oms.orders_page_later, oms.orders_page, query, later, _order_page)
        return None

    def _trades(self, asked: Incoming, later: Later) -> TradePage | None:
        query = asked.body or HistoryQuery(newest_first=True)
        if query.id:
            trade = self._oms.get_trade(query.id)
            return TradePage((trade,) if trade is not None else ())
        oms = self._oms
        self._history(oms.trades_page_later, oms.trades_page, query, later, _trade_page)
        return None

    def _history(
        self,
        read_later: Callable[[PageQuery, Answer[T]], None],
        read: Callable[[PageQuery], Page[T]],
        asked: HistoryQuery,
        later: Later,
        make: Callable[[Page[T]], OrderPage | TradePage],
    ) -> None:
        """Answer with a page of history, read a slice at a time between the orders where the clock is live."""
        pending = later()
        query = PageQuery(
            asked.strategy, asked.vt_symbol, asked.start, asked.end, asked.limit, asked.cursor,
            asked.newest_first,
        )  # fmt: skip

        def answer(page: Page[T] | FoxtrotError) -> None:
            if isinstance(page, FoxtrotError):
                pending.fail("WRONG_QUERY", str(page))
            else:
                pending.answer(make(page))

        try:
            if isinstance(self._oms.clock, LiveClock):
                read_later(query, answer)
            else:
                answer(read(query))
        except PersistenceError as error:
            pending.fail("WRONG_QUERY", str(error))

    def _positions(self, _asked: Incoming, _later: Later) -> PositionList:
        return PositionList(tuple(self._oms.get_all_positions()))

    def _accounts(self, _asked: Incoming, _later: Later) -> AccountList:
        return AccountList(tuple(self._oms.get_all_accounts()))

    def _contracts(self, asked: Incoming, _later: Later) -> ContractList:
        names = asked.body.names if asked.body is not None else ()
        contracts = self._oms.contracts
        if not names:
            return ContractList(tuple(contracts.values()))
        return ContractList(tuple(contracts[name] for name in names if name in contracts))

    # --- streams --------------------------------------------------------------------------------------------

    def _snapshot(self, asked: Incoming, _later: Later) -> StreamSnapshot:
        self._check_loaded()
        strategy = asked.body.strategy
        seq = self._journal.last(stream_of(strategy))
        orders = [
            order for order in self._oms.get_all_active_orders() if order.strategy == strategy
        ]
        trades = [trade for order in orders for trade in self._store.load_fills(order.vt_orderid)]
        last_id = self._oms.last_order_number(strategy)
        return StreamSnapshot(strategy, seq, tuple(orders), tuple(trades), last_id)

    def _replay(self, asked: Incoming, _later: Later) -> StreamPage:
        self._check_loaded()
        request: StreamRequest = asked.body
        if not 1 <= request.limit <= MAX_REPLAY:
            raise RpcError("WRONG_LIMIT", f"limit is 1 to {MAX_REPLAY}, not {request.limit}")
        stream = stream_of(request.strategy)
        try:
            rows = self._journal.read(stream, request.after, request.limit)
        except PersistenceError as error:
            raise RpcError("ARCHIVED", str(error)) from error
        facts = tuple(row.fact for row in rows if isinstance(row.fact, OrderData | TradeData))
        first = rows[0].stream_seq if rows else request.after + 1
        return StreamPage(request.strategy, first, facts, self._journal.last(stream))

    @property
    def _journal(self) -> Journal:
        return self._store.journal

    def _check_loaded(self) -> None:
        if not self._oms.loaded or self._oms.stalled:
            raise RpcError("NOT_READY", self._oms.stalled or "the OMS has not loaded its state yet")


def stream_of(strategy: str) -> str:
    """The durable stream of a strategy's orders and fills."""
    return f"s/{strategy}"


def _order_page(page: Page[OrderData]) -> OrderPage:
    return OrderPage(tuple(page.items), page.cursor)


def _trade_page(page: Page[TradeData]) -> TradePage:
    return TradePage(tuple(page.items), page.cursor)
