"""From the arguments of ``foxtrot backtest`` to the settings of a job."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace

from foxtrot.app.settings import (
    BacktestJob,
    DataSource,
    Execution,
    load_job,
    resolve_strategy,
    set_parameters,
    split_overrides,
)
from foxtrot.cli.options import BacktestOptions
from foxtrot.core.config import build_config
from foxtrot.core.errors import ConfigError
from foxtrot.core.toml_keys import apply_overrides

__all__ = ["job_from"]

DEFAULT_SAMPLE = "GOOG"


def job_from(target: str, given: BacktestOptions) -> tuple[BacktestJob, tuple[str, ...]]:
    """The job that the command line asks for, and what the user should know of it.

    Args:
        target: a ``.toml`` file, else a strategy.
        given: the options.

    Raises:
        ConfigError: the file, an override or an option does not fit.
    """
    notes: tuple[str, ...] = ()
    is_file = target.endswith(".toml")
    read = load_job if is_file else _job_of_strategy
    job = _with_data(read(target, given.overrides), given)
    if not job.data and not is_file:
        job = replace(job, data=(_read_as(DataSource(sample=DEFAULT_SAMPLE), given),))
        notes = (
            f"No data was given, so this ran on the sample {DEFAULT_SAMPLE}; --data takes yours.",
        )
    return _with_options(job, given), notes


def _job_of_strategy(target: str, overrides: tuple[str, ...]) -> BacktestJob:
    """A job of one strategy and the defaults."""
    keys, parameters = split_overrides(overrides)
    path = resolve_strategy(target, Path())
    values = apply_overrides({"name": _name_of(target), "strategy": [{"path": path}]}, keys)
    job = build_config(values, BacktestJob, source="--set")
    return set_parameters(job, parameters)


def _name_of(target: str) -> str:
    """``path/to/sma_cross.py:SmaCross`` and ``package.sma_cross:SmaCross`` are called ``sma_cross``."""
    location = target if target.endswith(".py") else target.rpartition(":")[0] or target
    stem = Path(location).stem if location.endswith(".py") else location.rpartition(".")[2]
    return re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("-") or "backtest"


def _with_data(job: BacktestJob, given: BacktestOptions) -> BacktestJob:
    """The job with the data of the options, read as they say."""
    if len(given.symbols) > len(given.data):
        raise ConfigError(
            f"--symbol is given {len(given.symbols)} times, --data {len(given.data)} times; "
            "each names the instrument of one --data"
        )
    if given.data or given.samples:
        symbols = [*given.symbols, *[""] * (len(given.data) - len(given.symbols))]
        pairs = zip(given.data, symbols, strict=True)
        files = [{"path": str(path), "vt_symbol": symbol} for path, symbol in pairs]
        samples = [{"sample": name} for name in given.samples]
        wanted = {"data": [*files, *samples]}
        source = " and ".join(["--data"] * bool(files) + ["--sample"] * bool(samples))
        job = replace(job, data=build_config(wanted, BacktestJob, source=source).data)
    return replace(job, data=tuple(_read_as(source, given) for source in job.data))


def _read_as(source: DataSource, given: BacktestOptions) -> DataSource:
    """A source, read as the options say; options about stamps and faults are for files, not for samples."""
    if given.adjusted is not None:
        source = replace(source, adjusted=given.adjusted)
    if source.sample is not None:
        return source
    return replace(
        source,
        columns={**source.columns, **given.columns},
        fix=given.fix or source.fix,
        tz=given.tz or source.tz,
        time_format=given.time_format or source.time_format,
        stamp=given.stamp.value if given.stamp else source.stamp,
        interval=given.interval or source.interval,
    )


def _with_options(job: BacktestJob, given: BacktestOptions) -> BacktestJob:
    """The job with the values that have options of their own."""
    account, statistics, output = job.account, job.statistics, job.output
    if given.capital is not None:
        account = replace(account, capital=given.capital)
    if given.convention is not None:
        statistics = replace(statistics, convention=given.convention)
    if given.output is not None:
        output = replace(output, folder=given.output.expanduser())
    if given.no_report:
        output = replace(output, report=False)
    if given.parquet:
        output = replace(output, parquet=True)
    try:
        return replace(
            job,
            start=given.start or job.start,
            end=given.end or job.end,
            account=account,
            execution=_with_execution(job.execution, given),
            statistics=statistics,
            output=output,
        )
    except ValueError as error:
        raise ConfigError(f"--{error}") from None


def _with_execution(execution: Execution, given: BacktestOptions) -> Execution:
    if given.commission is not None:
        execution = replace(execution, fees=replace(execution.fees, rate=given.commission))
    if given.leverage is not None:
        execution = replace(execution, leverage=given.leverage)
    if given.market_fill is not None:
        execution = replace(execution, market_fill=given.market_fill)
    if given.finalize is not None:
        execution = replace(execution, finalize=given.finalize)
    return execution
