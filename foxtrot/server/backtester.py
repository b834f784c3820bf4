"""``BacktestEngine``: data and strategies in, a ``BacktestResult`` and its statistics out.

Each run happens in a world of its own (``foxtrot.server.backtest.world``): the live parts wired in one process around a
simulated clock and venue. Running twice gives the same orders, trades and log digest.
"""

from __future__ import annotations

import datetime as dt
import gc
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec.structs import replace

from foxtrot.analysis.record import Statistics
from foxtrot.analysis.result import BacktestResult, PriceSeries
from foxtrot.analysis.statistics import calculate_statistics
from foxtrot.core.constants import NS_PER_MINUTE, Interval
from foxtrot.core.engine import BaseEngine, EngineOwner
from foxtrot.core.errors import ConfigError, DataError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import ContractData, ns_to_datetime, split_vt_symbol
from foxtrot.data.columns import BarColumns, TickColumns
from foxtrot.data.feed import blocks
from foxtrot.data.series import CatalogSeries, Series
from foxtrot.server.backtest.equity import IntArray, equity_curve
from foxtrot.server.backtest.loop import EventLoop, Progress
from foxtrot.server.backtest.settings import BacktestSettings, LoadedSeries, StrategySpec
from foxtrot.server.backtest.world import BacktestWorld
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel
from foxtrot.strategy.strategy import Strategy

if TYPE_CHECKING:
    import pandas as pd

    from foxtrot.data.catalog import Catalog

    Data = str | Path | pd.DataFrame | BarColumns | TickColumns | Catalog

__all__ = ["BacktestEngine"]


