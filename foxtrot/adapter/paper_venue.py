"""The simulated exchange with a note of what each step changes, so that just that is saved before it is reported.

Pure: no I/O, no clock but the market's. Invariants: an order that works or has ever been reported differs from what was
saved only if it is in ``changes``; reports wait in ``changes`` in the order in which the exchange made them. The
market's time is the stamp of the newest data: what an order sent in answer to a bar meets is the next bar, as in a
backtest, however long the answer took.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import Currency
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND, Direction, Status, VolumeMode
from foxtrot.core.errors import ConfigError, FoxtrotError
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    AccountData,
    BarData,
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderData,
    OrderRequest,
    PositionData,
    TickData,
    TradeData,
)
from foxtrot.simulation.book import Book, SimOrder
from foxtrot.simulation.exchange import AccountSettings, Reports, SimulatedExchange
from foxtrot.simulation.models import ExecutionModel
from foxtrot.simulation.reports import order_report
from foxtrot.simulation.state import SimBookState, SimExchangeState, SimOrderState, SimVenueState

REWIND_NS = NS_PER_SECOND
"""Data that is older than what came before by more than this (ns) means that its source has begun again."""

ACTIVE = Status.NOTTRADED, Status.PARTTRADED, Status.TRIGGERED


@dataclass(slots=True)
class Changes:
    """What happened since it was last saved.

    Attributes:
        reports: to be sent, in order.
        orders: changed orders by id, in order of their first report.
        requests: what was asked for by orders that never came to work.
        reasons: why an order ended, by id.
        books: instruments whose book or market data changed.
        late: rows of market data that were dropped as too late.
        rewound: instruments whose data began again.
    """

    reports: list[OrderData | TradeData] = field(default_factory=list)
    orders: dict[str, OrderData | None] = field(default_factory=dict)
    requests: dict[str, OrderRequest] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    books: dict[str, None] = field(default_factory=dict)
    late: int = 0
    rewound: list[str] = field(default_factory=list)


class PaperVenue:
    """The exchange of a paper adapter.

    Args:
        name: the adapter's name.
        account: opening balance and currency.
        model: conventions of execution.
    """

    def __init__(self, name: str, account: AccountSettings, model: ExecutionModel) -> None:
        self.name = name
        self.settings = account
        self.clock = SimulatedClock(0)
        self.market = MarketView()
        self.changes = Changes()
        self._accounts: list[AccountData] = []
        self.exchange = SimulatedExchange(
            name,
            self.clock,
            self.market,
            account,
            model,
            Reports(self._on_order, self._on_trade, self._accounts.append),
        )
        self._quoted: dict[str, bool] = {}

    # --- set-up ---------------------------------------------------------------------------------------------

    def list_contract(self, contract: ContractData, *, on_ticks: bool | None = None) -> Book:
        """Open a contract's book.

        Args:
            contract: what is traded.
            on_ticks: whether quotes move it, or bars; None for quotes from the first one on.

        Raises:
            ConfigError: the account cannot hold it.
        """
        book = self.exchange.list_contract(contract, on_ticks=bool(on_ticks))
        self._quoted[contract.vt_symbol] = on_ticks is None
        self.changes.books[contract.vt_symbol] = None
        return book

    def restore(
        self,
        venue: SimVenueState,
        books: Iterable[tuple[ContractData, SimBookState]],
        orders: Iterable[SimOrderState],
        market_ts: int,
    ) -> None:
        """Go on from saved values; contracts that are not listed yet come from there.

        Raises:
            ConfigError: a contract with a position or orders counts in other units than it did.
        """
        orders = tuple(orders)
        busy = {order.request.vt_symbol for order in orders}
        states = []
        for contract, state in books:
            book = self.exchange.books.get(contract.vt_symbol)
            if book is None:
                book = self.list_contract(contract)
            self._check_units(
                book, contract, busy | ({contract.vt_symbol} if state.position[0] else set())
            )
            told = not self._quoted[contract.vt_symbol]  # by the user, who may have changed it
            states.append(replace(state, on_ticks=book.on_ticks) if told else state)
        self.exchange.restore(SimExchangeState(venue, tuple(states), orders))
        self.clock.ns = market_ts
        self.changes = Changes(books=dict.fromkeys(self.exchange.books))

    @staticmethod
    def _check_units(book: Book, saved: ContractData, busy: set[str]) -> None:
        new = book.instrument.contract
        if saved.vt_symbol in busy and (new.size, new.min_volume) != (saved.size, saved.min_volume):
            raise ConfigError(
                f"{saved.vt_symbol}: the saved position or orders are in lots of {saved.min_volume:g} units of size "
                f"{saved.size:g}, the contract now says {new.min_volume:g} and {new.size:g}; keep the old terms until "
                "it is flat, or begin with another file"
            )

    # --- market data ----------------------------------------------------------------------------------------

    def on_market(self, message: BarData | TickData) -> None:
        """Meet resting orders with a bar or quote; instruments that are not listed are ignored."""
        book = self.exchange.books.get(message.vt_symbol)
        if book is None:
            return
        is_bar = isinstance(message, BarData)
        if not is_bar and not book.on_ticks and self._quoted[book.vt_symbol]:
            book.on_ticks = True
            book.refresh()
        if is_bar is book.on_ticks:  # bars of an instrument that has quotes only inform strategies
            self.clock.ns = max(self.clock.ns, message.ts_event)
            return
        if not self._in_time(book, message):
            return
        self.clock.ns = max(self.clock.ns, message.ts_event)
        self.changes.books[book.vt_symbol] = None
        if isinstance(message, BarData):
            if message.low_price <= book.low_reach or message.high_price >= book.high_reach:
                fresh = _fresh(book)
                self.exchange.on_bar(book, message)
                self._note_rested(fresh)
            book.market.last = message
        else:
            book.market.last = message
            self._meet_quote(book, message)

    def _meet_quote(self, book: Book, tick: TickData) -> None:
        bid, ask = tick.bid_price_1, tick.ask_price_1
        if (
            ask <= book.buy_limit
            or bid >= book.sell_limit
            or bid <= book.sell_stop
            or ask >= book.buy_stop
        ):
            fresh = _fresh(book)
            self.exchange.on_tick(book, tick)
            self._note_rested(fresh)

    def _note_rested(self, fresh: list[SimOrder]) -> None:
        """Orders that have met their first quote since are changed, though nobody is told of it."""
        for order in fresh:
            if order.rested:
                self.changes.orders.setdefault(order.request.vt_orderid, None)

    def _in_time(self, book: Book, message: BarData | TickData) -> bool:
        """Whether data may be used: not if a bit late; where its source has begun again, all goes on from there."""
        last = book.market.last
        if last is None or message.ts_event >= last.ts_event:
            return True
        if last.ts_event - message.ts_event < REWIND_NS:
            self.changes.late += 1
            return False
        start = message.ts_open if isinstance(message, BarData) else message.ts_event
        self.clock.ns = start
        for order in self.exchange.orders.values():
            if order.live and order.arrival > start:
                order.arrival = start
                self.changes.orders.setdefault(order.request.vt_orderid, None)
        self.changes.rewound.append(book.vt_symbol)
        return True

    # --- commands -------------------------------------------------------------------------------------------

    def submit(self, request: OrderRequest) -> None:
        """Take a new order, or reject it with a reason; its id must be new."""
        self.changes.requests[request.vt_orderid] = request
        book = self.exchange.books.get(request.vt_symbol)
        if book is not None:
            self.changes.books[book.vt_symbol] = None
            reason = _unusable(book, request)
            if reason:
                order = SimOrder(request, 0, self.clock.ns)
                order.status = Status.REJECTED
                self._on_order(order_report(order, book, self.clock.ns, reason))
                return
        self.exchange.submit(request)

    def modify(self, request: ModifyRequest) -> bool:
        """Change a working order, or say why not; False where no such order works."""
        order = self._working(request.vt_orderid)
        if order is None:
            return False
        book = self.exchange.books[order.request.vt_symbol]
        fresh = _fresh(book)
        try:
            self.exchange.modify(request)
            self._note_rested(fresh)
        except FoxtrotError as error:
            reason = f"change refused: {error}"
            self._on_order(order_report(order, book, self.clock.ns, reason))
        return True

    def cancel(self, request: CancelRequest) -> bool:
        """Cancel a working order; False where no such order works."""
        order = self._working(request.vt_orderid)
        if order is None:
            return False
        self.exchange.cancel(request)
        return True

    def _working(self, vt_orderid: str) -> SimOrder | None:
        order = self.exchange.orders.get(vt_orderid)
        if order is None or not order.live:
            return None
        self.changes.books[order.request.vt_symbol] = None
        return order

    # --- what it says ---------------------------------------------------------------------------------------

    def _on_order(self, report: OrderData) -> None:
        changes = self.changes
        changes.reports.append(report)
        changes.orders[report.vt_orderid] = report
        changes.reasons[report.vt_orderid] = report.reason

    def _on_trade(self, trade: TradeData) -> None:
        order = self.exchange.orders[trade.vt_orderid]
        book = self.exchange.books[trade.vt_symbol]
        filled = book.instrument.lot.from_lots(order.filled)
        order.average += (trade.price - order.average) * (trade.volume / filled)
        self.changes.reports.append(trade)
        self.changes.orders.setdefault(trade.vt_orderid, None)

    def order(self, vt_orderid: str) -> tuple[SimOrderState | None, OrderRequest, OrderData]:
        """A changed order: its working state (None where it has ended), what was asked for, how it stands."""
        order = self.exchange.orders.get(vt_orderid)
        last = self.changes.orders[vt_orderid]
        if order is None:
            if last is None:
                raise AssertionError(f"{vt_orderid} changed, but neither works nor was reported")
            return None, self.changes.requests[vt_orderid], last
        book = self.exchange.books.get(order.request.vt_symbol)
        reason = "" if order.status in ACTIVE else self.changes.reasons.get(vt_orderid, "")
        report = order_report(order, book, self.clock.ns, reason)
        report = replace(report, average_price=order.average)
        return (order.state() if order.live else None), order.request, report

    def saved(self) -> None:
        """Forget what has been saved, and orders that have ended."""
        for vt_orderid in self.changes.orders:
            order = self.exchange.orders.get(vt_orderid)
            if order is not None and not order.live:
                del self.exchange.orders[vt_orderid]
        self.changes = Changes()

    def account(self) -> AccountData:
        """The account."""
        self.exchange.report_account()
        return self._accounts.pop()

    def positions(self, *, flat: bool = False) -> list[PositionData]:
        """What is held per instrument, net, marked at the newest price; with ``flat`` also what was held once."""
        return [
            self._position(book)
            for book in self.exchange.books.values()
            if book.position.lots or (flat and book.position.opened)
        ]

    def _position(self, book: Book) -> PositionData:
        held, instrument, mark = book.position, book.instrument, book.market.price()
        now, to_amount = self.clock.ns, instrument.currency.to_amount
        pnl = held.unrealized(instrument.value_of_lots(mark, held.lots)) if mark else 0
        volume = instrument.lot.from_lots(abs(held.lots))
        return PositionData(
            f"{self.name}.{book.vt_symbol}.{Direction.NET.value}",
            book.vt_symbol,
            Direction.NET,
            -volume if held.lots < 0 else volume,
            0.0,
            instrument.price_of(held.cost, held.lots),
            to_amount(pnl),
            0.0,
            to_amount(held.realized),
            to_amount(held.commission),
            now,
            now,
        )

    def can_list(self, contract: ContractData) -> str:
        """Why a contract cannot be traded here; empty where it can."""
        if contract.vt_symbol in self.exchange.books:
            return ""
        try:
            Instrument(contract, Currency(self.settings.currency, self.settings.digits))
        except FoxtrotError as error:
            return str(error)
        if contract.currency != self.settings.currency or not contract.net_position:
            return f"the account is in {self.settings.currency} and nets positions"
        return ""


def _fresh(book: Book) -> list[SimOrder]:
    """Orders that have not met a quote yet."""
    return [order for order in book.orders if not order.rested]


def _unusable(book: Book, request: OrderRequest) -> str:
    """Why an order's numbers cannot be worked with; empty where they can."""
    numbers = (request.volume, request.price, request.trigger_price)
    if not all(abs(number) < float("inf") for number in numbers):
        return "volume and prices must be finite"
    if request.volume <= 0.0:
        return f"the volume must be positive, got {request.volume:g}"
    if request.volume_mode is VolumeMode.UNITS:
        try:
            book.instrument.lot.to_lots(request.volume)
        except FoxtrotError as error:
            return str(error)
    return ""
