"""``foxtrot orders``, ``trades``, ``positions``, ``accounts``, ``contracts``: what the running OMS has on its books."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from foxtrot.cli import options as opt
from foxtrot.cli.control import Config, Json, Watching
from foxtrot.cli.failing import reported
from foxtrot.cli.filters import From, Strategy, Symbol, To

__all__ = ["register"]

Limit = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, help="Most rows to show, the newest.")
]
All = Annotated[bool, typer.Option("--all", help="Show all, however many; the oldest first.")]
Active = Annotated[bool, typer.Option("--active", help="Only orders that work.")]
Flat = Annotated[bool, typer.Option("--all", help="Show flat positions, too.")]


def register(app: typer.Typer, epilog: str) -> None:
    """Add the commands of this module to the program."""
    for command in (orders, trades, positions, accounts, contracts):
        app.command(command.__name__, epilog=epilog)(command)


def orders(
    strategy: Strategy = "",
    symbol: Symbol = "",
    since: From = None,
    to: To = None,
    limit: Limit = 20,
    everything: All = False,
    active: Active = False,
    config: Config = None,
    json: Json = False,
    watch: Watching = False,
    debug: opt.Debug = False,
) -> None:
    """List orders, the newest first."""
    query = (strategy, symbol, since, to, limit, everything, active)

    def read(desk: Any) -> Any:
        return desk.orders(_query(*query), everything=everything)

    _show("orders", read, config, json, watch, debug)


def trades(
    strategy: Strategy = "",
    symbol: Symbol = "",
    since: From = None,
    to: To = None,
    limit: Limit = 20,
    everything: All = False,
    config: Config = None,
    json: Json = False,
    watch: Watching = False,
    debug: opt.Debug = False,
) -> None:
    """List fills, the newest first."""
    query = (strategy, symbol, since, to, limit, everything, False)

    def read(desk: Any) -> Any:
        return desk.trades(_query(*query), everything=everything)

    _show("trades", read, config, json, watch, debug)


def positions(
    symbol: Symbol = "",
    everything: Flat = False,
    config: Config = None,
    json: Json = False,
    watch: Watching = False,
    debug: opt.Debug = False,
) -> None:
    """List what is held, valued at the newest prices."""

    def read(desk: Any) -> Any:
        return [
            position
            for position in desk.positions()
            if symbol in ("", position.vt_symbol) and (everything or position.volume)
        ]

    _show("positions", read, config, json, watch, debug)


def accounts(
    config: Config = None, json: Json = False, watch: Watching = False, debug: opt.Debug = False
) -> None:
    """List the money of each account."""
    _show("accounts", lambda desk: desk.accounts(), config, json, watch, debug)


def contracts(
    symbol: Symbol = "",
    config: Config = None,
    json: Json = False,
    watch: Watching = False,
    debug: opt.Debug = False,
) -> None:
    """List the instruments that adapters have told of."""

    def read(desk: Any) -> Any:
        return [one for one in desk.contracts() if symbol in ("", one.vt_symbol)]

    _show("contracts", read, config, json, watch, debug)


def _query(
    strategy: str,
    symbol: str,
    since: str | None,
    to: str | None,
    limit: int,
    everything: bool,
    active: bool,
) -> Any:
    from foxtrot.app.oms_history import moment
    from foxtrot.bus.messages import HistoryQuery

    return HistoryQuery(
        strategy=strategy,
        vt_symbol=symbol,
        start=moment("--from", since),
        end=moment("--to", to, last=True),
        limit=limit,
        newest_first=not everything,
        active=active,
    )


def _show(
    what: str,
    read: Callable[[Any], Any],
    config: Path | None,
    json: bool,
    watch: bool,
    debug: bool,
) -> None:
    with reported(debug):
        from foxtrot.app.control import Desk, find_installation
        from foxtrot.cli import control_show

        with Desk(find_installation(config)) as desk:
            if watch and not json:
                control_show.watched(lambda: control_show.table(what, read(desk)))
                return
            for found in control_show.repeated(lambda: read(desk), watch):
                if json:
                    control_show.records_as_json(found)
                else:
                    control_show.records(what, found)
