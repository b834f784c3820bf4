"""Fills, each folded exactly once by its ``vt_tradeid``."""

from __future__ import annotations

from foxtrot.core.objects import TradeData


class TradeManager:
    """Fills by id, in order of arrival."""

    def __init__(self) -> None:
        self.trades: dict[str, TradeData] = {}

    def fold(self, trade: TradeData) -> bool:
        """Take up a fill; returns False (and changes nothing) where it was known."""
        if trade.vt_tradeid in self.trades:
            return False
        self.trades[trade.vt_tradeid] = trade
        return True

    def restore(self, trade: TradeData) -> None:
        """Take up a fill as it was saved."""
        self.trades[trade.vt_tradeid] = trade
