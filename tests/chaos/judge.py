"""The judge of what a killed OMS left behind: its file and its books against what client and venue have seen."""

from __future__ import annotations

from typing import Any

from foxtrot.core.constants import Direction
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery, each
from foxtrot.server.persistence_verify import verify_state
from tests.chaos.desk import ENDED, SYMBOLS, Desk
from tests.chaos.venue import CENT, LOT


class Judgement:
    """What a file lacks of what was acknowledged, and what it holds twice."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self.wrong: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        return f"lost {self.lost[:5]}, doubled {self.doubled[:5]}, wrong {self.wrong[:5]}"


def judge_file(desk: Desk) -> Judgement:
    """Hold the file of a killed OMS against everything that its client and its venue have seen of it."""
    found = Judgement()
    db = SqlitePersistence(desk.path)
    try:
        report = verify_state(db, {"USD": 4})
        if not report.ok:
            found.wrong.append(f"verify: {report}")
        orders = {order.vt_orderid: order for order in each(db.orders_page, PageQuery(limit=1_000))}
        trades = list(each(db.trades_page, PageQuery(limit=1_000)))
        rows = {key: db.load(f"positions/SIM.{key}.NET") for key in SYMBOLS}
    finally:
        db.close()
    _judge_orders(desk, orders, found)
    _judge_fills(desk, orders, trades, rows, found)
    return found


def _judge_orders(desk: Desk, orders: dict[str, OrderData], found: Judgement) -> None:
    for key, told in desk.client.orders.items():
        kept = orders.get(key)
        if kept is None:
            found.lost.append(f"order {key}")
        elif kept.traded < told.traded or (
            told.status.value in ENDED and kept.status is not told.status
        ):
            found.lost.append(f"state of {key}: {told.status} was told, {kept.status} is kept")
    for key in (*desk.venue.orders, *desk.venue.lost):
        if key not in orders:
            found.lost.append(f"order {key}, which the venue had been sent")
    if desk.venue.doubled:
        found.doubled += [key for key, n in desk.venue.arrivals.items() if n > 1]
    if desk.client.fell:
        found.wrong.append(f"{desk.client.fell} acknowledgements went back on earlier ones")


def _judge_fills(
    desk: Desk,
    orders: dict[str, OrderData],
    trades: list[TradeData],
    rows: dict[str, Any],
    found: Judgement,
) -> None:
    lots = dict.fromkeys(SYMBOLS, 0)
    paid = dict.fromkeys(SYMBOLS, 0)
    filled = dict.fromkeys(orders, 0)
    kept = {trade.vt_tradeid for trade in trades}
    found.lost += [f"fill {key}" for key in desk.client.trades if key not in kept]
    for trade in trades:
        true = desk.venue.fills.get(trade.vt_tradeid)
        if true is None or (true.volume, true.price) != (trade.volume, trade.price):
            found.wrong.append(f"fill {trade} is not the venue's")
        sign = 1 if trade.direction is Direction.LONG else -1
        count = round(trade.volume * LOT)
        lots[trade.vt_symbol] += sign * count
        paid[trade.vt_symbol] += sign * count * round(trade.price * CENT)
        filled[trade.vt_orderid] += count
    for symbol, row in rows.items():
        held, cost, realized = row[:3] if row else (0, 0, 0)
        if held != lots[symbol]:
            found.doubled.append(
                f"{symbol}: {held} lots are held, the fills come to {lots[symbol]}"
            )
        # minor units are 1/10,000; a lot of 1/10 at a price in 1/100 is worth 1/1,000
        elif realized != (cost if held > 0 else -cost) - paid[symbol] * 10:
            found.doubled.append(
                f"{symbol}: realised {realized} at a cost of {cost}, paid {paid[symbol]}"
            )
    found.doubled += [
        f"{key} traded {orders[key].traded}, its fills come to {count}"
        for key, count in filled.items()
        if count > round(orders[key].traded * LOT)
    ]
    if desk.client.repeated:
        found.doubled.append(f"{desk.client.repeated} fills were published twice")


def differences(desk: Desk, state: dict[str, Any]) -> list[str]:
    """Where the OMS's books are not what the venue's are."""
    venue = desk.venue
    found = []
    for key, theirs in venue.orders.items():
        ours = state["orders"].get(key)
        if ours is None or (ours[0], round(ours[1] * LOT)) != (
            theirs.status.value,
            round(theirs.traded * LOT),
        ):
            found.append(f"order {key}: {ours} here, {theirs.status} {theirs.traded} at the venue")
    for key, ours in state["orders"].items():
        if key not in venue.orders and ours[0] not in ENDED:
            found.append(f"order {key}: {ours} here, not at the venue")
        if ours[2] == "EXTERNAL":
            found.append(f"order {key} is ours, and was taken for somebody else's")
    expected = {key: (fill.volume, fill.price) for key, fill in venue.fills.items()}
    trades = {key: tuple(value) for key, value in state["trades"].items()}
    if trades != expected:
        odd = set(trades.items()) ^ set(expected.items())
        found.append(f"fills: {sorted(odd)[:5]}")
    for symbol in SYMBOLS:
        held = state["positions"].get(f"SIM.{symbol}.NET", [0])[0]
        if held != venue.lots[symbol]:
            found.append(f"{symbol}: {held} lots here, {venue.lots[symbol]} at the venue")
    found += [f"blocked: {reason}" for reason in state["blocks"]]
    return found
