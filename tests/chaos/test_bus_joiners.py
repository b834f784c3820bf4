"""F2: readers join a stream late, while 5,000 facts a second go out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foxtrot.bus.messages import STREAM_SNAPSHOT, StreamRequest
from foxtrot.client.runner_orders import OrderFeed
from foxtrot.core.constants import Status
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.bridge.answers import stream_of
from foxtrot.server.journal import Journal
from foxtrot.server.persistence import SqlitePersistence
from tests.chaos.bus_child import Child
from tests.chaos.bus_facts import OMS, Fact, Reading, Wire, journal_digest
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault

AT_ONCE = 4
STAY = {"main": 3_000, "side": 400}  # events that come live or by replay, then the reader leaves


class View(Reading):
    """A reader with a view of working orders and of what was filled, as a strategy has it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.orders: dict[str, OrderData] = {}
        self.filled = 0.0
        self.begun = 0  # number of the snapshot

    def begin_view(self) -> None:
        self.orders.clear()
        self.filled = 0.0

    def fold_past(self, fact: TradeData) -> None:
        self.filled += fact.volume

    def end_view(self, snapshot: Any) -> None:
        self.begun = snapshot.seq
        self.orders = {order.vt_orderid: order for order in snapshot.orders}

    def on_fact(self, fact: Fact, seq: int) -> None:
        super().on_fact(fact, seq)
        if isinstance(fact, TradeData):
            self.filled += fact.volume
        elif fact.status is Status.ALLTRADED:
            self.orders.pop(fact.vt_orderid, None)
        else:
            self.orders[fact.vt_orderid] = fact


class Joiner:
    """A reader: snapshot, replay, live. Of ``side`` with a view folded from the past, of ``main`` without one."""

    def __init__(self, folder: Path, number: int) -> None:
        self.wire = Wire(folder, f"runner-{number}")
        client = self.wire.client(OMS)
        self.feed = OrderFeed(self.wire, OMS, client)  # type: ignore[arg-type]
        self.view = View("side" if number % 2 else "main")
        if number % 2:
            self.feed.follow(self.view, -1)
        else:
            client.send(STREAM_SNAPSHOT, StreamRequest("main"), on_reply=self._on_snapshot)

    def _on_snapshot(self, answer: Any) -> None:
        self.view.end_view(answer.body)
        self.feed.follow(self.view, answer.body.seq)

    @property
    def done(self) -> bool:
        return self.view.count >= STAY[self.view.name]


def judge(fault: Fault, journal: Journal, view: View) -> bool:
    """Count what a reader missed and what it got twice; returns whether its view is the journal's."""
    fault.lost += view.missed + abs(view.first - view.begun - 1)
    fault.duplicated += view.twice
    if view.digest != journal_digest(journal, view.name, view.begun + 1, view.last):
        return False
    orders: dict[str, OrderData] = {}
    filled, after = 0.0, 0
    while view.name == "side" and after < view.last:
        for row in journal.read(stream_of("side"), after, min(1_000, view.last - after)):
            after = row.stream_seq
            if isinstance(row.fact, TradeData):
                filled += row.fact.volume
            elif isinstance(row.fact, OrderData):
                orders[row.fact.vt_orderid] = row.fact
    working = {id_: order for id_, order in orders.items() if order.status is not Status.ALLTRADED}
    return view.name == "main" or (view.filled, view.orders) == (filled, working)


def join_all(fault: Fault, folder: Path, on_done: Callable[[View], object]) -> None:
    """Have readers come and go, a few at a time."""
    joined: list[Joiner] = []
    runs = fault.runs()
    more = True
    while more or joined:
        while more and len(joined) < AT_ONCE:
            run = next(runs, None)
            more = run is not None
            if run is not None:
                joined.append(Joiner(folder, run.number))
        for joiner in list(joined):
            joiner.wire.turn(0.002)
            if joiner.done:
                joined.remove(joiner)
                on_done(joiner.view)
                joiner.wire.close()


def test_f2_late_joiners(chaos: Chaos) -> None:
    must_hold = {
        **NOTHING_LOST_OR_DOUBLED,
        "4,500 a second at the least": lambda fault: fault.notes["a second"] >= 4_500,
        "each one's view is the journal's": lambda fault: fault.notes.get("equal") == fault.done,
    }
    with (
        chaos.fault(
            "F2", "late joiners at 5,000 messages a second", runs=(5, 200), must_hold=must_hold
        ) as fault,
        tempfile.TemporaryDirectory(prefix="fx") as name,
        Child("tests.chaos.bus_source_child", "facts", name) as source,
    ):
        assert source.line() == "up"
        views: list[View] = []
        join_all(fault, Path(name), views.append)
        fault.notes |= source.ask("end")
        with SqlitePersistence(Path(name) / "oms.db", lock_timeout=5.0) as store:
            fault.notes["equal"] = sum(judge(fault, store.journal, view) for view in views)
        fault.notes["events read"] = sum(view.count for view in views)
