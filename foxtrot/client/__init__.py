"""Strategies away from the OMS: the runner that hosts them in a process of their own.

Names are loaded when they are first used; importing this package loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foxtrot.client.runner import StrategyRunner
    from foxtrot.client.runner_plan import ServiceFrame, StrategyPlan
    from foxtrot.client.runner_store import RunnerStore

__all__ = ["RunnerStore", "ServiceFrame", "StrategyPlan", "StrategyRunner"]

_HOME_OF = {
    "RunnerStore": "foxtrot.client.runner_store",
    "ServiceFrame": "foxtrot.client.runner_plan",
    "StrategyPlan": "foxtrot.client.runner_plan",
    "StrategyRunner": "foxtrot.client.runner",
}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
