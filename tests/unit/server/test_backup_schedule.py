"""Backups while the OMS trades: when they begin, how little they hold up, and what becomes of failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.errors import ConfigError, PersistenceError
from foxtrot.server import backup as module
from foxtrot.server.backup import (
    BackupReport,
    check_copy,
    drop_unfinished,
    list_backups,
    start_backup,
    taken_at,
)
from foxtrot.server.backup_schedule import BackupSchedule
from foxtrot.server.persistence import SqlitePersistence
from tests.unit.server.journal.conftest import Desk

HOUR = 3_600_000_000_000
NOW = 1_709_164_800_123_456_000


class Watched:
    """A schedule with what it told."""

    def __init__(self, db: SqlitePersistence, folder: Path, **options: Any) -> None:
        self.done: list[BackupReport] = []
        self.failed: list[Exception] = []
        self.schedule = BackupSchedule(
            db, folder, HOUR, on_done=self.done.append, on_failed=self.failed.append, **options
        )

    def finish(self, now: int) -> None:
        """Poll until the backup that runs is over."""
        pause = threading.Event()
        for _ in range(3_000):
            if not self.schedule.poll(now) and not self.schedule.running:
                return
            pause.wait(0.001)
        raise AssertionError("the backup does not end")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SqlitePersistence]:
    made = SqlitePersistence(tmp_path / "oms.db", lock_timeout=0)
    made.connect()
    yield made
    made.close()


@pytest.fixture
def desk(db: SqlitePersistence) -> Desk:
    made = Desk(db)
    made.open()
    made.day(20)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def test_the_first_is_due_at_once_and_the_next_after_the_interval(
    db: SqlitePersistence, desk: Desk, folder: Path
) -> None:
    watched = Watched(db, folder)
    assert watched.schedule.poll(NOW)
    watched.finish(NOW + 5)
    assert len(watched.done) == 1
    assert check_copy(watched.done[0].path).head == db.journal.head
    assert watched.schedule.due == NOW + HOUR
    assert not watched.schedule.poll(NOW + HOUR - 1)
    assert not watched.schedule.running
    watched.schedule.poll(NOW + HOUR)
    watched.finish(NOW + HOUR)
    assert list_backups(db.path, folder) == [report.path for report in watched.done]


def test_a_poll_copies_no_more_than_its_pages_and_trading_goes_on_between(
    db: SqlitePersistence, desk: Desk, folder: Path
) -> None:
    watched = Watched(db, folder, pages_per_step=2)
    polls = 0
    while watched.schedule.poll(NOW):
        polls += 1
        desk.day(1)
    assert polls >= 5
    head = db.journal.head
    desk.day(2)
    watched.finish(NOW)
    assert watched.done[0].head == head


def test_after_a_restart_the_next_is_due_by_the_newest_there_is(
    db: SqlitePersistence, folder: Path
) -> None:
    Watched(db, folder).finish(NOW)
    again = Watched(db, folder)
    assert not again.schedule.poll(NOW + 10)
    assert again.schedule.due == NOW + HOUR
    stepped_back = Watched(db, folder)
    assert not stepped_back.schedule.poll(NOW - 5 * HOUR)
    assert stepped_back.schedule.due == NOW - 4 * HOUR


def test_only_so_many_stay_and_those_of_another_database_are_left_alone(
    db: SqlitePersistence, folder: Path, tmp_path: Path
) -> None:
    watched = Watched(db, folder, keep=2)
    watched.finish(NOW)
    other = folder / "oms-2-20240101T000000.000000Z.bak"
    other.touch()
    for number in range(1, 4):
        watched.finish(NOW + number * HOUR)
    assert list_backups(db.path, folder) == [report.path for report in watched.done[-2:]]
    assert other.exists()


def test_a_failure_is_told_and_tried_again_later(
    db: SqlitePersistence, desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    watched = Watched(db, folder, retry_ns=60)
    monkeypatch.setattr(module, "put_in_place", refuse)
    watched.finish(NOW)
    assert str(watched.failed[0]).endswith("No space left on device")
    assert list(folder.iterdir()) == []
    assert not watched.schedule.poll(NOW + 59)
    monkeypatch.undo()
    desk.day(1)
    watched.finish(NOW + 60)
    assert len(watched.done) == 1


def test_a_folder_that_cannot_be_made_is_told(db: SqlitePersistence, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    watched = Watched(db, tmp_path / "file" / "backups")
    assert not watched.schedule.poll(NOW)
    assert isinstance(watched.failed[0], PersistenceError)
    assert watched.schedule.due is not None
    assert watched.schedule.due > NOW


def test_a_lost_connection_fails_the_backup_and_the_next_one_works(
    db: SqlitePersistence, desk: Desk, folder: Path
) -> None:
    watched = Watched(db, folder, pages_per_step=1, retry_ns=1)
    assert watched.schedule.poll(NOW)
    assert watched.schedule.poll(NOW)
    db._connection.give_up()
    watched.finish(NOW)
    assert "begin the backup anew" in str(watched.failed[0])
    db._connection.give_up()
    watched.finish(NOW + 1)
    assert len(watched.done) == 1


def test_nothing_is_copied_inside_a_transaction(
    db: SqlitePersistence, desk: Desk, folder: Path
) -> None:
    watched = Watched(db, folder, pages_per_step=1)
    with db.transaction():
        assert not watched.schedule.poll(NOW)
        assert not watched.schedule.running
    assert watched.schedule.poll(NOW)
    with db.transaction():
        assert watched.schedule.poll(NOW)
    watched.finish(NOW)
    assert (len(watched.done), watched.failed) == (1, [])


def test_closing_drops_what_is_unfinished(db: SqlitePersistence, desk: Desk, folder: Path) -> None:
    watched = Watched(db, folder, pages_per_step=1)
    assert watched.schedule.poll(NOW)
    watched.schedule.poll(NOW)
    watched.schedule.close()
    watched.schedule.close()
    assert not watched.schedule.poll(NOW + HOUR)
    assert list(folder.iterdir()) == []
    assert (watched.done, watched.failed) == ([], [])


def test_what_a_killed_backup_left_is_removed(
    db: SqlitePersistence, desk: Desk, folder: Path
) -> None:
    folder.mkdir()
    stale = folder / "oms-20240101T000000.000000Z.bak.partial"
    other = folder / "oms-2-20240101T000000.000000Z.bak.partial"
    stale.touch()
    other.touch()
    Watched(db, folder).finish(NOW)
    assert not stale.exists()
    assert other.exists()
    drop_unfinished(db.path, folder)


def test_the_name_of_a_copy_says_when_it_was_taken(db: SqlitePersistence, folder: Path) -> None:
    backup = start_backup(db, folder, NOW + 789).result()
    assert taken_at(backup.path) == NOW
    with pytest.raises(PersistenceError, match="does not say when"):
        taken_at(folder / "oms.db.v1.bak")


@pytest.mark.parametrize(
    "options", [{"every_ns": 0}, {"keep": -1}, {"pages_per_step": 0}], ids=lambda o: next(iter(o))
)
def test_numbers_out_of_range_are_refused(
    db: SqlitePersistence, folder: Path, options: dict[str, int]
) -> None:
    given = {"every_ns": HOUR, **options}
    with pytest.raises(ConfigError, match=f"{next(iter(options))} must be"):
        BackupSchedule(db, folder, **given, on_done=print, on_failed=print)  # type: ignore[arg-type]
