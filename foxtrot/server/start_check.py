"""May trading begin on this database? What must be proven before READY, in one call.

Checked are the file's header, the high-water mark, the journal's chain since the last anchor, the rows that trading
relies on against their seal (positions, accounts, contracts, control, counters, working orders and their fills), and
the working orders against their last facts. The work grows with what is open, not with the age of the database; the
rest of the history is for ``verify_state`` in the background.

Invariants: nothing is written; damage never raises but is told; a mark that is missing or unreadable says nothing of
the database (a loss of power may leave it so) and does not keep trading from beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from foxtrot.core.errors import PersistenceError
from foxtrot.server.persistence_lock import DatabaseInUseError
from foxtrot.server.persistence_sqlite import SqlitePersistence
from foxtrot.server.persistence_verify import verify_active

_NAMED = 5
"""How many wrong orders are told by name."""


def check_start(db: SqlitePersistence) -> list[str]:
    """Look at everything that must be right before trading begins.

    Args:
        db: the database; connected if it is not.

    Returns:
        The problems in words, each with the command that mends it; empty where trading may begin.

    Raises:
        DatabaseInUseError: another process owns the database.
    """
    checks: tuple[Callable[[SqlitePersistence], Iterator[str]], ...] = (
        _mark,
        _header,
        _tail,
        _sealed,
        _active,
    )
    problems: list[str] = []
    for check in checks:
        try:
            problems += check(db)
        except DatabaseInUseError:
            raise
        except PersistenceError as error:
            problems.append(str(error))
        if problems:
            break  # a tree that is damaged is not searched further
    return [_with_advice(db, problem) for problem in problems]


def _mark(db: SqlitePersistence) -> Iterator[str]:
    db.connect()
    mark = db.high_water
    if mark.refuses:
        yield mark.detail.partition("; restore")[0]


def _header(db: SqlitePersistence) -> Iterator[str]:
    """A mode of the file that it was not made with would let the next write destroy pages that are in use."""
    if db._execute("PRAGMA auto_vacuum", (), "reading of the file's header") != [(0,)]:
        yield "the file's header is damaged (auto_vacuum is on)"


def _tail(db: SqlitePersistence) -> Iterator[str]:
    report = db.verify_journal(full=False)
    if not report.ok and not db.high_water.refuses:
        yield f"the journal is broken at row {report.broken_seq}: {report.detail}"


def _sealed(db: SqlitePersistence) -> Iterator[str]:
    if problem := db.check_seal():
        yield problem


def _active(db: SqlitePersistence) -> Iterator[str]:
    wrong = verify_active(db)
    for difference in wrong[:_NAMED]:
        yield f"{difference.key}: {difference.detail}"
    if len(wrong) > _NAMED:
        yield f"{len(wrong) - _NAMED} more working orders are not what their last facts say"


def _with_advice(db: SqlitePersistence, problem: str) -> str:
    return (
        f"{db}: {problem}; do not trade on it: restore the newest backup with "
        f"`foxtrot oms restore <backup> --database {db}`"
    )
