"""F20: the wall clock steps by hours, back and forth, while everything runs."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from foxtrot.bus.health import Health, HealthBoard
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.messages import ORDER_SEND, QUERY_ORDERS, HistoryQuery
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Unknown
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.testing import make_contract
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault
from tests.integration import test_oms_service as service

SOURCE = Path(__file__).with_name("clock_steps.c")
MS = 1_000_000
HOUR = 3_600 * NS_PER_SECOND
EVERY = 16  # readings of the wall clock between two steps
TICK = NS_PER_SECOND // 10
TIMEOUT = NS_PER_SECOND // 2
LATE = 400 * MS  # that a timer may come late on a busy machine


class SteppingClock(LiveClock):
    """A machine whose wall clock is put somewhere else now and then."""

    rng = random.Random(1)
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.offset = 0

    def now(self) -> int:
        if self.rng.randrange(EVERY) == 0:
            self.offset = self.rng.randrange(-6 * HOUR, 6 * HOUR)
            SteppingClock.steps += 1
        return super().now() + self.offset


def build_shim(folder: Path) -> Path:
    """Compile the library that makes another process's wall clock step; skips the test where that cannot be done."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler, which the stepping clock of another process needs")
    library = folder / "clock_steps.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"the stepping clock cannot be built here: {made.stderr[-300:]}")
    return library


class Watch:
    """What must not happen: a service declared dead, a time-out or a timer at the wrong time, an order twice."""

    def __init__(self, fault: Fault, world: service.World) -> None:
        self.fault = fault
        self.world = world
        self.board = HealthBoard()
        self.beats = 0
        self.shifted = 0  # of these, with a stamp that is more than a minute off
        self.silences: list[Any] = []
        self.waits: list[int] = []
        self.asked = 0
        self.fired = 0
        self.slips: list[int] = []
        self.answered: list[int] = []
        self.failed: list[Any] = []
        self._due = 0
        world.reader._on_heartbeat = self._on_beat
        # The service that is asked here is never there: each of these runs out of time, at its time.
        self.nobody = RpcClient(
            world.installation.endpoint("nobody", "rpc"), world.codec, source="watch", epoch=1,
            clock=world.clock, context=world.context,
        )  # fmt: skip
        self.nobody.attach(world.waiter)

    def start(self) -> None:
        self._due = self.world.clock.monotonic() + TICK
        self.world.clock.set_interval("watch", TICK, self._on_timer, catch_up=True)

    def _on_beat(self, beat: Heartbeat, now: int) -> None:
        self.beats += 1
        self.shifted += abs(beat.ts - time.time_ns()) > 60 * NS_PER_SECOND
        self.board.beat(beat, now)

    def _on_timer(self, _timer: Any) -> None:
        """An order, a question to nobody, and a look at the others; on a grid that no step may move."""
        now = self.world.clock.monotonic()
        self.fired += 1
        self.slips.append(now - self._due)
        self._due += TICK
        self.silences += [c for c in self.board.check(now) if c.now in (Health.STALE, Health.DEAD)]
        self.nobody.send("x", on_reply=self._on_silence, timeout=TIMEOUT)
        self.asked += 1
        number = self.asked

        def on_reply(outcome: Any) -> None:
            self.answered.append(number)
            if not getattr(outcome, "ok", False):
                self.failed.append(outcome)

        self.world.client.send(ORDER_SEND, service.request(number), on_reply=on_reply)

    def _on_silence(self, outcome: Any) -> None:
        assert isinstance(outcome, Unknown)
        self.waits.append(outcome.waited)

    def fill(self) -> None:
        """The venue fills what has come."""
        while len(self.world.fills) < len(self.world.venue):
            number = len(self.world.fills)
            self.world.fill(self.world.venue[number], number)

    def stop(self) -> None:
        self.world.clock.cancel_timer("watch")

    def settled(self) -> bool:
        self.fill()
        return (
            len(self.world.fills) == self.asked
            and not self.world.outbox.waiting
            and len(self.waits) == self.asked
        )


def test_f20_the_wall_clock_steps(
    chaos: Chaos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    must_hold = {
        **NOTHING_LOST_OR_DOUBLED,
        "the OMS's clock steps too": lambda fault: fault.notes["of these with a wrong stamp"] > 0,
        "nothing declared stale or dead": lambda fault: not fault.notes["silences"],
        "nothing expires early": lambda fault: fault.notes["shortest wait (ms)"] >= TIMEOUT // MS,
        "nothing expires late": lambda fault: (
            fault.notes["longest wait (ms)"] <= (TIMEOUT + LATE) // MS
        ),
        "timers keep their grid": lambda fault: (
            0 <= fault.notes["timers: worst slip (ms)"] <= LATE // MS
        ),
    }
    with (
        chaos.fault(
            "F20", "the wall clock steps by hours (s)", runs=(4, 300), must_hold=must_hold
        ) as fault,
        tempfile.TemporaryDirectory(prefix="fx") as name,
    ):
        monkeypatch.setenv("LD_PRELOAD", str(build_shim(tmp_path)))
        monkeypatch.setenv("CLOCK_STEPS_SEED", str(fault.seed))
        monkeypatch.setenv("CLOCK_STEPS_EVERY", str(EVERY))
        SteppingClock.rng = fault.rng("steps")
        SteppingClock.steps = 0
        monkeypatch.setattr(service, "LiveClock", SteppingClock)
        world = service.World(Path(name))
        try:
            world.outbox.put(make_contract())
            world.start()
            run_stepping(fault, world)
        finally:
            world.close()


def run_stepping(fault: Fault, world: service.World) -> None:
    watch = Watch(fault, world)
    try:
        make_steps(fault, world, watch)
    finally:
        watch.nobody.close()


def make_steps(fault: Fault, world: service.World, watch: Watch) -> None:
    watch.start()
    for _ in fault.runs():
        end = world.clock.monotonic() + NS_PER_SECOND
        world.until(lambda: watch.fill() or world.clock.monotonic() >= end, 30)  # noqa: B023
    watch.stop()
    world.until(watch.settled, 30)
    last = world.seen[-1][0]
    world.until(lambda: len({number for number, _ in world.seen}) >= 4 * watch.asked, 30)
    numbers = [number for number, _ in world.seen]
    fault.lost += sum(b != a + 1 for a, b in itertools.pairwise(numbers))
    fault.lost += len(watch.failed) + watch.asked - len(watch.answered)
    ids = [order.vt_orderid for order in world.venue]
    fault.duplicated += len(ids) - len(set(ids)) + len(numbers) - len(set(numbers))
    assert world.ask(QUERY_ORDERS, HistoryQuery(active=True)).orders == ()
    fault.detected = SteppingClock.steps
    fault.notes |= {
        "orders": watch.asked,
        "events": last,
        "heartbeats": watch.beats,
        "of these with a wrong stamp": watch.shifted,
        "silences": [str(change) for change in watch.silences],
        "shortest wait (ms)": min(watch.waits) // MS,
        "longest wait (ms)": max(watch.waits) // MS,
        "timers": watch.fired,
        "timers: worst slip (ms)": max(watch.slips, key=abs) // MS,
        "failed": [str(outcome) for outcome in watch.failed[:3]],
    }
