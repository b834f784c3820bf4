"""One process: composition, requests, the order of its end, and a live run on its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.core import events
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import Direction, Interval, Status
from foxtrot.core.engine import BaseEngine, EngineOwner
from foxtrot.core.errors import ConfigError, OmsError
from foxtrot.core.event_engine import Event, EventEngine
from foxtrot.core.objects import (
    BarData,
    CancelRequest,
    HistoryRequest,
    LogData,
    ModifyRequest,
    SubscribeRequest,
    TradeData,
)
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.persistence import MemoryPersistence, SqlitePersistence
from foxtrot.server.persistence_query import PageQuery
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.strategy import Strategy
from foxtrot.strategy.host import StrategyState
from foxtrot.testing import ScriptedAdapter, make_bar, make_contract, make_order_request
from tests.unit.server.oms_desk import Desk


def wait_until(condition: Callable[[], object], limit: float = 5.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.002)


class NotingEngine(BaseEngine):
    """Notes when and where it is closed."""

    ended: ClassVar[list[str]] = []

    def __init__(
        self, main_engine: EngineOwner, event_engine: EventEngine, name: str, fails: bool = False
    ) -> None:
        super().__init__(main_engine, event_engine, name)
        self.fails = fails

    def close(self) -> None:
        self.ended.append(self.engine_name)
        if self.fails:
            raise RuntimeError("cannot close")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    NotingEngine.ended.clear()
    yield


# --- composition ------------------------------------------------------------------------------------------


def test_engines_and_adapters_are_found_by_name() -> None:
    main = MainEngine()
    engine = main.add_engine(NotingEngine, name="mine")
    adapter = main.add_adapter(ScriptedAdapter)
    other = main.add_adapter(ScriptedAdapter, "OTHER")

    assert main.get_engine("mine") is engine
    assert main.get_engine("oms") is main.oms
    assert main.get_engine("none") is None
    assert main.get_adapter("SIM") is main.get_route("SIM") is adapter
    assert main.get_adapter("none") is None
    assert main.get_all_adapter_names() == ["SIM", "OTHER"]
    assert other.adapter_name == "OTHER"
    main.close()


def test_names_are_given_once_and_an_unknown_adapter_is_named_with_those_that_are_there() -> None:
    main = MainEngine()
    main.add_engine(NotingEngine, name="mine")
    main.add_adapter(ScriptedAdapter)
    with pytest.raises(ConfigError, match="an engine named 'mine' already"):
        main.add_engine(NotingEngine, name="mine")
    with pytest.raises(ConfigError, match="an adapter named 'SIM' already"):
        main.add_adapter(ScriptedAdapter)
    for ask in (
        lambda: main.connect({}, "X"),
        lambda: main.subscribe(SubscribeRequest("TEST.LOCAL"), "X"),
        lambda: main.send_order(make_order_request(), "X"),
        lambda: main.query_history(HistoryRequest("TEST.LOCAL"), "X"),
    ):
        with pytest.raises(ConfigError, match="no adapter 'X'; adapters: SIM"):
            ask()
    with pytest.raises(ConfigError, match="adapters: none"):
        MainEngine().connect({}, "X")


def test_requests_reach_adapter_and_oms() -> None:
    desk = Desk()
    desk.main.connect({}, "SIM")
    desk.main.subscribe(SubscribeRequest("TEST.LOCAL", Interval.MINUTE), "SIM")
    assert desk.venue.subscribed == [SubscribeRequest("TEST.LOCAL", Interval.MINUTE)]
    assert desk.main.query_history(HistoryRequest("TEST.LOCAL"), "SIM") == []

    vt_orderid = desk.send(price=100.0)
    desk.main.modify_order(ModifyRequest(vt_orderid, price=101.0))
    desk.main.cancel_order(CancelRequest(vt_orderid))
    desk.main.write_log("hello", "test")
    desk.drain()
    assert desk.venue.modified[0].price == 101.0
    assert desk.venue.cancelled == [CancelRequest(vt_orderid)]
    assert desk.of(events.EVENT_LOG)[-1] == LogData("hello", 20, "test", desk.clock.now())


# --- the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("started", [False, True])
def test_the_end_comes_in_order_and_once(started: bool) -> None:
    store = MemoryPersistence()
    main = MainEngine(persistence=store)
    adapter = main.add_adapter(ScriptedAdapter)
    main.add_engine(NotingEngine, name="first")
    main.add_engine(NotingEngine, name="second", fails=True)
    threads: list[threading.Thread] = []
    main.event_engine.register("x", lambda e: threads.append(threading.current_thread()))
    if started:
        main.start()
    main.event_engine.put(Event("x"))

    main.close()
    main.close()

    assert adapter.is_closed
    assert NotingEngine.ended == ["second", "first"]
    assert store._closed
    assert len(threads) == 1
    assert (threads[0] is threading.current_thread()) is not started


def test_an_adapter_that_fails_to_close_does_not_keep_the_oms_from_its_last_save(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "oms.db"
    desk = Desk(SqlitePersistence(file))
    vt_orderid = desk.send()
    desk.venue.failure = ConnectionError("stuck")
    other = desk.main.add_adapter(ScriptedAdapter, "OTHER")

    desk.main.close()

    assert "closing SIM failed" in caplog.text
    assert other.is_closed
    with SqlitePersistence(file) as store:
        assert store.load(f"orders/{vt_orderid}") is not None


def test_what_was_queued_before_the_end_is_still_folded_and_saved(tmp_path: Path) -> None:
    file = tmp_path / "oms.db"
    desk = Desk(SqlitePersistence(file))
    vt_orderid = desk.send(volume=2.0)
    desk.venue.fill(vt_orderid, 2.0, 100.0)
    desk.main.close()
    with SqlitePersistence(file) as store:
        assert store.load_as("trades/SIM.1", TradeData) is not None


def test_it_can_be_ended_by_a_handler(tmp_path: Path) -> None:
    main = MainEngine(persistence=SqlitePersistence(tmp_path / "oms.db"))
    main.event_engine.register("stop", lambda e: main.close())
    main.start()
    thread = main.event_engine._thread
    main.event_engine.put(Event("stop"))
    assert thread is not None
    thread.join(5.0)
    assert not thread.is_alive()
    assert main.event_engine.errors == 0
    with SqlitePersistence(tmp_path / "oms.db", lock_timeout=0.1) as store:
        store.connect()  # it was let go


def test_a_state_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "oms.db"
    with SqlitePersistence(file) as store:
        store.save("contracts/A.LOCAL", "not a contract")
    main = MainEngine(persistence=SqlitePersistence(file))
    with pytest.raises(OmsError, match="loading the saved state failed"):
        main.start()
    with SqlitePersistence(file, lock_timeout=0.1) as store:
        store.connect()  # it was let go


# --- live -------------------------------------------------------------------------------------------------


class BuyOnce(Strategy):
    """Buys one unit on the first bar; notes what it sees and where."""

    def on_start(self) -> None:
        self.seen: list[str] = []
        self.threads = {threading.get_ident()}
        self.set_timer("beat", 5_000_000)

    def on_bar(self, bar: BarData) -> None:
        self.threads.add(threading.get_ident())
        if not self.seen:
            self.buy(1.0)
        self.seen.append("bar")

    def on_trade(self, trade: TradeData) -> None:
        self.threads.add(threading.get_ident())
        self.seen.append(f"trade at {trade.price:g}")

    def on_timer(self, timer: Any) -> None:
        if "timer" not in self.seen and self.seen:
            self.seen.append("timer")


def live(file: Path) -> tuple[MainEngine, SimulatedAdapter]:
    """A process with a live clock, a file, and the simulated venue matching on the event engine's thread."""
    event_engine = EventEngine(LiveClock())
    main = MainEngine(event_engine, persistence=SqlitePersistence(file, lock_timeout=5.0))
    adapter = main.add_adapter(SimulatedAdapter, account=AccountSettings(10_000.0))
    book = adapter.exchange.list_contract(make_contract(), on_ticks=False)
    event_engine.subscribe(events.EVENT_BAR, lambda bar: adapter.exchange.on_bar(book, bar))
    main.start()
    adapter.on_contract(book.instrument.contract)
    main.connect({}, "SIM")
    wait_until(lambda: main.get_contract("TEST.LOCAL") and main.get_account("SIM.USD"))
    return main, adapter


