"""Measure Foxtrot against a bare Python loop and write ``benchmarks/results.json``.

    python benchmarks/run.py                      # all workloads, best of 7 rounds
    python benchmarks/run.py --scale 0.1 --rounds 2 --only W1 W4

Ends with status 1 when fills or profits differ from the bare loop's. See docs/concepts/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from measure import DisagreementError, Measurement, measure, peak_of
from rich.console import Console
from rich.table import Table
from workloads import BY_NAME

RESULTS = Path(__file__).with_name("results.json")
TABLE_WIDTH = 140
"""The table is told in full also where the output is no terminal."""


def main() -> int:
    options = _options()
    if options.memory:
        sys.stdout.write(json.dumps({"peak_mb": peak_of(options.memory, options.scale)}) + "\n")
        return 0
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    measured: list[Measurement] = []
    for name in options.only or list(BY_NAME):
        with console.status(f"{name}: {BY_NAME[name].title}"):
            try:
                measured.append(measure(BY_NAME[name], options.scale, options.rounds))
            except DisagreementError as error:
                console.print(f"[bold red]WRONG[/] {error}")
                return 1
    console.print(_table(measured))
    told = [f"{m.name} {_verdict(m)}" for m in measured if m.goal]
    console.print("Ratio to the bare loop: " + " · ".join(told))
    options.output.write_text(json.dumps(_document(options, measured), indent=2) + "\n")
    console.print(f"Fills and profits equal the bare loop's. Written: {options.output}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the backtester.")
    parser.add_argument("--rounds", type=int, default=7, help="rounds; the best counts (7)")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the full size (1.0)")
    parser.add_argument("--only", nargs="+", choices=list(BY_NAME), help="some workloads alone")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where results are written")
    parser.add_argument("--memory", choices=list(BY_NAME), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or not options.scale > 0.0:
        parser.error("--rounds must be at least 1 and --scale positive")
    return options


def _table(measured: list[Measurement]) -> Table:
    table = Table(title="Backtest speed, best round", title_justify="left")
    table.add_column("")
    table.add_column("Workload")
    for heading in (
        "events/s",
        "ns/event",
        "µs/order",
        "of bare",
        "goal",
        "of floor",
        "fills",
        "P&L",
        "peak MB",
    ):
        table.add_column(heading, justify="right")
    for m in measured:
        style = "green" if m.met else "bold red"
        table.add_row(
            m.name,
            m.title,
            f"{m.events_per_s:,.0f}",
            f"{m.ns_per_event:,.0f}",
            f"{m.us_per_order:.1f}" if m.us_per_order is not None else "–",
            f"[{style}]{m.ratio:.3f}[/]",
            f"{m.goal:.2f}" if m.goal else "–",
            f"{m.ratio_to_floor:.2f}",
            f"{m.fills:,}",
            f"{m.pnl:,.2f}",
            f"{m.peak_mb:,.0f}",
        )
    return table


def _verdict(m: Measurement) -> str:
    word = "[green]met[/]" if m.met else "[bold red]missed[/]"
    return f"{m.ratio:.3f} (goal {m.goal:.2f} {word})"


def _document(options: argparse.Namespace, measured: list[Measurement]) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "rounds": options.rounds,
        "scale": options.scale,
        "benchmarks": {m.name: m.to_dict() for m in measured},
    }


if __name__ == "__main__":
    sys.exit(main())
