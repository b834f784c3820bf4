"""The replay: recorded data at a pace, over and over, from any place, or step by step."""

from __future__ import annotations

import pytest

from foxtrot.adapter.replay import PacedStep, Phase, ReplayAdapter
from foxtrot.adapter.replay_stream import ReplayStream
from foxtrot.core.clock import LiveClock, SimulatedClock
from foxtrot.core.constants import Interval, Status
from foxtrot.core.errors import ConfigError, DataError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import HistoryRequest, SubscribeRequest
from foxtrot.testing import make_order_request
from tests.unit.adapter.paper_helpers import (
    CONTRACT,
    SECOND,
    START,
    SYMBOL,
    Told,
    bar_columns,
    tick_columns,
)

MINUTE = 60 * SECOND


class Player:
    def __init__(self, *series, clock=None, **options) -> None:
        self.clock = clock if clock is not None else SimulatedClock(START)
        self.engine = EventEngine(self.clock)
        self.engine.raise_errors = True
        self.told = Told(self.engine)
        self.replay = ReplayAdapter(self.engine, series=series, **options)

    def play(self, **setting):
        self.replay.connect(setting)
        return self

    def wait(self, seconds):
        self.engine.advance(self.clock.ns + int(seconds * SECOND))
        self.engine.drain()

    @property
    def closes(self):
        return [bar.close_price for bar in self.told.bars]


# --- by the clock


def test_messages_come_when_their_time_has_come() -> None:
    player = Player(bar_columns([1, 2, 3])).play(speed=1)
    player.wait(0)
    assert player.closes == [1]
    player.wait(59)
    assert player.closes == [1]
    player.wait(1)
    assert player.closes == [1, 2]
    player.wait(60)
    assert player.closes == [1, 2, 3]
    assert not player.replay.is_playing
    assert "at its end" in player.told.logs[-1].msg


def test_at_sixty_times_the_pace_a_minute_is_a_second() -> None:
    player = Player(bar_columns(range(1, 11))).play(speed=60)
    player.wait(4.5)
    assert player.closes == [1, 2, 3, 4, 5]


def test_as_fast_as_it_goes_takes_bounded_turns() -> None:
    player = Player(tick_columns(range(1, 101))).play(speed=0, batch=10)
    counts = []
    for _ in range(20):
        if not player.replay.is_playing:
            break
        player.clock.fire_next(player.clock.ns + 10_000)
        counts.append(len(player.told.ticks))
    assert counts == list(range(10, 101, 10))


def test_long_pauses_are_cut_short() -> None:
    columns = tick_columns([1, 2], step=8 * 3600 * SECOND)
    player = Player(columns).play(speed=1, max_wait=5)
    player.wait(6)
    assert len(player.told.ticks) == 2
    assert player.told.ticks[1].ts_event == START + 8 * 3600 * SECOND


def test_bars_and_quotes_of_several_instruments_are_merged() -> None:
    player = Player(
        bar_columns([1, 2]), tick_columns([5, 6], "B.LOCAL", start=START + 30 * SECOND, step=MINUTE)
    ).play(speed=0)
    player.wait(1)
    kinds = [type(m).__name__ for m in player.told.all if hasattr(m, "vt_symbol")]
    assert kinds == ["TickData", "BarData", "TickData", "BarData"]
    assert player.replay.quoted == {"B.LOCAL"}


def test_stamps_can_be_moved_to_now() -> None:
    now = START + 10**9 * SECOND
    player = Player(bar_columns([1, 2]), clock=SimulatedClock(now)).play(speed=0, shift="now")
    player.wait(1)
    assert [bar.ts_open for bar in player.told.bars] == [now, now + MINUTE]
    assert [bar.ts_event - bar.ts_open for bar in player.told.bars] == [MINUTE, MINUTE]


def test_a_loop_begins_again_with_stamps_that_go_on() -> None:
    player = Player(bar_columns([1, 2, 3])).play(speed=60, loop=True)
    player.wait(7)
    assert player.closes == [1, 2, 3, 1, 2, 3, 1, 2]
    opened = [bar.ts_open for bar in player.told.bars]
    assert opened == [START + number * MINUTE for number in range(8)]


