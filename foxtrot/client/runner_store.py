"""The own small file of one strategy in a runner: its state, its place in the order stream, and its outbox.

Invariants:

* One commit holds what a strategy has made of its events, how far it has read, and the commands that it decided;
  ``synchronous=FULL`` in WAL mode, so that it is on the disk when ``commit`` returns. Nothing is sent before.
* One process owns the file, by the lock that is handed in; only its owner can read it (mode 0600).
* A file that belongs to another strategy, or is of a later version, is refused and left as it is.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import CancelRequest, ModifyRequest, OrderData, OrderRequest, TradeData

__all__ = ["Command", "FileLock", "RunnerStore", "StoredStrategy", "UnsentCommand", "as_stored"]

VERSION = 1
_BUSY_MS = 5_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    cursor INTEGER NOT NULL,
    mode TEXT NOT NULL,
    error TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY,
    method TEXT NOT NULL,
    vt_orderid TEXT NOT NULL,
    body BLOB NOT NULL
);
"""
_PUT_STATE = "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?)"

Command = OrderRequest | ModifyRequest | CancelRequest


class UnsentCommand(NamedTuple):
    """A command that the OMS has not acknowledged: its number in this file, the method, and the order it is about."""

    number: int
    method: str
    vt_orderid: str
    body: Command


_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Command] = msgspec.msgpack.Decoder(Command).decode


def as_stored(command: Command) -> Command:
    """The command as it is read back: what is sent before and after a restart is the same to the byte.

    (A volume of ``1`` travels otherwise than one of ``1.0``.)
    """
    return _decode(_encode(command))


class FileLock(Protocol):
    """What keeps other processes out of a file."""

    def acquire(self, timeout: float) -> None:
        """Take the lock, waiting up to ``timeout`` seconds."""

    def release(self) -> None:
        """Let it go."""


class _Body(msgspec.Struct, array_like=True):
    """What of a strategy's state travels as one blob."""

    view: dict[str, Any]
    user: msgspec.Raw
    started: bool
    missed: list[OrderData | TradeData]
    marks: dict[str, int]
    handled: int
    number: int
    released: int = 0
    time: int = 0
    timers: dict[str, int] = {}


@dataclass(slots=True)
class StoredStrategy:
    """Everything that a strategy needs after a restart.

    Attributes:
        cursor: number of the last event of its order stream that was handled; -1 before its first snapshot.
        mode: what its owner wants of it: RUNNING, PAUSED, STOPPED, or ERROR where it failed.
        error: the traceback, where it failed.
        view: what ``StrategyHost.view`` returned; empty before the first commit.
        user: what its ``on_save`` returned, as msgpack; empty where it never did.
        started: whether its ``on_start`` has been called in some life before.
        missed: events that were folded while its hooks were not called.
        marks: of a paced replay: time of the last message that was handled (ns UTC), by topic.
        handled: of a paced replay: number of the last event that was handled.
        number: last number given to a command.
        released: of a paced replay: number of the last command that may have been sent.
        time: of a paced replay: what the strategy's clock showed (ns UTC).
        timers: of a paced replay: when each timer falls due next (ns UTC).
    """

    cursor: int = -1
    mode: str = "RUNNING"
    error: str = ""
    view: dict[str, Any] | None = None
    user: bytes = b""
    started: bool = False
    missed: list[OrderData | TradeData] | None = None
    marks: dict[str, int] | None = None
    handled: int = 0
    number: int = 0
    released: int = 0
    time: int = 0
    timers: dict[str, int] | None = None


