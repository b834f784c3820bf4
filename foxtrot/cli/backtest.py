"""``foxtrot backtest``: options into settings, settings into a run, the outcome onto the screen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foxtrot.cli import options as opt
from foxtrot.cli.failing import reported
from foxtrot.core.errors import ConfigError

if TYPE_CHECKING:
    from foxtrot.app.backtest import BacktestOutcome
    from foxtrot.app.settings import BacktestJob

__all__ = ["backtest"]

Target = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG|STRATEGY",
        help="A settings file (.toml), or a strategy: file.py:Class or package.module:Class.",
        show_default=False,
    ),
]


def backtest(
    target: Target,
    data: opt.Data = None,
    symbol: opt.Symbol = None,
    sample: opt.Sample = None,
    adjusted: opt.Adjusted = None,
    column: opt.Column = None,
    fix: opt.Fix = None,
    tz: opt.Zone = None,
    time_format: opt.TimeFormat = None,
    stamp: opt.Stamp = None,
    interval: opt.BarInterval = None,
    set_: opt.Set = None,
    start: opt.Start = None,
    end: opt.End = None,
    capital: opt.Capital = None,
    commission: opt.Commission = None,
    leverage: opt.Leverage = None,
    market_fill: opt.MarketFillOption = None,
    finalize: opt.FinalizeOption = None,
    convention: opt.Convention = None,
    output: opt.OutputFolder = None,
    no_report: opt.NoReport = False,
    parquet: opt.Parquet = False,
    open_: opt.Open = False,
    remote: opt.Remote = False,
    config: opt.RemoteConfig = None,
    run: opt.RemoteRun = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,
) -> None:
    """Run strategies on prices of the past; write a report, the trades and the statistics.

    A strategy without data runs on the sample GOOG.
    """
    with reported(debug):
        columns = opt.columns_of(column)
    given = opt.BacktestOptions(
        data=tuple(data or ()),
        symbols=tuple(symbol or ()),
        samples=tuple(sample or ()),
        adjusted=adjusted,
        columns=columns,
        fix=tuple(fix or ()),
        tz=tz,
        time_format=time_format,
        stamp=stamp,
        interval=interval,
        overrides=tuple(set_ or ()),
        start=start,
        end=end,
        capital=capital,
        commission=commission,
        leverage=leverage,
        market_fill=market_fill,
        finalize=finalize,
        convention=convention,
        output=output,
        no_report=no_report,
        parquet=parquet,
        open=open_,
        remote=remote,
        remote_config=config,
        remote_run=run,
    )
    with reported(debug):
        _run(target, given, json=json, quiet=quiet)


def _run(target: str, given: opt.BacktestOptions, *, json: bool, quiet: bool) -> None:
    from foxtrot.cli.job import job_from

    sys.path.append(str(Path.cwd()))  # strategies in modules of the user's own
    try:
        job, notes = job_from(target, given)
        outcome = _outcome(job, given, quiet=quiet)
    finally:
        sys.path.remove(str(Path.cwd()))
    if json:
        typer.echo(outcome.to_json(), nl=False)
        for note in () if quiet else notes:
            typer.echo(note, err=True)
    elif not quiet:
        _show(outcome, notes)
    if given.open and outcome.report is not None:
        import webbrowser

        webbrowser.open(outcome.report.resolve().as_uri())


def _outcome(job: BacktestJob, given: opt.BacktestOptions, *, quiet: bool) -> BacktestOutcome:
    """Run the job here, or have the backtest service run it."""
    where = (given.remote_config, given.remote_run)
    if given.remote:
        from foxtrot.cli.remote import run_remotely, service_at

        return run_remotely(job, service_at(*where), quiet=quiet)
    if where != (None, None):
        raise ConfigError("--config and --run name a backtest service; add --remote")

    from foxtrot.app.backtest import run_backtest_job
    from foxtrot.cli.progress import watching

    with watching(quiet=quiet) as watcher:
        return run_backtest_job(job, watcher.progress, watcher.stage)


def _show(outcome: BacktestOutcome, notes: tuple[str, ...]) -> None:
    """Print the summary and where the files are."""
    from rich.console import Console
    from rich.text import Text

    from foxtrot.analysis.terminal import summary_renderable

    console = Console(highlight=False)
    console.print(summary_renderable(outcome.result, outcome.statistics))
    for note in (*notes, *outcome.notes):
        console.print(Text(f"  {note}", style="yellow"), soft_wrap=True)
    if outcome.report is not None:
        console.print(Text(f"  Report: {outcome.report}"), soft_wrap=True)
    names = [file.name for file in outcome.files if file != outcome.report]
    told = f"  {'Also there' if outcome.report else f'In {outcome.folder}'}: {', '.join(names)}"
    console.print(Text(told, style="dim"), soft_wrap=True)
