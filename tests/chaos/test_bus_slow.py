"""F15, F16: readers that are too slow, or do not read at all."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from foxtrot.bus.codec import Envelope
from foxtrot.bus.messages import ORDER_SEND, STREAM_REPLAY, StreamRequest
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.events import EVENT_TICK
from foxtrot.core.objects import OrderRequest
from foxtrot.testing import make_contract
from tests.chaos.bus_child import Child, resident
from tests.chaos.bus_facts import Reading, Wire
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault
from tests.integration.test_oms_service import World, request

MS = 1_000_000
LONG = 60  # seconds
HANDLER = 0.001  # seconds
EVENTS_AN_ORDER = 4  # sent, working, filled, and the fill
RECENT = 200  # fills that the venue lists
UNDER_WAY = 64  # orders at a time


def percentile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * (len(values) - 1))]


def judged(fault: Fault) -> str:
    """All of a long run; of a short one its best second, for a busy machine may take any single one away."""
    return "age p99 (ms)" if fault.count >= LONG else "age p99 of the best second (ms)"


def test_f15_a_slow_handler_sees_the_present(chaos: Chaos) -> None:
    ages: list[int] = []
    must_hold = {
        "age p99 < 250 ms": lambda fault: fault.notes[judged(fault)] < 250,
        "messages were passed over": lambda fault: fault.notes["passed over"] > 0,
        "the newest of each came": lambda fault: fault.lost == 0,
    }

    def handle(_topic: str, envelope: Envelope[Any]) -> None:
        ages.append(wire.io_clock.now() - envelope.ts)
        newest[envelope.message.vt_symbol] = envelope.seq
        end = time.perf_counter() + HANDLER
        while time.perf_counter() < end:
            pass

    newest: dict[str, int] = {}
    with (
        chaos.fault(
            "F15", "a handler of 1 ms, 4,000 ticks/s (s)", runs=(3, 120), must_hold=must_hold
        ) as fault,
        tempfile.TemporaryDirectory(prefix="fx") as name,
        Child("tests.chaos.bus_source_child", "ticks", name) as source,
    ):
        wire = Wire(Path(name), "reader")
        reader = wire.subscriber(["adapter"], handle, durable=(), conflate=(EVENT_TICK,))
        reader.subscribe(EVENT_TICK)
        assert source.line() == "up"
        done, seconds = 0, list[int]()
        for _ in fault.runs():
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                wire.turn(0.01)
            seconds.append(percentile(ages[done:] or ages, 0.99))
            done = len(ages)
        published = source.ask("end")
        states = reader.tracker.states
        wire.until(lambda: not reader.drain(), 5)
        fault.lost += sum(newest[stream.name.removeprefix(EVENT_TICK)] != state.seq
                          for stream, state in states.items())  # fmt: skip
        fault.notes |= published | {
            "delivered": len(ages),
            "passed over": reader.conflated,
            "gaps": reader.tracker.counts.gaps,
            "age p50 (ms)": round(percentile(ages, 0.5) / MS, 1),
            "age p99 (ms)": round(percentile(ages, 0.99) / MS, 1),
            "age p99 of the best second (ms)": round(min(seconds) / MS, 1),
            "age worst (ms)": round(max(ages) / MS, 1),
        }
        wire.close()


# --- nothing is read --------------------------------------------------------------------------------------


class RecentWorld(World):
    """Its venue lists what is recent, as venues do; a list of everything would outgrow a message."""

    def _snapshot(self, asked: Any, later: Any) -> None:
        orders, fills = self.venue, self.fills
        since = fills[-RECENT].ts_event if len(fills) > RECENT else 0
        self.venue = orders[max(0, len(fills) - RECENT) :]  # in the order of their fills
        self.fills = fills[-RECENT:]
        put, self.outbox.put = (
            self.outbox.put,
            lambda told: put(  # type: ignore[method-assign]
                msgspec.structs.replace(told, history_since=since, fills_since=since)
            ),
        )
        try:
            super()._snapshot(asked, later)
        finally:
            self.venue, self.fills = orders, fills
            self.outbox.put = put  # type: ignore[method-assign]


class Load:
    """Orders of one strategy through a real OMS: each is filled by the venue as soon as it comes."""

    def __init__(self, world: World, orders: int) -> None:
        self.world = world
        self.orders = orders
        self.sent = 0
        self.answered = 0
        self.failed: list[Any] = []

    def pump(self) -> None:
        """Keep so many orders under way, and fill what has come to the venue."""
        while (
            self.sent < self.orders
            and self.sent - self.answered < UNDER_WAY
            and self.world.outbox.waiting < UNDER_WAY
        ):
            self.sent += 1
            self.world.client.send(ORDER_SEND, request(self.sent), on_reply=self._on_reply)
        while len(self.world.fills) < len(self.world.venue):
            number = len(self.world.fills)
            order: OrderRequest = self.world.venue[number]
            self.world.fill(order, number)

    def _on_reply(self, outcome: Any) -> None:
        self.answered += 1
        if not getattr(outcome, "ok", False) or outcome.body.status is Status.DENIED:
            self.failed.append(outcome)

    @property
    def done(self) -> bool:
        self.pump()
        return len(self.world.fills) == self.orders and not self.world.outbox.waiting

    def digest(self, last: int) -> str:
        """What a reader of all events must have come to."""
        reading = Reading("sma")
        while reading.last < last:
            page = self.world.ask(STREAM_REPLAY, StreamRequest("sma", reading.last))
            for row, fact in enumerate(page.facts):
                reading.on_fact(fact, page.first + row)
        return reading.digest


def test_f16_a_reader_stalls(chaos: Chaos) -> None:
    must_hold = {
        **NOTHING_LOST_OR_DOUBLED,
        "equal to the journal": lambda fault: fault.notes["equal"],
        "OMS memory + < 50 MiB": lambda fault: fault.notes["memory + (MiB)"] < 50,
    }
    with (
        chaos.fault(
            "F16", "a reader stalls over so many events", runs=(3_000, 50_000), must_hold=must_hold
        ) as fault,
        tempfile.TemporaryDirectory(prefix="fx") as name,
    ):
        world = RecentWorld(Path(name))
        try:
            run_stalled(fault, world, 3.0 if fault.count < 10_000 else 60.0)
        finally:
            world.close()


def run_stalled(fault: Fault, world: World, stall: float) -> None:
    """Stop a reader, have events come, let it go on, and compare."""
    world.outbox.put(make_contract())
    world.start()
    assert world.process is not None
    warm = Load(world, 50)
    world.until(lambda: warm.done)
    with Child("tests.chaos.bus_reader_child", world.installation.run / "sockets", "sma") as reader:
        assert reader.line() == "up"
        before, most = resident(world.process.pid), 0
        load = Load(world, 50 + fault.count // EVENTS_AN_ORDER)
        load.sent = load.answered = 50
        reader.pause()
        began = time.monotonic()
        while not load.done or time.monotonic() < began + stall:
            world.waiter.wait(min(0.02, world.clock.wait_ns() / NS_PER_SECOND))
            world.clock.fire_due()
            most = max(most, resident(world.process.pid) - before)
            assert not load.failed, load.failed[0]
        stalled = time.monotonic() - began
        reader.go_on()
        last = world.ask(STREAM_REPLAY, StreamRequest("sma")).last
        while (told := reader.ask("report"))["last"] < last:
            world.waiter.wait(0.05)
            world.clock.fire_due()
            assert time.monotonic() < began + stalled + 120, told
        most = max(most, resident(world.process.pid) - before)
    for _ in fault.runs():
        pass
    fault.lost = told["missed"] + last - told["count"] + told["twice"] + len(load.failed)
    fault.duplicated = told["twice"]
    fault.detected = told["gaps"]
    fault.notes |= {
        "events": last,
        "equal": told["digest"] == load.digest(last),
        "memory + (MiB)": round(most / 2**20, 1),
        "stalled (s)": round(stalled, 1),
        "back in step after (s)": round(time.monotonic() - began - stalled, 2),
    }
