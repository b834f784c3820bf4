"""What the SQLite form finds by index: orders that still work, and pages of history.

Invariants: the index tables change in the transaction of the facts that they follow from; every query here reaches its
rows by an index and reads a bounded number of them, however old the database is. An order's owner, instrument and time
of submission, which the pages go by, never change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import ACTIVE_STATUSES, OrderData, TradeData
from foxtrot.server.journal.codec import Fact
from foxtrot.server.journal.journal import Execute, ExecuteMany
from foxtrot.server.persistence_codec import decode_as
from foxtrot.server.persistence_query import Page, PageQuery, cursor_at

T = TypeVar("T", OrderData, TradeData)

_ORDER = (
    "INSERT INTO order_index VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (vt_orderid) DO UPDATE SET status = excluded.status, seq = excluded.seq"
)
_TRADE = (
    "INSERT INTO trade_index VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (vt_tradeid) DO UPDATE SET seq = excluded.seq"
)
_OPEN = "INSERT INTO active_orders VALUES (?) ON CONFLICT DO NOTHING"
_CLOSE = "DELETE FROM active_orders WHERE vt_orderid = ?"
_ACTIVE = (
    "SELECT a.vt_orderid, s.value FROM (SELECT vt_orderid FROM active_orders WHERE vt_orderid > ? "
    "ORDER BY vt_orderid LIMIT ?) a LEFT JOIN oms_state s ON s.key = 'orders/' || a.vt_orderid "
    "ORDER BY a.vt_orderid"
)
_FILLS = (
    "SELECT t.vt_tradeid, s.value FROM trade_index t INDEXED BY trade_by_order "
    "LEFT JOIN oms_state s ON s.key = 'trades/' || t.vt_tradeid WHERE t.vt_orderid = ?"
)
_ACTIVE_FILLS = (
    "SELECT a.vt_orderid, t.vt_tradeid, s.value FROM (SELECT vt_orderid FROM active_orders WHERE vt_orderid > ? "
    "ORDER BY vt_orderid LIMIT ?) a LEFT JOIN trade_index t INDEXED BY trade_by_order "
    "ON t.vt_orderid = a.vt_orderid LEFT JOIN oms_state s ON s.key = 'trades/' || t.vt_tradeid "
    "ORDER BY a.vt_orderid"
)
_IS_ARCHIVED = "SELECT 1 FROM archived_ids WHERE kind = ? AND id = ?"

_KNOWS_ORDER = (
    "SELECT 1 FROM order_index WHERE vt_orderid = ?1 "
    "UNION ALL SELECT 1 FROM archived_ids WHERE kind = 'orders' AND id = ?1 LIMIT 1"
)
_KNOWS_TRADE = (
    "SELECT 1 FROM trade_index WHERE vt_tradeid = ?1 "
    "UNION ALL SELECT 1 FROM archived_ids WHERE kind = 'trades' AND id = ?1 LIMIT 1"
)

_KINDS: dict[type[Any], str] = {OrderData: "orders", TradeData: "trades"}
_PAGE_ROWS = 1_000
_SCANNED_PER_ITEM = 10


def index_facts(
    execute_many: ExecuteMany, facts: Sequence[tuple[str, Fact]], first_seq: int
) -> None:
    """Bring the index tables up to date with facts that were appended from row ``first_seq`` on."""
    orders: dict[str, tuple[Any, ...]] = {}
    trades: list[tuple[Any, ...]] = []
    seq = first_seq - 1
    for _, fact in facts:
        seq += 1
        if type(fact) is OrderData:
            orders[fact.vt_orderid] = order_entry(fact, seq)
        elif type(fact) is TradeData:
            trades.append(trade_entry(fact, seq))
    if orders:
        execute_many(_ORDER, list(orders.values()), "indexing of orders")
        working = [(row[0],) for row in orders.values() if row[4] in ACTIVE_STATUSES]
        closed = [(row[0],) for row in orders.values() if row[4] not in ACTIVE_STATUSES]
        if working:
            execute_many(_OPEN, working, "indexing of working orders")
        if closed:
            execute_many(_CLOSE, closed, "indexing of closed orders")
    if trades:
        execute_many(_TRADE, trades, "indexing of trades")


def order_entry(order: OrderData, seq: int) -> tuple[Any, ...]:
    """An order's row in ``order_index``; ``seq`` is the journal row of its last fact."""
    return (
        order.vt_orderid,
        order.ts_init,
        order.strategy,
        order.vt_symbol,
        order.status,
        seq,
    )


def trade_entry(trade: TradeData, seq: int) -> tuple[Any, ...]:
    """A fill's row in ``trade_index``; ``seq`` is its journal row."""
    return (
        trade.vt_tradeid,
        trade.vt_orderid,
        trade.ts_event,
        trade.strategy,
        trade.vt_symbol,
        seq,
    )


