"""The backtest as a process: one job for a supervisor, or a service that takes jobs by request.

Told a settings file of a backtest, it runs that job once, logged as JSON lines. Told an installation, or ``--serve``,
it is the backtest service (``foxtrot.app.backtest_service``) until it is stopped. Exit codes are those of
``foxtrot.app.failures``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from foxtrot.app.backtest import BacktestOutcome, run_backtest_job
from foxtrot.app.failures import exit_code
from foxtrot.app.settings import load_job
from foxtrot.core.log import configure_logging, shutdown

__all__ = ["run_backtest_service"]

_FIGURES = ("total_return", "sharpe", "max_drawdown", "trades", "commissions")
_OF_INSTALLATIONS = frozenset({"run", "adapters", "runners", "oms", "risk", "recorder", "watch"})


def run_backtest_service(arguments: Sequence[str]) -> int:
    """Run the job of a settings file, or serve; return the exit code of the process.

    Args:
        arguments: of the command line, without the program's name.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.config is None and given.run is None:
        parser.error("the following arguments are required: --config, or --serve with --run")
    serves = given.serve or given.run is not None or _is_installation(given.config)
    if serves:
        configure_logging(given.log_level, target=sys.stdout)
    else:
        configure_logging(given.log_level, style="json")
    try:
        return _serve(given) if serves else _run(given.config, given.name)
    finally:
        shutdown()


def _is_installation(path: Path) -> bool:
    """Whether a file describes an installation; one that cannot be read is told as a job's."""
    try:
        return bool(_OF_INSTALLATIONS & tomllib.loads(path.read_text(encoding="utf-8")).keys())
    except (OSError, ValueError):
        return False


def _serve(given: argparse.Namespace) -> int:
    from foxtrot.app.backtest_service import BacktestService
    from foxtrot.app.installation import Installation, load_installation
    from foxtrot.app.process import ServiceProcess

    try:
        if given.run is None:
            installation = load_installation(given.config)
        else:
            installation = Installation(run=given.run.expanduser().absolute(), adapters=())
        process = ServiceProcess(installation, given.name, "backtest")
        return process.run(lambda: BacktestService(process, given.slots).start())
    except Exception as error:
        code = exit_code(error)
        logging.getLogger(f"foxtrot.service.{given.name}").exception(
            "failed: %s", error, extra={"exit_code": code}
        )
        return code


def _run(config: Path, name: str) -> int:
    logger = logging.getLogger(f"foxtrot.service.{name}")
    logger.info("starts", extra={"config": str(config)})
    try:
        job = load_job(config)
        outcome = run_backtest_job(job, stage=lambda text: logger.info("%s", text))
    except Exception as error:
        code = exit_code(error)
        logger.exception("failed: %s", error, extra={"exit_code": code})
        return code
    _log(logger, outcome)
    return 0


def _log(logger: logging.Logger, outcome: BacktestOutcome) -> None:
    figures = outcome.statistics.to_dict()
    logger.info(
        "done",
        extra={
            "job": outcome.name,
            "folder": str(outcome.folder),
            "files": [file.name for file in outcome.files],
            "events": outcome.result.events,
            "run_seconds": outcome.result.run_seconds,
            "log_sha256": outcome.result.log_sha256,
            **{key: figures[key] for key in _FIGURES},
        },
    )


def _slots(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= 64):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 64")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="services.backtest",
        description="Run a backtest and log it as JSON lines, or take backtests by request.",
    )
    parser.add_argument("--config", type=Path, help="settings of a job, or an installation (TOML)")
    parser.add_argument("--name", default="backtest", help="name of the process")
    parser.add_argument("--serve", action="store_true", help="take jobs by request until stopped")
    parser.add_argument("--run", type=Path, help="run folder to serve in, without an installation")
    parser.add_argument("--slots", type=_slots, default=1, help="jobs at once, 1 to 64")
    parser.add_argument("--log-level", default="INFO", help="lowest level that is logged")
    return parser
