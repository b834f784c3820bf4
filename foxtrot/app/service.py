"""The backtest as a service: the same job as ``foxtrot backtest``, logged as JSON lines for a supervisor.

Exit codes are those of ``foxtrot.app.failures``.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from foxtrot.app.backtest import BacktestOutcome, run_backtest_job
from foxtrot.app.failures import exit_code
from foxtrot.app.settings import load_job
from foxtrot.core.log import configure_logging, shutdown

__all__ = ["run_backtest_service"]

_FIGURES = ("total_return", "sharpe", "max_drawdown", "trades", "commissions")


def run_backtest_service(arguments: Sequence[str]) -> int:
    """Run the job of a settings file and return the exit code of the process.

    Args:
        arguments: of the command line, without the program's name.
    """
    given = _parser().parse_args(arguments)
    configure_logging(given.log_level, style="json")
    try:
        return _run(given.config, given.name)
    finally:
        shutdown()


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="services.backtest", description="Run a backtest and log it as JSON lines."
    )
    parser.add_argument("--config", type=Path, required=True, help="settings file (TOML)")
    parser.add_argument("--name", default="backtest", help="name of the process in the log")
    parser.add_argument("--log-level", default="INFO", help="lowest level that is logged")
    return parser
