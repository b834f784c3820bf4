"""Clocks and their timers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.core.clock import NEVER, Clock, LiveClock, SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.objects import TimerData


class FakeTime:
    """The machine's two clocks, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = 1_700_000_000 * NS_PER_SECOND
        self.steady = 5 * NS_PER_SECOND
        monkeypatch.setattr(time, "time_ns", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.steady)

    def pass_by(self, ns: int) -> None:
        self.wall += ns
        self.steady += ns


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    return FakeTime(monkeypatch)


def names(timers: list[TimerData]) -> list[tuple[str, int]]:
    return [(timer.name, timer.ts_due) for timer in timers]


# --- simulated --------------------------------------------------------------------------------------------


def test_a_simulated_clock_stands_until_it_is_put_forward() -> None:
    clock = SimulatedClock(7)
    assert (clock.now(), clock.monotonic(), clock.next_due) == (7, 7, NEVER)
    assert clock.advance(9) == 0
    assert clock.now() == 9


def test_a_simulated_clock_never_goes_back() -> None:
    with pytest.raises(ValueError, match="stands at 7 ns and cannot go back to 6 ns"):
        SimulatedClock(7).advance(6)


def test_one_shot_timers_fire_once_in_order_of_due_time_and_then_of_setting() -> None:
    clock = SimulatedClock()
    fired: list[TimerData] = []
    for name, due in (("late", 30), ("second", 20), ("first", 10), ("second too", 20)):
        clock.set_timer(name, due, fired.append)

    assert clock.next_due == 10
    assert clock.advance(25) == 3
    assert names(fired) == [("first", 10), ("second", 20), ("second too", 20)]
    assert clock.timer_names() == ("late",)
    clock.advance(1_000)
    assert len(fired) == 4


def test_the_clock_shows_each_timers_own_time_while_it_runs() -> None:
    clock = SimulatedClock()
    times: list[int] = []
    clock.set_timer("a", 11, lambda t: times.append(clock.now()))
    clock.set_timer("b", 13, lambda t: times.append(clock.now()))
    clock.advance(100)
    assert times == [11, 13]


def test_nanoseconds_count() -> None:
    start = 1_700_000_000_000_000_000
    clock = SimulatedClock(start)
    fired: list[TimerData] = []
    clock.set_timer("x", start + 1, fired.append)
    clock.advance(start)
    assert not fired
    clock.advance(start + 1)
    assert names(fired) == [("x", start + 1)]


def test_a_due_time_in_the_past_fires_at_once_at_the_present() -> None:
    clock = SimulatedClock(100)
    fired: list[TimerData] = []
    clock.set_timer("x", 50, fired.append)
    clock.advance(100)
    assert fired == [TimerData("x", 50, 100)]


def test_a_repeating_timer_keeps_its_grid_and_runs_once_for_a_gap() -> None:
    clock = SimulatedClock()
    fired: list[TimerData] = []
    clock.set_interval("x", 10, fired.append)
    for to in (10, 20, 57, 60):
        clock.advance(to)
    assert [t.ts_due for t in fired] == [10, 20, 50, 60]


def test_a_gaps_only_run_takes_its_turn_among_the_others() -> None:
    clock = SimulatedClock()
    fired: list[TimerData] = []
    clock.set_interval("every 10", 10, fired.append)
    clock.set_timer("at 35", 35, fired.append)
    clock.advance(45)
    assert names(fired) == [("at 35", 35), ("every 10", 40)]


def test_catch_up_runs_every_missed_one() -> None:
    clock = SimulatedClock()
    fired: list[TimerData] = []
    clock.set_interval("x", 10, fired.append, start=5, catch_up=True)
    clock.advance(30)
    assert [t.ts_due for t in fired] == [5, 15, 25]


def test_setting_a_name_again_replaces_the_timer_and_cancelling_forgets_it() -> None:
    clock = SimulatedClock()
    fired: list[str] = []
    clock.set_timer("x", 10, lambda t: fired.append("old"))
    clock.set_timer("x", 20, lambda t: fired.append("new"))
    clock.advance(15)
    assert fired == []
    assert clock.cancel_timer("x") is True
    assert clock.cancel_timer("x") is False
    clock.advance(30)
    assert (fired, clock.next_due) == ([], NEVER)


def test_callbacks_may_set_and_cancel_timers() -> None:
    clock = SimulatedClock()
    fired: list[tuple[str, int]] = []

    def first(timer: TimerData) -> None:
        fired.append((timer.name, clock.now()))
        clock.cancel_timer("victim")
        clock.set_timer("child", timer.ts_due + 1, note)

    def note(timer: TimerData) -> None:
        fired.append((timer.name, clock.now()))

    clock.set_timer("first", 10, first)
    clock.set_timer("victim", 12, note)
    clock.set_interval("self", 4, lambda t: clock.cancel_timer("self"))
    clock.advance(20)

    assert fired == [("first", 10), ("child", 11)]
    assert clock.timer_names() == ()


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match="timer 'x': interval must be positive nanoseconds, got 0"):
        SimulatedClock().set_interval("x", 0, print)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=12),
    st.lists(st.integers(0, 20), max_size=8),
)
def test_timers_never_run_early_out_of_order_or_more_than_once_a_step(
    timers: list[tuple[int, int]], steps: list[int]
) -> None:
    clock = SimulatedClock()
    fired: list[TimerData] = []
    for number, (due, interval) in enumerate(timers):
        if interval:
            clock.set_interval(str(number), interval, fired.append, start=due)
        else:
            clock.set_timer(str(number), due, fired.append)
    for step in [0, *steps]:
        before, to = len(fired), clock.now() + step
        clock.advance(to)
        run = fired[before:]
        assert len({t.name for t in run}) == len(run)
        assert [t.ts_due for t in run] == sorted(t.ts_due for t in run)
        assert all(t.ts_due <= to for t in run)
    for number, (due, interval) in enumerate(timers):
        if not interval:
            assert sum(t.name == str(number) for t in fired) == (due <= clock.now())


