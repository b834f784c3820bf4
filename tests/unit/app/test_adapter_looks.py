"""Who goes a step on in a paced replay, once all are at rest."""

from __future__ import annotations

import pytest

from foxtrot.app.adapter_looks import Look
from foxtrot.bus.messages import PaceReply


def look(**replies: PaceReply) -> Look:
    made = Look(len(replies), (0, 0))
    made.replies |= {name: (number, reply) for number, (name, reply) in enumerate(replies.items())}
    return made


def reply(held: int = 0, due: int = 0, ts: int = 0) -> PaceReply:
    return PaceReply(1, True, {}, 1, held, due, ts)


@pytest.mark.parametrize(
    ("oms", "one", "two", "chosen"),
    [
        (reply(), reply(), reply(), None),
        (reply(1), reply(1), reply(), ("oms", 0)),
        (reply(), reply(due=50), reply(1), ("two", 2)),
        (reply(), reply(1), reply(1), ("one", 1)),
        (reply(), reply(due=101), reply(due=100), ("two", 2)),
        (reply(), reply(due=101), reply(), None),
    ],
)
def test_the_oms_goes_before_runners_and_commands_before_timers(
    oms: PaceReply, one: PaceReply, two: PaceReply, chosen: tuple[str, int] | None
) -> None:
    made = look(oms=oms, one=one, two=two)
    assert made.next_round(("one", "two"), 100) == chosen


def test_the_first_timer_and_the_latest_time_are_told() -> None:
    made = look(oms=reply(ts=7), one=reply(due=9, ts=5), two=reply(due=8))
    assert made.due(("one", "two")) == 8
    assert made.ts == 7
    assert look(oms=reply(), one=reply()).due(("one",)) == 0
