"""F10, F11: fills that come twice, late and out of order, and orders of somebody else; the books are exact."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from msgspec.structs import replace

from foxtrot.core.constants import Direction, Status
from foxtrot.core.objects import ContractData, OrderData, OrderRequest, PositionData, TradeData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.oms.order_manager import EXTERNAL
from foxtrot.server.persistence_query import PageQuery, each
from foxtrot.server.persistence_verify import verify_state
from foxtrot.testing import START, make_order, make_order_request
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault, MustHold
from tests.chaos.local import DIGITS, FileDesk

CENTS = 100
CONTRACTS = (
    ContractData("GOLD.LOCAL", min_volume=1.0, size=1.0, pricetick=0.01, adapter_name="SIM"),
    ContractData("COIN.LOCAL", min_volume=0.1, size=10.0, pricetick=0.01, adapter_name="SIM"),
    ContractData("BOND.LOCAL", min_volume=0.5, size=100.0, pricetick=0.01, adapter_name="SIM"),
)
LOTS_A_UNIT = {"GOLD.LOCAL": 1, "COIN.LOCAL": 10, "BOND.LOCAL": 2}
CENTS_A_LOT = {"GOLD.LOCAL": 1, "COIN.LOCAL": 1, "BOND.LOCAL": 50}
"""What a lot is worth, in cents, at a price of one cent."""


class Oracle:
    """Whole numbers: lots and cents, of each fill once."""

    def __init__(self) -> None:
        self.lots: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.fees = 0
        self.orders: Counter[str] = Counter()
        self.known: set[str] = set()

    def take(self, fill: TradeData) -> None:
        if fill.vt_tradeid in self.known:
            return
        self.known.add(fill.vt_tradeid)
        count = round(fill.volume * LOTS_A_UNIT[fill.vt_symbol])
        signed = count if fill.direction is Direction.LONG else -count
        self.lots[fill.vt_symbol] += signed
        self.paid[fill.vt_symbol] += (
            signed * round(fill.price * CENTS) * CENTS_A_LOT[fill.vt_symbol]
        )
        self.fees += round(fill.commission * CENTS)
        self.orders[fill.vt_orderid] += count


def differences(desk: FileDesk, oracle: Oracle) -> list[str]:
    """Where books and oracle are apart; exact, in whole numbers."""
    oms, found, realized = desk.oms, [], 0
    for contract in CONTRACTS:
        symbol = contract.vt_symbol
        leg = oms.positions.legs.get(f"SIM.{symbol}.NET")
        book = leg.book if leg is not None else None
        if (book.lots if book else 0) != oracle.lots[symbol]:
            found.append(f"{symbol}: {book} is not {oracle.lots[symbol]} lots")
        if book is not None:
            realized += book.realized
            cost = book.cost if book.lots > 0 else -book.cost
            if book.realized != cost - oracle.paid[symbol]:
                found.append(f"{symbol}: {book}, but {oracle.paid[symbol]} was paid")
    balance = oms.accounts.ledgers["SIM"].balances["USD"] if oracle.known else 0
    if oracle.known and balance != realized - oracle.fees:
        found.append(f"the ledger has {balance}, not {realized} less {oracle.fees}")
    return found


def make_fills(rng: Random, count: int) -> tuple[dict[str, OrderRequest], list[TradeData]]:
    """Orders and their fills; the last ones make every instrument flat."""
    requests: dict[str, OrderRequest] = {}
    fills: list[TradeData] = []
    held: Counter[str] = Counter()
    for number in range(count):
        symbol = rng.choice(CONTRACTS).vt_symbol
        last = count - number <= len(CONTRACTS)
        if last:
            symbol = CONTRACTS[count - number - 1].vt_symbol
        lots = -held[symbol] if last and held[symbol] else rng.choice((-1, 1)) * rng.randint(1, 9)
        held[symbol] += lots
        side = Direction.LONG if lots > 0 else Direction.SHORT
        vt_orderid = f"SIM.{symbol[:4]}{side.value}-{'last' if last else number // 12}"
        fill = TradeData(
            f"SIM.x{number}",
            vt_orderid,
            symbol,
            side,
            rng.randint(9_000, 11_000) / CENTS,
            abs(lots) / LOTS_A_UNIT[symbol],
            START + number,
            commission=rng.randint(0, 50) / CENTS,
        )
        fills.append(fill)
        asked = requests.get(vt_orderid)
        volume = fill.volume + (asked.volume if asked else 0.0)
        requests[vt_orderid] = make_order_request(
            side, round(volume, 1), 100.0, symbol, vt_orderid=vt_orderid, strategy="s"
        )
    return requests, fills


def test_f10_fills_that_come_again_and_out_of_order_are_booked_once(
    chaos: Chaos, tmp_path: Path
) -> None:
    must: MustHold = NOTHING_LOST_OR_DOUBLED | {
        "positions and ledger are exact": lambda fault: fault.notes["differences"] == [],
        "verify is clean": lambda fault: bool(fault.notes["verified"]),
    }
    title = "fills duplicated and shuffled, also across restarts"
    with chaos.fault("F10", title, runs=(400, 5_000), must_hold=must) as fault:
        rng = fault.rng("fills")
        requests, fills = make_fills(rng, fault.count)
        copies = [
            replace(fill, ts_init=n) for fill in fills for n in range(rng.choice((1, 2, 2, 3, 5)))
        ]
        rng.shuffle(copies)
        deliver(fault, tmp_path / "oms.db", requests, copies)
        for _run in fault.runs():
            pass  # a run is a fill; they were made all at once


def deliver(
    fault: Fault, path: Path, requests: dict[str, OrderRequest], copies: list[TradeData]
) -> None:
    """Have the OMS hear of everything, in uneven lots, and end and begin again between them."""
    rng, oracle, apart = fault.rng("delivery"), Oracle(), []
    desk = FileDesk(path, CONTRACTS)
    for request in requests.values():
        desk.main.send_order(request, "SIM")
    desk.drain()
    lives = 1
    while copies:
        size = rng.randint(1, 60)
        part, copies = copies[:size], copies[size:]
        for fill in part:
            oracle.take(fill)
            desk.put(fill)
        desk.drain()
        chance = rng.random()
        if chance < 0.1:
            fault.detected += desk.oms.duplicates
            desk.die() if chance < 0.07 else desk.main.close()
            desk = FileDesk(path, CONTRACTS)
            apart += differences(desk, oracle)
            lives += 1
            copies += part  # and the venue says all of that again, later
    fault.detected += desk.oms.duplicates
    apart += differences(desk, oracle)
    apart += [f"not flat: {symbol}" for symbol, lots in oracle.lots.items() if lots]
    stored = Counter(trade.vt_tradeid for trade in each(desk.oms.trades_page, PageQuery()))
    fault.lost += len(oracle.known - stored.keys())
    fault.duplicated += sum(stored.values()) - len(oracle.known)
    for order in each(desk.oms.orders_page, PageQuery()):
        counted = oracle.orders[order.vt_orderid] / LOTS_A_UNIT[order.vt_symbol]
        if order.traded != counted or order.status is not Status.ALLTRADED:
            apart.append(f"{order} traded {counted}")
    fault.notes.update(
        differences=apart[:9],
        lives=lives,
        orders=len(requests),
        verified=verify_state(desk.db, DIGITS).ok,
    )
    desk.main.close()


# --- F11 --------------------------------------------------------------------------------------------------


def external_order(rng: Random, number: int) -> tuple[OrderData, list[TradeData]]:
    """An order that somebody else sent, as it stands, with its fills."""
    symbol = rng.choice(CONTRACTS).vt_symbol
    lots = rng.randint(2, 20)
    side = rng.choice((Direction.LONG, Direction.SHORT))
    traded = rng.choice((0, 0, rng.randint(1, lots - 1), lots))
    vt_orderid, per_unit = f"SIM.hand-{number}", LOTS_A_UNIT[symbol]
    fills, left = [], traded
    while left:
        part = rng.randint(1, left)
        left -= part
        price, volume = rng.randint(9_000, 11_000) / CENTS, part / per_unit
        vt_tradeid = f"SIM.h{number}-{len(fills)}"
        ts = START + 1_000 * number + len(fills)
        fills.append(TradeData(vt_tradeid, vt_orderid, symbol, side, price, volume, ts))
    closed = rng.random() < 0.3 and traded  # closed without a fill it would be nobody's business
    status = Status.CANCELLED if closed else Status.PARTTRADED if traded else Status.NOTTRADED
    order = make_order(
        Status.ALLTRADED if traded == lots else status,
        lots / per_unit,
        100.0,
        side,
        symbol,
        vt_orderid=vt_orderid,
        traded=traded / per_unit,
        average_price=sum(f.price * f.volume for f in fills) / (traded / per_unit)
        if fills
        else 0.0,
        ts_event=START + 1_000 * number + 9,
    )
    return order, fills


def test_f11_orders_of_others_are_adopted_and_left_alone(chaos: Chaos, tmp_path: Path) -> None:
    must: MustHold = NOTHING_LOST_OR_DOUBLED | {
        "all are adopted as EXTERNAL": lambda fault: fault.detected == fault.done,
        "positions are exact": lambda fault: fault.notes["differences"] == [],
        "none is cancelled": lambda fault: fault.notes["cancelled"] == 0,
    }
    title = "orders sent by somebody else, some filling"
    with chaos.fault("F11", title, runs=(100, 100), must_hold=must) as fault:
        oracle, orders, told = Oracle(), {}, []
        desk = FileDesk(tmp_path / "oms.db", CONTRACTS)
        vt_orderid = desk.send(price=90.0, vt_symbol="GOLD.LOCAL", strategy="s")
        own = desk.venue.report(vt_orderid, Status.NOTTRADED)
        cancelled = 0
        for run in fault.runs():
            order, fills = external_order(run.rng, run.number)
            orders[order.vt_orderid] = order
            told += fills
            for fill in fills:
                oracle.take(fill)
            show(desk, run.rng, order, fills)
            if run.number == 49:
                desk.oms.halt_trading("a test")
            if run.number % 30 == 29:
                cancelled += len(desk.venue.cancelled)
                desk.die()
                desk = FileDesk(tmp_path / "oms.db", CONTRACTS)
        snapshot = at_end([*orders.values(), own], told, oracle, desk)
        for _ in range(2):
            desk.tell(snapshot)
        judge_external(fault, desk, orders, oracle)
        fault.notes["cancelled"] = cancelled + len(desk.venue.cancelled)
        desk.main.close()


def show(desk: FileDesk, rng: Random, order: OrderData, fills: list[TradeData]) -> None:
    """The OMS hears of it live, or of a part of it, or not before the account is compared."""
    way = rng.choice(("order", "fills", "both", "nothing"))
    reports = [*(fills if way != "order" else ()), *((order,) if way in ("order", "both") else ())]
    rng.shuffle(reports)
    desk.tell(*(reports if way != "nothing" else ()))


def at_end(
    orders: list[OrderData], fills: list[TradeData], oracle: Oracle, desk: FileDesk
) -> VenueSnapshot:
    """What the venue says of the account."""
    now = desk.clock.now() + 10**12
    held = tuple(
        PositionData(
            f"SIM.{symbol}.NET", symbol, Direction.NET, lots / LOTS_A_UNIT[symbol], price=100.0
        )
        for symbol, lots in oracle.lots.items()
        if lots
    )
    return VenueSnapshot(
        "SIM",
        now,
        tuple(orders),
        tuple(fills),
        held,
        open_orders_complete=True,
        history_since=0,
        fills_since=0,
    )


def judge_external(
    fault: Fault, desk: FileDesk, orders: dict[str, OrderData], oracle: Oracle
) -> None:
    kept = {order.vt_orderid: order for order in each(desk.oms.orders_page, PageQuery())}
    apart = differences(desk, oracle)
    for key, order in orders.items():
        own = kept.get(key)
        if own is None:
            fault.lost += 1
        else:
            fault.detected += own.strategy == EXTERNAL
            if (own.status, own.traded) != (order.status, order.traded):
                apart.append(f"{own} is {order.status} {order.traded} at the venue")
    apart += [f"blocked: {reason}" for reason in desk.oms.gate.blocks.values()]
    fault.notes.update(
        differences=apart[:9],
        verified=verify_state(desk.db, DIGITS).ok,
    )
