"""What the commands of a running installation print: tables, JSON, and tables that renew themselves."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from foxtrot.app.control import is_default
from foxtrot.app.control_status import InstallationStatus, ServiceRow
from foxtrot.app.installation import Installation
from foxtrot.app.oms_words import moment_text, number, terms
from foxtrot.app.supervisor_conf import CONFIG_VARIABLE
from foxtrot.bus.messages import StrategyInfo
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData

_WIDE = 240
"""Columns of a table off a terminal, so that no id is broken in two."""

_COLOURS = {
    "READY": "green",
    "RUNNING": "green",
    "STARTING": "yellow",
    "DEGRADED": "yellow",
    "PAUSED": "yellow",
    "STOPPING": "yellow",
    "HALTED": "red",
    "DOWN": "red",
    "SILENT": "red",
    "ERROR": "red",
}
_STALE = 3.0

_NARROW = 100
"""Columns of a terminal below which a time takes two lines."""

_WHOLE = ("Service", "State", "Strategy", "Order", "Fill", "Instrument", "Account", "Status")
"""Columns that stay in one piece on a narrow terminal: what is typed in again, and what is looked for."""

Row = Sequence[str | Text]


def _console() -> Console:
    terminal = sys.stdout.isatty()
    return Console(highlight=False, width=None if terminal else _WIDE)


# --- status ---------------------------------------------------------------------------------------------------------


def status(found: InstallationStatus) -> None:
    """Print how an installation stands."""
    _console().print(status_view(found))


def status_view(found: InstallationStatus) -> Group:
    """How an installation stands: services, strategies, tracebacks of those that failed."""
    parts: list[Any] = [Text(f"{found.name} · {found.config}")]
    if not found.supervised:
        parts.append(Text("no supervisor answers; start it: foxtrot up", "red"))
    head = (
        "Service",
        "State",
        "Supervisor",
        "Process",
        "Up",
        "Epoch",
        "Restarts",
        "Heartbeat",
        "Detail",
    )
    parts.append(_table(head, [_service(row) for row in found.services]))
    parts += [
        Text(f"  {row.service}: {name}: {text}", "yellow")
        for row in found.services
        for name, text in row.details.items()
        if name.startswith(("halt", "block"))
    ]
    if found.strategies:
        names = ("Strategy", "State", "Instruments", "Cursor", "Waiting", "Since (UTC)", "Values")
        parts += [Text(), _table(names, [_strategy(info) for info in found.strategies])]
    for info in found.strategies:
        if info.error:
            parts += [Text(), Text(f"{info.name} failed:", "red"), Text(info.error.rstrip())]
    return Group(*parts)


def _service(row: ServiceRow) -> Row:
    beat = Text("" if row.heartbeat is None else f"{row.heartbeat:.1f} s ago")
    if row.heartbeat is not None and row.heartbeat > _STALE:
        beat.stylize("red")
    return (
        row.service,
        _state(row.state),
        row.supervisor,
        str(row.pid or ""),
        _duration(row.uptime) if row.uptime else "",
        str(row.epoch or ""),
        str(row.restarts or ""),
        beat,
        row.detail,
    )


def _strategy(info: StrategyInfo) -> Row:
    values = ", ".join(f"{name}={value}" for name, value in info.variables.items())
    return (
        info.name,
        _state(info.state),
        ", ".join(info.vt_symbols),
        f"{info.cursor:,}" if info.cursor else "",
        str(info.waiting or ""),
        moment_text(info.ts_event),
        values,
    )


def _state(state: str) -> Text:
    return Text(state, _COLOURS.get(state, ""))


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3_600} h {whole // 60 % 60:02d} min"


def status_as_json(found: InstallationStatus) -> None:
    """Print how an installation stands with its fields by name."""
    services = {row.service: _fields(row) for row in found.services}
    strategies = {info.name: _fields(info) for info in found.strategies}
    _json(
        {
            **_fields(found),
            "ready": found.ready,
            "services": services,
            "strategies": strategies,
        }
    )


def what_next(installation: Installation) -> None:
    """Print what to look at once all is up."""
    if not is_default(installation):
        typer.echo(
            "\nSo that the commands below, and in other terminals, mean this installation:\n"
            f"  export {CONFIG_VARIABLE}={shlex.quote(str(installation.path))}"
        )
    typer.echo(
        "\nLook on with:  foxtrot status --watch   foxtrot orders --watch   foxtrot positions   foxtrot tap eOrder.\n"
        f"Logs:          {installation.run / 'logs'}\n"
        "Stop it with:  foxtrot down"
    )


# --- books ----------------------------------------------------------------------------------------------------------


def records(what: str, found: Sequence[Any]) -> None:
    """Print records as a table, and on standard error how many."""
    if found:
        _console().print(table(what, found))
    count = len(found)
    word = what.removesuffix("s") if count == 1 else what
    typer.echo(f"{count:,} {word}" if count else f"No {what}.", err=True)


def table(what: str, found: Sequence[Any]) -> Table | Text:
    """Records as a table."""
    head, row = _TABLES[what]
    return _table(head, [row(one) for one in found]) if found else Text(f"No {what}.")


def records_as_json(found: Sequence[Any]) -> None:
    """Print records with their fields by name."""
    _json([_fields(one) for one in found])


def _order(order: OrderData) -> Row:
    return (
        moment_text(order.ts_init),
        order.vt_orderid,
        order.strategy,
        order.vt_symbol,
        terms(order),
        f"{number(order.traded)} at {_price(order.average_price)}" if order.traded else "",
        order.status.value,
        order.reason,
    )


def _trade(trade: TradeData) -> Row:
    return (
        moment_text(trade.ts_event),
        trade.vt_tradeid,
        trade.vt_orderid,
        trade.strategy,
        trade.vt_symbol,
        f"{trade.direction.value} {number(trade.volume)} at {_price(trade.price)}",
        f"{number(trade.commission)} {trade.commission_currency}".strip(),
    )


def _position(position: PositionData) -> Row:
    return (
        position.vt_symbol,
        position.vt_positionid.partition(".")[0],
        position.direction.value,
        number(position.volume),
        _price(position.price),
        _money(position.pnl),
        _money(position.realized_pnl),
        _money(position.commission),
        number(position.frozen) if position.frozen else "",
        moment_text(position.ts_event),
    )


def _account(account: AccountData) -> Row:
    return (
        account.vt_accountid,
        account.currency,
        _money(account.balance),
        _money(account.frozen),
        _money(account.margin),
        _money(account.available),
        moment_text(account.ts_event),
    )


def _contract(contract: ContractData) -> Row:
    return (
        contract.vt_symbol,
        contract.adapter_name,
        contract.name,
        contract.product.value,
        contract.currency,
        number(contract.size),
        number(contract.pricetick),
        number(contract.min_volume),
    )


_TABLES: dict[str, tuple[Sequence[str], Callable[[Any], Row]]] = {
    "orders": (
        (
            "Submitted (UTC)",
            "Order",
            "Strategy",
            "Instrument",
            "Terms",
            "Traded",
            "Status",
            "Reason",
        ),
        _order,
    ),
    "trades": (
        ("Time (UTC)", "Fill", "Order", "Strategy", "Instrument", "Filled", "Commission"),
        _trade,
    ),
    "positions": (
        (
            "Instrument",
            "Adapter",
            "Side",
            "Volume",
            "Price",
            "Unrealised",
            "Realised",
            "Commission",
            "Frozen",
            "Changed (UTC)",
        ),
        _position,
    ),
    "accounts": (
        ("Account", "Currency", "Balance", "Frozen", "Margin", "Available", "Changed (UTC)"),
        _account,
    ),
    "contracts": (
        ("Instrument", "Adapter", "Name", "Product", "Currency", "Size", "Tick", "Lot"),
        _contract,
    ),
}


def _price(value: float) -> str:
    return f"{value:.8g}"


def _money(value: float) -> str:
    return f"{value:,.2f}"


# --- renewing -------------------------------------------------------------------------------------------------------


def watched(view: Callable[[], Any]) -> None:
    """Show a view anew each second until Ctrl-C; an answer that is late is told and asked for again."""
    from foxtrot.core.errors import BusError

    console = _console()
    with (
        until_interrupted(),
        Live(console=console, screen=console.is_terminal, auto_refresh=False) as live,
    ):
        while True:
            try:
                shown = view()
            except BusError as error:
                shown = Text(str(error), "red")
            live.update(shown, refresh=True)
            if not console.is_terminal:
                console.print(shown)
            time.sleep(1.0)


def repeated(read: Callable[[], Any], watch: bool) -> Iterator[Any]:
    """What is read, once, or each second until Ctrl-C."""
    with until_interrupted():
        yield read()
        while watch:
            time.sleep(1.0)
            yield read()


@contextlib.contextmanager
def until_interrupted() -> Iterator[None]:
    """Take Ctrl-C, and a reader that has gone away, for the end that was wanted."""
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        return


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _json(document: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _table(head: Sequence[str], rows: Sequence[Row]) -> Table:
    used = [place for place in range(len(head)) if any(str(row[place]) for row in rows)]
    made = Table(box=None, padding=(0, 2, 0, 0))
    narrow = _console().width < _NARROW
    times = {place for place in used if narrow and head[place].endswith("(UTC)")}
    for place in used:
        whole = place in times or head[place] in _WHOLE
        made.add_column(_in_two(head[place], place in times), overflow="fold", no_wrap=whole)
    for row in rows:
        made.add_row(*(_in_two(row[place], place in times) for place in used))
    return made


def _in_two(cell: str | Text, is_time: bool) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell
    return Text(text.plain.replace(" ", "\n")) if is_time else text
