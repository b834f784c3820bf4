"""``BaseEngine``: an actor with private state, one thread, and the event engine as its only window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from foxtrot.core.event_engine import EventEngine
    from foxtrot.core.objects import CancelRequest, ContractData, ModifyRequest, OrderRequest


class OrderRoute(Protocol):
    """What the OMS needs of an adapter: a way to the venue. Outcomes arrive as reports, never as return values."""

    @property
    def snapshots(self) -> bool:
        """Whether ``query_snapshot`` is answered."""

    def query_snapshot(self) -> None:
        """Ask how the account stands as a whole; the answer arrives as a report."""

    def send_order(self, request: OrderRequest) -> str:
        """Send a new order (``vt_orderid`` set) and return its ``vt_orderid``."""

    def modify_order(self, request: ModifyRequest) -> None:
        """Send a change of a working order."""

    def cancel_order(self, request: CancelRequest) -> None:
        """Send a cancellation."""


class EngineOwner(Protocol):
    """What an engine may ask of the MainEngine that owns it."""

    def get_route(self, adapter_name: str) -> OrderRoute | None:
        """The way to a venue, None where there is no such adapter."""

    def get_contract(self, vt_symbol: str) -> ContractData | None:
        """A contract by its ``vt_symbol``."""

    def last_order_number(self, prefix: str) -> int:
        """Largest ``n`` among the known order ids ``ADAPTER.prefix-n``; 0 where there is none."""

    def write_log(self, msg: str, source: str = "", level: int = 20) -> None:
        """Write one line to the log."""


class BaseEngine:
    """What a ``MainEngine`` owns, starts and stops.

    Args:
        main_engine: the owner.
        event_engine: the dispatcher of this process.
        engine_name: the key under which ``MainEngine.get_engine`` finds the engine.
    """

    def __init__(
        self, main_engine: EngineOwner, event_engine: EventEngine, engine_name: str
    ) -> None:
        self.main_engine = main_engine
        self.event_engine = event_engine
        self.clock = event_engine.clock
        self.engine_name = engine_name

    def close(self) -> None:
        """Save and let go; called once by the MainEngine, in the reverse order of adding."""
