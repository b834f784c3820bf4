"""What a runner needs to know of itself: the frame of its process, and the strategies that it hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from foxtrot.bus.publisher import Publisher
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import Clock, LiveClock
from foxtrot.core.event_engine import EventEngine

__all__ = ["ServiceFrame", "StrategyPlan"]


class ServiceFrame(Protocol):
    """The process that a runner lives in: ``foxtrot.app.process.ServiceProcess``, or a test's."""

    @property
    def service(self) -> str:
        """Its name."""

    @property
    def epoch(self) -> int:
        """Number of this start."""

    @property
    def event_engine(self) -> EventEngine:
        """Its loop."""

    @property
    def clock(self) -> Clock:
        """The strategies' time; a simulated one where a replay is paced."""

    @property
    def io_clock(self) -> LiveClock:
        """The time of sockets and time-outs."""

    @property
    def publisher(self) -> Publisher:
        """Its PUB socket."""

    @property
    def server(self) -> RpcServer:
        """Its answers."""

    def client(
        self, service: str, on_epoch: Callable[[str, int], object] | None = None
    ) -> RpcClient:
        """A connection to another service's answers."""

    def subscriber(self, services: list[str], on_message: Any, **options: Any) -> Subscriber:
        """A reader of what services publish."""

    def at_end(self, name: str, close: Callable[[], object]) -> None:
        """Close a part when the process ends."""

    def set_state(self, state: str, detail: str = "") -> None:
        """Say where the process is in its life."""

    def stop(self, reason: str, code: int = 0) -> None:
        """End the process in order."""


@dataclass(frozen=True)
class StrategyPlan:
    """One strategy of a runner.

    Attributes:
        name: owner of its orders, unique in the installation.
        path: ``package.module:Class`` or ``file.py:Class``.
        vt_symbols: what it trades.
        service: name of the service of the adapter where it trades.
        adapter: the adapter's name, first part of its orders' ids; empty for what the contract says.
        setting: parameter values.
        warmup_bars: bars of history that its indicators are fed with before it trades.
        on_error: ``keep``, ``cancel`` or ``flatten``: what becomes of its orders and positions when it fails.
        stale: seconds after which a price is called stale in the log; 0 for never.
    """

    name: str
    path: str
    vt_symbols: tuple[str, ...]
    service: str
    adapter: str = ""
    setting: Mapping[str, Any] = field(default_factory=dict)
    warmup_bars: int = 0
    on_error: str = "keep"
    stale: float = 60.0
