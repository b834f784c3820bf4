"""The program ``foxtrot``.

Invariant: importing this module, and so ``--help`` and ``--version``, loads neither numpy nor pandas nor any engine;
commands import what they need when they run.
"""

from __future__ import annotations

from typing import Annotated

import typer

from foxtrot.cli import backtest, books, control, data, jobs, oms

__all__ = ["app", "main"]

_EPILOG = (
    "Exit codes: 0 all is well · 1 a strategy failed, or what was checked has errors · "
    "2 wrong input · 70 a fault of Foxtrot · 75 the database is in use · 130 interrupted"
)

app = typer.Typer(
    name="foxtrot",
    help="Foxtrot, a trading platform: one strategy class in a backtest, on paper and live.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("backtest", epilog=_EPILOG)(backtest.backtest)
control.register(app, _EPILOG)
books.register(app, _EPILOG)
app.add_typer(jobs.app, name="jobs")
app.add_typer(data.app, name="data")
app.add_typer(oms.app, name="oms")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"foxtrot {version('foxtrot-trading')}")
        raise typer.Exit


@app.callback()
def _foxtrot(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Foxtrot, a trading platform: one strategy class in a backtest, on paper and live."""


def main() -> None:
    """Run the program on the process's arguments, and exit."""
    app(prog_name="foxtrot")
