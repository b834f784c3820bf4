"""Reports that do not fit, an outbox that overflows, and what is looked at before a paced event is released."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from foxtrot.app.adapter_pacing import Look, interested_runners
from foxtrot.app.adapter_reports import ReportDesk, fit_snapshot
from foxtrot.app.installation import AdapterSettings, Installation, Runner, RunnerStrategy
from foxtrot.bus.messages import PaceReply, service_codec
from foxtrot.bus.rpc_messages import ReportAck
from foxtrot.bus.rpc_outbox import OutboxLimits
from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import ContractData, OrderData, TradeData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.testing import ScriptedAdapter

SYMBOL = "A.LOCAL"


def order(number: int, status: Status = Status.ALLTRADED) -> OrderData:
    fields = (SYMBOL, Direction.LONG, OrderType.MARKET, 1.0, 0.0, 0.0, status)
    return OrderData(f"SIM.s-{number}", *fields, ts_event=number)


def fill(number: int) -> TradeData:
    return TradeData(
        f"SIM.{number}", f"SIM.s-{number}", SYMBOL, Direction.LONG, 1.0, 1.0, ts_event=number
    )


def snapshot(closed: int, working: int = 0) -> VenueSnapshot:
    orders = [order(n) for n in range(closed)]
    orders += [order(10_000 + n, Status.NOTTRADED) for n in range(working)]
    fills = tuple(fill(n) for n in range(closed))
    return VenueSnapshot(
        "SIM", 1, tuple(orders), fills, (), (), True, history_since=0, fills_since=0
    )


# --- snapshots ------------------------------------------------------------------------------------------


def test_a_snapshot_that_fits_is_left_as_it_is() -> None:
    whole = snapshot(10, 2)
    assert fit_snapshot(whole, 1 << 20) is whole


def test_older_history_is_left_out_and_said_to_be() -> None:
    whole = snapshot(1_000, 3)
    fitting = fit_snapshot(whole, 50_000)
    assert fitting is not None
    assert len(msgspec.msgpack.encode(fitting)) <= 50_000
    assert sum(one.is_active() for one in fitting.orders) == 3
    closed = [one.ts_event for one in fitting.orders if not one.is_active()]
    assert closed == list(range(closed[0], 1_000))
    assert fitting.history_since == closed[0]
    fills = [one.ts_event for one in fitting.fills]
    assert fills == list(range(fills[0], 1_000))
    assert fitting.fills_since == fills[0]


def test_where_working_orders_alone_do_not_fit_there_is_none() -> None:
    assert fit_snapshot(snapshot(5, 500), 10_000) is None


# --- the desk -------------------------------------------------------------------------------------------


class Frame:
    """What a desk needs of a service's process."""

    def __init__(self) -> None:
        self.io_clock = SimulatedClock(1)
        self.event_engine = EventEngine(self.io_clock)
        self.event_engine.raise_errors = True
        self.codec = service_codec()
        self.state, self.detail = "STARTING", ""
        self.stopped = ""
        self.published: list[str] = []
        self.publisher = self

    def publish(self, topic: str, _message: Any) -> None:
        self.published.append(topic)

    def set_state(self, state: str, detail: str = "") -> None:
        self.state, self.detail = state, detail

    def ready(self, detail: str = "") -> None:
        self.set_state("READY", detail)

    def stop(self, reason: str, _code: int = 0) -> None:
        self.stopped = reason


class Line:
    """The connection to the OMS: keeps what is sent."""

    source, epoch = "adapter-sim", 1

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def transmit(self, _topic: str, message: Any, _seq: int = 0) -> bool:
        self.sent.append(message)
        return True


class Venue(ScriptedAdapter):
    """Answers how the account stands."""

    snapshots = True

    def query_snapshot(self) -> None:
        self.on_snapshot(snapshot(2))


@pytest.fixture
def frame() -> Frame:
    return Frame()


def make(frame: Frame, reports: int = 10) -> tuple[ReportDesk, Line, Venue]:
    venue = Venue(frame.event_engine)
    desk = ReportDesk(frame, venue, OutboxLimits(reports=reports))  # type: ignore[arg-type]
    line = Line()
    desk.outbox.start(line)
    desk.outbox.on_ack(1, ReportAck(1, 0, 0))
    return desk, line, venue


def settle(frame: Frame, desk: ReportDesk) -> None:
    frame.event_engine.drain()
    desk.look()


def test_it_is_ready_when_the_announcement_is_durable_and_not_before(frame: Frame) -> None:
    desk, _, venue = make(frame)
    venue.on_contract(ContractData(SYMBOL))
    desk.announce()
    settle(frame, desk)
    assert frame.state == "STARTING"
    assert frame.published == [f"eContract.{SYMBOL}"]
    desk.outbox.on_ack(1, ReportAck(1, 1, 2))
    settle(frame, desk)
    assert frame.state == "STARTING"
    desk.outbox.on_ack(1, ReportAck(1, 2, 2))
    settle(frame, desk)
    assert frame.state == "READY"


