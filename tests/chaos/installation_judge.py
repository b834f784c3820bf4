"""The judge of an installation that was ended: OMS, venue and strategy must tell the same story, and nothing twice."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, NamedTuple

import msgspec

from foxtrot.adapter.paper_store import PaperStore
from foxtrot.app.adapter_build import build_adapter
from foxtrot.app.installation import Installation
from foxtrot.bus.messages import STREAM_REPLAY, StrategyControl, StreamRequest
from foxtrot.client.runner_store import RunnerStore
from foxtrot.core import events
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import Direction, Status
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import AccountData, OrderData, PositionData, TradeData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery, each
from foxtrot.server.persistence_verify import verify_state
from tests.chaos.installation_strategy import EMPTY, link
from tests.chaos.installation_world import Ear
from tests.chaos.judge import Judgement

NEVER_SENT = (Status.DENIED, Status.REJECTED)
ALL = 10_000_000


class Told(NamedTuple):
    """What the OMS says when all is quiet."""

    facts: list[OrderData | TradeData]
    positions: tuple[PositionData, ...]
    accounts: tuple[AccountData, ...]


class _NoLock:
    """Nobody else has the file: its process has ended."""

    def acquire(self, timeout: float) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


def ask(ear: Ear, service: str, method: str, body: Any = None) -> Any:
    """What a service answers; it is asked again until it does."""
    end = time.monotonic() + 30
    while (told := ear.ask(service, method, body)) is None:
        assert time.monotonic() < end, f"{service} does not answer {method}"
    return told


def quiet(ear: Ear, strategy: str = "d", runner: str = "strategies") -> Told:
    """Pause the strategy, wait until nothing is under way, and hear what the OMS has."""
    ask(ear, runner, "strategy.control", StrategyControl("pause", strategy))
    end, before = time.monotonic() + 60, None
    seen: list[tuple[int, ...]] = []
    while True:
        info = ask(ear, runner, "strategy.list").strategies[0]
        last = ask(ear, "oms", STREAM_REPLAY, StreamRequest(strategy, 0, 1)).last
        counters = ask(ear, "adapter-paper", "svc.status").counters
        doubtful = ask(ear, "oms", "svc.status").counters["unknown_orders"]
        now = (info.cursor, last, info.waiting, counters["outbox"], counters["reported"], doubtful)
        if now == before and info.cursor == last and now[2:4] == (0, 0) and not doubtful:
            break
        seen.append(now)
        assert time.monotonic() < end, (seen[:: len(seen) // 8 + 1], info, counters)
        before = now
        ear.listen(0.4)
    facts: list[OrderData | TradeData] = []
    while len(facts) < last:
        facts += ask(ear, "oms", STREAM_REPLAY, StreamRequest(strategy, len(facts), 500)).facts
    positions = ask(ear, "oms", "q.positions").positions
    return Told(facts, positions, ask(ear, "oms", "q.accounts").accounts)


def judge(installation: Installation, told: Told, strategy: str = "d") -> Judgement:
    """Hold the files of services that have ended against each other and against what the OMS told."""
    found = Judgement()
    orders = {fact.vt_orderid: fact for fact in told.facts if isinstance(fact, OrderData)}
    trades = [fact for fact in told.facts if isinstance(fact, TradeData)]
    found.doubled += _twice(trade.vt_tradeid for trade in trades)
    _judge_oms(found, installation, orders, trades)
    _judge_venue(found, installation, orders, trades)
    _judge_account(found, installation, told)
    _judge_strategy(found, installation, orders, trades, strategy, len(told.facts))
    return found


def _twice(names: Any) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _judge_oms(
    found: Judgement,
    installation: Installation,
    orders: dict[str, OrderData],
    trades: list[TradeData],
) -> None:
    """The file is whole, and holds what was told."""
    with SqlitePersistence(installation.database) as db:
        report = verify_state(db, dict(installation.oms.digits))
        if not report.ok:
            found.wrong.append(f"the OMS's file: {report}")
        stored = {o.vt_orderid: o for o in each(db.orders_page, PageQuery(limit=1_000))}
        fills = [t.vt_tradeid for t in each(db.trades_page, PageQuery(limit=1_000))]
    found.lost += sorted(orders.keys() - stored.keys())
    found.lost += sorted({trade.vt_tradeid for trade in trades} - set(fills))
    found.doubled += _twice(fills)
    found.wrong += [f"not the strategy's: {name}" for name in stored.keys() - orders.keys()]


def _judge_venue(
    found: Judgement,
    installation: Installation,
    orders: dict[str, OrderData],
    trades: list[TradeData],
) -> None:
    """Every order and fill of the venue is the OMS's, and the other way round."""
    store = PaperStore(installation.folder("state") / "adapter-paper.db")
    try:
        at_venue = {
            o.vt_orderid: o for o in [*store.working_orders(), *store.closed_orders(ALL)[0]]
        }
        fills = store.fills(ALL)[0]
    finally:
        store.close()
    found.lost += sorted(at_venue.keys() - orders.keys())
    for name, order in orders.items():
        there = at_venue.get(name)
        if there is None:
            if order.status not in NEVER_SENT:
                found.lost.append(f"{name} {order.status} is not at the venue")
        elif (there.status, there.traded) != (order.status, order.traded):
            there_is = f"{there.status} {there.traded}"
            found.wrong.append(
                f"{name}: {order.status} {order.traded} ({order.reason}), venue {there_is}"
            )
    found.doubled += _twice(fill.vt_tradeid for fill in fills)
    by_id = {fill.vt_tradeid: (fill.vt_orderid, fill.price, fill.volume) for fill in fills}
    ours = {trade.vt_tradeid: (trade.vt_orderid, trade.price, trade.volume) for trade in trades}
    found.lost += sorted(by_id.keys() - ours.keys())
    found.wrong += [f"fill {name}" for name in ours if by_id.get(name) != ours[name]]


