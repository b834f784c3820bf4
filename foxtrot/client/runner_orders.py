"""The order streams of a runner's strategies: each event once, in order, from where the strategy left off.

Orders and fills of a strategy share one durable stream, ``s/<strategy>``, of the OMS. A strategy that was here before
goes on behind its cursor: what it missed is replayed from the OMS's journal. A new one begins with a snapshot: its view
is folded from the past events up to the snapshot's number, and no hook is called for those.

Invariants: one question a stream at a time; one without an answer is asked again; nothing is delivered twice; a gap, a
new epoch of the OMS, or a heartbeat that tells of later events leads to a replay, and a history that was replaced to a
new snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from foxtrot.bus.codec import Envelope
from foxtrot.bus.cursor import Stream
from foxtrot.bus.messages import (
    STREAM_REPLAY,
    STREAM_SNAPSHOT,
    StreamPage,
    StreamRequest,
    StreamSnapshot,
)
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome
from foxtrot.bus.subscriber import Subscriber
from foxtrot.client.runner_plan import ServiceFrame
from foxtrot.core.events import EVENT_ORDER, EVENT_TRADE
from foxtrot.core.objects import OrderData, TimerData, TradeData

__all__ = ["OrderFeed", "OrderReader", "stream_of"]

PAGE = 500
ARCHIVED = "ARCHIVED"
STREAM_PREFIX = "s/"
_PAUSE_NS = 200_000_000
_SCHEMA = 1

logger = logging.getLogger("foxtrot.runner.orders")


def stream_of(topic: str) -> str:
    """Name of the stream of a topic of the OMS: ``s/<strategy>`` for orders and fills, else the topic itself."""
    for prefix in (EVENT_ORDER, EVENT_TRADE):
        if topic.startswith(prefix):
            return STREAM_PREFIX + topic[len(prefix) :]
    return topic


class OrderReader(Protocol):
    """A strategy as the reader of its stream."""

    name: str

    def on_fact(self, fact: OrderData | TradeData, seq: int) -> None:
        """An event, the one after the last."""

    def on_caught_up(self) -> None:
        """Everything that the OMS had when it was asked has been delivered."""

    def begin_view(self) -> None:
        """The view is folded anew: forget orders and positions, and see no market data meanwhile."""

    def fold_past(self, fact: TradeData) -> None:
        """A fill of the past: fold it, call no hook."""

    def end_view(self, snapshot: StreamSnapshot) -> None:
        """The view is complete as of the snapshot's number; take its working orders."""


@dataclass(slots=True)
class _Following:
    """One stream: what is being asked for it."""

    reader: OrderReader
    asking: bool = False
    again: bool = False
    caught_up: bool = False
    snapshot: StreamSnapshot | None = None
    epoch: int = 0
    folded: int = 0
    trades: set[str] = field(default_factory=set)


