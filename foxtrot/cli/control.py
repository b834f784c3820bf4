"""``foxtrot up``, ``status``, ``halt`` and their like: an installation, for whoever runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foxtrot.app.failures import FAILED
from foxtrot.cli import options as opt
from foxtrot.cli.failing import reported

__all__ = ["register"]

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The installation (TOML); by default that of FOXTROT_CONFIG, else configs/paper.toml.",
    ),
]
ConfigArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG]",
        show_default=False,
        help="The installation (TOML); by default that of FOXTROT_CONFIG, else configs/paper.toml.",
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long to wait at most.")
]
PrintConf = Annotated[
    bool,
    typer.Option(
        "--print-conf",
        help="Print the supervisor's file, as it reads in the current folder; start nothing.",
    ),
]
Watching = Annotated[bool, typer.Option("--watch", "-w", help="Show it anew each second.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is journaled.")]
StrategyOrAll = Annotated[
    str, typer.Argument(metavar="[STRATEGY]", show_default=False, help="Whose; all by default.")
]
StrategyName = Annotated[str, typer.Argument(metavar="NAME", help="The strategy.")]

strategy_app = typer.Typer(help="Command a running strategy.", no_args_is_help=True)


def register(app: typer.Typer, epilog: str) -> None:
    """Add the commands of this module to the program."""
    for command in (up, down, restart, status, halt, resume, tap):
        app.command(command.__name__, epilog=epilog)(command)
    app.add_typer(strategy_app, name="strategy")


def up(
    config: ConfigArgument = None,
    timeout: Timeout = 90.0,
    print_conf: PrintConf = False,
    debug: opt.Debug = False,
) -> None:
    """Start an installation and wait until all of it is ready. What runs already is left alone."""
    with reported(debug):
        from foxtrot.app import control_up
        from foxtrot.app.control import Desk, find_installation
        from foxtrot.cli import control_show

        installation = find_installation(config)
        if print_conf:
            typer.echo(control_up.print_conf(installation, Path.cwd()), nl=False)
            return
        with Desk(installation) as desk:
            found = control_up.bring_up(desk, typer.echo, timeout)
        control_show.status(found)
        control_show.what_next(installation)


def down(config: ConfigArgument = None, timeout: Timeout = 90.0, debug: opt.Debug = False) -> None:
    """Stop an installation in order: strategies, adapters, the OMS, the recorder. Nothing is left behind."""
    with reported(debug):
        from foxtrot.app.control import find_installation
        from foxtrot.app.control_down import bring_down

        installation = find_installation(config)
        ran = bring_down(installation, typer.echo, timeout)
        name = installation.name
        typer.echo(f"{name} is down." if ran else f"{name} is down; nothing was running.")


def restart(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="Its name, as `foxtrot status` shows it.")
    ],
    config: Config = None,
    timeout: Timeout = 60.0,
    debug: opt.Debug = False,
) -> None:
    """Stop and start one service, and wait until it is ready."""
    with reported(debug):
        from foxtrot.app.control import Desk, find_installation
        from foxtrot.app.control_up import restart_service

        with Desk(find_installation(config)) as desk:
            restart_service(desk, service, typer.echo, timeout)


def status(
    config: ConfigArgument = None,
    watch: Watching = False,
    json: Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show every service and strategy. Exit code 1 where a service is not ready."""
    with reported(debug):
        from foxtrot.app.control import Desk, find_installation
        from foxtrot.app.control_status import read_status
        from foxtrot.cli import control_show

        with Desk(find_installation(config)) as desk:
            if watch and not json:
                control_show.watched(lambda: control_show.status_view(read_status(desk)))
                return
            for found in control_show.repeated(lambda: read_status(desk), watch):
                (control_show.status_as_json if json else control_show.status)(found)
        if not found.ready:
            raise typer.Exit(FAILED)


def halt(
    strategy: StrategyOrAll = "",
    reason: Reason = "by command",
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel working orders, too.")] = False,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Cancel working orders and close positions, too.")
    ] = False,
    config: Config = None,
    debug: opt.Debug = False,
) -> None:
    """Stop new orders, of one strategy or of all, until `foxtrot resume`. It holds over restarts."""
    with reported(debug):
        from foxtrot.app.control import Desk, find_installation

        with Desk(find_installation(config)) as desk:
            typer.echo(desk.halt(reason, strategy, cancel=cancel, flatten=flatten))


def resume(
    strategy: StrategyOrAll = "",
    reason: Reason = "by command",
    config: Config = None,
    debug: opt.Debug = False,
) -> None:
    """End a halt."""
    with reported(debug):
        from foxtrot.app.control import Desk, find_installation

        with Desk(find_installation(config)) as desk:
            typer.echo(desk.resume(reason, strategy))


def tap(
    topic: Annotated[
        str,
        typer.Argument(
            metavar="[TOPIC]",
            show_default=False,
            help="What topics begin with, such as eTick. or eOrder.sma; all but heartbeats by default.",
        ),
    ] = "",
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=0, help="End after N messages; 0: never.")
    ] = 0,
    config: Config = None,
    debug: opt.Debug = False,
) -> None:
    """Print the traffic of the bus, a line for each message, until Ctrl-C."""
    with reported(debug):
        from foxtrot.app.control import Desk, find_installation
        from foxtrot.cli import control_show

        with Desk(find_installation(config)) as desk, control_show.until_interrupted():
            for number, line in enumerate(desk.tap(topic), start=1):
                typer.echo(line)
                if number == count:
                    return


def _command(verb: str, name: str, config: Path | None, debug: bool) -> None:
    with reported(debug):
        from foxtrot.app.control import Desk, find_installation

        with Desk(find_installation(config)) as desk:
            typer.echo(desk.control(verb, name))


@strategy_app.command("start")
def strategy_start(name: StrategyName, config: Config = None, debug: opt.Debug = False) -> None:
    """Start a strategy that was stopped."""
    _command("start", name, config, debug)


@strategy_app.command("stop")
def strategy_stop(name: StrategyName, config: Config = None, debug: opt.Debug = False) -> None:
    """Stop a strategy; its working orders stay."""
    _command("stop", name, config, debug)


@strategy_app.command("pause")
def strategy_pause(name: StrategyName, config: Config = None, debug: opt.Debug = False) -> None:
    """Call none of a strategy's hooks until it is resumed; its fills are booked, and told to it then."""
    _command("pause", name, config, debug)


@strategy_app.command("resume")
def strategy_resume(name: StrategyName, config: Config = None, debug: opt.Debug = False) -> None:
    """End a pause, or have a strategy that has failed try again."""
    _command("resume", name, config, debug)


@strategy_app.command("reload")
def strategy_reload(name: StrategyName, config: Config = None, debug: opt.Debug = False) -> None:
    """Take a strategy's class anew from its file, and go on with the state that is."""
    _command("reload", name, config, debug)
