"""The watch: what it makes of the supervisor's events and of silence, with a real frame and a made-up supervisor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foxtrot.app.installation import Installation
from foxtrot.app.process import DEGRADED, READY, ServiceProcess
from foxtrot.app.supervisor_link import ProcessInfo, SupervisorLink
from foxtrot.app.watch_service import EVENT_SERVICE, WatchService
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.messages import CONTROL_HALT, ControlReply, HaltRequest
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from tests.unit.app.supervised_world import FakeService, installation, short_folder
from tests.unit.app.test_watch_protocol import event

LIMIT = 20 * NS_PER_SECOND


class FakeLink(SupervisorLink):
    """A supervisor that runs what it is told; counts how often it was nudged."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self.nudges = 0
        self.known: dict[str, ProcessInfo] = {}

    def processes(self) -> dict[str, ProcessInfo]:
        return self.known

    def nudge(self) -> None:
        self.nudges += 1


class World:
    """A watch in this process, its supervisor's ends of the pipes, and children that it watches over."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.link = FakeLink()
        self.stdin, self.to_watch = os.pipe()
        self.from_watch, self.stdout = os.pipe()
        os.set_blocking(self.from_watch, False)
        self.children: list[subprocess.Popen[bytes]] = []
        self.process = ServiceProcess(installation, "watch", "watch", supervised=False)
        self.watch: WatchService

    def say(self, name: str, payload: str = "") -> None:
        os.write(self.to_watch, event(name, payload))

    def process_state(self, state: str, service: str = "oms", **fields: Any) -> None:
        words = "".join(f" {name}:{value}" for name, value in fields.items())
        self.say(f"PROCESS_STATE_{state}", f"processname:{service} groupname:{service}{words}")

    def heard(self) -> bytes:
        try:
            return os.read(self.from_watch, 65_536)
        except BlockingIOError:
            return b""

    def child(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.children.append(child)
        return child

    def run(self, begin: Callable[[], object], done: Callable[[], object]) -> bool:
        """Run the watch until a condition holds; returns whether it came to hold."""
        end = LiveClock().monotonic() + LIMIT
        met = []

        def look(_timer: object) -> None:
            if done():
                met.append(True)
                self.process.stop("met")
            elif LiveClock().monotonic() > end:
                self.process.stop("out of time")

        def start() -> None:
            self.watch = WatchService(
                self.process,
                self.installation,
                stdin=self.stdin,
                stdout=self.stdout,
                link=self.link,
            )
            self.watch._supervisor = os.getpid()  # its children are ours
            self.watch.start()
            self.process.io_clock.set_interval("test.look", 10_000_000, look)
            begin()

        self.process.run(start)
        return bool(met)

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()
        for fd in (self.stdin, self.to_watch, self.from_watch, self.stdout):
            os.close(fd)


@pytest.fixture
def world() -> Iterator[World]:
    with short_folder() as folder:
        made = World(installation(folder, "[watch]\ncrash_starts = 2\ndead_after = 3.1\n"))
        yield made
        made.close()


def halting(world: World) -> FakeService:
    answers = {CONTROL_HALT: (HaltRequest, lambda _: ControlReply("all trading is halted"))}
    return FakeService(world.installation, "oms", answers)


def test_it_asks_for_events_and_acknowledges_each(world: World) -> None:
    heard = b""

    def done() -> bool:
        nonlocal heard
        heard += world.heard()
        return heard.count(b"OK") == 2

    def begin() -> None:
        world.process_state("STARTING", from_state="STOPPED", tries=0)
        world.process_state("STARTING", "strategies", from_state="STOPPED", tries=0)

    assert world.run(begin, done)
    assert heard == b"READY\nRESULT 2\nOKREADY\nRESULT 2\nOKREADY\n"
    assert world.process.exit_code == 0


def test_it_ends_when_the_supervisor_is_gone(world: World) -> None:
    def begin() -> None:
        os.close(world.to_watch)
        world.to_watch = os.open(os.devnull, os.O_WRONLY)

    assert not world.run(begin, lambda: False)
    assert world.process.exit_code == 70


def test_a_line_that_is_no_event_ends_it(world: World) -> None:
    assert not world.run(lambda: os.write(world.to_watch, b"hello\n"), lambda: False)
    assert world.process.exit_code == 70


def test_a_crash_loop_halts_trading(world: World) -> None:
    with halting(world) as oms:

        def begin() -> None:
            for _ in range(2):
                world.process_state("EXITED", "strategies", from_state="RUNNING", expected=0, pid=9)
                world.process_state("STARTING", "strategies", from_state="EXITED", tries=0)

        assert world.run(begin, lambda: oms.asked and not world.watch._halt)

    ((method, request),) = oms.asked
    assert method == CONTROL_HALT
    assert request.reason == "strategies crashed and was started 2 times in 10 min"
    assert (request.strategy, request.cancel, request.flatten) == ("", False, False)


def test_starts_that_were_asked_for_are_no_crashes(world: World) -> None:
    with halting(world) as oms:

        def begin() -> None:
            for _ in range(5):
                world.process_state("STOPPED", "strategies", from_state="STOPPING", pid=9)
                world.process_state("STARTING", "strategies", from_state="STOPPED", tries=0)

        assert world.run(begin, lambda: world.watch._states.get("strategies") == "STARTING")

    assert oms.asked == []


def test_a_service_that_stays_down_halts_trading_and_is_told(world: World) -> None:
    with halting(world) as oms:
        begin = lambda: world.process_state("FATAL", "adapter-paper", from_state="BACKOFF")  # noqa: E731

        assert world.run(begin, lambda: oms.asked and world.process.state == DEGRADED)

    assert oms.asked[0][1].reason.startswith("adapter-paper does not stay up")


def test_the_halt_waits_for_an_oms_that_is_away(world: World, monkeypatch) -> None:
    monkeypatch.setattr("foxtrot.app.watch_service._HALT_NS", NS_PER_SECOND // 5)
    late: list[FakeService] = []

    def done() -> bool:
        unconfirmed = "has not confirmed the halt" in world.process.detail
        if not late and unconfirmed and world.watch._oms.counters["unknown"] >= 2:
            late.append(halting(world))
        return bool(late and late[0].asked and world.watch._halt == "")

    try:
        assert world.run(lambda: world.process_state("FATAL", from_state="BACKOFF"), done)
    finally:
        for oms in late:
            oms.close()


def test_the_supervisors_own_end_halts_nothing(world: World) -> None:
    with halting(world) as oms:

        def begin() -> None:
            world.say("SUPERVISOR_STATE_CHANGE_STOPPING")
            world.process_state("FATAL", from_state="BACKOFF")

        assert world.run(begin, lambda: world.watch._states.get("oms") == "FATAL")

    assert oms.asked == []


def test_a_program_of_somebody_elses_is_not_our_business(world: World) -> None:
    with halting(world) as oms:

        def begin() -> None:
            world.process_state("FATAL", "notebook", from_state="BACKOFF")
            world.process_state("STOPPED", from_state="STOPPING")

        assert world.run(begin, lambda: world.watch._states.get("oms") == "STOPPED")

    assert oms.asked == []
    assert world.process.detail == "met"


def test_a_process_that_beat_and_fell_silent_is_ended(world: World) -> None:
    child = world.child()

    def begin() -> None:
        world.process_state("RUNNING", "strategies", from_state="STARTING", pid=child.pid)

    def done() -> bool:
        pulse = world.watch.rules.pulses.get("strategies")
        if pulse is not None and not pulse.heard:
            beat = Heartbeat("strategies", 7, "READY", pid=child.pid)
            world.watch._on_heartbeat(beat, LiveClock().monotonic())
        return child.poll() is not None

    assert world.run(begin, done)
    assert child.returncode == -9


def test_the_end_of_a_process_has_the_supervisor_look_at_once(world: World) -> None:
    child = world.child()

    def done() -> bool:
        if "oms" in world.watch._handles:
            child.kill()
        return world.link.nudges >= 2

    begin = lambda: world.process_state("RUNNING", from_state="STARTING", pid=child.pid)  # noqa: E731

    assert world.run(begin, done)


def test_a_process_that_is_no_child_of_the_supervisor_is_never_touched(world: World) -> None:
    begin = lambda: world.process_state("RUNNING", from_state="STARTING", pid=os.getpid())  # noqa: E731

    assert world.run(begin, lambda: world.watch._states.get("oms") == "RUNNING")
    assert world.watch._handles == {}
    assert "oms" not in world.watch.rules.pulses


def test_what_ran_before_the_watch_is_learned_from_the_supervisor(world: World) -> None:
    child = world.child()
    world.link.known = {
        "oms": ProcessInfo("oms", "RUNNING", child.pid),
        "strategies": ProcessInfo("strategies", "FATAL"),
        "notebook": ProcessInfo("notebook", "RUNNING", 1),
    }

    assert world.run(lambda: None, lambda: "oms" in world.watch._handles)
    assert set(world.watch._states) == {"oms", "strategies"}


def test_what_becomes_of_a_process_is_published(world: World) -> None:
    told: list[tuple[str, Any]] = []
    world.process.publisher.publish = lambda topic, message, *_: told.append((topic, message))  # type: ignore[method-assign]

    begin = lambda: world.process_state("EXITED", from_state="RUNNING", expected=0, pid=12)  # noqa: E731

    assert world.run(begin, lambda: "oms" in world.watch._states)
    ((topic, status),) = [one for one in told if one[0].startswith(EVENT_SERVICE)]
    assert topic == "eService.oms"
    assert (status.service, status.state, status.pid) == ("oms", "EXITED", 12)
    assert status.detail == "ended unexpectedly"


def test_it_is_ready_where_all_is_well(world: World) -> None:
    states: list[str] = []

    def done() -> bool:
        states.append(world.process.state)
        return True

    assert world.run(lambda: None, done)
    assert states == [READY]