def test_a_strategy_runs_live_on_the_event_engines_thread_and_its_fills_survive(
    tmp_path: Path,
) -> None:
    file = tmp_path / "oms.db"
    main, adapter = live(file)
    strategy = main.add_strategy(BuyOnce, "once", "TEST.LOCAL").strategy
    main.strategies.start_strategy("once")
    now = time.time_ns()
    adapter.on_bar(make_bar(100.0, ts_open=now - 10, length=10))
    wait_until(main.get_all_orders)
    later = time.time_ns() + 10**9  # beyond the arrival of the order, however slow the machine
    adapter.on_bar(make_bar(101.0, ts_open=later, length=10))
    wait_until(lambda: {"trade at 101", "timer"} <= set(strategy.seen))  # type: ignore[attr-defined]
    main.close()

    assert len(strategy.threads) == 1  # type: ignore[attr-defined]
    assert threading.get_ident() not in strategy.threads  # type: ignore[attr-defined]
    assert main.event_engine.errors == 0

    again, adapter = live(file)
    assert [o.status for o in again.oms.orders_page(PageQuery()).items] == [Status.ALLTRADED]
    assert again.get_all_positions()[0].volume == 1.0
    again.add_strategy(BuyOnce, "once", "TEST.LOCAL")
    again.strategies.start_strategy("once")
    now = time.time_ns()
    adapter.on_bar(make_bar(102.0, ts_open=now - 10, length=10))
    wait_until(again.get_all_orders)
    ids = [o.vt_orderid for o in again.oms.orders_page(PageQuery()).items]
    assert ids == ["SIM.once-1", "SIM.once-2"]
    again.close()


