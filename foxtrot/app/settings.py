"""The typed settings of a backtest, as a TOML file holds them; ``docs/reference/cli.md`` lists every key.

Invariants:

* What a file says is checked wholly before anything runs; an error names file, line, key and the nearest known name.
* Paths in a file are relative to that file: of data, of the output folder, and of strategies in ``.py`` files.
* Loading a file imports neither numpy nor pandas, and no strategy.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from foxtrot.accounting.ledger import DEFAULT_DIGITS
from foxtrot.core.config import load_config, nearest, resolve_path
from foxtrot.core.constants import Interval, Product
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import ContractData, split_vt_symbol
from foxtrot.core.toml_keys import parse_override
from foxtrot.data.samples import SAMPLE_SYMBOLS
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import (
    ExecutionModel,
    FeeModel,
    Finalize,
    GapFill,
    IntrabarPath,
    LimitFill,
    MarketFill,
    SlippageModel,
)

__all__ = [
    "Account",
    "BacktestJob",
    "Contract",
    "DataSource",
    "Execution",
    "Fees",
    "Output",
    "Slippage",
    "StatisticsOptions",
    "StrategySettings",
    "check_name",
    "load_job",
    "resolve_strategy",
    "set_parameters",
]

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, le=1)]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


class Account(Struct, frozen=True):
    """The simulated account: opening balance in ``currency``, counted to ``digits`` decimal places."""

    capital: Positive = 100_000.0
    currency: Annotated[str, Meta(min_length=1)] = "USD"
    digits: Annotated[int, Meta(ge=0, le=12)] = DEFAULT_DIGITS

    def build(self) -> AccountSettings:
        """The engine's own form."""
        return AccountSettings(self.capital, self.currency, self.digits)


class Fees(Struct, frozen=True):
    """Commission of one fill; see ``foxtrot.simulation.models.FeeModel``."""

    rate: NotNegative = 0.0
    per_unit: NotNegative = 0.0
    per_trade: NotNegative = 0.0
    minimum: NotNegative = 0.0
    maker_rate: float | None = None
    taker_rate: float | None = None


class Slippage(Struct, frozen=True):
    """How much worse than the quoted price a taking fill is; see ``foxtrot.simulation.models.SlippageModel``."""

    ticks: NotNegative = 0.0
    rate: Annotated[float, Meta(ge=0, lt=1)] = 0.0


class Execution(Struct, frozen=True):
    """The conventions of the simulated exchange; see ``foxtrot.simulation.models.ExecutionModel``."""

    market_fill: MarketFill = MarketFill.NEXT_OPEN
    intrabar_path: IntrabarPath = IntrabarPath.NEAREST
    limit_fill: LimitFill = LimitFill.TOUCH
    gap_fill: GapFill = GapFill.OPEN
    volume_share: Share | None = None
    leverage: Positive = 1.0
    finalize: Finalize = Finalize.NONE
    fees: Fees = Fees()
    slippage: Slippage = Slippage()

    def build(self) -> ExecutionModel:
        """The engine's own form."""
        fees, slip = self.fees, self.slippage
        return ExecutionModel(
            market_fill=self.market_fill,
            intrabar_path=self.intrabar_path,
            limit_fill=self.limit_fill,
            gap_fill=self.gap_fill,
            volume_share=self.volume_share,
            fees=FeeModel(
                fees.rate,
                fees.per_unit,
                fees.per_trade,
                fees.minimum,
                fees.maker_rate,
                fees.taker_rate,
            ),
            slippage=SlippageModel(slip.ticks, slip.rate),
            leverage=self.leverage,
            finalize=self.finalize,
        )


class Contract(Struct, frozen=True):
    """What an instrument is: the fields of ``ContractData`` that matter to a backtest."""

    name: str = ""
    product: Product = Product.EQUITY
    size: Positive = 1.0
    pricetick: NotNegative = 0.0
    min_volume: Positive = 1.0
    max_volume: NotNegative = 0.0
    margin_rate_long: NotNegative = 0.0
    margin_rate_short: NotNegative = 0.0

    def build(self, vt_symbol: str, currency: str) -> ContractData:
        """The contract as the engine knows it, in the account's currency."""
        return ContractData(
            vt_symbol,
            name=self.name,
            product=self.product,
            size=self.size,
            pricetick=self.pricetick,
            min_volume=self.min_volume,
            max_volume=self.max_volume,
            currency=currency,
            margin_rate_long=self.margin_rate_long,
            margin_rate_short=self.margin_rate_short,
        )


class DataSource(Struct, frozen=True, kw_only=True):
    """One instrument's bars or quotes: a file or a sample, and how it is read (as by ``foxtrot.data.load``).

    ``adjusted`` scales prices by the adjusted close; samples are adjusted unless it is false, files only if it is true.
    """

    path: Path | None = None
    sample: str | None = None
    vt_symbol: str = ""
    interval: Interval | None = None
    stamp: Literal["open", "close"] | None = None
    tz: str | None = None
    time_format: str | None = None
    columns: dict[str, str] = {}
    price: Literal["bid", "ask", "mid"] | None = None
    fix: tuple[str, ...] = ()
    adjusted: bool | None = None
    allow_negative: bool = False
    contract: Contract = Contract()

    def __post_init__(self) -> None:
        if (self.path is None) == (self.sample is None):
            raise ValueError("give either path (a file) or sample (such as 'GOOG')")
        if self.vt_symbol:
            split_vt_symbol(self.vt_symbol)
        if self.sample is not None:
            self._check_sample(self.sample)
        elif self.contract != Contract() and not self.vt_symbol:
            raise ValueError("a contract needs vt_symbol, such as 'ES.CME'")

    def _check_sample(self, sample: str) -> None:
        if self.vt_symbol:
            raise ValueError(f"leave vt_symbol out: the sample {sample!r} has its own")
        ticker = sample.upper()
        if ticker not in SAMPLE_SYMBOLS:
            near = nearest(ticker, SAMPLE_SYMBOLS)
            hint = f" (did you mean {near!r}?)" if near else ""
            known = ", ".join(SAMPLE_SYMBOLS)
            raise ValueError(f"there is no sample {sample!r}{hint}; there are: {known}")

    @property
    def instrument(self) -> str:
        """The ``vt_symbol``; empty where the file's name is to tell it."""
        return self.vt_symbol if self.sample is None else SAMPLE_SYMBOLS[self.sample.upper()]


