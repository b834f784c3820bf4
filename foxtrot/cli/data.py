"""``foxtrot data check`` and ``foxtrot data sample``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foxtrot.app.failures import FAILED
from foxtrot.cli import options as opt
from foxtrot.cli.failing import reported
from foxtrot.core.errors import ConfigError

if TYPE_CHECKING:
    from foxtrot.data import Columns

__all__ = ["app", "check", "sample"]

app = typer.Typer(help="Look at market data, and make some.", no_args_is_help=True)

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="CSV or Parquet file of bars or quotes."),
]
CheckSymbol = Annotated[
    str,
    typer.Option(
        "--symbol",
        metavar="VT_SYMBOL",
        help="The instrument, where the file holds several, such as AAPL.NASDAQ.",
    ),
]
FixedFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "--out",
        metavar="FILE",
        help="Write the data, as fixed, to this .csv or .csv.gz file; not while errors are left.",
    ),
]
AllowNegative = Annotated[
    bool, typer.Option("--allow-negative", help="Accept prices of zero and below.")
]
CheckJson = Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")]
SampleFolder = Annotated[
    Path | None,
    typer.Option("--output", "--out", metavar="FOLDER", help="Where the files go."),
]
Ticker = Annotated[
    list[str] | None,
    typer.Option(
        "--ticker",
        metavar="TICKER",
        help="Export only this one of the samples that ship; repeatable.",
    ),
]
SampleAdjusted = Annotated[
    bool,
    typer.Option(
        "--adjusted/--raw", help="Export prices without splits and dividends, or as traded."
    ),
]
Bars = Annotated[
    int | None,
    typer.Option("--bars", metavar="N", min=1, help="Make N minute bars, bars.csv."),
]
Ticks = Annotated[
    int | None,
    typer.Option("--ticks", metavar="N", min=1, help="Make N quotes, ticks.csv."),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", metavar="S", min=0, help="Decides what is made: the same seed, the same files."
    ),
]


@app.command("check")
def check(
    file: File,
    symbol: CheckSymbol = "",
    column: opt.Column = None,
    fix: opt.Fix = None,
    tz: opt.Zone = None,
    stamp: opt.Stamp = None,
    interval: opt.BarInterval = None,
    time_format: opt.TimeFormat = None,
    allow_negative: AllowNegative = False,
    output: FixedFile = None,
    json: CheckJson = False,
    debug: opt.Debug = False,
) -> None:
    """Look for everything in a file that would make a run wrong. Exit code 1 where there are errors."""
    with reported(debug):
        from foxtrot.cli.checking import check_file, show_json, show_table

        if output is not None and output.resolve() == file.resolve():
            raise ConfigError(f"--output {output} is the file itself; write to another one")
        checked = check_file(
            file,
            symbol,
            columns=opt.columns_of(column) or None,
            fix=tuple(fix or ()),
            tz=tz,
            stamp=stamp.value if stamp else None,
            interval=interval,
            time_format=time_format,
            allow_negative=allow_negative,
        )
        (show_json if json else show_table)(checked)
        if checked.columns is None:
            raise typer.Exit(FAILED)
        if output is not None:
            _write(checked.columns, output, quiet=json)


@app.command("sample")
def sample(
    output: SampleFolder = None,
    ticker: Ticker = None,
    adjusted: SampleAdjusted = True,
    bars: Bars = None,
    ticks: Ticks = None,
    seed: Seed = 1,
    debug: opt.Debug = False,
) -> None:
    """List the daily prices that ship with Foxtrot, export them as CSV, or make up minute bars and quotes."""
    with reported(debug):
        if output is None:
            if bars or ticks or ticker:
                raise ConfigError("say where the files go, with --output FOLDER")
            _list_samples()
            return
        from foxtrot.app.files import make_folder
        from foxtrot.data import make_bars, make_ticks

        make_folder(output)
        if bars:
            _write(make_bars(seed, bars), output / "bars.csv")
        if ticks:
            _write(make_ticks(seed, ticks), output / "ticks.csv")
        if ticker or not (bars or ticks):
            _export(output, tuple(ticker or ()), adjusted)


def _export(folder: Path, tickers: tuple[str, ...], adjusted: bool) -> None:
    from foxtrot.data import sample_bars, sample_names

    for name in tickers or sample_names():
        bars = sample_bars(name, adjusted=adjusted)
        _write(bars, folder / f"{bars.vt_symbol.partition('.')[0]}.csv")


def _list_samples() -> None:
    from rich.console import Console
    from rich.table import Table

    from foxtrot.core.objects import ns_to_datetime
    from foxtrot.data import SAMPLE_SYMBOLS, sample_bars

    table = Table("Ticker", "Instrument", "First day", "Last day", box=None, padding=(0, 2, 0, 0))
    table.add_column("Daily bars", justify="right")
    for name, vt_symbol in SAMPLE_SYMBOLS.items():
        bars = sample_bars(name)
        days = [ns_to_datetime(int(bars.ts_open[row])).date().isoformat() for row in (0, -1)]
        table.add_row(name, vt_symbol, *days, f"{len(bars):,}")
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "Use them with: foxtrot backtest STRATEGY --sample GOOG", style="dim", soft_wrap=True
    )


def _write(columns: Columns, path: Path, *, quiet: bool = False) -> None:
    from foxtrot.app.files import write_atomically
    from foxtrot.data import write_csv

    write_atomically(path, lambda draft: write_csv(columns, draft))
    typer.echo(f"{path}: {len(columns):,} rows", err=quiet)
