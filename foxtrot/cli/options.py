"""Options that commands share, and those of ``backtest`` as one record.

Invariant: this module imports nothing heavy; enumerations come from modules that are made of the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from foxtrot.core.constants import Interval
from foxtrot.core.errors import ConfigError
from foxtrot.simulation.models import Finalize, MarketFill


class StampOption(StrEnum):
    """What a bar's stamp in a file stands for."""

    OPEN = "open"
    CLOSE = "close"


_DATA, _RUN, _RESULT, _SERVICE = "Data", "Run", "Result", "Service"

Data = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="CSV or Parquet file; repeat for several. Replaces the data of a settings file.",
        rich_help_panel=_DATA,
    ),
]
Symbol = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        metavar="VT_SYMBOL",
        help="Instrument of each --data in turn, such as AAPL.NASDAQ; by default the file's name at LOCAL.",
        rich_help_panel=_DATA,
    ),
]
Sample = Annotated[
    list[str] | None,
    typer.Option(
        "--sample",
        metavar="TICKER",
        help="Daily prices that ship with Foxtrot (AAPL, FB, GOOG, IBM, MSFT); repeat for several.",
        rich_help_panel=_DATA,
    ),
]
Adjusted = Annotated[
    bool | None,
    typer.Option(
        "--adjusted/--raw",
        help="Take splits and dividends out of the prices; the default for samples only.",
        rich_help_panel=_DATA,
    ),
]
Fix = Annotated[
    list[str] | None,
    typer.Option(
        "--fix",
        metavar="NAME",
        help="Mend a kind of fault; repeat for several: fill_zero, drop_nan, sort, clamp_ohlc, drop_invalid, "
        "drop_duplicates. Nothing is changed that is not asked for.",
        rich_help_panel=_DATA,
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--tz",
        metavar="ZONE",
        help="Zone of stamps that carry none, such as America/New_York.",
        rich_help_panel=_DATA,
    ),
]
Stamp = Annotated[
    StampOption | None,
    typer.Option(
        "--stamp",
        help="Whether a stamp is its bar's open (default) or close.",
        rich_help_panel=_DATA,
    ),
]
BarInterval = Annotated[
    Interval | None,
    typer.Option(
        "--interval",
        help="Length of the bars; by default found from the stamps.",
        rich_help_panel=_DATA,
        show_choices=False,
        metavar="INTERVAL",
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="Which column of the file is meant, where its name is not recognised: close_price=Last; "
        "repeat for several.",
        rich_help_panel=_DATA,
    ),
]
TimeFormat = Annotated[
    str | None,
    typer.Option(
        "--time-format",
        metavar="FORMAT",
        help="strptime form of stamps that are not ISO 8601.",
        rich_help_panel=_DATA,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a parameter of the strategy (fast=20) or a key of the settings (account.digits=4); "
        "repeat for several.",
        rich_help_panel=_RUN,
    ),
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="DATE", help="First day or time.", rich_help_panel=_RUN),
]
End = Annotated[
    str | None,
    typer.Option(
        "--end",
        metavar="DATE",
        help="Last day, or the first time not wanted.",
        rich_help_panel=_RUN,
    ),
]
Capital = Annotated[
    float | None,
    typer.Option("--capital", metavar="AMOUNT", help="Opening balance.", rich_help_panel=_RUN),
]
Commission = Annotated[
    float | None,
    typer.Option(
        "--commission",
        metavar="RATE",
        help="Fraction of each fill's value: 0.001 is 0.1 %.",
        rich_help_panel=_RUN,
    ),
]
Leverage = Annotated[
    float | None,
    typer.Option(
        "--leverage",
        metavar="FACTOR",
        help="Notional per unit of equity; 1 is a cash account.",
        rich_help_panel=_RUN,
    ),
]
MarketFillOption = Annotated[
    MarketFill | None,
    typer.Option(
        "--market-fill",
        help="Where a market order decided on a bar's close fills.",
        rich_help_panel=_RUN,
    ),
]
FinalizeOption = Annotated[
    Finalize | None,
    typer.Option(
        "--finalize", help="What becomes of positions open at the end.", rich_help_panel=_RUN
    ),
]
Convention = Annotated[
    str | None,
    typer.Option(
        "--convention",
        metavar="NAME",
        help="Whose definitions the statistics follow: foxtrot, quantstats, vnpy, ...",
        rich_help_panel=_RESULT,
    ),
]
OutputFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FOLDER",
        help="Where the files go; results/<name> by default.",
        rich_help_panel=_RESULT,
    ),
]
NoReport = Annotated[
    bool, typer.Option("--no-report", help="Write no HTML report.", rich_help_panel=_RESULT)
]
Parquet = Annotated[
    bool,
    typer.Option(
        "--parquet",
        help="Write trades, orders and equity as Parquet too.",
        rich_help_panel=_RESULT,
    ),
]
Open = Annotated[
    bool, typer.Option("--open", help="Open the report in a browser.", rich_help_panel=_RESULT)
]
Remote = Annotated[
    bool,
    typer.Option(
        "--remote",
        help="Have the backtest service run it, on the same machine, and watch.",
        rich_help_panel=_SERVICE,
    ),
]
RemoteConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="With --remote: the installation; by default FOXTROT_CONFIG, else configs/paper.toml.",
        rich_help_panel=_SERVICE,
    ),
]
RemoteRun = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="FOLDER",
        help="With --remote: run folder of a service without installation.",
        rich_help_panel=_SERVICE,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print only JSON to standard output.", rich_help_panel=_RESULT),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Neither progress nor summary, only errors.",
        rich_help_panel=_RESULT,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")]


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """What ``foxtrot backtest`` was told besides its target; None and empty leave the settings as they are."""

    data: tuple[Path, ...] = ()
    symbols: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    adjusted: bool | None = None
    columns: dict[str, str] = field(default_factory=dict)
    fix: tuple[str, ...] = ()
    tz: str | None = None
    time_format: str | None = None
    stamp: StampOption | None = None
    interval: Interval | None = None
    overrides: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    capital: float | None = None
    commission: float | None = None
    leverage: float | None = None
    market_fill: MarketFill | None = None
    finalize: Finalize | None = None
    convention: str | None = None
    output: Path | None = None
    no_report: bool = False
    parquet: bool = False
    open: bool = False
    remote: bool = False
    remote_config: Path | None = None
    remote_run: Path | None = None


def columns_of(given: list[str] | None) -> dict[str, str]:
    """Names of Foxtrot's columns to those of the file, from texts such as ``close_price=Last``.

    Raises:
        ConfigError: one has another form, or a name comes twice.
    """
    columns: dict[str, str] = {}
    for text in given or ():
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise ConfigError(
                f"--column {text}: write Foxtrot's name and the file's, as in --column close_price=Last"
            )
        if name in columns:
            raise ConfigError(f"--column {name} is given twice: {columns[name]!r} and {column!r}")
        columns[name] = column
    return columns
