"""The simulated exchange: takes orders, matches them with market data, keeps one account, reports what happened.

Invariants: an order that was taken ends filled, cancelled or rejected with a reason, or still works; fills are sized,
checked against the account and booked before they are reported; everything is deterministic. Reports go out through
the two callbacks as the same messages that a live venue's adapter sends.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import Currency
from foxtrot.core.clock import Clock
from foxtrot.core.constants import Direction, Liquidity, OrderType, Status
from foxtrot.core.errors import ConfigError
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    AccountData,
    BarData,
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderRequest,
    TickData,
    TradeData,
)
from foxtrot.simulation.account import AccountSettings, SimAccount
from foxtrot.simulation.book import UNITS, Book, SimOrder, restored_orders
from foxtrot.simulation.brackets import attach_children, cancel_orphans
from foxtrot.simulation.matching import Matcher
from foxtrot.simulation.models import ExecutionModel, Finalize, MarketFill
from foxtrot.simulation.reports import Reports, order_report, refused_change, refused_request
from foxtrot.simulation.state import SimExchangeState, SimVenueState

__all__ = ["AccountSettings", "Reports", "SimulatedExchange"]

ALLTRADED = Status.ALLTRADED
MAKER = Liquidity.MAKER
TAKER = Liquidity.TAKER


class SimulatedExchange:
    """A venue with one account.

    Args:
        name: the adapter's name, the first part of its ids.
        clock: what arrivals are stamped with.
        market: newest prices, shared with whoever delivers market data.
        account: opening balance and currency.
        model: conventions of execution.
        reports: where reports go.
        keep_closed: whether ``orders`` keeps those that have ended; nothing can be asked of them any more.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        market: MarketView,
        account: AccountSettings,
        model: ExecutionModel,
        reports: Reports,
        *,
        keep_closed: bool = True,
    ) -> None:
        self.name = name
        self.model = model
        self.books: dict[str, Book] = {}
        self.orders: dict[str, SimOrder] = {}
        self._clock = clock
        self._market = market
        self._reports = reports
        self._currency = Currency(account.currency, account.digits)
        self.account = SimAccount(self._currency, account.capital, model.leverage, model.fees)
        self._matcher = Matcher(model, self._execute, self._trigger)
        self.on_bar: Callable[[Book, BarData], None] = self._matcher.match_bar
        """Match a bar; ask only where the book's reach is touched (or always: it is the same)."""
        self.on_tick: Callable[[Book, TickData], None] = self._matcher.match_tick
        """Match a quote; ask only where the book's reach is touched (or always: it is the same)."""
        self._same_close = model.market_fill is MarketFill.SAME_CLOSE
        self._slippage = model.slippage if model.slippage.ticks or model.slippage.rate else None
        self._keep_closed = keep_closed
        self._trades = 0
        self._ended = False

    def list_contract(self, contract: ContractData, *, on_ticks: bool) -> Book:
        """Open the book of a contract; quotes move it if ``on_ticks``, bars otherwise.

        Raises:
            ConfigError: the contract is in another currency than the account, or keeps long and short apart.
        """
        if contract.currency != self._currency.code:
            raise ConfigError(
                f"{contract.vt_symbol} is in {contract.currency}, the simulated account in "
                f"{self._currency.code}; give both the same currency"
            )
        if not contract.net_position:
            raise ConfigError(
                f"{contract.vt_symbol} keeps long and short positions apart, the simulated exchange nets them; "
                "give its contract net_position=True"
            )
        instrument = Instrument(contract, self._currency)
        book = Book(instrument, self._market.record(contract.vt_symbol), on_ticks)
        self.books[contract.vt_symbol] = book
        return book

    def report_account(self) -> None:
        """Say what the account holds."""
        now = self._clock.now()
        self._reports.on_account(
            AccountData(
                f"{self.name}.{self._currency.code}",
                self._currency.to_amount(self.account.balance),
                0.0,
                self._currency.to_amount(self.account.used),
                self._currency.code,
                now,
                now,
            )
        )

    # --- at rest --------------------------------------------------------------------------------------------

    def venue_state(self) -> SimVenueState:
        """What belongs to no single book, as plain values."""
        return SimVenueState(self._trades, self._ended, self.account.state())

    def state(self) -> SimExchangeState:
        """Everything as plain values; taken between two commands or rows of market data."""
        books = self.books.values()
        orders = (order.state() for book in books for order in book.orders if order.live)
        return SimExchangeState(
            self.venue_state(), tuple(book.state() for book in books), tuple(orders)
        )

    def restore(self, state: SimExchangeState) -> None:
        """Go on from saved values; the contracts must have been listed.

        Raises:
            ConfigError: a book with orders or a position is not listed here.
        """
        self.orders = restored_orders(state.orders)
        resting: dict[str, list[SimOrder]] = {}
        for order in self.orders.values():
            resting.setdefault(order.request.vt_symbol, []).append(order)
        for saved in state.books:
            orders, book = resting.get(saved.vt_symbol, []), self.books.get(saved.vt_symbol)
            if book is not None:
                book.restore(saved, orders)
            elif orders or saved.position[0]:
                raise ConfigError(
                    f"{saved.vt_symbol} is in the saved state, but is not listed here"
                )
        self._trades, self._ended = state.venue.trades, state.venue.ended
        self.account.restore(state.venue.account, self.books)

    # --- commands -------------------------------------------------------------------------------------------

    def submit(self, request: OrderRequest) -> None:
        """Take a new order; it fills at once where a quote (or same-close) is there to fill it."""
        book = self.books.get(request.vt_symbol)
        reason = "the data has ended" if self._ended else refused_request(request)
        now = self._clock.now()
        if book is None or reason:
            order = SimOrder(request, 0, now)
            self._finish(order, Status.REJECTED, reason or "no such instrument here")
            return
        lots = 0
        if request.volume_mode is UNITS:
            lots = book.instrument.lot.to_lots(request.volume)
        order = SimOrder(request, lots, now)
        self.orders[request.vt_orderid] = order
        book.add(order)
        self._reports.on_order(order_report(order, book, now, ""))
        if book.on_ticks or self._same_close:
            self._meet_present(book, order)

    def _meet_present(self, book: Book, order: SimOrder) -> None:
        """Match an order that has just come with the present quote; same-close, with a bar that closes this moment."""
        last, now = book.market.last, self._clock.now()
        if isinstance(last, TickData):
            present = book.on_ticks
        else:
            present = self._same_close and last is not None and last.ts_event == now
        if last is not None and present:
            self._matcher.match_arrival(book, order, last, now)

    def modify(self, request: ModifyRequest) -> None:
        """Change price, trigger or total volume of a working order; it keeps its place, or is told why not."""
        order = self.orders.get(request.vt_orderid)
        if order is None or not order.live:
            return
        book = self.books[order.request.vt_symbol]
        reason = refused_change(order, request, book)
        if reason:
            self._report(order, f"change refused: {reason}")
            return
        if request.volume is not None:
            order.lots = book.instrument.lot.to_lots(request.volume)
        changed = order.request
        if request.price is not None:
            changed = replace(changed, price=request.price)
        if request.trigger_price is not None:
            changed = replace(changed, trigger_price=request.trigger_price)
        order.request = changed
        order.arrival = self._clock.now()
        order.set_level()
        book.refresh()
        self._report(order)
        self._meet_present(book, order)

    def cancel(self, request: CancelRequest) -> None:
        """Cancel a working order; one that has ended stays as it is."""
        order = self.orders.get(request.vt_orderid)
        if order is not None and order.live:
            self._finish(order, Status.CANCELLED, "")
            self.books[order.request.vt_symbol].refresh()

    # --- fills ----------------------------------------------------------------------------------------------

    def _execute(self, book: Book, order: SimOrder, price: float, taker: bool, ts: int) -> None:
        """Fill what may be filled of an order at a price, or refuse it with a reason."""
        slip = 0.0
        if taker and self._slippage is not None and not order.is_limit:
            slip = self._slippage.amount(price, book.instrument.contract.pricetick)
            price += slip * order.sign
        lots = self._fillable(book, order, price, taker)
        if lots:
            if book.budget >= 0:
                book.spend(lots)
            self._fill(book, order, lots, price, taker, ts, slip)

    def _fillable(self, book: Book, order: SimOrder, price: float, taker: bool) -> int:
        """Lots of an order that can be filled now; one that nothing can be filled of any more ends with a reason."""
        if order.lots == 0 and not self._size(book, order, price, taker):
            return 0
        if order.request.reduce_only:  # closing is never refused for money
            lots = self._reducible(book, order)
            return lots if book.budget < 0 else min(lots, book.budget)
        lots = order.lots - order.filled
        if book.budget >= 0:
            lots = min(lots, book.budget)
        if lots:
            reason = self.account.refusal(book, order.sign * lots, price, taker)
            if reason:
                done = Status.CANCELLED if order.filled else Status.REJECTED
                self._finish(order, done, reason)
                return 0
        return lots

    def _size(self, book: Book, order: SimOrder, price: float, taker: bool) -> bool:
        """Turn cash or a fraction of equity into lots at the price of the fill, or reject the order."""
        books = self.books.values()
        order.lots = self.account.size(book, order.request, price, taker, books)
        if not order.lots:
            self._finish(order, Status.REJECTED, f"too little money for one lot at {price:.10g}")
            return False
        self._report(order)
        return True

    def _reducible(self, book: Book, order: SimOrder) -> int:
        """Lots of a closing order that there is something to close for; the order is cut to them, or ends."""
        lots = order.lots - order.filled
        held = -order.sign * book.held.get(order.request.strategy, 0)
        if held >= lots:
            return lots
        held = max(0, held)
        if held == 0:
            self._finish(order, Status.CANCELLED, "nothing to close")
        else:
            order.lots = order.filled + held
            self._report(order)
        return held

    def _fill(
        self,
        book: Book,
        order: SimOrder,
        lots: int,
        price: float,
        taker: bool,
        ts: int,
        slip: float,
    ) -> None:
        """Book a fill and report it."""
        request = order.request
        strategy, held = request.strategy, book.held
        volume = book.instrument.lot.from_lots(lots)
        signed = order.sign * lots
        fee = self.account.book_fill(book, signed, price, taker)
        held[strategy] = held.get(strategy, 0) + signed
        order.filled += lots
        if order.filled >= order.lots:
            order.live = False
            order.status = ALLTRADED
            if not self._keep_closed:
                self.orders.pop(request.vt_orderid, None)
        self._trades += 1
        self._reports.on_trade(
            TradeData(
                f"{self.name}.{self._trades}",
                request.vt_orderid,
                request.vt_symbol,
                request.direction,
                price,
                volume,
                ts,
                request.offset,
                fee,
                self._currency.code,
                slip * volume * book.instrument.contract.size if slip else 0.0,
                TAKER if taker else MAKER,
                strategy,
                request.reference,
                self._clock.now(),
                "",
                request.account,
            )
        )
        if request.stop_loss or request.take_profit:
            for child in attach_children(book, order, lots):
                self.orders[child.request.vt_orderid] = child
                self._report(child)
        if order.partner is not None and order.partner.live:
            self._shrink_partner(order, order.partner, lots)
        if len(book.orders) > 1:  # an order alone in its book leaves no orphan
            for orphan in cancel_orphans(book, strategy):
                self._finish(orphan, Status.CANCELLED, "the position that it protects is closed")

    def _shrink_partner(self, order: SimOrder, partner: SimOrder, lots: int) -> None:
        """One side of a bracket has filled lots: the other has as much less to close."""
        if not order.live or partner.lots - lots <= partner.filled:
            self._finish(partner, Status.CANCELLED, "the other side of the bracket filled")
        else:
            partner.lots -= lots
            self._report(partner)

    def _trigger(self, order: SimOrder) -> None:
        """Its trigger was reached: a stop-limit works as a limit now, the rest of a stop at market."""
        order.status = Status.TRIGGERED
        order.set_level()
        self._report(order)

    def _finish(self, order: SimOrder, status: Status, reason: str) -> None:
        order.live = False
        order.status = status
        if not self._keep_closed:
            self.orders.pop(order.request.vt_orderid, None)
        self._report(order, reason)

    def _report(self, order: SimOrder, reason: str = "") -> None:
        """Say how an order stands; its fills are reported as trades."""
        book = self.books.get(order.request.vt_symbol)
        self._reports.on_order(order_report(order, book, self._clock.now(), reason))

    def finalize(self) -> None:
        """Do what the model says with positions that are still open after the last event; no order is taken after."""
        if self.model.finalize is Finalize.NONE:
            return
        for book in self.books.values():
            for order in [order for order in book.orders if order.live]:
                self._finish(order, Status.CANCELLED, "end of data")
            book.refresh()
            book.budget = -1
            for strategy, held in list(book.held.items()):
                if held and book.market.last is not None:
                    self._close_out(book, strategy, held)
            book.refresh()
        self._ended = True

    def _close_out(self, book: Book, strategy: str, held: int) -> None:
        last = book.market.last
        price, ts = book.market.price(), book.market.ts()
        if self.model.finalize is Finalize.LAST_OPEN and isinstance(last, BarData):
            price, ts = last.open_price, last.ts_open
        lot = book.instrument.lot
        request = OrderRequest(
            book.vt_symbol,
            Direction.SHORT if held > 0 else Direction.LONG,
            OrderType.MARKET,
            lot.from_lots(abs(held)),
            reduce_only=True,
            strategy=strategy,
            reference="end of data",
            vt_orderid=f"{self.name}.{strategy or 'manual'}-final-{book.vt_symbol}",
        )
        order = SimOrder(request, abs(held), self._clock.now())
        self.orders[request.vt_orderid] = order
        self._report(order)
        self._execute(book, order, price, True, ts)
