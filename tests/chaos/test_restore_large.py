"""F26: a large database is lost, and its backup takes its place."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec.structs import replace

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.objects import AccountData, ContractData, OrderData, TradeData
from foxtrot.server.backup import back_up, restore
from foxtrot.server.oms.books import Books
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.start_check import check_start
from tests.chaos.books import RELIED
from tests.chaos.harness import Chaos

ORDERS = (20_000, 1_000_000)
WORKING = 1_000
SYMBOLS = tuple(f"SYM{number}.NASDAQ" for number in range(50))
LIMIT_SECONDS = 60.0
SECOND = 1_000_000_000


def fill_database(db: SqlitePersistence, orders: int, group: int = 1_000) -> None:
    """Closed orders, each sent, filled and closed through the books, and ``WORKING`` ones at the end."""
    books = Books()
    contracts = [ContractData(s, adapter_name="SIM", currency="USD") for s in SYMBOLS]
    account = AccountData("SIM.USD", 1e9, currency="USD", ts_event=1)
    for contract in contracts:
        books.take_contract(contract)
    books.accounts.fold_report(account)
    rows = [(f"contracts/{contract.vt_symbol}", contract) for contract in contracts]
    facts = [("contracts", contract) for contract in contracts]
    db.commit(rows, [*facts, ("accounts", account)])
    for first in range(0, orders, group):
        commit_group(db, books, range(first, min(first + group, orders)), orders - WORKING)


def commit_group(db: SqlitePersistence, books: Books, numbers: range, working: int) -> None:
    rows: dict[str, object] = {}
    facts: list[tuple[str, object]] = []
    for number in numbers:
        ts, stream = (number + 2) * SECOND, f"s/s{number % 7}"
        order = OrderData(
            f"SIM.oms-{number}",
            SYMBOLS[number % 50],
            (Direction.LONG, Direction.SHORT)[number // 50 % 2],
            OrderType.LIMIT,
            10.0,
            100.0,
            status=Status.NOTTRADED,
            strategy=stream[2:],
            ts_event=ts,
            ts_init=ts,
        )
        key = f"orders/{order.vt_orderid}"
        rows[key] = order
        facts.append((stream, order))
        if number >= working:
            continue
        trade = TradeData(
            f"SIM.t-{number}",
            order.vt_orderid,
            order.vt_symbol,
            order.direction,
            100.0,
            10.0,
            ts + 5,
            strategy=order.strategy,
        )
        leg = books.book(trade).leg
        rows[key] = closed = replace(
            order, status=Status.ALLTRADED, traded=10.0, average_price=100.0, ts_event=ts + 5
        )
        rows[f"trades/{trade.vt_tradeid}"] = trade
        rows[f"positions/{leg.key}"] = leg.state()
        facts += [(stream, closed), (stream, trade)]
    rows["accounts/SIM.USD"] = books.accounts.state("SIM", "USD")
    db.commit(list(rows.items()), facts)  # type: ignore[arg-type]


def test_f26_a_large_backup_is_restored(chaos: Chaos, tmp_path: Path) -> None:
    must_hold = {
        "0 lost": lambda fault: fault.lost == 0,
        f"ready in {LIMIT_SECONDS:g} s": lambda fault: fault.notes["slowest"] < LIMIT_SECONDS,
    }
    with chaos.fault(
        "F26", "a large backup is restored", runs=(1, 2), must_hold=must_hold
    ) as fault:
        orders = ORDERS[chaos.settings.full]
        path = tmp_path / "oms.db"
        with SqlitePersistence(path, lock_timeout=0) as db:
            fill_database(db, orders)
            expected = [list(db.load_prefix(prefix)) for prefix in RELIED]
            start = time.perf_counter()
            backup = back_up(db, tmp_path, 10**18).path
            fault.notes["seconds of the backup"] = round(time.perf_counter() - start, 2)
        fault.notes |= {"orders": orders, "megabytes": backup.stat().st_size >> 20}
        slowest = 0.0
        for _ in fault.runs():
            path.write_bytes(b"\0" * 8_192)  # what is there now is no database any more
            start = time.perf_counter()
            restore(backup, path)
            restored = time.perf_counter() - start
            with SqlitePersistence(path, lock_timeout=0) as db:
                problems = check_start(db)
                working = db.load_active_orders()
                loaded = [list(db.load_prefix(prefix)) for prefix in RELIED]
                ready = time.perf_counter() - start
            assert not problems, problems
            fault.lost += (len(working) != WORKING) + (loaded != expected)
            slowest = max(slowest, ready)
            fault.notes |= {
                "slowest": round(slowest, 2),
                "of these to open, check and load": round(ready - restored, 3),
            }
            for aside in tmp_path.glob("*.damaged-*"):
                aside.unlink()
