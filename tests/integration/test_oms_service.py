"""The OMS as a process: an adapter and a strategy in this one talk to it over sockets, and it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from foxtrot.app.installation import Installation, load_installation
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.messages import (
    CONTROL_HALT,
    CONTROL_RESUME,
    ORDER_CANCEL,
    ORDER_SEND,
    QUERY_ACCOUNTS,
    QUERY_ORDERS,
    QUERY_POSITIONS,
    QUERY_SNAPSHOT,
    QUERY_TRADES,
    REPORTS,
    SERVICE_STATUS,
    STREAM_REPLAY,
    STREAM_SNAPSHOT,
    HaltRequest,
    HistoryQuery,
    ResumeRequest,
    StreamRequest,
    service_codec,
)
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, RpcError
from foxtrot.bus.rpc_outbox import ReliableSender
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.objects import CancelRequest, OrderData, OrderRequest, TradeData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.testing import make_contract, make_order_request, make_trade

CONFIG = """
name = "t"
run = "{run}"

[oms]
backup_every = 0.0
grace = 0.5

[risk]
max_volume = 50

[[adapters]]
name = "SIM"
kind = "tests:Nothing"

[[runners]]
name = "runner"
[[runners.strategies]]
name = "sma"
path = "tests:Nothing"
vt_symbols = ["TEST.LOCAL"]
"""


class World:
    """The OMS's process, and both of its neighbours in this one."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "t.toml"
        self.config.write_text(CONFIG.format(run=folder / "r"))
        self.installation: Installation = load_installation(self.config)
        self.clock = LiveClock()
        self.waiter = SocketWaiter(self.clock)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.codec = service_codec()
        self.epoch = self.clock.now()
        self.tells = True
        self.venue: list[OrderRequest] = []
        self.cancelled: list[str] = []
        self.fills: list[TradeData] = []
        self.seen: list[tuple[int, OrderData | TradeData]] = []
        self.process: subprocess.Popen[bytes] | None = None
        names = {"source": "adapter-sim", "epoch": self.epoch, "clock": self.clock}
        self.server = RpcServer(
            self.installation.endpoint("adapter-sim", "rpc"), self.codec, context=self.context,
            **names,
        )  # fmt: skip
        self.server.register(ORDER_SEND, self._take, OrderRequest)
        self.server.register(ORDER_CANCEL, self._cancel, CancelRequest)
        self.server.register(QUERY_SNAPSHOT, self._snapshot, None, keep=False)
        self.server.attach(self.waiter)
        oms = self.installation.endpoint("oms", "rpc")
        self.reporter = RpcClient(oms, self.codec, context=self.context, **names)
        self.outbox = ReliableSender(REPORTS, self.codec, self.clock, on_halt=pytest.fail)
        self.reporter.attach(self.waiter)
        self.reporter.send_reports(self.outbox)
        names["source"] = "runner"
        self.client = RpcClient(oms, self.codec, context=self.context, **names)
        self.client.attach(self.waiter)
        self.reader = Subscriber(
            self.context, self.clock, self._read, codec=self.codec, durable=("s/",),
            stream_of=lambda topic: "s/sma" if topic in ("eOrder.sma", "eTrade.sma") else topic,
        )  # fmt: skip
        self.reader.connect(self.installation.endpoint("oms", "pub"))
        self.reader.subscribe("eOrder.sma")
        self.reader.subscribe("eTrade.sma")
        self.waiter.add(self.reader.socket, self.reader.drain)

    # --- the adapter's side ---------------------------------------------------------------------------------

    def _take(self, asked: Any, _later: Any) -> None:
        self.venue.append(asked.body)
        self.outbox.put(self._order(asked.body, Status.NOTTRADED))

    def _cancel(self, asked: Any, _later: Any) -> None:
        self.cancelled.append(asked.body.vt_orderid)

    def _order(self, request: OrderRequest, status: Status, traded: float = 0.0) -> OrderData:
        now = self.clock.now()
        return OrderData(
            request.vt_orderid, request.vt_symbol, request.direction, request.type,
            request.volume, request.price, status=status, traded=traded, ts_event=now,
        )  # fmt: skip

    def _snapshot(self, _asked: Any, _later: Any) -> None:
        if not self.tells:
            raise RpcError("NO_SNAPSHOT", "the venue has no such question")
        traded: Counter[str] = Counter()
        for trade in self.fills:
            traded[trade.vt_orderid] += int(trade.volume)
        orders = tuple(
            self._order(
                request,
                Status.ALLTRADED if traded[request.vt_orderid] else Status.NOTTRADED,
                traded[request.vt_orderid],
            )
            for request in self.venue
        )
        self.outbox.put(
            VenueSnapshot(
                "SIM", self.clock.now(), orders, tuple(self.fills), open_orders_complete=True,
                history_since=0, fills_since=0,
            )
        )  # fmt: skip

    def fill(self, request: OrderRequest, number: int, volume: float = 1.0) -> TradeData:
        trade = make_trade(
            volume, 100.0, request.direction, vt_orderid=request.vt_orderid,
            vt_tradeid=f"SIM.x{number}", ts_event=self.clock.now(),
        )  # fmt: skip
        self.fills.append(trade)
        self.outbox.put(trade)
        return trade

    # --- the strategy's side --------------------------------------------------------------------------------

    def _read(self, _topic: str, envelope: Any) -> None:
        self.seen.append((envelope.seq, envelope.message))

    def ask(self, method: str, body: Any = None, timeout: float = 10.0) -> Any:
        outcomes: list[Any] = []
        self.client.send(
            method, body, on_reply=outcomes.append, timeout=int(timeout * NS_PER_SECOND)
        )
        self.until(lambda: outcomes, timeout + 1.0)
        outcome = outcomes[0]
        assert isinstance(outcome, Answer), outcome
        return outcome.body if outcome.ok else outcome

    # --- both -----------------------------------------------------------------------------------------------

    def until(self, done: Callable[[], Any], seconds: float = 10.0) -> None:
        end = self.clock.monotonic() + int(seconds * NS_PER_SECOND)
        while not done():
            assert self.clock.monotonic() < end, "it took too long"
            self.waiter.wait(min(0.02, self.clock.wait_ns() / NS_PER_SECOND))
            self.clock.fire_due()

    def start(self) -> None:
        command = [sys.executable, "-m", "services.oms", "--config", str(self.config)]
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
        self.until(lambda: self.ask(SERVICE_STATUS, timeout=5).state == "READY")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                assert self.process.wait(10) == 0
            finally:
                if self.process.poll() is None:
                    os.kill(self.process.pid, signal.SIGKILL)
                    self.process.wait(5)
        self.waiter.remove(self.reader.socket)
        self.reader.close()
        for part in (self.client, self.reporter, self.server):
            part.close()
        self.waiter.close()
        self.context.term()


