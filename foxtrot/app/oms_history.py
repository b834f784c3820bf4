"""Orders, fills and facts out of a database that nobody trades on, or out of a copy.

Invariants: every page is found by an index and has a bounded number of rows; a copy is opened read-only and without a
lock, so that the newest backup may be asked while the OMS runs.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from foxtrot.app.oms_files import check_file, command, is_copy, opened, told_as_ours
from foxtrot.core.errors import ConfigError, PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.journal.journal import Execute, Journal, JournalRow
from foxtrot.server.persistence_index import load_page
from foxtrot.server.persistence_query import MAX_LIMIT, Page, PageQuery
from foxtrot.server.persistence_schema import check_schema

__all__ = ["load_journal", "load_orders", "load_trades", "moment"]

T = TypeVar("T", OrderData, TradeData)

_JOURNALED = 2
"""The first version of the schema with a journal and pages by index."""


def moment(option: str, text: str | None, *, last: bool = False) -> int:
    """A day or time as ns UTC; 0 for none. What carries no offset is meant in UTC.

    Args:
        option: whose text it is, for the error.
        text: ``2013-03-01``, or ``2013-03-01T09:30:00Z``.
        last: a day stands for its end.

    Raises:
        ConfigError: it is no time.
    """
    if not text:
        return 0
    try:
        when = dt.datetime.fromisoformat(text)
        is_day = len(text) <= len("2013-03-01")
        if is_day and last:
            when += dt.timedelta(days=1)
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.UTC)
        since = when - dt.datetime.fromtimestamp(0, dt.UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{option} {text!r} is no time; write a day as 2013-03-01 or a time as 2013-03-01T09:30:00Z"
        ) from error
    return since // dt.timedelta(microseconds=1) * 1_000


def load_orders(path: Path, query: PageQuery) -> Page[OrderData]:
    """Orders by time of submission; ``limit`` may exceed that of one page.

    Raises:
        DatabaseInUseError: another process has the database open.
        PersistenceError: the file or the cursor is not what it should be.
    """
    return _load(path, OrderData, query)


def load_trades(path: Path, query: PageQuery) -> Page[TradeData]:
    """Fills by time; as ``load_orders``."""
    return _load(path, TradeData, query)


def load_journal(
    path: Path, stream: str = "", after: int = 0, limit: int = 50, *, newest: bool = False
) -> list[JournalRow]:
    """Facts in order.

    Args:
        path: the database or a copy.
        stream: only of this one; empty for all.
        after: begin after this row; of a stream after this number in the stream; 0 for the first that is left.
        limit: most facts.
        newest: the last ones instead.

    Raises:
        DatabaseInUseError: another process has the database open.
        PersistenceError: the facts were archived, or cannot be read; there is no such stream.
    """
    with _history(path) as (execute, _where):
        journal = Journal(execute, _writes_nothing)
        if stream and not journal.last(stream):
            raise PersistenceError(f"{path}: there is no stream {stream!r}{_streams(execute)}")
        if newest:
            end = journal.last(stream) if stream else journal.stored_head().seq
            after = max(end - limit, 0)
        if stream and (newest or not after):
            after = max(after, journal.first(stream))
        rows: list[JournalRow] = []
        while len(rows) < limit:
            count = min(limit - len(rows), MAX_LIMIT)
            page = journal.read(stream, after, count) if stream else journal.read_all(after, count)
            rows += page
            if len(page) < count:
                break
            after = page[-1].stream_seq if stream else page[-1].seq
        return rows


def _load(path: Path, type_: type[T], query: PageQuery) -> Page[T]:
    wanted = query.limit
    items: list[T] = []
    cursor = query.cursor
    with _history(path) as (execute, where):
        while True:
            left = min(wanted - len(items), MAX_LIMIT)
            asked = query._replace(limit=left, cursor=cursor)
            page: Page[T] = load_page(execute, where, type_, asked)
            items += page.items
            cursor = page.cursor
            if not cursor or len(items) >= wanted:
                return Page(items, cursor)


@contextmanager
def _history(path: Path) -> Iterator[tuple[Execute, str]]:
    """Statements on a database or a copy, and its name for errors."""
    if not is_copy(path):
        with opened(path) as (db, _note):
            yield db._execute, str(db)
        return
    with told_as_ours(path):
        check_file(path)
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        copy = sqlite3.connect(uri, uri=True, isolation_level=None)
        try:
            check_schema(copy, path)
            if copy.execute("PRAGMA user_version").fetchone()[0] < _JOURNALED:
                mend = command("restore", path, "--database", "OTHER.db")
                raise PersistenceError(
                    f"{path} is of an older schema; to read it, restore it elsewhere: {mend}"
                )
            yield _statements(copy, path), str(path)
        finally:
            copy.close()


def _statements(copy: sqlite3.Connection, path: Path) -> Execute:
    def execute(sql: str, parameters: tuple[Any, ...], action: str) -> list[Any]:
        try:
            return copy.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise PersistenceError(f"{path}: {action} failed: {error}") from error

    return execute


def _writes_nothing(sql: str, _rows: object, action: str) -> None:
    raise PersistenceError(f"{action}: this is only read ({sql})")


def _streams(execute: Callable[[str, tuple[Any, ...], str], list[Any]]) -> str:
    """The names of the first streams, to choose from; each found by one step in the index."""
    names: list[str] = []
    after = ""
    while len(names) < 10:
        sql = "SELECT stream FROM journal WHERE stream > ? ORDER BY stream LIMIT 1"
        rows = execute(sql, (after,), "reading of the streams")
        if not rows:
            break
        after = rows[0][0]
        names.append(after)
    return f"; there are: {', '.join(names)}" if names else "; the journal is empty"
