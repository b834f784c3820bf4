"""The backtests that a service has been given: one small file for each, which survives whatever becomes of the service.

Invariants:

* A job that was acknowledged is on the disk. A file is replaced as a whole and synced; it is readable by its owner
  alone. Files that cannot be read are put aside and told, never deleted.
* Jobs are numbered in order of arrival; they are run in that order.
* Finished jobs beyond the newest ``keep`` are forgotten; what they wrote to their output folders stays.
"""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from foxtrot.app.files import write_durably
from foxtrot.core.errors import ConfigError, PersistenceError

__all__ = ["ACTIVE", "ENDED", "JobRecord", "JobResult", "JobStore", "check_id"]

logger = logging.getLogger("foxtrot.service.backtest")

State = Literal["QUEUED", "RUNNING", "DONE", "FAILED", "CANCELLED"]
Figure = str | int | float | bool | None

ACTIVE = frozenset({"QUEUED", "RUNNING"})
ENDED = frozenset({"DONE", "FAILED", "CANCELLED"})

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RESULT = ".result.json"


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One backtest, as it is kept.

    Attributes:
        id: unique, the submitter's own.
        number: place in the order of arrival, from 1.
        config: settings as TOML text, relative to ``folder``.
        folder: absolute; the job runs there.
        wiring: how the parts of the run are put together.
        name: of the job.
        output: absolute folder of its files.
        state: where it is in its life.
        created, started, ended: ns UTC, 0 for not yet.
        attempts: how often it was started.
        error, trace, exit_code: why it failed.
        log_sha256, figures: what came out of it.
    """

    id: str
    number: int
    config: str
    folder: str
    wiring: str
    name: str
    output: str
    state: State = "QUEUED"
    created: int = 0
    started: int = 0
    ended: int = 0
    attempts: int = 0
    error: str = ""
    trace: str = ""
    exit_code: int = 0
    log_sha256: str = ""
    figures: dict[str, Figure] = {}


class JobResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished job left behind, beside its files: see ``foxtrot.bus.messages.BacktestOutput``."""

    files: tuple[str, ...] = ()
    document: str = ""
    ts: tuple[int, ...] = ()
    equity: tuple[float, ...] = ()


def check_id(id_: str) -> str:
    """The id, if it can be that of a job.

    Raises:
        ConfigError: it has other characters than letters, digits, ``_`` and ``-``, or is too long.
    """
    if not _ID.fullmatch(id_):
        raise ConfigError(
            f"{id_[:80]!r} cannot be the id of a job: 1 to 64 letters, digits, '_' and '-'"
        )
    return id_


class JobStore:
    """The jobs of one folder, in memory and on the disk.

    Args:
        folder: made private where it is not there.
        keep: finished jobs that are remembered.

    Attributes:
        dirty: ids of jobs whose last change could not be written yet.

    Raises:
        PersistenceError: the folder cannot be used.
    """

    def __init__(self, folder: Path, keep: int = 200) -> None:
        self.folder = folder
        self.dirty: set[str] = set()
        self._keep = keep
        self._jobs: dict[str, JobRecord] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._load()
        except OSError as error:
            raise PersistenceError(f"{folder}: jobs cannot be kept there: {error}") from error

    # --- reading --------------------------------------------------------------------------------------------

    def get(self, id_: str) -> JobRecord | None:
        """A job, or None where it is not known."""
        return self._jobs.get(id_)

    def jobs(self) -> list[JobRecord]:
        """All jobs in order of arrival."""
        return list(self._jobs.values())

    def next_queued(self) -> JobRecord | None:
        """The job whose turn it is."""
        return next((job for job in self._jobs.values() if job.state == "QUEUED"), None)

    def count(self, state: str) -> int:
        """Jobs in a state."""
        return sum(job.state == state for job in self._jobs.values())

    def path(self, id_: str) -> Path:
        """Where a job is kept."""
        return self.folder / f"{id_}.json"

    def result(self, id_: str) -> JobResult:
        """What a finished job left behind.

        Raises:
            PersistenceError: it cannot be read.
        """
        path = self.folder / f"{id_}{_RESULT}"
        try:
            return msgspec.json.decode(path.read_bytes(), type=JobResult)
        except (OSError, msgspec.DecodeError) as error:
            raise PersistenceError(f"{path}: cannot be read: {error}") from error

    # --- changing -------------------------------------------------------------------------------------------

    def add(self, job: JobRecord) -> JobRecord:
        """Keep a new job; it is on the disk, with the last number, when this returns.

        Raises:
            PersistenceError: it cannot be written; it is not kept then.
        """
        last = next(reversed(self._jobs.values())).number if self._jobs else 0
        job = replace(job, number=last + 1)
        self._write(self.path(job.id), job)
        self._jobs[job.id] = job
        return job

    def update(self, id_: str, **changes: Any) -> JobRecord:
        """Change a job; where the disk does not take it, it is written by a later ``flush``."""
        job = replace(self._jobs[id_], **changes)
        self._jobs[id_] = job
        self.dirty.add(id_)
        self.flush()
        return job

    def save_result(self, id_: str, result: JobResult) -> None:
        """Keep what a job left behind.

        Raises:
            PersistenceError: it cannot be written.
        """
        self._write(self.folder / f"{id_}{_RESULT}", result)

    def flush(self) -> bool:
        """Write what has not been written; returns whether all of it is."""
        for id_ in sorted(self.dirty):
            try:
                self._write(self.path(id_), self._jobs[id_])
            except PersistenceError as error:
                logger.error("%s", error)
                return False
            self.dirty.discard(id_)
        return True

    def requeue(self, id_: str) -> JobRecord:
        """Put a job that was interrupted back in its place in the queue."""
        return self.update(id_, state="QUEUED", started=0)

    def prune(self) -> list[str]:
        """Forget the oldest finished jobs beyond those that are kept; returns their ids."""
        ended = [job.id for job in self._jobs.values() if job.state in ENDED]
        old = ended[: max(0, len(ended) - self._keep)]
        for id_ in old:
            for path in (self.path(id_), self.folder / f"{id_}{_RESULT}"):
                with contextlib.suppress(OSError):  # it is tried again after the next start
                    path.unlink(missing_ok=True)
            del self._jobs[id_]
            self.dirty.discard(id_)
        return old

    # --- the disk -------------------------------------------------------------------------------------------

    def _load(self) -> None:
        found = []
        for path in self.folder.glob("*.json"):
            if path.name.endswith(_RESULT):
                continue
            try:
                job = msgspec.json.decode(path.read_bytes(), type=JobRecord)
                if job.id != path.stem:
                    raise ValueError(f"it holds the job {job.id!r}")
            except ValueError as error:  # DecodeError and ValidationError are ValueErrors
                aside = path.with_suffix(".damaged")
                path.replace(aside)
                logger.error("%s is no job (%s); it was put aside as %s", path, error, aside.name)
            else:
                found.append(job)
        self._jobs = {job.id: job for job in sorted(found, key=lambda job: job.number)}

    def _write(self, path: Path, content: msgspec.Struct) -> None:
        try:
            write_durably(path, msgspec.json.encode(content))
        except OSError as error:
            raise PersistenceError(f"{path}: cannot be written: {error}") from error
