"""The outcome of a backtest that ran elsewhere, made again from what its service tells.

Invariant: it has what a summary shows (names, statistics, curve, digest, files); orders, fills and prices stay in the
files, and the curve may be thinned out.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from foxtrot.app.backtest import BacktestOutcome
from foxtrot.bus.messages import BacktestOutput
from foxtrot.core.errors import BusError

__all__ = ["recall"]


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """What ``statistics.json`` holds."""

    name: str
    strategies: dict[str, dict[str, Any]]
    instruments: list[str]
    events: int
    run_seconds: float
    log_sha256: str
    conventions: dict[str, str]
    statistics: dict[str, Any]
    notes: list[str] = []


def recall(output: BacktestOutput) -> BacktestOutcome:
    """The outcome that a service tells of.

    Raises:
        BusError: what it says cannot be read.
    """
    import numpy as np

    from foxtrot.analysis.record import Statistics
    from foxtrot.analysis.result import BacktestResult, PriceSeries

    try:
        told = msgspec.json.decode(output.document, type=_Document)
        hints = get_type_hints(Statistics)
        figures = {
            field.name: _figure(told.statistics[field.name], str(hints[field.name]))
            for field in dataclasses.fields(Statistics)
        }
    except (KeyError, ValueError) as error:
        raise BusError(f"the result of job {output.id} cannot be read here: {error!r}") from None
    statistics = Statistics(**figures)
    times, prices = np.empty(0, np.int64), np.empty(0)
    result = BacktestResult(
        orders=(),
        trades=(),
        ts=np.array(output.ts, np.int64),
        equity=np.array(output.equity),
        exposure=None,
        gross=None,
        prices=tuple(
            PriceSeries(name, times, times, prices, prices, prices, prices, prices)
            for name in told.instruments
        ),
        contracts={},
        capital=statistics.capital,
        currency=statistics.currency,
        strategies=told.strategies,
        conventions=told.conventions,
        digest=lambda: told.log_sha256,
        events=told.events,
        run_seconds=told.run_seconds,
    )
    folder = Path(output.folder)
    files = tuple(folder / name for name in output.files)
    return BacktestOutcome(told.name, result, statistics, folder, files, tuple(told.notes))


def _figure(value: Any, kind: str) -> Any:
    """One figure back from its JSON form; see ``Statistics.to_dict``."""
    if "timedelta" in kind:
        return None if value is None else dt.timedelta(seconds=value)
    if "datetime.datetime" in kind:
        return None if value is None else dt.datetime.fromisoformat(value)
    if "float" in kind:
        return math.nan if value is None else float(value)
    return value
