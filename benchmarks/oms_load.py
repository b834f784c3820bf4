"""How long until the OMS is ready to reconcile, and how much memory that takes, as the database grows older.

Each measurement is a process of its own: it opens the database and loads the state (which proves it first), and reads
the same rows as plain SQLite would find and msgspec decode them. Databases of different age take turns.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from oms_desk import FILL, START, Desk, request_of
from oms_history import OPEN, TAIL, database

from foxtrot.core.clock import SimulatedClock
from foxtrot.core.objects import ContractData, OrderData, TradeData
from foxtrot.server.journal.codec import Fact

GOAL = 5.0
FLAT, SLACK_MB = 1.2, 1.0
"""Noise of resident memory: a fifth, and a megabyte."""

_STATE = (
    "SELECT key, value FROM oms_state WHERE key < 'orders/' "
    "OR (key > 'orders0' AND key < 'requests/') OR key > 'trades0'"
)
_OPEN_ORDERS = "SELECT s.value FROM active_orders a CROSS JOIN oms_state s ON s.key = 'orders/' || a.vt_orderid"
_THEIR_FILLS = (
    "SELECT s.value FROM active_orders a CROSS JOIN trade_index t INDEXED BY trade_by_order "
    "ON t.vt_orderid = a.vt_orderid CROSS JOIN oms_state s ON s.key = 'trades/' || t.vt_tradeid"
)
_LAST_FACTS = (
    "SELECT j.payload FROM active_orders a CROSS JOIN order_index i ON i.vt_orderid = a.vt_orderid "
    "CROSS JOIN journal j ON j.seq = i.seq"
)
_JOURNAL_TAIL = "SELECT payload FROM journal WHERE seq > (SELECT max(seq) FROM anchors)"


@dataclass(frozen=True, slots=True)
class Load:
    """ms, the best of the rounds; MB (10^6 bytes).

    ``cpu_ms`` is the part of ``load_ms`` that is no waiting. ``bare_proven_ms`` reads the rows that the OMS reads;
    ``bare_ms`` only those that it holds afterwards, without the facts by which they are proven. ``ratio`` is to the
    former, ``ratio_to_state`` to the latter.
    """

    history: int
    open_orders: int
    load_ms: float
    cpu_ms: float
    bare_ms: float
    bare_proven_ms: float
    ratio: float
    ratio_to_state: float
    memory_mb: float
    goal: float = GOAL

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio <= self.goal


def measure(histories: list[int], rounds: int) -> list[Load]:
    """Load each database in turn, so many times."""
    paths = {history: database(history) for history in histories}
    found: dict[int, list[dict[str, float]]] = {history: [] for history in histories}
    for number in range(rounds + 1):
        for history, path in paths.items():
            told = in_child("load", str(path))
            if number:  # the first fills the system's cache
                found[history].append(told)
    return [_figures(history, told) for history, told in found.items()]


@dataclass(frozen=True, slots=True)
class Memory:
    """MB (10^6 bytes) beyond what the program itself takes, and the goal: at most so much.

    Of a database with a past: after loading. Of a live OMS: after so many orders.
    """

    what: str
    orders: int
    memory_mb: float
    in_memory: int
    goal_mb: float

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return not self.goal_mb or self.memory_mb <= self.goal_mb


def measure_memory(histories: list[int], folder: Path, orders: int) -> list[Memory]:
    """What loading takes at each age, and what a live OMS takes while it deals with ``orders``."""
    found: list[Memory] = []
    for history in histories:
        path = str(database(history))
        taken = statistics.median(in_child("load", path)["memory"] for _ in range(3)) / 1e6
        goal = found[0].memory_mb * FLAT + SLACK_MB if found else 0.0
        found.append(Memory("loaded", history, round(taken, 1), OPEN, round(goal, 1)))
    told = in_child("live", str(folder / "live.db"), str(orders))
    quarter = (told["quarter"] - told["start"]) / 1e6
    for part, name in ((orders // 4, "quarter"), (orders, "whole")):
        taken = (told[name] - told["start"]) / 1e6
        goal = 0.0 if name == "quarter" else max(quarter * FLAT, quarter + 10 * SLACK_MB)
        remembered = int(told[f"{name}_remembered"])
        found.append(Memory("live", part, round(taken, 1), remembered, round(goal, 1)))
    return found


def _figures(history: int, told: list[dict[str, float]]) -> Load:
    best = {name: min(one[name] for one in told) for name in told[0]}
    return Load(
        history,
        OPEN,
        round(best["load"] * 1e3, 1),
        round(best["cpu"] * 1e3, 1),
        round(best["bare"] * 1e3, 1),
        round(best["bare_proven"] * 1e3, 1),
        round(best["load"] / best["bare_proven"], 2),
        round(best["load"] / best["bare"], 2),
        round(statistics.median(one["memory"] for one in told) / 1e6, 1),
    )


def in_child(what: str, *arguments: str) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    run = Path(__file__).with_name("oms.py")
    command = [sys.executable, str(run), "--child", what, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


# --- in the child -----------------------------------------------------------------------------------------


def load_once(name: str) -> dict[str, float]:
    """Seconds of loading and of the bare reads, and bytes of memory that loading takes and keeps."""
    path = Path(name)
    gc.collect()
    before = resident()
    began, worked = time.perf_counter(), time.process_time()
    desk = Desk(path)
    desk.oms.load_state()
    taken, worked = time.perf_counter() - began, time.process_time() - worked
    if len(desk.oms.orders.active) != OPEN:
        raise SystemExit(f"{path} has {len(desk.oms.orders.active)} open orders")
    memory = resident() - before
    desk.close()
    return {
        "load": taken,
        "cpu": worked,
        "bare": _timed_bare(path, proven=False),
        "bare_proven": _timed_bare(path, proven=True),
        "memory": memory,
    }


def _timed_bare(path: Path, *, proven: bool) -> float:
    """Open, SELECT by index, decode, close: once, as the OMS does."""
    order, trade = msgspec.json.Decoder(OrderData), msgspec.json.Decoder(TradeData)
    contract, other = msgspec.json.Decoder(ContractData), msgspec.json.Decoder()
    fact: Any = msgspec.msgpack.Decoder(Fact)
    began = time.perf_counter()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL").fetchone()
    kept: list[Any] = []
    for key, value in db.execute(_STATE).fetchall():
        kept.append((contract if key.startswith("contracts/") else other).decode(value))
    for sql, decoder in ((_OPEN_ORDERS, order), (_THEIR_FILLS, trade)):
        kept += [decoder.decode(value) for (value,) in db.execute(sql).fetchall()]
    if proven:
        for sql in (_LAST_FACTS, _JOURNAL_TAIL):
            kept += [fact.decode(value) for (value,) in db.execute(sql).fetchall()]
    taken = time.perf_counter() - began
    db.close()
    if len(kept) < OPEN + (TAIL if proven else 0):
        raise SystemExit(f"{path}: only {len(kept)} rows were read")
    return taken


def live_once(path: str, orders: str) -> dict[str, float]:
    """Bytes of memory of a live OMS: at the start, after a quarter of so many orders, and after all."""
    total = int(orders)
    clock = SimulatedClock(START)
    desk = Desk(Path(path), clock).open()
    desk.db._execute("PRAGMA synchronous = OFF", (), "benchmark")  # memory is the question
    told = {"start": float(resident())}
    for part, name in ((total // 4, "quarter"), (total, "whole")):
        for number in range(0 if name == "quarter" else total // 4, part, 50):
            desk.turn([request_of(number + place, FILL, "m") for place in range(50)])
            clock.ns += 1_000_000
        gc.collect()
        told[name] = float(resident())
        told[f"{name}_remembered"] = float(len(desk.oms.orders.orders))
    desk.close()
    return told


def resident() -> int:
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
