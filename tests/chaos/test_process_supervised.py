"""Under a real supervisord: processes that stand still, logs that nobody reads, a supervisor that is killed.

F13 is SIGSTOP of each process, F14 a strategy that goes round for ever, F22 SIGKILL of supervisord. In an ordinary
test run one installation goes through all of them; in a full one each has its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from foxtrot.app.control_status import SILENT
from foxtrot.app.watch_host import is_running
from foxtrot.bus.messages import ServiceStatus
from tests.chaos.harness import Chaos, Fault
from tests.chaos.installation_supervised import OTHERS, Supervised, supervised
from tests.chaos.installation_world import Ear, configure, short_folder

SERVICES = ("recorder", "oms", "adapter-paper", "strategies")
IS_FULL = os.environ.get("FOXTROT_CHAOS") == "full"
LIMIT = 6.0
NOTICED = {"noticed within 6 s each time": lambda fault: max(fault.notes["seconds"]) <= LIMIT}


def stop(world: Supervised, services: tuple[str, ...]) -> dict[str, float]:
    """Stop processes until the watch has noticed and others run in their place; returns seconds to notice each."""
    ear, before = world.ear, world.pids()
    ear.until(partial(are_heard, world, services), 20, "the watch hears them")
    ear.events.clear()
    for service in services:
        world.kill(before[service], signal.SIGSTOP)
    stopped = time.monotonic()
    noticed: dict[str, float] = {}

    def all_noticed() -> bool:
        for _topic, message, at in ear.events:
            if isinstance(message, ServiceStatus) and message.state == "DEAD":
                noticed.setdefault(message.service, at - stopped)
        return set(noticed) >= set(services)

    ear.until(all_noticed, 15, f"the watch notices {services}: {world.log('watch')[-3_000:]}")
    for service in services:
        ear.until(partial(is_gone, before[service]), 5, f"{service} is ended")
    back(world, {service: before[service] for service in services})
    return noticed


def are_heard(world: Supervised, services: Iterable[str]) -> bool:
    """Whether the watch has had a heartbeat of each; who was never heard since its start is given a minute."""
    watch = world.ear.status("watch", 0.3)
    return watch is not None and all(f"age_ms {name}" in watch.counters for name in services)


def back(world: Supervised, before: dict[str, int]) -> None:
    for service, pid in before.items():
        again = partial(world.is_ready, service, pid)
        world.ear.until(again, 40, f"{service} is READY again")
    world.pids()


def f13_stopped(chaos: Chaos, world: Supervised) -> None:
    title = "SIGSTOP of each process: ended and started again by the watch"
    with chaos.fault("F13", title, runs=(1, 20), must_hold=NOTICED) as fault:
        for run in fault.runs():
            alone = SERVICES[run.number % 5 - 1 : run.number % 5]
            noticed = stop(world, alone or SERVICES)
            fault.detected += len(noticed)
            note(fault, noticed.values())
        fault.notes["longest"] = max(fault.notes["seconds"])


def note(fault: Fault, seconds: Iterable[float]) -> None:
    fault.notes.setdefault("seconds", []).extend(round(s, 2) for s in seconds)


def f13_continued(chaos: Chaos, world: Supervised) -> None:
    title = "SIGSTOP for 3.3 s, then SIGCONT: seen as stale, and the same process goes on"
    with chaos.fault("F13 SIGCONT", title, runs=(1, 10), must_hold=NOTICED) as fault:
        for run in fault.runs():
            service = ("oms", "adapter-paper", "strategies", "recorder")[run.number % 4]
            before = world.pids()
            world.ear.until(partial(are_heard, world, [service]), 10, service)
            world.kill(before[service], signal.SIGSTOP)
            stopped = time.monotonic()
            counter = f"age_ms {service}"

            def is_stale(name: str = counter) -> bool:
                watch = world.ear.status("watch", 0.3)
                return watch is not None and watch.counters.get(name, 0) >= 3_000

            note(fault, [world.ear.until(is_stale, 10, f"{service} is stale") - stopped])
            world.kill(before[service], signal.SIGCONT)
            world.ear.until(partial(world.is_ready, service), 10, f"{service} goes on")
            assert world.pids() == before
            fault.detected += 1


def f13_watch(chaos: Chaos, world: Supervised) -> None:
    title = "SIGSTOP of the watch and of supervisord: told by status, and they go on"
    with chaos.fault("F13 watch", title, runs=(1, 10), must_hold=NOTICED) as fault:
        for _run in fault.runs():
            watch, ear = world.pids()["watch"], world.ear
            world.kill(watch, signal.SIGSTOP)
            begin = time.monotonic()

            note(fault, [ear.until(partial(is_silent, world), 10, "status shows it") - begin])
            world.kill(watch, signal.SIGCONT)
            ear.until(lambda: world.is_ready("watch"), 10, "the watch goes on")

            supervisor = world.link.pid()
            world.kill(supervisor, signal.SIGSTOP)
            begin = time.monotonic()

            try:
                note(fault, [ear.until(partial(is_told, ear), 10, "the watch tells") - begin])
            finally:
                world.kill(supervisor, signal.SIGCONT)
            ear.until(lambda: world.is_ready("watch"), 10, "the watch is READY")
            fault.detected += 2


def is_silent(world: Supervised) -> bool:
    row = world.status().row("watch")
    return row is not None and row.state == SILENT


def is_told(ear: Ear) -> bool:
    told = ear.status("watch", 0.3)
    return told is not None and "supervisor is stopped" in told.detail


def f14_endless_loop(chaos: Chaos, world: Supervised) -> None:
    must_hold = NOTICED | {
        "the other runner trades on, no pause of 2 s": lambda f: f.notes["longest pause"] < 2.0
    }
    title = "an endless loop in a strategy"
    folder = world.installation.path.parent
    with chaos.fault("F14", title, runs=(1, 10), must_hold=must_hold) as fault:
        for _run in fault.runs():
            before, ear = world.pids(), world.ear
            ear.until(partial(world.is_ready, "others"), 20, "others")
            ear.until(partial(are_heard, world, ["others"]), 20, "the watch hears it")
            ear.events.clear()
            ear.new.clear()
            (folder / "stuck").touch()
            begin = time.monotonic()
            try:
                ear.until(partial(has_died, ear), 15, "noticed")
            finally:
                (folder / "stuck").unlink()
            noticed = next(event[2] for event in ear.events if is_dead(event))
            note(fault, [noticed - begin])
            moments = sorted([begin, *ear.new.values(), noticed])
            pause = max(after - before for before, after in pairwise(moments))
            fault.notes["longest pause"] = max(
                fault.notes.get("longest pause", 0.0), round(pause, 2)
            )
            back(world, {"others": before["others"]})
            after = world.pids()
            assert {n for n in before if before[n] != after[n]} == {"others"}
            fault.detected += 1


def has_died(ear: Ear) -> bool:
    return any(is_dead(event) for event in ear.events)


def is_dead(event: tuple[str, object, float]) -> bool:
    message = event[1]
    return (
        isinstance(message, ServiceStatus)
        and message.service == "others"
        and message.state == "DEAD"
    )


def log_unread(chaos: Chaos, world: Supervised) -> None:
    """Supervisord stands still while a service logs without end: its pipe is full within moments."""
    must_hold = {
        "a heartbeat at least each 3 s": lambda fault: fault.notes["longest silence"] < 3.0
    }
    seconds = 5.0 if IS_FULL else 2.5
    title = "supervisord stopped while a service logs without end"
    folder: Path = world.installation.path.parent
    with chaos.fault("log", title, runs=(1, 5), must_hold=must_hold) as fault:
        for _run in fault.runs():
            ear, before = world.ear, world.pids()
            ear.until(lambda: world.is_ready("others"), 20, "others")
            supervisor = world.link.pid()
            (folder / "loud").touch()
            world.kill(supervisor, signal.SIGSTOP)
            try:
                silence = longest_silence(world, "others", seconds)
            finally:
                (folder / "loud").unlink()
                world.kill(supervisor, signal.SIGCONT)
            fault.notes["longest silence"] = max(
                fault.notes.get("longest silence", 0.0), round(silence, 2)
            )
            ear.until(lambda: world.is_ready("others"), 20, "others")
            assert world.pids() == before
            fault.detected += "lines lost" in world.log("others")


def longest_silence(world: Supervised, service: str, seconds: float) -> float:
    """The longest time without a heartbeat of a service."""
    ear, end, longest = world.ear, time.monotonic() + seconds, 0.0
    while time.monotonic() < end:
        ear.listen(0.05)
        longest = max(longest, time.monotonic() - ear.beats[service][1])
    return longest


def f22_supervisor_killed(chaos: Chaos, world: Supervised) -> None:
    """SIGKILL of supervisord: its services end in order, and a new start takes over from them."""
    must_hold = {
        "no orphan at 10 s": lambda fault: max(fault.notes["seconds"]) <= 10.0,
        "never two OMS": lambda fault: fault.duplicated == 0,
        "nothing is killed, all end in order": lambda fault: fault.detected == fault.done,
    }
    with chaos.fault("F22", "SIGKILL of supervisord", runs=(1, 20), must_hold=must_hold) as fault:
        for run in fault.runs():
            before, supervisor = world.pids(), world.link.pid()
            world.ear.listen(run.rng.uniform(0.0, 1.0))
            world.kill(supervisor, signal.SIGKILL)
            killed = time.monotonic()
            if run.number % 2:  # half of the new starts come while the old services still end
                world.ear.listen(run.rng.uniform(0.0, 1.0))
            else:
                world.ear.until(partial(are_gone, before), 12, "orphans end")
                note(fault, [time.monotonic() - killed])
            world.up()
            after = world.pids()
            fault.duplicated += is_running(before["oms"]) or after["oms"] == before["oms"]
            if run.number % 2:
                world.ear.until(partial(are_gone, before), 12, "orphans end")
                note(fault, [time.monotonic() - killed])
            ended = [ended_in_order(before[service]) for service in SERVICES]
            fault.detected += all(ended)


def is_gone(pid: int) -> bool:
    return not is_running(pid)


def are_gone(pids: dict[str, int]) -> bool:
    return all(is_gone(pid) for pid in pids.values())


def ended_in_order(pid: int) -> bool:
    """Whether a service said its last word, in the file that its log goes to when nobody reads its pipe any more."""
    log = Path(tempfile.gettempdir()) / f"foxtrot-{pid}.log"
    return "the supervisor is gone" in (text := log.read_text()) and '"msg":"stopped"' in text


def k_killed(chaos: Chaos, world: Supervised) -> None:
    """SIGKILL of each service: supervisord, nudged by the watch, starts it again."""
    title = "SIGKILL of each service, started again by supervisord"
    with chaos.fault("K supervised", title, runs=(1, 10), must_hold={}) as fault:
        for run in fault.runs():
            for service in run.rng.sample(SERVICES, len(SERVICES)):
                world.ear.listen(run.rng.uniform(1.2, 2.0))  # it counts as started after a second
                before = world.pids()[service]
                world.kill(before, signal.SIGKILL)
                killed = time.monotonic()
                again = partial(world.is_ready, service, before)
                note(fault, [world.ear.until(again, 40, f"{service} is READY") - killed])
        times = sorted(fault.notes.pop("seconds"))
        fault.notes |= {"p50": times[len(times) // 2], "max": times[-1]}
        fault.notes["p95"] = times[int(len(times) * 0.95) - 1]
        fault.notes["load"] = round(os.getloadavg()[0], 1)


FAULTS: tuple[Callable[[Chaos, Supervised], None], ...] = (
    f13_stopped,
    f13_continued,
    f13_watch,
    f14_endless_loop,
    log_unread,
    f22_supervisor_killed,
)


@pytest.mark.parametrize(
    "faults",
    [pytest.param((f,), id=f.__name__) for f in (*FAULTS, k_killed)]
    if IS_FULL
    else [pytest.param(FAULTS, id="f13 f14 log f22")],
)
def test_processes_under_a_supervisor(
    chaos: Chaos, faults: tuple[Callable[[Chaos, Supervised], None], ...]
) -> None:
    with short_folder() as folder:
        config = configure(folder, pause=0.1, more=OTHERS.format(folder=folder))
        with supervised(config) as world:
            for fault in faults:
                with contextlib.suppress(pytest.skip.Exception):  # it has a result already
                    fault(chaos, world)
