"""Cursors: gaps, duplicates, restarts, and the splice of snapshot, replay and live messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.bus.codec import Envelope
from foxtrot.bus.cursor import Stream
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.streams import StreamTracker

TICKS = "eTick.X.SIM"
ORDERS = "eOrder.alpha"


def envelope(seq: int, epoch: int = 1, source: str = "s") -> Envelope[Any]:
    return Envelope(1, source, epoch, seq, 1_000 + seq, seq)


def beat(epoch: int = 1, complete: bool = True, **streams: int) -> Heartbeat:
    names = {"ticks": TICKS, "orders": ORDERS}
    listed = {names[key]: value for key, value in streams.items()}
    return Heartbeat("s", epoch, streams=listed, complete=complete)


class Reader:
    """A tracker, and everything that it said."""

    def __init__(self, **options: Any) -> None:
        self.got: list[tuple[str, int]] = []
        self.gaps: list[tuple[str, int, int, int]] = []
        self.epochs: list[tuple[str, int, int]] = []
        self.tracker = StreamTracker(
            lambda topic, e: self.got.append((topic, e.seq)),
            lambda stream, first, last, epoch: self.gaps.append((stream.name, first, last, epoch)),
            lambda source, old, new: self.epochs.append((source, old, new)),
            **options,
        )
        self.counts = self.tracker.counts

    def take(self, topic: str, *seqs: int, epoch: int = 1, source: str = "s") -> None:
        for seq in seqs:
            if self.tracker.accept(topic, envelope(seq, epoch, source)):
                self.got.append((topic, seq))

    def hear(self, heartbeat: Heartbeat) -> bool:
        return self.tracker.heartbeat("s", heartbeat, lambda name: name in (TICKS, ORDERS))

    def replay(self, topic: str, *seqs: int, epoch: int = 1) -> bool:
        return self.tracker.replay(Stream("s", topic), [(topic, envelope(s, epoch)) for s in seqs])

    def resume(self, topic: str, epoch: int, seq: int) -> bool:
        return self.tracker.resume(Stream("s", topic), epoch, seq)

    def seqs(self, topic: str) -> list[int]:
        return [seq for name, seq in self.got if name == topic]


@pytest.fixture
def reader() -> Reader:
    return Reader()


# --- ordinary streams ---------------------------------------------------------------------------------------


def test_reading_begins_with_the_first_message_seen(reader: Reader) -> None:
    reader.take(TICKS, 500, 501, 502)
    assert reader.seqs(TICKS) == [500, 501, 502]
    assert not reader.gaps


def test_a_gap_in_ticks_is_reported_and_reading_goes_on(reader: Reader) -> None:
    reader.take(TICKS, 1, 2, 6, 7)
    assert reader.seqs(TICKS) == [1, 2, 6, 7]
    assert reader.gaps == [(TICKS, 3, 5, 1)]
    assert (reader.counts.gaps, reader.counts.missing) == (1, 3)


def test_duplicates_and_late_messages_are_dropped(reader: Reader) -> None:
    reader.take(TICKS, 1, 2, 2, 1, 3)
    assert reader.seqs(TICKS) == [1, 2, 3]
    assert reader.counts.duplicates == 2


def test_streams_and_sources_are_counted_apart(reader: Reader) -> None:
    reader.take(TICKS, 1, 2)
    reader.take("eTick.Y.SIM", 10, 11)
    reader.take(TICKS, 40, 41, source="other")
    assert not reader.gaps
    assert len(reader.got) == 6


def test_a_new_epoch_starts_ticks_at_one_again(reader: Reader) -> None:
    reader.take(TICKS, 1, 2, 3)
    reader.take(TICKS, 1, 2, epoch=2)
    assert reader.seqs(TICKS) == [1, 2, 3, 1, 2]
    assert reader.epochs == [("s", 1, 2)]
    assert not reader.gaps


def test_what_was_missed_of_a_new_epoch_is_a_gap(reader: Reader) -> None:
    reader.take(TICKS, 1)
    reader.take(TICKS, 4, epoch=2)
    assert reader.gaps == [(TICKS, 1, 3, 2)]


def test_a_process_that_should_be_gone_is_not_heard(reader: Reader) -> None:
    reader.take(TICKS, 1, epoch=2)
    reader.take(TICKS, 2, epoch=1)
    reader.take("eTick.New.SIM", 1, epoch=1)
    assert not reader.hear(beat(epoch=1, ticks=9))
    assert reader.got == [(TICKS, 1)]
    assert reader.counts.old_epochs == 3


# --- heartbeats ---------------------------------------------------------------------------------------------


def test_a_gap_at_the_very_end_is_found_by_the_heartbeat(reader: Reader) -> None:
    reader.take(TICKS, 1, 2)
    reader.hear(beat(ticks=4))
    assert reader.gaps == [(TICKS, 3, 4, 1)]
    reader.take(TICKS, 5)
    assert reader.seqs(TICKS) == [1, 2, 5]


def test_the_first_heartbeat_tells_where_reading_begins(reader: Reader) -> None:
    reader.hear(beat(ticks=10, orders=20))
    reader.take(TICKS, 11)
    reader.take(ORDERS, 21)
    assert not reader.gaps
    assert len(reader.got) == 2


def test_the_loss_of_a_streams_very_first_messages_is_noticed(reader: Reader) -> None:
    reader.hear(beat())
    reader.take(TICKS, 3)
    reader.hear(beat(ticks=3, orders=2))
    assert reader.gaps == [(TICKS, 1, 2, 1), (ORDERS, 1, 2, 1)]


def test_a_list_that_is_not_complete_says_nothing_of_the_others(reader: Reader) -> None:
    reader.hear(beat(complete=False))
    reader.take(TICKS, 3)
    assert not reader.gaps


def test_what_a_new_subscription_missed_is_no_gap(reader: Reader) -> None:
    reader.hear(beat())
    reader.tracker.joined()
    reader.take(TICKS, 3)
    reader.hear(beat(ticks=3, orders=7))
    assert not reader.gaps
    reader.hear(beat(ticks=3, orders=8))
    assert reader.gaps == [(ORDERS, 8, 8, 1)]


def test_streams_that_nobody_reads_are_not_followed() -> None:
    reader = Reader()
    reader.tracker.heartbeat("s", beat(ticks=5), lambda name: False)
    assert not reader.tracker.states


def test_a_restart_is_told_once_and_its_loss_found_by_the_heartbeat(reader: Reader) -> None:
    reader.take(TICKS, 1, 2)
    reader.hear(beat(epoch=2, ticks=1))
    reader.take(TICKS, 2, epoch=2)
    assert reader.epochs == [("s", 1, 2)]
    assert reader.gaps == [(TICKS, 1, 1, 2)]
    assert reader.seqs(TICKS) == [1, 2, 2]


# --- durable streams ----------------------------------------------------------------------------------------


def test_orders_behind_a_gap_wait_for_the_replay(reader: Reader) -> None:
    reader.take(ORDERS, 1, 2, 5, 6)
    assert reader.seqs(ORDERS) == [1, 2]
    assert reader.gaps == [(ORDERS, 3, 4, 1)]
    assert reader.tracker.open_gaps() == [(Stream("s", ORDERS), 3, 4, 1)]

    assert reader.replay(ORDERS, 3, 4)
    reader.take(ORDERS, 7)
    assert reader.seqs(ORDERS) == [1, 2, 3, 4, 5, 6, 7]
    assert not reader.tracker.open_gaps()


def test_a_replay_may_come_in_pages_and_overlap_with_what_is_held_back(reader: Reader) -> None:
    reader.take(ORDERS, 1, 6, 7)
    assert not reader.replay(ORDERS, 1, 2, 3)
    assert reader.tracker.next_seq(Stream("s", ORDERS)) == 4
    assert reader.replay(ORDERS, 4, 5, 6)
    assert reader.seqs(ORDERS) == [1, 2, 3, 4, 5, 6, 7]


def test_a_replay_with_a_hole_delivers_only_what_follows(reader: Reader) -> None:
    reader.take(ORDERS, 1, 6)
    assert not reader.replay(ORDERS, 2, 4)
    assert reader.seqs(ORDERS) == [1, 2]


def test_a_second_gap_while_one_is_open_is_left_to_the_replay(reader: Reader) -> None:
    reader.take(ORDERS, 1, 3, 6)
    assert reader.gaps == [(ORDERS, 2, 2, 1)]
    assert (reader.counts.gaps, reader.counts.missing) == (2, 3)
    assert reader.replay(ORDERS, 2, 3, 4, 5)
    assert reader.seqs(ORDERS) == [1, 2, 3, 4, 5, 6]


def test_what_is_held_back_is_bounded_and_nothing_is_lost_by_it() -> None:
    reader = Reader(max_buffer=10)
    reader.take(ORDERS, 1, *range(3, 500))
    state = reader.tracker.states[Stream("s", ORDERS)]
    assert len(state.buffer) <= 10
    assert reader.counts.overflows
    for first in range(2, 500, 50):
        reader.replay(ORDERS, *range(first, min(first + 50, 500)))
    reader.take(ORDERS, 500)
    assert reader.seqs(ORDERS) == list(range(1, 501))


def test_a_gap_at_the_end_of_orders_waits_for_the_replay_too(reader: Reader) -> None:
    reader.take(ORDERS, 1)
    reader.hear(beat(orders=3))
    reader.hear(beat(orders=4))
    reader.take(ORDERS, 5)
    assert reader.gaps == [(ORDERS, 2, 3, 1)]
    assert reader.counts.missing == 3
    assert reader.tracker.open_gaps() == [(Stream("s", ORDERS), 2, 4, 1)]
    assert reader.replay(ORDERS, 2, 3, 4)
    assert reader.seqs(ORDERS) == [1, 2, 3, 4, 5]


def test_orders_count_on_over_a_restart(reader: Reader) -> None:
    reader.take(ORDERS, 1, 2)
    reader.hear(beat(epoch=2, orders=2))
    reader.take(ORDERS, 3, epoch=2)
    reader.take(ORDERS, 5, epoch=3)
    assert reader.seqs(ORDERS) == [1, 2, 3]
    assert reader.gaps == [(ORDERS, 4, 4, 3)]
    assert reader.epochs == [("s", 1, 2), ("s", 2, 3)]


@pytest.mark.parametrize("message_first", [False, True])
def test_a_history_that_was_replaced_asks_for_a_snapshot(
    reader: Reader, message_first: bool
) -> None:
    reader.take(ORDERS, *range(1, 11))
    if message_first:
        reader.take(ORDERS, 8, epoch=2)
    reader.hear(beat(epoch=2, orders=8))
    assert reader.gaps == [(ORDERS, 0, 8, 2)]
    assert reader.tracker.open_gaps() == [(Stream("s", ORDERS), 0, 8, 2)]
    reader.take(ORDERS, 9, 10, epoch=2)
    assert not reader.replay(ORDERS, 9, epoch=2)
    assert reader.resume(ORDERS, 2, 9)
    assert reader.seqs(ORDERS) == [*range(1, 11), 10]


def test_a_heartbeat_older_than_the_snapshot_is_no_replaced_history(reader: Reader) -> None:
    reader.tracker.hold(Stream("s", ORDERS))
    assert reader.resume(ORDERS, 4, 100)
    reader.hear(beat(epoch=4, orders=98))
    reader.take(ORDERS, 99, 100, 101, epoch=4)
    assert not reader.gaps
    assert reader.seqs(ORDERS) == [101]


# --- late joiners -------------------------------------------------------------------------------------------


def test_a_late_joiner_gets_the_snapshot_then_what_came_after_it(reader: Reader) -> None:
    reader.tracker.hold(Stream("s", ORDERS))
    reader.take(ORDERS, 7, 8, 9, epoch=3)
    assert not reader.got
    assert reader.resume(ORDERS, 3, 8)
    reader.take(ORDERS, 10, epoch=3)
    assert reader.seqs(ORDERS) == [9, 10]
    assert not reader.gaps


def test_a_snapshot_older_than_what_is_held_back_needs_a_replay_between(reader: Reader) -> None:
    reader.tracker.hold(Stream("s", ORDERS))
    reader.take(ORDERS, 9, 10)
    assert not reader.resume(ORDERS, 1, 6)
    assert reader.gaps == [(ORDERS, 7, 8, 1)]
    assert reader.replay(ORDERS, 7, 8)
    assert reader.seqs(ORDERS) == [7, 8, 9, 10]


def test_a_snapshot_of_ticks_leaves_a_gap_behind_that_nobody_can_fill(reader: Reader) -> None:
    reader.tracker.hold(Stream("s", TICKS))
    reader.take(TICKS, 9, 10)
    assert reader.resume(TICKS, 1, 6)
    assert reader.gaps == [(TICKS, 7, 8, 1)]
    assert reader.seqs(TICKS) == [9, 10]


def test_a_snapshot_of_an_epoch_that_ticks_have_left_is_refused(reader: Reader) -> None:
    reader.take(TICKS, 1, epoch=3)
    assert not reader.resume(TICKS, 2, 50)
    assert reader.resume(TICKS, 3, 1)


def test_a_snapshot_behind_what_was_delivered_asks_for_the_rest_again(reader: Reader) -> None:
    reader.take(ORDERS, 1, 2, 3, 4)
    assert not reader.resume(ORDERS, 1, 2)
    assert reader.gaps == [(ORDERS, 3, 4, 1)]
    assert reader.replay(ORDERS, 3, 4)


def test_a_stream_of_which_nothing_is_known_cannot_be_replayed(reader: Reader) -> None:
    assert not reader.replay(ORDERS, 1)
    assert reader.tracker.next_seq(Stream("s", ORDERS)) == 1
    assert reader.resume(ORDERS, 1, 5)
    assert reader.tracker.next_seq(Stream("s", ORDERS)) == 6


# --- the rest -----------------------------------------------------------------------------------------------


def test_topics_may_share_one_count() -> None:
    reader = Reader(durable=("oms",), stream_of=lambda topic: "oms." + topic.partition(".")[2])
    reader.take("eOrder.alpha", 1)
    reader.take("eTrade.alpha", 2)
    reader.take("eOrder.alpha", 3, 5)
    assert reader.gaps == [("oms.alpha", 4, 4, 1)]
    stream = Stream("s", "oms.alpha")
    assert reader.tracker.replay(stream, [("eTrade.alpha", envelope(4))])
    assert [seq for _, seq in reader.got] == [1, 2, 3, 4, 5]


def test_a_flood_of_streams_is_refused_and_counted() -> None:
    reader = Reader(max_streams=3)
    for number in range(10):
        reader.take(f"eTick.{number}", 1)
    assert len(reader.tracker.states) == 3
    assert reader.counts.refused == 7


def test_streams_that_are_no_longer_read_are_forgotten(reader: Reader) -> None:
    reader.take(TICKS, 1)
    reader.take(ORDERS, 1)
    reader.tracker.forget(lambda name: name == TICKS)
    assert list(reader.tracker.states) == [Stream("s", ORDERS)]
    reader.take(TICKS, 9)
    assert not reader.gaps


def test_a_delivery_that_raises_does_not_hold_the_stream_up_for_ever() -> None:
    got: list[int] = []

    def deliver(topic: str, item: Envelope[Any]) -> None:
        if item.seq == 3 and 3 not in got:
            got.append(3)
            raise ValueError("once")
        got.append(item.seq)

    tracker = StreamTracker(deliver)
    stream = Stream("s", ORDERS)
    for seq in (1, 3, 4):
        tracker.accept(ORDERS, envelope(seq))
    with pytest.raises(ValueError, match="once"):
        tracker.replay(stream, [(ORDERS, envelope(2))])
    tracker.heartbeat("s", beat(orders=4), lambda name: True)
    assert got == [2, 3, 4]
    assert tracker.states[stream].live


FATE = st.sampled_from(["deliver", "deliver", "deliver", "drop", "twice", "restart", "beat"])


@given(st.lists(FATE, max_size=60), st.integers(1, 7), st.integers(2, 20))
def test_whatever_is_dropped_every_order_arrives_once_and_in_order(
    fates: list[str], page: int, max_buffer: int
) -> None:
    reader = Reader(max_buffer=max_buffer)
    epoch, last = 1, 0
    reader.hear(beat(epoch))

    def mend() -> None:
        for stream, first, _, _ in reader.tracker.open_gaps():
            reader.replay(stream.name, *range(first, min(first + page, last + 1)), epoch=epoch)

    for fate in fates:
        if fate == "restart":
            epoch += 1
        elif fate == "beat":
            reader.hear(beat(epoch, orders=last) if last else beat(epoch))
        else:
            last += 1
            for _ in range({"drop": 0, "deliver": 1, "twice": 2}[fate]):
                reader.take(ORDERS, last, epoch=epoch)
        mend()
    reader.hear(beat(epoch, orders=last) if last else beat(epoch))
    for _ in range(last + 1):
        mend()
    assert reader.seqs(ORDERS) == list(range(1, last + 1))
    assert not reader.tracker.open_gaps()
