"""The paper venue: the backtest's exchange behind an adapter that outlives its process."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading

import pytest
from msgspec.structs import replace

from foxtrot.adapter.paper import PaperAdapter
from foxtrot.adapter.paper_store import PaperStore
from foxtrot.adapter.replay import ReplayAdapter
from foxtrot.core import events
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import Direction, Status
from foxtrot.core.errors import ConfigError, OrderError, PersistenceError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import CancelRequest, ContractData, ModifyRequest
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.testing import make_bar, make_order_request, make_tick
from tests.unit.adapter.paper_helpers import CONTRACT, SECOND, START, SYMBOL, Process, tick_columns

SHORT = Direction.SHORT


@pytest.fixture
def path(tmp_path):
    return tmp_path / "paper.sqlite3"


def quote(number, bid=99.0, ask=101.0, **fields):
    return make_tick(bid, ask, SYMBOL, ts_event=START + number * SECOND, **fields)


def bar(number, close=100.0, **fields):
    return make_bar(close, SYMBOL, ts_open=START + number * 60 * SECOND, **fields)


# --- matching


def test_a_market_order_fills_at_the_touch_once_quotes_come() -> None:
    process = Process()
    order = process.send(volume=2)
    assert [o.status for o in process.told.orders] == [Status.NOTTRADED]
    process.publish(quote(1))
    (trade,) = process.told.trades
    assert (trade.vt_orderid, trade.price, trade.volume) == (order.vt_orderid, 101.0, 2.0)
    assert trade.vt_tradeid == "PAPER.1"


def test_an_order_decided_on_a_bar_fills_at_the_next_open() -> None:
    process = Process()
    process.publish(bar(0))
    process.send()
    process.publish(bar(1, 105.0, open_price=102.0))
    assert [t.price for t in process.told.trades] == [102.0]


def test_bars_inform_only_once_quotes_have_come() -> None:
    process = Process()
    process.publish(quote(1))
    process.send(price=90.0)
    process.publish(bar(0, 80.0))
    assert process.told.trades == []
    process.publish(quote(61, 85.0, 86.0))
    assert [t.price for t in process.told.trades] == [90.0]


def test_no_report_comes_before_send_returns() -> None:
    process = Process()
    process.publish(quote(1))
    request = process.send()
    process.told.forget()
    process.paper.send_order(replace(request, vt_orderid="PAPER.s-next"))
    assert process.told.all == []
    process.engine.drain()
    assert [o.vt_orderid for o in process.told.orders] == ["PAPER.s-next"]


def test_an_unknown_instrument_is_rejected_with_a_reason() -> None:
    process = Process()
    process.send(vt_symbol="NONE.LOCAL")
    (order,) = process.told.orders
    assert (order.status, order.reason) == (Status.REJECTED, "no such instrument here")


@pytest.mark.parametrize("volume", [0.5, -1.0, 0.0, float("nan"), float("inf")])
def test_a_volume_that_cannot_be_counted_is_rejected(volume) -> None:
    process = Process()
    process.send(volume=volume)
    assert [o.status for o in process.told.orders] == [Status.REJECTED]
    assert process.told.orders[0].reason


def test_a_change_that_cannot_be_made_is_refused_and_the_order_works_on() -> None:
    process = Process()
    order = process.send(volume=2, price=90.0)
    process.paper.modify_order(ModifyRequest(order.vt_orderid, volume=0.3))
    process.engine.drain()
    last = process.told.orders[-1]
    assert last.status is Status.NOTTRADED
    assert last.reason.startswith("change refused")


def test_an_order_without_an_id_is_refused_at_once() -> None:
    with pytest.raises(OrderError, match="vt_orderid"):
        Process().send(vt_orderid="")


def test_late_rows_are_left_out_and_told() -> None:
    process = Process()
    process.publish(quote(10))
    process.publish(replace(quote(10, 50.0, 51.0), ts_event=START + 10 * SECOND - 1))
    assert "1 rows of market data came too late" in process.told.logs[-1].msg
    process.send(price=60.0)
    assert process.told.trades == []


def test_orders_work_on_where_the_data_begin_again() -> None:
    process = Process()
    process.publish(bar(10))
    process.send(price=95.0)
    process.publish(bar(0))
    assert "began again" in process.told.logs[-1].msg
    process.publish(bar(1, 94.0, open_price=100.0))
    assert [t.price for t in process.told.trades] == [95.0]


def test_contracts_that_other_adapters_announce_are_traded() -> None:
    process = Process(contracts=())
    topic = process.engine.topic(events.REPORT_CONTRACT)
    process.engine.put_topic(topic, replace(CONTRACT, adapter_name="FEED"))
    process.engine.put_topic(topic, ContractData("E.LOCAL", currency="EUR"))
    process.engine.drain()
    process.publish(quote(1))
    process.send()
    assert len(process.told.trades) == 1
    assert "E.LOCAL cannot be traded here" in process.told.logs[0].msg


# --- ids


def test_a_repeated_order_is_answered_and_not_taken_again() -> None:
    process = Process()
    process.publish(quote(1))
    request = process.send(volume=3)
    told = len(process.told.trades)
    process.paper.send_order(request)
    process.paper.send_order(replace(request, volume=9.0))
    process.engine.drain()
    assert {t.vt_tradeid for t in process.told.trades[told:]} == {"PAPER.1"}
    last = process.told.orders[-1]
    assert (last.status, last.traded, last.volume) == (Status.ALLTRADED, 3.0, 3.0)
    assert "sent again with other terms" in process.told.logs[-1].msg
    assert process.snapshot().positions[0].volume == 3.0


def test_two_of_the_same_id_in_one_step_are_one_order() -> None:
    process = Process()
    process.publish(quote(1))
    request = replace(process.send(), vt_orderid="PAPER.twice")
    process.paper.send_order(request)
    process.paper.send_order(request)
    process.engine.drain()
    assert len({t.vt_tradeid for t in process.told.trades if t.vt_orderid == "PAPER.twice"}) == 1


def test_cancelling_what_is_unknown_or_has_ended_does_no_harm() -> None:
    process = Process()
    process.publish(quote(1))
    request = process.send()
    process.told.forget()
    process.cancel("PAPER.never")
    assert process.told.orders == []
    assert "PAPER.never is not known here" in process.told.logs[0].msg
    process.cancel(request.vt_orderid)
    assert process.told.orders[-1].status is Status.ALLTRADED


# --- over a restart


def test_resting_orders_positions_money_and_ids_outlive_a_kill(path) -> None:
    # given a position, a resting order and a bracket, in a process that is killed
    first = Process(path)
    first.publish(quote(1))
    first.send(volume=5, stop_loss=90.0, take_profit=120.0)
    resting = first.send(volume=2, price=95.0)
    before = first.snapshot()
    first.kill()
    # when another one takes the file up
    second = Process(path)
    after = second.snapshot()
    # then it says the same
    assert after == before
    assert {o.vt_orderid for o in after.orders if o.is_active()} == {
        "PAPER.s-1-SL",
        "PAPER.s-1-TP",
        resting.vt_orderid,
    }
    # and goes on: the resting order fills under a new id, the target closes what its entry bought
    second.publish(quote(2, 94.0, 95.0))
    second.publish(quote(3, 121.0, 122.0))
    assert [(t.vt_tradeid, t.volume) for t in second.told.trades] == [
        ("PAPER.2", 2.0),
        ("PAPER.3", 5.0),
    ]
    cancelled = second.told.orders[-1]
    assert (cancelled.vt_orderid, cancelled.status) == ("PAPER.s-1-SL", Status.CANCELLED)


def test_an_order_that_has_met_a_quote_rests_after_a_kill_too(path) -> None:
    first = Process(path)
    first.send(price=100.0)
    first.publish(quote(1, 105.0, 106.0))
    first.kill()
    second = Process(path)
    second.publish(quote(2, 94.0, 95.0))
    assert [t.price for t in second.told.trades] == [100.0]


def test_a_repeated_order_is_recognised_after_a_kill(path) -> None:
    first = Process(path)
    first.publish(quote(1))
    request = first.send(volume=3)
    first.kill()
    second = Process(path)
    second.paper.send_order(request)
    second.engine.drain()
    assert [t.vt_tradeid for t in second.told.trades] == ["PAPER.1"]
    assert second.told.orders[-1].status is Status.ALLTRADED
    assert second.snapshot().positions[0].volume == 3.0


def test_rejected_orders_are_remembered_too(path) -> None:
    first = Process(path)
    request = first.send(volume=0.5)
    first.kill()
    second = Process(path)
    second.paper.send_order(request)
    second.engine.drain()
    assert [o.status for o in second.told.orders] == [Status.REJECTED]


def test_partial_fills_go_on_after_a_kill(path) -> None:
    from foxtrot.simulation.models import ExecutionModel

    model = ExecutionModel(volume_share=0.5)
    first = Process(path, model=model)
    first.publish(quote(1, ask_volume_1=4.0))
    first.send(volume=5)
    first.kill()
    second = Process(path, model=model)
    second.publish(quote(2, 101.0, 103.0, ask_volume_1=20.0))
    assert [(t.volume, t.price) for t in second.told.trades] == [(3.0, 103.0)]
    (order,) = second.snapshot().orders
    assert (order.status, order.traded) == (Status.ALLTRADED, 5.0)
    assert order.average_price == pytest.approx((2 * 101.0 + 3 * 103.0) / 5)


def test_connect_says_only_what_no_fill_explains(path) -> None:
    first = Process(path)
    assert [c.adapter_name for c in first.told.contracts] == ["PAPER"]
    assert [a.balance for a in first.told.accounts] == [100_000.0]
    first.publish(quote(1))
    first.send()
    first.kill()
    second = Process(path)
    assert len(second.told.contracts) == 1
    assert second.told.accounts == second.told.orders == second.told.positions == []


def test_close_and_connect_keeps_what_is_only_in_memory() -> None:
    process = Process()
    process.publish(quote(1))
    process.send(volume=4)
    process.paper.close()
    with pytest.raises(ConnectionError):
        process.send()
    process.paper.connect({})
    assert process.snapshot().positions[0].volume == 4.0


def test_what_waits_when_it_closes_is_still_done(path) -> None:
    first = Process(path)
    first.publish(quote(1))
    request = first.send()
    first.paper.send_order(replace(request, vt_orderid="PAPER.last"))
    first.paper.close()
    second = Process(path)
    assert {o.vt_orderid for o in second.snapshot().orders} == {"PAPER.s-1", "PAPER.last"}


def test_a_replay_and_its_venue_go_on_together(path) -> None:
    ticks = [tick_columns([100.0, 101.0, 102.0, 103.0, 104.0, 105.0])]
    first = Process(path, series=ticks)
    first.replay.connect({"speed": 1})
    first.engine.advance(START + 2 * SECOND)
    first.send(price=95.0)
    first.kill()
    second = Process(path, series=ticks)
    second.replay.connect({"speed": 1})
    second.engine.advance(second.clock.ns + 10 * SECOND)
    assert [t.bid_price_1 for t in first.told.ticks] == [100.0, 101.0, 102.0]
    assert [t.bid_price_1 for t in second.told.ticks] == [103.0, 104.0, 105.0]
    assert len(second.snapshot().orders) == 1


def test_a_venue_whose_replay_has_other_data_begins_anew(path) -> None:
    first = Process(path, series=[tick_columns([100.0, 101.0, 102.0])])
    first.replay.connect({"speed": 0})
    first.engine.advance(START + 1_000)
    first.kill()
    second = Process(path, series=[tick_columns([50.0, 51.0])])
    second.replay.connect({"speed": 0})
    second.engine.advance(second.clock.ns + SECOND)
    second.send()
    assert [t.bid_price_1 for t in second.told.ticks] == [50.0, 51.0]
    assert [t.price for t in second.told.trades] == [51.02]
    assert "other data than before" in second.told.logs[0].msg


# --- the file


def test_the_file_is_for_its_user_alone_and_for_one_process(path, monkeypatch) -> None:
    first = Process(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setattr("foxtrot.adapter.paper_store.LOCK_WAIT_S", 0.0)
    with pytest.raises(PersistenceError, match="another process uses it"):
        Process(path)
    first.paper.close()
    Process(path).paper.close()


def test_a_file_of_another_venue_is_refused(path) -> None:
    first = Process(path)
    first.send()
    first.paper.close()
    with pytest.raises(ConfigError, match="name another file"):
        Process(path, account=AccountSettings(currency="EUR"), contracts=())


def test_a_file_of_another_layout_is_refused(path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(PersistenceError, match="layout 99"):
        Process(path)


def test_a_contract_may_not_change_its_units_under_a_position(path) -> None:
    first = Process(path)
    first.publish(quote(1))
    first.send()
    first.kill()
    with pytest.raises(ConfigError, match="keep the old terms"):
        Process(path, contracts=(replace(CONTRACT, min_volume=0.1),))
    again = Process(path, contracts=())  # the file knows it
    assert again.snapshot().positions[0].volume == 1.0


def test_no_report_leaves_while_the_disk_does_not_work(path, monkeypatch) -> None:
    process = Process(path)
    process.publish(quote(1))

    def broken(*_arguments, **_options):
        raise PersistenceError("the disk is full")

    commit = PaperStore.commit
    monkeypatch.setattr(PaperStore, "commit", broken)
    process.send()
    assert process.told.orders == process.told.trades == []
    assert "no report leaves" in process.told.logs[-1].msg
    process.publish(quote(2, 50.0, 51.0))
    # when the disk works again
    monkeypatch.setattr(PaperStore, "commit", commit)
    process.engine.advance(process.clock.ns + 2 * SECOND)
    assert [t.vt_tradeid for t in process.told.trades] == ["PAPER.1"]
    assert process.told.trades[0].price == 101.0
    assert process.told.logs[-1].msg.startswith("the state is saved again; 1 rows")


# --- answers


def test_a_snapshot_holds_everything() -> None:
    process = Process()
    process.publish(quote(1))
    process.send(volume=3)
    process.send(price=90.0)
    shot = process.snapshot()
    assert (shot.adapter, shot.ts) == ("PAPER", START + SECOND)
    assert [(o.status, o.traded, o.average_price) for o in shot.orders] == [
        (Status.ALLTRADED, 3.0, 101.0),
        (Status.NOTTRADED, 0.0, 0.0),
    ]
    assert shot.fills == tuple(process.told.trades)
    assert [(p.volume, p.price, p.pnl) for p in shot.positions] == [(3.0, 101.0, -3.0)]
    assert [(a.balance, a.margin) for a in shot.accounts] == [(100_000.0, 303.0)]
    assert (shot.open_orders_complete, shot.history_since, shot.fills_since) == (True, 0, 0)


def test_a_snapshot_tells_how_far_back_it_goes() -> None:
    process = Process(setting={"history": 2})
    for number in range(1, 5):
        process.publish(quote(number))
        process.send()
    shot = process.snapshot()
    assert shot.fills_since <= START + 3 * SECOND
    assert shot.fills_since > START + 2 * SECOND
    assert {t.vt_tradeid for t in shot.fills} >= {"PAPER.3", "PAPER.4"}
    assert shot.history_since > START + 2 * SECOND


def test_queries_answer_through_the_callbacks() -> None:
    process = Process()
    process.publish(quote(1))
    process.send(volume=2)
    process.send(SHORT, volume=2)
    process.send(price=90.0)
    process.told.forget()
    for query in ("orders", "trades", "position", "account"):
        getattr(process.paper, f"query_{query}")()
    process.engine.drain()
    assert [o.status for o in process.told.orders] == [
        Status.ALLTRADED,
        Status.ALLTRADED,
        Status.NOTTRADED,
    ]
    assert [t.vt_tradeid for t in process.told.trades] == ["PAPER.1", "PAPER.2"]
    assert [(p.volume, p.realized_pnl) for p in process.told.positions] == [(0.0, -4.0)]
    assert [a.balance for a in process.told.accounts] == [99_996.0]


def test_reports_carry_the_process_clock_where_it_is_live() -> None:
    clock = LiveClock()
    process = Process(clock=clock)
    before = clock.now()
    process.publish(quote(1))
    process.send()
    (trade,) = process.told.trades
    assert before <= trade.ts_event <= clock.now()
    assert before <= process.snapshot().ts <= clock.now()
    process = Process(clock=clock, setting={"stamps": "market"})
    process.publish(quote(1))
    process.send()
    assert process.told.trades[0].ts_event == START + SECOND


def test_it_works_while_the_event_engine_runs_on_a_thread_of_its_own(path) -> None:
    engine = EventEngine()
    trades, done = [], threading.Event()
    engine.subscribe(events.REPORT_TRADE, lambda trade: (trades.append(trade), done.set()))
    replay = ReplayAdapter(engine, series=[tick_columns(range(100, 2_100))], contracts=[CONTRACT])
    paper = PaperAdapter(engine, source=replay, path=path)
    engine.start()
    try:
        paper.connect({})
        request = make_order_request(vt_symbol=SYMBOL, vt_orderid="PAPER.s-1")
        paper.send_order(request)
        replay.connect({"speed": 0})
        assert done.wait(10.0)
        engine.call(replay.close)
        paper.close()
    finally:
        engine.stop()
    assert [(trade.vt_orderid, trade.volume) for trade in trades] == [("PAPER.s-1", 1.0)]


def test_a_venue_without_a_replay_loads_no_numpy() -> None:
    code = "import sys; import foxtrot.adapter.paper; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("setting", [{"pat": "x"}, {"stamps": "wall"}, {"history": 0}])
def test_wrong_settings_are_refused(setting) -> None:
    with pytest.raises(ConfigError, match="PAPER"):
        Process(setting=setting)


def test_cancel_ends_a_working_order() -> None:
    process = Process()
    request = process.send(price=90.0)
    process.paper.cancel_order(CancelRequest(request.vt_orderid))
    process.engine.drain()
    assert process.told.orders[-1].status is Status.CANCELLED
