"""A server, clients and a poll loop on one thread, over sockets in a folder of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import zmq

from foxtrot.bus.codec import Codec
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import RPC_TYPES
from foxtrot.bus.rpc_methods import Incoming
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.core.clock import LiveClock

SECOND = 1_000_000_000


class Ping(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Ping"):
    number: int = 0
    text: str = ""


class Pong(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Pong"):
    number: int = 0
    text: str = ""


def codec(**settings: Any) -> Codec:
    return Codec(types=(*RPC_TYPES, Ping, Pong), **settings)


def pong(request: Incoming, _later: Any) -> Pong:
    return Pong(request.body.number + 1)


def plain(topic: str, message: list[Any], source: str = "plain") -> bytes:
    """A frame made with nothing but msgpack."""
    return topic.encode() + b"\0" + bytes(msgpack.packb([1, source, 1, 0, 5, message]))


def unpack(frame: bytes) -> list[Any]:
    """The message of a frame, read with nothing but msgpack."""
    return list(msgpack.unpackb(frame.partition(b"\0")[2])[5])


class Desk:
    def __init__(self, folder: Path) -> None:
        self.endpoint = f"ipc://{folder}/rpc.sock"
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.clock = LiveClock()
        self.loop = SocketWaiter(self.clock)
        self.closing: list[Any] = []

    def server(self, epoch: int = 1, codec_: Codec | None = None, **settings: Any) -> RpcServer:
        server = RpcServer(
            self.endpoint,
            codec_ or codec(),
            source="oms",
            epoch=epoch,
            clock=self.clock,
            context=self.context,
            **settings,
        )
        server.attach(self.loop)
        self.closing.append(server)
        return server

    def client(self, source: str = "asker", epoch: int = 1, **settings: Any) -> RpcClient:
        client = RpcClient(
            self.endpoint,
            codec(),
            source=source,
            epoch=epoch,
            clock=self.clock,
            context=self.context,
            **settings,
        )
        client.attach(self.loop)
        self.closing.append(client)
        return client

    def raw(self, kind: int, **options: Any) -> zmq.Socket[bytes]:
        socket = self.context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        for name, value in options.items():
            socket.setsockopt(getattr(zmq, name), value)
        socket.connect(self.endpoint)
        self.closing.append(socket)
        return socket

    def pump(self, until: Callable[[], object], seconds: float = 5.0) -> None:
        """Run the loop until a condition holds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "the condition did not come true in time"
            self.step()

    def step(self, seconds: float = 0.01) -> None:
        wait = min(seconds, self.clock.wait_ns() / SECOND)
        self.loop.wait(wait)
        self.clock.fire_due()

    def run_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step(min(0.01, seconds))

    def ask(self, socket: zmq.Socket[bytes], *parts: bytes) -> list[bytes]:
        """Send and wait for what comes back."""
        socket.send_multipart(parts)
        self.pump(lambda: socket.poll(0))
        return socket.recv_multipart()

    def close(self) -> None:
        for one in reversed(self.closing):
            one.close()
        self.loop.close()
        self.context.destroy(linger=0)
