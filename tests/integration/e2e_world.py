"""A paced installation of real processes, and the backtest that it must equal.

What is compared: the strategy's stream as the OMS keeps it in its journal, that is every state of every order and
every fill in the order in which they became durable, against the log of the backtest's run. Both are digested by
``foxtrot.server.backtest.record.digest_of``: SHA-256 over the msgpack of each record, ``ts_init`` left out. Ids are
alike as the backtest's venue is given the paper adapter's name.
"""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

from foxtrot.app.adapter_data import begin_of, load_sources
from foxtrot.app.installation import Installation, load_installation
from foxtrot.bus.messages import QUERY_POSITIONS, STRATEGY_LIST, StreamRequest
from foxtrot.bus.rpc_messages import Answer
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.backtest.record import digest_of
from foxtrot.server.backtester import BacktestEngine
from foxtrot.server.main_engine import MainEngine
from foxtrot.strategy.loader import load_strategy_class
from tests.integration.service_world import Desk, Service

ROOT = Path(__file__).resolve().parents[2]
SMA_CROSS = f"{ROOT}/examples/strategies/sma_cross.py:SmaCross"
RESTLESS = "tests.integration.e2e_strategies:Restless"
QUOTER = "tests.integration.e2e_strategies:Quoter"

CONFIG = """
name = "e2e"
run = "run"

[oms]
digits = {{ USD = 2 }}
backup_every = 0.0

[recorder]
enabled = {recorder}

[[adapters]]
name = "PAPER"

[adapters.account]
capital = 100_000.0
digits = 2

[adapters.execution]
{execution}

[[adapters.data]]
{data}

[adapters.replay]
paced = true
speed = 0
shift = "none"
begin = "{begin}"

[[runners]]
name = "strategies"

[[runners.strategies]]
name = "s"
path = "{strategy}"
vt_symbols = ["{vt_symbol}"]
warmup_bars = {warmup_bars}

[runners.strategies.setting]
{setting}
"""

Record = OrderData | TradeData


def write_config(folder: Path, strategy: str, **given: Any) -> Path:
    """Write the file of an installation with one strategy ``s``."""
    told = {
        "recorder": "false",
        "execution": "",
        "data": 'sample = "GOOG"',
        "begin": "",
        "vt_symbol": "GOOG.NASDAQ",
        "warmup_bars": 0,
        "setting": "",
        **given,
    }
    path = folder / "e2e.toml"
    path.write_text(CONFIG.format(strategy=strategy, **told))
    return path


def backtest(config: Path, folder: Path) -> list[Record]:
    """Orders and fills of the in-process backtest of the same installation, in order of delivery."""
    installation = load_installation(config)
    (settings,) = installation.adapters
    ((planned,),) = (runner.strategies for runner in installation.runners)
    main_engine = MainEngine(EventEngine())
    try:
        engine = main_engine.add_engine(BacktestEngine)
        engine.configure(settings.account.build(), settings.execution.build())
        engine.settings.adapter_name = settings.name
        begin = begin_of(settings)
        for columns, source in zip(load_sources(settings, folder), settings.data, strict=True):
            contract = source.contract.build(columns.vt_symbol, settings.account.currency)
            engine.load_data(columns, contract=contract)
        if begin:
            engine.configure(warmup_until=begin)
        engine.add_strategy(
            load_strategy_class(planned.path),
            planned.setting,
            name=planned.name,
            vt_symbols=planned.vt_symbols,
        )
        result = engine.run_backtest()
        assert engine.world is not None
        records: list[Record] = list(engine.world.log.records)
        assert result.log_sha256 == digest_of(records)
    finally:
        main_engine.close()
    return records


