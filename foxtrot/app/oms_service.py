"""The OMS as a process: the database and its only owner, answers, reports, risk limits, backups.

READY once the state is loaded and every adapter of the installation has said how its account stands; until then orders
to those that have not are denied. Exit codes are those of ``foxtrot.app.failures``; 75 where another process holds the
database.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foxtrot.app.failures import exit_code
from foxtrot.app.installation import OMS, Installation, load_installation
from foxtrot.app.oms_files import backup_folder
from foxtrot.app.process import DEGRADED, HALTED, READY, STARTING, ServiceProcess
from foxtrot.bus.codec import Envelope
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.events import EVENT_BAR, EVENT_TICK
from foxtrot.core.log import configure_logging, shutdown
from foxtrot.core.market import MarketView
from foxtrot.core.objects import TimerData
from foxtrot.server.background_check import BackgroundCheck
from foxtrot.server.backup import BackupReport
from foxtrot.server.backup_schedule import BackupSchedule
from foxtrot.server.bridge.oms_bridge import OmsBridge, RemoteOwner
from foxtrot.server.engines.oms_engine import OmsEngine
from foxtrot.server.journal import JournalReport
from foxtrot.server.oms.reconcile_types import ReconcilePolicy
from foxtrot.server.oms.risk import RiskManager, StrategyPositions
from foxtrot.server.persistence_query import PageQuery, each
from foxtrot.server.persistence_sqlite import SqlitePersistence

__all__ = ["OmsService", "run_oms_service"]

_CARE_NS = NS_PER_SECOND // 20
"""Between two looks at backups and the background check."""

logger = logging.getLogger("foxtrot.service.oms")


class OmsService:
    """The parts of the OMS's process.

    Args:
        process: its frame.
        installation: what it is told.
    """

    def __init__(self, process: ServiceProcess, installation: Installation) -> None:
        self.process = process
        self.installation = installation
        settings = installation.oms
        self.store = SqlitePersistence(installation.database, lock_timeout=settings.lock_timeout)
        self.store.connect()
        self.owner = RemoteOwner()
        self.market = MarketView()
        held = StrategyPositions()
        self.risk = RiskManager(installation.risk, held)
        self.oms = OmsEngine(
            self.owner,
            process.event_engine,
            self.store,
            market=self.market,
            risk=self.risk,
            held=held,
            digits=dict(settings.digits),
            policy=ReconcilePolicy(
                grace=max(1, int(settings.grace * NS_PER_SECOND)), digits=settings.digits
            ),
            reconcile_interval=int(settings.reconcile_interval * NS_PER_SECOND),
        )
        self.owner.oms = self.oms
        self.bridge = OmsBridge(
            self.oms, self.owner, self.store, process.server, process.publisher, process.client
        )
        self.backups = BackupSchedule(
            self.store,
            backup_folder(installation.database),
            int(settings.backup_every * NS_PER_SECOND) or 1,
            settings.backups,
            on_done=_backed_up,
            on_failed=_not_backed_up,
        )
        self.check = BackgroundCheck(self.store, self._on_break)
        process.details = self._details
        process.counters = self.bridge.counters
        process.at_end("the OMS", self.close)

    def start(self) -> None:
        """Load the state, restore the windows of risk, open the ways to adapters and answer."""
        strategies = [s.name for runner in self.installation.runners for s in runner.strategies]
        adapters = [(adapter.name, adapter.service) for adapter in self.installation.adapters]
        if self.installation.paced:
            self.bridge.hold_commands(self.process.io_clock)
        self.bridge.start(adapters, strategies)
        now = self.process.clock.now()
        if self.risk.window:
            recent = PageQuery(start=max(0, now - self.risk.window), limit=1_000)
            self.risk.restore(each(self.oms.orders_page, recent))
        prices = self.process.subscriber(
            [service for _, service in adapters],
            self._on_price,
            conflate=(EVENT_TICK, EVENT_BAR),
            durable=(),
        )
        prices.subscribe(EVENT_TICK)
        prices.subscribe(EVENT_BAR)
        self.process.io_clock.set_interval("oms.care", _CARE_NS, self._on_care)
        self._tell_state()

    def close(self) -> None:
        """End in order: what is open is committed, copies that are not finished are dropped."""
        self.process.io_clock.cancel_timer("oms.care")
        self.backups.close()
        self.oms.close()

    def _on_price(self, _topic: str, envelope: Envelope[Any]) -> None:
        self.market.update(envelope.message, self.process.clock.now())

    def _on_care(self, _timer: TimerData) -> None:
        """What is done between batches of work: copies, the check of old history, and what to say of ourselves."""
        if not self.oms.halted and not self.oms.stalled:
            if self.installation.oms.backup_every:
                self.backups.poll(self.process.io_clock.now())
            self.check.poll()
        self._tell_state()

    def _tell_state(self) -> None:
        oms, process = self.oms, self.process
        halt = oms.gate.halts.get("")
        if oms.halted or oms.stalled:
            process.set_state(HALTED, oms.halted or oms.stalled)
        elif oms.awaiting:
            names = ", ".join(sorted(oms.awaiting))
            state = STARTING if process.state == STARTING else DEGRADED
            process.set_state(state, f"waiting for the accounts of {names}")
        elif halt is not None:
            process.set_state(READY, f"trading is halted: {halt.reason}")
        else:
            process.ready()

    def _details(self) -> dict[str, str]:
        gate = self.oms.gate
        told = {f"halt {name or 'all'}": halt.reason for name, halt in gate.halts.items()}
        told |= {
            f"block {' '.join(part for part in block if part)}": reason
            for block, reason in ((_fields(block), why) for block, why in gate.blocks.items())
        }
        told["database"] = str(self.store.path)
        return told

    def _on_break(self, report: JournalReport) -> None:
        """Old history is damaged: stop trading for good, and say how to mend it."""
        error = (
            f"the journal is broken at row {report.broken_seq}: {report.detail}; restore the newest backup: "
            f"foxtrot oms restore <backup> --database {self.store.path}"
        )
        self.oms.halt_for_good("the check of old history", error)


def _fields(block: Any) -> tuple[str, str, str]:
    return block.adapter, block.vt_symbol, block.strategy


def _backed_up(report: BackupReport) -> None:
    logger.info("backup: %s", report.path)


def _not_backed_up(error: Exception) -> None:
    logger.error("the backup failed and is tried again: %s", error)


def run_oms_service(arguments: Sequence[str]) -> int:
    """Run the OMS and return the exit code of the process.

    Args:
        arguments: of the command line, without the program's name.
    """
    parser = argparse.ArgumentParser(prog="services.oms", description="Run the OMS.")
    parser.add_argument("--config", type=Path, required=True, help="installation (TOML)")
    parser.add_argument("--name", default=OMS, help="name of the service")
    parser.add_argument("--log-level", default="INFO", help="lowest level that is logged")
    given = parser.parse_args(arguments)
    configure_logging(given.log_level, target=sys.stdout)
    try:
        installation = load_installation(given.config)
        process = ServiceProcess(installation, given.name, "oms")
        return process.run(lambda: OmsService(process, installation).start())
    except Exception as error:
        code = exit_code(error)
        logger.exception("failed: %s", error, extra={"exit_code": code})
        return code
    finally:
        shutdown()