class BacktestEngine(BaseEngine):
    """Runs strategies on data of the past.

    Args:
        main_engine: the owner; its OMS and adapters are never touched.
        event_engine: the owner's dispatcher.

    Attributes:
        result: what the last run produced.
        statistics: what ``calculate_statistics`` last returned.
    """

    def __init__(self, main_engine: EngineOwner, event_engine: EventEngine) -> None:
        super().__init__(main_engine, event_engine, "backtest")
        self.settings = BacktestSettings()
        self.series: list[LoadedSeries] = []
        self.specs: list[StrategySpec] = []
        self.world: BacktestWorld | None = None
        self.result: BacktestResult | None = None
        self.statistics: Statistics | None = None
        self._logger = logging.getLogger("foxtrot.backtest")

    # --- what to run ----------------------------------------------------------------------------------------

    def configure(
        self,
        account: AccountSettings | None = None,
        model: ExecutionModel | None = None,
        warmup_until: int | None = None,
    ) -> None:
        """Set the account, the conventions of execution, or the end of the warm-up (ns UTC); None leaves each."""
        if account is not None:
            self.settings.account = account
        if model is not None:
            self.settings.model = model
        if warmup_until is not None:
            self.settings.warmup_until = warmup_until

    def set_strategy(
        self,
        strategy_class: type[Strategy],
        strategy_setting: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        vt_symbols: str | Sequence[str] = (),
    ) -> None:
        """Run this strategy, and no other that was set before; ``add_strategy`` adds further ones.

        Args:
            strategy_class: the strategy.
            strategy_setting: parameter values by name.
            name: unique; the class name in snake case by default.
            vt_symbols: what it trades; everything that was loaded by default.
        """
        self.specs = []
        self.add_strategy(strategy_class, strategy_setting, name=name, vt_symbols=vt_symbols)

    def add_strategy(
        self,
        strategy_class: type[Strategy],
        strategy_setting: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        vt_symbols: str | Sequence[str] = (),
    ) -> None:
        """Run this strategy too.

        Raises:
            ConfigError: the name is taken.
        """
        name = name or _snake(strategy_class.__name__)
        if any(spec.name == name for spec in self.specs):
            raise ConfigError(f"there is a strategy named {name!r} already; give this one name=")
        symbols = (vt_symbols,) if isinstance(vt_symbols, str) else tuple(vt_symbols)
        self.specs.append(StrategySpec(strategy_class, name, dict(strategy_setting or {}), symbols))

    def load_data(
        self,
        data: Data,
        start_date: Any = None,
        end_date: Any = None,
        *,
        vt_symbol: str = "",
        contract: ContractData | None = None,
        **options: Any,
    ) -> LoadedSeries:
        """Load one instrument's bars or quotes; call it again for further instruments.

        Args:
            data: path of a CSV or Parquet file, a DataFrame, columns, or a catalog.
            start_date: first moment wanted; None for all.
            end_date: last day wanted (a bare date includes that day), or the first moment not wanted.
            vt_symbol: the instrument; the file's name at LOCAL by default.
            contract: what the instrument is; by default units of 1, size 1, any price, in the account's currency.
            **options: of ``foxtrot.data.load``: interval, stamp, tz, columns, fix, adjust, ...

        Returns:
            The series with what was assumed while loading.

        Raises:
            DataError: the data cannot be used as it is; names file, row, column and the fix.
            ConfigError: the contract is another instrument's, or there are bars (or quotes) of this one already.
        """
        if contract is not None:
            vt_symbol = vt_symbol or contract.vt_symbol
            if contract.vt_symbol != vt_symbol:
                raise ConfigError(f"the contract is {contract.vt_symbol}, the data {vt_symbol}")
        series, assumptions = _load(data, vt_symbol, start_date, end_date, options)
        if not len(series):
            raise DataError(
                f"{series.vt_symbol}: no data between {start_date or 'the begin'} and {end_date or 'the end'}"
            )
        split_vt_symbol(series.vt_symbol)
        self._refuse_second(series)
        account = self.settings.account
        contract = contract or ContractData(series.vt_symbol, currency=account.currency)
        loaded = LoadedSeries(series, contract, assumptions)
        self.series.append(loaded)
        return loaded

    def _refuse_second(self, series: Series) -> None:
        """An instrument has one series of bars and one of quotes: a second would fill the same orders once more.

        Raises:
            ConfigError: there is such a series.
        """
        for known in (loaded.series for loaded in self.series):
            if known.vt_symbol == series.vt_symbol and known.is_bars is series.is_bars:
                raise ConfigError(
                    f"data of {series.vt_symbol} is loaded already; clear_data() forgets it, larger bars come from "
                    "the strategy's resample(), and several files must be joined before they are loaded"
                )

    def clear_data(self) -> None:
        """Forget all loaded data."""
        self.series = []

    # --- the run --------------------------------------------------------------------------------------------

    def run_backtest(self, progress: Progress | None = None) -> BacktestResult:
        """Run everything from the first event to the last.

        Args:
            progress: called after each block of rows with rows done, rows in all, and the clock's time (ns).

        Raises:
            ConfigError: no data or no strategy was given.
            StrategyError: a strategy raised; says on which bar and when, with its traceback chained.
        """
        if not self.series:
            raise ConfigError("there is no data to run on; call load_data first")
        if not self.specs:
            raise ConfigError("there is no strategy to run; call set_strategy first")
        self.result = self.statistics = None
        began = time.perf_counter()
        world = BacktestWorld(self.settings, self._contracted(), self.specs)
        self.world = world
        with _tuned_collector():
            self._run(world, progress or _no_progress)
        world.finish()
        world.check_accounts()
        self.result = self._collect(world, time.perf_counter() - began)
        return self.result

    def _contracted(self) -> list[LoadedSeries]:
        """The series with contracts that name the venue."""
        name = self.settings.adapter_name
        return [LoadedSeries(s.series, _at(s.contract, name), s.assumptions) for s in self.series]

    def _run(self, world: BacktestWorld, progress: Progress) -> None:
        series = [loaded.series for loaded in self.series]
        early: list[Series] = []
        late: list[Series] = series
        if self.settings.warmup_until:
            stages = [one.split(self.settings.warmup_until) for one in series]
            early, late = [before for before, _ in stages], [after for _, after in stages]
        warming = any(len(one) for one in early)
        world.start(warming=warming)
        loop = EventLoop(world.event_engine, world.adapter.exchange, world.sources)
        total = sum(len(one) for one in series)
        done = 0
        for stage in (early, late):
            if stage is late and warming:
                world.begin_trading()
            for block in blocks(stage):
                world.recorder.add(block)
                loop.run(block)
                done += block.rows
                progress(done, total, world.clock.ns)

    def _collect(self, world: BacktestWorld, seconds: float) -> BacktestResult:
        account = self.settings.account
        prices = tuple(world.recorder.prices(number) for number in range(len(self.series)))
        trades = tuple(world.oms.get_all_trades())
        books = world.adapter.exchange.books
        instruments = {vt_symbol: book.instrument for vt_symbol, book in books.items()}
        curve = equity_curve(prices, trades, instruments, account.capital)
        kept = slice(_warm_points(curve.ts, self.series, self.settings.warmup_until), None)
        return BacktestResult(
            orders=tuple(world.oms.get_all_orders()),
            trades=trades,
            ts=curve.ts[kept],
            equity=curve.equity[kept],
            exposure=curve.exposure[kept],
            gross=curve.gross[kept],
            prices=prices,
            contracts={vt_symbol: book.instrument.contract for vt_symbol, book in books.items()},
            capital=account.capital,
            currency=account.currency,
            strategies={
                host.name: {"class": type(host.strategy).__name__, **host.strategy.parameters}
                for host in world.hosts
            },
            conventions=self._conventions(world),
            digest=world.log.sha256,
            events=sum(len(loaded.series) for loaded in self.series),
            run_seconds=seconds,
            first_decision=_first_decision(world, prices[0], self.settings.warmup_until),
        )

    def _conventions(self, world: BacktestWorld) -> dict[str, str]:
        account = self.settings.account
        told = {
            "Account": f"{account.capital:,.2f} {account.currency}, counted to {account.digits} decimal places"
        }
        told.update(self.settings.model.describe())
        if self.settings.warmup_until:
            end = ns_to_datetime(self.settings.warmup_until)
            told["Warm-up"] = (
                f"until {end:%Y-%m-%d %H:%M} UTC: indicators only; equity and statistics begin there"
            )
        for loaded in self.series:
            for number, assumption in enumerate(loaded.assumptions, 1):
                told[f"Data {loaded.series.vt_symbol} ({number})"] = assumption
        for number, marks in world.recorder.marks.items():
            series = self.series[number].series
            if marks.bucket > (0 if series.is_bars else NS_PER_MINUTE):
                told[f"Marks {series.vt_symbol} {'bars' if series.is_bars else 'quotes'}"] = (
                    f"prices and equity keep one point {marks.unit}, since the history is long; orders and fills "
                    "are made on every row"
                )
        return told

    # --- the outcome ----------------------------------------------------------------------------------------

    def calculate_statistics(self, convention: str = "foxtrot", **options: Any) -> Statistics:
        """Statistics of the last run; ``.to_frame()`` gives them as a DataFrame.

        Args:
            convention: whose definitions; see ``foxtrot.analysis``.
            **options: risk-free rate, annualisation days, ...

        Raises:
            ConfigError: nothing has been run.
        """
        if self.result is None:
            raise ConfigError("there is nothing to calculate; call run_backtest first")
        self.statistics = calculate_statistics(self.result, convention, **options)
        return self.statistics


