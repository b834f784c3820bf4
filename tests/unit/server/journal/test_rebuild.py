"""State is what the journal's facts fold into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from foxtrot.core.constants import Direction, Status
from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import AccountData
from foxtrot.server.journal import (
    Blocked,
    Counting,
    DayRolled,
    Halted,
    Resumed,
    Unblocked,
    control_key,
)
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_verify import _ACTIVE, rebuild_state, verify_active, verify_state
from foxtrot.server.rebuild import compare, rebuild


def rows(db: SqlitePersistence) -> dict[str, Any]:
    return dict(db.load_prefix(""))


def test_the_state_of_a_day_is_the_fold_of_its_facts(db: SqlitePersistence, desk: Any) -> None:
    desk.hold("MSFT.NASDAQ", -12.0, 50.0)
    desk.day(20)
    rebuilt = rebuild(db.journal)
    assert rebuilt.rows == rows(db)
    assert rebuilt.faults == []
    assert compare(db.load_prefix(""), rebuilt.rows) == []
    assert verify_state(db).ok


actions = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("fill"), st.integers(0, 9), st.integers(1, 60)),
        st.tuples(
            st.just("report"),
            st.integers(0, 9),
            st.sampled_from(["NOTTRADED", "CANCELLED", "UNKNOWN", "REJECTED"]),
        ),
        st.tuples(st.just("cash"), st.integers(-5, 5), st.none()),
        st.tuples(st.just("restart"), st.none(), st.none()),
    ),
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_any_course_of_trading_can_be_rebuilt(
    tmp_path_factory: Any, new_desk: Any, work: list[Any]
) -> None:
    folder: Path = tmp_path_factory.mktemp("fold")
    with SqlitePersistence(folder / "oms.db", anchor_every=5) as db:
        desk = new_desk(db)
        desk.open()
        for name, a, b in work:
            orders = list(desk.orders.orders)
            if name == "order":
                direction = Direction.LONG if b else Direction.SHORT
                desk.order(10.0, direction, list(desk.contracts)[a])
            elif name == "restart":
                db.close()
                db.connect()
            elif name == "cash":
                account = AccountData("SIM.USD", 1_000.0 + a, currency="USD", ts_event=desk.now)
                desk.accounts.fold_report(account)
                state = desk.accounts.state("SIM", "USD")
                desk.step([("accounts/SIM.USD", state)], [("accounts", account)])
            elif orders and name == "fill":
                desk.fill(orders[a % len(orders)], b / 10, 90.0 + b)
            elif orders:
                desk.report(orders[a % len(orders)], Status(b))
        report = verify_state(db)
        assert report.ok, report
        active = {order.vt_orderid for order in db.load_active_orders()}
        assert active == set(desk.orders.active)


def test_every_kind_of_difference_is_told_by_key_and_mended(
    db: SqlitePersistence, desk: Any
) -> None:
    desk.day()
    whole = rows(db)
    order = db.find_order("SIM.oms-1")
    assert order is not None
    db.save("orders/SIM.oms-1", replace(order, volume=11.0))
    db.save("orders/SIM.made-up", order)
    db.save("positions/SIM.AAPL.NASDAQ.NET", [1, 2, 3, 4, 5, 6, 7, 8, 0.1, 1.0, "USD"])
    db.delete("trades/SIM.t-5")
    db.save("accounts/SIM.EUR", [0, 0, 0, 0, 0, 8, 0])  # says nothing
    db.save("something/else", "of no concern")
    report = verify_state(db)
    keys = [difference.key for difference in report.differences]
    assert keys == [
        "orders/SIM.made-up",
        "orders/SIM.oms-1",
        "positions/SIM.AAPL.NASDAQ.NET",
        "trades/SIM.t-5",
    ]
    assert not report.ok
    assert [difference.key for difference in rebuild_state(db)] == keys
    assert verify_state(db).ok
    assert rows(db) == whole | {"something/else": "of no concern"}


def test_wrong_indexes_are_told_and_mended(db: SqlitePersistence, desk: Any, tamper: Any) -> None:
    desk.day()
    tamper("UPDATE order_index SET status = 'UNKNOWN' WHERE vt_orderid = 'SIM.oms-5'")
    tamper("DELETE FROM active_orders WHERE vt_orderid = 'SIM.oms-1'")
    tamper("INSERT INTO active_orders VALUES ('SIM.ghost')")
    tamper("DELETE FROM trade_index WHERE vt_orderid = 'SIM.oms-2'")
    found = {difference.key for difference in verify_state(db).differences}
    assert {
        "order_index/SIM.oms-5",
        "active_orders/SIM.oms-1",
        "active_orders/SIM.ghost",
    } < found
    assert any(key.startswith("trade_index/") for key in found)
    rebuild_state(db)
    assert verify_state(db).ok
    desk.day(2)
    assert verify_state(db).ok


def test_state_is_not_made_from_a_broken_journal(
    db: SqlitePersistence, desk: Any, tamper: Any
) -> None:
    desk.day()
    tamper("UPDATE journal SET ts = 0 WHERE seq = 7")
    report = verify_state(db)
    assert (report.ok, report.journal.broken_seq) == (False, 7)
    with pytest.raises(PersistenceError, match="broken at row 7"):
        rebuild_state(db)


def test_facts_that_contradict_each_other_are_faults(db: SqlitePersistence, desk: Any) -> None:
    order = desk.order()
    desk.report(order.vt_orderid, Status.CANCELLED)
    trade = desk.fill(order.vt_orderid, 4.0)
    whole = rows(db)
    alive = replace(order, status=Status.NOTTRADED)
    stream = "s/trend"
    last = db.find_order(order.vt_orderid)
    db.commit([], [(stream, alive), (stream, trade), (stream, last)])
    report = verify_state(db)
    texts = [difference.detail for difference in report.differences]
    assert any("takes the order back" in text for text in texts)
    assert any("a second time" in text for text in texts)
    assert rebuild(db.journal).rows == whole  # folded once all the same
    stray = replace(trade, vt_tradeid="SIM.more", volume=90.0)
    db.commit([], [(stream, stray)])
    assert any("more than it traded" in d.detail for d in rebuild(db.journal).faults)


def test_control_is_its_last_fact(db: SqlitePersistence) -> None:
    facts = [
        Halted("disk", 1),
        Resumed("by hand", 2),
        Blocked("SIM", "A.LOCAL", "trend", "unexplained", 3),
        Blocked("SIM", "B.LOCAL", "trend", "unexplained", 4),
        Unblocked("SIM", "A.LOCAL", "trend", "", 5),
        Halted("loss", 6, "trend"),
    ]
    for fact in facts:
        db.commit([(control_key(fact), fact)], [("control", fact)])
    assert verify_state(db).ok
    assert rebuild(db.journal).rows["control/halt/"] == ["Resumed", "by hand", 2, ""]
    db.delete("control/block/SIM/B.LOCAL/trend")
    assert [d.key for d in verify_state(db).differences] == ["control/block/SIM/B.LOCAL/trend"]


def test_a_new_day_is_a_fact(db: SqlitePersistence, desk: Any) -> None:
    order = desk.order()
    desk.fill(order.vt_orderid, 4.0)
    desk.positions.roll_day()
    leg = desk.positions.legs["SIM.AAPL.NASDAQ.NET"]
    desk.step([(f"positions/{leg.key}", leg.state())], [("control", DayRolled("2024-03-01", 1))])
    assert leg.yesterday == 40
    assert verify_state(db).ok


def test_digits_of_the_account_are_journaled(db: SqlitePersistence) -> None:
    counting = Counting({"USD": 2}, 1)
    account = AccountData("SIM.USD", 100.0, currency="USD", ts_event=2)
    row = [10_000, 10_000, 0, 0, 0, 2, 1]
    db.commit(
        [("control/counting", counting), ("accounts/SIM.USD", row)],
        [("control", counting), ("accounts", account)],
    )
    assert verify_state(db).ok
    assert rebuild(db.journal).rows["accounts/SIM.USD"] == row


def test_working_orders_are_checked_against_their_last_facts_at_start(
    db: SqlitePersistence, desk: Any, tamper: Any
) -> None:
    desk.day(20)
    working = sorted(desk.orders.active)
    assert len(working) > 4
    assert verify_active(db) == []
    changed, forged, lost, phantom = working[:4]
    tamper(
        "UPDATE oms_state SET value = replace(value, '10.0', '90.0') WHERE key = ?",
        f"orders/{changed}",
    )
    tamper(
        "UPDATE journal SET ts = ts + 1 WHERE seq = (SELECT seq FROM order_index WHERE vt_orderid = ?)",
        forged,
    )
    tamper("DELETE FROM oms_state WHERE key = ?", f"orders/{lost}")
    tamper("UPDATE order_index SET seq = seq - 2 WHERE vt_orderid = ?", phantom)
    tamper("INSERT INTO active_orders VALUES ('SIM.ghost')")
    found = [difference.key for difference in verify_active(db)]
    assert found == sorted(f"orders/{key}" for key in (changed, forged, lost, phantom, "SIM.ghost"))


def test_the_check_at_start_reads_by_index_alone(db: SqlitePersistence) -> None:
    plan = db._execute(f"EXPLAIN QUERY PLAN {_ACTIVE}", ("", 10), "plan")
    lines = [row[3] for row in plan]
    assert [line for line in lines if line.startswith("SCAN")] == ["SCAN a"]
    assert sum(line.startswith("SEARCH") for line in lines) == 6
