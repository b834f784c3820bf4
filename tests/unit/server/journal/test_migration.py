"""From a file without a journal to one with it."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.backup import check_copy
from foxtrot.server.journal import Note
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery
from foxtrot.server.persistence_schema import APPLICATION_ID, SCHEMA_VERSION
from foxtrot.server.persistence_verify import verify_state


def make_v1(path: Path, orders: int = 4) -> None:
    """A file as version 1 left it: state without a journal."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE oms_state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
    for number in range(orders):
        status = (Status.NOTTRADED, Status.ALLTRADED, Status.CANCELLED, Status.UNKNOWN)[number % 4]
        traded = 1.0 if status is Status.ALLTRADED else 0.0
        order = OrderData(
            f"SIM.oms-{number}",
            "A.LOCAL",
            Direction.LONG,
            OrderType.LIMIT,
            1.0,
            status=status,
            traded=traded,
            strategy="trend",
            ts_init=number,
        )
        put(connection, f"orders/{order.vt_orderid}", order)
        if traded:
            trade = TradeData(
                f"SIM.t-{number}", order.vt_orderid, "A.LOCAL", Direction.LONG, 2.0, 1.0, number
            )
            put(connection, f"trades/{trade.vt_tradeid}", trade)
    put(connection, "counters/oms", orders)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.execute("COMMIT")
    connection.close()


def put(connection: sqlite3.Connection, key: str, data: object) -> None:
    text = msgspec.json.encode(data).decode()
    connection.execute("INSERT INTO oms_state VALUES (?, ?)", (key, text))


def version_and_tables(path: Path) -> tuple[int, set[str]]:
    connection = sqlite3.connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return version, {name for (name,) in names}
    finally:
        connection.close()


def test_an_older_file_is_copied_indexed_and_becomes_the_base(path: Path) -> None:
    make_v1(path)
    with SqlitePersistence(path) as db:
        assert [order.vt_orderid for order in db.load_active_orders()] == ["SIM.oms-0", "SIM.oms-3"]
        assert len(db.orders_page(PageQuery(strategy="trend")).items) == 4
        assert [trade.vt_tradeid for trade in db.load_fills("SIM.oms-1")] == ["SIM.t-1"]
        assert verify_state(db).ok
        db.commit([], [("control", Note("first"))])
        assert db.journal.head.seq == 1
        assert verify_state(db).ok
    backup = path.with_name("oms.db.v1.bak")
    assert version_and_tables(backup) == (1, {"oms_state"})
    assert backup.stat().st_mode & 0o077 == 0
    assert check_copy(backup).head.seq == 0
    assert not list(path.parent.glob("*.partial"))


def test_a_new_file_needs_no_copy(db: SqlitePersistence, path: Path) -> None:
    assert version_and_tables(path)[0] == SCHEMA_VERSION
    assert not list(path.parent.glob("*.bak"))


def test_a_row_that_cannot_be_read_leaves_the_old_schema(path: Path) -> None:
    make_v1(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE oms_state SET value = '[1]' WHERE key = 'orders/SIM.oms-2'")
    connection.close()
    with pytest.raises(PersistenceError, match=r"orders/SIM\.oms-2"):
        SqlitePersistence(path).connect()
    assert version_and_tables(path) == (1, {"oms_state"})


def test_no_room_for_the_copy_leaves_the_old_schema(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    make_v1(path)
    monkeypatch.setattr("foxtrot.server.persistence_schema.put_in_place", refuse)
    with pytest.raises(PersistenceError, match=r"copy before the migration.*No space"):
        SqlitePersistence(path).connect()
    assert version_and_tables(path) == (1, {"oms_state"})


MIGRATE = """
import sys
from foxtrot.server.persistence import SqlitePersistence
db = SqlitePersistence(sys.argv[1])
print("go", flush=True)
db.connect()
print("done", flush=True)
db.close()
"""


@pytest.mark.timeout(100)
def test_a_kill_in_the_migration_leaves_the_old_or_the_new_schema(tmp_path: Path) -> None:
    original = tmp_path / "v1.db"
    make_v1(original, 3_000)
    with SqlitePersistence(tmp_path / "new.db") as db:
        db.save("k", 1)
    new = version_and_tables(tmp_path / "new.db")
    rng = random.Random(7)
    seen = set()
    for number in range(6):
        path = tmp_path / f"{number}.db"
        path.write_bytes(original.read_bytes())
        command = [sys.executable, "-c", MIGRATE, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "go\n"
            time.sleep(rng.uniform(0.0, 0.12))
            child.send_signal(signal.SIGKILL)
        after = version_and_tables(path)
        assert after in ((1, {"oms_state"}), new)
        seen.add(after[0])
        with SqlitePersistence(path, lock_timeout=0) as db:
            assert len(db.load_active_orders()) == 1_500
            assert verify_state(db).ok
    assert seen
