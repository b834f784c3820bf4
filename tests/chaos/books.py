"""A database with a day's trading in it, what is true of it, and the judgement of a copy that something happened to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import OrderData
from foxtrot.server.journal import Blocked, Counting, Halted, Resumed, all_facts
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery
from foxtrot.server.persistence_verify import verify_state
from foxtrot.server.start_check import check_start
from tests.unit.server.journal.conftest import Desk

COMPANIONS = ("", "-wal", "-shm", ".hwm", ".lock")
RELIED = ("accounts/", "contracts/", "control/", "counters/", "positions/")


def trade_a_day(db: SqlitePersistence, orders: int = 40) -> Desk:
    """Some of everything: accounts, contracts, positions, control, counters, orders of every state, fills."""
    desk = Desk(db)
    desk.open()
    desk.hold("ES.CME", 3.0, 4_000.0)
    control = [Halted("a test", 1, "mean"), Resumed("it went by", 2, "mean")]
    blocked = Blocked("SIM", "MSFT.NASDAQ", "mean", "a fill is missing", 3)
    desk.step([("control/halt/mean", control[1])], [("control", fact) for fact in control])
    desk.step([("control/block/SIM/MSFT.NASDAQ/mean", blocked)], [("control", blocked)])
    counting = Counting({"USD": 8}, 4)
    desk.step([("control/counting", counting)], [("control", counting)])
    db.save_many([("counters/boot", 3), ("counters/oms", 517)])
    desk.day(orders)
    return desk


@dataclass(frozen=True)
class Truth:
    """What a database says: what trading relies on, all rows, all facts, and history as pages show it."""

    relied: Any
    rows: dict[str, Any]
    facts: list[Any]
    pages: Any


def relied_on(db: SqlitePersistence) -> Any:
    """What an OMS loads before it is ready."""
    orders = db.load_active_orders()
    fills = {order.vt_orderid: db.load_fills(order.vt_orderid) for order in orders}
    return (
        orders,
        fills,
        db.load_active_fills(),
        [list(db.load_prefix(prefix)) for prefix in RELIED],
    )


def truth_of(db: SqlitePersistence) -> Truth:
    """Read a database wholly."""
    pages = [
        page(PageQuery(limit=1_000, strategy=strategy, vt_symbol=vt_symbol))
        for page in (db.orders_page, db.trades_page)
        for strategy in ("", "trend")
        for vt_symbol in ("", "ES.CME")
    ]
    return Truth(relied_on(db), dict(db.load_prefix("")), list(all_facts(db.journal)), pages)


def judge(path: Path, truth: Truth) -> str:
    """Open a copy as an OMS does, and say how its damage came out.

    ``refused`` (before READY), ``found`` (by the check in the background, or by a commit that failed), ``harmless``
    (nothing is different, also after trading on), or ``SILENT`` with what went unseen.
    """
    db = SqlitePersistence(path, lock_timeout=0)
    try:
        if check_start(db):
            return "refused"
        try:
            loaded = relied_on(db)
        except PersistenceError:
            return "refused"
        if loaded != truth.relied:
            return f"SILENT: traded on wrong rows: {first_difference(loaded, truth.relied)}"
        return _judge_history(db, truth)
    finally:
        db.close()


def _judge_history(db: SqlitePersistence, truth: Truth) -> str:
    try:
        if not verify_state(db).ok:
            return "found"
        found = truth_of(db)
        if found != truth:
            return f"SILENT: wrong history: {first_difference(found.rows, truth.rows)}"
        new = _trade_on(db)
        if not verify_state(db).ok:
            return "found"
        rows = dict(db.load_prefix(""))
    except PersistenceError:
        return "found"
    whole = [key for key in rows if key not in truth.rows] == new and all(
        rows[key] == truth.rows[key] for key in truth.rows
    )
    return "harmless" if whole else "SILENT: trading on it destroyed something"


def _trade_on(db: SqlitePersistence) -> list[str]:
    """Some orders more, in commits large enough to take new pages."""
    keys = []
    for start in range(0, 24, 8):
        rows, facts = [], []
        for number in range(start, start + 8):
            order = OrderData(
                f"SIM.zz-{number:02}",
                "ES.CME",
                Direction.LONG,
                OrderType.LIMIT,
                1.0,
                100.0,
                status=(Status.NOTTRADED, Status.CANCELLED)[number % 2],
                strategy="after",
                reason="x" * 200,
                ts_event=10**15 + number,
                ts_init=10**15 + number,
            )
            keys.append(f"orders/{order.vt_orderid}")
            rows.append((keys[-1], order))
            facts.append(("s/after", order))
        db.commit(rows, facts)
    return keys


def first_difference(found: Any, expected: Any) -> str:
    """For people: where two values part."""
    left, right = repr(found), repr(expected)
    place = next(
        (n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b),
        min(len(left), len(right)),
    )
    start = max(0, place - 60)
    return f"...{left[start : place + 60]}... instead of ...{right[start : place + 60]}..."


def files_of(path: Path) -> dict[str, bytes]:
    """A database with its companions, as the disk has them."""
    return {
        end: path.with_name(path.name + end).read_bytes()
        for end in ("", "-wal", ".hwm")
        if path.with_name(path.name + end).exists()
    }


def put(path: Path, files: dict[str, bytes]) -> None:
    """Make a database of these files, and nothing else of that name."""
    for end in COMPANIONS:
        path.with_name(path.name + end).unlink(missing_ok=True)
    for end, content in files.items():
        path.with_name(path.name + end).write_bytes(content)


def flipped(content: bytes, place: int) -> bytes:
    """The content with bit number ``place`` turned over."""
    copy = bytearray(content)
    copy[place // 8] ^= 1 << place % 8
    return bytes(copy)
