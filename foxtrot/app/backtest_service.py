"""The backtest service: jobs by request, each run in a process of its own, followed by subscription.

Methods: ``bt.submit``, ``bt.list``, ``bt.info``, ``bt.cancel``, ``bt.result``; every change of a job is published on
``eBacktest.<id>``, and so is what its strategies log. Invariants:

* A job is on the disk before it is acknowledged, and the same id is one job for as long as it is remembered.
* The service's loop runs no strategy and reads no prices: it keeps answering and beating.
* Jobs outlive the service: one that was interrupted, in whatever way, is run again from the beginning.
* A job ends once. What a cancelled job's process still says is not listened to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from foxtrot.app.backtest_child import JobProcess
from foxtrot.app.backtest_jobs import ACTIVE, ENDED, JobRecord, JobResult, JobStore, check_id
from foxtrot.app.backtest_submission import minted_id, record_of
from foxtrot.app.backtest_wire import Done, Failed, JobMessage, LogLine, Progress, Stage
from foxtrot.app.backtest_worker import DEFAULT_WIRING
from foxtrot.app.failures import FAULT
from foxtrot.app.process import DEGRADED, ServiceProcess
from foxtrot.bus.messages import (
    BACKTEST_CANCEL,
    BACKTEST_INFO,
    BACKTEST_LIST,
    BACKTEST_RESULT,
    BACKTEST_SUBMIT,
    EVENT_BACKTEST,
    BacktestInfo,
    BacktestList,
    BacktestListQuery,
    BacktestOutput,
    BacktestQuery,
    BacktestSubmit,
)
from foxtrot.bus.rpc_messages import RpcError
from foxtrot.bus.rpc_methods import Incoming, Pending
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import ConfigError, FoxtrotError, PersistenceError
from foxtrot.core.objects import LogData, TimerData

__all__ = ["BacktestService"]

MOST_QUEUED = 1_000
"""Jobs that may wait."""

_TICK_NS = NS_PER_SECOND // 4
_PATIENCE = 2.0  # seconds that a job's process has to end in order
_MOST_LISTED = 200

logger = logging.getLogger("foxtrot.service.backtest")


class _Run:
    """A job that runs: its process, and how far it is."""

    def __init__(self, process: JobProcess) -> None:
        self.process = process
        self.stage = "starting"
        self.done = 0
        self.total = 0
        self.sim_ts = 0
        self.kill_at = 0  # ns, monotonic; 0 for never
        self.end: Done | Failed | None = None


class BacktestService:
    """The parts of the backtest service's process.

    Args:
        process: its frame.
        slots: jobs that run at once.

    Raises:
        PersistenceError: the folder of jobs cannot be used.
    """

    def __init__(self, process: ServiceProcess, slots: int = 1) -> None:
        self.process = process
        self.slots = slots
        self.store = JobStore(process.installation.folder("state") / "backtests")
        self._now = process.io_clock.now
        self._runs: dict[str, _Run] = {}
        self._fault = ""  # why nothing can be started or kept just now

    def start(self) -> None:
        """Take up what was left, and answer."""
        process, server = self.process, self.process.server
        for job in self.store.jobs():
            if job.state == "RUNNING":
                logger.warning("job %s was interrupted and is run again", job.id)
                self.store.requeue(job.id)
        server.register(BACKTEST_SUBMIT, self._on_submit, BacktestSubmit)
        server.register(BACKTEST_LIST, self._on_list, BacktestListQuery, None, keep=False)
        server.register(BACKTEST_INFO, self._on_info, BacktestQuery, keep=False)
        server.register(BACKTEST_CANCEL, self._on_cancel, BacktestQuery)
        server.register(BACKTEST_RESULT, self._on_result, BacktestQuery, keep=False)
        process.counters = self._count
        process.details = self._tell
        process.at_end("the backtests", self.close)
        process.io_clock.set_interval("backtest.tick", _TICK_NS, self._on_tick)
        self._go_on()

    def close(self) -> None:
        """End the processes of jobs, which go back to the queue for the next start."""
        self.process.io_clock.cancel_timer("backtest.tick")
        for run in self._runs.values():
            run.process.terminate()
        for id_, run in self._runs.items():
            run.process.drain()
            run.process.end(_PATIENCE)
            job = self.store.get(id_)
            if job is not None and job.state == "RUNNING":
                if run.end is not None:
                    self._conclude(job, run.end)
                else:
                    logger.info("job %s is run again after the next start", id_)
                    self.store.requeue(id_)
                    self._publish(id_)
        self._runs.clear()
        if not self.store.flush():
            raise PersistenceError(f"{self.store.folder}: the last changes could not be written")

    # --- requests -------------------------------------------------------------------------------------------

    def _on_submit(self, request: Incoming, _later: Callable[[], Pending]) -> BacktestInfo:
        asked: BacktestSubmit = request.body
        try:
            id_ = check_id(asked.id or minted_id(request))
            known = self.store.get(id_)
            if known is not None:
                return self._again(known, asked)
            record = record_of(id_, asked, self._now())
            if self.store.count("QUEUED") >= MOST_QUEUED:
                raise RpcError("FULL", f"{MOST_QUEUED} jobs wait already; submit it again later")
            self.store.add(record)
        except ConfigError as error:
            raise RpcError("BAD_JOB", str(error)) from None
        except PersistenceError as error:
            raise RpcError("NOT_KEPT", str(error)) from None
        logger.info("job %s was submitted", id_, extra={"job": id_, "folder": record.output})
        self._publish(id_)
        self._go_on()
        return self._info(id_)

    def _again(self, known: JobRecord, asked: BacktestSubmit) -> BacktestInfo:
        wiring = asked.wiring or DEFAULT_WIRING
        if (known.config, known.folder, known.wiring) != (asked.config, asked.folder, wiring):
            raise RpcError("JOB_EXISTS", f"job {known.id} is another one; choose another id")
        return self._info(known.id)

    def _on_list(self, request: Incoming, _later: Callable[[], Pending]) -> BacktestList:
        asked: BacktestListQuery = request.body or BacktestListQuery()
        try:
            before = int(asked.cursor) if asked.cursor else 1 << 62
        except ValueError:
            raise RpcError("BAD_QUERY", f"cursor {asked.cursor[:80]!r} is none of ours") from None
        found = [
            job
            for job in reversed(self.store.jobs())
            if job.number < before and (not asked.active or job.state in ACTIVE)
        ]
        page = found[: min(max(1, asked.limit), _MOST_LISTED)]
        more = len(found) > len(page)
        return BacktestList(
            tuple(
                msgspec.structs.replace(self._info(job.id), figures={}, trace="") for job in page
            ),
            str(page[-1].number) if more else "",
        )

    def _on_info(self, request: Incoming, _later: Callable[[], Pending]) -> BacktestInfo:
        return self._info(self._find(request.body.id).id)

    def _on_cancel(self, request: Incoming, _later: Callable[[], Pending]) -> BacktestInfo:
        job = self._find(request.body.id)
        if job.state in ACTIVE:
            self.store.update(job.id, state="CANCELLED", ended=self._now())
            logger.info("job %s was cancelled", job.id, extra={"job": job.id})
            run = self._runs.get(job.id)
            if run is not None:
                run.process.terminate()
                run.kill_at = self._later()
            self._publish(job.id)
            self._go_on()
        return self._info(job.id)

    def _on_result(self, request: Incoming, _later: Callable[[], Pending]) -> BacktestOutput:
        job = self._find(request.body.id)
        if job.state != "DONE":
            raise RpcError("NOT_DONE", f"job {job.id} is {job.state}; it has no result")
        try:
            result = self.store.result(job.id)
        except PersistenceError as error:
            raise RpcError("NOT_KEPT", str(error)) from None
        return BacktestOutput(
            job.id, job.output, result.files, result.document, result.ts, result.equity
        )

    def _find(self, id_: str) -> JobRecord:
        job = self.store.get(id_)
        if job is None:
            raise RpcError("UNKNOWN_JOB", f"there is no job {id_[:80]!r}")
        return job

    # --- running --------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Start what may be started, forget what is old, and say how things are."""
        while len(self._runs) < self.slots and self._start_next():
            pass
        for id_ in self.store.prune():
            self.process.publisher.streams.pop(EVENT_BACKTEST + id_, None)
        fault = self._fault or ("jobs cannot be written to the disk" if self.store.dirty else "")
        waiting = self.store.count("QUEUED")
        if fault:
            self.process.set_state(DEGRADED, fault)
        else:
            self.process.ready(f"{len(self._runs)} running, {waiting} waiting")

    def _start_next(self) -> bool:
        job = self.store.next_queued()
        if job is None:
            self._fault = ""
            return False
        changes: dict[str, Any] = {"started": self._now(), "attempts": job.attempts + 1}
        try:
            process = JobProcess(
                job.id,
                self.store.path(job.id),
                self.process.waiter,
                self._on_message,
                self._on_silence,
            )
        except OSError as error:
            self._fault = f"job {job.id} cannot be started: {error}; it is tried again"
            return False
        self._fault = ""
        self._runs[job.id] = _Run(process)
        self.store.update(job.id, state="RUNNING", **changes)
        logger.info("job %s runs as process %d", job.id, process.pid, extra={"job": job.id})
        self._publish(job.id)
        return True

    def _on_message(self, id_: str, message: JobMessage) -> None:
        run, job = self._runs.get(id_), self.store.get(id_)
        if run is None or job is None or job.state != "RUNNING":
            return
        match message:
            case Stage(text):
                run.stage = text
            case Progress(done, total, ts):
                run.done, run.total, run.sim_ts = done, total, ts
            case LogLine(text, level, source, ts):
                line = LogData(text, level, source, ts)
                self.process.publisher.publish(EVENT_BACKTEST + id_, line)
                return
            case Done() | Failed():
                run.end = message
                return  # once the process has ended, too
        self._publish(id_)

    def _on_silence(self, id_: str) -> None:
        run = self._runs.get(id_)
        if run is not None and not self._reap(id_, run) and not run.kill_at:
            run.kill_at = self._later()  # it has closed its pipe, and must end now

    def _on_tick(self, _timer: TimerData) -> None:
        now = self.process.io_clock.monotonic()
        for id_, run in tuple(self._runs.items()):
            if not self._reap(id_, run) and run.kill_at and now >= run.kill_at:
                run.process.kill()
        if self.store.dirty:
            self.store.flush()
        self._go_on()

    def _reap(self, id_: str, run: _Run) -> bool:
        """Conclude a job whose process has ended; returns whether it has."""
        code = run.process.ended
        if code is None:
            return False
        run.process.drain()
        job = self.store.get(id_)
        if job is not None and job.state == "RUNNING":
            self._conclude(job, run.end or _crashed(code, run.process.crash()))
        run.process.close()
        del self._runs[id_]
        self._go_on()
        return True

    def _conclude(self, job: JobRecord, end: Done | Failed) -> None:
        """Keep what became of a job, then tell."""
        changes: dict[str, Any] = {"ended": self._now()}
        if isinstance(end, Done):
            try:
                self.store.save_result(
                    job.id,
                    JobResult(files=end.files, document=end.document, ts=end.ts, equity=end.equity),
                )
            except PersistenceError as error:
                end = Failed(f"the result cannot be kept: {error}", "", FAULT)
        if isinstance(end, Done):
            changes |= {"state": "DONE", "log_sha256": end.log_sha256, "figures": end.figures}
            logger.info("job %s is done", job.id, extra={"log_sha256": end.log_sha256})
        else:
            changes |= {
                "state": "FAILED",
                "error": end.error,
                "trace": end.trace,
                "exit_code": end.exit_code,
            }
            logger.error("job %s failed: %s", job.id, end.error, extra={"job": job.id})
        self.store.update(job.id, **changes)
        self._publish(job.id)

    def _later(self) -> int:
        return self.process.io_clock.monotonic() + int(_PATIENCE * NS_PER_SECOND)

    # --- what is told ---------------------------------------------------------------------------------------

    def _publish(self, id_: str) -> None:
        try:
            self.process.publisher.publish(EVENT_BACKTEST + id_, self._info(id_))
        except FoxtrotError as error:  # too long for a frame: whoever follows asks
            logger.error("news of job %s could not be published: %s", id_, error)

    def _info(self, id_: str) -> BacktestInfo:
        job = self._find(id_)
        run = self._runs.get(id_) if job.state == "RUNNING" else None
        done, total, sim_ts, stage = 0, 0, 0, ""
        if run is not None:
            done, total, sim_ts, stage = run.done, run.total, run.sim_ts, run.stage
        progress = 1.0 if job.state == "DONE" else done / total if total else 0.0
        return BacktestInfo(
            id=job.id,
            name=job.name,
            state=job.state,
            progress=progress,
            stage=stage,
            error=job.error,
            folder=job.output,
            figures=job.figures,
            log_sha256=job.log_sha256,
            ts_created=job.created,
            ts_started=job.started,
            ts_ended=job.ended,
            done=done,
            total=total,
            sim_ts=sim_ts,
            trace=job.trace,
            exit_code=job.exit_code,
            attempts=job.attempts,
        )

    def _count(self) -> dict[str, int]:
        ended = {state.lower(): self.store.count(state) for state in sorted(ENDED)}
        return {"running": len(self._runs), "queued": self.store.count("QUEUED"), **ended}

    def _tell(self) -> dict[str, str]:
        runs = {f"job {id_}": f"process {run.process.pid}" for id_, run in self._runs.items()}
        return {"jobs": str(self.store.folder), "slots": str(self.slots), **runs}


def _crashed(code: int, trace: str) -> Failed:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return Failed(f"the job's process {how} before it had a result", trace, FAULT)
