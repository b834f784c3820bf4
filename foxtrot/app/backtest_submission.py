"""What is checked of a backtest that is submitted, before anything of it runs.

Invariant: no strategy is imported and no prices are read here; what only they can tell fails the job later.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from foxtrot.app.backtest_jobs import JobRecord
from foxtrot.app.backtest_worker import DEFAULT_WIRING, WIRINGS
from foxtrot.app.job_text import job_from_text
from foxtrot.bus.messages import BacktestSubmit
from foxtrot.bus.rpc_methods import Incoming
from foxtrot.core.errors import ConfigError

__all__ = ["MOST_CONFIG", "minted_id", "record_of"]

MOST_CONFIG = 256 << 10
"""Characters of a job's settings."""


def minted_id(request: Incoming) -> str:
    """An id for a job that came without one: the same whenever that very request comes again."""
    return "bt-" + hashlib.sha256(f"{request.source}\n{request.id}".encode()).hexdigest()[:16]


def record_of(id_: str, asked: BacktestSubmit, now: int) -> JobRecord:
    """The record of a new job.

    Args:
        id_: the job's.
        asked: what was submitted.
        now: ns UTC.

    Raises:
        ConfigError: something in it is wrong.
    """
    wiring, folder = asked.wiring or DEFAULT_WIRING, Path(asked.folder)
    if wiring not in WIRINGS:
        raise ConfigError(f"wiring {wiring!r} is not known; use one of: {', '.join(WIRINGS)}")
    if len(asked.config) > MOST_CONFIG:
        raise ConfigError(f"settings of more than {MOST_CONFIG:,} characters are not taken")
    if "\0" in asked.folder or not folder.is_absolute() or not folder.is_dir():
        raise ConfigError(
            f"folder {asked.folder!r} must be an absolute one that is there, on the service's machine"
        )
    job = job_from_text(asked.config, folder, asked.name)
    if not job.strategy or not job.data:
        raise ConfigError("the job's settings need a [[strategy]] and a [[data]] table")
    return JobRecord(
        id=id_,
        number=0,
        config=asked.config,
        folder=asked.folder,
        wiring=wiring,
        name=job.name or "backtest",
        output=str(job.folder),
        created=now,
    )
