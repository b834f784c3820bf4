"""Reading an event log, and deleting what is too old.

Invariants: reading needs no lock and changes nothing; damage is told or raises, and never ends or shifts what is read
around it. Whole segments outside of the bounds are skipped by what their footers say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from foxtrot.core.errors import DataError, PersistenceError
from foxtrot.data.event_log_format import (
    Damage,
    Footer,
    LogRecord,
    Segment,
    scan,
    segments_of,
)

_MOST_DAMAGE = 1_000


class EventLogReader:
    """Reads the segments of a folder, or some of them.

    Args:
        source: the folder, or segments in order of time.
        strict: whether damage raises; else it is skipped and told in ``damage``.

    Attributes:
        damage: what the last reading skipped (the first thousand places).
        damaged: how many places it were.
    """

    def __init__(
        self, source: str | os.PathLike[str] | Iterable[Segment], *, strict: bool = True
    ) -> None:
        self._folder = Path(source) if isinstance(source, str | os.PathLike) else None
        self._given = [] if isinstance(source, str | os.PathLike) else list(source)
        self._strict = strict
        self.damage: list[Damage] = []
        self.damaged = 0

    def segments(self) -> list[Segment]:
        """The segments, oldest first.

        Raises:
            PersistenceError: the folder cannot be read.
        """
        return list(self._given) if self._folder is None else segments_of(self._folder)

    def frames(
        self, start: int | None = None, end: int | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Time and bytes of each frame with ``start <= time < end`` (ns UTC, None for open), as received.

        Raises:
            DataError: something is damaged and the reader is strict. A write that was cut off, or is still going on,
                at the end of the newest segment is no damage.
            PersistenceError: a segment cannot be read.
        """
        for record in self.records(start, end):
            yield record.ts, record.frame

    def records(self, start: int | None = None, end: int | None = None) -> Iterator[LogRecord]:
        """Like ``frames``, with the number of each."""
        self.damage, self.damaged = [], 0
        segments = self.segments()
        for segment in segments:
            footer = segment.footer()
            if footer is not None and _outside(footer, start, end):
                continue
            for _, found in scan(segment):
                if isinstance(found, Damage):
                    if not (found.tail and segment is segments[-1]):
                        self._tell(found)
                elif (start is None or found.ts >= start) and (end is None or found.ts < end):
                    yield found

    def _tell(self, damage: Damage) -> None:
        if self._strict:
            raise DataError(f"{damage}; strict=False reads on behind it")
        self.damaged += 1
        if len(self.damage) < _MOST_DAMAGE:
            self.damage.append(damage)


def prune_segments(
    folder: str | os.PathLike[str],
    *,
    keep: int | None = None,
    max_age: int | None = None,
    now: int = 0,
) -> list[Segment]:
    """Delete the oldest segments; the newest always stays, so that numbers go on.

    Args:
        folder: of the log.
        keep: how many segments may stay; None for any number.
        max_age: ns after which a segment that has ended is too old; None for never.
        now: ns UTC, for ``max_age``.

    Returns:
        The deleted segments, oldest first.

    Raises:
        PersistenceError: one cannot be deleted.
    """
    segments = segments_of(Path(folder))
    gone = 0 if keep is None else max(0, len(segments) - max(1, keep))
    if max_age is not None:
        ends = [segment.created for segment in segments[1:]]  # one ends where the next begins
        gone = max(gone, sum(now - end > max_age for end in ends))
    for segment in segments[:gone]:
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            raise PersistenceError(
                f"{segment.path}: cannot be deleted: {error.strerror}"
            ) from error
    return segments[:gone]


def _outside(footer: Footer, start: int | None, end: int | None) -> bool:
    return (start is not None and footer.last_ts < start) or (
        end is not None and footer.first_ts >= end
    )
