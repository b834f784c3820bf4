"""When the watch steps in: crash loops, and processes that have fallen silent."""

from __future__ import annotations

from foxtrot.app.watch_rules import CrashCounter, PulseRules
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.core.constants import NS_PER_SECOND

S = NS_PER_SECOND
T0 = 1_000 * S
MINUTE = 60 * S


def beat(service: str = "oms", status: str = "READY", pid: int = 10, epoch: int = 1) -> Heartbeat:
    return Heartbeat(service, epoch, status, pid=pid)


def rules() -> PulseRules:
    made = PulseRules(5 * S, 60 * S)
    made.look(T0)
    return made


def looked(made: PulseRules, until: int, start: int = T0) -> list[tuple[str, int]]:
    """Look four times a second, as the watch does; returns who was found dead."""
    found = []
    for now in range(start, until + 1, S // 4):
        found += made.look(now)
    return found


# --- crash loops ------------------------------------------------------------------------------------------------


def test_the_fifth_start_within_ten_minutes_is_a_loop() -> None:
    crashes = CrashCounter(5, 10 * MINUTE)

    found = [crashes.started("oms", T0 + n * MINUTE) for n in range(5)]

    assert found == [False, False, False, False, True]


def test_starts_far_apart_are_no_loop() -> None:
    crashes = CrashCounter(5, 10 * MINUTE)

    assert not any(crashes.started("oms", T0 + n * 3 * MINUTE) for n in range(50))


def test_each_service_is_counted_by_itself() -> None:
    crashes = CrashCounter(2, 10 * MINUTE)

    assert not crashes.started("oms", T0)
    assert not crashes.started("strategies", T0)
    assert crashes.totals == {"oms": 1, "strategies": 1}


def test_after_a_loop_it_counts_from_none() -> None:
    crashes = CrashCounter(2, 10 * MINUTE)

    found = [crashes.started("oms", T0 + n) for n in range(5)]

    assert found == [False, True, False, True, False]
    assert crashes.totals == {"oms": 5}


def test_a_limit_of_zero_means_never() -> None:
    crashes = CrashCounter(0, 10 * MINUTE)

    assert not any(crashes.started("oms", T0) for _ in range(100))


# --- heartbeats -------------------------------------------------------------------------------------------------


def test_a_process_that_falls_silent_is_dead_after_five_seconds() -> None:
    made = rules()
    made.runs("oms", 10, T0)
    made.beat(beat(), T0)

    assert looked(made, T0 + 5 * S - 1) == []
    ((service, silence),) = made.look(T0 + 5 * S)
    assert (service, silence) == ("oms", 5 * S)


def test_it_is_ended_once_for_a_silence_and_again_only_after_as_long() -> None:
    made = rules()
    made.runs("oms", 10, T0)
    made.beat(beat(), T0)

    found = looked(made, T0 + 11 * S)

    assert [silence for _, silence in found] == [5 * S, 10 * S]


def test_one_that_beats_is_left_alone() -> None:
    made = rules()
    made.runs("oms", 10, T0)
    found = []
    for n in range(60):
        made.beat(beat(), T0 + n * S)
        found += looked(made, T0 + n * S + 3 * S // 4, T0 + n * S)

    assert found == []


def test_one_that_starts_or_stops_has_a_longer_grace() -> None:
    made = rules()
    made.runs("oms", 10, T0)
    made.beat(beat(status="STARTING"), T0)

    assert looked(made, T0 + 59 * S) == []
    assert [service for service, _ in looked(made, T0 + 60 * S, T0 + 59 * S)] == ["oms"]


def test_one_that_was_never_heard_is_ended_after_the_grace() -> None:
    made = rules()
    made.runs("oms", 10, T0)

    assert looked(made, T0 + 59 * S) == []
    assert [service for service, _ in looked(made, T0 + 60 * S, T0 + 59 * S)] == ["oms"]


def test_the_silence_of_a_former_life_is_not_held_against_the_next() -> None:
    made = rules()
    made.runs("oms", 10, T0)
    made.beat(beat(), T0)
    made.ended("oms")
    made.runs("oms", 11, T0 + 6 * S)

    assert looked(made, T0 + 30 * S) == []


def test_nobody_is_dead_who_does_not_run() -> None:
    made = rules()
    made.beat(beat(), T0)

    assert looked(made, T0 + 100 * S) == []


def test_the_time_in_which_the_watch_stood_still_is_nobodys_silence() -> None:
    made = rules()
    made.runs("oms", 10, T0)
    made.beat(beat(), T0)
    made.look(T0 + S // 4)

    assert made.look(T0 + 600 * S) == []  # the watch was stopped meanwhile
    made.beat(beat(), T0 + 600 * S + S // 8)
    assert looked(made, T0 + 604 * S, T0 + 600 * S + S // 4) == []


def test_one_that_is_dead_is_found_after_the_watch_stood_still_too() -> None:
    made = rules()
    made.runs("oms", 10, T0)
    made.beat(beat(), T0)
    made.look(T0 + 600 * S)

    assert [name for name, _ in looked(made, T0 + 606 * S, T0 + 600 * S)] == ["oms"]


def test_the_age_of_a_heartbeat_is_told() -> None:
    made = rules()
    made.beat(beat(), T0)

    assert made.age("oms", T0 + 2 * S) == 2 * S
    assert made.age("recorder", T0) is None


def test_one_that_was_heard_before_it_was_called_running_has_no_grace() -> None:
    made = rules()
    made.beat(beat(), T0)
    made.runs("oms", 10, T0 + S)

    (found, *_) = looked(made, T0 + 7 * S)

    assert found == ("oms", 5 * S)
