"""Finished segments of the recording on their way to Parquet, in a thread of its own, and their end.

Invariants:

* Only finished segments are sealed, oldest first; how far that has come is in a file, so a restart goes on from there,
  and a seal that was cut off is done again (which changes nothing).
* Where market data are sealed, no segment is deleted before it is. The newest segment always stays.
* The thread shares nothing with the loop but its own results; it ends within a moment when it is told to.
"""

from __future__ import annotations

import logging
import threading
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from foxtrot.app.files import write_text
from foxtrot.app.installation import RecorderSettings
from foxtrot.bus.messages import service_codec
from foxtrot.core.constants import NS_PER_DAY
from foxtrot.core.errors import FoxtrotError, MissingExtraError
from foxtrot.data.event_log_format import Segment, segments_of

if TYPE_CHECKING:
    from foxtrot.data.event_log_seal import SealReport

__all__ = ["Sealing"]

MOST_ROWS = 200_000
"""Rows in memory at a time."""

logger = logging.getLogger("foxtrot.service.recorder")


class _StoppedError(Exception):
    """The process ends; what is not sealed is sealed by the next one."""


class Sealing:
    """Seals and deletes.

    Args:
        folder: of the recording.
        market: folder of the catalog that market data go to.
        settings: of the recorder.

    Attributes:
        sealed: segments sealed in this process.
        failures: segments that could not be sealed.
    """

    def __init__(self, folder: Path, market: Path, settings: RecorderSettings) -> None:
        self.folder = folder
        self.market = market
        self.sealed = 0
        self.failures = 0
        self._mark_file = folder / "sealed"
        self._keep = int(settings.keep_days * NS_PER_DAY)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: set[int] = set()
        self.is_on = settings.seal
        if self.is_on and find_spec("pyarrow") is None:
            self.is_on = False
            missing = MissingExtraError("pyarrow", "parquet", "sealing recorded market data")
            logger.warning("recordings stay as they are: %s", missing)
        self._mark = self._read_mark()

    @property
    def is_busy(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def look(self, current: Segment | None, now: int) -> None:
        """Begin with the next segment that is finished, and delete what is too old.

        Args:
            current: the segment that is being written.
            now: ns UTC.
        """
        if self.is_busy:
            return
        segments = segments_of(self.folder)
        finished = [s for s in segments if current is None or s.first_seq < current.first_seq]
        if self.is_on:
            waiting = [s for s in finished if s.first_seq > self._mark]
            following = next((s for s in waiting if s.first_seq not in self._failed), None)
            if following is not None:
                self._stop.clear()
                self._thread = threading.Thread(
                    target=self._run, args=(following,), name="foxtrot-seal", daemon=True
                )
                self._thread.start()
                return
        self._prune(segments, now)

    def close(self, timeout: float = 5.0) -> None:
        """Have the thread end."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout)

    # --- in the thread --------------------------------------------------------------------------------------

    def _run(self, segment: Segment) -> None:
        try:
            self._take(segment, self._seal(segment))
        except _StoppedError:
            return
        except Exception as error:  # noqa: BLE001 - the recording goes on
            self._fail(segment, str(error), isinstance(error, FoxtrotError))

    def _take(self, segment: Segment, report: SealReport) -> None:
        for line in report.failed:
            logger.error("%s: %s", segment.path.name, line)
        if report.failed:
            self._fail(segment, "see above", True)
            return
        for reason, count in report.refused.items():
            logger.warning("%s: %d rows were left out: %s", segment.path.name, count, reason)
        if self._failed:  # one before it is not sealed: the mark stays in front of that one
            self._failed.add(segment.first_seq)
        else:
            write_text(self._mark_file, f"{segment.first_seq}\n")
            self._mark = segment.first_seq
        self.sealed += 1
        logger.info(
            "sealed %s: %d rows in %d files", segment.path.name, report.rows, len(report.files)
        )

    def _fail(self, segment: Segment, text: str, expected: bool) -> None:
        """It stays, is left out, and is tried again after the next start."""
        self.failures += 1
        self._failed.add(segment.first_seq)
        logger.error(
            "%s is not sealed and stays: %s", segment.path.name, text, exc_info=not expected
        )

    def _seal(self, segment: Segment) -> SealReport:
        from foxtrot.data.event_log_seal import seal_market_data

        decode, stop = service_codec().decode, self._stop

        def message_of(frame: bytes) -> object:
            if stop.is_set():
                raise _StoppedError
            return decode(frame)[1].message

        return seal_market_data([segment], self.market, message_of, most_rows=MOST_ROWS)

    # --- the end of segments --------------------------------------------------------------------------------

    def _prune(self, segments: list[Segment], now: int) -> None:
        """Delete segments that ended too long ago, oldest first, as far as they are sealed."""
        if not self._keep:
            return
        for segment, following in pairwise(segments):
            if now - following.created <= self._keep:
                return
            if self.is_on and segment.first_seq > self._mark:
                return
            segment.path.unlink(missing_ok=True)
            logger.info("deleted %s: older than is kept", segment.path.name)

    def _read_mark(self) -> int:
        try:
            return int(self._mark_file.read_text())
        except (FileNotFoundError, ValueError):  # nothing sealed yet, or all is sealed once more
            return 0
