"""What keeps an OMS from beginning to trade, and the seal over the rows that it relies on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.constants import Status
from foxtrot.core.errors import PersistenceError
from foxtrot.server.backup import back_up
from foxtrot.server.journal import Note
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_lock import DatabaseInUseError
from foxtrot.server.persistence_verify import rebuild_state, verify_state
from foxtrot.server.start_check import check_start


def same_after_opening_again(db: SqlitePersistence) -> bool:
    """Whether the seal kept up to date is the one over what is in the file."""
    before = db._seal.digest
    db.close()
    db.connect()
    return check_start(db) == [] and db._seal.digest == before


def test_trading_may_begin_on_a_new_file_and_after_a_day(db: SqlitePersistence, desk: Any) -> None:
    with SqlitePersistence(db.path.with_name("new.db")) as new:
        assert check_start(new) == []
    desk.day()
    assert check_start(db) == []
    assert same_after_opening_again(db)


@pytest.mark.parametrize("seed", range(5))
def test_the_seal_follows_whatever_is_saved(db: SqlitePersistence, desk: Any, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(30):
        working = list(desk.orders.active)
        match rng.randrange(8):
            case 0 | 1:
                desk.order(strategy=rng.choice(["trend", "mean"]))
            case 2 | 3 if working:
                desk.fill(rng.choice(working), 1.0)
            case 4 if working:
                desk.report(rng.choice(working), rng.choice([Status.CANCELLED, Status.NOTTRADED]))
            case 5:
                db.save(f"counters/{rng.randrange(3)}", rng.random())
            case 6:
                db.delete(f"counters/{rng.randrange(3)}")
            case _:
                with pytest.raises(ZeroDivisionError), db.transaction():
                    db.save("counters/oms", 1)
                    desk.db.commit([("positions/lost", (1,))], [("a", Note("lost"))])
                    raise ZeroDivisionError
        assert db.check_seal() == ""
    assert same_after_opening_again(db)
    assert verify_state(db).ok


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE oms_state SET value = replace(value, '0', '1') WHERE key LIKE 'positions/%'",
        "UPDATE oms_state SET value = '[9,0,0,0,0,0,8]' WHERE key = 'accounts/SIM.USD'",
        "DELETE FROM oms_state WHERE key = 'contracts/ES.CME'",
        "INSERT INTO oms_state VALUES ('control/halt/', '[\"Resumed\"]')",
        "UPDATE oms_state SET key = 'positionz/x' WHERE key LIKE 'positions/%' AND key LIKE '%AAPL%'",
        "UPDATE oms_state SET value = x'00' WHERE key = 'accounts/SIM.USD'",
        "DELETE FROM active_orders WHERE vt_orderid = 'SIM.oms-1'",
        "INSERT INTO active_orders VALUES ('SIM.oms-3')",
        "DELETE FROM oms_state WHERE key LIKE 'trades/%' AND value LIKE '%SIM.oms-2\"%'",
        "DELETE FROM trade_index WHERE vt_orderid = 'SIM.oms-2'",
        "UPDATE state_seal SET digest = x'00112233445566778899aabbccddeeff'",
        "UPDATE state_seal SET digest = 'text'",
        "DELETE FROM state_seal",
    ],
)
def test_a_change_to_what_trading_relies_on_is_told(
    db: SqlitePersistence, desk: Any, tamper: Any, path: Path, statement: str
) -> None:
    desk.day()
    tamper(statement)
    (problem,) = check_start(db)
    assert "the rows that trading relies on" in problem
    assert f"`foxtrot oms restore <backup> --database {path}`" in problem


def test_damage_stays_visible_until_the_state_is_made_from_the_journal(
    db: SqlitePersistence, desk: Any, tamper: Any
) -> None:
    desk.day()
    tamper("UPDATE oms_state SET value = '[9,0,0,0,0,0,8]' WHERE key = 'accounts/SIM.USD'")
    db.save("counters/boot", 2)
    desk.order()
    assert check_start(db)
    db.close()
    db.connect()
    assert check_start(db)
    assert rebuild_state(db)
    assert check_start(db) == []
    assert same_after_opening_again(db)
    assert verify_state(db).ok


def test_a_counter_that_was_changed_is_found_by_the_whole_check_too(
    db: SqlitePersistence, desk: Any, tamper: Any
) -> None:
    db.save("counters/oms", 517)
    tamper("UPDATE oms_state SET value = '16' WHERE key = 'counters/oms'")
    assert check_start(db)
    (difference,) = verify_state(db).differences
    assert difference.key == "seal"


def test_the_journals_end_and_the_mark_are_looked_at(
    db: SqlitePersistence, desk: Any, tamper: Any
) -> None:
    desk.day()
    head = db.journal.head.seq
    tamper("UPDATE journal SET payload = x'00' WHERE seq = ?", head - 1)
    assert "the journal is broken" in check_start(db)[0]
    tamper("DELETE FROM journal WHERE seq = ?", head)
    (problem,) = check_start(db)
    assert f"row {head} was committed" in problem
    assert problem.count("restore") == 2  # the advice, once, with its command


def test_a_working_order_that_is_not_its_last_fact_is_named(
    db: SqlitePersistence, desk: Any
) -> None:
    order = desk.order()
    db.save(f"orders/{order.vt_orderid}", [1])  # sealed, and yet no fact says so
    (problem,) = check_start(db)
    assert order.vt_orderid in problem


def test_a_file_that_would_move_pages_is_refused(
    db: SqlitePersistence, desk: Any, path: Path
) -> None:
    db.close()
    content = bytearray(path.read_bytes())
    content[55] = 1  # largest root page: not 0 turns auto_vacuum on
    path.write_bytes(content)
    assert "auto_vacuum" in check_start(db)[0]


def test_what_is_no_database_is_told_and_an_owner_is_an_error(
    db: SqlitePersistence, desk: Any, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseInUseError):
        check_start(SqlitePersistence(db.path, lock_timeout=0))
    other = tmp_path / "other.db"
    other.write_bytes(b"no database at all, but long enough to be looked at" * 40)
    (problem,) = check_start(SqlitePersistence(other, lock_timeout=0))
    assert "no SQLite database" in problem


def test_names_that_are_no_text_are_damage(db: SqlitePersistence, desk: Any, path: Path) -> None:
    db.close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE anchors", b"CREATE TABLE \xc5nchors"))
    with pytest.raises(PersistenceError, match="restore it from a backup"):
        db.connect()


def test_a_copy_of_damaged_rows_is_no_backup(db: SqlitePersistence, desk: Any, tamper: Any) -> None:
    tamper("UPDATE oms_state SET value = '[9,0,0,0,0,0,8]' WHERE key = 'accounts/SIM.USD'")
    with pytest.raises(PersistenceError, match="not as they were written; use another backup"):
        back_up(db, db.path.parent, 1)
    assert not list(db.path.parent.glob("*.bak"))
