"""F1: one frame in a hundred is lost between the socket and its reader."""

from __future__ import annotations

import random
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from foxtrot.bus.subscriber import Subscriber
from foxtrot.client.runner_orders import OrderFeed
from foxtrot.server.bridge.answers import stream_of
from tests.chaos.bus_facts import OMS, FactSource, Reading, Wire, facts_of, journal_digest
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault

LOST = 0.01
STRATEGIES = ("one", "two", "three", "four")
BATCH = 400
BEAT_EVERY = 25  # batches


class LossySocket:
    """A SUB socket that loses frames on the way to its reader, signs of life too."""

    def __init__(self, socket: Any, rng: random.Random) -> None:
        self._socket = socket
        self._rng = rng
        self.lost = 0

    def recv(self, flags: int) -> bytes:
        while True:
            frame: bytes = self._socket.recv(flags)
            if self._rng.random() >= LOST:
                return frame
            self.lost += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class LossyWire(Wire):
    """A process whose readers lose frames."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        super().__init__(folder, "runner")
        self.rng = rng
        self.sockets: list[LossySocket] = []

    def subscriber(self, services: list[str], on_message: Any, **options: Any) -> Subscriber:
        reader = super().subscriber(services, on_message, **options)
        socket: Any = LossySocket(reader.socket, self.rng)
        self.sockets.append(socket)
        reader.socket = socket
        return reader


def publish_all(fault: Fault, wire: Wire, source: FactSource, readings: list[Reading]) -> None:
    """Publish ``fault.count`` messages, a batch at a time, as fast as they are read."""
    makers = [facts_of(reading.name) for reading in readings]
    runs = fault.runs()
    batches = 0
    while made := len(list(islice(runs, BATCH))):
        source.put([next(makers[i % len(makers)]) for i in range(made)])
        batches += 1
        if batches % BEAT_EVERY == 0:
            source.publisher.heartbeat()
        wire.turn()

    def done() -> bool:
        if wire.io_clock.monotonic() >= beat[0]:
            source.publisher.heartbeat()
            beat[0] = wire.io_clock.monotonic() + 100_000_000
        return all(r.last == source.store.journal.last(stream_of(r.name)) for r in readings)

    beat = [0]
    wire.until(done, 60)


def test_f1_frames_are_lost(chaos: Chaos) -> None:
    must_hold = {
        **NOTHING_LOST_OR_DOUBLED,
        "frames were lost, and gaps found": lambda fault: fault.detected > 0,
        "equal to the journal": lambda fault: fault.notes.get("equal") is True,
    }
    with (
        chaos.fault(
            "F1", "one frame in a hundred is lost", runs=(20_000, 1_000_000), must_hold=must_hold
        ) as fault,
        tempfile.TemporaryDirectory(prefix="fx") as name,  # short: sockets have short paths
    ):
        folder = Path(name)
        wire = LossyWire(folder, fault.rng("loss"))
        source = FactSource(wire, folder / "oms.db", STRATEGIES)
        try:
            feed = OrderFeed(wire, OMS, wire.client(OMS))  # type: ignore[arg-type]
            readings = [Reading(strategy) for strategy in STRATEGIES]
            for reading in readings:
                feed.follow(reading, 0)
            wire.until(lambda: all(reading.caught_up for reading in readings))
            publish_all(fault, wire, source, readings)
            judge(fault, source, readings)
            counts = feed.subscriber.tracker.counts
            fault.detected = counts.gaps
            fault.notes |= {
                "frames lost": wire.sockets[0].lost,
                "missing": counts.missing,
                "dropped as known": counts.duplicates,
            }
        finally:
            wire.close_parts()
            source.close()
            wire.close()


def judge(fault: Fault, source: FactSource, readings: list[Reading]) -> None:
    """Compare what was read with what was committed."""
    journal = source.store.journal
    equal = True
    for reading in readings:
        last = journal.last(stream_of(reading.name))
        fault.lost += last - reading.count + reading.twice
        fault.duplicated += reading.twice
        equal = equal and reading.digest == journal_digest(journal, reading.name, 1, last)
    fault.notes["equal"] = equal