class Paced:
    """The processes of an installation, started and killed by hand."""

    ROLES = (("oms", "oms"), ("adapter", "adapter-paper"), ("strategy", "strategies"))

    def __init__(self, config: Path) -> None:
        self.desk = Desk(config)
        self.services: dict[str, Service] = {}
        self.kills: list[str] = []

    @property
    def installation(self) -> Installation:
        return self.desk.installation

    def start(self) -> None:
        for role, name in self.ROLES:
            self.services[name] = self.desk.start(role, name)

    def kill(self, name: str) -> None:
        """SIGKILL, and a new start."""
        service = self.services[name]
        service.close()
        self.desk.children.remove(service)
        self.kills.append(name)
        role = next(role for role, known in self.ROLES if known == name)
        self.services[name] = self.desk.start(role, name)

    def event(self) -> int:
        """Number of the event that is out; 0 before the first, and while the adapter is away."""
        outcome = self.desk.ask("adapter-paper", "svc.status", seconds=15.0)
        return int(outcome.body.details.get("event", 0)) if isinstance(outcome, Answer) else 0

    def is_over(self) -> bool:
        outcome = self.desk.ask("adapter-paper", "svc.status", seconds=15.0)
        return isinstance(outcome, Answer) and "at its end" in outcome.body.detail

    def play_out(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.is_over():
            if time.monotonic() > end:
                logs = "\n".join(s.log.read_text()[-3_000:] for s in self.services.values())
                raise AssertionError(f"the replay is not over: {self.waits()}\n{logs}")
            self.desk.run_for(0.1)

    def waits(self) -> dict[str, str]:
        outcome = self.desk.ask("adapter-paper", "svc.status", seconds=15.0)
        return dict(outcome.body.details) if isinstance(outcome, Answer) else {"": repr(outcome)}

    def chaos(self, seed: int, kills: int, names: tuple[str, ...] = ()) -> None:
        """Kill services at random moments until each name's count is reached, or the replay is over."""
        chance = random.Random(seed)
        order = [name for name in names or tuple(self.services) for _ in range(kills)]
        chance.shuffle(order)
        for name in order:
            before = self.event()
            end = time.monotonic() + 30.0
            while self.event() <= before and not self.is_over():
                assert time.monotonic() < end, self.waits()
                self.desk.run_for(0.01)
            self.desk.run_for(chance.uniform(0.0, 0.12))
            if self.is_over():
                return
            self.kill(name)
            if chance.random() < 0.7:
                self.desk.run_for(chance.uniform(0.0, 1.5))

    def records(self, strategy: str = "s") -> list[Record]:
        """The strategy's stream, as the OMS has it."""
        found: list[Record] = []
        while True:
            outcome = self.desk.ask(
                "oms", "stream.replay", StreamRequest(strategy, len(found), 500)
            )
            assert isinstance(outcome, Answer) and outcome.ok, outcome
            found += outcome.body.facts
            if len(found) >= outcome.body.last:
                return found

    def position(self) -> float:
        outcome = self.desk.ask("oms", QUERY_POSITIONS)
        assert isinstance(outcome, Answer), outcome
        return sum(p.volume for p in outcome.body.positions)

    def strategy(self) -> Any:
        outcome = self.desk.ask("strategies", STRATEGY_LIST)
        assert isinstance(outcome, Answer), outcome
        return outcome.body.strategies[0]

    def stop(self) -> None:
        """In order: each must end by itself, with exit code 0."""
        for name in ("strategies", "adapter-paper", "oms"):
            assert self.services[name].stop(signal.SIGTERM) == 0, name

    def close(self) -> None:
        self.desk.close()


def differences(mine: list[Record], theirs: list[Record]) -> str:
    """The first pair that differs, in words; empty where there is none."""
    from msgspec.structs import replace

    for row, (one, other) in enumerate(zip(mine, theirs, strict=False)):
        if replace(one, ts_init=0) != replace(other, ts_init=0):
            return f"record {row}:\n  {one}\n  {other}"
    if len(mine) != len(theirs):
        rest = (mine if len(mine) > len(theirs) else theirs)[min(len(mine), len(theirs))]
        return f"{len(mine)} records against {len(theirs)}, the first more is {rest}"
    return ""
