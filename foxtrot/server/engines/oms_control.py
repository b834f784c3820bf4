"""The kill switch of the OMS: halts of trading, durable, and in force before the next order is judged."""

from __future__ import annotations

from foxtrot.server.engines.oms_reconcile import OmsReconcile
from foxtrot.server.journal.facts import Halted, Resumed, control_key


class OmsControl(OmsReconcile):
    """Part of ``OmsEngine``; call these on the event engine's thread (``EventEngine.call``)."""

    def halt_trading(self, reason: str, strategy: str = "", *, closing: bool = False) -> None:
        """Stop new orders of one strategy, or (empty) of all; it is durable when this returns.

        Args:
            reason: why, for those whose orders are denied.
            strategy: whose orders; empty for everybody's.
            closing: whether orders that only reduce a position still pass.

        Raises:
            OmsError: it is in force, but could not be saved.
        """
        self.load_state()
        halt = self.gate.halt(reason, self.clock.now(), strategy, closing=closing)
        fact = Halted(reason, halt.ts, strategy, closing)
        self.step.note(str(control_key(fact)), fact, "control", fact)
        self._log(f"trading is halted{_whose(strategy)}: {reason}", 40)
        self.flush()

    def resume_trading(self, reason: str, strategy: str = "") -> bool:
        """End a halt of the same strategy, or of all; False where there was none.

        Raises:
            OmsError: it could not be saved; the OMS is stalled, and halts are as the disk has them afterwards.
        """
        self.load_state()
        if self.gate.resume(strategy) is None:
            return False
        fact = Resumed(reason, self.clock.now(), strategy)
        self.step.note(str(control_key(fact)), fact, "control", fact)
        self._log(f"trading goes on{_whose(strategy)}: {reason}", 30)
        self.flush()
        return True


def _whose(strategy: str) -> str:
    return f" for strategy {strategy}" if strategy else ""
