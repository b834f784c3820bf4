"""Killed at any moment, a paper venue goes on as if it had not been: nothing lost, nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foxtrot.adapter.paper import PaperAdapter
from foxtrot.adapter.paper_desk import PaperDesk
from foxtrot.adapter.paper_store import PaperStore
from foxtrot.adapter.replay import ReplayAdapter
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import Direction
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.events import REPORT_ORDER, REPORT_TRADE
from foxtrot.core.objects import ModifyRequest
from foxtrot.simulation.models import ExecutionModel, MarketFill
from foxtrot.testing import make_bar, make_contract, make_order_request, make_tick
from tests.unit.adapter.paper_helpers import SECOND, START, SYMBOL, Process, tick_columns

MODEL = ExecutionModel(volume_share=0.5)
ROOT = Path(__file__).resolve().parents[3]


class KilledError(BaseException):
    """The process is gone."""


class Doomed:
    """Dies before or after the commits that it is told."""

    def __init__(self, monkeypatch, before=(), after=()) -> None:
        self.commits = 0
        commit, release = PaperStore.commit, PaperDesk._release

        def committing(store, *arguments, **options):
            self.commits += 1
            if self.commits in before:
                raise KilledError
            commit(store, *arguments, **options)

        def releasing(desk, reports):
            if reports and self.commits in after:
                raise KilledError
            release(desk, reports)

        monkeypatch.setattr(PaperStore, "commit", committing)
        monkeypatch.setattr(PaperDesk, "_release", releasing)


prices = st.integers(95, 105).map(float)
steps = st.one_of(
    st.tuples(st.just("tick"), prices, st.integers(1, 6)),
    st.tuples(st.just("tick"), prices, st.integers(1, 6)),
    st.tuples(st.just("order"), st.booleans(), st.integers(1, 5), st.one_of(st.just(0.0), prices)),
    st.tuples(st.just("bracket"), st.booleans(), st.integers(1, 5)),
    st.tuples(st.just("cancel"), st.integers(1, 6)),
    st.tuples(st.just("modify"), st.integers(1, 6), prices),
)


def play(process, step, number, bars):
    match step:
        case ("tick", price, size) if bars:
            bar = make_bar(
                price + 0.5,
                SYMBOL,
                ts_open=START + number * 60 * SECOND,
                open_price=price,
                high_price=price + 2.0,
                low_price=price - 2.0,
                volume=2.0 * size,
            )
            process.publish(bar)
        case ("modify", which, price):
            process.paper.modify_order(ModifyRequest(f"PAPER.s-{which}", price=price))
            process.engine.drain()
        case ("tick", bid, size):
            tick = make_tick(
                bid,
                bid + 1,
                SYMBOL,
                ts_event=START + number * SECOND,
                bid_volume_1=2.0 * size,
                ask_volume_1=2.0 * size,
            )
            process.publish(tick)
        case ("order", buying, volume, price):
            side = Direction.LONG if buying else Direction.SHORT
            process.send(side, float(volume), price, vt_orderid=f"PAPER.s-{number}")
        case ("bracket", buying, volume):
            sign = 1 if buying else -1
            process.send(
                Direction.LONG if buying else Direction.SHORT,
                float(volume),
                stop_loss=100.0 - 4 * sign,
                take_profit=100.0 + 4 * sign,
                vt_orderid=f"PAPER.s-{number}",
            )
        case ("cancel", which):
            process.cancel(f"PAPER.s-{which}")


def survive(path, steps, told, model, bars):
    """Play all steps; where the process dies, another one takes up the file and the step is repeated."""
    process = Process(path, model=model, setting={"durable": False})
    for number, step in enumerate(steps, 1):
        while True:
            seen = process.paper._desk.venue.clock.ns
            try:
                play(process, step, number, bars)
                break
            except KilledError:
                told += process.told.trades
                process.kill()
                process = Process(path, model=model, setting={"durable": False})
                now = process.paper._desk.venue.clock.ns
                if (
                    step[0] == "tick" and now > seen
                ):  # it was saved, so its source goes on behind it
                    break
    shot = process.snapshot()
    told += process.told.trades
    process.paper.close()
    return shot


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(steps, min_size=5, max_size=25),
    st.sets(st.integers(1, 25), max_size=4),
    st.sets(st.integers(1, 25), max_size=4),
    st.booleans(),
    st.sampled_from(MarketFill),
)
def test_a_venue_that_is_killed_at_commits_ends_where_the_other_one_does(
    steps, before, after, bars, market_fill
) -> None:
    model = ExecutionModel(volume_share=0.5, market_fill=market_fill)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        expected = survive(Path(folder) / "a.sqlite3", steps, [], model, bars)
        Doomed(monkeypatch, before, after)
        told = []
        shot = survive(Path(folder) / "b.sqlite3", steps, told, model, bars)
    assert shot.orders == expected.orders
    assert shot.fills == expected.fills
    assert shot.positions == expected.positions
    assert shot.accounts == expected.accounts
    # whatever was told is not forgotten
    listed = {trade.vt_tradeid: trade for trade in shot.fills}
    assert all(listed[trade.vt_tradeid] == trade for trade in told)


class Runner:
    """A participant of a paced replay that keeps how far it came, and sends each decision under the step's number."""

    def __init__(self, deaths) -> None:
        self.deaths = set(deaths)
        self.done = 0
        self.closes = []

    def attach(self, process) -> None:
        self.process = process
        pacer = process.replay.pace(["runner"], on_step=self.on_step)
        process.replay.connect({})
        pacer.join("runner", 0, self.done if self.done else None)

    def on_step(self, step) -> None:
        process, number = self.process, step.number
        if step.message is not None and number > self.done:
            bid = step.message.bid_price_1
            if int(bid) % 3 == 0:
                side = Direction.LONG if int(bid) % 2 else Direction.SHORT
                process.send(side, 2.0, bid - 1.0, vt_orderid=f"PAPER.s-{number}")
            if number in self.deaths:
                self.deaths.discard(number)
                raise KilledError
            self.closes.append(bid)
        self.done = max(self.done, number)
        process.replay.pacer.acknowledge("runner", number, 0)