def test_many_threads_may_send_orders_at_once(tmp_path: Path) -> None:
    main, _ = live(tmp_path / "oms.db")
    ids: list[str] = []

    def send() -> None:
        ids.extend(main.send_order(make_order_request(), "SIM") for _ in range(25))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(main.get_all_orders()) == 100)
    main.close()
    assert len(set(ids)) == 100


# --- strategies -------------------------------------------------------------------------------------------


class Fails(Strategy):
    def on_start(self) -> None:
        raise RuntimeError("will not start")


class FailsToStop(Strategy):
    def on_stop(self) -> None:
        raise RuntimeError("will not stop")


def test_a_strategy_that_fails_is_in_error_and_the_others_go_on() -> None:
    desk = Desk()
    desk.main.add_strategy(Fails, "bad", "TEST.LOCAL")
    good = desk.main.add_strategy(BuyOnce, "good", ["TEST.LOCAL"])
    for name in ("bad", "good"):
        desk.main.strategies.start_strategy(name)
    desk.venue.on_bar(make_bar())
    desk.drain()

    assert desk.main.strategies.host("bad").state is StrategyState.ERROR
    assert good.state is StrategyState.RUNNING
    (told,) = desk.of(events.EVENT_STRATEGY)
    assert told["strategy"] == "bad"
    assert "RuntimeError: will not start" in told["error"]
    assert len(desk.venue.sent) == 1


def test_strategies_are_added_with_a_known_contract_under_a_free_name() -> None:
    desk = Desk()
    desk.main.add_strategy(BuyOnce, "one", "TEST.LOCAL")
    with pytest.raises(ConfigError, match="a strategy named 'one' already"):
        desk.main.add_strategy(BuyOnce, "one", "TEST.LOCAL")
    with pytest.raises(ConfigError, match=r"strategy two: no contract 'X\.LOCAL' is known"):
        desk.main.add_strategy(BuyOnce, "two", "X.LOCAL")
    with pytest.raises(ConfigError, match="no strategy 'three'; strategies: one"):
        desk.main.strategies.stop_strategy("three")


def test_a_strategy_is_started_once() -> None:
    desk = Desk()
    desk.main.add_strategy(BuyOnce, "one", "TEST.LOCAL")
    desk.main.strategies.start_strategy("one")
    with pytest.raises(ConfigError, match="'one' is RUNNING and cannot be started again"):
        desk.main.strategies.start_strategy("one")
    desk.main.strategies.stop_strategy("one")
    assert desk.main.strategies.host("one").state is StrategyState.STOPPED


def test_all_strategies_are_stopped_even_where_one_fails_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()

    def on_error(host: Any, error: Exception, message: object) -> None:
        raise error

    desk.main.strategies.on_error = on_error
    for name, kind in (("bad", FailsToStop), ("good", BuyOnce)):
        desk.main.add_strategy(kind, name, "TEST.LOCAL")
        desk.main.strategies.start_strategy(name)
    desk.main.close()
    assert "stopping strategy bad failed" in caplog.text
    assert desk.main.strategies.host("good").state is StrategyState.STOPPED


def test_the_last_number_of_a_prefix_is_found_among_all_orders() -> None:
    desk = Desk()
    for vt_orderid in ("SIM.sma-9", "SIM.sma-10", "SIM.sma-x", "SIM.sma-cross-77"):
        desk.send(vt_orderid=vt_orderid, direction=Direction.SHORT)
    assert desk.main.last_order_number("sma") == 10
    assert desk.main.last_order_number("sma-cross") == 77
    assert desk.main.last_order_number("none") == 0