def _load(
    data: Any, vt_symbol: str, start: Any, end: Any, options: dict[str, Any]
) -> tuple[Series, tuple[str, ...]]:
    """A series from whatever was given, and what was assumed on the way."""
    from foxtrot.data.catalog import Catalog
    from foxtrot.data.importers import load
    from foxtrot.data.spans import find_bounds

    if isinstance(data, Catalog | BarColumns | TickColumns):
        low, high, notes = find_bounds(start, end, dt.UTC, by_day=False)
        if isinstance(data, Catalog):
            interval = options.get("interval") or Interval.DAILY
            return CatalogSeries(data, vt_symbol, interval, low, high), notes
        return data.between(low, high), notes
    if not vt_symbol:
        vt_symbol = _symbol_of(data)
    loaded = load(data, vt_symbol, start=start, end=end, **options)
    fixed = (issue.message for issue in loaded.issues if issue.code.startswith("fixed_"))
    return loaded.columns, (*loaded.assumptions, *fixed)


def _symbol_of(data: Any) -> str:
    """A file's name as an instrument at LOCAL."""
    if isinstance(data, str | Path):
        stem = Path(data).name.partition(".")[0]
        return f"{re.sub(r'[^A-Za-z0-9_-]', '_', stem).upper()}.LOCAL"
    raise ConfigError("say which instrument the data is of: vt_symbol='AAPL.NASDAQ'")


def _at(contract: ContractData, adapter_name: str) -> ContractData:
    return replace(contract, adapter_name=adapter_name)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _warm_points(ts: IntArray, series: Sequence[LoadedSeries], split: int) -> int:
    """Number of points of the equity curve that belong to the warm-up; nothing could be traded before its end."""
    side: Literal["left", "right"] = (
        "right" if any(item.series.is_bars for item in series) else "left"
    )
    return int(np.searchsorted(ts, split, side=side)) if split else 0


def _first_decision(world: BacktestWorld, prices: PriceSeries, warmup_until: int) -> int:
    """Index of the first series' first price at which every declared indicator had a value, after the warm-up."""
    ready = warmup_until
    for host in world.hosts:
        for handler in host.handlers.values():
            ready = max(ready, handler.ready_ts)
    found = int(np.searchsorted(prices.ts_event, ready, side="left"))
    return min(found, max(0, len(prices) - 1))


def _no_progress(_done: int, _total: int, _ts: int) -> None:
    """Nobody watches."""


@contextmanager
def _tuned_collector() -> Iterator[None]:
    """Let the garbage collector look at new objects rarely and at old ones never while the loop runs.

    Messages hold no cycles (``gc=False``), so there is little to find and much to walk through.
    """
    threshold = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