def test_ready_is_not_put_off_by_announcements_that_follow(frame: Frame) -> None:
    desk, _, _venue = make(frame)
    desk.announce()
    frame.event_engine.drain()
    desk.announce()
    frame.event_engine.drain()
    desk.outbox.on_ack(1, ReportAck(1, 1, 1))
    settle(frame, desk)
    assert desk.waiting == 1
    assert frame.state == "READY"


def test_after_an_overflow_all_is_told_again(frame: Frame) -> None:
    desk, _, venue = make(frame, reports=10)
    venue.on_contract(ContractData(SYMBOL))
    desk.announce()
    settle(frame, desk)
    for number in range(20):
        venue.on_order(order(number))
    settle(frame, desk)
    assert frame.state == "DEGRADED"
    assert "see that the receiver runs" in frame.detail
    assert desk.waiting == 10
    assert desk.counters["lost"] == 12
    desk.outbox.on_ack(1, ReportAck(1, 10, 10))
    settle(frame, desk)
    assert frame.state == "DEGRADED"  # contract and snapshot are on their way once more
    assert desk.waiting == 2
    desk.outbox.on_ack(1, ReportAck(1, 12, 12))
    settle(frame, desk)
    assert frame.state == "READY"


def test_an_account_that_does_not_fit_into_a_frame_is_told(frame: Frame) -> None:
    desk, _, venue = make(frame)
    frame.codec.max_frame = 5_000
    venue.on_snapshot(snapshot(0, 500))
    settle(frame, desk)
    assert frame.state == "DEGRADED"
    assert "5000" not in frame.detail
    assert "frame of" in frame.detail
    assert desk.waiting == 0


def test_an_outbox_that_has_lost_its_history_ends_the_process(frame: Frame) -> None:
    desk, _, venue = make(frame)
    venue.on_order(order(1))
    frame.event_engine.drain()
    desk.outbox.on_ack(2, ReportAck(1, 50, 50))
    assert "lost its history" in frame.stopped
    venue.on_order(order(2))
    frame.event_engine.drain()
    assert desk.counters["lost"] == 1


def test_a_venue_without_snapshots_is_asked_piece_by_piece(frame: Frame) -> None:
    class Plain(ScriptedAdapter):
        def query_account(self) -> None:
            asked.append("account")

        def query_position(self) -> None:
            asked.append("position")

    asked: list[str] = []
    desk = ReportDesk(frame, Plain(frame.event_engine))  # type: ignore[arg-type]
    desk.announce()
    settle(frame, desk)
    assert asked == ["position", "account"]
    assert frame.state == "READY"
    desk.close()
    frame.event_engine.put_topic(frame.event_engine.topic(events.REPORT_ORDER), order(1))
    frame.event_engine.drain()
    assert desk.reported == 0


# --- looks of a paced replay ----------------------------------------------------------------------------


def look(**replies: PaceReply | None) -> Look:
    found = {n: None if r is None else (1, r) for n, r in replies.items()}
    return Look(len(found), (0, 0), found)


RUNNERS = {"one": frozenset({"s/a", "s/b"})}


@pytest.mark.parametrize(
    ("oms", "one", "told"),
    [
        (PaceReply(5, True, {"s/a": 3}), PaceReply(5, True, {"s/a": 3}, 5), ""),
        (PaceReply(5, True, {"s/c": 3}), PaceReply(5, True, {}, 6), ""),
        (PaceReply(5, False, {}), PaceReply(5, True, {}, 5), "oms is at work"),
        (PaceReply(5, True, {}), PaceReply(5, False, {}, 5), "one is at work"),
        (PaceReply(5, True, {}), PaceReply(5, True, {}, 4), "one has handled events to 4"),
        (PaceReply(5, True, {"s/b": 1}), PaceReply(5, True, {}, 5), "one has read s/b to 0"),
        (None, PaceReply(5, True, {}, 5), "oms does not answer"),
        (PaceReply(5, True, {}), None, "one does not answer"),
    ],
)
def test_who_is_not_at_rest_is_named(
    oms: PaceReply | None, one: PaceReply | None, told: str
) -> None:
    assert look(oms=oms, one=one).busy(RUNNERS, 5, {"one"}) == told


def test_a_runner_that_does_not_trade_it_is_not_waited_for() -> None:
    found = look(oms=PaceReply(5, True), one=PaceReply(5, True, {}, 0))
    assert found.busy(RUNNERS, 5, set()) == ""


def test_runners_are_interested_in_what_they_trade_at_the_adapter() -> None:
    runner = Runner(
        name="one",
        strategies=(
            RunnerStrategy(name="a", path="x:A", vt_symbols=("A.LOCAL",), adapter="X"),
            RunnerStrategy(name="b", path="x:B", vt_symbols=("B.LOCAL",), adapter="Y"),
        ),
    )
    adapters = tuple(AdapterSettings(name=name, kind="a.b:C") for name in "XY")
    installation = Installation(adapters=adapters, runners=(runner,))
    assert interested_runners(installation, "X") == {
        "one": (frozenset({"A.LOCAL"}), frozenset({"s/a", "s/b"}))
    }