class StrategySettings(Struct, frozen=True, kw_only=True):
    """One strategy: ``package.module:Class`` or ``file.py:Class``, its name, what it trades, its parameters."""

    path: Annotated[str, Meta(min_length=1)]
    name: str = ""
    vt_symbols: tuple[str, ...] = ()
    setting: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.name:
            check_name(self.name)


class StatisticsOptions(Struct, frozen=True, kw_only=True):
    """Whose definitions the statistics follow; see ``foxtrot.analysis.calculate_statistics``.

    ``timezone`` is where days begin; the zone of the first data with a ``tz`` by default, else UTC.
    """

    convention: str = "foxtrot"
    risk_free: float | None = None
    annual_days: Positive | None = None
    timezone: str = ""


class Output(Struct, frozen=True, kw_only=True):
    """What is written and where.

    ``folder`` is ``results/<name>`` under the current folder by default. ``report`` is written where plotly is
    installed by default; true makes it an error where it is not.
    """

    folder: Path | None = None
    report: bool | None = None
    csv: bool = True
    parquet: bool = False


class BacktestJob(Struct, frozen=True, kw_only=True):
    """Everything that one backtest needs.

    ``start`` and ``end`` cut the data (an end without a time of day includes that day); data before ``warmup_until``
    only feeds indicators. Each is a date, a time, or text in ISO 8601.
    """

    name: str = ""
    start: Any = None
    end: Any = None
    warmup_until: Any = None
    account: Account = Account()
    execution: Execution = Execution()
    data: tuple[DataSource, ...] = ()
    strategy: tuple[StrategySettings, ...] = ()
    statistics: StatisticsOptions = StatisticsOptions()
    output: Output = Output()

    def __post_init__(self) -> None:
        if self.name:
            check_name(self.name)
        for key in ("start", "end", "warmup_until"):
            _check_moment(key, getattr(self, key))

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return self.output.folder or Path("results") / (self.name or "backtest")


def load_job(path: str | Path, overrides: Iterable[str] = ()) -> BacktestJob:
    """Read a settings file.

    Args:
        path: the TOML file; its name without suffix is the job's name where it has none.
        overrides: ``key=value`` texts. A dotted key (``account.capital``, ``strategy.0.setting.fast``) or one of the
            file's own top level sets that key; any other bare name is a parameter of the strategy.

    Raises:
        ConfigError: the file cannot be read, or does not fit.
    """
    path = Path(path)
    keys, parameters = split_overrides(overrides)
    job = load_config(path, BacktestJob, keys)
    folder = path.parent
    strategies = tuple(
        replace(item, path=resolve_strategy(item.path, folder)) for item in job.strategy
    )
    name = job.name or re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem) or "backtest"
    return set_parameters(replace(job, strategy=strategies, name=name), parameters)


def split_overrides(overrides: Iterable[str]) -> tuple[list[str], dict[str, Any]]:
    """Tell overrides of the settings' keys from parameters of the strategy, by name.

    Raises:
        ConfigError: one is no ``key=value``.
    """
    keys: list[str] = []
    parameters: dict[str, Any] = {}
    for override in overrides:
        key, value = parse_override(override)
        if len(key) > 1 or key[0] in BacktestJob.__struct_fields__:
            keys.append(override)
        else:
            parameters[key[0]] = value
    return keys, parameters


def set_parameters(job: BacktestJob, parameters: dict[str, Any]) -> BacktestJob:
    """The job with parameters of its one strategy set.

    Raises:
        ConfigError: it has several strategies, or none.
    """
    if not parameters:
        return job
    if len(job.strategy) != 1:
        name = next(iter(parameters))
        near = nearest(name, BacktestJob.__struct_fields__)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise ConfigError(
            f"--set {name}: no such key{hint}, and with {len(job.strategy)} strategies a parameter needs a place: "
            f"strategy.0.setting.{name}=..."
        )
    only = job.strategy[0]
    changed = replace(only, setting={**only.setting, **parameters})
    return replace(job, strategy=(changed,))


def resolve_strategy(path: str, folder: Path) -> str:
    """The path of a strategy with its ``.py`` file, if it has one, relative to ``folder``."""
    if path.endswith(".py"):
        return str(resolve_path(path, folder))
    location, colon, class_name = path.rpartition(":")
    if not location.endswith(".py"):
        return path
    return f"{resolve_path(location, folder)}{colon}{class_name}"


def check_name(name: str) -> str:
    """The name, if it can be that of a strategy, a run and a folder.

    Raises:
        ValueError: it has other characters than letters, digits, ``_`` and ``-``.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r} may only have letters, digits, '_' and '-'")
    return name


def _check_moment(key: str, value: object) -> None:
    if value is None or isinstance(value, dt.date):
        return
    if isinstance(value, str):
        try:
            dt.datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return
    raise ValueError(
        f"{key} {value!r} is no time; write a date as 2013-03-01 or a time as 2013-03-01T09:30:00Z"
    )