def paced_run(path, deaths):
    bids = [100.0 + (number * 7 % 23) - 11 for number in range(60)]
    runner = Runner(deaths)
    lives = 0
    while True:
        process = Process(path, series=[tick_columns(bids)], model=MODEL)
        runner.attach(process)
        lives += 1
        try:
            process.engine.drain()
            break
        except KilledError:
            process.kill()
    assert not process.replay.is_playing
    shot = process.snapshot()
    process.paper.close()
    return shot, runner.closes, lives


def test_a_paced_run_with_kills_is_the_run_without(tmp_path) -> None:
    expected, shown, _ = paced_run(tmp_path / "a.sqlite3", ())
    shot, closes, lives = paced_run(tmp_path / "b.sqlite3", (2, 14, 16, 60, 118))
    assert lives == 6
    assert len(expected.fills) > 10
    assert (shot.orders, shot.fills, shot.positions) == (
        expected.orders,
        expected.fills,
        expected.positions,
    )
    assert closes == shown


CHILD = """
import sys
from foxtrot.testing import make_bar, make_contract, make_order_request, make_tick
from tests.unit.adapter.paper_helpers import SECOND, START, SYMBOL, Process

process = Process(sys.argv[1])
told = lambda text: (sys.stdout.write(text + chr(10)), sys.stdout.flush())
process.engine.subscribe("rTrade", lambda trade: told(f"{trade.vt_tradeid} {trade.vt_orderid}"))
first = len(process.snapshot().orders)
for number in range(first, 100_000):
    ts = process.paper._desk.venue.clock.ns
    process.publish(make_tick(99.0, 101.0, SYMBOL, ts_event=max(ts, START) + SECOND))
    process.send(vt_orderid=f"PAPER.k-{number}")
"""


def test_what_a_killed_process_told_is_known_to_the_next(tmp_path) -> None:
    path = tmp_path / "paper.sqlite3"
    told = []
    for life in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as child:
            told += [child.stdout.readline().split() for _ in range(10 + 7 * life)]
            os.kill(child.pid, signal.SIGKILL)
            rest = child.stdout.read()
        told += [line.split() for line in rest.splitlines() if rest.endswith("\n")]
    assert len(told) >= 51
    assert len({trade for trade, _ in told}) == len(told)
    shot = Process(path).snapshot()
    listed = {trade.vt_tradeid: trade.vt_orderid for trade in shot.fills}
    assert all(listed[trade] == order for trade, order in told)
    assert shot.positions[0].volume == len(shot.fills)


def test_reports_of_a_paced_venue_come_again_until_they_have_arrived(tmp_path) -> None:
    engine = EventEngine(SimulatedClock(START))
    told: list[object] = []
    for topic in (REPORT_ORDER, REPORT_TRADE):
        engine.subscribe(topic, told.append)

    def begin() -> PaperAdapter:
        replay = ReplayAdapter(
            engine, "PAPER", series=[tick_columns([100.0] * 3)], contracts=[make_contract(SYMBOL)]
        )
        replay.pace(("nobody",))
        venue = PaperAdapter(engine, "PAPER", source=replay, path=tmp_path / "paper.db")
        venue.connect({})
        engine.drain()
        return venue

    def send(venue: PaperAdapter, number: int) -> None:
        request = make_order_request(vt_symbol=SYMBOL, vt_orderid=f"PAPER.s-{number}", price=50.0)
        venue.send_order(request)
        engine.drain()

    venue = begin()
    send(venue, 1)
    venue.reports_arrived()
    send(venue, 2)
    send(venue, 3)
    first = list(told)
    told.clear()
    venue.close()  # the process ends; nothing was acknowledged since
    venue = begin()
    assert told == first[-2:]
    told.clear()
    venue.reports_arrived()
    send(venue, 4)
    venue.close()
    begin()
    assert [order.vt_orderid for order in told] == ["PAPER.s-4"] * 2
