"""``foxtrot backtest --remote``: the job is handed to the backtest service, and watched as if it ran here.

Invariant: whoever stops watching decides once whether the job stops, too; where nobody can be asked, it goes on.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from foxtrot.app.failures import INTERRUPTED
from foxtrot.core.errors import ConfigError, FoxtrotError

if TYPE_CHECKING:
    from foxtrot.app.backtest import BacktestOutcome
    from foxtrot.app.backtest_client import BacktestClient
    from foxtrot.app.installation import Installation
    from foxtrot.app.settings import BacktestJob
    from foxtrot.bus.messages import BacktestInfo
    from foxtrot.cli.progress import Watcher
    from foxtrot.core.objects import LogData

__all__ = ["JobEndedError", "raise_unless_done", "run_remotely", "service_at"]


class JobEndedError(FoxtrotError):
    """A job came to another end than it was meant to; ends the command with the job's own exit code."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def service_at(config: Path | None, run: Path | None) -> Installation:
    """Whose backtest service is meant.

    Args:
        config: an installation's file.
        run: a run folder, where a service runs without an installation.

    Raises:
        ConfigError: both are given, or there is no such thing.
    """
    from foxtrot.app.control import find_installation
    from foxtrot.app.installation import Installation

    if run is None:
        return find_installation(config)
    if config is not None:
        raise ConfigError("give either --config (an installation) or --run (a run folder)")
    folder = run.expanduser().absolute()
    if not folder.is_dir():
        raise ConfigError(f"--run {run}: there is no such folder")
    return Installation(run=folder, adapters=())


def run_remotely(job: BacktestJob, installation: Installation, *, quiet: bool) -> BacktestOutcome:
    """Submit a job, watch it, and return its outcome as the service tells it.

    Args:
        job: its settings; paths are relative to the current folder.
        installation: whose service takes it.
        quiet: show neither progress nor what strategies log.

    Raises:
        JobEndedError: the job failed, or was cancelled.
        BusError: the service does not answer, or refuses.
        typer.Exit: the user stopped watching.
    """
    from foxtrot.app.backtest_client import BacktestClient
    from foxtrot.app.backtest_recall import recall
    from foxtrot.cli.progress import watching

    with BacktestClient(installation) as client:
        id_ = client.new_id(job.name or "backtest")
        try:
            with watching(quiet=quiet) as watcher:
                client.submit(job, id_)
                ended = client.follow(id_, _Bridge(watcher).on_info, _log)
        except KeyboardInterrupt:
            _stop_watching(client, id_)
        raise_unless_done(ended)
        return _from_here(recall(client.result(id_)))


def raise_unless_done(info: BacktestInfo) -> None:
    """Show why a job failed, as a run of one's own would.

    Raises:
        JobEndedError: it did, or was cancelled.
    """
    if info.state == "FAILED":
        if info.trace:
            typer.echo(info.trace + "\n", err=True)
        raise JobEndedError(info.error, info.exit_code)
    if info.state == "CANCELLED":
        raise JobEndedError(f"job {info.id} was cancelled", INTERRUPTED)


def _from_here(outcome: BacktestOutcome) -> BacktestOutcome:
    """The outcome with its files named relative to the current folder, where they are below it."""
    here = Path.cwd()
    if not outcome.folder.is_relative_to(here):
        return outcome
    files = tuple(file.relative_to(here) for file in outcome.files)
    return replace(outcome, folder=outcome.folder.relative_to(here), files=files)


class _Bridge:
    """Tells a watcher what a job's news mean."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._stage = ""

    def on_info(self, info: BacktestInfo) -> None:
        stage = "waiting for its turn" if info.state == "QUEUED" else info.stage
        if stage != self._stage:
            self._stage = stage
            self._watcher.stage(stage)
        if info.total and stage == "running":
            self._watcher.progress(info.done, info.total, info.sim_ts)


def _log(line: LogData) -> None:
    logging.getLogger(line.source).log(
        line.level, "%s", line.msg, extra={"ts_event": line.ts_event}
    )


def _stop_watching(client: BacktestClient, id_: str) -> NoReturn:
    """Ask whether the job is to stop, too; without an answer it goes on.

    Raises:
        typer.Exit: always.
    """
    cancels = False
    if sys.stdin.isatty() and sys.stderr.isatty():
        try:
            cancels = typer.confirm(f"\nCancel job {id_}? Otherwise it goes on", err=True)
        except (typer.Abort, KeyboardInterrupt):
            typer.echo("", err=True)
    if cancels:
        client.cancel(id_)
        typer.echo(f"job {id_} is cancelled", err=True)
    else:
        typer.echo(f"job {id_} goes on; see: foxtrot jobs show {id_}", err=True)
    raise typer.Exit(INTERRUPTED)
