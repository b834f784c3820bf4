"""A paced replay: each event is handled once, over kills too, on the data's own clock."""

from __future__ import annotations

from foxtrot.testing import make_tick
from tests.unit.client.runner_world import MINUTE, START, A, Box, bar

PACED = """
[adapters.replay]
paced = true
"""


def begin(world) -> Box:
    box = Box(world)
    world.pump(lambda: world.pace(0, START).idle)
    return box


def handle(world, number: int, *messages) -> None:
    """Release an event, and wait until it was handled and everything has come to rest."""
    ts = messages[0].ts_event
    world.pace(number, ts)
    world.show(*messages)
    world.pump(lambda: rests(world, number, ts))


def rests(world, number: int, ts: int) -> bool:
    reply = world.pace(number, ts)
    return (
        reply.idle and reply.handled == number and reply.streams["s/s"] == len(world.journal["s"])
    )


def test_nothing_starts_before_the_clock_is_set_and_the_clock_follows(make_world) -> None:
    world = make_world(adapter=PACED)
    box = Box(world)
    world.run_for(0.2)
    assert box["s"].host is None
    begin_reply = world.pace(0, START)
    assert not begin_reply.idle
    world.pump(lambda: world.pace(0, START).idle)
    assert box.user().now == START
    handle(world, 1, bar(0, 1))
    assert box.user().now == START + MINUTE
    assert box.user().fills == ["SIM.t1"]


def test_an_event_shown_twice_or_of_another_time_is_passed_over(make_world) -> None:
    world = make_world(adapter=PACED)
    box = begin(world)
    handle(world, 1, bar(0, 1), bar(0, 1))
    world.pace(2, bar(1).ts_event)
    world.show(bar(0, 1))
    world.run_for(0.1)
    assert world.pace(2, bar(1).ts_event).handled == 1
    handle(world, 2, bar(1, 1))
    handle(world, 3, make_tick(vt_symbol=A, ts_event=START + 2 * MINUTE))
    assert box.user().bars == [bar(0).ts_event, bar(1).ts_event]
    assert box.user().ticks == [START + 2 * MINUTE]
    assert len(world.orders) == 2


def test_after_a_kill_an_event_is_handled_once_and_history_does_not_show_it_before(
    make_world,
) -> None:
    world = make_world(adapter=PACED, path="probe.py:Warm", s="warmup_bars = 10")
    world.history[A] = [bar(n, 10.0) for n in range(-5, 0)]
    box = begin(world)
    handle(world, 1, bar(0, 1))
    world.history[A].append(bar(0, 1))
    box.crash()
    # the event was handled: it counts as such, and is not handled again
    box = Box(world)
    world.pump(lambda: rests(world, 1, bar(0).ts_event))
    world.show(bar(0, 1))
    world.run_for(0.05)
    assert box.user().bars == [bar(0).ts_event]
    assert box.user().sma.value == 7.0
    # the next one is known to history before it was shown
    world.history[A].append(bar(1, 1))
    world.pace(2, bar(1).ts_event)
    box.crash()
    box = Box(world)
    world.pump(lambda: world.pace(2, bar(1).ts_event).idle)
    assert world.pace(2, bar(1).ts_event).handled == 1
    assert box.user().sma.value == 7.0
    handle(world, 2, bar(1, 1))
    assert box.user().sma.value == 4.0
    assert len(world.orders) == 2
    assert box.user().fills == ["SIM.t1", "SIM.t2"]


def test_a_runner_on_the_machines_clock_is_not_paced(world) -> None:
    Box(world).live()
    from foxtrot.bus.messages import PACE, PaceRequest

    answer = world.ask(PACE, PaceRequest(1, 1))
    assert (answer.ok, answer.error_code) == (False, "NOT_PACED")
