"""F27: HALT in a burst of orders; and a service whose standard output nobody reads any more."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from foxtrot.bus.messages import (
    CONTROL_HALT,
    CONTROL_RESUME,
    STRATEGY_CONTROL,
    HaltRequest,
    ResumeRequest,
    StrategyControl,
)
from tests.chaos.harness import Chaos, Fault
from tests.chaos.installation_world import (
    ROOT,
    Spawned,
    configure,
    environment,
    short_folder,
)

BURST = """
[[runners]]
name = "bursts"

[[runners.strategies]]
name = "burst"
path = "strategy.py:Burst"
vt_symbols = ["GOOG.NASDAQ"]
"""

LOUD = """
[[runners]]
name = "others"

[[runners.strategies]]
name = "odd"
path = "strategy.py:Odd"
vt_symbols = ["GOOG.NASDAQ"]
setting = {{ folder = "{folder}" }}
"""
GRACE = 0.1


def commands(world: Spawned) -> int:
    """Commands that have reached the venue so far."""
    told = world.ear.status("adapter-paper", 5.0)
    assert told is not None, world.tail()
    return told.counters.get("commands", 0)


def halt_in_a_burst(world: Spawned, fault: Fault) -> None:
    """Wait for a burst to be under way, halt, and watch the venue for what still comes."""
    ear = world.ear
    before = commands(world)
    while commands(world) - before < 3:
        ear.listen(0.005)
    asked = time.monotonic()
    reply = ear.ask("oms", CONTROL_HALT, HaltRequest("a test"), 10.0)
    acknowledged = time.monotonic()
    assert reply is not None, world.tail()
    ear.listen(GRACE)
    then = commands(world)
    last, seen, end = acknowledged, then, time.monotonic() + 0.6
    while time.monotonic() < end:
        if (now := commands(world)) != seen:
            seen, last = now, time.monotonic()
        ear.listen(0.01)
    fault.duplicated += seen - then
    fault.detected += 1
    for name, seconds in (("acknowledged", acknowledged - asked), ("quiet", last - asked)):
        ms = round(seconds * 1_000, 1)
        fault.notes.setdefault(name, []).append(ms)
    assert ear.ask("oms", CONTROL_RESUME, ResumeRequest("go on"), 10.0) is not None


def test_f27_halt_in_a_burst(chaos: Chaos) -> None:
    must_hold = {"no order 100 ms after the acknowledgement": lambda fault: fault.duplicated == 0}
    with (
        chaos.fault("F27", "HALT in a burst of orders", runs=(3, 50), must_hold=must_hold) as fault,
        short_folder() as folder,
    ):
        world = Spawned(configure(folder, pause=0.4, more=BURST))
        try:
            world.start_all()
            world.ear.until(lambda: len(world.ear.new) > 20, 30, f"orders\n{world.tail()}")
            pause = StrategyControl("pause", "d")  # it cancels, too, which a halt lets pass
            assert world.ear.ask("strategies", STRATEGY_CONTROL, pause) is not None
            for run in fault.runs():
                world.ear.listen(run.rng.uniform(0.0, 0.5))
                halt_in_a_burst(world, fault)
            for name in ("acknowledged", "quiet"):
                times = sorted(fault.notes.pop(name))
                fault.notes[f"{name} ms"] = {"p50": times[len(times) // 2], "max": times[-1]}
            fault.notes["load"] = round(os.getloadavg()[0], 1)
            assert set(world.stop_all().values()) == {0}, world.tail()
        finally:
            world.close()


def test_log_to_a_closed_pipe(chaos: Chaos) -> None:
    """The reader of a service's output goes away while it logs without end: it works on, and logs to a file."""
    must_hold = {
        "a heartbeat at least each 3 s": lambda fault: fault.notes["longest silence"] < 3.0
    }
    title = "the reader of a service's output is gone"
    with (
        chaos.fault("log pipe", title, runs=(1, 10), must_hold=must_hold) as fault,
        short_folder() as folder,
    ):
        world = Spawned(configure(folder, pause=0.1, more=LOUD.format(folder=folder)))
        try:
            world.start_all()
            (folder / "loud").touch()
            for _run in fault.runs():
                silence, fallback = piped(world)
                fault.notes["longest silence"] = max(
                    fault.notes.get("longest silence", 0.0), round(silence, 2)
                )
                fault.detected += fallback
            assert fault.detected == fault.done, "the log does not go on in a file"
        finally:
            world.close()


def piped(world: Spawned) -> tuple[float, bool]:
    """Run the loud runner with a pipe, close its other end, and listen for heartbeats; then end it."""
    old = world.children["others"]
    old.terminate()
    old.wait(20)
    command = [sys.executable, "-m", "services.strategy", "--config", str(world.config)]
    child = world.children["others"] = subprocess.Popen(
        [*command, "--name", "others"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    log = Path(tempfile.gettempdir()) / f"foxtrot-{child.pid}.log"
    try:
        world.ear.until(lambda: world.ear.state("others") == "READY", 30, "others")
        assert child.stdout is not None
        child.stdout.close()
        longest, end = 0.0, time.monotonic() + 3.0
        while time.monotonic() < end:
            world.ear.listen(0.05)
            longest = max(longest, time.monotonic() - world.ear.beats["others"][1])
        child.terminate()
        assert child.wait(20) == 0
        return longest, "the log goes on here" in log.read_text()
    finally:
        log.unlink(missing_ok=True)
