"""Composition: settings in, wired and running parts out. What ``services/`` and the command line both call."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foxtrot.app.backtest import BacktestOutcome, run_backtest_job
    from foxtrot.app.settings import BacktestJob, load_job

_HOMES = {
    "BacktestJob": "settings",
    "BacktestOutcome": "backtest",
    "load_job": "settings",
    "run_backtest_job": "backtest",
}

__all__ = ["BacktestJob", "BacktestOutcome", "load_job", "run_backtest_job"]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
