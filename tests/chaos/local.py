"""An OMS in this process, on a file, with a venue that says what the test says; it can be left behind as by a kill."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from foxtrot.core.objects import ContractData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.testing import ScriptedAdapter
from tests.unit.server.oms_desk import Desk

DIGITS = {"USD": 2}


class TellingAdapter(ScriptedAdapter):
    """A scripted venue that answers questions about the account, where it was given an answer."""

    snapshots: ClassVar[bool] = True
    answer: VenueSnapshot | None = None

    def query_snapshot(self) -> None:
        if self.answer is not None:
            self.on_snapshot(self.answer)


class FileDesk(Desk):
    """``Desk`` on an SQLite file."""

    def __init__(self, path: Path, contracts: Iterable[ContractData], **options: Any) -> None:
        self.db = SqlitePersistence(path)
        options = {"digits": DIGITS, **options}
        super().__init__(self.db, contracts, **options)

    def tell(self, *reports: Any) -> None:
        """Have the venue report something, all at once."""
        for report in reports:
            self.put(report)
        self.drain()

    def put(self, report: Any) -> None:
        """Have the venue report something; it waits in the queue."""
        kind = type(report).__name__.removesuffix("Data").removeprefix("Venue").lower()
        getattr(self.venue, f"on_{kind}")(report)

    def die(self) -> None:
        """End as a killed process does: nothing is put in order, the kernel takes the lock and the file back."""
        self.db._connection.give_up()
        self.db.close()

    def rows(self) -> dict[str, Any]:
        """All rows that stand for state (not when a venue was last asked)."""
        rows = dict(self.db.load_prefix(""))
        return {key: row for key, row in rows.items() if not key.startswith("control/reconciled")}
