"""``foxtrot oms``: the OMS's database, for whoever has to answer for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from foxtrot.app.failures import FAILED, INTERRUPTED
from foxtrot.cli import options as opt
from foxtrot.cli.failing import reported
from foxtrot.cli.filters import From, Strategy, Symbol, To
from foxtrot.cli.oms_ask import ask, working

__all__ = ["app"]

app = typer.Typer(
    help="Check, mend, back up and read the database of an order management system that does not run.",
    no_args_is_help=True,
)

Database = Annotated[Path, typer.Argument(metavar="DATABASE", help="The OMS's database file.")]
DatabaseOrDefault = Annotated[
    Path | None,
    typer.Argument(
        metavar="DATABASE", help="The database file, or a backup; run/oms.db by default."
    ),
]
DatabaseOrCopy = Annotated[
    Path,
    typer.Argument(
        metavar="DATABASE", help="The database file, or a backup, which may be read at any time."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BackupFolder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Where the backup goes; DATABASE.backups beside the database by default.",
    ),
]
KeptFolder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Where the copy of the file as it was goes; beside it by default.",
    ),
]
Keep = Annotated[
    int,
    typer.Option(
        "--keep",
        metavar="N",
        min=0,
        help="How many backups of this database stay in the folder, the oldest go first; 0, the default, for all.",
    ),
]
BackupFile = Annotated[
    Path,
    typer.Argument(metavar="BACKUP", help="A backup, such as oms-20240102T030405.000000Z.bak."),
]
Target = Annotated[
    Path,
    typer.Option(
        "--database",
        metavar="DATABASE",
        help="The database file whose place the backup takes; what is there is put aside, never deleted.",
    ),
]
Before = Annotated[
    str,
    typer.Option(
        "--before", metavar="DATE", help="What is older goes: a day or a time, in UTC by default."
    ),
]
ArchiveFolder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Where the Parquet files go; DATABASE.archive beside the database by default.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Most rows to show.")]
Newest = Annotated[bool, typer.Option("--newest", help="Begin with the newest.")]
Cursor = Annotated[
    str,
    typer.Option(
        "--cursor", metavar="CURSOR", help="Go on where the page before ended, as it said."
    ),
]
Stream = Annotated[
    str, typer.Option("--stream", metavar="NAME", help="Only the facts of this stream.")
]
After = Annotated[
    int,
    typer.Option(
        "--after",
        metavar="N",
        min=0,
        help="Begin after this row; with --stream after this number in the stream.",
    ),
]
LastFacts = Annotated[bool, typer.Option("--newest", help="Show the last facts, not the first.")]


@app.command("verify")
def verify(
    database: DatabaseOrDefault = None, json: Json = False, debug: opt.Debug = False
) -> None:
    """Check file, journal and high-water mark, and that the state is what the journal says. Exit code 1 if not."""
    with reported(debug):
        from foxtrot.app.oms_check import verify_database
        from foxtrot.app.oms_files import DEFAULT_DATABASE
        from foxtrot.cli import oms_show

        with working() as told:
            found = verify_database(database or DEFAULT_DATABASE, told)
        (oms_show.verified_as_json if json else oms_show.verified)(found)
        if not found.ok:
            raise typer.Exit(FAILED)


@app.command("rebuild")
def rebuild(
    database: Database, folder: KeptFolder = None, yes: Yes = False, debug: opt.Debug = False
) -> None:
    """Make the state what the journal says. Keeps a copy of the file as it was, and asks before it changes anything."""
    with reported(debug):
        from foxtrot.app.oms_check import Verified, rebuild_database
        from foxtrot.cli import oms_show

        with working() as told:

            def confirm(found: Verified) -> bool:
                told.pause()
                oms_show.to_be_rebuilt(found)
                return ask(
                    "Keep a copy of the file, and make the state what the journal says?", yes
                )

            done = rebuild_database(database, confirm, told, folder=folder)
        if done is None:
            _unchanged()
        oms_show.rebuilt(database, done)
        if done.left:
            raise typer.Exit(FAILED)


@app.command("backup")
def backup(
    database: Database, folder: BackupFolder = None, keep: Keep = 0, debug: opt.Debug = False
) -> None:
    """Copy the database to one file, and check the copy."""
    with reported(debug):
        from foxtrot.app.oms_copies import back_up_database
        from foxtrot.cli import oms_show

        with working() as told:
            told("copying and checking", 0, 0)
            done = back_up_database(database, folder=folder, keep=keep)
        oms_show.backed_up(done)


@app.command("restore")
def restore(
    backup: BackupFile, database: Target, yes: Yes = False, debug: opt.Debug = False
) -> None:
    """Put a backup in the database's place. Says what is lost by it, and asks."""
    with reported(debug):
        from foxtrot.app.oms_copies import RestorePlan, restore_database
        from foxtrot.cli import oms_show

        with working() as told:

            def confirm(plan: RestorePlan) -> bool:
                told.pause()
                oms_show.to_be_restored(plan)
                return ask("Put the backup in its place?", yes)

            done = restore_database(backup, database, confirm, told)
        if done is None:
            _unchanged()
        oms_show.restored(done)


