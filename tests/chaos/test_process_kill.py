"""K: SIGKILL of each service under load; what stands in for the supervisor starts it at once.

Back in step is when the new process says READY, and when the first order is acknowledged that was decided, folded or
placed with it; both from the kill. How fast depends on the machine, so what a bare Python with the same
libraries takes to start is noted beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault, Run
from tests.chaos.installation_judge import judge, quiet
from tests.chaos.installation_world import ROLES, Spawned, configure, environment, short_folder

SERVICES = tuple(ROLES)
BARE = "import zmq, msgspec, sqlite3, logging, argparse"
TOGETHER = 80
"""Kills in one life of an installation; then its books are judged and a new one begins."""


class Killing:
    """Kills services of an installation and takes the time."""

    def __init__(self, world: Spawned, fault: Fault) -> None:
        self.world = world
        self.times: dict[str, list[float]] = fault.notes.setdefault("times", {})

    def kill(self, service: str, run: Run) -> None:
        """Kill a service at a random moment, and wait until it is back in step."""
        world, ear = self.world, self.world.ear
        ear.listen(run.rng.uniform(0.0, 0.3))
        before = ear.status(service, 5.0)
        assert before is not None, f"{service} does not answer\n{world.tail()}"
        ear.new.clear()
        killed = world.respawn(service)
        status: list[Any] = []

        def is_ready() -> bool:
            told = ear.status(service, 0.03)
            if told is not None and told.epoch > before.epoch and told.state == "READY":
                status[:] = [told]
            return bool(status)

        ready = ear.until(is_ready, 30, f"{service} READY\n{world.tail()}")
        started = time.monotonic() - (ear.clock.now() - status[0].started) / 1e9
        ear.until(
            lambda: ear.acknowledged_since(started), 30, f"an order after {service}\n{world.tail()}"
        )
        acknowledged = ear.acknowledged_since(started)
        assert acknowledged is not None
        in_step = max(ready, acknowledged) if service != "recorder" else ready
        self.times.setdefault(service, []).append(in_step - killed)
        self.times.setdefault("bare start", []).append(bare_start())


def bare_start() -> float:
    """Seconds that Python takes to start and load the libraries that every service needs."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE], env=environment(), check=True)
    return time.perf_counter() - start


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def sum_up(fault: Fault) -> None:
    """Put figures in the place of the single times."""
    times: dict[str, list[float]] = fault.notes.pop("times")
    for name, values in times.items():
        fault.notes[name] = {
            "kills": len(values),
            "p50": round(quantile(values, 0.5), 3),
            "p95": round(quantile(values, 0.95), 3),
            "max": round(max(values), 3),
        }
    fault.notes["load"] = round(os.getloadavg()[1], 1)


def is_quick(fault: Fault) -> bool:
    """Few kills say nothing of a 95th percentile: then only that each came back, which is waited for."""
    if fault.done < 50:
        return True
    return all(fault.notes[service]["p95"] < 1.0 for service in SERVICES)


def test_k_each_service_is_killed_under_load(chaos: Chaos) -> None:
    must_hold = {**NOTHING_LOST_OR_DOUBLED, "p95 < 1 s from the kill": is_quick}
    title = "SIGKILL of each service under load, started again at once"
    with chaos.fault("K", title, runs=(1, 200), must_hold=must_hold) as fault:
        runs = list(fault.runs())
        per_life = max(1, TOGETHER // len(SERVICES))
        for first in range(0, len(runs), per_life):
            with short_folder() as folder:
                live(fault, folder, runs[first : first + per_life])
        sum_up(fault)


def live(fault: Fault, folder: Path, runs: list[Run]) -> None:
    """One life of an installation: it comes up, is killed piece by piece, and is judged."""
    world = Spawned(configure(folder, pause=0.08))
    try:
        world.start_all()
        world.ear.until(lambda: len(world.ear.new) > 5, 30, f"orders\n{world.tail()}")
        killing = Killing(world, fault)
        for run in runs:
            for service in run.rng.sample(SERVICES, len(SERVICES)):
                killing.kill(service, run)
        told = quiet(world.ear)
        assert set(world.stop_all().values()) == {0}, world.tail()
        found = judge(world.installation, told)
        fault.lost += len(found.lost)
        fault.duplicated += len(found.doubled)
        assert not found.wrong, found
        fault.notes["facts"] = fault.notes.get("facts", 0) + len(told.facts)
        if found:
            pytest.fail(str(found))
    finally:
        world.close()
