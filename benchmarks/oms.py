"""Measure what the OMS's promise costs and write ``benchmarks/results-oms.json``.

    python benchmarks/oms.py                 # about three minutes
    python benchmarks/oms.py --full          # up to a million historical orders; about half an hour at first
    python benchmarks/oms.py --only commits latency

Throughput beside bare SQLite, latency beside fsync, start-up beside the bare SELECT, memory beside a young database,
and the order path beside a stream of queries. Ends with status 1 when a goal is missed. Databases with a past are kept
in the system's folder for temporary files. See docs/concepts/durability_cost.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import oms_commits
import oms_latency
import oms_load
from oms_desk import LIVES
from oms_history import cache_folder, database
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results-oms.json")
PARTS = ("commits", "latency", "load", "memory", "queries")
TABLE_WIDTH = 140
TURNS = {1: 200, 10: 60, 100: 20}
CHILDREN: dict[str, Callable[..., dict[str, float]]] = {
    "load": oms_load.load_once,
    "live": oms_load.live_once,
    "send": oms_latency.send,
}


def main() -> int:
    options = _options()
    if options.child:
        return _child(*options.child)
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    found: dict[str, list[Any]] = {}
    scratch = None if options.folder is None else str(options.folder)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        for part in options.only or PARTS:
            with console.status(part):
                found[part] = _measure(part, options, Path(folder))
            console.print(_table(part, found[part]))
    options.output.write_text(json.dumps(_document(options, found), indent=2) + "\n")
    missed = [part for part, rows in found.items() if not all(_met(row) for row in rows)]
    console.print(f"Goals missed: {', '.join(missed) or 'none'}. Written: {options.output}")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the OMS on SQLite.")
    parser.add_argument("--full", action="store_true", help="a million historical orders")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (7)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each offered load (4)")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts alone")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where results are written")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or not options.seconds > 0.0:
        parser.error("--rounds must be at least 1 and --seconds positive")
    return options


def _child(what: str, *arguments: str) -> int:
    told = CHILDREN[what](*arguments)
    if told:
        sys.stdout.write(json.dumps(told) + "\n")
    return 0


def _measure(part: str, options: argparse.Namespace, folder: Path) -> list[Any]:
    ages = [1_000, 100_000, 1_000_000] if options.full else [1_000, 100_000]
    if part == "commits":
        return [
            oms_commits.measure(folder, life, size, TURNS[size], options.rounds)
            for life in LIVES
            for size in oms_commits.GROUPS
        ]
    if part == "latency":
        return [
            oms_latency.measure(folder / f"{life}-{rate}.db", life, rate, options.seconds)
            for life in LIVES
            for rate in oms_latency.RATES
        ]
    if part == "load":
        return list(oms_load.measure(ages, options.rounds))
    if part == "memory":
        return list(oms_load.measure_memory(ages, folder, 100_000 if options.full else 40_000))
    old = database(100_000)
    return [oms_latency.measure_queries(old, folder, options.seconds * options.rounds)]


def _met(row: Any) -> bool:
    return bool(getattr(row, "met", True))


def _table(part: str, rows: Sequence[Any]) -> Table:
    table = Table(title=part, title_justify="left")
    told = [asdict(row) for row in rows]
    for name in told[0]:
        table.add_column(name, justify="right")
    for row, values in zip(rows, told, strict=True):
        style = "" if _met(row) else "bold red"
        table.add_row(*(_text(value) for value in values.values()), style=style)
    return table


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000.0 else f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _document(options: argparse.Namespace, found: dict[str, list[Any]]) -> dict[str, Any]:
    known = json.loads(options.output.read_text()) if options.output.exists() else {}
    parts = known.get("benchmarks", {}) if options.only else {}
    for part, rows in found.items():
        parts[part] = [
            asdict(row) | ({"met": row.met} if hasattr(row, "met") else {}) for row in rows
        ]
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "full": options.full,
        "rounds": options.rounds,
        "histories": str(cache_folder().name),
        "benchmarks": parts,
    }


if __name__ == "__main__":
    sys.exit(main())
