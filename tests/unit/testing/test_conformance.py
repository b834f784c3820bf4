"""The conformance suite, run on our own adapters, and on one that breaks the contract in every way."""

from __future__ import annotations

import threading
import time
from unittest import SkipTest

import pytest

from foxtrot.adapter.paper import PaperAdapter
from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import Status
from foxtrot.core.errors import PersistenceError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import OrderRequest
from foxtrot.simulation.models import ExecutionModel
from foxtrot.testing import START, ScriptedAdapter, make_contract, make_tick
from foxtrot.testing.conformance import AdapterConformance

SYMBOL = "TEST.LOCAL"


class _OnSimulatedTime(AdapterConformance):
    vt_symbol = SYMBOL
    volume = 3.0
    resting_price = 50.0
    other_price = 51.0
    quiet = 0.01

    size = 1_000.0

    def make_event_engine(self) -> EventEngine:
        return EventEngine(SimulatedClock(START))

    def next_quote(self, desk):
        return make_tick(
            99.0,
            101.0,
            SYMBOL,
            ts_event=desk.event_engine.clock.now(),
            ask_volume_1=self.size,
            bid_volume_1=self.size,
        )

    def thin_market(self, desk) -> None:
        self.size = 2.0  # half of it is ours


class TestPaper(_OnSimulatedTime):
    def make_adapter(self, event_engine: EventEngine) -> PaperAdapter:
        self.size = 1_000.0
        model = ExecutionModel(volume_share=0.5)
        return PaperAdapter(event_engine, contracts=[make_contract()], model=model)

    def move_market(self, desk) -> None:
        tick = self.next_quote(desk)
        desk.event_engine.put_topic(desk.event_engine.topic(events.EVENT_TICK + SYMBOL), tick)

    def lose_answers(self, desk) -> None:
        """The disk does not work, so nothing may be said."""

        def broken(*_arguments, **_options):
            raise PersistenceError("the disk is full")

        desk.adapter._desk.store.commit = broken


class TestPaperInAFile(TestPaper):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path) -> None:
        self.adapter_path = tmp_path / "paper.sqlite3"
        self.desk.adapter.close()
        self.setting = {"path": str(self.adapter_path)}
        self.connect()


class TestPaperOnTheWall(TestPaper):
    """Live clock: reports are stamped by it."""

    def make_event_engine(self) -> EventEngine:
        return EventEngine()


class _Announcing(SimulatedAdapter):
    """In a backtest contracts are announced as they are listed; here at each connection."""

    def connect(self, setting) -> None:
        for book in self.exchange.books.values():
            self.on_contract(book.instrument.contract)
        super().connect(setting)


class TestSimulated(_OnSimulatedTime):
    def make_adapter(self, event_engine: EventEngine) -> SimulatedAdapter:
        self.size = 1_000.0
        adapter = _Announcing(event_engine, model=ExecutionModel(volume_share=0.5))
        adapter.list_contract(make_contract(), on_ticks=True)
        return adapter

    def move_market(self, desk) -> None:
        book = desk.adapter.exchange.books[SYMBOL]
        book.market.last = self.next_quote(desk)
        desk.adapter.exchange.on_tick(book, book.market.last)

    def test_a_repeated_request_is_one_order(self) -> None:
        raise SkipTest(
            "the backtest's venue lives in one process with the OMS, which never repeats a request"
        )


class _Broken(ScriptedAdapter):
    """Fills at once, and breaks one rule at a time."""

    snapshots = False
    rule = ""

    def connect(self, setting) -> None:
        self.known = set()
        self.on_contract(make_contract(adapter_name=self.adapter_name))
        if self.rule == "blocks":
            time.sleep(0.3)
        if self.rule == "thread":
            self.stop = threading.Event()
            self.thread = threading.Thread(target=self.stop.wait, name="left", args=(3.0,))
            self.thread.start()

    def send_order(self, request: OrderRequest) -> str:
        if (
            self.is_closed
            or self.rule == "rejects"
            or (request in self.sent and self.rule != "twice")
        ):
            if self.rule == "rejects":
                self.sent.append(request)
                self.report(request.vt_orderid, Status.REJECTED, reason="time-out")
            return request.vt_orderid
        super().send_order(request)
        echo = {"strategy": request.strategy, "reference": request.reference}
        if self.rule == "echo":
            echo = {}
        self.report(request.vt_orderid, Status.NOTTRADED, **echo)
        if request.price == 0.0:
            fields = {"vt_tradeid": "OTHER.1"} if self.rule == "names" else {}
            self.fill(request.vt_orderid, request.volume, 100.0, **fields)
        if self.rule == "early":
            self.event_engine.drain()
        return "SIM.other" if self.rule == "id" else request.vt_orderid

    def cancel_order(self, request) -> None:
        sent = any(r.vt_orderid == request.vt_orderid for r in self.sent)
        if sent or self.rule == "cancel":
            vt_orderid = request.vt_orderid if sent else self.sent[0].vt_orderid
            filled = any(r.vt_orderid == vt_orderid and not r.price for r in self.sent)
            if not filled or self.rule == "revive":
                self.report(vt_orderid, Status.CANCELLED)

    def query_account(self) -> None:
        from foxtrot.testing import make_account

        self.on_account(make_account())


BREACHES = {
    "blocks": "test_queries_neither_block_nor_raise",
    "thread": "test_close_ends_its_threads",
    "twice": "test_a_repeated_request_is_one_order",
    "echo": "test_a_resting_order_is_reported_as_it_was_sent",
    "names": "test_the_name_is_the_first_part_of_all_ids",
    "early": "test_a_market_order_fills_whole",
    "id": "test_a_market_order_fills_whole",
    "cancel": "test_cancelling_what_is_unknown_does_no_harm",
    "revive": "test_cancelling_what_has_filled_changes_nothing",
    "rejects": "test_an_unknown_outcome_is_never_a_rejection",
}


def suite_for(rule):
    class Suite(AdapterConformance):
        vt_symbol = SYMBOL
        resting_price = 50.0
        time_limit = 0.3
        quiet = 0.01

        def make_adapter(self, event_engine):
            adapter = _Broken(event_engine)
            adapter.rule = rule
            return adapter

        def lose_answers(self, desk) -> None:
            """It answers a time-out by itself."""

    return Suite()


def run(suite, name) -> None:
    try:
        suite.setup_method()
        getattr(suite, name)()
    finally:
        adapter = suite.desk.adapter
        if hasattr(adapter, "stop"):
            adapter.stop.set()
            adapter.thread.join()
        suite.teardown_method()


@pytest.mark.parametrize(("rule", "name"), BREACHES.items())
def test_a_breach_of_the_contract_is_found(rule, name) -> None:
    with pytest.raises(AssertionError):
        run(suite_for(rule), name)


@pytest.mark.parametrize("name", sorted(set(BREACHES.values())))
def test_an_adapter_that_keeps_the_contract_passes(name) -> None:
    run(suite_for(""), name)


def test_what_is_not_written_is_said() -> None:
    class Suite(AdapterConformance):
        pass

    with pytest.raises(NotImplementedError, match="make_adapter"):
        Suite().setup_method()
