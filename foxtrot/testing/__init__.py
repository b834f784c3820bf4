"""For tests of strategies and adapters: builders of messages, a scripted venue, a single-step runtime."""

from foxtrot.testing.adapter import ScriptedAdapter
from foxtrot.testing.builders import (
    START,
    make_account,
    make_bar,
    make_bars,
    make_contract,
    make_order,
    make_order_request,
    make_position,
    make_tick,
    make_trade,
)
from foxtrot.testing.harness import StrategyHarness

__all__ = [
    "START",
    "ScriptedAdapter",
    "StrategyHarness",
    "make_account",
    "make_bar",
    "make_bars",
    "make_contract",
    "make_order",
    "make_order_request",
    "make_position",
    "make_tick",
    "make_trade",
]
