"""The same work by vn.py's RPC: REQ/REP for orders, PUB/SUB for ticks and fills, pickle; nothing is written down.

Run by the Python of an environment of its own that has ``vnpy``; it needs nothing of Foxtrot. Each process uses
vn.py's ``RpcServer`` and ``RpcClient`` as they are, with their threads and locks, and its own message classes.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chain_link import PRICE, SYMBOL, Pacer, Report
from vnpy.rpc import RpcClient, RpcServer  # type: ignore[import-not-found, unused-ignore]
from vnpy.trader.constant import Direction, Exchange, OrderType, Status  # type: ignore[import-not-found, unused-ignore]
from vnpy.trader.object import OrderRequest, TickData, TradeData  # type: ignore[import-not-found, unused-ignore]

NAME = SYMBOL.partition(".")[0]


class Client(RpcClient):  # type: ignore[misc, unused-ignore]
    """Hands on what is published."""

    def __init__(self, folder: Path, name: str, topic: str, on_message: Any) -> None:
        super().__init__()
        self._on_message = on_message
        self.subscribe_topic(topic)
        self.start(f"ipc://{folder}/{name}.rep", f"ipc://{folder}/{name}.pub")

    def callback(self, _topic: str, data: Any) -> None:
        """Something was published."""
        self._on_message(data)


def serve(folder: Path, name: str) -> Any:
    server = RpcServer()
    server.start(f"ipc://{folder}/{name}.rep", f"ipc://{folder}/{name}.pub")
    return server


def venue(folder: Path) -> None:
    server, pacer = serve(folder, "venue"), Pacer(folder)

    def send_order(order: Any) -> str:
        order.status = Status.ALLTRADED
        trade = TradeData("SIM", NAME, Exchange.GLOBAL, order.orderid, f"t-{order.orderid}")
        trade.direction, trade.price, trade.volume = order.direction, order.price, order.volume
        server.publish("fill", (order, trade))
        return str(order.vt_orderid)

    server.register(send_order)
    while True:
        pacer.look()
        for _ in range(pacer.due()):
            now = time.time_ns()
            tick = TickData("SIM", NAME, Exchange.GLOBAL, datetime.now(UTC), bid_price_1=PRICE)
            server.publish("tick", (now, tick))
        wait = pacer.wait_ns()
        time.sleep(0.02 if wait is None else wait / 1e9)


def oms(folder: Path) -> None:
    server, orders = serve(folder, "oms"), {}

    def on_fill(filled: Any) -> None:
        order, _trade = filled
        orders[order.vt_orderid] = order
        server.publish("fill", filled)

    client = Client(folder, "venue", "fill", on_fill)

    def send_order(request: Any, orderid: str) -> str:
        order = request.create_order_data(orderid, "SIM")
        orders[order.vt_orderid] = order
        return str(client.send_order(order))

    server.register(send_order)
    server.join()


def strategy(folder: Path) -> None:
    report = Report(folder)
    oms_client = Client(folder, "oms", "fill", lambda filled: report.fill(_stamp(filled[0])))

    def on_tick(told: Any) -> None:
        sent, tick = told
        report.ticks += 1
        side = Direction.LONG if report.ticks % 2 else Direction.SHORT
        request = OrderRequest(tick.symbol, tick.exchange, side, OrderType.LIMIT, 1.0, PRICE)
        request.reference = str(sent)
        oms_client.send_order(request, f"{report.ticks:08}")

    Client(folder, "venue", "tick", on_tick)
    while True:
        time.sleep(0.05)
        report.flush_if_due()


def _stamp(order: Any) -> int:
    return int(order.reference)


if __name__ == "__main__":
    {"venue": venue, "oms": oms, "strategy": strategy}[sys.argv[1]](Path(sys.argv[2]))
