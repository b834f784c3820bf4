"""The OMS's side of the bus without the OMS: facts made up, committed to a real journal, published, and replayed.

What commits, publishes and answers is the product's own (``SqlitePersistence``, ``OmsBridge``, ``OmsAnswers``); only
the orders are nobody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import zmq

from foxtrot.bus.address import ipc_endpoint
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.messages import service_codec
from foxtrot.bus.publisher import Publisher
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND, Direction, OrderType, Status
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.bridge.answers import OmsAnswers, stream_of
from foxtrot.server.bridge.oms_bridge import OmsBridge
from foxtrot.server.journal import Journal
from foxtrot.server.persistence import SqlitePersistence

OMS = "oms"
Fact = OrderData | TradeData

_BYTES = msgspec.msgpack.Encoder().encode
_STATES = (Status.SUBMITTING, Status.NOTTRADED, Status.ALLTRADED)
_FACTS_AN_ORDER = 4


class Wire:
    """A process's loop over sockets and timers, and the frame that an ``OrderFeed`` expects."""

    def __init__(self, folder: Path, source: str, epoch: int = 1) -> None:
        self.folder = folder
        self.service = source
        self.epoch = epoch
        self.io_clock = LiveClock()
        self.codec = service_codec()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.waiter = SocketWaiter(self.io_clock)
        self._closers: list[Callable[[], object]] = []

    def endpoint(self, service: str, kind: str) -> str:
        return ipc_endpoint(self.folder, f"{service}.{kind}")

    def client(self, service: str, on_epoch: Any = None) -> RpcClient:
        client = RpcClient(
            self.endpoint(service, "rpc"), self.codec, source=self.service, epoch=self.epoch,
            clock=self.io_clock, context=self.context, on_epoch=on_epoch,
        )  # fmt: skip
        client.attach(self.waiter)
        self.at_end("", client.close)
        return client

    def subscriber(self, services: list[str], on_message: Any, **options: Any) -> Subscriber:
        reader = Subscriber(self.context, self.io_clock, on_message, codec=self.codec, **options)
        socket = reader.socket
        for service in services:
            reader.connect(self.endpoint(service, "pub"))
        self.waiter.add(socket, reader.drain)

        def close() -> None:
            self.waiter.remove(socket)
            socket.close(linger=0)

        self.at_end("", close)
        return reader

    def at_end(self, _name: str, close: Callable[[], object]) -> None:
        self._closers.append(close)

    def turn(self, seconds: float = 0.0) -> None:
        """One turn of the loop."""
        self.waiter.wait(min(seconds, self.io_clock.wait_ns() / NS_PER_SECOND))
        self.io_clock.fire_due()

    def until(self, done: Callable[[], Any], seconds: float = 30.0) -> None:
        end = self.io_clock.monotonic() + int(seconds * NS_PER_SECOND)
        while not done():
            assert self.io_clock.monotonic() < end, "it took too long"
            self.turn(0.02)

    def close_parts(self) -> None:
        for close in reversed(self._closers):
            close()
        self._closers.clear()

    def close(self) -> None:
        self.close_parts()
        self.waiter.close()
        self.context.term()


class _NoOms:
    """What ``OmsAnswers`` and ``OmsBridge`` ask an OMS, answered from the orders that are open here."""

    loaded = True
    stalled = ""

    def __init__(self, clock: LiveClock) -> None:
        self.clock = clock
        self.event_engine = EventEngine(clock)
        self.open: dict[str, OrderData] = {}

    def get_all_active_orders(self, _vt_symbol: str = "") -> list[OrderData]:
        return list(self.open.values())

    def last_order_number(self, _prefix: str) -> int:
        return 0


