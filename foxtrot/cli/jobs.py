"""``foxtrot jobs``: what the backtest service has been given, how it stands, and how to stop it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foxtrot.cli import options as opt
from foxtrot.cli.failing import reported
from foxtrot.cli.remote import raise_unless_done, service_at

if TYPE_CHECKING:
    from foxtrot.app.backtest_client import BacktestClient
    from foxtrot.bus.messages import BacktestInfo

__all__ = ["app"]

app = typer.Typer(
    help="Backtests that run as a service: list them, look at one, cancel one.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The job.", show_default=False)]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The installation; by default FOXTROT_CONFIG, else configs/paper.toml.",
    ),
]
Run = Annotated[
    Path | None,
    typer.Option("--run", metavar="FOLDER", help="Run folder of a service without installation."),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")]
Active = Annotated[bool, typer.Option("--active", help="Only those that wait or run.")]
Json = Annotated[bool, typer.Option("--json", help="Print only JSON to standard output.")]

_WIDE = 100
"""Columns of a terminal that has room for what a job is doing."""

_COLOURS = {"DONE": "green", "FAILED": "red", "CANCELLED": "yellow", "RUNNING": "cyan"}


@app.callback(invoke_without_command=True)
def _jobs(context: typer.Context) -> None:
    """Backtests that run as a service: list them, look at one, cancel one."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(
    limit: Limit = 20,
    active: Active = False,
    config: Config = None,
    run: Run = None,
    json: Json = False,
    debug: opt.Debug = False,
) -> None:
    """List jobs, newest first."""
    with reported(debug), _client(config, run) as client:
        jobs = client.list(limit, active=active)
        if json:
            _echo_json([_plain(job) for job in jobs])
        else:
            _show_list(jobs)


@app.command("show")
def show(
    id_: Id,
    config: Config = None,
    run: Run = None,
    json: Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show how a job stands, and what came out of it."""
    with reported(debug), _client(config, run) as client:
        info = client.info(id_)
        if json:
            _echo_json(_plain(info))
            return
        _show_one(info)
        if info.state == "DONE":
            _show_result(client, id_)
        elif info.state == "FAILED":
            raise_unless_done(info)


@app.command("cancel")
def cancel(id_: Id, config: Config = None, run: Run = None, debug: opt.Debug = False) -> None:
    """Cancel a job that waits or runs; one that has ended stays as it is."""
    with reported(debug), _client(config, run) as client:
        info = client.cancel(id_)
        typer.echo(f"job {id_} is {info.state}")


def _client(config: Path | None, run: Path | None) -> BacktestClient:
    from foxtrot.app.backtest_client import BacktestClient

    return BacktestClient(service_at(config, run))


def _plain(info: BacktestInfo) -> dict[str, Any]:
    from msgspec.structs import asdict

    return asdict(info)


def _echo_json(value: Any) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _show_list(jobs: list[BacktestInfo]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not jobs:
        typer.echo("no jobs")
        return
    console = Console(highlight=False)
    heads = ["Job", "State", "Progress", "Submitted (UTC)", "Took", "Now, or why not"]
    if console.width < _WIDE:
        heads.pop()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, no_wrap=True)
    for job in jobs:
        cells = (
            Text(job.id),
            Text(job.state, style=_COLOURS.get(job.state, "")),
            f"{job.progress:.0%}",
            _moment(job.ts_created),
            _took(job),
            Text(job.error.partition("\n")[0] or job.stage, style="dim"),
        )
        table.add_row(*cells[: len(heads)])
    console.print(table)


def _show_one(info: BacktestInfo) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    told = {
        "State": f"{info.state}{f' ({info.stage}, {info.progress:.0%})' if info.stage else ''}",
        "Submitted": _moment(info.ts_created, " UTC"),
        "Started": _moment(info.ts_started, " UTC")
        + (f", {info.attempts} times so far" if info.attempts > 1 else ""),
        "Ended": _moment(info.ts_ended, " UTC") + (f", after {_took(info)}" if _took(info) else ""),
        "Files in": info.folder,
    }
    console.print(Text(info.id, style="bold"))
    for name, text in told.items():
        console.print(Text(f"  {name:<10} {text or '-'}"), soft_wrap=True)


def _show_result(client: BacktestClient, id_: str) -> None:
    from rich.console import Console

    from foxtrot.analysis.terminal import summary_renderable
    from foxtrot.app.backtest_recall import recall

    outcome = recall(client.result(id_))
    Console(highlight=False).print(summary_renderable(outcome.result, outcome.statistics))


def _moment(ts: int, zone: str = "") -> str:
    from foxtrot.core.objects import ns_to_datetime

    return f"{ns_to_datetime(ts):%Y-%m-%d %H:%M:%S}{zone}" if ts else ""


def _took(info: BacktestInfo) -> str:
    if not (info.ts_started and info.ts_ended):
        return ""
    return f"{(info.ts_ended - info.ts_started) / 1e9:,.1f} s"
