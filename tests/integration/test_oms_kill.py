"""A process that runs an OMS is killed in the middle of a stream of orders and fills; its file has all that was seen.

The child (this file, run as a program) writes a line for each order and fill after the OMS has published it. The parent
kills it (SIGKILL) at a random moment, reads the file as the next owner would, and lets the next child go on from there.
``FOXTROT_KILL_ROUNDS`` sets the number of rounds.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from msgspec.structs import replace

from foxtrot.core import events
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import Direction, Status
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import OrderData, OrderRequest, TradeData
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery, each
from foxtrot.testing import ScriptedAdapter, make_contract, make_order_request

ROUNDS = int(os.environ.get("FOXTROT_KILL_ROUNDS", "5"))
ROOT = Path(__file__).resolve().parents[2]
LOT = 0.1


# --- the child --------------------------------------------------------------------------------------------


class BusyVenue(ScriptedAdapter):
    """Accepts each order, fills it in one to three parts, or cancels the rest; ids are unique for ever."""

    chance = random.Random(0)

    def send_order(self, request: OrderRequest) -> str:
        vt_orderid = super().send_order(request)
        self.report(vt_orderid, Status.NOTTRADED)
        lots = round(request.volume / LOT)
        for part in range(1, 4):
            done = self.chance.randint(1, lots) if part < 3 else lots
            lots -= done
            price = 100.0 + self.chance.randint(-500, 500) / 100
            trade = self.fill(vt_orderid, round(done * LOT, 1), price, commission=0.01)
            if self.chance.random() < 0.2:
                self.on_trade(trade)  # the venue repeats itself
            if not lots:
                return vt_orderid
            if self.chance.random() < 0.2:
                self.report(vt_orderid, Status.CANCELLED)
                return vt_orderid
        return vt_orderid

    def fill(self, vt_orderid: str, volume: float, price: float, **fields: object) -> TradeData:
        self._trades += 1
        return super().fill(
            vt_orderid, volume, price, vt_tradeid=f"{vt_orderid}-{self._trades}", **fields
        )


def make_process(file: Path, event_engine: EventEngine) -> MainEngine:
    main = MainEngine(event_engine, persistence=SqlitePersistence(file), digits={"USD": 4})
    venue = main.add_adapter(BusyVenue)
    main.oms.load_state()
    venue.on_contract(make_contract(min_volume=LOT))
    event_engine.drain()
    return main


def tell(message: OrderData | TradeData) -> None:
    """Acknowledge to the parent what has been published."""
    if isinstance(message, OrderData):
        line = f"O {message.vt_orderid} {message.status.value} {message.traded}"
    else:
        line = f"T {message.vt_tradeid} {message.volume} {message.price}"
    os.write(1, f"{line}\n".encode())


def child(file: Path, seed: int) -> None:
    """Send orders until killed."""
    chance = BusyVenue.chance = random.Random(seed)
    event_engine = EventEngine(LiveClock())
    main = make_process(file, event_engine)
    event_engine.subscribe(events.EVENT_ORDER, tell)
    event_engine.subscribe(events.EVENT_TRADE, tell)
    while True:
        side = chance.choice([Direction.LONG, Direction.SHORT])
        volume = round(chance.randint(3, 30) * LOT, 1)
        main.send_order(replace(make_order_request(side, volume), strategy="busy"), "SIM")
        event_engine.drain()


# --- the parent -------------------------------------------------------------------------------------------


def killed_child(file: Path, seed: int, life: float) -> list[list[str]]:
    """Run a child, kill it ``life`` seconds after its first line, and return its whole lines, split."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), str(file), str(seed)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        # The pipe holds some thousand lines; a child that fills it waits there, which is as good a place to be killed.
        time.sleep(life)
    finally:
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.stdout.close()
    assert process.wait(10) == -signal.SIGKILL
    lines = (first + rest).decode().split("\n")
    return [line.split(" ") for line in lines[:-1]]  # the last may be torn


def check_file(file: Path, orders: dict[str, tuple[str, float]], trades: dict[str, float]) -> int:
    """Open the file as the next owner and hold it against everything acknowledged so far."""
    event_engine = EventEngine(LiveClock())
    main = make_process(file, event_engine)
    oms = main.oms
    for vt_orderid, (status, traded) in orders.items():
        order = main.get_order(vt_orderid)
        assert order is not None, f"acknowledged order {vt_orderid} is lost"
        assert order.traded >= traded
        if Status(status) in (Status.ALLTRADED, Status.CANCELLED):
            assert order.status == status
        assert order.status is not Status.SUBMITTING
    for vt_tradeid, volume in trades.items():
        trade = main.get_trade(vt_tradeid)
        assert trade is not None, f"acknowledged fill {vt_tradeid} is lost"
        assert trade.volume == volume

    usd = oms.accounts.currency("SIM", "USD")
    instrument = oms.instrument("SIM", "TEST.LOCAL")
    lots = paid = fees = 0
    filled: Counter[str] = Counter()
    for trade in each(oms.trades_page, PageQuery(limit=1_000)):
        sign = 1 if trade.direction is Direction.LONG else -1
        count = instrument.lot.to_lots(trade.volume)
        lots += sign * count
        paid += sign * instrument.value(trade.price, trade.volume)
        fees += usd.to_minor(trade.commission)
        filled[trade.vt_orderid] += count
    for order in each(oms.orders_page, PageQuery(limit=1_000)):
        assert instrument.lot.to_lots(order.traded) == filled[order.vt_orderid]
    book = oms.positions.legs["SIM.TEST.LOCAL.NET"].book
    assert book.lots == lots
    assert book.realized == (book.cost if lots > 0 else -book.cost) - paid
    assert oms.accounts.ledgers["SIM"].balances["USD"] == book.realized - fees
    main.close()
    return len(filled)


def test_everything_acknowledged_survives_a_kill_and_nothing_is_there_twice(tmp_path: Path) -> None:
    file = tmp_path / "oms.db"
    chance = random.Random(20240102)
    orders: dict[str, tuple[str, float]] = {}
    trades: dict[str, float] = {}
    for number in range(ROUNDS):
        lines = killed_child(file, seed=number, life=chance.uniform(0.0, 0.25))
        before = set(orders)
        for kind, key, *rest in lines:
            if kind == "O":
                assert key not in before, f"{key} was minted twice"
                assert float(rest[1]) >= orders.get(key, ("", 0.0))[1]
                orders[key] = rest[0], float(rest[1])
            else:
                assert key not in trades, f"{key} was published twice"
                trades[key] = float(rest[0])
        check_file(file, orders, trades)

    assert len(trades) > ROUNDS


if __name__ == "__main__":
    child(Path(sys.argv[1]), int(sys.argv[2]))
