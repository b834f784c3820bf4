"""An OMS, a scripted venue and everything that was published, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import PersistenceError
from foxtrot.core.event_engine import Event, EventEngine
from foxtrot.core.objects import ContractData, OrderData, OrderRequest, TradeData
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.persistence import MemoryPersistence, Persistence
from foxtrot.testing import START, ScriptedAdapter, make_contract, make_order_request


class FailingPersistence(MemoryPersistence):
    """Rows in memory that cannot be saved while ``failing`` is set."""

    def __init__(self, rows: dict[str, Any] | None = None) -> None:
        super().__init__(rows)
        self.failing = False

    def commit(
        self, rows: Sequence[tuple[str, Any]], facts: Sequence[tuple[str, Any]] = ()
    ) -> None:
        if self.failing:
            raise PersistenceError("the disk is full")
        super().commit(rows, facts)

    def save(self, key: str, data: Any) -> None:
        if self.failing:
            raise PersistenceError("the disk is full")
        super().save(key, data)


class Desk:
    """One process with an OMS and a scripted venue ``SIM``.

    Args:
        persistence: where the OMS keeps its state.
        contracts: what the venue lists.
        **options: of ``MainEngine``.
    """

    def __init__(
        self,
        persistence: Persistence | None = None,
        contracts: Iterable[ContractData] | None = None,
        **options: Any,
    ) -> None:
        self.clock = SimulatedClock(START)
        self.event_engine = EventEngine(self.clock)
        self.main = MainEngine(self.event_engine, persistence=persistence, **options)
        self.oms = self.main.oms
        self.venue = self.main.add_adapter(ScriptedAdapter)
        self.published: list[Event] = []
        self.event_engine.register_general(self.published.append)
        for contract in [make_contract()] if contracts is None else contracts:
            self.venue.on_contract(contract)
        self.drain()

    def drain(self) -> None:
        self.event_engine.drain()

    def wait(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        self.event_engine.advance(self.clock.now() + int(seconds * 1e9))

    def of(self, topic: str) -> list[Any]:
        """What was published under a topic, bare or suffixed."""
        return [event.data for event in self.published if event.type.startswith(topic)]

    @property
    def orders(self) -> list[OrderData]:
        return self.of(events.EVENT_ORDER)

    @property
    def trades(self) -> list[TradeData]:
        return self.of(events.EVENT_TRADE)

    @property
    def logs(self) -> str:
        return "\n".join(log.msg for log in self.of(events.EVENT_LOG))

    @property
    def errors(self) -> list[str]:
        return [str(error.error) for error in self.of(events.EVENT_ERROR)]

    def send(self, request: OrderRequest | None = None, **fields: Any) -> str:
        """Send an order and let everything come to rest; returns its id."""
        vt_orderid = self.main.send_order(request or make_order_request(**fields), "SIM")
        self.drain()
        return vt_orderid

    def fill(
        self, vt_orderid: str, volume: float, price: float = 100.0, **fields: Any
    ) -> TradeData:
        """Have the venue report a fill."""
        trade = self.venue.fill(vt_orderid, volume, price, **fields)
        self.drain()
        return trade
