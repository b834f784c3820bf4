"""A runner's order feed as a process: ``python -m tests.chaos.bus_reader_child FOLDER STRATEGY``.

It follows a strategy's stream from its first event. For each line that it is handed it says what it has read (JSON).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from foxtrot.client.runner_orders import OrderFeed
from tests.chaos.bus_facts import OMS, Reading, Wire


def main(folder: Path, strategy: str) -> None:
    wire = Wire(folder, "late")
    feed = OrderFeed(wire, OMS, wire.client(OMS))  # type: ignore[arg-type]
    reading = Reading(strategy)
    feed.follow(reading, 0)
    ended = False

    def on_line() -> None:
        nonlocal ended
        ended = not os.read(0, 1_024)
        if not ended:
            counts = feed.subscriber.tracker.counts
            told = {
                "last": reading.last,
                "count": reading.count,
                "missed": reading.missed,
                "twice": reading.twice,
                "digest": reading.digest,
                "gaps": counts.gaps,
            }
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()

    wire.until(lambda: reading.caught_up)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    wire.waiter.add(0, on_line)
    while not ended:
        wire.turn(0.2)
    wire.waiter.remove(0)
    wire.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
