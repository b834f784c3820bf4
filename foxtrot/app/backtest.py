"""One backtest from settings to files.

Invariants:

* What can be checked without data (strategies, their parameters, the convention, the extras) is checked first.
* Every file is written wholly or not at all; ``statistics.json`` comes last and lists the others. Files that an earlier
  run in the same folder wrote, and this one does not, are removed, so a folder never mixes two runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from foxtrot.app.files import check_folder, make_folder, write_atomically, write_text
from foxtrot.app.settings import BacktestJob, DataSource
from foxtrot.core.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

    from foxtrot.analysis.record import Statistics
    from foxtrot.analysis.result import BacktestResult
    from foxtrot.server.backtest.settings import LoadedSeries
    from foxtrot.server.backtester import BacktestEngine
    from foxtrot.strategy.strategy import Strategy

    Loaded = list[tuple[type[Strategy], dict[str, Any]]]

__all__ = ["BacktestOutcome", "Progress", "run_backtest_job"]

Progress = Callable[[int, int, int], None]
"""``progress(done, total, ts)``: rows handled, rows in all, the clock's time (ns UTC)."""

Stage = Callable[[str], None]
"""``stage(text)``: what is being done now, in words."""

SUMMARY = "statistics.json"
_FRAMES = ("trades", "orders", "equity")
_KNOWN_FILES = frozenset(
    {"report.html", *(f"{name}.{kind}" for name in _FRAMES for kind in ("csv", "parquet"))}
)


@dataclass(frozen=True, slots=True)
class BacktestOutcome:
    """What a job left behind.

    Attributes:
        name: the job's name.
        result: orders, trades, equity and what they were made from.
        statistics: the figures, under the job's convention.
        folder: where the files are.
        files: what was written, in order.
        notes: what the user should know besides, as sentences.
    """

    name: str
    result: BacktestResult
    statistics: Statistics
    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @property
    def report(self) -> Path | None:
        """The HTML report, where one was written."""
        return next((file for file in self.files if file.suffix == ".html"), None)

    def to_json(self) -> str:
        """The whole outcome as JSON text, as ``statistics.json`` holds it."""
        result = self.result
        document = {
            "name": self.name,
            "strategies": result.strategies,
            "instruments": [series.vt_symbol for series in result.prices],
            "events": result.events,
            "run_seconds": result.run_seconds,
            "log_sha256": result.log_sha256,
            "conventions": result.conventions,
            "statistics": self.statistics.to_dict(),
            "folder": str(self.folder),
            "files": [file.name for file in self.files],
            "notes": self.notes,
        }
        text = msgspec.json.encode(document, enc_hook=str)
        return msgspec.json.format(text, indent=2).decode() + "\n"


def run_backtest_job(
    job: BacktestJob, progress: Progress | None = None, stage: Stage | None = None
) -> BacktestOutcome:
    """Load, run, calculate and write.

    Args:
        job: the settings.
        progress: told how far the run is.
        stage: told what is being done.

    Raises:
        ConfigError: a setting does not fit, or a file cannot be written.
        DataError: the data cannot be used; names file, row, column and the fix.
        MissingExtraError: a file was asked for that needs a package which is not installed.
        StrategyError: a strategy raised; its own exception is chained.
    """
    tell = stage or _nobody
    tell("checking the settings")
    strategies = _check(job)
    check_folder(job.folder)

    from foxtrot.core.event_engine import EventEngine
    from foxtrot.server.backtester import BacktestEngine
    from foxtrot.server.main_engine import MainEngine

    main_engine = MainEngine(EventEngine())
    try:
        engine = main_engine.add_engine(BacktestEngine)
        tell("loading data")
        _set_up(engine, job, strategies)
        tell("running")
        result = engine.run_backtest(progress)
        tell("calculating statistics")
        options = job.statistics
        statistics = engine.calculate_statistics(
            options.convention,
            risk_free=options.risk_free,
            annual_days=options.annual_days,
            timezone=_timezone(job),
        )
        tell("writing files")
        return _write(job, result, statistics)
    finally:
        main_engine.close()


def _check(job: BacktestJob) -> Loaded:
    """Check what needs no data; returns each strategy's class and setting."""
    if not job.strategy:
        raise ConfigError("there is no strategy to run; add a [[strategy]] table with its path")
    if not job.data:
        raise ConfigError(
            "there is no data to run on; add a [[data]] table with path or sample, or use --data or --sample"
        )
    if job.output.report and find_spec("plotly") is None:
        raise MissingExtraError("plotly", "report", "the HTML report")
    if job.output.parquet and find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "parquet", "writing Parquet")

    from foxtrot.analysis.conventions import get_convention
    from foxtrot.strategy.loader import load_strategy_class
    from foxtrot.strategy.parameters import check_setting

    get_convention(job.statistics.convention)
    loaded: Loaded = []
    for item in job.strategy:
        strategy_class = load_strategy_class(item.path)
        check_setting(strategy_class, item.setting)
        loaded.append((strategy_class, item.setting))
    return loaded


