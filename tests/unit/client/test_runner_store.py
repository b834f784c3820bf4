"""The file of one strategy: all or nothing, for one owner, and read back as it was written."""

from __future__ import annotations

import sqlite3

import pytest

from foxtrot.client.runner_store import RunnerStore, StoredStrategy, UnsentCommand, as_stored
from foxtrot.core.constants import Direction, OrderType
from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import CancelRequest, ModifyRequest, OrderRequest
from foxtrot.testing import make_order, make_trade


class Lock:
    """A lock that nobody else wants."""

    held = False

    def acquire(self, timeout: float) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False


ORDER = OrderRequest("A.LOCAL", Direction.LONG, OrderType.MARKET, 1.0, vt_orderid="SIM.s-1")


@pytest.fixture
def lock():
    return Lock()


def open_store(tmp_path, lock, strategy="s", birth=7):
    return RunnerStore(tmp_path / "s.db", strategy, birth, lock)


def test_a_new_file_begins_before_the_first_snapshot(tmp_path, lock) -> None:
    store = open_store(tmp_path, lock)
    stored, unsent = store.load()
    assert (stored.cursor, stored.mode, stored.user, unsent) == (-1, "RUNNING", b"", [])
    store.close()
    assert not lock.held


def test_what_was_committed_is_read_back(tmp_path, lock) -> None:
    store = open_store(tmp_path, lock)
    order, trade = make_order(), make_trade()
    stored = StoredStrategy(
        5,
        "PAUSED",
        "why",
        {"last_id": 3},
        b"\x81\xa1a\x01",
        True,
        [order, trade],
        {"eBar.A": 9},
        4,
        2,
        1,
        77,
        {"t": 99},
    )
    commands = [
        UnsentCommand(1, "order.send", "SIM.s-1", ORDER),
        UnsentCommand(2, "order.modify", "SIM.s-1", ModifyRequest("SIM.s-1", 2.0)),
        UnsentCommand(3, "order.cancel", "SIM.s-1", CancelRequest("SIM.s-1")),
    ]
    store.commit(stored, commands)
    store.commit(stored, [], [2])
    store.close()
    store = open_store(tmp_path, lock, birth=8)
    assert store.birth == 7
    assert store.load() == (stored, [commands[0], commands[2]])
    store.close()


def test_a_commit_that_fails_leaves_the_one_before(tmp_path, lock) -> None:
    store = open_store(tmp_path, lock)
    store.commit(StoredStrategy(1), [UnsentCommand(1, "order.send", "SIM.s-1", ORDER)])
    again = [UnsentCommand(1, "order.send", "SIM.s-1", ORDER)]
    with pytest.raises(PersistenceError, match="cannot be written"):
        store.commit(StoredStrategy(2), again)
    with pytest.raises(PersistenceError, match="cannot be written"):
        store.commit(StoredStrategy(3, view={"x": object()}))
    stored, unsent = store.load()
    assert (stored.cursor, len(unsent)) == (1, 1)
    store.close()
    with pytest.raises(PersistenceError, match="is closed"):
        store.load()


def test_a_file_of_another_strategy_or_version_or_kind_is_refused(tmp_path, lock) -> None:
    open_store(tmp_path, lock).close()
    with pytest.raises(PersistenceError, match="belongs to strategy 's', not 't'"):
        open_store(tmp_path, lock, "t")
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    db.close()
    with pytest.raises(PersistenceError, match="version 99"):
        open_store(tmp_path, lock)
    assert not lock.held
    (tmp_path / "s.db").write_bytes(b"no database" * 100)
    for companion in tmp_path.glob("s.db-*"):
        companion.unlink()
    with pytest.raises(PersistenceError, match="cannot be opened"):
        open_store(tmp_path, lock)


def test_a_torn_state_is_told(tmp_path, lock) -> None:
    store = open_store(tmp_path, lock)
    store.commit(StoredStrategy(1))
    store._db.execute("UPDATE state SET body = x'93'")
    with pytest.raises(PersistenceError, match="cannot be read"):
        store.load()
    store.close()


def test_a_command_is_the_same_to_the_byte_before_and_after() -> None:
    import msgspec

    request = OrderRequest("A.LOCAL", Direction.LONG, OrderType.MARKET, 1, vt_orderid="SIM.s-1")
    once = msgspec.msgpack.encode(as_stored(request))
    assert once != msgspec.msgpack.encode(request)
    assert once == msgspec.msgpack.encode(as_stored(as_stored(request)))
