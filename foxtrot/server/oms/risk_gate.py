"""The kill switch: whether new orders may go out at all, and where they may not.

Invariants: pure; no clock, nothing is stored here. Whoever halts or blocks writes that down first, and tells the gate
again after a restart. Where nothing is closed, asking costs one truth test. Cancels never pass here.

A halt is an operator's or the system's decision and stops every order, unless it lets closing orders pass (to flatten).
A block comes of a reconciliation that could not explain what is held: it stops what could make the unknown larger, so
orders that only reduce a position pass.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from foxtrot.core.keys import ns_to_datetime
from foxtrot.server.oms.reconcile_types import Block
from foxtrot.server.oms.risk_limits import RiskCode


class Halt(Struct, frozen=True):
    """A stop of trading.

    Attributes:
        reason: why.
        ts: since when, ns UTC.
        strategy: whose; empty for all.
        closing: whether orders that only reduce a position still pass.
    """

    reason: str
    ts: int
    strategy: str = ""
    closing: bool = False


class TradingGate:
    """Halts and blocks in force.

    Attributes:
        halts: by strategy; the empty name is the halt of all.
        blocks: why, by adapter, instrument and strategy (empty fields mean all of them).
    """

    __slots__ = ("blocks", "closed", "halts")

    def __init__(self) -> None:
        self.halts: dict[str, Halt] = {}
        self.blocks: dict[Block, str] = {}
        self.closed = False
        """Whether there is any halt or block: false is the quick way."""

    def halt(self, reason: str, now: int, strategy: str = "", *, closing: bool = False) -> Halt:
        """Stop one strategy, or (empty) all; a second halt takes the first one's place but keeps its time."""
        before = self.halts.get(strategy)
        halt = Halt(reason, before.ts if before is not None else now, strategy, closing)
        self.halts[strategy] = halt
        self.closed = True
        return halt

    def resume(self, strategy: str = "") -> Halt | None:
        """End the halt of one strategy, or (empty) of all; returns it, or None where there was none.

        Ending the halt of all leaves the halts of single strategies in force.
        """
        halt = self.halts.pop(strategy, None)
        self._update()
        return halt

    def block(self, block: Block, reason: str) -> None:
        """Close an adapter, an instrument or a strategy to orders that open."""
        self.blocks[block] = reason
        self.closed = True

    def unblock(self, block: Block) -> bool:
        """End a block; False where there was none."""
        found = self.blocks.pop(block, None) is not None
        self._update()
        return found

    def replace_blocks(
        self, adapter: str, blocks: Mapping[Block, str]
    ) -> tuple[list[Block], list[Block]]:
        """Put the blocks that a reconciliation found in place of an adapter's old ones.

        Returns:
            Those that are new, and those that are over.

        Raises:
            ValueError: a block is of another adapter.
        """
        for block in blocks:
            if block.adapter != adapter:
                raise ValueError(f"{block} is not of adapter {adapter}")
        over = [one for one in self.blocks if one.adapter == adapter and one not in blocks]
        new = [one for one in blocks if one not in self.blocks]
        for block in over:
            del self.blocks[block]
        self.blocks.update(blocks)
        self._update()
        return new, over

    def refusal(self, adapter: str, strategy: str, vt_symbol: str, closing: bool = False) -> str:
        """Why an order may not go out; empty where it may.

        Args:
            adapter: where it would go.
            strategy: whose it is; empty for none.
            vt_symbol: its instrument.
            closing: whether it can only reduce a position (reduce-only).
        """
        if not self.closed:
            return ""
        for name in ("", strategy):
            halt = self.halts.get(name)
            if halt is not None and not (closing and halt.closing):
                return _told(halt)
        if closing or not self.blocks:
            return ""
        return self._blocked(adapter, strategy, vt_symbol)

    def _blocked(self, adapter: str, strategy: str, vt_symbol: str) -> str:
        for owner in dict.fromkeys(("", strategy)):
            for symbol in dict.fromkeys(("", vt_symbol)):
                for place in dict.fromkeys((adapter, "")):
                    reason = self.blocks.get(Block(place, symbol, owner))
                    if reason is not None:
                        return f"{RiskCode.BLOCKED.value}: {_scope(place, symbol, owner)}: {reason}"
        return ""

    def _update(self) -> None:
        self.closed = bool(self.halts or self.blocks)


def _told(halt: Halt) -> str:
    who = f"strategy {halt.strategy}" if halt.strategy else "all trading"
    since = ns_to_datetime(halt.ts).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{RiskCode.HALTED.value}: {who} is halted since {since}: {halt.reason}"


def _scope(adapter: str, vt_symbol: str, strategy: str) -> str:
    parts = (vt_symbol, adapter and f"at {adapter}", strategy and f"for strategy {strategy}")
    return " ".join(part for part in parts if part) or "everything"
