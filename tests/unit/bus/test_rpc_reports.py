"""Numbered reports arrive once and in order, whatever is lost, doubled, reordered or restarted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foxtrot.bus.rpc_inbox import Received, ReliableReceiver, Unreadable
from foxtrot.bus.rpc_messages import Bodies, Report, ReportAck, ReportHello
from foxtrot.bus.rpc_outbox import OutboxFullError, OutboxLimits, ReliableSender
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import BusError
from tests.unit.bus.rpc_desk import SECOND, Desk, Ping, codec

MS = 1_000_000
TOPIC = "q.reports"
CODEC = codec()
BODIES = Bodies(CODEC)


class Wire:
    """A channel that loses, doubles, delays and reorders; delivery by the simulated clock."""

    def __init__(
        self, seed: int, loss: float = 0.0, double: float = 0.0, reorder: float = 0.0
    ) -> None:
        self.clock = SimulatedClock()
        self.chance = random.Random(seed)
        self.loss, self.double, self.reorder = loss, double, reorder
        self.count = 0

    def carry(self, deliver: Callable[[], None]) -> None:
        if self.chance.random() < self.loss:
            return
        for _ in range(1 + (self.chance.random() < self.double)):
            delay = MS + (
                self.chance.randrange(20 * MS) if self.chance.random() < self.reorder else 0
            )
            self.count += 1
            self.clock.set_timer(f"wire-{self.count}", self.clock.ns + delay, lambda _: deliver())


class Oms:
    """A receiver whose commits are its only memory: ``rows`` and ``folded`` are what a database would hold."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.rows: dict[str, Received] = {}
        self.folded: list[int] = []
        self.lost: list[tuple[int, int]] = []
        self.batch: list[int] = []
        self.epoch = 0
        self.venues: dict[str, Venue] = {}
        self.start()

    def start(self) -> None:
        self.epoch += 1
        self.batch = []
        self.receiver = ReliableReceiver(
            TOPIC,
            lambda _source, _number, body: self.batch.append(body.number),
            lambda _source, first, last: self.lost.append((first, last)),
            state=self.rows,
        )
        epoch = self.epoch
        self.receiver.attach(BODIES, lambda source, ack: self.tell(epoch, source, ack))

    def tell(self, epoch: int, source: str, ack: ReportAck) -> None:
        venue = self.venues[source]
        self.wire.carry(lambda: venue.sender.on_ack(epoch, ack) if epoch == self.epoch else None)

    def take(self, source: str, epoch: int, message: Any) -> None:
        self.receiver.take(source, epoch, message)
        self.receiver.flush()

    def commit(self) -> None:
        rows = self.receiver.uncommitted()
        self.rows.update(rows)
        self.folded += self.batch
        self.batch = []
        self.receiver.commit(rows)


class Venue:
    """A sender of numbers 1, 2, 3 … as bodies; ``durable`` ones keep a file of what is not acknowledged."""

    def __init__(self, wire: Wire, oms: Oms, *, durable: bool = True, **limits: int) -> None:
        self.source = "venue"
        self.epoch = 0
        self.wire, self.oms, self.durable = wire, oms, durable
        self.limits = OutboxLimits(**limits)
        self.file: dict[int, Ping] = {}
        self.last = 0
        self.halts: list[str] = []
        oms.venues[self.source] = self
        self.start()

    def start(self) -> None:
        self.epoch += 1
        if self.epoch > 1:
            self.sender.stop()
        self.sender = ReliableSender(
            TOPIC,
            CODEC,
            self.wire.clock,
            on_halt=self.halts.append,
            on_acked=self.acked,
            durable=self.durable,
            last=self.last if self.durable else 0,
            kept=list(self.file.items()) if self.durable else (),
            limits=self.limits,
        )
        self.sender.start(self)

    def acked(self, number: int) -> None:
        self.file = {key: body for key, body in self.file.items() if key > number}

    def transmit(self, topic: str, message: msgspec.Struct, seq: int = 0) -> bool:
        epoch = self.epoch
        self.wire.carry(lambda: self.oms.take(self.source, epoch, message))
        return True

    def put(self, number: int) -> None:
        if self.durable:
            self.last += 1
            self.file[self.last] = Ping(number)
            self.sender.put(Ping(number), self.last)
        else:
            self.sender.put(Ping(number))


