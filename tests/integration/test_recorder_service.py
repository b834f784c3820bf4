"""The recorder's process: what services publish is in its files, whatever happens to it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from foxtrot.bus.messages import service_codec
from foxtrot.bus.publisher import Publisher
from foxtrot.core.constants import Interval
from foxtrot.core.objects import TickData
from foxtrot.data.event_log import EventLogReader, segments_of
from tests.integration.service_world import Desk, installation

SYMBOL = "GOOG.NASDAQ"
DAY = 86_400_000_000_000
START = 1_700_000_000_000_000_000


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


def make_desk(folder: Path, more: str = "") -> Desk:
    return Desk(installation(folder, more=more))


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    desk = make_desk(folder)
    yield desk
    desk.close()


class Source:
    """Publishes quotes in the place of an adapter."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.publisher = Publisher(
            desk.context,
            desk.installation.endpoint("adapter-paper", "pub"),
            "adapter-paper",
            1,
            desk.clock,
            desk.codec,
        )
        desk.closing.append(self.publisher)
        self.sent = 0

    def tick(self, bid: float = 100.0) -> None:
        ts = START + self.sent * 1_000_000
        self.publisher.publish(f"eTick.{SYMBOL}", TickData(SYMBOL, ts, bid, bid + 0.01, 1.0, 1.0))
        self.sent += 1

    def until_heard(self) -> int:
        """Send until the recorder takes it; returns how many were taken."""

        def taken() -> bool:
            self.tick()
            return self.desk.status("recorder").counters["frames"] > 0

        self.desk.pump(taken)
        return self.sent


def ticks_of(folder: Path) -> list[TickData]:
    decode = service_codec().decode
    messages = [decode(frame)[1].message for _, frame in EventLogReader(folder).frames()]
    return [message for message in messages if isinstance(message, TickData)]


def test_every_frame_is_in_the_log_after_an_ordered_end(desk: Desk) -> None:
    child = desk.start("recorder", "recorder")
    desk.until_state("recorder", "READY")
    source = Source(desk)
    before = source.until_heard()
    for _ in range(2_000):
        source.tick()
    desk.pump(lambda: desk.status("recorder").counters["frames"] >= 2_000)
    desk.run_for(0.2)
    assert child.stop() == 0
    found = ticks_of(desk.installation.folder("recordings"))
    assert len(found) >= 2_000
    stamps = [tick.ts_event for tick in found]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] == START + (source.sent - 1) * 1_000_000
    assert before < 2_000
    assert segments_of(desk.installation.folder("recordings"))[-1].footer() is not None


def test_after_sigkill_what_was_flushed_is_there_and_it_goes_on(desk: Desk) -> None:
    child = desk.start("recorder", "recorder")
    desk.until_state("recorder", "READY")
    source = Source(desk)
    source.until_heard()
    for _ in range(100):
        source.tick()
    desk.pump(lambda: desk.status("recorder").counters["frames"] >= 100)
    frames = desk.status("recorder").counters["frames"]
    desk.run_for(0.1)  # nothing more comes in: it is flushed
    assert child.stop(signal.SIGKILL) == -signal.SIGKILL
    folder = desk.installation.folder("recordings")
    assert len(list(EventLogReader(folder).frames())) >= frames
    desk.start("recorder", "recorder")
    desk.until_state("recorder", "READY")
    sent = source.sent
    source.until_heard()
    desk.children[-1].stop()
    assert len(ticks_of(folder)) > frames - 5
    assert ticks_of(folder)[-1].ts_event >= START + sent * 1_000_000


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra parquet")
def test_finished_segments_are_sealed_and_the_old_ones_deleted(folder: Path) -> None:
    more = "[recorder]\nsegment_mb = 0.02\nkeep_days = 0.0000001"
    desk = make_desk(folder, more)
    try:
        child = desk.start("recorder", "recorder")
        desk.until_state("recorder", "READY")
        source = Source(desk)
        source.until_heard()
        for _ in range(600):
            source.tick()
            desk.step(0.001)
        desk.pump(lambda: desk.status("recorder").counters["sealed"] >= 2)
        recordings = desk.installation.folder("recordings")
        desk.pump(lambda: len(segments_of(recordings)) <= 1)
        assert child.stop() == 0
        from foxtrot.data.catalog import Catalog

        columns = Catalog(recordings / "market").read(SYMBOL, Interval.TICK)
        assert len(columns) > 200
        assert not [line for line in child.lines if line["level"] == "ERROR"]
    finally:
        desk.close()


def test_a_recorder_that_is_switched_off_is_a_config_error(folder: Path) -> None:
    desk = make_desk(folder, "[recorder]\nenabled = false")
    try:
        child = desk.start("recorder", "recorder")
        assert child.wait() == 2
        assert "switched off" in child.log.read_text()
    finally:
        desk.close()
