"""Disks that fail, and processes that die in the middle."""

from __future__ import annotations

import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.errors import PersistenceError
from foxtrot.server.journal import MarkState, Note
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_verify import verify_state


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    """The kernel itself refuses to write further: a real I/O error below SQLite."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_refuses_saves_nothing_and_all_goes_on_when_it_recovers(
    db: SqlitePersistence, desk: Any, path: Path
) -> None:
    desk.day()
    head, rows = db.journal.head, dict(db.load_prefix(""))
    wal = path.with_name("oms.db-wal").stat().st_size
    with no_file_may_grow_beyond(wal + 5_000):
        for _ in range(3):
            with pytest.raises(PersistenceError, match=r"disk is full|does not read or write"):
                db.commit([("big", "x" * 50_000)], [("a", Note("y" * 50_000))])
            assert db.journal.head == head
            assert dict(db.load_prefix("")) == rows
    assert verify_state(db).ok
    desk.day(3)
    assert verify_state(db).ok
    db.close()
    db.connect()
    assert db.high_water.state is MarkState.MATCHED
    assert verify_state(db).ok


class Failing:
    """A connection whose named statements fail."""

    def __init__(self, real: sqlite3.Connection, *words: str) -> None:
        self.real = real
        self.words = words

    def execute(self, sql: str, *parameters: Any) -> Any:
        if sql.startswith(self.words):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return self.real.execute(sql, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def break_disk(db: SqlitePersistence, *words: str) -> None:
    db._connection._db = Failing(db._connection.handle(), *words)  # type: ignore[assignment]


def test_a_commit_that_fails_is_rolled_back(db: SqlitePersistence, desk: Any) -> None:
    desk.day(3)
    head = db.journal.head
    break_disk(db, "COMMIT")
    with pytest.raises(PersistenceError, match="does not read or write"):
        desk.step([("k", 1)], [("a", Note("x"))])
    assert db.journal.head == head
    assert db.load("k") is None
    db._connection._db = db._connection.handle().real  # type: ignore[attr-defined]
    desk.step([("k", 1)], [("a", Note("x"))])
    assert verify_state(db).ok


def test_a_connection_that_cannot_roll_back_is_made_anew(
    db: SqlitePersistence, desk: Any, path: Path
) -> None:
    desk.day(3)
    head = db.journal.head
    break_disk(db, "COMMIT", "ROLLBACK")
    with pytest.raises(PersistenceError, match="does not read or write"):
        desk.step([("k", 1)], [("a", Note("x"))])
    assert not db._connection.is_open
    with pytest.raises(PersistenceError, match="in use"):
        SqlitePersistence(path, lock_timeout=0).connect()  # it is still ours
    assert db.load("k") is None
    assert db.journal.head == head
    desk.day(2)
    assert verify_state(db).ok


def test_a_failed_commit_that_was_saved_after_all_is_noticed(
    db: SqlitePersistence, desk: Any
) -> None:
    head = db.journal.head

    class Lying(Failing):
        def execute(self, sql: str, *parameters: Any) -> Any:
            if sql == "COMMIT":
                self.real.execute(sql)
            return super().execute(sql, *parameters)

    db._connection._db = Lying(db._connection.handle(), "COMMIT")  # type: ignore[assignment]
    with pytest.raises(PersistenceError, match="does not read or write"):
        desk.step([("k", 1)], [("a", Note("x"))])
    assert db.journal.head == head
    db._connection.give_up()
    for _ in range(2):
        with pytest.raises(PersistenceError, match="was saved after all; start anew"):
            db.load("k")
    db.close()
    db.connect()
    assert db.journal.head.seq == head.seq + 1
    assert verify_state(db).ok


def test_a_write_ahead_log_that_is_damaged_is_never_silently_shorter(
    db: SqlitePersistence, desk: Any, path: Path, tmp_path: Path
) -> None:
    """As after a kill: what was committed lies in the log alone, which then loses or changes bytes."""
    desk.day()
    head = db.journal.head
    whole = {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal", ".hwm")}
    rng = random.Random(5)
    outcomes = {"refused": 0, "behind": 0, "whole": 0}
    for number in range(40):
        target = tmp_path / f"{number}.db"
        log = bytearray(whole["-wal"])
        if number % 4 == 0:
            del log[rng.randrange(len(log)) :]
        elif number % 4 == 1 and number < 4:
            log.clear()
        else:
            log[rng.randrange(len(log))] ^= 1 << rng.randrange(8)
        for end, content in (whole | {"-wal": bytes(log)}).items():
            target.with_name(target.name + end).write_bytes(content)
        store = SqlitePersistence(target, lock_timeout=0)
        try:
            store.connect()
            if store.high_water.refuses:
                outcomes["behind"] += 1
            else:
                assert store.journal.head == head
                assert verify_state(store).ok
                outcomes["whole"] += 1
        except PersistenceError:
            outcomes["refused"] += 1
        finally:
            store.close()
    assert outcomes["behind"] > 5, outcomes


STREAM = """
import random, sys
from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.objects import OrderData
from msgspec.structs import replace
from foxtrot.server.persistence import SqlitePersistence
db = SqlitePersistence(sys.argv[1], anchor_every=16)
rng = random.Random(int(sys.argv[2]))
number = int(sys.argv[3])
while True:
    size = rng.choice([1, 1, 2, 5, 20])
    rows, facts = [], []
    for n in range(number, number + size):
        order = OrderData(f"SIM.oms-{n}", "A.LOCAL", Direction.LONG, OrderType.LIMIT, 1.0, strategy=f"s{n % 3}")
        done = replace(order, status=rng.choice([Status.NOTTRADED, Status.CANCELLED]))
        rows.append((f"orders/{order.vt_orderid}", done))
        facts += [(f"s/{order.strategy}", order), (f"s/{order.strategy}", done)]
    db.commit(rows, facts)
    sys.stdout.write("".join(f"{n}\\n" for n in range(number, number + size)))
    sys.stdout.flush()
    number += size
"""


@pytest.mark.timeout(100)
def test_a_kill_at_any_moment_loses_no_acknowledged_fact(path: Path) -> None:
    rng = random.Random(20_240_301)
    acknowledged: set[str] = set()
    for seed in range(4):
        command = [sys.executable, "-c", STREAM, str(path), str(seed), str(1_000_000 * (seed + 1))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(rng.randint(1, 150)):
                acknowledged.add(child.stdout.readline().strip())
            child.send_signal(signal.SIGKILL)
            acknowledged.update(child.stdout.read().split("\n")[:-1])
        with SqlitePersistence(path, lock_timeout=0, anchor_every=16) as db:
            assert db.high_water.state is MarkState.MATCHED
            report = verify_state(db)
            assert report.ok, report
            known = {key.removeprefix("orders/SIM.oms-") for key in db.keys("orders/")}
        assert acknowledged <= known
    assert acknowledged