def test_messages_say_who_played_them_and_when() -> None:
    player = Player(bar_columns([1])).play(speed=0)
    player.wait(1)
    (bar,) = player.told.bars
    assert (bar.adapter_name, bar.interval) == ("REPLAY", Interval.MINUTE)
    assert bar.ts_init >= START


def test_a_live_clock_plays_too() -> None:
    player = Player(tick_columns(range(1, 301)), clock=LiveClock()).play(speed=0)
    for _ in range(2_000):
        if not player.replay.is_playing:
            break
        player.clock.fire_due()
    assert [tick.bid_price_1 for tick in player.told.ticks] == list(range(1, 301))


def test_closing_stops_and_connecting_goes_on() -> None:
    player = Player(bar_columns(range(1, 6))).play(speed=60)
    player.wait(1)
    player.replay.close()
    player.wait(10)
    assert player.closes == [1, 2]
    player.play(speed=60)
    player.wait(1)
    assert player.closes == [1, 2, 3, 4]


def test_what_lies_before_the_begin_is_history() -> None:
    player = Player(bar_columns(range(1, 6))).play(speed=0, begin=START + 2 * MINUTE)
    request = HistoryRequest(SYMBOL)
    assert [b.close_price for b in player.replay.query_history(request)] == [1, 2]
    player.wait(1)
    assert player.closes == [3, 4, 5]


def test_history_never_holds_what_is_still_to_come() -> None:
    player = Player(bar_columns([1, 2, 3])).play(speed=60, loop=True)
    player.wait(1)
    history = player.replay.query_history
    assert [b.close_price for b in history(HistoryRequest(SYMBOL))] == [1, 2]
    player.wait(3)
    assert [b.close_price for b in history(HistoryRequest(SYMBOL))] == [1, 2, 3, 1, 2]
    later = HistoryRequest(SYMBOL, START + 3 * MINUTE, START + 4 * MINUTE)
    assert [b.close_price for b in history(later)] == [1]
    assert history(HistoryRequest(SYMBOL, interval=Interval.DAILY)) == []
    assert history(HistoryRequest("NONE.LOCAL")) == []


def test_a_venue_that_listens_is_first_and_settled_before_the_rest_see() -> None:
    player = Player(bar_columns([1, 2]))
    topic = player.engine.topic("venue")
    player.engine.subscribe("venue", lambda n: player.told.all.append(f"report {n}"))
    player.replay.add_listener("PAPER", lambda n, _m: player.engine.put_topic(topic, n))
    player.play(speed=0)
    player.wait(1)
    seen = [m if isinstance(m, str) else m.close_price for m in player.told.all[:4]]
    assert seen == ["report 1", 1, "report 2", 2]


def test_a_replay_goes_on_from_a_saved_place() -> None:
    first = Player(bar_columns(range(1, 6))).play(speed=60, loop=True, shift=7)
    first.wait(6)
    state = first.replay.state(4)
    second = Player(bar_columns(range(1, 6)))
    assert second.replay.resume(state)
    second.play(speed=0, loop=True)
    second.wait(0)
    assert [b.close_price for b in second.told.bars][:3] == [5, 1, 2]
    assert second.told.bars[:3] == [
        bar.__class__(
            **{**{f: getattr(bar, f) for f in bar.__struct_fields__}, "ts_init": got.ts_init}
        )
        for bar, got in zip(first.told.bars[4:7], second.told.bars, strict=False)
    ]
    with pytest.raises(ConfigError, match="plays already"):
        second.replay.resume(None)


def test_a_place_in_other_data_is_not_gone_on_from() -> None:
    state = Player(bar_columns([1, 2, 3])).replay.state(2)
    player = Player(bar_columns([1, 2]))
    assert not player.replay.resume(state)
    player.play(speed=0)
    player.wait(1)
    assert player.closes == [1, 2]


@pytest.mark.parametrize(
    "setting",
    [
        {"speed": -1},
        {"speed": float("nan")},
        {"sped": 1},
        {"batch": 0},
        {"shift": "later"},
        {"max_wait": -1},
    ],
)
def test_wrong_settings_are_refused(setting) -> None:
    with pytest.raises(ConfigError, match="REPLAY"):
        Player(bar_columns([1])).play(**setting)


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="no rows to replay"):
        Player(bar_columns([1]).slice(0, 0))


