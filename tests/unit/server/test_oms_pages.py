"""Pages of history in slices: the same pages, with other work in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import FoxtrotError, PersistenceError
from foxtrot.core.objects import OrderData
from foxtrot.server.engines.oms_pages import SLICE_ROWS, PageServer, SlicedPage
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import Page, PageQuery, each
from foxtrot.testing import make_contract, make_order
from tests.unit.server.oms_desk import Desk

ORDERS = 330
SYMBOLS = ("AAA.LOCAL", "BBB.LOCAL", "CCC.LOCAL")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlitePersistence]:
    with SqlitePersistence(tmp_path_factory.mktemp("pages") / "oms.db") as db:
        orders = [
            make_order(
                vt_orderid=f"SIM.{number:04}",
                vt_symbol=SYMBOLS[number % 3],
                strategy=f"s{number % 2}",
                ts_init=1_000 + number // 4,
            )
            for number in range(ORDERS)
        ]
        db.commit([(f"orders/{o.vt_orderid}", o) for o in orders], [("s/x", o) for o in orders])
        yield db


def whole(sliced: SlicedPage[OrderData]) -> tuple[Page[OrderData], int]:
    steps = 1
    while sliced.step():
        steps += 1
    return sliced.page, steps


@pytest.mark.parametrize(
    "limit", [1, SLICE_ROWS - 1, SLICE_ROWS, SLICE_ROWS + 1, 120, 329, 330, 1_000]
)
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("fields", [{}, {"strategy": "s1"}, {"vt_symbol": "BBB.LOCAL"}])
def test_slices_make_the_page_that_one_query_would(
    store: SqlitePersistence, limit: int, newest_first: bool, fields: dict[str, str]
) -> None:
    query = PageQuery(limit=limit, newest_first=newest_first, **fields)
    page, steps = whole(SlicedPage(store.orders_page, query))
    expected = store.orders_page(query)
    assert page.items == expected.items
    assert bool(page.cursor) == bool(expected.cursor)
    assert steps <= -(-limit // SLICE_ROWS)


def test_two_filters_find_everything_in_bounded_slices(store: SqlitePersistence) -> None:
    limits: list[int] = []

    def fetch(query: PageQuery) -> Page[OrderData]:
        limits.append(query.limit)
        return store.orders_page(query)

    query = PageQuery(strategy="s1", vt_symbol="CCC.LOCAL", limit=40)
    found = list(each(lambda part: whole(SlicedPage(fetch, part))[0], query))
    assert [o.vt_orderid for o in found] == [f"SIM.{n:04}" for n in range(5, ORDERS, 6)]
    assert max(limits) * 10 <= SLICE_ROWS


def test_a_malformed_query_is_refused_at_once(store: SqlitePersistence) -> None:
    with pytest.raises(PersistenceError, match="1 to 1000 items"):
        SlicedPage(store.orders_page, PageQuery(limit=1_001))
    with pytest.raises(PersistenceError, match="no cursor"):
        SlicedPage(store.orders_page, PageQuery(cursor="rubbish"))


def test_pages_are_read_a_slice_a_round_and_in_turn(store: SqlitePersistence) -> None:
    clock = SimulatedClock(1)
    server = PageServer(clock, [])
    read: list[str] = []
    done: list[str] = []

    def noted(name: str) -> Callable[[PageQuery], Page[OrderData]]:
        def fetch(query: PageQuery) -> Page[OrderData]:
            read.append(name)
            return store.orders_page(query)

        return fetch

    for name, limit in (("long", 3 * SLICE_ROWS), ("short", 10)):
        page = SlicedPage(noted(name), PageQuery(limit=limit))
        server.add(page, lambda _page, name=name: done.append(name))  # type: ignore[misc]
    assert read == []
    rounds = 0
    while clock.timer_names():
        clock.fire_next(clock.now())
        rounds += 1
        assert len(read) == rounds
    assert read == ["long", "short", "long", "long"]
    assert done == ["short", "long"]


def test_what_waits_goes_first_but_not_for_ever(store: SqlitePersistence) -> None:
    clock, queue = SimulatedClock(1), ["an order"]
    server = PageServer(clock, queue)
    answers: list[Any] = []
    server.add(SlicedPage(store.orders_page, PageQuery(limit=7)), answers.append)
    rounds = 0
    while not answers:
        clock.fire_next(clock.now())
        rounds += 1
    assert rounds == 5


def test_a_page_that_cannot_be_read_is_answered_with_the_reason(store: SqlitePersistence) -> None:
    clock = SimulatedClock(1)
    server = PageServer(clock, [])
    answers: list[Any] = []

    def fail(_query: PageQuery) -> Page[OrderData]:
        raise PersistenceError("the disk is gone")

    server.add(SlicedPage(fail, PageQuery()), answers.append)
    server.add(SlicedPage(store.orders_page, PageQuery(limit=7)), answers.append)
    clock.advance(2)
    assert isinstance(answers[0], FoxtrotError)
    assert len(answers[1].items) == 7


def test_the_oms_answers_now_and_later_alike(tmp_path: Path) -> None:
    desk = Desk(SqlitePersistence(tmp_path / "oms.db"))
    sent = [desk.send(strategy="s", volume=2.0) for _ in range(SLICE_ROWS + 5)]
    desk.fill(sent[0], 1.0)
    desk.fill(sent[0], 1.0)
    query = PageQuery(limit=500)
    later: list[Any] = []
    desk.oms.orders_page_later(query, later.append)
    desk.oms.trades_page_later(query, later.append)
    assert later == []
    desk.wait(0.001)
    trades, orders = sorted(later, key=lambda page: len(page.items))
    assert orders == desk.oms.orders_page(query)
    assert len(orders.items) == len(sent)
    assert trades == desk.oms.trades_page(query)
    assert len(trades.items) == 2
    desk.main.close()


def test_a_restart_finds_the_fills_of_working_orders_and_of_no_others(tmp_path: Path) -> None:
    path = tmp_path / "oms.db"
    desk = Desk(SqlitePersistence(path), contracts=[make_contract()])
    part, none, closed = (desk.send(volume=5.0) for _ in range(3))
    fills = [desk.fill(part, 1.0), desk.fill(part, 2.0)]
    desk.fill(closed, 5.0)
    desk.main.close()
    with SqlitePersistence(path) as db:
        found = db.load_active_fills()
        assert found.keys() == {part}
        assert [t.vt_tradeid for t in found[part]] == [t.vt_tradeid for t in fills]
        assert none in {o.vt_orderid for o in db.load_active_orders()}


def test_rows_of_requests_are_not_read_to_find_out_whether_trading_may_begin(
    tmp_path: Path,
) -> None:
    path = tmp_path / "oms.db"
    desk = Desk(SqlitePersistence(path))
    for _ in range(20):
        desk.fill(desk.send(volume=1.0), 1.0)
    desk.main.close()
    with SqlitePersistence(path) as db:
        assert db.problems() == []
        assert not any(key.startswith("requests/") for key in db._seal._sums)