@pytest.fixture
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="fx") as folder:  # short: sockets have short paths
        made = World(Path(folder))
        try:
            yield made
        finally:
            made.close()


def request(number: int, volume: float = 1.0) -> OrderRequest:
    return make_order_request(
        volume=volume, price=100.0, strategy="sma", vt_orderid=f"SIM.sma-{number}"
    )


def test_an_order_goes_through_and_everybody_is_told(world: World) -> None:
    world.outbox.put(make_contract())
    world.start()
    order = world.ask(ORDER_SEND, request(1))
    assert (order.vt_orderid, order.status) == ("SIM.sma-1", Status.SUBMITTING)
    world.until(lambda: world.venue)
    world.fill(world.venue[0], 1)
    world.until(lambda: len(world.seen) == 4)
    assert [number for number, _ in world.seen] == [1, 2, 3, 4]
    kinds = [getattr(message, "status", "fill") for _, message in world.seen]
    assert kinds == [Status.SUBMITTING, Status.NOTTRADED, Status.ALLTRADED, "fill"]

    assert world.ask(ORDER_SEND, request(1)).status is Status.ALLTRADED  # once for ever
    refused = world.ask(ORDER_SEND, request(1, volume=2.0))
    assert (refused.error_code, "used before" in refused.error_text) == ("REFUSED", True)
    assert "MAX_VOLUME" in world.ask(ORDER_SEND, request(2, volume=51.0)).reason
    assert len(world.venue) == 1

    assert [t.vt_tradeid for t in world.ask(QUERY_TRADES, HistoryQuery()).trades] == ["SIM.x1"]
    assert world.ask(QUERY_ORDERS, HistoryQuery(active=True)).orders == ()
    assert [p.volume for p in world.ask(QUERY_POSITIONS).positions] == [1.0]
    assert len(world.ask(QUERY_ACCOUNTS).accounts) == 1
    snapshot = world.ask(STREAM_SNAPSHOT, StreamRequest("sma"))
    assert (snapshot.seq, snapshot.orders, snapshot.last_id) == (5, (), 2)
    page = world.ask(STREAM_REPLAY, StreamRequest("sma", after=2, limit=2))
    assert (page.first, len(page.facts), page.last) == (3, 2, 5)

    halted = world.ask(CONTROL_HALT, HaltRequest("enough"))
    assert halted.text == "all trading is halted"
    assert "enough" in world.ask(ORDER_SEND, request(3)).reason
    assert world.ask(CONTROL_RESUME, ResumeRequest("again")).changed == 1
    world.ask(ORDER_SEND, request(4))
    world.until(lambda: len(world.venue) == 2)
    world.until(lambda: len(world.ask(QUERY_ORDERS, HistoryQuery(active=True)).orders) == 1)
    assert world.ask(ORDER_CANCEL, CancelRequest("SIM.sma-4")) is None
    world.until(lambda: world.cancelled)