def settle(wire: Wire, oms: Oms, venue: Venue, seconds: int = 60) -> None:
    end = wire.clock.ns + seconds * SECOND
    while venue.sender.waiting and wire.clock.ns < end:
        wire.clock.advance(wire.clock.ns + 10 * MS)
        oms.commit()
    assert not venue.sender.waiting


@pytest.mark.parametrize("seed", range(8))
def test_every_report_is_folded_once_and_in_order_over_a_bad_wire_and_restarts(seed: int) -> None:
    wire = Wire(seed, loss=0.1, double=0.1, reorder=0.2)
    oms = Oms(wire)
    venue = Venue(wire, oms, window=16)
    chance = random.Random(1_000 + seed)
    put = 0
    for _ in range(400):
        for _ in range(chance.randrange(4)):
            put += 1
            venue.put(put)
        wire.clock.advance(wire.clock.ns + chance.randrange(1, 20) * MS)
        if chance.random() < 0.3:
            oms.commit()
        if chance.random() < 0.02:
            oms.start()  # killed: what was not committed is gone
        if chance.random() < 0.02:
            venue.start()
        if chance.random() < 0.02:
            oms.batch = []  # a transaction that was rolled back
            oms.receiver.rewind()
    settle(wire, oms, venue)
    assert oms.folded == list(range(1, put + 1))
    assert not oms.lost and not venue.halts
    assert not venue.file


@pytest.mark.parametrize("seed", range(8))
def test_a_sender_without_a_file_tells_what_died_with_it(seed: int) -> None:
    """Its life ends with its memory: what was not committed is told as lost, nothing is doubled or out of order."""
    wire = Wire(seed, loss=0.1, double=0.1, reorder=0.2)
    oms = Oms(wire)
    venue = Venue(wire, oms, durable=False, window=16)
    chance = random.Random(2_000 + seed)
    put = 0
    for _ in range(300):
        for _ in range(chance.randrange(4)):
            put += 1
            venue.put(put)
        wire.clock.advance(wire.clock.ns + chance.randrange(1, 20) * MS)
        if chance.random() < 0.3:
            oms.commit()
        if chance.random() < 0.02:
            oms.start()
        if chance.random() < 0.02:
            venue.start()
    put += 1
    venue.put(put)
    settle(wire, oms, venue)
    assert oms.folded == sorted(set(oms.folded)), "none twice, none out of order"
    assert oms.folded[-1] == put, "the last life's reports are all there"
    assert venue.epoch > 1


def test_a_sender_that_lives_on_loses_nothing_to_restarts_of_the_receiver() -> None:
    wire = Wire(3, loss=0.05, double=0.05, reorder=0.1)
    oms = Oms(wire)
    venue = Venue(wire, oms, durable=False, window=8)
    for number in range(1, 301):
        venue.put(number)
        wire.clock.advance(wire.clock.ns + 5 * MS)
        if number % 7 == 0:
            oms.commit()
        if number % 50 == 0:
            oms.start()
    settle(wire, oms, venue)
    assert oms.folded == list(range(1, 301)) and not oms.lost


def test_reports_that_died_with_their_sender_are_told_as_lost() -> None:
    wire = Wire(1)
    oms = Oms(wire)
    venue = Venue(wire, oms, durable=False)
    for number in (1, 2, 3):
        venue.put(number)
    wire.clock.advance(50 * MS)
    assert oms.batch == [1, 2, 3]
    venue.start()  # goes on from 3: the receiver has them, if not for good
    venue.put(4)
    oms_rows = dict(oms.rows)
    wire.clock.advance(wire.clock.ns + 50 * MS)
    assert oms.batch == [1, 2, 3, 4]
    oms.start()  # before its commit
    assert oms.rows == oms_rows == {}
    settle(wire, oms, venue)
    assert oms.lost == [(1, 3)]
    assert oms.folded == [4]
    assert oms.rows == {"venue": Received(4, 2)}