def load_active_orders(execute: Execute, where: str) -> list[OrderData]:
    """Orders that can still trade or are UNKNOWN, in order of submission."""
    found: list[OrderData] = []
    after = ""
    while rows := execute(_ACTIVE, (after, _PAGE_ROWS), "loading of working orders"):
        found += [_row(where, "orders/", vt_id, text, OrderData) for vt_id, text in rows]
        after = rows[-1][0]
    found.sort(key=lambda order: (order.ts_init, order.vt_orderid))
    return found


def load_fills(execute: Execute, where: str, vt_orderid: str) -> list[TradeData]:
    """An order's fills, in order of time."""
    rows = execute(_FILLS, (vt_orderid,), f"loading of the fills of {vt_orderid!r}")
    found = [_row(where, "trades/", vt_id, text, TradeData) for vt_id, text in rows]
    found.sort(key=lambda trade: (trade.ts_event, trade.vt_tradeid))
    return found


def load_active_fills(execute: Execute, where: str) -> dict[str, list[TradeData]]:
    """The fills of working orders by order, each list in order of time; orders without fills are not in it."""
    found: dict[str, list[TradeData]] = {}
    after = ""
    while rows := execute(_ACTIVE_FILLS, (after, _PAGE_ROWS), "loading of their fills"):
        for vt_orderid, vt_id, text in rows:
            if vt_id is not None:
                fill = _row(where, "trades/", vt_id, text, TradeData)
                found.setdefault(vt_orderid, []).append(fill)
        after = rows[-1][0]
    for fills in found.values():
        fills.sort(key=lambda trade: (trade.ts_event, trade.vt_tradeid))
    return found


def knows_order(execute: Execute, vt_orderid: str) -> bool:
    """Whether an order id was ever used, archived ones included."""
    return bool(execute(_KNOWS_ORDER, (vt_orderid,), f"look for order {vt_orderid!r}"))


def knows_trade(execute: Execute, vt_tradeid: str) -> bool:
    """Whether a fill was ever folded, archived ones included."""
    return bool(execute(_KNOWS_TRADE, (vt_tradeid,), f"look for fill {vt_tradeid!r}"))


def is_archived(execute: Execute, key: str) -> bool:
    """Whether the row ``orders/<id>`` or ``trades/<id>`` was moved to an archive."""
    kind, _, vt_id = key.partition("/")
    return bool(execute(_IS_ARCHIVED, (kind, vt_id), f"look for {key!r}"))


def page_statement(kind: str, query: PageQuery) -> tuple[str, tuple[Any, ...]]:
    """The SELECT behind a page of ``orders`` or ``trades``, with its parameters."""
    table, vt_id = ("order_index", "vt_orderid")
    if kind == "trades":
        table, vt_id = ("trade_index", "vt_tradeid")
    name = table.removesuffix("_index")
    if query.strategy:
        index, where = f"{name}_by_strategy", "strategy = ?1 AND "
    elif query.vt_symbol:
        index, where = f"{name}_by_symbol", "vt_symbol = ?2 AND "
    else:
        index, where = f"{name}_by_time", ""
    way = "DESC" if query.newest_first else "ASC"
    low, high = query.bounds()
    # Table, index and column names are the constants above; what the caller hands in goes by parameter.
    sql = (
        f"SELECT i.ts, i.id, i.vt_symbol, s.value FROM (SELECT ts, {vt_id} AS id, vt_symbol FROM {table} "  # noqa: S608
        f"INDEXED BY {index} WHERE {where}(ts, {vt_id}) > (?3, ?4) AND (ts, {vt_id}) < (?5, ?6) "
        f"ORDER BY ts {way}, {vt_id} {way} LIMIT ?7) i LEFT JOIN oms_state s "
        f"ON (?2 = '' OR i.vt_symbol = ?2) AND s.key = '{kind}/' || i.id"
    )
    many = _SCANNED_PER_ITEM if query.strategy and query.vt_symbol else 1
    scan = query.limit * many + 1
    return sql, (query.strategy, query.vt_symbol, *low, *high, scan)


def load_page(execute: Execute, where: str, type_: type[T], query: PageQuery) -> Page[T]:
    """One page of orders or trades, by index."""
    kind = _KINDS[type_]
    sql, parameters = page_statement(kind, query)
    rows = execute(sql, parameters, f"reading of a page of {kind}")
    rows.sort(key=lambda row: (row[0], row[1]), reverse=query.newest_first)
    more = len(rows) == parameters[-1]
    items: list[T] = []
    cursor = ""
    for ts, vt_id, vt_symbol, text in rows[:-1] if more else rows:
        if len(items) == query.limit:
            more = True
            break
        if query.vt_symbol in ("", vt_symbol):
            items.append(_row(where, f"{kind}/", vt_id, text, type_))
        cursor = cursor_at(ts, vt_id)
    return Page(items, cursor if more else "")


def _row(where: str, prefix: str, vt_id: str, text: str | None, type_: type[T]) -> T:
    if text is None:
        raise PersistenceError(
            f"{where}: the index names {prefix}{vt_id}, which has no row: run `foxtrot oms rebuild`"
        )
    return decode_as(where, prefix + vt_id, text, type_)
