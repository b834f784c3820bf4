"""Durable orders a second, beside bare SQLite that is given the very same rows.

The OMS's own statements are recorded in a run that is not timed. The bare variant replays them with ``executemany``,
one per statement and commit, in transactions of the same size, from prepared tuples, in a file of the same schema, on
the same disk, under the same pragmas: every row that the OMS must leave behind, and nothing that led to it. Both take
turns within each round; a round's ratio compares neighbours.

Invariants: both write the same transactions in the same order; afterwards both files hold the same rows.
"""

from __future__ import annotations

import gc
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oms_desk import LIVES, Desk, request_of

from foxtrot.core.objects import OrderRequest
from foxtrot.server.persistence_sqlite import SqlitePersistence

GROUPS = (1, 10, 100)
GOALS = {1: 0.5, 10: 0.5, 100: 0.3}
BLOCKS = 10
Statements = list[tuple[str, list[tuple[Any, ...]]]]
Group = Sequence[OrderRequest]


@dataclass(frozen=True, slots=True)
class Throughput:
    """One size of group; speeds are medians over the rounds, ``ratio`` the median of the rounds' ratios."""

    life: str
    group: int
    orders_per_s: float
    bare_orders_per_s: float
    ratio: float
    goal: float
    commits_per_turn: float
    rows_per_order: float

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio >= self.goal


class Recorder:
    """Notes the writing statements of a database's connection, by transaction."""

    def __init__(self) -> None:
        self.transactions: list[Statements] = []
        self._open: Statements = []

    def attach(self, db: SqlitePersistence) -> None:
        """Listen to a connection from now on."""
        connection: Any = db._connection
        execute, execute_many = connection.execute, connection.execute_many

        def one(sql: str, parameters: tuple[Any, ...], action: str) -> Any:
            rows = execute(sql, parameters, action)
            if sql == "COMMIT":
                self.transactions.append(self._open)
                self._open = []
            elif sql.startswith(("INSERT", "UPDATE", "DELETE")):
                self._note(sql, [parameters])
            return rows

        def many(sql: str, rows: Sequence[tuple[Any, ...]], action: str) -> None:
            execute_many(sql, rows, action)
            self._note(sql, list(rows))

        connection.execute, connection.execute_many = one, many

    def _note(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        for known, noted in self._open:
            if known == sql:
                noted.extend(rows)
                return
        self._open.append((sql, rows))

    def take(self) -> list[Statements]:
        """The transactions since the last call."""
        taken, self.transactions = self.transactions, []
        return taken


class Bare:
    """SQLite under the same pragmas, given encoded rows; the schema is made by its owner beforehand."""

    def __init__(self, path: Path) -> None:
        with SqlitePersistence(path) as db:
            db.connect()
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self.db.execute(f"PRAGMA {pragma}")

    def commit(self, transactions: Iterable[Statements]) -> None:
        """Each in a transaction of its own."""
        for statements in transactions:
            self.db.execute("BEGIN IMMEDIATE")
            for sql, rows in statements:
                self.db.executemany(sql, rows)
            self.db.execute("COMMIT")


def measure(folder: Path, life: str, size: int, turns: int, rounds: int) -> Throughput:
    """Compare the OMS with bare SQLite at one size of group."""
    groups = [
        [request_of(size * turn + place, LIVES[life]) for place in range(size)]
        for turn in range(turns)
    ]
    before, written = _record(folder / f"{life}-{size}-record.db", groups)
    figures = []
    for number in range(rounds):
        name = f"{life}-{size}-{number}"
        figures.append(_round(folder, name, groups, before, written))
    ours = statistics.median(taken for taken, _ in figures)
    bare = statistics.median(taken for _, taken in figures)
    orders = size * turns
    rows = sum(len(rows) for turn in written for commit in turn for _, rows in commit)
    return Throughput(
        life,
        size,
        round(orders / ours, 1),
        round(orders / bare, 1),
        round(statistics.median(taken / mine for mine, taken in figures), 3),
        GOALS[size],
        round(sum(len(turn) for turn in written) / turns, 2),
        round(rows / orders, 2),
    )


def _record(path: Path, groups: Sequence[Group]) -> tuple[list[Statements], list[list[Statements]]]:
    """What the OMS writes to get ready, and in each turn."""
    recorder = Recorder()
    desk = Desk(path, tap=recorder.attach).open()
    before, written = recorder.take(), []
    for group in groups:
        desk.turn(group)
        written.append(recorder.take())
    desk.close()
    return before, written


def _round(
    folder: Path,
    name: str,
    groups: Sequence[Group],
    before: list[Statements],
    written: list[list[Statements]],
) -> tuple[float, float]:
    """Seconds of the OMS and of bare SQLite, block by block in turn."""
    desk, bare = Desk(folder / f"{name}-ours.db").open(), Bare(folder / f"{name}-bare.db")
    bare.commit(before)
    ours = theirs = 0.0
    step = max(1, len(groups) // BLOCKS)
    for start in range(0, len(groups), step):
        ours += _timed(desk.turn, groups[start : start + step])
        theirs += _timed(bare.commit, written[start : start + step])
    desk.close()
    bare.db.close()
    _check_same(folder / f"{name}-ours.db", folder / f"{name}-bare.db")
    return ours, theirs


def _timed(work: Callable[[Any], None], items: Sequence[Any]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        for item in items:
            work(item)
        return time.perf_counter() - began
    finally:
        gc.enable()


def _check_same(ours: Path, bare: Path) -> None:
    """Both wrote the same."""
    counts = []
    for path in (ours, bare):
        db = sqlite3.connect(path)
        counts.append(
            [
                db.execute("SELECT count(*), max(checksum) FROM journal").fetchone(),
                db.execute("SELECT count(*), max(value) FROM oms_state").fetchone(),
                db.execute("SELECT count(*) FROM order_index").fetchone(),
                db.execute("SELECT digest FROM state_seal").fetchone(),
            ]
        )
        db.close()
        path.unlink()
    if counts[0] != counts[1]:
        raise SystemExit(f"the two files differ, the figures mean nothing: {counts}")
