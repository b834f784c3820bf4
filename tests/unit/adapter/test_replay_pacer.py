"""The pacer alone: who is waited for, and when the next step goes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.adapter.replay_pacer import Pacer


def make(*names, **options):
    released = []
    pacer = Pacer(released.append, **options)
    for name in names:
        pacer.join(name, 0)
    return pacer, released


def test_the_next_step_waits_for_everybody() -> None:
    pacer, released = make("a", "b")
    pacer.start(0)
    assert released == [1]
    pacer.acknowledge("a", 1, 1)
    assert released == [1]
    assert pacer.waiting_for() == ("b",)
    pacer.acknowledge("b", 1, 2)
    assert released == [1, 2]


def test_nothing_goes_before_the_start_and_without_those_expected() -> None:
    pacer, released = make("a", expected=("a", "b"))
    assert released == []
    pacer.start(0)
    assert released == []
    assert pacer.waiting_for() == ("b",)
    pacer.join("b", 1)
    assert released == [1]


def test_nothing_goes_where_nobody_takes_part() -> None:
    pacer, released = make()
    pacer.start(0)
    assert released == []


def test_a_newcomer_owes_nothing_for_the_step_that_is_out() -> None:
    pacer, released = make("a")
    pacer.start(0)
    assert not pacer.join("b", 1)
    pacer.acknowledge("a", 1, 2)
    assert released == [1, 2]
    pacer.acknowledge("a", 2, 3)
    assert released == [1, 2]
    pacer.acknowledge("b", 2, 4)
    assert released == [1, 2, 3]


def test_one_that_was_restarted_owes_what_it_has_not_acknowledged() -> None:
    pacer, released = make("a", "b")
    pacer.start(0)
    pacer.acknowledge("b", 1, 1)
    pacer.acknowledge("a", 1, 1)
    pacer.acknowledge("a", 2, 2)
    assert pacer.join("b", 3, acknowledged=1)
    assert pacer.waiting_for() == ("b",)
    pacer.acknowledge("b", 2, 4)
    assert released == [1, 2, 3]


def test_one_that_leaves_is_waited_for_no_longer() -> None:
    pacer, released = make("a", "b")
    pacer.start(0)
    pacer.acknowledge("a", 1, 1)
    pacer.leave("b", 2)
    pacer.leave("nobody", 2)
    assert released == [1, 2]


def test_words_of_strangers_and_of_the_future_are_ignored() -> None:
    pacer, released = make("a")
    pacer.start(0)
    assert not pacer.acknowledge("x", 1, 1)
    assert not pacer.acknowledge("a", 2, 1)
    assert released == [1]


def test_a_step_is_not_over_while_messages_are_under_way() -> None:
    pacer, released = make("runner", "oms")
    pacer.start(0)
    pacer.acknowledge("oms", 1, 1)
    pacer.acknowledge("runner", 1, 1, sent={"oms": 1})
    assert pacer.waiting_for() == ("runner->oms",)
    # the OMS has handled it, and told the runner
    pacer.acknowledge("oms", 1, 2, received={"runner": 1}, sent={"runner": 2})
    assert pacer.waiting_for() == ("oms->runner",)
    pacer.acknowledge("runner", 1, 3, sent={"oms": 1}, received={"oms": 2})
    assert released == [1, 2]


def test_counts_of_those_who_do_not_take_part_do_not_matter() -> None:
    pacer, released = make("a")
    pacer.start(0)
    pacer.acknowledge("a", 1, 1, sent={"recorder": 7}, received={"screen": 1})
    assert released == [1, 2]


def test_who_is_missing_is_told_after_the_time_out() -> None:
    pacer, _ = make("a", "b", timeout=10)
    assert pacer.missing(100) == ()
    pacer.start(100)
    assert pacer.missing(109) == ()
    assert pacer.missing(110) == ("a", "b")
    pacer.acknowledge("a", 1, 111)
    assert pacer.missing(111) == ("b",)
    pacer.acknowledge("b", 1, 112)
    assert pacer.missing(113) == ()


def test_a_start_goes_on_from_a_number_and_a_stop_holds() -> None:
    pacer, released = make("a")
    pacer.start(0, number=41)
    assert released == [42]
    pacer.stop()
    pacer.acknowledge("a", 42, 1)
    assert released == [42]


def test_a_release_may_acknowledge_at_once() -> None:
    released = []

    def release(number: int) -> None:
        released.append(number)
        if number < 5_000:
            pacer.acknowledge("a", number, number)

    pacer = Pacer(release)
    pacer.join("a", 0)
    pacer.start(0)
    assert released == list(range(1, 5_001))


def test_a_time_out_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        Pacer(lambda _number: None, timeout=0)


names = st.sampled_from(["a", "b", "c"])
moves = st.one_of(
    st.tuples(st.just("join"), names, st.one_of(st.none(), st.integers(0, 8))),
    st.tuples(st.just("leave"), names, st.none()),
    st.tuples(st.just("acknowledge"), names, st.integers(0, 8)),
    st.tuples(st.just("acknowledge"), names, st.just(-1)),  # the step that is out
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(moves, max_size=40))
def test_no_step_goes_while_a_participant_owes_the_one_before(steps) -> None:
    done: dict[str, int] = {}

    def release(number: int) -> None:
        assert number == len(released) + 1
        assert all(value >= number - 1 for value in done.values())
        released.append(number)

    released: list[int] = []
    pacer = Pacer(release)
    pacer.start(0)
    for move, name, value in steps:
        if move == "join":
            done[name] = len(released) if value is None else min(value, len(released))
            pacer.join(name, 0, value)
        elif move == "leave":
            done.pop(name, None)
            pacer.leave(name, 0)
        else:
            number = len(released) if value == -1 else value
            if name in done and number <= len(released):
                done[name] = max(done[name], number)
            pacer.acknowledge(name, number, 0)
        assert set(pacer.participants) == set(done)
