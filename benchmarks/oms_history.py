"""Databases with a past: 1,000 open orders among as many closed ones as wanted, made by the OMS itself.

Invariants: every database ends 5,000 journal rows after its last anchor (the mean of what a start-up has to check), so
that they differ in age alone; the open orders lie evenly in the history, half of them filled in part. They are kept in
a folder outside the repository and made once; one that is not fit to be traded on is made anew.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from oms_desk import FILL, PART, REST, START, Desk, request_of

from foxtrot.core.clock import SimulatedClock
from foxtrot.core.objects import OrderRequest
from foxtrot.server.journal.journal import ANCHOR_EVERY
from foxtrot.server.persistence_sqlite import SCHEMA_VERSION, SqlitePersistence

OPEN = 1_000
TAIL = ANCHOR_EVERY // 2
EVERY_NS = 1_000_000
_TURN = 60


def cache_folder() -> Path:
    """Where the databases are kept between runs."""
    folder = Path(tempfile.gettempdir()) / f"foxtrot-bench-oms-{SCHEMA_VERSION}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def database(history: int) -> Path:
    """The database with so many closed orders; made where it is not there or not fit."""
    path = cache_folder() / f"history-{history}.db"
    done = path.with_suffix(".done")
    if done.exists() and _is_fit(path):
        return path
    for old in path.parent.glob(f"{path.stem}.*"):
        old.unlink()
    _make(path, history)
    done.touch()
    return path


def _is_fit(path: Path) -> bool:
    with SqlitePersistence(path) as db:
        return not db.problems()


def _make(path: Path, history: int) -> None:
    clock = SimulatedClock(START)
    desk = Desk(path, clock).open()
    for pragma in ("synchronous = OFF", "cache_size = -400000", "wal_autocheckpoint = 50000"):
        desk.db._execute(f"PRAGMA {pragma}", (), "benchmark")
    total = history + OPEN
    batch: list[OrderRequest] = []
    for number in range(total):
        batch.append(request_of(number, _fate(number, total), "h"))
        if len(batch) == _TURN or number == total - 1:
            desk.turn(batch)
            batch = []
            clock.ns = START + number * EVERY_NS
    _pad(desk, clock)
    desk.close()


def _fate(number: int, total: int) -> str:
    """Exactly ``OPEN`` of all orders stay open, evenly spread."""
    before, after = number * OPEN // total, (number + 1) * OPEN // total
    if before == after:
        return FILL
    return PART if after % 2 else REST


def _pad(desk: Desk, clock: SimulatedClock) -> None:
    """Let the venue amend open orders until the journal ends where it should."""
    orders = list(desk.oms.orders.active)
    journal = desk.db.journal
    wanted = (TAIL - journal.head.seq) % ANCHOR_EVERY
    for number in range(wanted):
        order = desk.oms.orders.active[orders[number % len(orders)]]
        clock.ns += EVERY_NS
        desk.venue.amend(order, 101.0 if number // len(orders) % 2 == 0 else 101.5)
        desk.event_engine.drain() if number % 50 == 0 or number == wanted - 1 else None
    desk.event_engine.drain()
    if len(orders) != OPEN or (journal.head.seq - TAIL) % ANCHOR_EVERY:
        raise SystemExit(f"{len(orders)} open orders, journal ends at {journal.head.seq}")