class OrderFeed:
    """Reads the streams of some strategies.

    Args:
        frame: the process.
        oms: name of the OMS's service.
        client: to the OMS.
    """

    def __init__(self, frame: ServiceFrame, oms: str, client: RpcClient) -> None:
        self._oms = oms
        self._client = client
        self._clock = frame.io_clock
        self._following: dict[str, _Following] = {}
        self._told: set[str] = set()
        self._closed = False
        self.subscriber: Subscriber = frame.subscriber(
            [oms],
            self._on_message,
            on_gap=self._on_gap,
            on_epoch=self._on_epoch,
            durable=(STREAM_PREFIX,),
            stream_of=stream_of,
        )
        frame.at_end("the order streams", self.close)

    # --- following ------------------------------------------------------------------------------------------

    def follow(self, reader: OrderReader, cursor: int) -> None:
        """Deliver a strategy's events after number ``cursor``; below 0 begin with a snapshot."""
        following = self._following[reader.name] = _Following(reader)
        self.subscriber.subscribe(EVENT_ORDER + reader.name)
        self.subscriber.subscribe(EVENT_TRADE + reader.name)
        if cursor < 0:
            self._begin_view(following)
        else:
            self.subscriber.resume(self._stream(reader.name), 0, cursor)
            self._replay(following)

    def refresh(self) -> None:
        """Ask for what may have been missed, of every stream: the OMS has restarted."""
        for following in self._following.values():
            self._replay(following)

    def cursors(self) -> dict[str, int]:
        """Last number delivered, by stream."""
        return {
            stream.name: self.subscriber.tracker.next_seq(stream) - 1
            for stream in map(self._stream, self._following)
        }

    def is_caught_up(self) -> bool:
        """Whether no stream waits for an answer of the OMS."""
        return all(f.caught_up and not f.asking for f in self._following.values())

    def close(self) -> None:
        """Ask nothing more."""
        self._closed = True
        for name in self._following:
            self._clock.cancel_timer(f"orders.{name}")

    def _stream(self, name: str) -> Stream:
        return Stream(self._oms, STREAM_PREFIX + name)

    # --- what comes live ------------------------------------------------------------------------------------

    def _on_message(self, topic: str, envelope: Envelope[Any]) -> None:
        following = self._following.get(stream_of(topic).removeprefix(STREAM_PREFIX))
        message = envelope.message
        if following is not None and isinstance(message, OrderData | TradeData):
            following.reader.on_fact(message, envelope.seq)

    def _on_gap(self, stream: Stream, first: int, last: int, _epoch: int) -> None:
        following = self._following.get(stream.name.removeprefix(STREAM_PREFIX))
        if following is None or not stream.name.startswith(STREAM_PREFIX):
            return
        if first == 0:
            logger.error(
                "%s: the OMS's history ends at %d, before what was read of it: the view is taken anew",
                following.reader.name,
                last,
            )
            self._begin_view(following)
        else:
            self._replay(following)

    def _on_epoch(self, source: str, _old: int, _new: int) -> None:
        if source == self._oms:
            self.refresh()

    # --- replay ---------------------------------------------------------------------------------------------

    def _replay(self, following: _Following) -> None:
        """Ask for the page that is due next, now or when the question that is out was answered."""
        if following.snapshot is not None:
            return  # the view is being folded; what is missed is asked for afterwards
        if following.asking:
            following.again = True
            return
        after = self.subscriber.tracker.next_seq(self._stream(following.reader.name)) - 1
        self._ask(following, STREAM_REPLAY, after, self._on_page)

    def _on_page(self, following: _Following, page: Any, epoch: int, after: int) -> None:
        if not isinstance(page, StreamPage):
            self._later(following, "the answer to stream.replay is no page")
            return
        name = following.reader.name
        if self._wants_view(following):
            self._begin_view(following)
            return
        if page.last < after or (page.facts and page.first > after + 1):
            logger.error(
                "%s: the OMS cannot replay what follows %d (it has %d to %d): the view is taken anew",
                *(name, after, page.first, page.last),
            )
            self._begin_view(following)
            return
        stream = self._stream(name)
        live = self.subscriber.replay(stream, self._items(name, page, epoch))
        last = self.subscriber.tracker.next_seq(stream) - 1
        more = last < page.last or not live
        if more and last == after:
            self._later(following, f"the OMS's page after {after} brings nothing new")
        elif more or following.again:
            following.again = False
            self._replay(following)
        else:
            self._told.discard(name)
            following.caught_up = True
            following.reader.on_caught_up()

    def _items(
        self, name: str, page: StreamPage, epoch: int
    ) -> list[tuple[str, Envelope[OrderData | TradeData]]]:
        now = self._clock.now()
        return [
            (
                (EVENT_ORDER if isinstance(fact, OrderData) else EVENT_TRADE) + name,
                Envelope(_SCHEMA, self._oms, epoch, page.first + row, now, fact),
            )
            for row, fact in enumerate(page.facts)
        ]

    # --- snapshot -------------------------------------------------------------------------------------------

    def _begin_view(self, following: _Following) -> None:
        """Fold the view anew: a snapshot, the fills up to its number, then what is live."""
        name = following.reader.name
        self.subscriber.hold(self._stream(name))
        following.caught_up = False
        if following.asking:
            following.again = True
            return
        self._ask(following, STREAM_SNAPSHOT, 0, self._on_snapshot)

    def _on_snapshot(self, following: _Following, snapshot: Any, epoch: int, _after: int) -> None:
        if not isinstance(snapshot, StreamSnapshot):
            self._later(following, "the answer to stream.snapshot is no snapshot")
            return
        following.snapshot, following.epoch, following.folded = snapshot, epoch, 0
        following.trades = set()
        following.reader.begin_view()
        self._fold_on(following, snapshot)

    def _fold_on(self, following: _Following, snapshot: StreamSnapshot) -> None:
        if following.folded < snapshot.seq:
            self._ask(following, STREAM_REPLAY, following.folded, self._on_past)
            return
        following.snapshot = None
        for trade in snapshot.trades:
            self._fold_trade(following, trade)
        following.trades = set()
        following.reader.end_view(snapshot)
        stream = self._stream(following.reader.name)
        self.subscriber.resume(stream, following.epoch, snapshot.seq)
        self._replay(following)

    def _on_past(self, following: _Following, page: Any, _epoch: int, after: int) -> None:
        snapshot = following.snapshot
        if snapshot is None or not isinstance(page, StreamPage):
            self._later(following, "the answer to stream.replay is no page")
            return
        if page.facts and page.first > after + 1:
            logger.warning(
                "%s: the OMS has no events %d to %d any more: its position may lack older fills",
                *(following.reader.name, after + 1, page.first - 1),
            )
        for row, fact in enumerate(page.facts):
            if isinstance(fact, TradeData) and page.first + row <= snapshot.seq:
                self._fold_trade(following, fact)
        following.folded = page.first + len(page.facts) - 1 if page.facts else snapshot.seq
        self._fold_on(following, snapshot)

    def _fold_trade(self, following: _Following, trade: TradeData) -> None:
        if trade.vt_tradeid not in following.trades:
            following.trades.add(trade.vt_tradeid)
            following.reader.fold_past(trade)

    # --- asking ---------------------------------------------------------------------------------------------

    def _ask(
        self,
        following: _Following,
        method: str,
        after: int,
        on_answer: Callable[[_Following, Any, int, int], None],
    ) -> None:
        if self._closed:
            return
        following.asking = True
        body: msgspec.Struct = StreamRequest(following.reader.name, after, PAGE)

        def on_reply(outcome: Outcome) -> None:
            following.asking = False
            if self._following.get(following.reader.name) is not following or self._closed:
                return
            if isinstance(outcome, Answer) and outcome.ok:
                on_answer(following, outcome.body, outcome.epoch, after)
            elif isinstance(outcome, Answer) and outcome.error_code == ARCHIVED:
                self._on_archived(following, after, outcome.error_text)
            elif isinstance(outcome, Answer):
                self._later(following, f"{method}: {outcome.error_code}: {outcome.error_text}")
            else:
                self._later(following, f"{method}: {outcome.reason}")

        self._client.send(method, body, on_reply=on_reply)

    def _on_archived(self, following: _Following, after: int, why: str) -> None:
        """What follows ``after`` cannot be replayed any more: a snapshot must do."""
        name, snapshot = following.reader.name, following.snapshot
        logger.error("%s: events after %d are archived: %s", name, after, why)
        if snapshot is None:
            self._begin_view(following)
            return
        logger.error("%s: its position begins with the fills of its working orders", name)
        following.folded = snapshot.seq
        self._fold_on(following, snapshot)

    def _later(self, following: _Following, why: str) -> None:
        """Ask again in a while; told once."""
        name = following.reader.name
        if name not in self._told:
            self._told.add(name)
            logger.warning("%s: %s; it is asked for again", name, why)
        due = self._clock.now() + _PAUSE_NS
        self._clock.set_timer(f"orders.{name}", due, lambda _timer: self._go_on(following, _timer))

    def _go_on(self, following: _Following, _timer: TimerData) -> None:
        """Take up whatever the stream was at."""
        if following.asking:
            return
        if following.snapshot is not None:
            self._fold_on(following, following.snapshot)
        elif self._wants_view(following):
            self._begin_view(following)
        else:
            self._replay(following)

    def _wants_view(self, following: _Following) -> bool:
        """Whether only a snapshot tells where the stream stands."""
        state = self.subscriber.tracker.states.get(self._stream(following.reader.name))
        return state is not None and state.wants_snapshot
