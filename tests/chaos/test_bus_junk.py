"""F18: malformed payloads and junk connections, against a real OMS."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

from foxtrot.bus.messages import ORDER_SEND, SERVICE_STATUS
from foxtrot.testing import make_contract
from tests.chaos.bus_child import Child, resident
from tests.chaos.harness import Chaos, Fault
from tests.integration.test_oms_service import World, request

KINDS = ("asked", "published", "connections")
PAYLOADS_A_CONNECTION = 100
MANY = 100_000
FILL = 300_000  # payloads after which sockets' queues (bounded by number) and caches have been full once


def flood(world: World, payloads: int, seed: str) -> list[float]:
    """Send junk, and ask something all the while; returns how long each answer took (s)."""
    folder = world.installation.run / "sockets"
    counts = (payloads // 2, payloads // 2, payloads // PAYLOADS_A_CONNECTION)
    took: list[float] = []
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(Child("tests.chaos.bus_flood_child", kind, folder, count, seed))
            for kind, count in zip(KINDS, counts, strict=True)
        ]
        while any(child.process.poll() is None for child in children):
            began = time.perf_counter()
            world.ask(SERVICE_STATUS)
            took.append(time.perf_counter() - began)
            end = world.clock.monotonic() + 20_000_000
            world.until(lambda: world.clock.monotonic() >= end)  # noqa: B023
        for child, count in zip(children, counts, strict=True):
            assert child.process.returncode == 0
            assert json.loads(child.line()) == count
    return took


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def test_f18_junk(chaos: Chaos) -> None:
    must_hold = {
        "it lives, and orders pass": lambda fault: fault.lost == 0,
        "memory + < 10 MiB": lambda fault: fault.notes["memory + (MiB)"] < 10,
        "no descriptor is left": lambda fault: fault.notes["descriptors +"] <= 0,
        "answers in 1 s": lambda fault: fault.notes["slowest answer (s)"] < 1,
    }
    with (
        chaos.fault(
            "F18", "malformed payloads, and junk connections", runs=(12_000, 1_000_000),
            must_hold=must_hold,
        ) as fault,
        tempfile.TemporaryDirectory(prefix="fx") as name,
    ):  # fmt: skip
        world = World(Path(name))
        try:
            world.outbox.put(make_contract())
            world.start()
            harass(fault, world)
        finally:
            world.close()


def harass(fault: Fault, world: World) -> None:
    """Junk, a little first so that what is kept of it is there; then all of it, measured."""
    assert world.process is not None
    pid = world.process.pid
    at_rest = resident(pid)
    flood(world, 4_000 if fault.count < MANY else FILL, "warm")
    before, open_before = resident(pid), descriptors(pid)
    began = time.perf_counter()
    took = flood(world, fault.count, f"{fault.seed}")
    seconds = time.perf_counter() - began
    fault.notes |= {
        "connections": fault.count // PAYLOADS_A_CONNECTION,
        "payloads a second": round(fault.count / seconds),
        "memory at rest (MiB)": round(at_rest / 2**20, 1),
        "with all queues filled once (MiB)": round(before / 2**20, 1),
        "memory + (MiB)": round((resident(pid) - before) / 2**20, 1),
        "answers": len(took),
        "median answer (ms)": round(sorted(took)[len(took) // 2] * 1_000, 1),
        "slowest answer (s)": round(max(took), 3),
    }
    end = time.monotonic() + 4  # by then ZeroMQ has given up those that said nothing
    world.until(lambda: descriptors(pid) <= open_before or time.monotonic() > end)
    fault.notes["descriptors +"] = descriptors(pid) - open_before
    order = world.ask(ORDER_SEND, request(1))
    fault.lost += order.vt_orderid != "SIM.sma-1" or world.process.poll() is not None
    fault.detected = sum(1 for _ in fault.runs())
