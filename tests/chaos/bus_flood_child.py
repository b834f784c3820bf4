"""Junk for a service, from a process of its own: ``python -m tests.chaos.bus_flood_child KIND FOLDER COUNT SEED``.

``asked``: payloads for the OMS's answers, over connections that read what comes back and some that do not.
``published``: payloads for whoever reads the adapter's market data. ``connections``: connections to the OMS's answers
that say something else than they should, say nothing, or go away in the middle. At the end it says how many (JSON).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import zmq

from foxtrot.bus.address import ipc_endpoint
from foxtrot.bus.codec import MAX_FRAME_BYTES
from foxtrot.bus.messages import ORDER_SEND, REPORTS

POOL = 4_000
DEALERS = 4
OPEN = 64  # connections that say nothing, at a time
GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL".ljust(64, b"\0")
KINDS = (
    "Request",
    "Reply",
    "Report",
    "ReportHello",
    "OrderData",
    "TickData",
    "Heartbeat",
    "Nothing",
)


def anything(rng: random.Random, depth: int = 0) -> Any:
    """Something that msgpack can carry."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind < 6:
        return (
            None, rng.getrandbits(64) - 2**63, rng.random(), rng.randbytes(rng.randrange(40)),
            "x" * rng.randrange(40), float("nan"),
        )[kind]  # fmt: skip
    if kind < 8:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(6))]
    return {str(i): anything(rng, depth + 1) for i in range(rng.randrange(4))}


def malformed(rng: random.Random) -> bytes:
    """A payload with something wrong about it."""
    message: Any = [rng.choice(KINDS), *(anything(rng) for _ in range(rng.randrange(8)))]
    envelope: list[Any] = [
        1,
        f"s{rng.randrange(50)}",
        rng.randrange(9),
        rng.randrange(9),
        5,
        message,
    ]
    fault = rng.randrange(8)
    if fault == 0:
        return rng.randbytes(rng.randrange(200))
    if fault == 1:
        envelope[rng.randrange(6)] = anything(rng)
    elif fault == 2:
        envelope = envelope[: rng.randrange(6)]
    elif fault == 3:
        return b"\x91" * rng.randrange(2_000)  # a list in a list in a list ...
    elif fault == 4:
        return rng.choice((b"\xdd", b"\xdf", b"\xc6", b"\xdb")) + b"\xff\xff\xff\xff"  # of 4 GiB
    payload: bytes = msgpack.packb(envelope)
    if fault == 5:
        place = rng.randrange(len(payload))
        return payload[:place] + rng.randbytes(1) + payload[place + 1 :]
    return payload[: rng.randrange(len(payload))] if fault == 6 else payload


def frames(rng: random.Random, heads: tuple[bytes, ...], *, bare: bool) -> Iterator[bytes]:
    """Frames for ever: many with a new topic, few that are far too long, and (``bare``) some without a topic."""
    pool = [malformed(rng) for _ in range(POOL)]
    for number in itertools.count():
        payload = pool[number % POOL]
        head = heads[number % len(heads)]
        if number % 4 == 0:
            head += b"%d" % number + b"x" * (number % 180)
        if number % 20_000 == 19_999:
            payload = bytes(MAX_FRAME_BYTES + 1)
        yield payload if bare and number % 9 == 0 else head + b"\0" + payload


def settle(dealer: zmq.Socket[bytes]) -> None:
    """Wait until all that was sent has been seen to: a last question is answered. It may take several."""
    last = b"last\0" + msgpack.packb([1, "flood", 1, 0, 5, ["Request", "last", "last", None]])
    dealer.setsockopt(zmq.RCVTIMEO, 1_000)
    for _ in range(60):
        dealer.send(last)
        with contextlib.suppress(zmq.Again):
            while not dealer.recv().startswith(b"last\0"):
                pass
            return
    raise AssertionError("no answer to the last question")


def asked(folder: Path, count: int, rng: random.Random) -> int:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealers = [context.socket(zmq.DEALER) for _ in range(DEALERS)]
    for dealer in dealers:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.SNDHWM, 200)
        dealer.setsockopt(zmq.SNDTIMEO, 30_000)
        dealer.connect(ipc_endpoint(folder, "oms.rpc"))
    heads = (ORDER_SEND.encode(), REPORTS.encode(), b"svc.status", b"t", b"")
    source = frames(rng, heads, bare=True)
    for number, frame in enumerate(itertools.islice(source, count)):
        dealer = dealers[number % DEALERS]
        if number % 50 == 0:
            dealer.send_multipart([frame[: number % 40], b"", frame])
        else:
            dealer.send(frame)
        if number % DEALERS:  # one of them never reads
            with contextlib.suppress(zmq.Again):
                while True:
                    dealer.recv(zmq.NOBLOCK)
    for dealer in dealers:
        settle(dealer)
        dealer.close()
    context.term()
    return count


def published(folder: Path, count: int, rng: random.Random) -> int:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.setsockopt(zmq.XPUB_NODROP, 1)
    publisher.setsockopt(zmq.SNDTIMEO, 30_000)
    publisher.setsockopt(zmq.LINGER, 30_000)
    publisher.bind(ipc_endpoint(folder, "adapter-sim.pub"))
    for _ in range(3):  # what the OMS reads of an adapter: ticks, bars, signs of life
        publisher.recv()
    for frame in itertools.islice(
        frames(rng, (b"eTick.S", b"eBar.S", b"eHeartbeat."), bare=False), count
    ):
        publisher.send(frame)
    publisher.close()
    context.term()
    return count


def connections(folder: Path, count: int, rng: random.Random) -> int:
    path = ipc_endpoint(folder, "oms.rpc").removeprefix("ipc://")
    idle: deque[socket.socket] = deque()
    for number in range(count):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(path)
        said = (
            rng.randbytes(100), b"GET / HTTP/1.1\r\n\r\n", GREETING[: rng.randrange(64)], b"",
            GREETING + rng.randbytes(50), GREETING + b"\4\x26\5READY", GREETING + b"\2" + b"\xff" * 8,
        )[number % 7]  # fmt: skip
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(said)
        idle.append(peer)
        while len(idle) > (OPEN if number % 7 == 3 else 8):
            idle.popleft().close()
    for peer in idle:
        peer.close()
    return count


if __name__ == "__main__":
    make: Callable[[Path, int, random.Random], int] = {
        "asked": asked, "published": published, "connections": connections,
    }[sys.argv[1]]  # fmt: skip
    done = make(Path(sys.argv[2]), int(sys.argv[3]), random.Random(sys.argv[4]))
    sys.stdout.write(json.dumps(done) + "\n")
