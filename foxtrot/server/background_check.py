"""The whole journal is read again while the OMS trades, a page at a time.

Start-up checks what came since the last anchor; all that is older is checked here, between batches of work.

Invariants: ``poll`` reads one page at most; a break is told once, and then nothing more is read; the database is never
written to.
"""

from __future__ import annotations

from collections.abc import Callable

from foxtrot.server.journal.verify import JournalReport, Verification
from foxtrot.server.persistence_sqlite import SqlitePersistence

__all__ = ["PAGE_ROWS", "BackgroundCheck"]

PAGE_ROWS = 50
"""Rows per page: less than a millisecond."""


class BackgroundCheck:
    """One check of the journal, from its beginning to where it ended when the check began.

    Args:
        db: the database; open while polled.
        on_break: is told, once, of a journal that is not as it was written.
        page: rows per ``poll``.

    Attributes:
        report: what was found so far; complete when ``done``.
    """

    def __init__(
        self,
        db: SqlitePersistence,
        on_break: Callable[[JournalReport], None],
        *,
        page: int = PAGE_ROWS,
    ) -> None:
        self._db = db
        self._on_break = on_break
        self._page = page
        self._check: Verification | None = None
        self.report = JournalReport()
        self.done = False

    def poll(self) -> bool:
        """Check a page; False when there is nothing left to check, then ``report`` tells the outcome.

        Raises:
            PersistenceError: the mark beside the database cannot be read.
        """
        if self.done:
            return False
        if self._check is None:
            self._check = self._db.verification(full=True, page=self._page)
        if self._check.step():
            return True
        self.report = self._check.report
        self.done = True
        self._check = None
        if not self.report.ok:
            self._on_break(self.report)
        return False

    def restart(self) -> None:
        """Begin anew with the next ``poll``; for a check at an interval. A break that was found stays found."""
        if self.report.ok:
            self.done = False
            self._check = None
