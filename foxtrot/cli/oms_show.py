"""What the commands of ``foxtrot oms`` print: the outcome first, then what to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import typer

from foxtrot.app.oms_check import Rebuilding, Verified
from foxtrot.app.oms_copies import Archiving, Backup, RestorePlan, damaged_name
from foxtrot.app.oms_files import backup_folder, command, is_copy
from foxtrot.app.oms_words import describe, describe_mark, explain, moment_text, number, terms
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.backup import RestoreReport
from foxtrot.server.journal.high_water import HighWater, MarkState
from foxtrot.server.journal.journal import JournalRow
from foxtrot.server.persistence_query import Page
from foxtrot.server.rebuild import Difference

_SHOWN = 20
_WIDE = 240
"""Columns of a table: a narrow terminal wraps its lines, but no id is broken in two."""


def _say(text: str, colour: str | None = None) -> None:
    typer.secho(text, fg=colour) if colour and sys.stdout.isatty() else typer.echo(text)


def _size(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count:,} bytes" if unit == "bytes" else f"{size:,.1f} {unit}"


def _rows(count: int, word: str = "row") -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _span(first: int, last: int) -> str:
    return f"row {first:,}" if first == last else f"rows {first:,} to {last:,}"


def _json(document: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


# --- verify -----------------------------------------------------------------------------------------------------


def verified(found: Verified) -> None:
    """Print what a check found, part by part, and what to do."""
    report, journal = found.report, found.report.journal
    typer.echo(f"{found.path}{f' · {_size(found.size)}' if found.size else ''}")
    if found.note:
        typer.echo(found.note)
    copy = is_copy(found.path)
    _part("structure", "BROKEN: " + report.structure if report.structure else "whole")
    if report.structure:
        _part("journal", "not checked" if journal.ok and not journal.rows else _journal(found))
    else:
        _part("journal", _journal(found))
    if found.high_water is not None:
        _part("mark", _mark(found.high_water))
    if copy:
        _part("state", "not compared; a copy is only read")
    elif found.only_state_differs:
        count = len(report.differences)
        whole = "is what the journal says"
        _part("state", f"DIFFERS from the journal in {count:,} places" if count else whole)
        _differences(report.differences)
    else:
        _part("state", "not compared; it is compared with a whole journal only")
    _verdict(found)


def _part(name: str, text: str) -> None:
    colour = "red" if text.split(" ", 1)[0].rstrip(":").isupper() else None
    _say(f"  {name:<10} {text}", colour)


def _journal(found: Verified) -> str:
    report = found.report.journal
    if not report.ok and not found.only_mark_differs:
        return f"BROKEN at row {report.broken_seq:,}: {report.detail}"
    if is_copy(found.path):
        return f"whole; it ends at row {report.last:,}"
    if not report.rows:
        return "whole; it is empty"
    archived = f", after {_rows(report.after)} that were archived" if report.after else ""
    return f"whole: {_span(report.after + 1, report.last)}{archived}"


def _mark(mark: HighWater) -> str:
    if mark.refuses:
        return f"DISAGREES: {describe_mark(mark)}"
    unknown = mark.state in (MarkState.MISSING, MarkState.TORN)
    return f"UNKNOWN: {mark.detail}" if unknown else describe_mark(mark)


def _verdict(found: Verified) -> None:
    unknown = found.high_water is not None and found.high_water.state in (
        MarkState.MISSING,
        MarkState.TORN,
    )
    if found.ok:
        _say("All is well." if not unknown else "No faults, but for the mark:", "green")
        if unknown:
            accept = command("accept", found.path)
            typer.echo(
                f"  without it nobody can tell whether the newest rows are gone. If the file was copied or moved\n"
                f"  here, that is to be expected: {accept}"
            )
        return
    _say("Do not trade on it. What to do:", "red")
    if found.only_state_differs:
        typer.echo(f"  make the state from the journal:  {command('rebuild', found.path)}")
        return
    typer.echo(
        f"  restore a backup:  {command('restore', found.backup or 'BACKUP', '--database', found.path)}"
    )
    if found.backup is None and not is_copy(found.path):
        typer.echo(f"  (there is none in {backup_folder(found.path)})")
    if found.only_mark_differs:
        typer.echo(
            f"  or, only if you know why the journal is as it is:  {command('accept', found.path)}"
        )


def _differences(differences: Sequence[Difference]) -> None:
    for difference in differences[:_SHOWN]:
        for line in explain(difference):
            typer.echo(f"    {line}")
    if len(differences) > _SHOWN:
        typer.echo(f"    ... and {len(differences) - _SHOWN:,} more; --json lists all")


def verified_as_json(found: Verified) -> None:
    """Print everything that a check found."""
    report, mark = found.report, found.high_water
    _json(
        {
            "database": str(found.path),
            "ok": found.ok,
            "size": found.size,
            "structure": report.structure,
            "journal": report.journal,
            "high_water": None if mark is None else mark._asdict(),
            "differences": report.differences,
            "backup": None if found.backup is None else str(found.backup),
            "note": found.note,
        }
    )


# --- mending ----------------------------------------------------------------------------------------------------


def to_be_rebuilt(found: Verified) -> None:
    """Print what a rebuild would change."""
    count = len(found.report.differences)
    typer.echo(f"{found.path}: the state differs from the journal in {count:,} places:")
    _differences(found.report.differences)


def rebuilt(database: Any, done: Rebuilding) -> None:
    """Print what a rebuild changed."""
    if done.kept is None:
        typer.echo(f"{database}: the state is what the journal says; nothing was to be done.")
        return
    typer.echo(f"The file as it was: {done.kept}")
    if done.changed:
        typer.echo(f"{database}: {_rows(len(done.changed))} made what the journal says.")
    else:
        typer.echo(f"{database}: its rows are what the journal says; they were sealed anew.")
    if done.left:
        _say("The journal contradicts itself; no rebuild mends that:", "red")
        _differences(done.left)
        typer.echo("Compare these with the venue's own records before trading.")


def to_be_accepted(database: Any, mark: HighWater) -> None:
    """Print what accepting a journal means."""
    typer.echo(f"{database}: {describe_mark(mark)}")
    if mark.state is MarkState.BEHIND:
        lost = _span(mark.head + 1, mark.seq)
        typer.echo(
            f"Accepting means: {lost} were committed and acknowledged once, and count as if they had never been.\n"
            f"Their orders and fills come back only from the venues. A backup that has them is always better."
        )
    elif mark.state is MarkState.DIFFERENT:
        typer.echo(
            "Accepting means: somebody changed history that was acknowledged, or put another database here,\n"
            "and what is here now counts."
        )
    else:
        typer.echo(
            f"Accepting means: the journal is complete as it ends, at row {mark.head:,}. That is so for a file that\n"
            f"was copied or moved here; if the mark was lost in a crash, the newest rows may be lost too."
        )
    typer.echo("The decision is noted in the journal. Reconcile with the venues before trading.")


def accepted(before: HighWater) -> None:
    """Print that a journal was accepted."""
    if before.state in (MarkState.MATCHED, MarkState.FRESH):
        typer.echo("The mark agrees with the journal; there is nothing to accept.")
    else:
        typer.echo(f"Accepted: the journal counts as it ends, at row {before.head:,}.")


# --- copies -----------------------------------------------------------------------------------------------------


def backed_up(done: Backup) -> None:
    """Print where a copy is and what is in it."""
    report = done.report
    typer.echo(
        f"{report.path} · {_size(report.size)} · journal to row {report.head.seq:,} · checked"
    )
    for path in done.removed:
        typer.echo(f"removed {path}")


def to_be_restored(plan: RestorePlan) -> None:
    """Print what a restore would lose."""
    typer.echo(f"The backup's journal ends at row {plan.seq:,}.")
    typer.echo(_loss(plan.seq, plan.marked, "would be"))
    typer.echo(f"{plan.database} is put aside, not deleted.")


def _loss(seq: int, marked: int, verb: str) -> str:
    if not marked:
        return "How far the database had come is unknown: what came after the backup is not in it."
    if marked <= seq:
        return "Nothing that was committed here is missing in it."
    return (
        f"{_span(seq + 1, marked).capitalize()} of the journal, committed after the backup, {verb} gone from here:\n"
        f"{_rows(marked - seq, 'fact')} about orders, fills and accounts that only the venues can tell again."
    )


def restored(done: RestoreReport) -> None:
    """Print what a restore did, what is lost, and where the rest is."""
    typer.echo(f"{done.path}: restored; its journal ends at row {done.seq:,}.")
    if done.moved:
        typer.echo(_loss(done.seq, done.marked, "are"))
        typer.echo("Put aside:")
        for path in done.moved:
            typer.echo(f"  {path}")
    aside = damaged_name(done)
    if aside is not None and done.marked > done.seq:
        read = command("journal", aside, "--after", done.seq)
        typer.echo(f"If it can still be read, this shows what is lost:  {read}")
    typer.echo(
        "Before trading: the OMS reconciles with every venue when it starts; look at what it reports."
    )


def archived(done: Archiving, before: str) -> None:
    """Print what an archive moved."""
    report = done.report
    if report.manifest is None:
        typer.echo(f"Nothing in the journal is older than {before}; nothing was moved.")
        return
    typer.echo(
        f"Moved {_rows(report.rows, 'journal row')}, {_rows(report.orders, 'closed order')} and "
        f"{_rows(report.trades, 'fill')} to {report.manifest.parent}"
    )
    typer.echo(f"Listed in {report.manifest.name}; keep these files, they are the only copy.")
    typer.echo(f"Database: {_size(done.before)} before, {_size(done.after)} now.")


# --- history ----------------------------------------------------------------------------------------------------


def orders(found: Page[OrderData]) -> None:
    """Print orders as a table."""
    rows = [
        (
            moment_text(order.ts_init),
            order.vt_orderid,
            order.strategy,
            order.vt_symbol,
            terms(order),
            f"{number(order.traded)} at {number(order.average_price)}" if order.traded else "",
            order.status.value,
            order.reason,
        )
        for order in found.items
    ]
    head = (
        "Submitted (UTC)",
        "Order",
        "Strategy",
        "Instrument",
        "Terms",
        "Traded",
        "Status",
        "Reason",
    )
    _table(head, rows)
    _more(found, "order")


def trades(found: Page[TradeData]) -> None:
    """Print fills as a table."""
    rows = [
        (
            moment_text(trade.ts_event),
            trade.vt_tradeid,
            trade.vt_orderid,
            trade.strategy,
            trade.vt_symbol,
            f"{trade.direction.value} {number(trade.volume)} at {number(trade.price)}",
            f"{number(trade.commission)} {trade.commission_currency}".strip(),
        )
        for trade in found.items
    ]
    head = ("Time (UTC)", "Fill", "Order", "Strategy", "Instrument", "Filled", "Commission")
    _table(head, rows)
    _more(found, "fill")


def facts(rows: Sequence[JournalRow]) -> None:
    """Print facts of the journal as a table."""
    table = [
        (
            f"{row.seq:,}",
            moment_text(row.ts),
            f"{row.stream} {row.stream_seq:,}",
            row.kind,
            describe(row.fact),
        )
        for row in rows
    ]
    _table(("Row", "Time (UTC)", "Stream, number", "Kind", "Fact"), table)
    typer.echo(_rows(len(rows), "fact") if rows else "No facts.", err=True)


def records_as_json(found: Page[Any]) -> None:
    """Print records with their fields by name, and the cursor."""
    _json({"items": [_fields(item) for item in found.items], "cursor": found.cursor})


def facts_as_json(rows: Sequence[JournalRow]) -> None:
    """Print facts with their places."""
    _json({"items": [{**row._asdict(), "fact": _fields(row.fact)} for row in rows]})


def _fields(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__struct_fields__}


def _more(found: Page[Any], word: str) -> None:
    """How many there were, on standard error, so that the table can be piped."""
    count = _rows(len(found.items), word) if found.items else f"No {word}s."
    more = f"; more follow: add --cursor {found.cursor}" if found.cursor else ""
    typer.echo(f"{count}{more}", err=True)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    used = [place for place in range(len(head)) if any(row[place] for row in rows)]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for place in used:
        table.add_column(head[place], overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[place]) for place in used))
    Console(highlight=False, width=_WIDE).print(table)
