"""A small OMS and an adapter's service for a strategy runner, which runs here or in a process of its own."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import zmq
from msgspec.structs import replace

from foxtrot.app.installation import load_installation
from foxtrot.app.process import ServiceProcess
from foxtrot.app.strategy_service import start_runner
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.messages import (
    MARKET_SUBSCRIBE,
    ORDER_CANCEL,
    ORDER_MODIFY,
    ORDER_SEND,
    PACE,
    QUERY_CONTRACTS,
    QUERY_HISTORY,
    STRATEGY_CONTROL,
    STRATEGY_LIST,
    STREAM_REPLAY,
    STREAM_SNAPSHOT,
    BarPage,
    ContractList,
    PaceReply,
    PaceRequest,
    StrategyControl,
    StrategyInfo,
    StreamPage,
    StreamSnapshot,
    service_codec,
)
from foxtrot.bus.publisher import Publisher
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome, RpcError
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import Direction, Status
from foxtrot.core.objects import BarData, OrderData, OrderRequest, TickData, TradeData
from foxtrot.server.oms.requests import order_of
from foxtrot.testing import make_bar, make_contract

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_700_000_040 * SECOND
A, B = "A.LOCAL", "B.LOCAL"
ADAPTER, SERVICE = "SIM", "adapter-sim"

CONFIG = """
name = "test"
run = "run"
[oms]
lock_timeout = 0.2
[[adapters]]
name = "SIM"
[[adapters.data]]
sample = "GOOG"
{adapter}
[[runners]]
name = "strategies"
"""

STRATEGY = """
[[runners.strategies]]
name = "{name}"
path = "{path}"
vt_symbols = {symbols}
{more}
"""


def bar(number: int, close: float = 100.0, vt_symbol: str = A) -> BarData:
    """The ``number``-th minute's bar."""
    return make_bar(close, vt_symbol, ts_open=START + number * MINUTE)


def configure(folder: Path, *strategies: str, adapter: str = "") -> Path:
    path = folder / "test.toml"
    path.write_text(CONFIG.format(adapter=adapter) + "".join(strategies))
    return path


def strategy(name: str, path: str, more: str = "", symbols: str = f'["{A}"]') -> str:
    return STRATEGY.format(name=name, path=path, symbols=symbols, more=more)


