"""The process whose disk loses power: boots, trades, is backed up, closes, several times over.

``python -m tests.chaos.power_child FOLDER SYNCHRONOUS BOOTS ORDERS``. After each commit has returned, the number of the
journal's last row is written to ``FOLDER/ack``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from foxtrot.server.backup import back_up
from foxtrot.server.persistence import SqlitePersistence
from tests.unit.server.journal.conftest import SECOND, Desk


class AcknowledgingDesk(Desk):
    """Tells when a step is durable."""

    ack = -1

    def step(self, rows: list[tuple[str, Any]], facts: list[tuple[str, Any]]) -> None:
        super().step(rows, facts)
        assert isinstance(self.db, SqlitePersistence)
        os.write(self.ack, f"{self.db.journal.head.seq}\n".encode())


def main(folder: Path, synchronous: str, boots: int, orders: int) -> None:
    db = SqlitePersistence(folder / "oms.db", anchor_every=16)
    desk = AcknowledgingDesk(db)
    desk.ack = os.open(folder / "ack", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for boot in range(boots):
        db.connect()
        if synchronous != "FULL":
            db._execute(f"PRAGMA synchronous = {synchronous}", (), "set-up")
        pages = (7, 20, 1_000)[boot % 3]
        db._execute(f"PRAGMA wal_autocheckpoint = {pages}", (), "set-up")
        db.save("counters/boot", boot + 1)
        if not boot:
            desk.open()
        desk.day(orders)
        if boot == 1:
            back_up(db, folder, desk.now * SECOND)
        if boot < boots - 1:
            db.close()
    os.close(desk.ack)
    os._exit(0)  # the last one is not closed


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
