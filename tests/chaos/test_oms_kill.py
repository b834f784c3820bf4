"""F7: an OMS process is killed at any moment under load; what it had acknowledged is there, once, and it recovers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.chaos.desk import Desk, Nursery, nursery
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault, MustHold
from tests.chaos.judge import differences, judge_file

GRACE = 0.25
"""Seconds after a kill before which the venue answers nothing: what was on the line has arrived by then."""

LIVES = 5
"""Kills that one database file goes through."""

RATE = 1_500
OPTIONS = {"grace": GRACE, "haste": 0.1}

CLEAN: MustHold = NOTHING_LOST_OR_DOUBLED | {
    "verify is clean every time": lambda fault: fault.notes["wrong"] == [],
    "the state converges to the venue's every time": lambda fault: fault.notes["differences"] == [],
    "at least 400 orders/s (full runs)": lambda fault: (
        fault.done < 100 or fault.notes["orders_per_second"] >= 400
    ),
}


@pytest.fixture(scope="module")
def ward() -> Iterator[Nursery]:
    """One nursery for all of it."""
    with nursery() as one:
        yield one


def live(desk: Desk, seconds: float, **options: object) -> tuple[int, float, list[str]]:
    """Start, trade, and be killed; returns acknowledged orders, the seconds that trading took, and what had not
    converged before it."""
    client = desk.client
    desk.start(**OPTIONS, **options)
    desk.until(lambda: desk.loaded is not None)
    state, _ = desk.settle()
    apart = differences(desk, state) + desk.errors
    desk.resend()
    before, start = len(client.orders), time.monotonic()
    desk.trade(seconds, RATE, to_the_word=desk.rng.random() < 0.5)
    took = time.monotonic() - start
    desk.kill()
    desk.hold_until = time.monotonic() + GRACE
    return len(client.orders) - before, took, apart


def fresh(ward: Nursery, folder: Path, number: int, rng: Random) -> Desk:
    for old in folder.glob("*"):
        old.unlink()
    return Desk(ward, folder / f"oms-{number}.db", rng)


def test_f7_what_was_acknowledged_survives_a_kill_once(
    chaos: Chaos, ward: Nursery, tmp_path: Path
) -> None:
    with chaos.fault(
        "F7", "SIGKILL of an OMS under load", runs=(6, 1_000), must_hold=CLEAN
    ) as fault:
        notes = fault.notes
        notes.update(wrong=[], differences=[], orders=0, fills=0, resolved=0)
        seconds = 0.0
        desk = fresh(ward, tmp_path, 0, fault.rng("first life"))
        for run in fault.runs():
            if run.number % LIVES == 0:
                desk = fresh(ward, tmp_path, run.number, run.rng)
            fills = len(desk.client.trades)
            orders, took, apart = live(desk, run.rng.uniform(0.0, 0.6))
            notes["orders"] += orders
            notes["fills"] += len(desk.client.trades) - fills
            notes["differences"] += apart[:3]
            notes["resolved"] += len(desk.loaded["unknown"]) if desk.loaded else 0
            seconds += took
            found = judge_file(desk)
            fault.lost += len(found.lost)
            fault.duplicated += len(found.doubled)
            notes["wrong"] += found.wrong[:3]
            if found:
                notes["wrong"].append(f"run {run.number}: {found}")
        notes["orders_per_second"] = round(notes["orders"] / seconds)


def count_broken(fault: Fault, ward: Nursery, folder: Path) -> None:
    for run in fault.runs():
        desk = fresh(ward, folder, run.number, run.rng)
        live(desk, run.rng.uniform(0.1, 0.3), ack_first=True)
        found = judge_file(desk)
        fault.lost += len(found.lost)
        fault.duplicated += len(found.doubled)
        fault.detected += bool(found.lost)


def test_f7_acknowledging_before_the_commit_is_found_out(
    chaos: Chaos, ward: Nursery, tmp_path: Path
) -> None:
    must_hold: MustHold = {"the same test fails": lambda fault: fault.detected > 0}
    with chaos.fault(
        "F7 ack before commit", "the same, wrong on purpose", runs=(8, 50), must_hold=must_hold
    ) as fault:
        count_broken(fault, ward, tmp_path)
