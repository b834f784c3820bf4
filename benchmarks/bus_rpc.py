"""What does a request cost? Round trips between two processes, beside a raw DEALER and ROUTER in the same run.

The raw pair sends frames of the same bytes and looks into none of them. Foxtrot's encodes and decodes typed messages,
tells repeated requests from new ones, keeps the reply and watches the time. Short rounds alternate, so that all see
the same machine; a ratio is the median of the rounds' ratios. Processor time of both processes per request (all
threads) is the second figure: it does not count waiting for a processor.

    python benchmarks/bus_rpc.py [--requests 300] [--rounds 25]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import zmq

from foxtrot.bus.codec import Codec
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import RPC_TYPES, Answer
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.core.clock import LiveClock
from foxtrot.core.objects import CancelRequest

GOAL = 1.5
METHOD = "q.cancel"
BODY = CancelRequest("PAPER.trend-1-42")


def serve_raw(endpoint: str, polled: bool) -> None:
    """Send back whatever comes; polled first, as by everyone with more than one socket or with timers."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    socket.bind(endpoint)
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    while True:
        if polled:
            poller.poll(1_000)
        socket.send_multipart(socket.recv_multipart())


def serve_foxtrot(endpoint: str) -> None:
    """Answer each request with its own body."""
    clock = LiveClock()
    loop = SocketWaiter(clock)
    server = RpcServer(
        endpoint,
        Codec(types=RPC_TYPES),
        source="oms",
        epoch=1,
        clock=clock,
        context=zmq.Context.instance(),
    )
    server.register(METHOD, lambda request, _later: request.body, CancelRequest)
    server.attach(loop)
    while True:
        loop.wait(min(1.0, clock.wait_ns() / 1e9))
        clock.fire_due()


def ask_raw(socket: zmq.Socket[bytes], frame: bytes, requests: int, polled: bool) -> float:
    """Seconds for so many round trips."""
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    begun = time.perf_counter()
    for _ in range(requests):
        socket.send(frame)
        if polled:
            poller.poll(1_000)
        socket.recv()
    return time.perf_counter() - begun


def ask_foxtrot(client: RpcClient, requests: int) -> float:
    """Seconds for so many round trips, each checked."""
    begun = time.perf_counter()
    for _ in range(requests):
        outcome = client.call(METHOD, BODY)
        if not isinstance(outcome, Answer) or outcome.body != BODY:
            raise SystemExit(f"not the answer to what was asked: {outcome}")
    return time.perf_counter() - begun


def processor_us(*pids: int | None) -> float:
    """Microseconds of processor time that processes have used; 0 where the system does not tell."""
    paths = [path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(path.read_text().split()[0]) for path in paths) / 1e3


def measure(folder: str, requests: int, rounds: int) -> dict[str, float]:
    """Time all in turn; microseconds per round trip."""
    endpoints = {name: f"ipc://{folder}/{name}" for name in ("raw", "polled", "foxtrot")}
    spawn = multiprocessing.get_context("spawn")
    children = {
        "raw": spawn.Process(target=serve_raw, args=(endpoints["raw"], False), daemon=True),
        "polled": spawn.Process(target=serve_raw, args=(endpoints["polled"], True), daemon=True),
        "foxtrot": spawn.Process(target=serve_foxtrot, args=(endpoints["foxtrot"],), daemon=True),
    }
    for child in children.values():
        child.start()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    codec = Codec(types=RPC_TYPES)
    client = RpcClient(
        endpoints["foxtrot"], codec, source="bench", epoch=1, clock=LiveClock(), context=context
    )
    sockets = {name: context.socket(zmq.DEALER) for name in ("raw", "polled")}
    for name, socket in sockets.items():
        socket.connect(endpoints[name])
    frame = codec.encode(METHOD, "bench", 1, 0, time.time_ns(), BODY) + b" " * 24
    wall: dict[str, list[float]] = {name: [] for name in endpoints}
    used: dict[str, list[float]] = {name: [] for name in endpoints}
    try:
        for number in range(rounds + 1):
            for name, child in children.items():
                before = processor_us(os.getpid(), child.pid)
                seconds = (
                    ask_foxtrot(client, requests)
                    if name == "foxtrot"
                    else ask_raw(sockets[name], frame, requests, name == "polled")
                )
                if number:  # the first warms up
                    wall[name].append(seconds / requests * 1e6)
                    used[name].append((processor_us(os.getpid(), child.pid) - before) / requests)
    finally:
        for child in children.values():
            child.terminate()
            child.join()
        client.close()
        context.destroy(linger=0)
    return summary(wall, used)


def summary(wall: dict[str, list[float]], used: dict[str, list[float]]) -> dict[str, float]:
    """Medians over the rounds, and the medians of their ratios."""
    return {
        **{f"{name}_us": round(median(values), 1) for name, values in wall.items()},
        **{f"{name}_cpu_us": round(median(values), 1) for name, values in used.items()},
        "ratio": ratio(wall, "raw"),
        "ratio_to_polled": ratio(wall, "polled"),
        "cpu_ratio": ratio(used, "raw"),
        "cpu_ratio_to_polled": ratio(used, "polled"),
        "goal": GOAL,
    }


def ratio(rounds: dict[str, list[float]], other: str) -> float:
    """Median of the rounds' ratios of Foxtrot's figure to another's."""
    pairs = zip(rounds["foxtrot"], rounds[other], strict=True)
    return round(median(mine / theirs for mine, theirs in pairs if theirs), 3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        print(json.dumps(measure(folder, options.requests, options.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
