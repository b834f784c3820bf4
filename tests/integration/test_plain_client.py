"""A client in nothing but pyzmq and plain msgpack, written from the wire reference, drives the real OMS."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from foxtrot.testing import make_contract
from tests.integration.test_oms_service import World


@pytest.fixture
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="fx") as folder:
        made = World(Path(folder))
        try:
            made.outbox.put(make_contract())
            made.start()
            yield made
        finally:
            made.close()


def write(topic: str, message: list[Any]) -> bytes:
    envelope = [1, "plain", 1, 0, time.time_ns(), message]
    return topic.encode() + b"\0" + msgpack.packb(envelope)


def read(frame: bytes) -> tuple[str, list[Any]]:
    topic, _, payload = frame.partition(b"\0")
    return topic.decode(), msgpack.unpackb(payload)


class PlainClient(threading.Thread):
    """Asks and reads on a thread of its own, while the world's loop plays the venue."""

    def __init__(self, rpc: str, pub: str) -> None:
        super().__init__(daemon=True)
        self.rpc, self.pub = rpc, pub
        self.replies: dict[str, list[Any]] = {}
        self.facts: list[tuple[int, list[Any]]] = []

    def run(self) -> None:
        with zmq.Context() as context:
            with context.socket(zmq.SUB) as events:
                events.connect(self.pub)
                for topic in (b"eOrder.hand\0", b"eTrade.hand\0"):
                    events.subscribe(topic)
                self.ask(context, "early", "q.accounts")  # by then the subscription has arrived
                time.sleep(0.2)
                order = [
                    "OrderRequest",
                    "TEST.LOCAL",
                    "LONG",
                    "LIMIT",
                    2.0,
                    100.0,
                    0.0,
                    "NONE",
                    "GTC",
                ]
                order += [0, False, "UNITS", 0.0, 0.0, "hand", "", "SIM.hand-1"]
                self.ask(context, "send", "order.send", order)
                self.ask(context, "again", "order.send", order)
                self.ask(context, "other", "order.send", [*order[:4], 3.0, *order[5:]])
                while len(self.facts) < 4 and events.poll(5_000):
                    _, (_, _, _, seq, _, message) = read(events.recv())
                    self.facts.append((seq, message))
            self.ask(context, "trades", "q.trades", ["HistoryQuery", "hand"])
            self.ask(context, "positions", "q.positions")
            self.ask(context, "nothing", "no.such.method")

    def ask(self, context: zmq.Context[Any], id: str, method: str, body: Any = None) -> None:
        with context.socket(zmq.REQ) as socket:
            socket.linger = 0
            socket.connect(self.rpc)
            socket.send(write(method, ["Request", id, method, body]))
            assert socket.poll(10_000), f"no answer to {method}"
            topic, (*_, reply) = read(socket.recv())
            assert (topic, reply[0], reply[1]) == (method, "Reply", id)
            self.replies[id] = reply[2:]


def test_plain_zmq_and_msgpack_are_enough(world: World) -> None:
    rpc = world.installation.endpoint("oms", "rpc")
    client = PlainClient(rpc, world.installation.endpoint("oms", "pub"))
    client.start()
    world.until(lambda: world.venue)
    world.fill(world.venue[0], 1, 2.0)
    world.until(lambda: not client.is_alive(), 25.0)

    ok, order, *_ = client.replies["send"]
    assert (ok, order[0], order[1], order[8]) == (True, "Order", "SIM.hand-1", "SUBMITTING")
    assert client.replies["again"][0] is True
    assert len(world.venue) == 1
    refused = client.replies["other"]
    assert (refused[0], refused[2], "used before" in refused[3]) == (False, "REFUSED", True)
    assert [seq for seq, _ in client.facts] == [1, 2, 3, 4]
    assert [fact[0] for _, fact in client.facts] == ["Order", "Order", "Order", "Trade"]
    page = client.replies["trades"][1]
    assert (page[0], [trade[1] for trade in page[1]]) == ("TradePage", ["SIM.x1"])
    positions = client.replies["positions"][1]
    assert [(held[2], held[4]) for held in positions[1]] == [("TEST.LOCAL", 2.0)]
    assert client.replies["nothing"][2] == "UNKNOWN_METHOD"
