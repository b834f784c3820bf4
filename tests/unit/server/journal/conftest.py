"""A desk that trades on its own: orders and fills through the OMS's managers, committed as the OMS does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData
from foxtrot.server.oms.books import Books
from foxtrot.server.persistence import Persistence, SqlitePersistence

SECOND = 1_000_000_000
SYMBOLS = ("AAPL.NASDAQ", "MSFT.NASDAQ", "ES.CME")


class Desk:
    """Commits one step after the other; time goes on a second a step."""

    def __init__(self, db: Persistence) -> None:
        self.db = db
        self.now = 0
        self.number = 0
        self.contracts = {
            s: ContractData(s, min_volume=0.1, adapter_name="SIM", currency="USD") for s in SYMBOLS
        }
        self.books = Books()
        for contract in self.contracts.values():
            self.books.take_contract(contract)
        self.orders, self.accounts = self.books.orders, self.books.accounts
        self.positions = self.books.positions

    def step(self, rows: list[tuple[str, Any]], facts: list[tuple[str, Any]]) -> None:
        self.db.commit(rows, facts)

    def open(self, cash: float = 10_000.0) -> None:
        self.now += SECOND
        account = AccountData("SIM.USD", cash, currency="USD", ts_event=self.now)
        self.accounts.fold_report(account)
        rows: list[tuple[str, Any]] = [(f"contracts/{k}", c) for k, c in self.contracts.items()]
        rows.append(("accounts/SIM.USD", self.accounts.state("SIM", "USD")))
        facts: list[tuple[str, Any]] = [("contracts", c) for c in self.contracts.values()]
        self.step(rows, [*facts, ("accounts", account)])

    def hold(self, vt_symbol: str, volume: float, price: float) -> None:
        """An opening position that the venue reports."""
        self.now += SECOND
        report = PositionData(
            f"SIM.{vt_symbol}.NET", vt_symbol, Direction.NET, volume, price=price, ts_event=self.now
        )
        leg = self.positions.fold_report(report)
        assert leg is not None
        self.step([(f"positions/{leg.key}", leg.state())], [("positions", report)])

    def order(
        self,
        volume: float = 10.0,
        direction: Direction = Direction.LONG,
        vt_symbol: str = SYMBOLS[0],
        strategy: str = "trend",
    ) -> OrderData:
        self.now += SECOND
        self.number += 1
        order = OrderData(
            f"SIM.oms-{self.number}",
            vt_symbol,
            direction,
            OrderType.LIMIT,
            volume,
            100.0,
            strategy=strategy,
            ts_event=self.now,
            ts_init=self.now,
        )
        self.orders.add(order)
        self.step([(f"orders/{order.vt_orderid}", order)], [(f"s/{strategy}", order)])
        return order

    def report(self, vt_orderid: str, status: Status) -> None:
        self.now += SECOND
        known = self.orders.orders[vt_orderid]
        changed = self.orders.fold_report(replace(known, status=status, ts_event=self.now))
        if changed is not None:
            row = (f"orders/{vt_orderid}", changed)
            self.step([row], [(f"s/{changed.strategy}", changed)])

    def fill(self, vt_orderid: str, volume: float, price: float = 100.0) -> TradeData:
        self.now += SECOND
        known = self.orders.orders[vt_orderid]
        trade = TradeData(
            f"SIM.t-{self.now // SECOND}",
            vt_orderid,
            known.vt_symbol,
            known.direction,
            price,
            volume,
            self.now,
            commission=0.25,
            strategy=known.strategy,
        )
        order = self.orders.fold_trade(trade)
        leg = self.books.book(trade).leg
        rows = [
            (f"orders/{vt_orderid}", order),
            (f"trades/{trade.vt_tradeid}", trade),
            (f"positions/{leg.key}", leg.state()),
            ("accounts/SIM.USD", self.accounts.state("SIM", "USD")),
        ]
        stream = f"s/{order.strategy}"
        self.step(rows, [(stream, order), (stream, trade)])
        return trade

    def day(self, orders: int = 10) -> None:
        """Some of everything: working, part filled, filled and cancelled orders of two strategies."""
        for number in range(orders):
            strategy = ("trend", "mean")[number % 2]
            direction = (Direction.LONG, Direction.SHORT)[number // 2 % 2]
            order = self.order(10.0, direction, SYMBOLS[number % 3], strategy)
            if number % 5 == 4:
                self.report(order.vt_orderid, Status.CANCELLED)
            elif number % 5:
                self.report(order.vt_orderid, Status.NOTTRADED)
                self.fill(order.vt_orderid, 4.0, 100.0 + number)
                if number % 5 > 1:
                    self.fill(order.vt_orderid, 6.0, 101.0 - number)


def sql(path: Path, statement: str, *parameters: Any) -> list[Any]:
    """Change a closed database behind the back of the class."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement, parameters).fetchall()
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "oms.db"


@pytest.fixture
def db(path: Path) -> Iterator[SqlitePersistence]:
    made = SqlitePersistence(path, lock_timeout=0, anchor_every=8)
    made.connect()
    yield made
    made.close()


@pytest.fixture
def desk(db: SqlitePersistence) -> Desk:
    made = Desk(db)
    made.open()
    return made


@pytest.fixture
def tamper(db: SqlitePersistence, path: Path) -> Any:
    """Close the database, run SQL on it, and open it again."""

    def run(statement: str, *parameters: Any) -> None:
        db.close()
        sql(path, statement, *parameters)
        db.connect()

    return run


@pytest.fixture
def new_desk() -> type[Desk]:
    return Desk
