"""Asking a backtest service: submit, follow, cancel, fetch.

Invariants: every question has a time limit, and none is asked without end; a service that restarts is waited for, and
its job followed on; nothing is left open after ``close``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import zmq

from foxtrot.app.backtest_jobs import ENDED
from foxtrot.app.installation import BACKTEST, Installation
from foxtrot.app.job_text import job_to_text
from foxtrot.app.settings import BacktestJob
from foxtrot.bus.codec import Envelope
from foxtrot.bus.loop import SocketWaiter
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
    service_codec,
)
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Outcome, Unknown
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import BusError
from foxtrot.core.objects import LogData, ns_to_datetime

__all__ = ["BacktestClient", "BacktestRefusedError", "NoBacktestServiceError"]

_ASK_EVERY = NS_PER_SECOND
_LOOK = 0.2  # seconds

OnInfo = Callable[[BacktestInfo], object]
OnLog = Callable[[LogData], object]


class NoBacktestServiceError(BusError):
    """Nobody answers in time; ends a command with exit code 1."""

    exit_code = 1


class BacktestRefusedError(BusError):
    """The service refuses; ``code`` is its word for why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class BacktestClient:
    """A short-lived connection to the backtest service of an installation; a context manager.

    Args:
        installation: whose run folder has the service's sockets.
        service: its name.
        timeout: seconds that an answer may take.

    Raises:
        BusError: the run folder cannot be used.
    """

    def __init__(
        self, installation: Installation, service: str = BACKTEST, timeout: float = 5.0
    ) -> None:
        self._installation = installation
        self._timeout = int(timeout * NS_PER_SECOND)
        self._clock = LiveClock()
        self._on_info: OnInfo | None = None
        self._on_log: OnLog | None = None
        self._ended: BacktestInfo | None = None
        rpc, pub = installation.endpoint(service, "rpc"), installation.endpoint(service, "pub")
        codec = service_codec()
        self._waiter = SocketWaiter(self._clock)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._client = RpcClient(
            rpc,
            codec,
            source=f"foxtrot-{os.getpid()}",
            epoch=self._clock.now(),
            clock=self._clock,
            context=self._context,
        )
        self._client.attach(self._waiter)
        self._reader = Subscriber(
            self._context, self._clock, self._on_message, codec=codec, durable=()
        )
        self._reader.connect(pub)
        self._waiter.add(self._reader.socket, self._reader.drain)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        self._client.close()
        self._waiter.remove(self._reader.socket)
        self._reader.close()
        self._waiter.close()
        self._context.destroy(linger=0)

    # --- asking ---------------------------------------------------------------------------------------------

    def new_id(self, name: str) -> str:
        """An id for a job of this name: the name and the moment (UTC, to the microsecond)."""
        return f"{name[:40]}-{ns_to_datetime(self._clock.now()):%y%m%d-%H%M%S-%f}"

    def submit(
        self, job: BacktestJob, id_: str = "", folder: Path | None = None, wiring: str = ""
    ) -> BacktestInfo:
        """Hand a job over; it is kept by the service when this returns.

        Args:
            job: its settings.
            id_: the job's; the same id twice is one job. Made from its name by default.
            folder: what relative paths are relative to, and where it runs; the current folder by default.
            wiring: how the parts of the run are put together; the service's usual way by default.

        Raises:
            BacktestRefusedError: the service does not take it.
            NoBacktestServiceError: no answer; whether it was taken, ``info`` of the id will tell.
            ConfigError: the job has no form as text.
        """
        id_ = id_ or self.new_id(job.name or "backtest")
        base = str((folder or Path.cwd()).absolute())
        body = BacktestSubmit(job_to_text(job), base, id_, job.name, wiring)
        self._subscribe(id_)
        info: BacktestInfo = self._ask(BACKTEST_SUBMIT, body)
        return info

    def info(self, id_: str) -> BacktestInfo:
        """Where a job stands.

        Raises:
            BacktestRefusedError: there is no such job.
            NoBacktestServiceError: no answer.
        """
        info: BacktestInfo = self._ask(BACKTEST_INFO, BacktestQuery(id_))
        return info

    def cancel(self, id_: str) -> BacktestInfo:
        """Cancel a job; one that has ended stays as it is.

        Raises:
            BacktestRefusedError: there is no such job.
            NoBacktestServiceError: no answer.
        """
        info: BacktestInfo = self._ask(BACKTEST_CANCEL, BacktestQuery(id_))
        return info

    def result(self, id_: str) -> BacktestOutput:
        """What a job that is DONE left behind.

        Raises:
            BacktestRefusedError: there is no such job, or it is not DONE.
            NoBacktestServiceError: no answer.
        """
        output: BacktestOutput = self._ask(BACKTEST_RESULT, BacktestQuery(id_))
        return output

    def list(self, limit: int = 50, *, active: bool = False) -> list[BacktestInfo]:
        """Jobs, newest first.

        Args:
            limit: at most so many.
            active: only those that wait or run.

        Raises:
            NoBacktestServiceError: no answer.
        """
        found: list[BacktestInfo] = []
        cursor = ""
        while len(found) < limit:
            query = BacktestListQuery(limit - len(found), cursor, active)
            page: BacktestList = self._ask(BACKTEST_LIST, query)
            found += page.backtests
            cursor = page.cursor
            if not cursor:
                break
        return found

    def _ask(self, method: str, body: msgspec.Struct) -> Any:
        outcomes: list[Outcome] = []
        self._client.send(method, body, on_reply=outcomes.append, timeout=self._timeout)
        while not outcomes:
            self._turn()
        return self._body(outcomes[0])

    def _body(self, outcome: Outcome) -> Any:
        if isinstance(outcome, Unknown):
            raise NoBacktestServiceError(
                f"no backtest service answers in {self._installation.run}; start one with: "
                f"python -m services.backtest --serve --run {self._installation.run}"
            )
        if not outcome.ok:
            raise BacktestRefusedError(outcome.error_code, outcome.error_text)
        return outcome.body

    # --- following ------------------------------------------------------------------------------------------

    def follow(
        self, id_: str, on_info: OnInfo | None = None, on_log: OnLog | None = None
    ) -> BacktestInfo:
        """Be told of a job until it has ended; returns how it ended.

        A service that is away is waited for: its job goes on when it is back.

        Args:
            id_: the job's.
            on_info: told at every change.
            on_log: told what its strategies log.

        Raises:
            BacktestRefusedError: there is no such job.
        """
        self._on_info, self._on_log, self._ended = on_info, on_log, None
        self._subscribe(id_)
        outcomes: list[Outcome] = []
        asked, next_ask = False, 0
        while True:
            if (ended := self._how_it_ended()) is not None:
                self._reader.unsubscribe(EVENT_BACKTEST + id_)
                return ended
            now = self._clock.monotonic()
            if not asked and now >= next_ask:  # what was published before, or was lost
                self._client.send(BACKTEST_INFO, BacktestQuery(id_), on_reply=outcomes.append)
                asked, next_ask = True, now + _ASK_EVERY
            self._turn()
            if outcomes:
                asked = False
                outcome = outcomes.pop()
                if not isinstance(outcome, Unknown):
                    self._turn(0.0)  # what it logged at the end comes first
                    self._take(self._body(outcome))

    def _how_it_ended(self) -> BacktestInfo | None:
        return self._ended

    def _subscribe(self, id_: str) -> None:
        if not self._reader.wants(EVENT_BACKTEST + id_):
            self._reader.subscribe(EVENT_BACKTEST + id_)

    def _on_message(self, _topic: str, envelope: Envelope[Any]) -> None:
        message = envelope.message
        if isinstance(message, BacktestInfo):
            self._take(message)
        elif isinstance(message, LogData) and self._on_log is not None:
            self._on_log(message)

    def _take(self, info: BacktestInfo) -> None:
        if self._ended is not None:
            return
        if info.state in ENDED:
            self._ended = info
        if self._on_info is not None:
            self._on_info(info)

    def _turn(self, seconds: float = _LOOK) -> None:
        """Wait for something to come, and serve it."""
        self._waiter.wait(min(seconds, self._clock.wait_ns() / NS_PER_SECOND))
        self._clock.fire_due()
