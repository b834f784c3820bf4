"""What all parts of ``OmsEngine`` stand on: the books, and the ways a change leaves them (saved, published, recalled).

Invariants: nothing is published that was not saved before (effects wait for their step); a snapshot is built only where
somebody listens. Memory holds what is active and what was lately closed; older orders and fills are read from
persistence when a message names them.
"""

from __future__ import annotations

from itertools import islice

from foxtrot.accounting.offset import OffsetMode
from foxtrot.core import events
from foxtrot.core.constants import Status
from foxtrot.core.engine import EngineOwner
from foxtrot.core.event_engine import EventEngine, Topic
from foxtrot.core.ids import IdSource
from foxtrot.core.market import MarketView
from foxtrot.core.objects import ContractData, OrderData, TradeData
from foxtrot.server.engines.oms_life import OmsLife
from foxtrot.server.oms.books import Books
from foxtrot.server.oms.offset_manager import OffsetManager
from foxtrot.server.oms.order_manager import Fills, add_fill
from foxtrot.server.oms.position_leg import PositionLeg
from foxtrot.server.oms.risk_gate import TradingGate
from foxtrot.server.oms.risk_proposal import StrategyPositions
from foxtrot.server.persistence import Persistence

REMEMBERED = 10_000
"""Closed orders, and fills, that are kept in memory."""

UNKNOWN = Status.UNKNOWN


class OmsBase(OmsLife):
    """Books and publishing of ``OmsEngine``.

    Args:
        main_engine: the owner.
        event_engine: the dispatcher.
        persistence: where state is kept.
        digits: decimal places per currency code.
        offset_mode: how requests are fitted to what is held of contracts with ``net_position=False``.
    """

    market: MarketView
    held: StrategyPositions

    def __init__(
        self,
        main_engine: EngineOwner,
        event_engine: EventEngine,
        persistence: Persistence,
        digits: dict[str, int],
        offset_mode: OffsetMode | str,
    ) -> None:
        self.digits = digits
        self.offset_mode = offset_mode
        self.gate = TradingGate()
        self.ids = IdSource("oms")
        self.hedged = False
        self.duplicates = 0
        self.remembered = REMEMBERED
        self._topics: dict[str, tuple[Topic, Topic]] = {}
        self._position_topics: dict[str, tuple[Topic, Topic]] = {}
        self._renew()
        super().__init__(main_engine, event_engine, persistence)

    def _renew(self) -> None:
        """Begin with empty books."""
        self.books = books = Books(self.digits, self._warn_of_unknown, self._warn_of_unmatched)
        self.orders, self.trades = books.orders, books.trades
        self.accounts, self.positions = books.accounts, books.positions
        self.contracts, self.instrument = books.contracts, books.instrument
        self.offsets = OffsetManager(self.orders, self.positions, self.instrument, self.offset_mode)
        self.doubtful: dict[str, OrderData] = {}
        self.unsettled: set[str] = set()

    # --- what is not in memory ------------------------------------------------------------------------------

    def _recall(self, vt_orderid: str) -> OrderData | None:
        """An order by its id, from the stored rows if it was closed long ago; it is in memory afterwards."""
        order = self.orders.orders.get(vt_orderid)
        if order is None and self.keeps:
            order = self.persistence.find_order(vt_orderid)
            if order is not None:
                self.orders.restore(order, self._stored_fills(vt_orderid))
        return order

    def _stored_fills(self, vt_orderid: str) -> Fills | None:
        fills: Fills | None = None
        for trade in self.persistence.load_fills(vt_orderid):
            fills = add_fill(fills, trade)
        return fills

    def _forget_old(self) -> None:
        """Drop what was closed long ago from memory; a tenth more than is remembered may gather first."""
        orders, active = self.orders.orders, self.orders.active
        excess = len(orders) - len(active) - self.remembered
        if excess > self.remembered // 10:
            changed = self.step.rows
            closed = (key for key in orders if key not in active and f"orders/{key}" not in changed)
            for key in list(islice(closed, excess)):
                self.orders.forget(key)
        trades = self.trades.trades
        excess = len(trades) - self.remembered
        if excess > self.remembered // 10:
            for key in list(islice(trades, excess)):
                del trades[key]

    def flush(self) -> None:  # noqa: D102 - inherits
        super().flush()
        self._forget_old()

    # --- saving and publishing ------------------------------------------------------------------------------

    def _note_order(self, order: OrderData) -> None:
        """Save an order's state with this step."""
        self.step.note_order(order)
        if order.status is UNKNOWN:
            self.doubtful[order.vt_orderid] = order
        elif self.doubtful:
            self.doubtful.pop(order.vt_orderid, None)

    def _note_held(self, trade: TradeData) -> None:
        """What a strategy holds by its own fills."""
        self.held.fold(trade)
        key = (trade.adapter_name, trade.strategy, trade.vt_symbol)
        self.step.rows["held/" + "/".join(key)] = self.held.units(*key)

    def _note_leg(self, leg: PositionLeg) -> None:
        self.step.rows["positions/" + leg.key] = leg.state()

    def _note_account(self, adapter: str, code: str) -> None:
        self.step.rows[f"accounts/{adapter}.{code}"] = self.accounts.state(adapter, code)

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
        """Queue an order's state; done thrice an order, so without a further call."""
        topic = (self._topics.get(order.strategy) or self._topics_of(order.strategy))[0]
        if topic.handlers:
            self._emit((topic, order))

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
            self._emit((position_topic, leg.snapshot(mark, self.clock.now())))
        if account_topic.handlers:
            self._emit((account_topic, self.accounts.snapshot(leg.adapter, code, leg.ts_event)))

    def _publish_account(self, adapter: str, code: str, ts: int) -> None:
        """Publish an account as of ``ts`` (ns)."""
        topic = self.event_engine.topic(f"{events.EVENT_ACCOUNT}{adapter}.{code}")
        if topic.handlers:
            self._emit((topic, self.accounts.snapshot(adapter, code, ts)))

    def _publish_contract(self, contract: ContractData) -> None:
        """Publish a contract as it was taken up."""
        topic = self.event_engine.topic(events.EVENT_CONTRACT + contract.vt_symbol)
        if topic.handlers:
            self._emit((topic, contract))

    def _warn_of_unknown(self, vt_symbol: str) -> None:
        self._log(f"{vt_symbol} has no contract; it is booked at size 1, in USD", 40)

    def _warn_of_unmatched(self, trade: TradeData, units: float) -> None:
        self._log(
            f"fill {trade.vt_tradeid} closes {units:g} units of {trade.vt_symbol} more than are known to be held; they "
            f"count as opened at the fill's price: ask the adapter for its positions",
            40,
        )
