"""How many typed messages a second go from one process to another, next to the same bytes by bare pyzmq?

Question: what do typing, numbering and the gap check cost over the socket that carries them? Two processes over ipc;
both sides send the same frames (an L1 tick), without a bound on the queues, so that nothing is dropped and the slower
side sets the pace. Rounds alternate; the best of each counts. Goal: at least 0.3 of bare pyzmq.

Run: ``python benchmarks/bus_pubsub.py [--messages N] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import zmq

from foxtrot.bus.address import random_ipc_endpoint
from foxtrot.bus.codec import Codec, Envelope
from foxtrot.bus.publisher import Publisher
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import LiveClock
from foxtrot.core.objects import TickData

GOAL = 0.3
TOPIC = "eTick.BTCUSDT.BINANCE"
TICK = TickData("BTCUSDT.BINANCE", 1_700_000_000_000_000_000, 100.25, 100.5, 3.0, 4.0, 100.25, 1.0)
LIMIT_S = 30.0


def send_raw(
    context: zmq.Context[Any], endpoint: str, control: zmq.Socket[Any], count: int
) -> None:
    """Send the bytes of one tick over and over."""
    frame = Codec().encode(TOPIC, "md", 1, 1, TICK.ts_event, TICK)
    socket = context.socket(zmq.PUB)
    socket.set(zmq.SNDHWM, 0)
    socket.bind(endpoint)
    while not control.poll(20):
        socket.send(TOPIC.encode() + b"\0")
    for _ in range(count):
        socket.send(frame, zmq.NOBLOCK)
    control.recv()
    control.recv()
    socket.close(linger=0)


def send_typed(
    context: zmq.Context[Any], endpoint: str, control: zmq.Socket[Any], count: int
) -> None:
    """Publish one tick over and over, encoded and numbered each time."""
    publisher = Publisher(context, endpoint, "md", 1, LiveClock(), high_water=0)
    while not control.poll(20):
        publisher.heartbeat()
    publish = publisher.publish
    for _ in range(count):
        publish(TOPIC, TICK)
    publisher.heartbeat()
    control.recv()
    control.recv()
    publisher.close()


def receive_raw(
    context: zmq.Context[Any], endpoint: str, control: zmq.Socket[Any], count: int
) -> float:
    """Seconds from the go to the last message."""
    socket = context.socket(zmq.SUB)
    socket.set(zmq.RCVHWM, 0)
    socket.subscribe(TOPIC.encode() + b"\0")
    socket.connect(endpoint)
    socket.recv()
    begun = time.perf_counter()
    control.send(b"go")
    got = 0
    while got < count:
        if len(socket.recv()) > len(TOPIC) + 1:
            got += 1
    seconds = time.perf_counter() - begun
    control.send(b"end")
    socket.close(linger=0)
    return seconds


def receive_typed(
    context: zmq.Context[Any], endpoint: str, control: zmq.Socket[Any], count: int
) -> float:
    """Seconds from the go to the last message, each decoded and its number checked."""
    got = 0

    def on_message(_topic: str, envelope: Envelope[Any]) -> None:
        nonlocal got
        got += envelope.message.vt_symbol == "BTCUSDT.BINANCE"

    reader = Subscriber(context, LiveClock(), on_message, high_water=0)
    reader.subscribe(TOPIC)
    reader.connect(endpoint)
    while not reader.received:
        reader.socket.poll(1_000)
        reader.drain()
    begun = time.perf_counter()
    control.send(b"go")
    while got < count and time.perf_counter() - begun < LIMIT_S:
        if reader.socket.poll(1_000):
            reader.drain()
    seconds = time.perf_counter() - begun
    control.send(b"end")
    counts = reader.tracker.counts
    reader.close()
    if got != count or counts.gaps or counts.duplicates:
        raise SystemExit(f"{got} of {count} messages came, {counts}: the figures mean nothing")
    return seconds


SENDERS = {"raw": send_raw, "typed": send_typed}
RECEIVERS = {"raw": receive_raw, "typed": receive_typed}


def run_round(mode: str, count: int) -> float:
    """Messages a second of one round, with the sender in a process of its own."""
    endpoint = random_ipc_endpoint()
    folder = Path(endpoint.removeprefix("ipc://")).parent
    context: zmq.Context[Any] = zmq.Context()
    context.setsockopt(zmq.RCVTIMEO, int(LIMIT_S * 1_000))
    control = context.socket(zmq.PUSH)
    control.bind(f"ipc://{folder}/control.sock")
    command = [sys.executable, __file__, "--send", mode, "--at", endpoint, "--messages", str(count)]
    process = subprocess.Popen(command)
    try:
        rate = count / RECEIVERS[mode](context, endpoint, control, count)
        process.wait(LIMIT_S)
        return rate
    finally:
        process.kill()
        process.wait()
        context.destroy(linger=0)
        shutil.rmtree(folder)


def send(mode: str, endpoint: str, count: int) -> None:
    """Be the sending process."""
    context: zmq.Context[Any] = zmq.Context()
    control = context.socket(zmq.PULL)
    control.connect(f"ipc://{Path(endpoint.removeprefix('ipc://')).parent}/control.sock")
    SENDERS[mode](context, endpoint, control, count)
    context.destroy(linger=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--send", choices=SENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--at", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        send(options.send, options.at, options.messages)
        return
    best = dict.fromkeys(SENDERS, 0.0)
    for _ in range(options.rounds):
        for mode in best:
            best[mode] = max(best[mode], run_round(mode, options.messages))
    ratio = best["typed"] / best["raw"]
    print(f"bare pyzmq {best['raw']:>10,.0f} messages/s")
    print(f"foxtrot    {best['typed']:>10,.0f} messages/s, typed, numbered, gaps checked")
    print(f"ratio      {ratio:>10.2f} (goal {GOAL})")


if __name__ == "__main__":
    main()
