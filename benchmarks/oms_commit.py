"""How many durable orders a second, beside what SQLite itself can do with the same rows?

Each order is three facts (accepted, filled, closed) with the state rows that go with them, committed in groups of 1, 10
and 100 orders. ``Persistence.commit`` encodes, chains and writes them; the bare variant is given the very same rows,
encoded beforehand, and writes them with ``executemany`` in transactions of the same size, on the same disk, under the
same pragmas. Both are measured in turns, and the ratio of the medians is printed: 1 would mean that the journal costs
nothing.

Two floors are printed: ``state+journal`` writes the rows of those two tables, ``all tables`` also those of the index
tables, which is what the file must hold.

Run: ``python benchmarks/oms_commit.py [--folder DIR] [--commits N]``.
"""

from __future__ import annotations

import argparse
import gc
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.persistence_schema import MIGRATIONS
from foxtrot.server.persistence_sqlite import SqlitePersistence

Group = tuple[list[tuple[str, Any]], list[tuple[str, Any]]]
Statements = list[tuple[str, list[tuple[Any, ...]]]]

GROUPS = (1, 10, 100)
GOALS = {1: 0.5, 10: 0.5, 100: 0.3}
ROUNDS = 5
_TABLES = {
    "journal": "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)",
    "oms_state": "INSERT OR REPLACE INTO oms_state VALUES (?, ?)",
    "order_index": "INSERT OR REPLACE INTO order_index VALUES (?, ?, ?, ?, ?, ?)",
    "trade_index": "INSERT OR REPLACE INTO trade_index VALUES (?, ?, ?, ?, ?, ?)",
}
_CORE = ("journal", "oms_state")


def group_of(first: int, size: int) -> Group:
    """Rows and facts of ``size`` orders, numbered from ``first`` on."""
    rows: list[tuple[str, Any]] = []
    facts: list[tuple[str, Any]] = []
    for number in range(first, first + size):
        vt_orderid, strategy = f"SIM.oms-{number}", f"s{number % 7}"
        ts = 1_700_000_000_000_000_000 + number * 1_000_000
        order = OrderData(
            vt_orderid,
            f"SYM{number % 50}.NASDAQ",
            Direction.LONG,
            OrderType.LIMIT,
            100.0,
            101.25,
            status=Status.NOTTRADED,
            strategy=strategy,
            ts_event=ts,
            ts_init=ts,
        )
        trade = TradeData(
            f"SIM.t-{number}",
            vt_orderid,
            order.vt_symbol,
            Direction.LONG,
            101.25,
            100.0,
            ts + 5,
            strategy=strategy,
        )
        closed = replace(order, status=Status.ALLTRADED, traded=100.0, average_price=101.25)
        stream = f"s/{strategy}"
        facts += [(stream, order), (stream, trade), (stream, closed)]
        rows += [
            (f"orders/{vt_orderid}", closed),
            (f"trades/{trade.vt_tradeid}", trade),
            (f"positions/SIM.{order.vt_symbol}.NET", (number, 5, 0, 0, 1, 0, 0, ts)),
            ("accounts/SIM.USD", (number, 0, 0, 0)),
        ]
    return rows, facts


def measure(work: list[Any], commit: Callable[[Any], None]) -> float:
    """Seconds per commit: the whole of ``work``, one commit an item."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for item in work:
            commit(item)
        return (time.perf_counter() - start) / len(work)
    finally:
        gc.enable()


def written(path: Path, groups: list[Group]) -> list[Statements]:
    """What ``commit`` writes for each group, by table, encoded: the work of the bare variant."""
    found: list[Statements] = []
    with SqlitePersistence(path) as db:
        seq = 0
        for rows, facts in groups:
            db.commit(rows, facts)
            last = db.journal.head.seq
            keys = list(dict(rows))
            marks = ", ".join("?" * len(keys))
            found.append([])
            for table, insert in _TABLES.items():
                where = f"key IN ({marks})" if table == "oms_state" else "seq > ?"
                values: tuple[Any, ...] = tuple(keys) if table == "oms_state" else (seq,)
                select = f"SELECT * FROM {table} WHERE {where}"  # noqa: S608 - constants
                found[-1].append((insert, db._execute(select, values, "benchmark")))
            seq = last
    return found


class Bare:
    """SQLite under the same pragmas, given encoded rows."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self.db.execute(f"PRAGMA {pragma}")
        for step in MIGRATIONS:
            for statement in step:
                if isinstance(statement, str):
                    self.db.execute(statement)

    def commit(self, statements: Statements) -> None:
        """One transaction."""
        self.db.execute("BEGIN IMMEDIATE")
        for insert, rows in statements:
            self.db.executemany(insert, rows)
        self.db.execute("COMMIT")


def one_round(folder: Path, groups: list[Group], name: str) -> tuple[float, float, float]:
    """Seconds per commit: ours, bare with all tables, bare with state and journal alone."""
    encoded = written(folder / f"{name}-encode.db", groups)
    core = [statements[: len(_CORE)] for statements in encoded]
    with SqlitePersistence(folder / f"{name}-ours.db") as db:
        db.connect()
        ours = measure(groups, lambda group: db.commit(*group))
    figures = [ours]
    for kind, work in (("all", encoded), ("core", core)):
        bare = Bare(folder / f"{name}-{kind}.db")
        figures.append(measure(work, bare.commit))
        bare.db.close()
    return figures[0], figures[1], figures[2]


def compare(folder: Path, size: int, commits: int) -> dict[str, float]:
    """Medians over the rounds for one size of groups: orders a second, and ratios to bare SQLite."""
    figures = []
    for number in range(ROUNDS):
        groups = [group_of(1 + size * n, size) for n in range(commits)]
        figures.append(one_round(folder, groups, f"{size}-{number}"))
    ours, whole, core = (statistics.median(column) for column in zip(*figures, strict=True))
    return {
        "orders_per_second": size / ours,
        "bare_orders_per_second": size / whole,
        "ratio_all_tables": whole / ours,
        "ratio_state_and_journal": core / ours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    parser.add_argument("--commits", type=int, default=200, help="commits per round")
    options = parser.parse_args()
    print("group  orders/s  bare orders/s  ratio (all tables)  ratio (state+journal)  goal")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for size in GROUPS:
            commits = max(20, options.commits // max(1, size // 10))
            found = compare(Path(folder), size, commits)
            print(
                f"{size:5}  {found['orders_per_second']:8.0f}  {found['bare_orders_per_second']:13.0f}  "
                f"{found['ratio_all_tables']:18.2f}  {found['ratio_state_and_journal']:21.2f}  {GOALS[size]:4}"
            )


if __name__ == "__main__":
    main()
