"""Interleaved rounds, the comparison of outcomes, and memory in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bare import Outcome
from runners import BARE, FLOOR, FOXTROT, MUTED, Bench, outcome_of
from workloads import BY_NAME, Workload

PNL_TOLERANCE = 1e-4
"""Currency; the bare loop adds floats, Foxtrot whole minor units."""


class DisagreementError(Exception):
    """Foxtrot and the bare loop came to different fills or profits: the figures mean nothing."""


@dataclass(slots=True)
class Measurement:
    """Figures of one workload.

    Attributes:
        name: the workload.
        title: what it does.
        events: bars or quotes.
        orders: orders sent.
        events_per_s: of Foxtrot; the best round, as all speeds here.
        ns_per_event: of Foxtrot.
        us_per_order: what an order costs from strategy to fill and log: the run less the same run without
            sending, per order; None without orders.
        ratio: speed as a fraction of the bare loop's.
        ratio_to_floor: speed as a fraction of the floor's.
        bare_events_per_s: of the bare loop.
        floor_events_per_s: of the floor.
        goal: least ratio wanted; 0 for none.
        fills: of the timed convention.
        pnl: of the timed convention, currency.
        conventions: fills and profit by convention, each equal to the bare loop's.
        peak_mb: peak resident memory of a process that does only this run, 10^6 bytes.
        log_sha256: digest of the order and trade log, the same in every round.
        rounds: seconds of each round by runner.
    """

    name: str
    title: str
    events: int
    orders: int
    events_per_s: float
    ns_per_event: float
    us_per_order: float | None
    ratio: float
    ratio_to_floor: float
    bare_events_per_s: float
    floor_events_per_s: float
    goal: float
    fills: int
    pnl: float
    conventions: dict[str, dict[str, float]]
    peak_mb: float
    log_sha256: str
    rounds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio >= self.goal

    def to_dict(self) -> dict[str, object]:
        """For the results file."""
        return {**asdict(self), "met": self.met}


def measure(workload: Workload, scale: float, rounds: int) -> Measurement:
    """Time all runners of a workload in turn, ``rounds`` times, and compare what they came to.

    Raises:
        DisagreementError: fills, profit or log digest differ.
    """
    peak_mb = _peak_in_child(workload.name, scale)
    bench = Bench(workload, scale)
    bench.prebuild()
    seconds: dict[str, list[float]] = {BARE: [], FLOOR: [], FOXTROT: [], MUTED: []}
    timed = workload.conventions[0]
    digests: set[str] = set()
    orders = 0
    for _ in range(rounds):
        taken, reference = bench.bare()
        seconds[BARE].append(taken)
        expected = reference.outcomes()
        taken, floored = bench.floor()
        seconds[FLOOR].append(taken)
        for convention, outcome in expected.items():
            _compare(f"{workload.name} floor", convention, floored.outcomes()[convention], outcome)
        taken, result = bench.foxtrot(timed)
        seconds[FOXTROT].append(taken)
        _compare(workload.name, timed, outcome_of(result), expected[timed])
        digests.add(result.log_sha256)
        orders = len(result.orders)
        del result
        if workload.muted is not None:
            taken, _ = bench.foxtrot(timed, muted=True)
            seconds[MUTED].append(taken)
    if len(digests) > 1:
        raise DisagreementError(f"{workload.name}: the log differs from run to run: {digests}")
    outcomes = {timed: expected[timed]}
    for convention in workload.conventions[1:]:
        _, result = bench.foxtrot(convention)
        _compare(workload.name, convention, outcome_of(result), expected[convention])
        outcomes[convention] = expected[convention]
    return _figures(bench, seconds, outcomes, orders, digests.pop(), peak_mb)


def _figures(
    bench: Bench,
    seconds: dict[str, list[float]],
    outcomes: dict[str, Outcome],
    orders: int,
    digest: str,
    peak_mb: float,
) -> Measurement:
    workload, events = bench.workload, bench.events
    best = {name: min(taken) for name, taken in seconds.items() if taken}
    ours = best[FOXTROT]
    outcome = outcomes[workload.conventions[0]]
    return Measurement(
        name=workload.name,
        title=workload.title,
        events=events,
        orders=orders,
        events_per_s=round(events / ours, 1),
        ns_per_event=round(ours / events * 1e9, 1),
        us_per_order=round((ours - best[MUTED]) / orders * 1e6, 2) if orders else None,
        ratio=round(best[BARE] / ours, 4),
        ratio_to_floor=round(best[FLOOR] / ours, 4),
        bare_events_per_s=round(events / best[BARE], 1),
        floor_events_per_s=round(events / best[FLOOR], 1),
        goal=workload.goal,
        fills=outcome.fills,
        pnl=round(outcome.pnl, 4),
        conventions={
            name: {"fills": told.fills, "pnl": round(told.pnl, 4)}
            for name, told in outcomes.items()
        },
        peak_mb=peak_mb,
        log_sha256=digest,
        rounds={name: [round(s, 4) for s in taken] for name, taken in seconds.items()},
    )


def _compare(name: str, convention: str, ours: Outcome, bare: Outcome) -> None:
    if ours.fills != bare.fills or abs(ours.pnl - bare.pnl) > PNL_TOLERANCE:
        raise DisagreementError(
            f"{name} ({convention}): {ours.fills} fills and a profit of {ours.pnl:.4f}, but the bare loop has "
            f"{bare.fills} and {bare.pnl:.4f}"
        )


# --- memory -----------------------------------------------------------------------------------------------


def _peak_in_child(name: str, scale: float) -> float:
    """Peak memory, 10^6 bytes, of a fresh process that runs the workload once."""
    run = Path(__file__).with_name("run.py")
    command = [sys.executable, str(run), "--memory", name, "--scale", str(scale)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["peak_mb"])


def peak_of(name: str, scale: float) -> float:
    """Run a workload once in this process and return its peak memory, 10^6 bytes."""
    workload = BY_NAME[name]
    Bench(workload, scale).foxtrot(workload.conventions[0])
    return round(_peak_kib() * 1024 / 1e6, 1)


def _peak_kib() -> int:
    """High-water mark of this program; ``ru_maxrss`` alone would take the parent's over across an exec."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
