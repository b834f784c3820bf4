"""The adapter of a paper venue: the backtest's exchange on live or replayed data, which outlives its process.

Everything goes through one inbox and is handled in steps: take what waits, match, save, report. A step is one
transaction, so whatever was reported is never forgotten, and what was not saved was never reported: killed at any
moment, the venue goes on from its last step. An order whose id it knows is never taken again: it answers how that
one stands. What it says on ``connect`` is only what no fill explains (contracts, and the account while it is
untouched); everything else it says when it is asked, best by ``query_snapshot``.

Market data come from a replay in the same process (``source``: each message before anybody else sees it, and after a
restart the replay goes on where the venue stands) or from the event engine (whichever adapter publishes them).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec.structs import replace

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.adapter.paper_desk import PaperDesk
from foxtrot.adapter.paper_settings import PaperSettings, read_settings
from foxtrot.adapter.paper_store import PaperStore, Stored
from foxtrot.adapter.paper_venue import PaperVenue
from foxtrot.core import events
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import ConfigError, OrderError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import (
    BarData,
    CancelRequest,
    ContractData,
    HistoryRequest,
    ModifyRequest,
    OrderRequest,
    SubscribeRequest,
    TickData,
    TimerData,
)
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel

if TYPE_CHECKING:
    from foxtrot.adapter.replay import (
        ReplayAdapter,
    )  # it loads numpy, which a venue without one does not need

__all__ = ["PaperAdapter"]

STEP_ITEMS = 64
"""Most items of the inbox that one step handles."""

RETRY_NS = NS_PER_SECOND
"""After a failed save, until it is tried again (ns)."""


class PaperAdapter(BaseAdapter):
    """A simulated venue for paper trading.

    Args:
        event_engine: the dispatcher.
        adapter_name: first part of the ids.
        contracts: what is traded, besides what the file knows, the source has and other adapters announce.
        account: opening balance and currency; of a new file.
        model: conventions of execution.
        source: the replay that feeds it; None for the data on the event engine. Connect the venue first.
        path: where it keeps its state; the setting ``path`` of ``connect`` goes before.
    """

    default_name: ClassVar[str] = "PAPER"
    default_setting: ClassVar[Mapping[str, Any]] = msgspec.to_builtins(PaperSettings())
    snapshots: ClassVar[bool] = True

    def __init__(
        self,
        event_engine: EventEngine,
        adapter_name: str = default_name,
        *,
        contracts: Iterable[ContractData] = (),
        account: AccountSettings | None = None,
        model: ExecutionModel | None = None,
        source: ReplayAdapter | None = None,
        path: str | Path | None = None,
    ) -> None:
        super().__init__(event_engine, adapter_name)
        self._contracts: dict[str, tuple[ContractData, bool | None]] = {}
        self._account = account if account is not None else AccountSettings()
        self._model = model if model is not None else ExecutionModel()
        self._source = source
        self._path = str(path) if path is not None else ""
        self._memory: PaperStore | None = None
        self._desk: PaperDesk | None = None
        self._inbox: deque[Callable[[], object]] = deque()
        self._step_topic = event_engine.topic(f"rStep.{adapter_name}")
        self._retry = f"{adapter_name}.retry"
        event_engine.subscribe(self._step_topic.name, self._on_step)
        for contract in (*(source.contracts if source is not None else ()), *contracts):
            self.list_contract(contract)

    def list_contract(self, contract: ContractData, *, on_ticks: bool | None = None) -> None:
        """Trade a contract from the next ``connect`` on.

        Args:
            contract: what is traded.
            on_ticks: whether quotes move it, or bars; by default quotes where the source has any, or once some come.
        """
        if on_ticks is None and self._source is not None:
            on_ticks = contract.vt_symbol in self._source.quoted
        self._contracts[contract.vt_symbol] = (contract, on_ticks)

    # --- the connection -------------------------------------------------------------------------------------

    def connect(self, setting: Mapping[str, Any]) -> None:
        """Take up the saved state, say what is traded, and begin to match.

        Raises:
            ConfigError: an unknown setting, or a file of another venue.
            PersistenceError: the file cannot be used.
        """
        settings = read_settings(self.adapter_name, setting)
        self.event_engine.call(partial(self._connect, settings))

    def _connect(self, settings: PaperSettings) -> None:
        self._close()
        path = settings.path or self._path
        store = PaperStore(Path(path)) if path else self._memory or PaperStore(None)
        try:
            stored = store.load()
            self._desk = self._open_desk(settings, store, stored)
            self._follow()
        except BaseException:
            self._desk = None
            if path:
                store.close()
            raise
        self._memory = None if path else store
        self._announce(self._desk)

    def _open_desk(
        self, settings: PaperSettings, store: PaperStore, stored: Stored | None
    ) -> PaperDesk:
        """Make the venue, as it stood."""
        venue = PaperVenue(self.adapter_name, self._account, self._model)
        for contract, on_ticks in self._contracts.values():
            venue.list_contract(contract, on_ticks=on_ticks)
        clock_is_live = isinstance(self.event_engine.clock, LiveClock)
        if stored is not None:
            self._check_owner(stored)
            venue.restore(stored.header.venue, stored.books, stored.orders, stored.header.market_ts)
        return PaperDesk(
            self,
            venue,
            store,
            self._source,
            cursor=self._resume_source(stored),
            stamp=stored.header.stamp if stored is not None else 0,
            by_clock=settings.stamps == "clock" or (not settings.stamps and clock_is_live),
            durable=settings.durable,
            history=settings.history,
            repeats=self._source is not None and self._source.pacer is not None,
        )

    def _check_owner(self, stored: Stored) -> None:
        header, account = stored.header, self._account
        mine = (self.adapter_name, (account.currency, account.digits))
        if (header.adapter, header.currency) != mine:
            code, digits = header.currency
            raise ConfigError(
                f"the file belongs to the venue {header.adapter!r} with an account in {code} to {digits} digits; this "
                f"one is {self.adapter_name!r} in {account.currency} to {account.digits}: name another file"
            )

    def _resume_source(self, stored: Stored | None) -> int:
        """Have the replay go on where the venue stands; returns the number of the last message that it has seen."""
        source, place = self._source, stored.header.source if stored is not None else None
        if source is None or place is None:
            return 0
        if source.is_playing:
            return place.number
        if not source.resume(place):
            self.on_log("the replay has other data than before; it begins anew", 30)
            return 0
        return place.number

    def _follow(self) -> None:
        """Begin to listen to the source, or to the event engine."""
        if self._source is not None:
            self._source.add_listener(self.adapter_name, self._on_source)
            return
        for topic in (events.EVENT_TICK, events.EVENT_BAR):
            self.event_engine.subscribe(topic, self._on_market)
        self.event_engine.subscribe(events.REPORT_CONTRACT, self._on_listed)

    def _announce(self, desk: PaperDesk) -> None:
        for book in desk.venue.exchange.books.values():
            self.on_contract(replace(book.instrument.contract, adapter_name=self.adapter_name))
        if not desk.venue.exchange.venue_state().trades:
            self.on_account(desk.account())
        desk.repeat()

    def close(self) -> None:
        """Finish what was begun, save, and let the file go; working orders stay."""
        self.event_engine.call(self._close)

    def _close(self) -> None:
        engine, desk = self.event_engine, self._desk
        if desk is None:
            return
        if self._source is None:
            for topic in (events.EVENT_TICK, events.EVENT_BAR):
                engine.unregister(topic, self._on_market)
            engine.unregister(events.REPORT_CONTRACT, self._on_listed)
        else:
            self._source.remove_listener(self.adapter_name)
        while self._inbox and not desk.is_held():
            self._on_step(None)
        desk.flush()
        self._inbox.clear()
        engine.clock.cancel_timer(self._retry)
        self._desk = None
        if desk.store.path is not None:
            desk.store.close()

    # --- what comes in --------------------------------------------------------------------------------------

    def send_order(self, request: OrderRequest) -> str:
        """Take a new order; one whose id is known is answered by how that order stands.

        Raises:
            OrderError: the order has no id.
            ConnectionError: the venue is not connected.
        """
        if not request.vt_orderid:
            raise OrderError(f"{self.adapter_name}: an order needs its client's id (vt_orderid)")
        self._put_item(partial(self._open().submit, request))
        return request.vt_orderid

    def modify_order(self, request: ModifyRequest) -> None:
        """Change a working order; of one that has ended the state is told again."""
        self._put_item(partial(self._open().modify, request))

    def cancel_order(self, request: CancelRequest) -> None:
        """Cancel a working order; of one that has ended the state is told again."""
        self._put_item(partial(self._open().cancel, request))

    def subscribe(self, request: SubscribeRequest) -> None:
        """Pass it on to the source; the event engine's data come unasked."""
        if self._source is not None:
            self._source.subscribe(request)

    def query_account(self) -> None:
        """Report the account."""
        self._put_item(self._open().tell_account)

    def query_position(self) -> None:
        """Report every position, those that are flat by now, too."""
        self._put_item(self._open().tell_positions)

    def query_orders(self) -> None:
        """Report working orders, and the newest closed ones."""
        self._put_item(self._open().tell_orders)

    def query_trades(self) -> None:
        """Report the newest fills."""
        self._put_item(self._open().tell_trades)

    def query_snapshot(self) -> None:
        """Report everything at once."""
        desk = self._open()
        self._put_item(partial(desk.tell_snapshot, desk.now()))

    def reports_arrived(self) -> None:
        """None of the reports so far is sent again after a restart."""
        if self._desk is not None:
            self._desk.arrived()

    def query_history(self, request: HistoryRequest) -> list[BarData]:
        """What the source has played."""
        return self._source.query_history(request) if self._source is not None else []

    def _on_market(self, message: BarData | TickData) -> None:
        desk = self._open()
        if desk.is_held():
            desk.missed += 1
        else:
            self._put_item(partial(desk.venue.on_market, message))

    def _on_source(self, number: int, message: BarData | TickData) -> None:
        desk, source = self._open(), self._source
        if desk.is_held() and source is not None and source.pacer is None:  # a paced one waits
            desk.missed += 1
        else:
            self._put_item(partial(desk.match, number, message))

    def _on_listed(self, contract: ContractData) -> None:
        """Another adapter of this process announces what it has data of: trade it here, too."""
        venue = self._open().venue
        if contract.vt_symbol in venue.exchange.books or contract.adapter_name == self.adapter_name:
            return
        reason = venue.can_list(contract)
        if reason:
            self.on_log(f"{contract.vt_symbol} cannot be traded here: {reason}", 30)
            return
        self.list_contract(contract)
        venue.list_contract(contract)

    def _open(self) -> PaperDesk:
        """The present connection.

        Raises:
            ConnectionError: there is none.
        """
        if self._desk is None:
            raise ConnectionError(f"{self.adapter_name} is not connected; call connect first")
        return self._desk

    # --- steps ----------------------------------------------------------------------------------------------

    def _put_item(self, item: Callable[[], object]) -> None:
        self._inbox.append(item)
        self.event_engine.put_topic(self._step_topic, None)

    def _on_step(self, _message: object) -> None:
        """Take what waits, match, save, report; while the disk does not work, wait."""
        desk, inbox = self._desk, self._inbox
        if desk is None or desk.is_held():
            return
        desk.take_time()
        for _ in range(min(STEP_ITEMS, len(inbox))):
            item = inbox.popleft()
            if item() is False:
                inbox.appendleft(item)
            if desk.is_held():
                break
        else:
            desk.flush()
        if desk.is_held():
            clock = self.event_engine.clock
            clock.set_delay(self._retry, RETRY_NS, self._try_again)
        elif inbox:
            self.event_engine.put_topic(self._step_topic, None)

    def _try_again(self, _timer: TimerData) -> None:
        desk = self._desk
        if desk is not None and desk.flush():
            self._on_step(None)
        elif desk is not None:
            clock = self.event_engine.clock
            clock.set_delay(self._retry, RETRY_NS, self._try_again)