def test_killed_at_any_moment_it_loses_nothing_and_repeats_nothing(world: World) -> None:
    world.outbox.put(make_contract())
    world.start()
    acknowledged: list[str] = []
    for life in range(3):
        for number in range(life * 10, life * 10 + 10):
            order = world.ask(ORDER_SEND, request(number))
            acknowledged.append(order.vt_orderid)
        world.until(lambda: len(world.venue) == len(acknowledged))
        for number in range(life * 10, life * 10 + 10):
            world.fill(world.venue[number], number)
        if life < 2:
            world.kill()  # some reports are folded and not acknowledged, some have not arrived
            world.start()
    fills = {f"SIM.x{number}" for number in range(30)}
    known: set[str] = set()

    def all_there() -> bool:
        page = world.ask(QUERY_TRADES, HistoryQuery(limit=100))
        known.update(trade.vt_tradeid for trade in page.trades)
        assert len(page.trades) == len(known)
        return known == fills

    world.until(all_there, 20.0)
    assert [request.vt_orderid for request in world.venue] == acknowledged  # none sent twice
    orders = world.ask(QUERY_ORDERS, HistoryQuery(limit=100)).orders
    assert {order.status for order in orders} == {Status.ALLTRADED}
    assert [p.volume for p in world.ask(QUERY_POSITIONS).positions] == [30.0]
    last = world.ask(STREAM_SNAPSHOT, StreamRequest("sma")).seq
    facts: list[Any] = []
    while len(facts) < last:
        facts += world.ask(STREAM_REPLAY, StreamRequest("sma", after=len(facts), limit=7)).facts
    stream = dict(enumerate(facts, 1))
    assert all(stream[number] == message for number, message in world.seen)  # numbers never change
    told = [fact.vt_tradeid for fact in facts if isinstance(fact, TradeData)]
    assert len(told) == len(set(told)) == 30


def test_an_adapter_that_cannot_say_how_its_account_stands_is_traded_at_all_the_same(
    world: World,
) -> None:
    world.tells = False
    world.outbox.put(make_contract())
    world.start()
    world.until(lambda: world.ask(ORDER_SEND, request(1)).status is Status.SUBMITTING)
    world.until(lambda: world.venue)


def test_a_second_oms_waits_and_then_gives_up(world: World) -> None:
    world.start()
    text = world.config.read_text().replace("grace = 0.5", "grace = 0.5\nlock_timeout = 0.2")
    other = world.config.with_name("u.toml")
    other.write_text(text.replace('run = "', 'run = "').replace("[oms]", "[oms]"))
    command = [sys.executable, "-m", "services.oms", "--config", str(other), "--name", "oms2"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, timeout=30, check=False)
    assert done.returncode == 75
    assert b"in use" in done.stdout


def test_orders_that_wait_together_share_a_commit(world: World) -> None:
    world.outbox.put(make_contract())
    world.start()
    world.ask(ORDER_SEND, request(1))
    world.until(lambda: any(m.status is Status.NOTTRADED for _, m in world.seen))
    before = world.ask(SERVICE_STATUS).counters["commits"]
    assert world.process is not None
    world.process.send_signal(signal.SIGSTOP)
    answers: list[Any] = []
    try:
        for number in range(2, 42):
            world.client.send(ORDER_SEND, request(number), on_reply=answers.append)
    finally:
        world.process.send_signal(signal.SIGCONT)
    world.until(lambda: len(answers) == 40)
    assert all(answer.ok for answer in answers)
    world.until(lambda: sum(m.status is Status.NOTTRADED for _, m in world.seen) == 41)
    assert world.ask(SERVICE_STATUS).counters["commits"] - before <= 40  # 80 if each had its own
