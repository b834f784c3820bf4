"""A real OMS process, whose client and venue live in the process at the other end of a ``Link``.

Run as a program it is a nursery: it has imported everything and forks an OMS for each line that it is handed, so that
starting one takes milliseconds. An OMS can be told to kill itself at a named point of an order's way (``points``), or
to be wrong on purpose (``ack_first``: effects are released before the commit).
"""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from typing import Any, ClassVar

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.core import events
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import (
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderRequest,
    SubscribeRequest,
)
from foxtrot.server.engines import oms_reconcile
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.oms.reconcile_types import ReconcilePolicy
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery, each
from tests.chaos.link import Link
from tests.chaos.points import arm

DIGITS = {"USD": 4}
CONTRACTS = (
    ContractData("GOLD.LOCAL", min_volume=0.1, pricetick=0.01, adapter_name="SIM"),
    ContractData("RICE.LOCAL", min_volume=0.1, pricetick=0.01, adapter_name="SIM"),
)


class LinkedAdapter(BaseAdapter):
    """A venue at the other end of the line."""

    snapshots: ClassVar[bool] = True

    def __init__(self, event_engine: EventEngine, adapter_name: str, link: Link) -> None:
        super().__init__(event_engine, adapter_name)
        self.link = link

    def connect(self, setting: Mapping[str, Any]) -> None:
        for contract in CONTRACTS:
            self.on_contract(contract)

    def send_order(self, request: OrderRequest) -> str:
        self.link.send("send", request)
        return request.vt_orderid

    def cancel_order(self, request: CancelRequest) -> None:
        self.link.send("cancel", request)

    def query_snapshot(self) -> None:
        self.link.send("query")

    def close(self) -> None: ...
    def subscribe(self, request: SubscribeRequest) -> None: ...
    def modify_order(self, request: ModifyRequest) -> None: ...
    def query_account(self) -> None: ...
    def query_position(self) -> None: ...


class LinkWaiter:
    """The loop waits for the line, and for nothing else: this process has one thread."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.engine: EventEngine | None = None

    def wait(self, seconds: float) -> None:
        select.select([self.link], [], [], seconds)
        engine = self.engine
        assert engine is not None
        for topic, message in self.link.receive():
            engine.put_topic(engine.topic(topic), message)
        if self.link.ended:
            os._exit(0)  # nobody is there any more

    def wake(self) -> None: ...


class Process:
    """One OMS, wired to the line."""

    def __init__(self, link: Link, options: dict[str, Any]) -> None:
        self.link = link
        waiter = LinkWaiter(link)
        self.engine = EventEngine(LiveClock(), waiter=waiter)
        waiter.engine = self.engine
        grace = options.get("grace", 0.0)
        self.main = MainEngine(
            self.engine,
            persistence=SqlitePersistence(options["path"]),
            digits=DIGITS,
            policy=ReconcilePolicy(digits=DIGITS, grace=int(grace * NS_PER_SECOND))
            if grace
            else None,
            reconcile_interval=int(options.get("interval", 0.0) * NS_PER_SECOND),
        )
        self.main.add_adapter(LinkedAdapter, "SIM", link=link)
        for topic in (events.EVENT_ORDER, events.EVENT_TRADE):
            self.forward(topic)
        self.engine.subscribe("probe", self.answer)
        self.engine.subscribe("stop", self.stop)
        self.engine.subscribe("life", lambda _: link.send("life", self.main.oms.stalled))
        self.engine.subscribe(
            events.EVENT_ERROR, lambda error: link.send("error", str(error.error))
        )
        if options.get("ack_first"):
            self.main.oms._emit = self.engine.queue.append

    def forward(self, topic: str) -> None:
        self.engine.subscribe(topic, lambda message: self.link.send(topic, message))

    def run(self) -> None:
        oms = self.main.oms
        oms.load_state()
        self.link.send("loaded", {"unknown": sorted(oms.doubtful)})
        self.main.connect({}, "SIM")
        self.engine.run()
        self.main.close()
        self.link.send("closed")

    def stop(self, _message: Any) -> None:
        self.engine._running = False

    def answer(self, _message: Any) -> None:
        """How everything stands."""
        oms = self.main.oms
        oms.flush()  # what is in memory alone is nobody's business
        self.link.send(
            "state",
            {
                "clear": not (oms.doubtful or oms.awaited("SIM") or oms.stalled or oms.halted),
                "stalled": oms.stalled,
                "halted": oms.halted,
                "unknown": sorted(oms.doubtful),
                "blocks": [reason for reason in oms.gate.blocks.values()],
                "duplicates": oms.duplicates,
                "positions": {key: leg.state()[:3] for key, leg in oms.positions.legs.items()},
                "orders": {
                    o.vt_orderid: (o.status.value, o.traded, o.strategy)
                    for o in each(oms.orders_page, PageQuery(limit=1_000))
                },
                "trades": {
                    t.vt_tradeid: (t.volume, t.price)
                    for t in each(oms.trades_page, PageQuery(limit=1_000))
                },
            },
        )


def be_an_oms(sock: socket.socket, options: dict[str, Any]) -> None:
    """Live until killed, stopped, or alone."""
    link = Link(sock, blocking=True)
    try:
        if haste := options.get("haste"):
            oms_reconcile.HASTE_NS = int(haste * NS_PER_SECOND)
        if point := options.get("point"):
            arm(point)
        Process(link, options).run()
    except BaseException:  # noqa: BLE001 - it is told, and this process ends
        link.send("died", traceback.format_exc())
    os._exit(0)


def nursery(control: socket.socket) -> None:
    """Fork an OMS for each line that comes; end when nobody holds the other end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need no burying
    logging.getLogger("foxtrot").addHandler(logging.NullHandler())
    logging.getLogger("foxtrot").propagate = False
    gc.collect()
    gc.freeze()
    while True:
        message, (*fds,), _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not message:
            return
        pid = os.fork()
        if not pid:
            control.close()
            be_an_oms(socket.socket(fileno=fds[0]), json.loads(message))
        os.close(fds[0])
        control.send(str(pid).encode())


if __name__ == "__main__":
    nursery(socket.socket(fileno=int(sys.argv[1])))
