"""A real runner process among stand-ins of the OMS and an adapter: killed at random, it neither repeats nor skips.

``FOXTROT_KILL_ROUNDS`` sets the number of kills.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foxtrot.client.runner_store import RunnerStore
from foxtrot.core.objects import TradeData
from tests.unit.client.runner_world import World, bar, configure, strategy

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("FOXTROT_KILL_ROUNDS", "20"))

DILIGENT = '''
from foxtrot.strategy import Strategy

class Diligent(Strategy):
    """An order for each bar, and one for each fill of those; it notes all that it decides and hears."""

    def on_start(self):
        self.decided, self.fills, self.heard = [], [], []

    def on_bar(self, bar):
        self.decided.append(self.buy(2, reference=f"bar {bar.ts_event}"))

    def on_order(self, order):
        self.heard.append((order.vt_orderid, str(order.status)))

    def on_trade(self, trade):
        self.fills.append(trade.vt_tradeid)
        if trade.reference.startswith("bar"):
            self.decided.append(self.sell(1, reference=f"fill {trade.vt_tradeid}"))

    def on_save(self):
        return {"decided": self.decided, "fills": self.fills, "heard": self.heard}

    def on_load(self, state):
        self.decided, self.fills = state["decided"], state["fills"]
        self.heard = [tuple(pair) for pair in state["heard"]]
'''


class NoLock:
    """Nobody else has the file: its process is dead."""

    def acquire(self, timeout: float) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


class Runner:
    """The process."""

    def __init__(self, config: Path) -> None:
        self.log = config.parent / "runner.log"
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "services.strategy", "--config", config],
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )

    def end(self, number: int) -> int:
        self.child.send_signal(number)
        return self.child.wait(15)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "diligent.py").write_text(DILIGENT)
    made = World(configure(tmp_path, strategy("s", "diligent.py:Diligent")))
    yield made
    made.close()


@pytest.fixture
def start(world: World) -> Iterator[Any]:
    started: list[Runner] = []

    def make() -> Runner:
        started.append(Runner(world.installation.path))
        return started[-1]

    yield make
    for runner in started:
        if runner.child.poll() is None:
            runner.child.kill()
            runner.child.wait(10)


def stored(world: World) -> tuple[dict[str, Any], Any, list[Any]]:
    """What the strategy has in its file: the user's part, the rest, and what was not acknowledged."""
    store = RunnerStore(world.installation.folder("state") / "s.db", "s", 0, NoLock())
    try:
        state, unsent = store.load()
    finally:
        store.close()
    return msgspec.msgpack.decode(state.user), state, unsent


def test_killed_at_random_it_neither_repeats_nor_skips_a_fill_nor_an_order(
    world: World, start: Any
) -> None:
    chance = random.Random(4)
    number = 0

    def play(seconds: float) -> None:
        nonlocal number
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            world.show(bar(number))
            number += 1
            if chance.random() < 0.1:
                world.lost = chance.randint(1, 3)
            world.step(0.002)

    for _ in range(KILLS):
        runner = start()
        known = len(world.orders)
        # sometimes it dies while it starts, mostly under load
        if chance.random() < 0.2:
            world.run_for(chance.uniform(0.0, 0.5))
        else:
            while len(world.orders) == known:
                play(0.005)
            play(chance.uniform(0.0, 0.1))
        runner.end(signal.SIGKILL)
        world.run_for(chance.uniform(0.0, 0.03))  # what it has sent still arrives
    runner = start()
    world.until_state("RUNNING")
    world.pump(lambda: caught_up(world))
    assert runner.end(signal.SIGTERM) == 0

    user, state, unsent = stored(world)
    journal = world.journal["s"]
    trades = [fact.vt_tradeid for fact in journal if isinstance(fact, TradeData)]
    assert user["fills"] == trades  # each once, in order
    heard = [(f.vt_orderid, str(f.status)) for f in journal if not isinstance(f, TradeData)]
    assert [tuple(pair) for pair in user["heard"]] == heard
    assert user["decided"] == list(dict.fromkeys(user["decided"]))
    assert sorted(user["decided"]) == sorted(world.orders)  # none lost, none that nobody decided
    answers = Counter(r.reference for r in world.sent() if r.reference.startswith("fill"))
    bars = {f"fill {t.vt_tradeid}" for t in world.trades_of() if t.reference.startswith("bar")}
    assert answers == Counter(bars)
    assert unsent == []
    assert state.cursor == len(journal)
    assert state.view["positions"]["A.LOCAL"][0] == world.position()
    assert state.view["orders"] == state.view["pending"] == []
    assert len(trades) > KILLS


def caught_up(world: World) -> bool:
    info = world.infos().get("s")
    return (
        info is not None
        and info.waiting == 0
        and info.cursor == len(world.journal["s"])
        and info.variables["working orders"] == "0"
    )


def test_it_ends_in_order_and_says_how(world: World, start: Any) -> None:
    runner = start()
    world.until_state("RUNNING")
    second = start()
    assert second.child.wait(15) == 75
    world.show(bar(0))
    world.pump(lambda: caught_up(world) and len(world.trades_of()) == 2)
    assert runner.end(signal.SIGTERM) == 0
    assert stored(world)[0]["fills"] == ["SIM.t1", "SIM.t2"]
    states = [
        line["msg"] for line in runner.lines() if line["logger"].startswith("foxtrot.service")
    ]
    assert "READY" in states
    assert states[-1] == "stopped"


def test_a_runner_that_is_not_in_the_installation_is_a_mistake(world: World) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "services.strategy",
            "--config",
            world.installation.path,
            "--name",
            "x",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no runner 'x'; there are: strategies" in done.stdout
