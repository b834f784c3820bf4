"""A process that publishes at a steady rate until it is told to end.

``python -m tests.chaos.bus_source_child KIND FOLDER``, where the kind is one of:

``facts``: 5,000 facts a second, nine in ten of the strategy ``main`` and one of ``side``, each durable before it goes
out; snapshots and replays are answered. ``ticks``: 4,000 ticks a second of 100 symbols. At the end it says what it has
published, how late it was, and what its memory came to (JSON).
"""

from __future__ import annotations

import itertools
import json
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foxtrot.bus.publisher import Publisher
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.events import EVENT_TICK
from foxtrot.core.objects import TickData
from tests.chaos.bus_facts import FactSource, Wire, facts_of

FACTS_A_SECOND = 5_000
TICKS_A_SECOND = 4_000
SYMBOLS = 100
STEP_NS = NS_PER_SECOND // 100
MOST_STEPS = 10  # at once, where some came late


def pace(wire: Wire, a_second: int, publish: Callable[[int], object], beat: Any) -> dict[str, Any]:
    """Publish so many a second, in steps of 10 ms, making up for steps that came late."""
    clock = wire.io_clock
    start = due = clock.monotonic()
    beat_due, latest, sent = start, 0, 0
    sys.stdout.write("up\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0)[0]:
        wire.turn(max(0, due - clock.monotonic()) / NS_PER_SECOND)
        now = clock.monotonic()
        if now >= due:
            latest = max(latest, now - due)
            steps = min(MOST_STEPS, 1 + (now - due) // STEP_NS)
            due += steps * STEP_NS
            publish(steps * a_second * STEP_NS // NS_PER_SECOND)
            sent += steps * a_second * STEP_NS // NS_PER_SECOND
        if now >= beat_due:
            beat_due += NS_PER_SECOND
            beat()
    seconds = (clock.monotonic() - start) / NS_PER_SECOND
    return {"sent": sent, "a second": sent / seconds, "latest step (ms)": latest // 1_000_000}


def facts(folder: Path) -> dict[str, Any]:
    wire = Wire(folder, "oms")
    source = FactSource(wire, folder / "oms.db", ("main", "side"))
    makers = itertools.cycle([facts_of("main")] * 9 + [facts_of("side")])

    def publish(number: int) -> None:
        source.put([next(maker) for maker in itertools.islice(makers, number)])

    told = pace(wire, FACTS_A_SECOND, publish, source.publisher.heartbeat)
    wire.close_parts()
    source.close()
    wire.close()
    return told


def ticks(folder: Path) -> dict[str, Any]:
    wire = Wire(folder, "adapter")
    publisher = Publisher(
        wire.context, wire.endpoint("adapter", "pub"), "adapter", 1, wire.io_clock, wire.codec
    )
    names = itertools.cycle([f"S{number}.LOCAL" for number in range(SYMBOLS)])
    price = itertools.count(1)

    def publish(number: int) -> None:
        for name in itertools.islice(names, number):
            last = float(next(price))
            tick = TickData(name, wire.io_clock.now(), last - 1.0, last + 1.0, last_price=last)
            publisher.publish(EVENT_TICK + name, tick)

    told = pace(wire, TICKS_A_SECOND, publish, publisher.heartbeat)
    publisher.close(1.0)
    wire.close()
    return told


if __name__ == "__main__":
    done = {"facts": facts, "ticks": ticks}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps(done) + "\n")
