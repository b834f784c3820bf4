"""Market data on its way to a runner's strategies.

Invariants: quotes are conflated when the runner is behind (the latest of each instrument counts), bars never are. An
adapter is told which instruments are wanted until it has answered, and again when it has restarted. A price that is
older than a strategy tolerates is told to the log once, until a fresh one comes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Protocol

from msgspec.structs import replace

from foxtrot.bus.codec import Envelope
from foxtrot.bus.messages import MARKET_SUBSCRIBE
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome
from foxtrot.bus.subscriber import Subscriber
from foxtrot.client.runner_plan import ServiceFrame, StrategyPlan
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.events import EVENT_BAR, EVENT_TICK
from foxtrot.core.objects import BarData, SubscribeRequest, TickData, TimerData

__all__ = ["MarketFeed", "MarketReader"]

logger = logging.getLogger("foxtrot.runner.market")

_RETRY_NS = NS_PER_SECOND


class MarketReader(Protocol):
    """A strategy as a reader of market data."""

    plan: StrategyPlan

    def on_market(self, topic: str, envelope: Envelope[Any]) -> None:
        """A bar or quote of one of its instruments."""

    def on_paced(self, topic: str, message: BarData | TickData, number: int) -> None:
        """An event of a paced replay, of whatever instrument."""


class MarketFeed:
    """Reads what adapters publish of the strategies' instruments.

    Args:
        frame: the process.
        readers: the strategies.
        clients: to the adapters' services, by name.
        paced: whether a replay releases its events one by one; else only the latest quote counts when several wait.

    Attributes:
        handled: messages delivered.
    """

    def __init__(
        self,
        frame: ServiceFrame,
        readers: Iterable[MarketReader],
        clients: dict[str, RpcClient],
        *,
        paced: bool,
    ) -> None:
        self.handled = 0
        self._readers = tuple(readers)
        self._paced = paced
        self._event = (0, 0)
        self._last: tuple[str, BarData | TickData] | None = None
        self._last_number = 0
        self._clock = frame.io_clock
        self._clients = clients
        self._routes: dict[tuple[str, str], list[MarketReader]] = {}
        self._limits: dict[str, int] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self._late: set[tuple[str, str]] = set()
        self._wanted: list[tuple[str, str]] = []
        self._closed = False
        for reader in self._readers:
            self._add(reader)
        self.subscriber: Subscriber = frame.subscriber(
            list(clients),
            self._on_message,
            on_epoch=self._on_epoch,
            durable=(),
            conflate=() if paced else (EVENT_TICK,),
        )
        for topic in dict.fromkeys(topic for _, topic in self._routes):
            self.subscriber.subscribe(topic)
        frame.at_end("market data", self.close)

    def start(self) -> None:
        """Tell the adapters what is wanted."""
        for service, vt_symbol in self._wanted:
            self._subscribe(service, vt_symbol)

    def close(self) -> None:
        """Ask nothing more."""
        self._closed = True
        for service, vt_symbol in self._wanted:
            self._clock.cancel_timer(f"market.{service}.{vt_symbol}")

    def look(self) -> None:
        """Tell of prices that have become stale; called each second."""
        now = self._clock.now()
        for key, ts in self._seen.items():
            self._judge(key, now - ts)

    def _add(self, reader: MarketReader) -> None:
        plan = reader.plan
        for vt_symbol in plan.vt_symbols:
            if (plan.service, vt_symbol) not in self._wanted:
                self._wanted.append((plan.service, vt_symbol))
            stale = round(plan.stale * NS_PER_SECOND)
            if stale:
                self._limits[vt_symbol] = min(stale, self._limits.get(vt_symbol, stale))
            for prefix in (EVENT_TICK, EVENT_BAR):
                self._routes.setdefault((plan.service, prefix + vt_symbol), []).append(reader)

    # --- what comes in --------------------------------------------------------------------------------------

    def _on_message(self, topic: str, envelope: Envelope[Any]) -> None:
        readers = self._routes.get((envelope.source, topic))
        message = envelope.message
        if readers is None or not isinstance(message, BarData | TickData):
            return
        self.handled += 1
        key = (envelope.source, message.vt_symbol)
        self._seen[key] = envelope.ts
        self._judge(key, self._clock.now() - envelope.ts)
        if self._paced:
            self._on_event(topic, message)
            return
        for reader in readers:
            reader.on_market(topic, envelope)

    def expect(self, number: int, ts: int) -> None:
        """Of a paced replay: the event that is out, and its time (ns UTC)."""
        self._event = (number, ts)

    def _on_event(self, topic: str, message: BarData | TickData) -> None:
        """Hand on the event that is out; one of another time, or shown twice, is passed over."""
        number, ts = self._event
        shown = (topic, replace(message, ts_init=0))
        if message.ts_event != ts or (shown == self._last and self._last_number != number):
            return
        self._last, self._last_number = shown, number
        for reader in self._readers:
            reader.on_paced(topic, message, number)

    def _judge(self, key: tuple[str, str], age: int) -> None:
        limit = self._limits.get(key[1])
        if limit is None:
            return
        if age <= limit:
            if key in self._late:
                self._late.discard(key)
                logger.info("prices of %s at %s are fresh again", key[1], key[0])
        elif key not in self._late:
            self._late.add(key)
            logger.warning(
                "prices of %s at %s are stale: the newest is %.1f s old",
                *(key[1], key[0], age / NS_PER_SECOND),
            )

    # --- subscriptions --------------------------------------------------------------------------------------

    def _on_epoch(self, source: str, _old: int, _new: int) -> None:
        for service, vt_symbol in self._wanted:
            if service == source:
                self._subscribe(service, vt_symbol)

    def _subscribe(self, service: str, vt_symbol: str) -> None:
        if self._closed:
            return

        def on_reply(outcome: Outcome) -> None:
            self._on_subscribed(service, vt_symbol, outcome)

        request = SubscribeRequest(vt_symbol)
        self._clients[service].send(MARKET_SUBSCRIBE, request, on_reply=on_reply)

    def _on_subscribed(self, service: str, vt_symbol: str, outcome: Outcome) -> None:
        if self._closed or (isinstance(outcome, Answer) and outcome.ok):
            return
        why = outcome.error_text if isinstance(outcome, Answer) else outcome.reason
        logger.warning("market data of %s at %s: %s; asked again", vt_symbol, service, why)

        def again(_timer: TimerData) -> None:
            self._subscribe(service, vt_symbol)

        due = self._clock.now() + _RETRY_NS
        self._clock.set_timer(f"market.{service}.{vt_symbol}", due, again)