@app.command("archive")
def archive(
    database: Database, before: Before, folder: ArchiveFolder = None, debug: opt.Debug = False
) -> None:
    """Move closed orders and their facts of old to Parquet files (needs the extra parquet)."""
    with reported(debug):
        from foxtrot.app.oms_copies import archive_database
        from foxtrot.app.oms_history import moment
        from foxtrot.cli import oms_show

        with working() as told:
            done = archive_database(database, moment("--before", before), told, folder=folder)
        oms_show.archived(done, before)


@app.command("accept")
def accept(database: Database, yes: Yes = False, debug: opt.Debug = False) -> None:
    """Take the journal as it is for the truth, although the high-water mark says otherwise. Explains, and asks."""
    with reported(debug):
        from foxtrot.app.oms_check import accept_database
        from foxtrot.cli import oms_show
        from foxtrot.server.journal.high_water import HighWater

        with working() as told:

            def confirm(mark: HighWater) -> bool:
                told.pause()
                oms_show.to_be_accepted(database, mark)
                return ask("Take the journal as it is?", yes)

            done = accept_database(database, confirm, told)
        if done is None:
            _unchanged()
        oms_show.accepted(done)


@app.command("orders")
def orders(
    database: DatabaseOrCopy,
    strategy: Strategy = "",
    symbol: Symbol = "",
    since: From = None,
    to: To = None,
    limit: Limit = 50,
    newest: Newest = False,
    cursor: Cursor = "",
    json: Json = False,
    debug: opt.Debug = False,
) -> None:
    """List orders by time of submission."""
    with reported(debug):
        from foxtrot.app.oms_history import load_orders, moment
        from foxtrot.cli import oms_show
        from foxtrot.server.persistence_query import PageQuery

        span = (moment("--from", since), moment("--to", to, last=True))
        query = PageQuery(strategy, symbol, *span, limit, cursor, newest)
        found = load_orders(database, query)
        (oms_show.records_as_json if json else oms_show.orders)(found)


@app.command("trades")
def trades(
    database: DatabaseOrCopy,
    strategy: Strategy = "",
    symbol: Symbol = "",
    since: From = None,
    to: To = None,
    limit: Limit = 50,
    newest: Newest = False,
    cursor: Cursor = "",
    json: Json = False,
    debug: opt.Debug = False,
) -> None:
    """List fills by time."""
    with reported(debug):
        from foxtrot.app.oms_history import load_trades, moment
        from foxtrot.cli import oms_show
        from foxtrot.server.persistence_query import PageQuery

        span = (moment("--from", since), moment("--to", to, last=True))
        query = PageQuery(strategy, symbol, *span, limit, cursor, newest)
        found = load_trades(database, query)
        (oms_show.records_as_json if json else oms_show.trades)(found)


@app.command("journal")
def journal(
    database: DatabaseOrCopy,
    stream: Stream = "",
    after: After = 0,
    limit: Limit = 50,
    newest: LastFacts = False,
    json: Json = False,
    debug: opt.Debug = False,
) -> None:
    """List the facts of the journal, in words."""
    with reported(debug):
        from foxtrot.app.oms_history import load_journal
        from foxtrot.cli import oms_show

        rows = load_journal(database, stream, after, limit, newest=newest)
        (oms_show.facts_as_json if json else oms_show.facts)(rows)


def _unchanged() -> NoReturn:
    typer.echo("Nothing was changed.", err=True)
    raise typer.Exit(INTERRUPTED)
