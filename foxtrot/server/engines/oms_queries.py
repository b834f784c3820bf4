"""The OMS's questions: state as messages, by key or whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from foxtrot.core.objects import (
    AccountData,
    BarData,
    ContractData,
    OrderData,
    PositionData,
    TickData,
    TradeData,
)
from foxtrot.server.engines.oms_pages import Answer, PageServer, SlicedPage
from foxtrot.server.persistence_query import Page, PageQuery

if TYPE_CHECKING:
    from foxtrot.core.clock import Clock
    from foxtrot.core.event_engine import EventEngine
    from foxtrot.core.market import MarketRecord, MarketView
    from foxtrot.server.oms.account_manager import AccountManager
    from foxtrot.server.oms.order_manager import OrderManager
    from foxtrot.server.oms.position_manager import PositionManager
    from foxtrot.server.oms.trade_manager import TradeManager
    from foxtrot.server.persistence import Persistence

T = TypeVar("T", OrderData, TradeData)


class OmsQueries:
    """Read-only half of ``OmsEngine``; positions and accounts are valued at the newest prices.

    Any thread may ask: each answer is taken from the collections in one step and consists of frozen messages.
    """

    orders: OrderManager
    trades: TradeManager
    positions: PositionManager
    accounts: AccountManager
    contracts: dict[str, ContractData]
    market: MarketView
    clock: Clock
    event_engine: EventEngine
    persistence: Persistence
    loaded: bool
    keeps: bool
    _pages: PageServer | None = None

    def get_tick(self, vt_symbol: str) -> TickData | None:
        """The newest tick of an instrument."""
        record = self.market.records.get(vt_symbol)
        return _tick_of(record) if record is not None else None

    def get_bar(self, vt_symbol: str) -> BarData | None:
        """The newest bar of an instrument."""
        record = self.market.records.get(vt_symbol)
        if record is None:
            return None
        return record.last if isinstance(record.last, BarData) else record.bar

    def get_order(self, vt_orderid: str) -> OrderData | None:
        """An order by its id, however old; None where it is unknown, or was archived."""
        order = self.orders.orders.get(vt_orderid)
        if order is None and self.loaded and self.keeps:
            return self.event_engine.call(lambda: self.persistence.find_order(vt_orderid))
        return order

    def orders_by_id(self, vt_orderid: str) -> OrderData | None:
        """An order that is in memory: active, or lately closed."""
        return self.orders.orders.get(vt_orderid)

    def get_trade(self, vt_tradeid: str) -> TradeData | None:
        """A fill by its id, however old; None where it is unknown, or was archived."""
        trade = self.trades.trades.get(vt_tradeid)
        if trade is None and self.loaded and self.keeps:
            return self.event_engine.call(lambda: self.persistence.find_trade(vt_tradeid))
        return trade

    def orders_page(self, query: PageQuery) -> Page[OrderData]:
        """A page of all orders ever, by time of submission, strategy or instrument; archived ones are not in it.

        From another thread than the loop's it is read in slices, with the loop going on in between.

        Raises:
            PersistenceError: the query is malformed, or a row cannot be read.
        """
        return self._page(self.persistence.orders_page, query)

    def trades_page(self, query: PageQuery) -> Page[TradeData]:
        """A page of all fills ever, by time, strategy or instrument; archived ones are not in it. As ``orders_page``.

        Raises:
            PersistenceError: the query is malformed, or a row cannot be read.
        """
        return self._page(self.persistence.trades_page, query)

    def orders_page_later(self, query: PageQuery, answer: Answer[OrderData]) -> None:
        """``orders_page`` for the thread of a live loop: a slice each round, then ``answer(page)``.

        Raises:
            PersistenceError: the query is malformed. What fails later is handed to ``answer``.
        """
        self._later(SlicedPage(self.persistence.orders_page, query), answer)

    def trades_page_later(self, query: PageQuery, answer: Answer[TradeData]) -> None:
        """``trades_page`` as ``orders_page_later``.

        Raises:
            PersistenceError: the query is malformed. What fails later is handed to ``answer``.
        """
        self._later(SlicedPage(self.persistence.trades_page, query), answer)

    def _page(self, fetch: Callable[[PageQuery], Page[T]], query: PageQuery) -> Page[T]:
        sliced = SlicedPage(fetch, query)
        while self.event_engine.call(sliced.step):
            pass
        return sliced.page

    def _later(self, page: SlicedPage[T], answer: Answer[T]) -> None:
        if self._pages is None:
            self._pages = PageServer(self.clock, self.event_engine.queue)
        self._pages.add(page, answer)

    def get_position(self, vt_positionid: str) -> PositionData | None:
        """A position by its id, ``ADAPTER.vt_symbol.NET`` (or LONG, SHORT)."""
        leg = self.positions.legs.get(vt_positionid)
        if leg is None:
            return None
        return leg.snapshot(self.market.price(leg.instrument.vt_symbol), self.clock.now())

    def get_account(self, vt_accountid: str) -> AccountData | None:
        """An account by its id, ``ADAPTER.CURRENCY``."""
        adapter, _, code = vt_accountid.partition(".")
        ledger = self.accounts.ledgers.get(adapter)
        if ledger is None or code not in ledger.balances:
            return None
        return self.accounts.snapshot(adapter, code, self.clock.now())

    def get_contract(self, vt_symbol: str) -> ContractData | None:
        """A contract by its ``vt_symbol``."""
        return self.contracts.get(vt_symbol)

    def get_all_ticks(self) -> list[TickData]:
        """The newest tick of each instrument."""
        ticks = [_tick_of(record) for record in list(self.market.records.values())]
        return [tick for tick in ticks if tick is not None]

    def get_all_orders(self) -> list[OrderData]:
        """The orders in memory, in order of submission: the active ones, and the last 10,000 closed since the start.

        ``orders_page`` goes through all of them.
        """
        return list(self.orders.orders.values())

    def get_all_active_orders(self, vt_symbol: str = "") -> list[OrderData]:
        """Orders that can still trade, of one instrument or all."""
        active = list(self.orders.active.values())
        return [order for order in active if not vt_symbol or order.vt_symbol == vt_symbol]

    def get_all_trades(self) -> list[TradeData]:
        """The fills in memory, in order of arrival: those of active orders, and the last 10,000 since the start.

        ``trades_page`` goes through all of them.
        """
        return list(self.trades.trades.values())

    def get_all_positions(self) -> list[PositionData]:
        """Every position, flat ones included."""
        return self.positions.snapshots(self.market.price, self.clock.now())

    def get_all_accounts(self) -> list[AccountData]:
        """Every account, one a currency."""
        return self.accounts.snapshots(self.clock.now())

    def get_all_contracts(self) -> list[ContractData]:
        """Every contract."""
        return list(self.contracts.values())

    def last_order_number(self, prefix: str) -> int:
        """Largest ``n`` among the known order ids ``ADAPTER.prefix-n``; 0 where there is none.

        Of orders that are not in memory the newest 1,000 of the strategy of that name count.
        """
        ids = list(self.orders.orders)
        if self.keeps:
            query = PageQuery(strategy=prefix, newest_first=True, limit=1_000)
            ids += [order.vt_orderid for order in self.orders_page(query).items]
        head = prefix + "-"
        tails = (vt_orderid.partition(".")[2] for vt_orderid in ids)
        numbers = (tail.removeprefix(head) for tail in tails if tail.startswith(head))
        return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _tick_of(record: MarketRecord) -> TickData | None:
    return record.last if isinstance(record.last, TickData) else record.tick