class FactSource:
    """Commits facts, publishes them under the journal's numbers, and answers ``stream.*``.

    Args:
        wire: its process.
        path: the database.
        strategies: whose streams there are.
    """

    def __init__(self, wire: Wire, path: Path, strategies: Iterable[str]) -> None:
        self.wire = wire
        self.store = SqlitePersistence(path, lock_timeout=5.0)
        self.store.connect()
        self.publisher = Publisher(
            wire.context, wire.endpoint(OMS, "pub"), OMS, wire.epoch, wire.io_clock, wire.codec
        )
        self.server = RpcServer(
            wire.endpoint(OMS, "rpc"), wire.codec, source=OMS, epoch=wire.epoch,
            clock=wire.io_clock, context=wire.context,
        )  # fmt: skip
        self.server.attach(wire.waiter)
        for strategy in strategies:
            stream = stream_of(strategy)
            self.publisher.seed(stream, self.store.journal.last(stream))
        self.oms: Any = _NoOms(wire.io_clock)
        self._bridge = OmsBridge(
            self.oms, None, self.store, self.server, self.publisher, None  # type: ignore[arg-type]
        )  # fmt: skip
        OmsAnswers(self.oms, self.store).register(self.server)

    def put(self, facts: list[Fact]) -> None:
        """Make facts durable, then publish them."""
        rows = [(stream_of(fact.strategy), fact) for fact in facts]
        for fact in facts:
            if isinstance(fact, OrderData):
                if fact.status is Status.ALLTRADED:
                    self.oms.open.pop(fact.vt_orderid, None)
                else:
                    self.oms.open[fact.vt_orderid] = fact
        self.store.commit([], rows)
        self._bridge._publish_facts(rows)  # type: ignore[arg-type]

    def close(self) -> None:
        self.server.close()
        self.publisher.close()
        self.store.close()


def facts_of(strategy: str, first: int = 0) -> Iterator[Fact]:
    """The facts of one strategy for ever: an order is sent, works, is filled, and the fill follows."""
    number = first
    while True:
        order, step = divmod(number, _FACTS_AN_ORDER)
        vt_orderid, ts = f"SIM.{strategy}-{order}", 1_700_000_000_000_000_000 + number
        if step < len(_STATES):
            yield OrderData(
                vt_orderid, "TEST.LOCAL", Direction.LONG, OrderType.LIMIT, 1.0, 100.0,
                status=_STATES[step], traded=float(step == 2), strategy=strategy, ts_event=ts,
            )  # fmt: skip
        else:
            yield TradeData(
                f"SIM.{strategy}-x{order}", vt_orderid, "TEST.LOCAL", Direction.LONG, 1.0, 100.0,
                strategy=strategy, ts_event=ts,
            )  # fmt: skip
        number += 1


class Reading:
    """What a reader has seen: numbers one after the other, and a digest over all of it; an ``OrderReader``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.first = 0
        self.last = 0
        self.count = 0
        self.missed = 0
        self.twice = 0
        self.caught_up = False
        self.past = 0
        self._digest = hashlib.blake2b(digest_size=16)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def on_fact(self, fact: Fact, seq: int) -> None:
        if not self.count:
            self.first = seq
        elif seq <= self.last:
            self.twice += 1
        else:
            self.missed += seq - self.last - 1
        self.last = max(self.last, seq)
        self.count += 1
        self._digest.update(b"%d" % seq + _BYTES(fact))

    def on_caught_up(self) -> None:
        self.caught_up = True

    def begin_view(self) -> None:
        self.past = 0

    def fold_past(self, fact: TradeData) -> None:
        self.past += 1

    def end_view(self, snapshot: Any) -> None: ...


def journal_digest(journal: Journal, strategy: str, first: int, last: int) -> str:
    """The digest that a reader of facts ``first`` to ``last`` must have come to."""
    digest = hashlib.blake2b(digest_size=16)
    after = first - 1
    while after < last:
        rows = journal.read(stream_of(strategy), after, min(1_000, last - after))
        for row in rows:
            digest.update(b"%d" % row.stream_seq + _BYTES(row.fact))
        after = rows[-1].stream_seq
    return digest.hexdigest()
