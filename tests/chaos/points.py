"""Named points of an order's way at which an OMS process kills itself.

A point is ``[message, number, place]``: which message (``order``, ``report``, ``snapshot``), the how-manieth of its
kind in this process (from 0 on), and where on its way:

``before fold``, ``after fold`` (before its commit), ``in commit`` (all is written, the transaction is open),
``after commit`` (durable, no effect is out), ``before send``, ``after send`` (the venue has it, nobody else knows),
``after publish``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from foxtrot.core.event_engine import EventEngine
from foxtrot.server.engines.oms_engine import OmsEngine
from foxtrot.server.persistence import SqlitePersistence

FOLD_PLACES = ("before fold", "after fold", "in commit", "after commit")
PLACES = {
    "order": (*FOLD_PLACES, "before send", "after send", "after publish"),
    "report": (*FOLD_PLACES, "after publish"),
    "snapshot": FOLD_PLACES,
}


def die() -> NoReturn:
    """The end, with nothing put in order."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def arm(point: list[Any]) -> None:
    """Have this process die at a point."""
    kind, number, place = point
    _Trap(kind, number, place).set()


class _Trap:
    """Wraps the OMS's handlers; ``due`` from when the message in question came."""

    def __init__(self, kind: str, number: int, place: str) -> None:
        self.kind, self.number, self.place = kind, number, place
        self.seen = 0
        self.due = False

    def set(self) -> None:
        names = {
            "order": ["on_order_request"],
            "report": ["on_order_report", "on_trade_report"],
            "snapshot": ["on_snapshot_report"],
        }[self.kind]
        for name in names:
            setattr(OmsEngine, name, self.handler(getattr(OmsEngine, name)))
        commit = SqlitePersistence._commit
        SqlitePersistence._commit = self.commit(commit)  # type: ignore[method-assign]
        from tests.chaos.oms_child import LinkedAdapter, Process

        LinkedAdapter.send_order = self.send(LinkedAdapter.send_order)  # type: ignore[method-assign]
        if self.place == "after publish":
            Process.forward = self.forward()  # type: ignore[method-assign]

    def handler(self, handle: Callable[..., None]) -> Callable[..., None]:
        nested = [0]

        def handled(oms: OmsEngine, message: Any) -> None:
            if nested[0]:  # a report that reconciliation folds
                handle(oms, message)
                return
            now = self.seen == self.number
            self.due = self.due or now  # its step may hold more messages
            self.seen += 1
            if now and self.place == "before fold":
                die()
            nested[0] += 1
            handle(oms, message)
            nested[0] -= 1
            if now and self.place == "after fold":
                die()

        return handled

    def commit(self, commit: Callable[[Any], None]) -> Callable[[Any], None]:
        def committed(db: SqlitePersistence) -> None:
            if self.due and self.place == "in commit":
                die()
            commit(db)
            if self.due and self.place == "after commit":
                die()

        return committed

    def send(self, send: Callable[..., str]) -> Callable[..., str]:
        def sent(adapter: Any, request: Any) -> str:
            if self.due and self.place == "before send":
                die()
            vt_orderid = send(adapter, request)
            if self.due and self.place == "after send":
                die()
            return vt_orderid

        return sent

    def forward(self) -> Callable[[Any, str], None]:
        def forward(process: Any, topic: str) -> None:
            def published(message: Any) -> None:
                process.link.send(topic, message)
                if self.due:
                    die()

            engine: EventEngine = process.engine
            engine.subscribe(topic, published)

        return forward