def test_nothing_is_acknowledged_before_the_commit() -> None:
    wire = Wire(1)
    oms = Oms(wire)
    venue = Venue(wire, oms)
    venue.put(1)
    wire.clock.advance(5 * SECOND)
    assert venue.sender.waiting == 1 and oms.batch == [1]
    assert venue.sender.counters["sent"] < 20, "asked at intervals that grow"
    oms.commit()
    wire.clock.advance(6 * SECOND)
    assert venue.sender.waiting == 0 and venue.sender.waiting_bytes == 0
    assert wire.clock.timer_names() == (), "an outbox at rest sets no timer"


def test_the_window_bounds_what_is_on_its_way() -> None:
    wire = Wire(1)
    oms = Oms(wire)
    venue = Venue(wire, oms, window=10)
    for number in range(1, 101):
        venue.put(number)
    wire.clock.advance(50 * MS)
    assert oms.batch == list(range(1, 11))
    settle(wire, oms, venue, 5)
    assert oms.folded == list(range(1, 101))
    assert venue.sender.counters["sent"] == 100, "each was sent once"


def test_a_full_outbox_raises_and_calls_for_a_halt_once_until_it_has_drained() -> None:
    wire = Wire(1)
    oms = Oms(wire)
    for limits in ({"reports": 4}, {"bytes": 600}):
        venue = Venue(wire, oms, durable=False, **limits)
        for number in range(1, 5):
            venue.put(number)
        for _ in range(2):
            with pytest.raises(OutboxFullError, match="not acknowledged"):
                venue.put(5)
        assert len(venue.halts) == 1 and venue.sender.waiting == 4
        settle(wire, oms, venue)
        for number in range(1, 5):
            venue.put(number)
        with pytest.raises(OutboxFullError):
            venue.put(5)
        assert len(venue.halts) == 2
        settle(wire, oms, venue)
        venue.sender.stop()


def test_an_outbox_that_has_lost_its_file_halts() -> None:
    wire = Wire(1)
    oms = Oms(wire)
    venue = Venue(wire, oms)
    for number in (1, 2):
        venue.put(number)
    settle(wire, oms, venue)
    venue.last, venue.file = 0, {}
    venue.start()
    venue.last, venue.file = 1, {1: Ping(9)}
    venue.sender.put(Ping(9), 1)
    wire.clock.advance(wire.clock.ns + SECOND)
    assert "not the one that was used last" in venue.halts[0]
    with pytest.raises(BusError, match="halted"):
        venue.sender.put(Ping(10), 2)
    assert oms.folded == [1, 2]


def test_numbers_must_follow_each_other() -> None:
    wire = Wire(1)
    venue = Venue(wire, Oms(wire))
    with pytest.raises(BusError, match="2 given, 1 expected"):
        venue.sender.put(Ping(1), 2)
    with pytest.raises(BusError, match="without a gap"):
        ReliableSender(
            TOPIC, CODEC, wire.clock, on_halt=print, durable=True, last=3, kept=[(1, Ping())]
        )
    memory = Venue(wire, Oms(wire), durable=False)
    with pytest.raises(BusError, match="expected"):
        memory.sender.put(Ping(1), 1)


def inbox(**settings: Any) -> tuple[ReliableReceiver, list[Any], list[Any], list[Any]]:
    reports: list[Any] = []
    lost: list[Any] = []
    acks: list[Any] = []
    receiver = ReliableReceiver(
        TOPIC, lambda *what: reports.append(what), lambda *what: lost.append(what), **settings
    )
    receiver.attach(BODIES, lambda *what: acks.append(what))
    return receiver, reports, lost, acks


def report(number: int, first: int = 1) -> Report:
    return Report(number, first, BODIES.encode(Ping(number)))


