"""The recorder as a process: every frame that a service publishes, as it came, in an event log.

Invariants:

* Frames are written in order of arrival. What the disk does not take is kept, bounded; what exceeds that is counted as
  lost and said to be. Nothing that comes in ends the process.
* What waits is handed to the operating system whenever nothing more has come in, and synced at short intervals.
* A finished segment's market data are sealed to Parquet; only then may it be deleted.

Exit codes are those of ``foxtrot.app.failures``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from foxtrot.app.installation import RECORDER, Installation
from foxtrot.app.process import DEGRADED, READY, STARTING, ServiceProcess
from foxtrot.app.recorder_sealing import Sealing
from foxtrot.app.service_command import run_service
from foxtrot.bus.codec import Envelope
from foxtrot.core.constants import NS_PER_MINUTE, NS_PER_SECOND
from foxtrot.core.errors import ConfigError, DataError, PersistenceError
from foxtrot.core.events import EVENT_ORDER, EVENT_TRADE
from foxtrot.core.objects import TimerData
from foxtrot.data.event_log import EventLogWriter

__all__ = ["RecorderService", "run_recorder_service"]

MOST_HELD = 64 << 20
"""Bytes of frames that wait for a disk that does not work."""

_TICK_NS = NS_PER_SECOND // 5
_SEAL_NS = NS_PER_SECOND

logger = logging.getLogger("foxtrot.service.recorder")


class RecorderService:
    """The parts of the recorder's process.

    Args:
        process: its frame.

    Raises:
        PersistenceError: the folder cannot be used, or another process writes there.
    """

    def __init__(self, process: ServiceProcess) -> None:
        self.process = process
        settings = process.installation.recorder
        folder = process.installation.folder("recordings")
        self.writer = EventLogWriter(
            folder,
            segment_bytes=int(settings.segment_mb * (1 << 20)),
            segment_span=int(settings.segment_minutes * NS_PER_MINUTE),
            sync_interval=_TICK_NS,
        )
        process.at_end("the recording", self.close)
        self.sealing = Sealing(folder, folder / "market", settings)
        self.frames = 0
        self.bytes = 0
        self.lost = 0
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0
        self._now = process.io_clock.now
        self.reader = process.subscriber(
            [name for name in process.installation.service_names() if name != process.service],
            self._on_message,
            on_frame=self._on_frame,
            durable=(),
            stream_of=_stream_of,
        )
        self.reader.subscribe("")

    def start(self) -> None:
        """Begin to record."""
        process, recovery = self.process, self.writer.recovery
        if recovery.truncated:
            logger.warning("a write was cut off: %d bytes are gone", recovery.truncated)
        for damage in recovery.damage:
            logger.error("%s", damage)
        process.details = self._tell
        process.counters = self._count
        process.event_engine.add_idle(self._on_idle)
        process.io_clock.set_interval("recorder.tick", _TICK_NS, self._on_tick)
        process.io_clock.set_interval("recorder.seal", _SEAL_NS, self._on_seal)
        process.ready()

    def close(self) -> None:
        """Write what waits, and finish the segment.

        Raises:
            PersistenceError: the disk failed.
        """
        for timer in ("recorder.tick", "recorder.seal"):
            self.process.io_clock.cancel_timer(timer)
        self.sealing.close()
        self._write_held()
        self.writer.close()

    # --- what comes in --------------------------------------------------------------------------------------

    def _on_message(self, _topic: str, _envelope: Envelope[Any]) -> None:
        """It has been recorded as a frame."""

    def _on_frame(self, frame: bytes) -> None:
        now = self._now()
        if not self._held:
            try:
                self.writer.append(now, frame)
            except PersistenceError as error:
                self._failed(error)
            except DataError as error:
                self._lose(str(error))
                return
            else:
                self._wrote(frame)
                return
        if self._held_bytes + len(frame) > MOST_HELD:
            self._lose("the disk does not take what comes in")
            return
        self._held.append((now, frame))
        self._held_bytes += len(frame)

    def _wrote(self, frame: bytes) -> None:
        self.frames += 1
        self.bytes += len(frame)

    def _lose(self, reason: str) -> None:
        if not self.lost:
            logger.error("frames are lost: %s", reason)
        self.lost += 1

    # --- the disk -------------------------------------------------------------------------------------------

    def _on_idle(self) -> None:
        """Nothing more has come in: the operating system is given what there is."""
        if self.process.state != DEGRADED:
            self._try(self.writer.flush)

    def _on_tick(self, _timer: TimerData) -> None:
        """Sync and rotate as they fall due; after a failure, try again."""
        works = self._write_held() and self._try(lambda: self.writer.tick(self._now()))
        if works and self.process.state == DEGRADED and self._try(self.writer.sync):
            logger.info("the disk works again; %d frames were lost so far", self.lost)
            self.process.ready()

    def _on_seal(self, _timer: TimerData) -> None:
        if self.process.state != DEGRADED:
            try:
                self.sealing.look(self.writer.segment, self._now())
            except OSError as error:
                logger.error("old recordings cannot be looked after: %s", error)

    def _write_held(self) -> bool:
        """Write what had to wait, in order; returns whether all of it is written."""
        while self._held:
            ts, frame = self._held[0]
            try:
                self.writer.append(ts, frame)
            except PersistenceError as error:
                self._failed(error)
                return False
            self._held.popleft()
            self._held_bytes -= len(frame)
            self._wrote(frame)
        return True

    def _try(self, action: Any) -> bool:
        try:
            action()
        except PersistenceError as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: PersistenceError) -> None:
        if self.process.state in (STARTING, READY):
            self.process.set_state(DEGRADED, str(error))

    # --- what it says of itself -----------------------------------------------------------------------------

    def _tell(self) -> dict[str, str]:
        segment = self.writer.segment
        return {
            "segment": segment.path.name if segment is not None else "none yet",
            "sealing": "on" if self.sealing.is_on else "off",
        }

    def _count(self) -> dict[str, int]:
        counts = self.reader.tracker.counts
        return {
            "frames": self.frames,
            "bytes": self.bytes,
            "lost": self.lost,
            "held": len(self._held),
            "gaps": counts.gaps,
            "missing": counts.missing,
            "sealed": self.sealing.sealed,
            "not_sealed": self.sealing.failures,
        }


def _stream_of(topic: str) -> str:
    """The stream that a topic is counted in: a strategy's orders and fills share one."""
    for prefix in (EVENT_ORDER, EVENT_TRADE):
        if topic.startswith(prefix):
            return f"s/{topic[len(prefix) :]}"
    return topic


def run_recorder_service(arguments: Sequence[str]) -> int:
    """Run the recorder and return the exit code of the process.

    Args:
        arguments: of the command line, without the program's name.
    """

    def find(installation: Installation, name: str) -> str:
        if not installation.recorder.enabled:
            raise ConfigError(
                f"{installation.path}: the recorder is switched off ([recorder] enabled)"
            )
        return name

    def start(process: ServiceProcess) -> None:
        RecorderService(process).start()

    return run_service("recorder", arguments, start, name=RECORDER, find=find)
