"""From a tick to its fill through real processes, beside a bare chain of the same hops; the bus's other figures, too.

    python benchmarks/chain.py                           # about two minutes; writes benchmarks/results-bus.json
    python benchmarks/chain.py --vnpy /venv/bin/python   # also vn.py's RPC, in an environment that has it
    python benchmarks/chain.py --only chain --rounds 3

The chain: the adapter's process publishes a tick, the strategy runner sends an order, the OMS makes it durable and
sends it on, the adapter accepts and fills it, the OMS makes that durable and publishes it, the strategy's ``on_trade``
is called. Measured is the time from the tick's making to that call. All chains are up all the time and get their bursts
in turn; a ratio is the median of the rounds' ratios. See docs/concepts/bus_speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import bus_pubsub
import zmq
from chain_runs import BARE, BARE_ONE, FOXTROT, Burst, Chain, chains
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results-bus.json")
PARTS = ("pubsub", "rpc", "chain")
RATES = (100, 1_000)
GOAL = 1.5
WIDTH = 150


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds of one chain at one rate.

    Ratios are of Foxtrot's to this chain's in the same round. Processor time is of all three processes. ``commits`` are
    of the strategy's file and the OMS's, for each order.
    """

    chain: str
    offered: int
    orders: int
    p50_ms: float
    p99_ms: float
    p50_ratio: float
    p99_ratio: float
    strategy_commits: float
    oms_commits: float
    processor_us: float
    processor_ratio: float
    processor_by_process_us: dict[str, float]


def main() -> int:
    options = _options()
    console = Console()
    console.width = max(console.width, WIDTH)
    found: dict[str, Any] = {}
    for part in options.only or PARTS:
        with console.status(part):
            found[part] = _measure(part, options)
        console.print(_table(part, found[part]))
    options.output.write_text(json.dumps(_document(options, found), indent=2) + "\n")
    missed = _missed(found)
    console.print(f"Goals missed: {', '.join(missed) or 'none'}. Written: {options.output}")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the bus and the chain of processes.")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (7)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each burst (1.5)")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts alone")
    parser.add_argument("--vnpy", default="", help="a Python that has vnpy, to measure its RPC")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where results are written")
    options = parser.parse_args()
    if options.rounds < 1 or not options.seconds > 0.0:
        parser.error("--rounds must be at least 1 and --seconds positive")
    return options


def _measure(part: str, options: argparse.Namespace) -> Any:
    if part == "pubsub":
        return _pubsub(options.rounds)
    if part == "rpc":
        command = [sys.executable, str(Path(__file__).with_name("bus_rpc.py"))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])
    scratch = None if options.folder is None else str(options.folder)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return _chain(Path(folder), options)


def _pubsub(rounds: int) -> dict[str, float]:
    """Messages a second of the best rounds, as ``bus_pubsub.py`` tells them."""
    best = dict.fromkeys(bus_pubsub.SENDERS, 0.0)
    for _ in range(min(rounds, 3)):
        for mode in best:
            best[mode] = max(best[mode], bus_pubsub.run_round(mode, 100_000))
    told = {f"{mode}_per_s": round(rate) for mode, rate in best.items()}
    return {**told, "ratio": round(best["typed"] / best["raw"], 3), "goal": bus_pubsub.GOAL}


# --- the chain --------------------------------------------------------------------------------------------


def _chain(folder: Path, options: argparse.Namespace) -> list[Row]:
    running = chains(folder, options.vnpy)
    bursts: dict[tuple[str, int], list[Burst]] = {}
    try:
        for chain in running.values():
            chain.ready()
        for number in range(options.rounds + 1):
            for rate in RATES:
                for name, chain in running.items():
                    burst = _burst(chain, rate, options.seconds if number else 0.5)
                    if number:  # the first warms up
                        bursts.setdefault((name, rate), []).append(burst)
    finally:
        for chain in running.values():
            chain.close()
    return [_row(name, rate, bursts) for rate in RATES for name in running]


def _burst(chain: Chain, rate: int, seconds: float) -> Burst:
    ticks = int(rate * seconds)
    burst = chain.burst(rate, ticks)
    chain.check()
    if len(burst.taken) != burst.ticks:
        raise SystemExit(f"{burst.ticks} ticks, but {len(burst.taken)} fills: {chain.logs()}")
    return burst


def _row(name: str, rate: int, bursts: dict[tuple[str, int], list[Burst]]) -> Row:
    mine, theirs = bursts[FOXTROT, rate], bursts[name, rate]
    orders = sum(burst.ticks for burst in theirs)
    processes = theirs[0].processor_ns
    return Row(
        name,
        rate,
        orders,
        round(median(_ms(burst, 0.5) for burst in theirs), 3),
        round(median(_ms(burst, 0.99) for burst in theirs), 3),
        _ratio([_ms(b, 0.5) for b in mine], [_ms(b, 0.5) for b in theirs]),
        _ratio([_ms(b, 0.99) for b in mine], [_ms(b, 0.99) for b in theirs]),
        round(sum(burst.commits.get("commits", 0) for burst in theirs) / orders, 2),
        round(sum(burst.commits.get("oms_commits", 0) for burst in theirs) / orders, 2),
        round(median(map(_processor, theirs)), 1),
        _ratio([_processor(b) for b in mine], [_processor(b) for b in theirs]),
        {
            process: round(sum(b.processor_ns[process] for b in theirs) / orders / 1e3, 1)
            for process in processes
        },
    )


def _ms(burst: Burst, part: float) -> float:
    taken = sorted(burst.taken)
    return taken[min(len(taken) - 1, int(len(taken) * part))] / 1e6


def _processor(burst: Burst) -> float:
    """Microseconds an order."""
    return sum(burst.processor_ns.values()) / burst.ticks / 1e3


def _ratio(mine: list[float], theirs: list[float]) -> float:
    pairs = zip(mine, theirs, strict=True)
    return round(median(one / other for one, other in pairs if other), 2)


# --- what is told -----------------------------------------------------------------------------------------


def _missed(found: dict[str, Any]) -> list[str]:
    missed = []
    if "pubsub" in found and found["pubsub"]["ratio"] < found["pubsub"]["goal"]:
        missed.append("pubsub")
    if "rpc" in found and found["rpc"]["ratio"] > found["rpc"]["goal"]:
        missed.append("rpc")
    rows = [row for row in found.get("chain", ()) if row.chain in (BARE, BARE_ONE)]
    slow = [row for row in rows if max(row.p50_ratio, row.p99_ratio) > GOAL]
    return missed + [f"chain at {row.offered}/s beside {row.chain}" for row in slow]


def _table(part: str, told: Any) -> Table:
    table = Table(title=part, title_justify="left")
    rows = [asdict(row) for row in told] if isinstance(told, list) else [told]
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    return table


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {number:.0f}" for name, number in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000.0 else f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _document(options: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    known = json.loads(options.output.read_text()) if options.output.exists() else {}
    parts = known.get("benchmarks", {}) if options.only else {}
    for part, told in found.items():
        parts[part] = [asdict(row) for row in told] if isinstance(told, list) else told
    return {
        "python": platform.python_version(),
        "pyzmq": zmq.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "rounds": options.rounds,
        "seconds": options.seconds,
        "chain_goal": GOAL,
        "benchmarks": parts,
    }


if __name__ == "__main__":
    sys.exit(main())