class World:
    """Stands in for the OMS and the adapter; keeps a journal for each strategy."""

    def __init__(self, config: Path, epoch: int = 1) -> None:
        self.installation = load_installation(config)
        self.clock = LiveClock()
        self.loop = SocketWaiter(self.clock)
        self.context: zmq.Context[Any] = zmq.Context()
        self.codec = service_codec()
        self.epoch = epoch
        self.journal: dict[str, list[OrderData | TradeData]] = defaultdict(list)
        self.requests: dict[str, OrderRequest] = {}
        self.orders: dict[str, OrderData] = {}
        self.came: list[tuple[str, str, Any]] = []
        self.contracts = {A: make_contract(A), B: make_contract(B)}
        self.history: dict[str, list[BarData]] = {}
        self.subscribed: list[str] = []
        self.fills = True
        self.works = True
        self.rounds = 0  # of a paced replay
        self.lost = 0  # publications of the order streams that are to be lost
        self.refuse: tuple[str, str] | None = None
        self.silent = False
        self.archived = 0
        self.trades = 0
        self.clients: dict[str, RpcClient] = {}
        self.last_beat = 0
        self.boxes: list[Box] = []
        self.open_oms()
        self.open_adapter()

    def reread(self) -> None:
        """The installation's file has changed."""
        self.installation = load_installation(self.installation.path)

    # --- services -------------------------------------------------------------------------------------------

    def _server(self, service: str) -> tuple[Publisher, RpcServer]:
        where = self.installation.endpoint
        publisher = Publisher(
            self.context, where(service, "pub"), service, self.epoch, self.clock, self.codec
        )
        server = RpcServer(
            where(service, "rpc"),
            self.codec,
            source=service,
            epoch=self.epoch,
            clock=self.clock,
            context=self.context,
        )
        server.attach(self.loop)
        return publisher, server

    def open_oms(self) -> None:
        self.oms, server = self.oms_sockets = self._server("oms")
        for name, facts in self.journal.items():
            self.oms.seed(f"s/{name}", len(facts))
        server.register(QUERY_CONTRACTS, self._contracts, keep=False)
        server.register(ORDER_SEND, self._send)
        server.register(ORDER_MODIFY, self._modify)
        server.register(ORDER_CANCEL, self._cancel)
        server.register(STREAM_SNAPSHOT, self._snapshot, keep=False)
        server.register(STREAM_REPLAY, self._replay, keep=False)

    def open_adapter(self) -> None:
        self.adapter, server = self.adapter_sockets = self._server(SERVICE)
        server.register(MARKET_SUBSCRIBE, self._subscribe)
        server.register(QUERY_HISTORY, self._history, keep=False)

    def close_oms(self) -> None:
        for socket in reversed(self.oms_sockets):
            socket.close()

    def restart_oms(self) -> None:
        self.close_oms()
        self.epoch += 1
        self.open_oms()

    def close_adapter(self) -> None:
        for socket in reversed(self.adapter_sockets):
            socket.close()

    # --- answers --------------------------------------------------------------------------------------------

    def _contracts(self, asked, _later):
        return ContractList(tuple(c for n, c in self.contracts.items() if n in asked.body.names))

    def _send(self, asked, later):
        request = asked.body
        self.came.append((asked.id, asked.method, request))
        if self.silent:
            later()
            return None
        if self.refuse is not None:
            raise RpcError(*self.refuse)
        known = self.requests.setdefault(request.vt_orderid, request)
        if known != request:
            raise RpcError("REFUSED", f"the id {request.vt_orderid} was used for another order")
        if request.vt_orderid not in self.orders:
            self._accept(request)
        return self.orders[request.vt_orderid]

    def _accept(self, request: OrderRequest) -> None:
        order = replace(order_of(request, self.clock.now()), status=Status.NOTTRADED)
        self.fact(order)
        if self.fills:
            self.fill(order.vt_orderid)

    def fill(self, vt_orderid: str, volume: float = 0.0, price: float = 100.0) -> TradeData:
        order = self.orders[vt_orderid]
        volume = volume or order.remaining
        self.trades += 1
        trade = TradeData(
            f"{ADAPTER}.t{self.trades}",
            vt_orderid,
            order.vt_symbol,
            order.direction,
            price,
            volume,
            self.clock.now(),
            strategy=order.strategy,
            reference=order.reference,
        )
        traded = order.traded + volume
        status = Status.ALLTRADED if traded >= order.volume else Status.PARTTRADED
        self.fact(replace(order, traded=traded, status=status))
        self.fact(trade)
        return trade

    def fact(self, fact: OrderData | TradeData) -> None:
        """Write into a strategy's journal, then publish."""
        name = fact.strategy
        self.journal[name].append(fact)
        if isinstance(fact, OrderData):
            self.orders[fact.vt_orderid] = fact
        if self.lost:
            self.lost -= 1
            self.oms.seed(f"s/{name}", len(self.journal[name]))
            return
        kind = "eOrder." if isinstance(fact, OrderData) else "eTrade."
        self.oms.publish(kind + name, fact, len(self.journal[name]), f"s/{name}")

    def _modify(self, asked, _later):
        self.came.append((asked.id, asked.method, asked.body))

    def _cancel(self, asked, _later):
        self.came.append((asked.id, asked.method, asked.body))
        order = self.orders.get(asked.body.vt_orderid)
        if order is None or not order.is_active():
            raise RpcError("REFUSED", f"order {asked.body.vt_orderid} is not working")
        self.fact(replace(order, status=Status.CANCELLED))

    def _snapshot(self, asked, _later):
        name = asked.body.strategy
        working = [o for o in self.orders.values() if o.is_active() and o.strategy == name]
        ids = {o.vt_orderid for o in working}
        facts = self.journal[name]
        fills = [f for f in facts if isinstance(f, TradeData) and f.vt_orderid in ids]
        numbers = [int(i.rpartition("-")[2]) for i, o in self.orders.items() if o.strategy == name]
        return StreamSnapshot(
            name, len(facts), tuple(working), tuple(fills), max(numbers, default=0)
        )

    def _replay(self, asked, _later):
        query = asked.body
        if not self.works:
            raise RpcError("NOT_READY", "the OMS has not loaded its state yet")
        if query.after < self.archived:
            raise RpcError("ARCHIVED", f"events to {self.archived} are archived")
        facts = self.journal[query.strategy]
        page = tuple(facts[query.after : query.after + min(query.limit, 7)])
        return StreamPage(query.strategy, query.after + 1, page, len(facts))

    def _subscribe(self, asked, _later):
        self.subscribed.append(asked.body.vt_symbol)

    def _history(self, asked, _later):
        query = asked.body
        bars = self.history.get(query.vt_symbol, ())
        return BarPage(
            tuple(b for b in bars if b.interval is query.interval and b.ts_open >= query.start)
        )

    # --- market data ----------------------------------------------------------------------------------------

    def show(self, *messages: BarData | TickData) -> None:
        for message in messages:
            kind = "eBar." if isinstance(message, BarData) else "eTick."
            self.adapter.publish(kind + message.vt_symbol, message)

    # --- the loop -------------------------------------------------------------------------------------------

    def step(self, seconds: float = 0.01) -> None:
        now = self.clock.monotonic()
        if now - self.last_beat > SECOND // 5:
            self.last_beat = now
            for publisher in (self.oms, self.adapter):
                if not publisher._socket.closed:
                    publisher.heartbeat("READY")
        self.loop.wait(0.0 if self.boxes else min(seconds, self.clock.wait_ns() / SECOND))
        self.clock.fire_due()
        for box in self.boxes:
            box.step()

    def pump(self, until: Any, seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, (
                f"the condition did not come true in time: {[b.infos() for b in self.boxes]}"
            )
            self.step()

    def run_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    # --- asking the runner ----------------------------------------------------------------------------------

    def ask(self, method: str, body: Any = None, service: str = "strategies") -> Outcome:
        client = self.clients.get(service)
        if client is None:
            client = self.clients[service] = RpcClient(
                self.installation.endpoint(service, "rpc"),
                self.codec,
                source="desk",
                epoch=self.clock.now(),
                clock=self.clock,
                context=self.context,
            )
            client.attach(self.loop)
        outcomes: list[Outcome] = []
        client.send(method, body, on_reply=outcomes.append, timeout=3 * SECOND)
        self.pump(lambda: outcomes)
        return outcomes[0]

    def control(self, verb: str, name: str = "") -> Answer:
        outcome = self.ask(STRATEGY_CONTROL, StrategyControl(verb, name))
        assert isinstance(outcome, Answer)
        return outcome

    def infos(self) -> dict[str, StrategyInfo]:
        outcome = self.ask(STRATEGY_LIST)
        if not isinstance(outcome, Answer):
            return {}
        return {info.name: info for info in outcome.body.strategies}

    def until_state(self, state: str, name: str = "s", seconds: float = 15.0) -> StrategyInfo:
        end = time.monotonic() + seconds
        while True:
            info = self.infos().get(name)
            if info is not None and info.state == state:
                return info
            assert time.monotonic() < end, info
            self.run_for(0.02)

    def pace(self, number: int, ts: int, horizon: int = 0) -> PaceReply:
        """Put the clock forward, and let a step go where one waits; returns how the runner stood before it."""
        self.rounds += 1
        outcome = self.ask(PACE, PaceRequest(number, ts, horizon))
        assert isinstance(outcome, Answer)
        assert outcome.ok, outcome
        reply = outcome.body
        if reply.idle and (reply.held or 0 < reply.due <= ts):
            self.ask(PACE, PaceRequest(number, ts, horizon, outcome.epoch, self.rounds))
            return replace(reply, idle=False)
        return reply

    def close(self) -> None:
        for box in list(self.boxes):
            box.crash()
        for client in self.clients.values():
            client.close()
        self.close_oms()
        self.close_adapter()
        self.loop.close()
        self.context.destroy(linger=0)

    # --- what the OMS knows ---------------------------------------------------------------------------------

    def trades_of(self, name: str = "s") -> list[TradeData]:
        return [fact for fact in self.journal[name] if isinstance(fact, TradeData)]

    def position(self, name: str = "s") -> float:
        return sum(
            t.volume if t.direction is Direction.LONG else -t.volume for t in self.trades_of(name)
        )

    def sent(self) -> list[OrderRequest]:
        """Orders in the order in which they were first seen."""
        return list(self.requests.values())


class Box:
    """A runner in this process, stepped by hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.process = ServiceProcess(
            world.installation, "strategies", "strategy", supervised=False
        )
        self.runner = start_runner(self.process)
        world.boxes.append(self)

    def __getitem__(self, name: str) -> Any:
        return self.runner.strategies[name]

    def user(self, name: str = "s") -> Any:
        """The user's strategy object."""
        return self[name].host.strategy

    def infos(self) -> list[StrategyInfo]:
        return [s.info(0) for s in self.runner.strategies.values()]

    def step(self) -> None:
        self.process.waiter.wait(0.001)
        self.process.event_engine._serve_timers()
        self.process.event_engine.drain()

    def live(self) -> Box:
        """Wait until every strategy is where it should be."""
        self.world.pump(lambda: all(s.is_settled for s in self.runner.strategies.values()))
        return self

    def crash(self) -> None:
        """End as SIGKILL does: nothing is saved any more."""
        self.world.boxes.remove(self)
        for name, close in reversed(self.process._closers):
            if name != "the strategies":
                close()
        self.process._closers.clear()
        for one in self.runner.strategies.values():
            with contextlib.suppress(Exception):
                one.host.unwire()
        self.process._end()

    def stop(self) -> None:
        """End in order."""
        self.world.boxes.remove(self)
        self.process._end()