# --- live -------------------------------------------------------------------------------------------------


def test_a_live_clock_reads_the_wall_for_records_and_the_monotonic_for_time_outs() -> None:
    clock = LiveClock()
    before = time.time_ns()
    assert before <= clock.now() <= time.time_ns()
    before = time.monotonic_ns()
    assert before <= clock.monotonic() <= time.monotonic_ns()


def test_a_live_timer_fires_when_it_is_due_and_says_how_late_it_was_served(
    machine: FakeTime,
) -> None:
    clock = LiveClock()
    fired: list[TimerData] = []
    due = machine.wall + 100
    clock.set_timer("x", due, fired.append)
    assert clock.wait_ns() == 100

    machine.pass_by(99)
    assert clock.fire_due() == 0
    machine.pass_by(31)
    assert clock.wait_ns() == 0
    assert clock.fire_due() == 1

    assert fired == [TimerData("x", due, due + 30)]
    assert clock.wait_ns() == NEVER


@pytest.mark.parametrize("step", [-3_600 * NS_PER_SECOND, 3_600 * NS_PER_SECOND])
def test_a_step_of_the_wall_clock_neither_loses_nor_repeats_a_timer(
    machine: FakeTime, step: int
) -> None:
    clock = LiveClock()
    fired: list[TimerData] = []
    clock.set_interval("x", NS_PER_SECOND, fired.append)
    for _ in range(5):
        machine.pass_by(NS_PER_SECOND)
        machine.wall += step
        clock.fire_due()
    assert len(fired) == 5


def test_a_suspended_machine_gets_one_run_of_a_repeating_timer(machine: FakeTime) -> None:
    clock = LiveClock()
    fired: list[TimerData] = []
    clock.set_interval("x", NS_PER_SECOND, fired.append)
    clock.set_interval("y", NS_PER_SECOND, fired.append, catch_up=True)
    machine.pass_by(5 * NS_PER_SECOND + 1)
    clock.fire_due()
    assert [t.name for t in fired].count("x") == 1
    assert [t.name for t in fired].count("y") == 5
    assert clock.wait_ns() == NS_PER_SECOND - 1


def test_a_live_interval_may_start_at_a_time_of_the_wall(machine: FakeTime) -> None:
    clock = LiveClock()
    fired: list[TimerData] = []
    clock.set_interval("x", 1_000, fired.append, start=machine.wall + 10)
    machine.pass_by(10)
    clock.fire_due()
    assert [t.ts_due for t in fired] == [machine.wall]


def test_a_clock_is_abstract() -> None:
    with pytest.raises(TypeError):
        Clock()  # type: ignore[abstract]


def test_a_delay_is_not_moved_by_a_step_of_the_wall_clock(machine: FakeTime) -> None:
    clock = LiveClock()
    fired: list[TimerData] = []

    machine.wall += (
        3_600 * NS_PER_SECOND
    )  # just before it is set: whoever reads the wall adds this to the delay
    clock.set_delay("soon", 10, fired.append)
    machine.wall -= 7_200 * NS_PER_SECOND
    machine.steady += 9
    assert clock.fire_due() == 0
    machine.steady += 1
    assert clock.fire_due() == 1
    assert clock.timer_names() == ()


def test_the_next_run_is_that_of_the_gap_that_it_stands_for() -> None:
    clock, rang = SimulatedClock(0), []
    clock.set_interval("often", 10, lambda timer: rang.append(("often", timer.ts_due)))
    clock.set_interval("each", 30, lambda timer: rang.append(("each", timer.ts_due)), catch_up=True)
    assert clock.next_run(9) == NEVER
    assert clock.next_run(57) == 30  # of "often" 50 alone is left
    runs = []
    while (due := clock.next_run(57)) != NEVER:
        runs.append(due)
        clock.fire_next(57)
    assert rang == [("each", 30), ("often", 50)]
    assert runs == [30, 50]


def test_a_timer_is_moved_and_keeps_its_interval() -> None:
    clock, rang = SimulatedClock(100), []
    clock.set_interval("t", 10, lambda timer: rang.append(timer.ts_due))
    clock.move_timer("t", 104)
    clock.move_timer("none", 1)
    assert (clock.due_of("t"), clock.due_of("none")) == (104, NEVER)
    for now in (103, 104, 114, 120):
        clock.advance(now)
    assert rang == [104, 114]
    clock.ns = 134  # two turns are due
    clock.skip_due("t")
    clock.skip_due("none")
    assert clock.due_of("t") == 144