def _set_up(engine: BacktestEngine, job: BacktestJob, strategies: Loaded) -> None:
    engine.configure(job.account.build(), job.execution.build())
    for source in job.data:
        _load(engine, job, source)
    if job.warmup_until is not None:
        engine.configure(warmup_until=_warmup_end(job, engine.series))
    symbols = list(dict.fromkeys(series.columns.vt_symbol for series in engine.series))
    for item, (strategy_class, setting) in zip(job.strategy, strategies, strict=True):
        for vt_symbol in item.vt_symbols:
            if vt_symbol not in symbols:
                known = ", ".join(symbols)
                raise ConfigError(
                    f"strategy {item.name or item.path}: no data of {vt_symbol!r} is loaded; loaded: {known}"
                )
        engine.add_strategy(strategy_class, setting, name=item.name, vt_symbols=item.vt_symbols)


def _load(engine: BacktestEngine, job: BacktestJob, source: DataSource) -> None:
    from foxtrot.data.samples import sample_path

    vt_symbol = source.instrument
    engine.load_data(
        source.path or sample_path(),
        job.start,
        job.end,
        vt_symbol=vt_symbol,
        contract=source.contract.build(vt_symbol, job.account.currency) if vt_symbol else None,
        interval=source.interval,
        stamp=source.stamp,
        tz=source.tz,
        columns=source.columns or None,
        fix=source.fix,
        adjust=source.sample is not None if source.adjusted is None else source.adjusted,
        price=source.price,
        time_format=source.time_format,
        allow_negative=source.allow_negative,
    )


def _timezone(job: BacktestJob) -> str:
    zones = (source.tz for source in job.data if source.tz)
    return job.statistics.timezone or next(zones, "UTC")


def _warmup_end(job: BacktestJob, series: list[LoadedSeries]) -> int:
    """The end of the warm-up, ns UTC; a bare date is meant in the zone of the first data with a ``tz``."""
    import datetime as dt

    from foxtrot.data.columns import row_times
    from foxtrot.data.spans import find_bounds
    from foxtrot.data.stamps import find_zone

    zone = find_zone(next((source.tz for source in job.data if source.tz), None)) or dt.UTC
    end, _, _ = find_bounds(job.warmup_until, None, zone, by_day=False)
    last = max(int(row_times(item.columns)[-1]) for item in series)
    if end is None or end > last:
        raise DataError(
            f"warmup_until {job.warmup_until} lies behind the last data, so nothing would be traded; "
            "choose an earlier date"
        )
    return end


def _write(job: BacktestJob, result: BacktestResult, statistics: Statistics) -> BacktestOutcome:
    folder, output = make_folder(job.folder), job.output
    files: list[Path] = []
    notes: list[str] = []
    earlier = _earlier_files(folder)
    if output.report is not False:
        if find_spec("plotly") is not None:
            files.append(_write_report(job, result, statistics))
        else:
            notes.append(
                "No HTML report: it needs plotly; install it with: pip install 'foxtrot-trading[report]'"
            )
    for name in _FRAMES:
        if output.csv or output.parquet:
            frame = getattr(result, f"{name}_frame")()
            files += _write_frame(folder, name, frame, output.csv, output.parquet)
    files.append(folder / SUMMARY)
    for name in earlier - {file.name for file in files}:
        (folder / name).unlink(missing_ok=True)
    notes += _order_notes(result)
    outcome = BacktestOutcome(
        job.name or "backtest", result, statistics, folder, tuple(files), tuple(notes)
    )
    write_text(folder / SUMMARY, outcome.to_json())
    return outcome


def _order_notes(result: BacktestResult) -> list[str]:
    """What became of orders, where it may surprise: none was sent, or some were refused."""
    from foxtrot.core.constants import Status

    if not result.orders:
        return ["No order was sent."]
    refused = [o for o in result.orders if o.status in (Status.REJECTED, Status.DENIED)]
    if not refused:
        return []
    first = refused[0]
    were = "order was" if len(refused) == 1 else "orders were"
    return [
        f"{len(refused):,} of {len(result.orders):,} {were} rejected; {first.vt_orderid}: {first.reason}"
    ]


def _write_report(job: BacktestJob, result: BacktestResult, statistics: Statistics) -> Path:
    from foxtrot.analysis.report import render_report

    title = (job.name or "backtest").replace("_", " ")
    page = render_report(result, statistics, title, _timezone(job))
    return write_text(job.folder / "report.html", page)


def _write_frame(
    folder: Path, name: str, frame: pd.DataFrame, csv: bool, parquet: bool
) -> list[Path]:
    files: list[Path] = []
    indexed = frame.index.name is not None
    if csv:
        path = folder / f"{name}.csv"
        files.append(write_atomically(path, lambda draft: frame.to_csv(draft, index=indexed)))
    if parquet:
        path = folder / f"{name}.parquet"
        files.append(write_atomically(path, lambda draft: frame.to_parquet(draft, index=indexed)))
    return files


def _earlier_files(folder: Path) -> set[str]:
    """Names of the files that the last run in this folder wrote."""
    try:
        summary = msgspec.json.decode((folder / SUMMARY).read_bytes())
    except (OSError, msgspec.DecodeError):
        return set()  # no run was here, or not one of ours
    names = summary.get("files") if isinstance(summary, dict) else None
    return {name for name in names if name in _KNOWN_FILES} if isinstance(names, list) else set()


def _nobody(_text: str) -> None:
    """Nobody watches."""
