"""The strategy runner as a process: one or many strategies of an installation, each with a file of its own.

READY once every strategy trades, or stands still because it was told to; DEGRADED while one is in ERROR. Exit codes are
those of ``foxtrot.app.failures``; 75 where another process hosts one of the strategies.
"""

from __future__ import annotations

from collections.abc import Sequence

from foxtrot.app.installation import OMS, Installation, RunnerStrategy
from foxtrot.app.process import ServiceProcess
from foxtrot.app.service_command import run_service
from foxtrot.client.runner import StrategyRunner
from foxtrot.client.runner_plan import StrategyPlan
from foxtrot.client.runner_store import RunnerStore
from foxtrot.server.persistence_lock import OwnerLock

__all__ = ["plan_of", "run_strategy_service", "start_runner"]


def plan_of(installation: Installation, strategy: RunnerStrategy) -> StrategyPlan:
    """What a runner is told of a strategy.

    Raises:
        ConfigError: its adapter is not known.
    """
    adapter = installation.adapter(strategy.adapter)
    return StrategyPlan(
        strategy.name,
        strategy.path,
        strategy.vt_symbols,
        adapter.service,
        adapter.name,
        strategy.setting,
        strategy.warmup_bars,
        strategy.on_error,
        strategy.stale,
    )


def start_runner(process: ServiceProcess) -> StrategyRunner:
    """Make the runner of a process, which is named after it, and start it.

    Raises:
        ConfigError: the installation has no runner of that name.
        PersistenceError: a strategy's file cannot be used; ``DatabaseInUseError`` where another process has it.
    """
    installation = process.installation
    folder = installation.folder("state")

    def open_store(plan: StrategyPlan) -> RunnerStore:
        path = folder / f"{plan.name}.db"
        lock = OwnerLock(path.with_name(f"{path.name}.lock"), path)
        return RunnerStore(path, plan.name, process.epoch, lock, installation.oms.lock_timeout)

    settings = installation.runner(process.service)
    plans = [plan_of(installation, strategy) for strategy in settings.strategies]
    runner = StrategyRunner(process, plans, open_store, OMS)
    process.details = runner.details
    runner.start()
    return runner


def run_strategy_service(arguments: Sequence[str]) -> int:
    """Run a strategy runner and return the exit code of the process.

    Args:
        arguments: of the command line, without the program's name.
    """

    def find(installation: Installation, name: str) -> str:
        return installation.runner(name).name

    return run_service("strategy", arguments, start_runner, name="strategies", find=find)
