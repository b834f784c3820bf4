"""Databases of an OMS for tests of the application and the command line: a day's trading, and ways to spoil it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from foxtrot.server.journal import Note
from foxtrot.server.persistence import SqlitePersistence
from tests.unit.server.journal.conftest import Desk, sql

__all__ = ["FIRST_DAY", "make_database", "spoil_state", "sql", "trade_on"]

FIRST_DAY = 1_700_000_000_000_000_000
"""2023-11-14 22:13:20 UTC."""


def make_database(path: Path) -> Path:
    """A closed database with a day's orders, fills and positions."""
    database, mark = _made()
    path.write_bytes(database)
    path.with_name(f"{path.name}.hwm").write_bytes(mark)
    return path


@cache
def _made() -> tuple[bytes, bytes]:
    """The files of such a database: it and its mark."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "oms.db"
        with SqlitePersistence(path, lock_timeout=0, anchor_every=16) as db:
            desk = Desk(db)
            desk.now = FIRST_DAY
            desk.open()
            desk.hold("MSFT.NASDAQ", 5.0, 50.0)
            desk.day(10)
        return path.read_bytes(), path.with_name("oms.db.hwm").read_bytes()


def trade_on(path: Path, facts: int = 3) -> None:
    """Append some facts."""
    with SqlitePersistence(path, lock_timeout=0) as db:
        for number in range(facts):
            db.commit([], [("control", Note(f"later {number}", FIRST_DAY + 10**12 + number))])


def spoil_state(path: Path) -> None:
    """Change, drop and invent rows behind the back of the OMS."""
    for statement in (
        "UPDATE oms_state SET value = replace(value, 'PARTTRADED', 'ALLTRADED') WHERE key = 'orders/SIM.oms-2'",
        "UPDATE oms_state SET value = '[1' WHERE key = 'positions/SIM.AAPL.NASDAQ.NET'",
        "UPDATE oms_state SET value = replace(value, '[', '[7') WHERE key LIKE 'accounts/%'",
        "INSERT INTO oms_state VALUES ('orders/SIM.x', '[\"Order\",\"SIM.x\"]')",
        "DELETE FROM oms_state WHERE key = 'trades/SIM.t-1700000006'",
        "INSERT INTO active_orders VALUES ('SIM.oms-3')",
    ):
        sql(path, statement)