def _judge_account(found: Judgement, installation: Installation, told: Told) -> None:
    """Positions and balances of the OMS are those of the venue's own snapshot."""
    snapshot = venue_snapshot(installation)
    ours = {(p.vt_symbol, p.direction): p.volume for p in told.positions if p.volume}
    venue = {(p.vt_symbol, p.direction): p.volume for p in snapshot.positions or () if p.volume}
    if ours != venue:
        found.wrong.append(f"positions {ours}, venue {venue}")
    money = {a.vt_accountid: round(a.balance, 2) for a in told.accounts}
    there = {a.vt_accountid: round(a.balance, 2) for a in snapshot.accounts}
    if money != there:
        found.wrong.append(f"balances {money}, venue {there}")


def venue_snapshot(installation: Installation) -> VenueSnapshot:
    """What the venue says of the account, its process having ended."""
    clock = LiveClock()
    engine = EventEngine(clock)
    heard: list[VenueSnapshot] = []
    engine.subscribe(events.REPORT_SNAPSHOT, heard.append)
    built = build_adapter(
        installation.adapter(),
        engine,
        state=installation.folder("state"),
        folder=installation.path.parent,
        watch=clock,
    )
    built.adapter.connect(built.setting)
    engine.drain()
    built.adapter.query_snapshot()
    engine.drain()
    built.adapter.close()
    engine.drain()
    return heard[-1]


def _judge_strategy(
    found: Judgement,
    installation: Installation,
    orders: dict[str, OrderData],
    trades: list[TradeData],
    strategy: str,
    last: int,
) -> None:
    """The strategy has heard of each fill once and in order, and what it decided is what the OMS has."""
    path = installation.folder("state") / f"{strategy}.db"
    store = RunnerStore(path, strategy, 0, _NoLock())
    try:
        stored, unsent = store.load()
    finally:
        store.close()
    assert stored.view is not None
    user = msgspec.msgpack.decode(stored.user)
    if stored.cursor != last or unsent:
        found.wrong.append(f"the strategy is at {stored.cursor} of {last}, {len(unsent)} unsent")
    untold = sum(isinstance(fact, TradeData) for fact in stored.missed or [])
    heard = _chain(trade.vt_tradeid for trade in trades[: len(trades) - untold])
    if (user["count"], user["filled"]) != (len(trades) - untold, heard):
        found.wrong.append(f"the strategy heard of {user['count']} fills of {len(trades)}")
    if user["decided"] != _chain(sorted(orders, key=_number)):
        found.wrong.append("what the strategy decided is not what the OMS has")
    _judge_answers(found, orders, trades[: len(trades) - untold])
    position = sum(t.volume * (1 if t.direction is Direction.LONG else -1) for t in trades)
    held = stored.view["positions"]["GOOG.NASDAQ"][0]
    if held != position:
        found.wrong.append(f"the strategy holds {held}, its fills make {position}")


def _judge_answers(found: Judgement, orders: dict[str, OrderData], trades: list[TradeData]) -> None:
    """Each fill of a bar's order was answered by one order."""
    answers = Counter(o.reference for o in orders.values() if o.reference.startswith("fill"))
    wanted = Counter(f"fill {t.vt_tradeid}" for t in trades if t.reference.startswith("bar"))
    found.lost += sorted(f"answer to {name}" for name in wanted - answers)
    found.doubled += sorted(f"answer to {name}" for name in answers - wanted)


def _chain(names: Any) -> str:
    chain = EMPTY
    for name in names:
        chain = link(chain, name)
    return chain


def _number(vt_orderid: str) -> int:
    return int(vt_orderid.rpartition("-")[2])
