"""F9: a crash at each named point of an order's way, for each outcome at the venue.

One order is sent; the OMS dies at the point, and in a third of the runs once more while it reconciles. Its successor
reconciles; the client sends the request again under the same id, as one does that never heard of it. Then the venue has
had the order once at most, and both sides' books are the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foxtrot.core.constants import Status
from tests.chaos.desk import Desk, Nursery, nursery
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, MustHold, Run
from tests.chaos.judge import differences, judge_file
from tests.chaos.points import FOLD_PLACES, PLACES
from tests.chaos.venue import OUTCOMES

GRACE = 0.25
REPORTS = {"lost": "", "accepted": "O", "part": "OTo", "filled": "OToTo", "rejected": "O"}
"""The reports that an outcome makes: orders, fills (T), and orders (o) that say no more than the fill before."""

WAYS = [
    (outcome, [message, number, place])
    for outcome in OUTCOMES
    for message, reports in (("order", "C"), ("report", REPORTS[outcome]))
    for number, kind in enumerate(reports)
    for place in (PLACES[message] if kind.isupper() else ("before fold", "after fold"))
]
"""Every outcome with every point that an order with that outcome passes."""

LIMIT = 30.0
PRODUCT = 13
"""In a full run one of so many is made with the grace period and the haste that the product has by itself."""

MUST: MustHold = NOTHING_LOST_OR_DOUBLED | {
    "the final state equals the venue's": lambda fault: fault.notes["differences"] == [],
    "UNKNOWN is resolved within 30 s": lambda fault: fault.notes["slowest"] < LIMIT,
    "every point is reached": lambda fault: fault.notes["missed"] == [],
}


@pytest.fixture(scope="module")
def ward() -> Iterator[Nursery]:
    """One nursery for all of it."""
    with nursery() as one:
        yield one


def options_of(run: Run) -> dict[str, float]:
    """Quick, or as the product is by itself."""
    if run.number >= len(WAYS) and run.number % PRODUCT == 0:
        return {"interval": 30.0}
    return {"grace": GRACE, "haste": 0.1}


def crash(desk: Desk, run: Run, point: list[object], options: dict[str, float]) -> str:
    """Live up to the point; returns what of it was not reached."""
    desk.start(**options)
    desk.until(lambda: desk.loaded is not None)
    desk.settle()
    desk.kill()  # a life that ends at peace: the file is made, the next one has nothing to do
    desk.start(**options, point=point)
    desk.until(lambda: desk.loaded is not None)
    desk.settle()
    request = desk.client.request(least=2)
    desk.send("cOrder", request)
    missed = wait_for_death(desk)
    desk.hold_until = time.monotonic() + GRACE
    if run.rng.random() < 0.34:
        place = run.rng.choice(FOLD_PLACES)
        desk.start(**options, point=["snapshot", 0, place])
        missed += wait_for_death(desk)
    return missed


def wait_for_death(desk: Desk) -> str:
    """The OMS kills itself; where it does not, it is killed, and that is told."""
    end = time.monotonic() + 10.0
    while desk.pump(0.05):
        if time.monotonic() > end:
            desk.kill()
            return "it lives on; "
    desk.drain_dead()
    return ""


def finish(desk: Desk, options: dict[str, float]) -> tuple[list[str], float]:
    """The last life: reconcile, have the client send again, compare; returns differences and seconds of doubt."""
    desk.start(**options)
    start = time.monotonic()
    desk.until(lambda: desk.loaded is not None)
    state, _ = desk.settle(LIMIT)
    doubt = time.monotonic() - start
    apart = differences(desk, state)
    (request,) = desk.client.sent.values()
    for _ in range(2):
        desk.send("cOrder", request)
    state, more = desk.settle(LIMIT)
    desk.until(lambda: request.vt_orderid in desk.client.orders)
    if desk.venue.outcome != "lost":
        desk.until(lambda: caught_up(desk, request.vt_orderid))
    state, _ = desk.settle(LIMIT)
    desk.kill()
    return apart + differences(desk, state) + desk.errors, max(doubt, more)


def caught_up(desk: Desk, vt_orderid: str) -> bool:
    """Whether the client was told what the venue's last word is."""
    told, theirs = desk.client.orders[vt_orderid], desk.venue.orders.get(vt_orderid)
    if theirs is None:
        return told.status is Status.REJECTED
    return (told.status, told.traded) == (theirs.status, theirs.traded)


def test_f9_a_crash_at_any_point_neither_loses_nor_doubles_an_order(
    chaos: Chaos, ward: Nursery, tmp_path: Path
) -> None:
    few = len(WAYS) // 3
    title = f"crash at each of {len(WAYS)} pairs of point and outcome at the venue"
    with chaos.fault("F9", title, runs=(few, 5 * len(WAYS)), must_hold=MUST) as fault:
        notes = fault.notes
        notes.update(differences=[], missed=[], slowest=0.0, slowest_quick=0.0)
        for run in fault.runs():
            # In few runs every third pair, so that each point and each outcome is there.
            way = run.number * 3 if fault.count == few else run.number
            outcome, point = WAYS[way % len(WAYS)]
            options = options_of(run)
            desk = Desk(ward, tmp_path / f"{run.number}.db", run.rng, outcome)
            desk.repeats = 0.0
            missed = crash(desk, run, point, options)
            if missed:
                notes["missed"].append(f"{outcome} {point}: {missed}")
            apart, doubt = finish(desk, options)
            notes["differences"] += [f"{outcome} {point}: {one}" for one in apart]
            notes["slowest"] = max(notes["slowest"], round(doubt, 2))
            if "grace" in options:
                notes["slowest_quick"] = max(notes["slowest_quick"], round(doubt, 2))
            found = judge_file(desk)
            fault.lost += len(found.lost)
            fault.duplicated += len(found.doubled)
            notes["differences"] += found.lost + found.doubled + found.wrong