def test_the_receiver_takes_reports_in_order_and_once() -> None:
    receiver, reports, lost, acks = inbox()
    for number in (1, 3, 2, 2, 1):
        receiver.take("a", 1, report(number))
    assert [number for _, number, _ in reports] == [1, 2] and not lost
    receiver.flush()
    receiver.flush()
    assert acks == [("a", ReportAck(1, 0, 2))], "one acknowledgement for all that asked for it"
    receiver.ack("a", 2)
    receiver.ack("a", 1)
    assert acks[1:] == [("a", ReportAck(1, 2, 2))] and receiver.state() == {"a": Received(2, 1)}
    with pytest.raises(BusError, match="cannot be acknowledged"):
        receiver.ack("a", 3)
    with pytest.raises(BusError, match="cannot be acknowledged"):
        receiver.ack("b", 1)


def test_frames_of_a_former_life_are_dropped() -> None:
    receiver, reports, _, acks = inbox(state={"a": Received(4, 7)})
    receiver.take("a", 6, report(5, 5))
    assert not reports
    receiver.take("a", 8, ReportHello())
    receiver.take("a", 7, report(5, 5))
    receiver.flush()
    assert not reports and acks == [("a", ReportAck(8, 4, 4))] and receiver.counters["stale"] == 2


def test_an_unreadable_report_keeps_its_place() -> None:
    receiver, reports, _, _ = inbox()
    receiver.take("a", 1, Report(1, 1, msgspec.Raw(b"\x92\xa5Never\x01")))
    receiver.take("a", 1, report(2))
    assert isinstance(reports[0][2], Unreadable) and "Never" in reports[0][2].text
    assert reports[1] == ("a", 2, Ping(2))


def test_a_report_that_its_owner_could_not_handle_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = 2
    taken: list[int] = []

    def on_report(_source: str, number: int, _body: Any) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise ZeroDivisionError
        taken.append(number)

    receiver = ReliableReceiver(TOPIC, on_report, lambda *_: None)
    receiver.attach(BODIES, lambda *_: None)
    for _ in range(4):
        receiver.take("a", 1, report(1))
    assert taken == [1] and receiver.counters["owner_errors"] == 2
    assert len([r for r in caplog.records if "on_report failed" in r.getMessage()]) == 1


def test_sources_are_bounded() -> None:
    receiver, reports, _, _ = inbox(max_sources=2)
    for source in ("a", "b", "c", "a"):
        receiver.take(source, 1, report(1))
    assert [source for source, _, _ in reports] == ["a", "b"]
    assert receiver.counters["refused_sources"] == 1


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_reports_go_over_sockets_through_restarts_of_both_sides(desk: Desk) -> None:
    rows: dict[str, Received] = {}
    folded: list[int] = []
    lost: list[Any] = []

    def start(epoch: int) -> tuple[Any, ReliableReceiver]:
        batch.clear()
        receiver = ReliableReceiver(
            TOPIC,
            lambda _s, _n, body: batch.append(body.number),
            lambda *w: lost.append(w),
            state=rows,
        )
        server = desk.server(epoch=epoch)
        server.receive_reports(receiver)
        return server, receiver

    batch: list[int] = []
    server, receiver = start(1)
    client = desk.client("venue")
    outbox = ReliableSender(TOPIC, CODEC, desk.clock, on_halt=pytest.fail)
    client.send_reports(outbox)
    with pytest.raises(BusError, match="outbox already"):
        client.send_reports(outbox)
    with pytest.raises(BusError, match="handler already"):
        server.receive_reports(receiver)

    def commit() -> bool:
        done = receiver.uncommitted()
        rows.update(done)
        folded.extend(batch)
        batch.clear()
        receiver.commit(done)
        return not outbox.waiting

    for number in range(1, 1_001):
        outbox.put(Ping(number))
        if number in (300, 600):
            desk.pump(lambda: batch)
            server.close()
            server, receiver = start(number)
        if number % 50 == 0:
            desk.step(0)
            commit()
    desk.pump(commit)
    assert folded == list(range(1, 1_001)) and not lost
    client.close()
    client = desk.client("venue", epoch=2)
    outbox = ReliableSender(TOPIC, CODEC, desk.clock, on_halt=pytest.fail)
    outbox.put(Ping(1_001))
    client.send_reports(outbox)
    desk.pump(commit)
    assert folded[-1] == 1_001 and outbox.last == 1_001 and rows == {"venue": Received(1_001, 2)}
