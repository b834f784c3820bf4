"""One connection of a paper venue: carries commands and market data to the exchange, saves, and only then reports.

Invariants: what is reported has been saved; reports leave in the order in which the exchange made them; an order's id
is looked up among all that were ever sent before it is taken. While the disk does not work nothing leaves
(``is_held``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.adapter.paper_store import OrderRow, PaperHeader, PaperStore
from foxtrot.adapter.paper_venue import PaperVenue
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import (
    AccountData,
    BarData,
    CancelRequest,
    ModifyRequest,
    OrderData,
    OrderRequest,
    TickData,
    TradeData,
)
from foxtrot.core.venue import VenueSnapshot

if TYPE_CHECKING:
    from foxtrot.adapter.replay import ReplayAdapter

WARNING, ERROR = 30, 40


class PaperDesk:
    """Between a paper adapter, its exchange and its file.

    Args:
        adapter: whose callbacks are called.
        venue: the exchange, as it stands.
        store: the open file.
        source: the replay that is told when a message has been dealt with.
        cursor: number of the source's last message that the venue has seen.
        stamp: newest stamp of a report so far (ns UTC).
        by_clock: whether reports are stamped with the process's clock, or with the market's time.
        durable: whether a report waits until the disk has it.
        history: closed orders and fills in an answer at most, each.
        repeats: whether reports are kept until they have arrived, and sent again after a restart.

    Attributes:
        missed: rows of market data that came while the disk did not work, and were not met with orders.
    """

    def __init__(
        self,
        adapter: BaseAdapter,
        venue: PaperVenue,
        store: PaperStore,
        source: ReplayAdapter | None,
        *,
        cursor: int,
        stamp: int,
        by_clock: bool,
        durable: bool,
        history: int,
        repeats: bool = False,
    ) -> None:
        self.venue = venue
        self.store = store
        self.missed = 0
        self._held = False
        self._adapter = adapter
        self._source = source
        self._cursor = self._saved_cursor = cursor
        self._stamp = stamp
        self._by_clock = by_clock
        self._durable = durable
        self._history = history
        self._repeats = repeats
        self._sent = self._arrived = 0

    def is_held(self) -> bool:
        """Whether changes wait for the disk to work again."""
        return self._held

    # --- what comes in --------------------------------------------------------------------------------------

    def take_time(self) -> None:
        """Where the process's clock is a simulated one, the market's time is not behind it."""
        clock, market = self._adapter.event_engine.clock, self.venue.clock
        if isinstance(clock, SimulatedClock) and not self._by_clock:
            market.ns = max(market.ns, clock.ns)

    def match(self, number: int, message: BarData | TickData) -> None:
        """Meet resting orders with the source's message of that number, once."""
        if number > self._cursor:
            self.venue.on_market(message)
            self._cursor = number

    def submit(self, request: OrderRequest) -> bool:
        """Take a new order, or say how the one of that id stands; False where it must wait for the disk."""
        if request.vt_orderid in self.venue.changes.orders and not self.flush():
            return False
        known = self.store.order(request.vt_orderid)
        if known is None:
            self.venue.submit(request)
            return True
        if known[0] != request and known[1].parent_orderid == request.parent_orderid:
            self._warn(f"{request.vt_orderid} was sent again with other terms; the first ones hold")
        self.tell_order(request.vt_orderid)
        return True

    def modify(self, request: ModifyRequest) -> None:
        """Change a working order, or say how it ended."""
        if not self.venue.modify(request):
            self.tell_order(request.vt_orderid)

    def cancel(self, request: CancelRequest) -> None:
        """Cancel a working order, or say how it ended."""
        if not self.venue.cancel(request):
            self.tell_order(request.vt_orderid)

    # --- save, then report ----------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Save all changes, then send the reports; False where they could not be saved."""
        changes = self.venue.changes
        reports = [self._stamped(report) for report in changes.reports]
        if changes.orders or changes.books or self._cursor != self._saved_cursor:
            try:
                self._save(reports)
            except PersistenceError as error:
                if not self._held:
                    text = f"no report leaves until the state can be saved: {error}"
                    self._adapter.on_log(text, ERROR)
                self._held = True
                return False
        if self._held:
            text = f"the state is saved again; {self.missed} rows of market data were not met meanwhile"
            self._adapter.on_log(text, WARNING)
            self._held, self.missed = False, 0
        self.venue.saved()
        self._saved_cursor = self._cursor
        self._release(reports)
        if changes.late:
            self._warn(f"{changes.late} rows of market data came too late and were left out")
        if changes.rewound:
            names = ", ".join(dict.fromkeys(changes.rewound))
            self._warn(f"the data of {names} began again; orders work on from there")
        if self._source is not None:
            self._source.listened(self._adapter.adapter_name, self._cursor)
        return True

    def repeat(self) -> None:
        """Send again what may not have arrived before the restart; what has changes nothing."""
        unsent = self.store.unsent()
        if unsent and not self._sent:
            self._sent = unsent[-1][0]
            self._release([report for _, report in unsent])

    def arrived(self) -> None:
        """All reports so far have arrived."""
        self._arrived = self._sent

    def _save(self, reports: list[Any]) -> None:
        venue = self.venue
        kept = list(enumerate(reports, self._sent + 1)) if self._repeats else []
        fills = [report for report in reports if isinstance(report, TradeData)]
        rows = [OrderRow(*venue.order(vt_orderid)) for vt_orderid in venue.changes.orders]
        books = [venue.exchange.books[vt_symbol] for vt_symbol in venue.changes.books]
        account = venue.settings
        self.store.commit(
            PaperHeader(
                self._adapter.adapter_name,
                (account.currency, account.digits),
                venue.exchange.venue_state(),
                venue.clock.ns,
                self._stamp,
                self._source.state(self._cursor) if self._source is not None else None,
            ),
            [(book.instrument.contract, book.state()) for book in books],
            [row._replace(report=self._stamped(row.report)) for row in rows],
            fills,
            durable=self._durable and bool(rows),
            reports=kept,
            arrived=self._arrived,
        )
        self._sent += len(kept)

    def _release(self, reports: list[Any]) -> None:
        for report in reports:
            if isinstance(report, TradeData):
                self._adapter.on_trade(report)
            else:
                self._adapter.on_order(report)

    def now(self) -> int:
        """The time to stamp reports with (ns UTC); the clock's never goes back."""
        if not self._by_clock:
            return self.venue.clock.ns
        self._stamp = max(self._stamp, self._adapter.event_engine.clock.now())
        return self._stamp

    def _stamped(self, report: Any) -> Any:
        if not self._by_clock:
            return report
        now = self.now()
        return replace(report, ts_event=now, ts_init=now)

    def _warn(self, text: str) -> None:
        self._adapter.on_log(text, WARNING)

    # --- answers --------------------------------------------------------------------------------------------

    def tell_order(self, vt_orderid: str) -> None:
        """Say how an order stands, its fills first; one that was never sent here is told to the log alone."""
        if not self.flush():
            return
        known = self.store.order(vt_orderid)
        if known is None:
            self._warn(f"{vt_orderid} is not known here; nothing was done")
            return
        self._release([*self.store.fills_of(vt_orderid), known[1]])

    def account(self) -> AccountData:
        """The account, stamped."""
        account: AccountData = self._stamped(self.venue.account())
        return account

    def tell_account(self) -> None:
        """Report the account."""
        if self.flush():
            self._adapter.on_account(self.account())

    def tell_positions(self) -> None:
        """Report positions, and what was held once."""
        if self.flush():
            for position in self.venue.positions(flat=True):
                self._adapter.on_position(self._stamped(position))

    def tell_orders(self) -> None:
        """Report the newest closed orders, and all that work."""
        if self.flush():
            for order in self._orders()[0]:
                self._adapter.on_order(order)

    def tell_trades(self) -> None:
        """Report the newest fills."""
        if self.flush():
            for trade in self.store.fills(self._history)[0]:
                self._adapter.on_trade(trade)

    def tell_snapshot(self, asked: int) -> None:
        """Report everything at once, in answer to a question of that moment (ns UTC)."""
        if not self.flush():
            return
        orders, history_since = self._orders()
        fills, fills_since = self.store.fills(self._history)
        self._adapter.on_snapshot(
            VenueSnapshot(
                self._adapter.adapter_name,
                asked,
                tuple(orders),
                tuple(fills),
                tuple(self._stamped(position) for position in self.venue.positions()),
                (self.account(),),
                True,
                history_since,
                fills_since,
            )
        )

    def _orders(self) -> tuple[list[OrderData], int]:
        closed, since = self.store.closed_orders(self._history)
        return [*closed, *self.store.working_orders()], since
