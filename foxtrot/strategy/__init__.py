"""What users write (``Strategy``) and what runs it."""

from foxtrot.strategy.strategy import Strategy
from foxtrot.strategy.view import StrategyPosition

__all__ = ["Strategy", "StrategyPosition"]