def test_orders_are_rejected_and_other_instruments_told() -> None:
    player = Player(bar_columns([1]), contracts=[CONTRACT]).play()
    request = make_order_request(vt_orderid="REPLAY.s-1")
    assert player.replay.send_order(request) == "REPLAY.s-1"
    player.replay.subscribe(SubscribeRequest(SYMBOL))
    player.replay.subscribe(SubscribeRequest("NONE.LOCAL"))
    player.engine.drain()
    assert [o.status for o in player.told.orders] == [Status.REJECTED]
    assert [log.msg for log in player.told.logs] == ["there is no data of NONE.LOCAL to replay"]
    assert player.told.contracts == [CONTRACT]


def test_any_place_in_a_stream_is_found_again() -> None:
    stream = ReplayStream(
        [bar_columns(range(20)), tick_columns(range(9), "B.LOCAL", step=97 * SECOND)]
    )
    stream.loop = True
    whole = [message for _, message in zip(range(80), stream.messages(5), strict=False)]
    for after in (0, 1, 15, 28, 29, 30, 60):
        number, message = next(stream.messages(5, after))
        assert (number, message) == whole[after]
    stamps = [message.ts_event for _, message in whole]
    assert stamps == sorted(stamps)


# --- paced


class Paced(Player):
    def __init__(self, *series, phases=(Phase.MATCH, Phase.SHOW), **options) -> None:
        super().__init__(*series, **options)
        self.steps: list[PacedStep] = []
        self.pacer = self.replay.pace(["runner"], phases=phases, on_step=self._on_step)

    def _on_step(self, step) -> None:
        self.steps.append(step)
        self.replay.show(step)

    def done(self) -> None:
        self.pacer.acknowledge("runner", self.pacer.number, self.clock.monotonic())
        self.engine.drain()


def test_each_message_waits_for_those_who_take_part() -> None:
    player = Paced(bar_columns([1, 2])).play()
    player.engine.drain()
    assert player.steps == []
    player.pacer.join("runner", 0)
    player.engine.drain()
    assert [(s.number, s.phase) for s in player.steps] == [(1, Phase.MATCH)]
    assert player.closes == []
    player.done()
    assert [(s.number, s.phase) for s in player.steps[1:]] == [(2, Phase.SHOW)]
    assert player.closes == [1]
    assert player.clock.ns == START + MINUTE
    player.wait(3600)
    assert player.closes == [1]
    for _ in range(3):
        player.done()
    assert player.closes == [1, 2]
    assert not player.replay.is_playing


def test_a_paced_message_waits_for_the_venue_too() -> None:
    player = Paced(bar_columns([1, 2]))
    numbers = []
    player.replay.add_listener("PAPER", lambda number, _message: numbers.append(number))
    player.play()
    player.pacer.join("runner", 0)
    player.engine.drain()
    player.done()
    assert (numbers, player.closes) == ([1], [])
    player.replay.listened("PAPER", 1)
    player.engine.drain()
    assert player.closes == [1]
    player.done()
    assert numbers == [1, 2]


def test_a_paced_replay_gives_the_last_message_again_after_a_restart() -> None:
    first = Paced(bar_columns([1, 2, 3]))
    state = first.replay.state(2)
    second = Paced(bar_columns([1, 2, 3]))
    second.replay.resume(state)
    second.play()
    second.pacer.join("runner", 0, acknowledged=3)
    second.engine.drain()
    assert [(s.number, s.phase) for s in second.steps] == [(3, Phase.MATCH)]
    second.done()
    assert second.steps[-1].message.close_price == 2


def test_who_is_late_is_told_once() -> None:
    player = Paced(bar_columns([1]))
    player.play()
    assert player.replay.look_for_missing() == ()
    player.clock.ns += 31 * SECOND
    assert player.replay.look_for_missing() == ("runner",)
    assert player.replay.look_for_missing() == ("runner",)
    player.engine.drain()
    assert [log.msg for log in player.told.logs] == ["step 0 waits for runner"]


def test_pacing_needs_a_phase_that_shows_and_a_replay_at_rest() -> None:
    with pytest.raises(ConfigError, match="shows the data"):
        Paced(bar_columns([1]), phases=[Phase.MATCH])
    player = Player(bar_columns([1])).play()
    with pytest.raises(ConfigError, match="before it plays"):
        player.replay.pace()
