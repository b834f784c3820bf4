"""What is found by index: working orders, fills, pages of history."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foxtrot.core.constants import Status
from foxtrot.core.errors import PersistenceError
from foxtrot.server.persistence import MemoryPersistence, Persistence, SqlitePersistence
from foxtrot.server.persistence_index import _ACTIVE, _FILLS, page_statement
from foxtrot.server.persistence_query import PageQuery


def test_working_and_unknown_orders_are_found_closed_ones_not(
    db: SqlitePersistence, desk: Any
) -> None:
    orders = [desk.order().vt_orderid for _ in range(5)]
    desk.report(orders[0], Status.CANCELLED)
    desk.report(orders[1], Status.UNKNOWN)
    desk.fill(orders[2], 4.0)
    desk.fill(orders[3], 10.0)
    found = db.load_active_orders()
    assert [order.vt_orderid for order in found] == [orders[1], orders[2], orders[4]]
    assert [order.status for order in found] == ["UNKNOWN", "PARTTRADED", "SUBMITTING"]
    assert found == [db.find_order(order.vt_orderid) for order in found]


def test_an_order_that_opens_and_closes_in_one_commit_is_not_working(
    db: SqlitePersistence, desk: Any
) -> None:
    with db.transaction():
        order = desk.order()
        desk.report(order.vt_orderid, Status.REJECTED)
    assert db.load_active_orders() == []


def test_orders_and_fills_are_found_by_id(db: SqlitePersistence, desk: Any) -> None:
    order = desk.order()
    fills = [desk.fill(order.vt_orderid, 4.0), desk.fill(order.vt_orderid, 6.0)]
    found = db.find_order(order.vt_orderid)
    assert found is not None
    assert found.status is Status.ALLTRADED
    assert db.find_trade(fills[0].vt_tradeid) == fills[0]
    assert db.load_fills(order.vt_orderid) == fills
    assert db.find_order("SIM.none") is db.find_trade("SIM.none") is None
    assert not db.is_archived(f"orders/{order.vt_orderid}")


def walk(db: Persistence, kind: str, query: PageQuery) -> list[str]:
    """All pages of a query, one after the other, as ids."""
    found: list[str] = []
    for _ in range(200):
        page: Any = db.orders_page(query) if kind == "orders" else db.trades_page(query)
        assert len(page.items) <= query.limit
        found += [item.vt_orderid if kind == "orders" else item.vt_tradeid for item in page.items]
        if not page.cursor:
            return found
        query = query._replace(cursor=page.cursor)
    raise AssertionError("the pages do not end")


queries = st.builds(
    PageQuery,
    strategy=st.sampled_from(["", "trend", "mean", "none"]),
    vt_symbol=st.sampled_from(["", "AAPL.NASDAQ", "ES.CME", "NONE.LOCAL"]),
    start=st.sampled_from([0, 20_000_000_000, 41_000_000_000]),
    end=st.sampled_from([0, 41_000_000_000, 90_000_000_000]),
    limit=st.integers(1, 12),
    cursor=st.just(""),
    newest_first=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(query=queries, kind=st.sampled_from(["orders", "trades"]))
def test_pages_by_index_are_those_of_a_plain_sort(
    db: SqlitePersistence, new_desk: Any, query: PageQuery, kind: str
) -> None:
    if not db.journal.head.seq:
        desk = new_desk(db)
        desk.open()
        desk.day(40)
    plain = MemoryPersistence({key: row for key, row in rows_of(db)})
    assert walk(db, kind, query) == walk(plain, kind, query)


def rows_of(db: SqlitePersistence) -> Any:
    from foxtrot.core.objects import OrderData, TradeData

    yield from db.load_prefix_as("orders/", OrderData)
    yield from db.load_prefix_as("trades/", TradeData)


def test_a_page_goes_on_where_the_one_before_ended_while_orders_come_in(
    db: SqlitePersistence, desk: Any
) -> None:
    ids = [desk.order().vt_orderid for _ in range(4)]
    first = db.orders_page(PageQuery(limit=3))
    ids.append(desk.order().vt_orderid)
    second = db.orders_page(PageQuery(limit=3, cursor=first.cursor))
    assert [order.vt_orderid for order in first.items + second.items] == ids
    assert second.cursor == ""


@pytest.mark.parametrize("store", ["sqlite", "memory"])
@pytest.mark.parametrize(
    "query",
    [PageQuery(limit=0), PageQuery(limit=1001), PageQuery(cursor="x"), PageQuery(cursor=":a")],
)
def test_malformed_queries_are_refused(db: SqlitePersistence, store: str, query: PageQuery) -> None:
    target: Persistence = db if store == "sqlite" else MemoryPersistence()
    with pytest.raises(PersistenceError, match=r"1 to 1000|no cursor"):
        target.orders_page(query)


def plan(db: SqlitePersistence, sql: str, parameters: tuple[Any, ...]) -> str:
    rows = db._execute(f"EXPLAIN QUERY PLAN {sql}", parameters, "plan")
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize("kind", ["orders", "trades"])
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("strategy", ["", "trend"])
@pytest.mark.parametrize("vt_symbol", ["", "ES.CME"])
def test_every_page_is_a_search_by_index_without_a_sort(
    db: SqlitePersistence, kind: str, newest_first: bool, strategy: str, vt_symbol: str
) -> None:
    query = PageQuery(strategy, vt_symbol, 5, 10, newest_first=newest_first)
    text = plan(db, *page_statement(kind, query))
    index = "by_strategy" if strategy else "by_symbol" if vt_symbol else "by_time"
    assert f"{kind[:-1]}_{index}" in text
    assert "SEARCH s USING PRIMARY KEY (key=?)" in text
    searched = [
        line for line in text.splitlines() if line.startswith("SEARCH") and "_index" in line
    ]
    assert searched
    assert "ts>" in searched[0] or "(ts" in searched[0] or "ts<" in searched[0]
    assert "TEMP B-TREE" not in text
    assert "SCAN oms_state" not in text
    assert "SCAN order_index" not in text


def test_start_up_searches_by_index(db: SqlitePersistence) -> None:
    assert "SCAN s" not in plan(db, _ACTIVE, ("", 10))
    assert "SEARCH active_orders USING PRIMARY KEY" in plan(db, _ACTIVE, ("", 10))
    fills = plan(db, _FILLS, ("SIM.1",))
    assert "trade_by_order (vt_orderid=?)" in fills
    assert "SEARCH s USING PRIMARY KEY" in fills


def test_an_index_that_names_a_missing_row_is_told(db: SqlitePersistence, desk: Any) -> None:
    order = desk.order()
    db.delete(f"orders/{order.vt_orderid}")
    with pytest.raises(PersistenceError, match="has no row: run `foxtrot oms rebuild`"):
        db.load_active_orders()
    with pytest.raises(PersistenceError, match="has no row"):
        db.orders_page(PageQuery())
