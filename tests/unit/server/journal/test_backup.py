"""Copies of a database in use, and their way back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.errors import PersistenceError
from foxtrot.server import backup as module
from foxtrot.server.backup import (
    OnlineBackup,
    back_up,
    check_copy,
    list_backups,
    restore,
    start_backup,
)
from foxtrot.server.journal import MarkState
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_lock import DatabaseInUseError
from foxtrot.server.persistence_verify import verify_state

NOW = 1_709_164_800_123_456_789


def content(path: Path) -> list[Any]:
    with SqlitePersistence(path) as db:
        assert verify_state(db).ok
        return [*db.load_prefix(""), *db.journal.read_all(0, 10_000)]


def test_a_copy_holds_what_the_database_holds(
    db: SqlitePersistence, desk: Any, path: Path, tmp_path: Path
) -> None:
    desk.day()
    report = back_up(db, tmp_path / "backups", NOW)
    assert report.path == tmp_path / "backups" / "oms-20240229T000000.123456Z.bak"
    assert report.head == db.journal.head
    assert report.size == report.path.stat().st_size
    assert report.path.stat().st_mode & 0o077 == 0
    assert sorted(report.path.parent.iterdir()) == [report.path]
    db.close()
    shutil.copy(report.path, tmp_path / "copy.db")
    assert content(tmp_path / "copy.db") == content(path)
    db.connect()


def test_trading_goes_on_between_the_steps_and_is_in_the_copy(
    db: SqlitePersistence, desk: Any, tmp_path: Path
) -> None:
    desk.day(40)
    backup = start_backup(db, tmp_path / "backups", NOW, pages=3)
    steps = 0
    while backup.step():
        steps += 1
        desk.day(1)
    head = db.journal.head
    desk.day(3)
    report = backup.result()
    assert steps > 5
    assert report.head == head
    assert backup.result() == report
    assert verify_state(db).ok


def test_no_step_is_made_inside_a_transaction(db: SqlitePersistence, tmp_path: Path) -> None:
    backup = start_backup(db, tmp_path, NOW, pages=1)
    with db.transaction(), pytest.raises(PersistenceError, match="inside a transaction"):
        backup.step()
    backup.abort()
    with pytest.raises(PersistenceError, match="it was aborted"):
        backup.result()
    assert not list(tmp_path.glob("oms-*"))


def test_a_lost_connection_ends_the_backup(
    db: SqlitePersistence, desk: Any, tmp_path: Path
) -> None:
    desk.day(20)
    backup = start_backup(db, tmp_path, NOW, pages=1)
    assert backup.step()
    db._connection.give_up()
    with pytest.raises(PersistenceError, match="begin the backup anew"):
        backup.step()
    assert db.journal.stored_head() == db.journal.head
    assert back_up(db, tmp_path, NOW).head == db.journal.head


def test_only_the_newest_copies_stay(db: SqlitePersistence, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    made = [back_up(db, folder, NOW + n * 1_000, keep=3).path for n in range(5)]
    assert list_backups(db.path, folder) == made[2:]
    with pytest.raises(PersistenceError, match="replaces nothing"):
        OnlineBackup(db, made[4]).result()


def test_a_copy_that_cannot_be_written_is_told(
    db: SqlitePersistence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "put_in_place", refuse)
    with pytest.raises(PersistenceError, match=r"backup failed.*No space"):
        back_up(db, tmp_path, NOW)


@pytest.fixture
def copy(db: SqlitePersistence, desk: Any, tmp_path: Path) -> Path:
    desk.day()
    made = back_up(db, tmp_path / "backups", NOW).path
    desk.day(2)
    db.close()
    return made


def test_a_restore_keeps_what_was_there_and_tells_what_is_lost(
    db: SqlitePersistence, copy: Path, path: Path
) -> None:
    damaged = path.read_bytes()
    report = restore(copy, path)
    assert report.marked == db.journal.head.seq > report.seq if db.connect() else True
    assert db.high_water.state is MarkState.MATCHED
    assert db.journal.head.seq == report.seq < report.marked
    assert path.with_name("oms.db.damaged-1").read_bytes() == damaged
    assert path.with_name("oms.db.hwm.damaged-1") in report.moved
    assert verify_state(db).ok
    db.close()
    assert restore(copy, path).moved[0].name.endswith(".damaged-2")


def test_a_restore_works_where_the_database_is_gone_or_garbage(copy: Path, path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    restore(copy, path)
    path.unlink()
    restore(copy, path)
    with SqlitePersistence(path) as db:
        assert verify_state(db).ok


def test_a_damaged_backup_is_refused_and_nothing_moved(copy: Path, path: Path) -> None:
    whole = copy.read_bytes()
    before = path.read_bytes()
    cases = {
        "broken at row|damaged": whole.replace(b"trend", b"trenb", 200),
        "damaged": whole[: len(whole) // 2],
        "not a database|damaged": b"garbage" * 500,
        "empty": b"",
    }
    for match, damaged in cases.items():
        copy.write_bytes(damaged)
        with pytest.raises(PersistenceError, match=match):
            restore(copy, path)
    with pytest.raises(PersistenceError, match="does not exist"):
        check_copy(copy.with_name("none.bak"))
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*damaged*"))


def test_a_database_in_use_is_not_restored(db: SqlitePersistence, copy: Path, path: Path) -> None:
    db.connect()
    with pytest.raises(DatabaseInUseError):
        restore(copy, path)


@pytest.mark.parametrize("fails_at", range(6))
def test_a_restore_that_was_cut_short_is_run_again(
    copy: Path, path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    calls: list[Path] = []
    real = Path.replace

    def die(self: Path, target: Path) -> Path:
        if len(calls) == fails_at:
            raise OSError(5, "power cut")
        calls.append(self)
        return real(self, target)

    path.with_name("oms.db-wal").touch()
    monkeypatch.setattr(Path, "replace", die)
    cut_short = True
    try:
        restore(copy, path)
        cut_short = False
    except PersistenceError as error:
        assert "power cut" in str(error) or "run it again" in str(error)
    monkeypatch.undo()
    assert cut_short == (fails_at < 5)
    if 1 <= fails_at < 5:
        with pytest.raises(PersistenceError, match="cut short; run it again"):
            SqlitePersistence(path, lock_timeout=0).connect()
    restore(copy, path)
    with SqlitePersistence(path, lock_timeout=0) as db:
        assert db.high_water.state is MarkState.MATCHED
        assert verify_state(db).ok
