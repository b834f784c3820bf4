"""What a backtest is told besides its data and strategies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from foxtrot.core.objects import ContractData
from foxtrot.data.columns import Columns, join_columns
from foxtrot.data.series import Series
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel
from foxtrot.strategy.strategy import Strategy


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A strategy to run: class, unique name, settings, and what it trades (empty: everything that was loaded)."""

    strategy_class: type[Strategy]
    name: str
    setting: Mapping[str, Any]
    vt_symbols: tuple[str, ...] = ()


@dataclass(slots=True)
class BacktestSettings:
    """Account, conventions of execution, and the warm-up.

    Attributes:
        account: opening balance and currency.
        model: conventions of execution.
        warmup_until: what is known at this moment (ns UTC: bars that closed by then, quotes before it) only feeds
            indicators; 0 for none.
        adapter_name: name of the simulated venue, first part of all ids.
    """

    account: AccountSettings = field(default_factory=AccountSettings)
    model: ExecutionModel = field(default_factory=ExecutionModel)
    warmup_until: int = 0
    adapter_name: str = "SIM"


@dataclass(frozen=True, slots=True)
class LoadedSeries:
    """One series to run on, its contract, and what was assumed when it was loaded."""

    series: Series
    contract: ContractData
    assumptions: tuple[str, ...] = ()

    @property
    def columns(self) -> Columns:
        """All rows as columns; those of a catalog are read into memory for it, anew each time."""
        if isinstance(self.series, Columns):
            return self.series
        return join_columns(list(self.series.chunks()))
