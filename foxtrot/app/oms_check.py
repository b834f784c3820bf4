"""Is a database whole, and what an operator may do about it: verify, rebuild, accept.

Invariants: ``verify_database`` changes nothing but the schema of an older file; ``rebuild_database`` and
``accept_database`` leave a note in the journal, and the first keeps the file as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from foxtrot.app.oms_files import (
    check_file,
    command,
    is_copy,
    keep_as_it_is,
    newest_backup,
    opened,
    told_as_ours,
)
from foxtrot.app.oms_words import describe_mark
from foxtrot.core.clock import LiveClock
from foxtrot.core.errors import PersistenceError
from foxtrot.server.archive import CONTROL_STREAM
from foxtrot.server.backup import check_copy
from foxtrot.server.journal.facts import Note
from foxtrot.server.journal.high_water import HighWater, MarkState
from foxtrot.server.journal.verify import Break, JournalReport
from foxtrot.server.persistence_connection import DAMAGED
from foxtrot.server.persistence_lock import DatabaseInUseError
from foxtrot.server.persistence_sqlite import SqlitePersistence
from foxtrot.server.persistence_verify import StateReport, rebuild_state, verify_state
from foxtrot.server.rebuild import Difference
from foxtrot.server.start_check import check_start

__all__ = [
    "Confirm",
    "Rebuilding",
    "Tell",
    "Verified",
    "accept_database",
    "rebuild_database",
    "verify_database",
]

Tell = Callable[[str, int, int], None]
"""Is told what is being done, and journal rows done so far and in all (0: unknown)."""

Confirm = Callable[[Any], bool]
"""Is shown what would be done; says whether to do it."""

_MARK_BREAKS = frozenset({Break.HIGH_WATER, Break.REWRITTEN})


class Verified(msgspec.Struct, frozen=True):
    """What a check found, and what there is to mend it with.

    Attributes:
        path: the file.
        report: structure, journal and differences of the state; of a copy the state is not compared.
        high_water: the mark beside the database; None of a copy, or where the file cannot be read.
        size: bytes.
        backup: the newest backup in the usual folder.
        note: what opening the file changed, if anything.
    """

    path: Path
    report: StateReport
    high_water: HighWater | None = None
    size: int = 0
    backup: Path | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; an unknown mark is no fault."""
        return self.report.ok

    @property
    def only_state_differs(self) -> bool:
        """Whether file and journal are whole, so that a rebuild may mend the rest."""
        return not self.report.structure and self.report.journal.ok

    @property
    def only_mark_differs(self) -> bool:
        """Whether all that speaks against the journal is the mark, so that an operator may accept it."""
        return not self.report.structure and self.report.journal.reason in _MARK_BREAKS


class Rebuilding(msgspec.Struct, frozen=True):
    """What a rebuild changed; ``left`` is what the journal itself contradicts, ``kept`` the file as it was."""

    changed: list[Difference]
    left: tuple[Difference, ...] = ()
    kept: Path | None = None


def _nobody(_what: str, _done: int, _total: int) -> None:
    pass


def verify_database(path: Path, tell: Tell = _nobody) -> Verified:
    """Check structure, journal, high-water mark and state of a database; of a copy structure and journal.

    Raises:
        DatabaseInUseError: another process has it open.
        PersistenceError: it is no database of ours, or cannot be read.
    """
    if is_copy(path):
        return _verify_copy(path, tell)
    try:
        with opened(path) as (db, note):
            return _verified(path, db, note, tell)
    except DatabaseInUseError:
        raise
    except PersistenceError as error:
        if DAMAGED not in str(error):
            raise
        report = StateReport(JournalReport(), str(error))
        return Verified(path, report, backup=newest_backup(path))


def _verify_copy(path: Path, tell: Tell) -> Verified:
    with told_as_ours(path):
        check_file(path)
        tell("reading the copy", 0, 0)
        found = check_copy(path)
    journal = JournalReport(last=found.head.seq, rows=found.head.seq)
    return Verified(path, StateReport(journal), size=found.size)


def _verified(path: Path, db: SqlitePersistence, note: str, tell: Tell) -> Verified:
    total = db.journal.head.seq - db.journal.cut().seq
    tell("checking the structure of the file", 0, 0)

    def journal(rows: int) -> None:
        if rows < total:
            tell("checking the journal", rows, total)
        else:
            tell("comparing the state with the journal", 0, 0)

    report = verify_state(db, callback=journal)
    if report.ok:  # what makes an OMS refuse to start is a fault here, too
        problems = "; ".join(check_start(db))
        report = msgspec.structs.replace(report, structure=problems)
    size = db.path.stat().st_size
    return Verified(path, report, db.high_water, size, newest_backup(path), note)


def rebuild_database(
    path: Path, confirm: Confirm, tell: Tell = _nobody, *, folder: Path | None = None
) -> Rebuilding | None:
    """Make the state what the journal says; the file as it was is kept.

    Args:
        path: the database.
        confirm: is shown the differences (a ``Verified``).
        tell: is told how far it is.
        folder: where the copy of the file as it was goes; beside it by default.

    Returns:
        What was changed; None where ``confirm`` said no. Nothing is done, and nothing copied, where nothing differs.

    Raises:
        DatabaseInUseError: another process has it open.
        PersistenceError: the journal is not whole, or something cannot be written; the database is as it was.
    """
    with opened(path) as (db, note):
        found = _verified(path, db, note, tell)
        if not found.only_state_differs:
            raise PersistenceError(
                f"{path}: the state is made from the journal, and the journal or the file is not whole; "
                f"see `{command('verify', path)}`"
            )
        if found.ok:
            return Rebuilding([])
        if not confirm(found):
            return None
        tell("copying the file as it is", 0, 0)
        kept = keep_as_it_is(db, folder or path.parent)
        tell("rebuilding", 0, 0)
        changed = rebuild_state(db)
        tell("checking the result", 0, 0)
        left = verify_state(db).differences
        text = f"state was rebuilt from the journal by an operator: {len(changed)} rows changed"
        db.commit([], [(CONTROL_STREAM, Note(text, LiveClock().now()))])
        return Rebuilding(changed, left, kept)


def accept_database(path: Path, confirm: Confirm, tell: Tell = _nobody) -> HighWater | None:
    """Take the journal as it is, although the mark beside the database says otherwise: an operator's decision.

    Args:
        path: the database.
        confirm: is shown the mark (a ``HighWater``); not asked where there is nothing to accept.
        tell: is told how far the check of the journal is.

    Returns:
        The mark as it was found (MATCHED or FRESH: nothing was to do); None where ``confirm`` said no.

    Raises:
        DatabaseInUseError: another process has it open.
        PersistenceError: the journal is broken in itself, or the mark cannot be written.
    """
    with opened(path) as (db, _note):
        before = db.high_water
        if before.state in (MarkState.MATCHED, MarkState.FRESH):
            return before
        total = db.journal.head.seq - db.journal.cut().seq
        report = db.verify_journal(callback=lambda rows: tell("checking the journal", rows, total))
        if not report.ok and report.reason not in _MARK_BREAKS:
            mend = command("restore", newest_backup(path) or "BACKUP", "--database", path)
            raise PersistenceError(
                f"{path}: the journal is broken at row {report.broken_seq} ({report.detail}); that cannot be "
                f"accepted: {mend}"
            )
        if not confirm(before):
            return None
        db.accept_journal()
        text = f"an operator took the journal as it ended, at row {before.head}; the mark: {describe_mark(before)}"
        db.commit([], [(CONTROL_STREAM, Note(text, LiveClock().now()))])
        return before
