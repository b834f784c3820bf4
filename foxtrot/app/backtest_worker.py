"""One job of the backtest service, in a process of its own.

Started by ``foxtrot.app.backtest_child`` with the job's file and two descriptors: one to tell how far it is, one that
closes when the service is gone. Invariants:

* It never outlives the service: when the lifeline closes it ends, so that no two processes work on one job.
* Asked to end (SIGTERM), it removes half-written files first.
* What happens is told through the pipe alone; standard output and error are the service's log.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from foxtrot.app.backtest import BacktestOutcome, run_backtest_job
from foxtrot.app.backtest_jobs import JobRecord
from foxtrot.app.backtest_wire import (
    MOST_POINTS,
    Done,
    Failed,
    JobMessage,
    LogLine,
    Progress,
    Stage,
    send,
)
from foxtrot.app.failures import FAULT, exit_code, user_traceback
from foxtrot.app.job_text import job_from_text
from foxtrot.app.settings import BacktestJob
from foxtrot.core.log import configure_logging, shutdown

if TYPE_CHECKING:
    from foxtrot.analysis.result import BacktestResult

__all__ = ["DEFAULT_WIRING", "WIRINGS", "main"]

Wiring = Callable[
    [BacktestJob, Callable[[int, int, int], None], Callable[[str], None]], BacktestOutcome
]
"""Runs a job, telling rows done and stages; where driver and strategies are processes of their own, another one."""

DEFAULT_WIRING = "inline"
WIRINGS: dict[str, Wiring] = {DEFAULT_WIRING: run_backtest_job}
"""Ways to put the parts of a run together, by the name that a submission gives."""

_SOONEST = 0.1  # seconds between two reports of progress
_LINES = 50  # of a strategy's log that are handed on in a second
_PATIENCE = 2.0  # seconds to end in order once the service is gone
_MOST_TRACE = 16_000  # characters
_MOST_LINE = 2_000


class _Teller(logging.Handler):
    """Tells the service how the job is getting on, at a bounded rate."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(logging.INFO)
        self._descriptor = descriptor
        self._told = 0.0
        self._second = 0
        self._lines = 0
        self._passed_over = 0

    def send(self, message: JobMessage) -> None:
        with suppress(OSError):  # nobody reads any more: the lifeline tells so, too
            send(self._descriptor, message)

    def stage(self, text: str) -> None:
        self._told = 0.0
        self.send(Stage(text))

    def progress(self, done: int, total: int, ts: int) -> None:
        now = time.monotonic()
        if now - self._told >= _SOONEST or done >= total:
            self._told = now
            self.send(Progress(done, total, ts))

    def emit(self, record: logging.LogRecord) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
            self._tell_passed_over()
        self._lines += 1
        if self._lines > _LINES:
            self._passed_over += 1
            return
        try:
            text = record.getMessage()[:_MOST_LINE]
        except Exception:  # noqa: BLE001 - a strategy's own format
            self.handleError(record)
            return
        ts = getattr(record, "ts_event", 0)
        self.send(LogLine(text, record.levelno, record.name, ts if isinstance(ts, int) else 0))

    def end(self) -> None:
        """What is logged from here on is for the service's own log alone."""
        self.setLevel(logging.CRITICAL + 1)
        self._tell_passed_over()

    def _tell_passed_over(self) -> None:
        left_out, self._passed_over = self._passed_over, 0
        if left_out:
            text = f"{left_out} log lines are not shown here; the service's own log has them"
            self.send(LogLine(text, logging.WARNING, "foxtrot.backtest"))


class _Marker:
    """Has each line of the service's log say which job it comes from."""

    def __init__(self, id_: str) -> None:
        self._id = id_

    def filter(self, record: logging.LogRecord) -> bool:
        record.job = self._id
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job and return the exit code of the process."""
    given = _parser().parse_args(arguments)
    faulthandler.enable(given.fault.open("w"))
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides
    threading.Thread(target=_hold, args=(given.life,), name="lifeline", daemon=True).start()
    os.set_inheritable(given.life, False)
    os.set_inheritable(given.tell, False)
    configure_logging("INFO", target=sys.stdout).addFilter(_Marker(given.job.stem))
    teller = _Teller(given.tell)
    logging.getLogger("foxtrot").addHandler(teller)
    try:
        return _run(given.job, teller)
    finally:
        logging.getLogger("foxtrot").removeHandler(teller)
        shutdown()


def _run(path: Path, teller: _Teller) -> int:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=JobRecord)
        os.chdir(record.folder)
        sys.path.append(record.folder)  # strategies in modules of the user's own
        job = job_from_text(record.config, Path(record.folder), record.name)
        outcome = WIRINGS[record.wiring](job, teller.progress, teller.stage)
        done = _done(outcome)
    except Exception as error:
        code = exit_code(error)
        trace = user_traceback(error)
        if code == FAULT:
            trace = traceback.format_exc()
        teller.end()
        logging.getLogger("foxtrot.backtest").exception("failed: %s", error)
        teller.send(Failed(str(error) or type(error).__name__, trace[-_MOST_TRACE:], code))
        return code
    teller.end()
    teller.send(done)
    return 0


def _done(outcome: BacktestOutcome) -> Done:
    ts, equity = _curve(outcome.result)
    return Done(
        log_sha256=outcome.result.log_sha256,
        figures=outcome.statistics.to_dict(),
        files=tuple(file.name for file in outcome.files),
        document=outcome.to_json(),
        ts=ts,
        equity=equity,
    )


def _curve(result: BacktestResult) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The equity curve: all of it, or the mean of each stretch at the time of its end."""
    import numpy as np

    good = np.isfinite(result.equity)
    ts, equity = result.ts[good], result.equity[good]
    if len(ts) > MOST_POINTS:
        edges = np.linspace(0, len(ts), MOST_POINTS + 1, dtype=np.int64)
        equity = np.add.reduceat(equity, edges[:-1]) / np.diff(edges)
        ts = ts[edges[1:] - 1]
    return tuple(ts.tolist()), tuple(equity.tolist())


def _on_signal(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _hold(lifeline: int) -> None:
    """Wait for the service to go, then end this process."""
    with suppress(OSError):
        while os.read(lifeline, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(128 + signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="foxtrot-backtest-worker")
    parser.add_argument("--job", type=Path, required=True, help="the job's file")
    parser.add_argument("--fault", type=Path, required=True, help="where a crash is written")
    parser.add_argument("--tell", type=int, required=True, help="descriptor that is written to")
    parser.add_argument("--life", type=int, required=True, help="descriptor that is waited for")
    return parser