class RunnerStore:
    """The file of one strategy.

    Args:
        path: the file; made where it is absent, in a folder that exists.
        strategy: whose it is.
        birth: a number that no earlier file of the strategy had (the process's epoch), kept in a new file.
        lock: keeps other processes out.
        lock_timeout: seconds to wait for a predecessor to let go.

    Attributes:
        birth: of the file; makes ids of requests unique even where an older file was lost.

    Raises:
        PersistenceError: the file cannot be used; ``DatabaseInUseError`` where another process holds it.
    """

    def __init__(
        self, path: Path, strategy: str, birth: int, lock: FileLock, lock_timeout: float = 30.0
    ) -> None:
        self.path = path
        self._strategy = strategy
        self._lock = lock
        self._db: sqlite3.Connection | None = None
        self._body = msgspec.msgpack.Decoder(_Body).decode
        lock.acquire(lock_timeout)
        try:
            self.birth = self._open(birth)
        except BaseException:
            self.close()
            raise

    def _open(self, birth: int) -> int:
        try:
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self.path.chmod(0o600)
            # The loop's thread is the only user; isolation_level None leaves transactions to us.
            db = sqlite3.connect(self.path, isolation_level=None, timeout=_BUSY_MS / 1000)
            self._db = db
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(_SCHEMA)
            db.execute("BEGIN IMMEDIATE")
            for key, value in (
                ("version", VERSION),
                ("strategy", self._strategy),
                ("birth", birth),
            ):
                db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, str(value)))
            db.execute("COMMIT")
            meta = dict(db.execute("SELECT key, value FROM meta"))
        except (sqlite3.Error, OSError) as error:
            raise self._cannot("be opened", error) from error
        if meta["version"] != str(VERSION):
            raise PersistenceError(
                f"{self.path} is of version {meta['version']} and this program knows version {VERSION}; run the "
                "program that wrote it"
            )
        if meta["strategy"] != self._strategy:
            raise PersistenceError(
                f"{self.path} belongs to strategy {meta['strategy']!r}, not {self._strategy!r}; name another file"
            )
        return int(meta["birth"])

    def load(self) -> tuple[StoredStrategy, list[UnsentCommand]]:
        """What was committed last, and the commands without an acknowledgement, oldest first.

        Raises:
            PersistenceError: the file cannot be read.
        """
        try:
            row = self._connection.execute("SELECT cursor, mode, error, body FROM state").fetchone()
            rows = self._connection.execute(
                "SELECT number, method, vt_orderid, body FROM outbox ORDER BY number"
            ).fetchall()
            commands = [UnsentCommand(n, m, i, _decode(body)) for n, m, i, body in rows]
            if row is None:
                return StoredStrategy(), commands
            cursor, mode, failure, blob = row
            body = self._body(blob)
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise self._cannot("be read", error) from error
        stored = StoredStrategy(
            cursor,
            mode,
            failure,
            body.view,
            bytes(body.user) if bytes(body.user) != b"\xc0" else b"",
            body.started,
            body.missed,
            body.marks,
            body.handled,
            body.number,
            body.released,
            body.time,
            body.timers,
        )
        return stored, commands

    def commit(
        self,
        stored: StoredStrategy,
        commands: Sequence[UnsentCommand] = (),
        acknowledged: Sequence[int] = (),
    ) -> None:
        """Write state, new commands and the end of acknowledged ones, all or nothing; durable on return.

        Raises:
            PersistenceError: nothing was written.
        """
        db = self._connection
        try:
            blob = _encode(
                _Body(
                    stored.view or {},
                    msgspec.Raw(stored.user or b"\xc0"),
                    stored.started,
                    stored.missed or [],
                    stored.marks or {},
                    stored.handled,
                    stored.number,
                    stored.released,
                    stored.time,
                    stored.timers or {},
                )
            )
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM outbox WHERE number = ?", [(n,) for n in acknowledged])
            db.executemany(
                "INSERT INTO outbox VALUES (?, ?, ?, ?)",
                [(c.number, c.method, c.vt_orderid, _encode(c.body)) for c in commands],
            )
            db.execute(_PUT_STATE, (stored.cursor, stored.mode, stored.error, blob))
            db.execute("COMMIT")
        except (sqlite3.Error, TypeError, ValueError, OverflowError) as error:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell
                if db.in_transaction:
                    db.execute("ROLLBACK")
            raise self._cannot("be written", error) from error

    def close(self) -> None:
        """Close the file and let the lock go; harmless where it is closed."""
        db, self._db = self._db, None
        try:
            if db is not None:
                db.close()
        finally:
            self._lock.release()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise PersistenceError(f"{self.path} is closed")
        return self._db

    def _cannot(self, what: str, error: Exception) -> PersistenceError:
        return PersistenceError(
            f"{self.path}: the state of strategy {self._strategy} cannot {what}: {error}; look at the disk's room and "
            "the permissions of file and folder"
        )
