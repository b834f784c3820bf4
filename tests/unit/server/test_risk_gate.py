"""The kill switch: halts, blocks, and what passes them."""

from __future__ import annotations

import pytest

from foxtrot.server.oms.reconcile_types import Block
from foxtrot.server.oms.risk_gate import TradingGate
from foxtrot.testing import START

AAPL = "AAPL.NASDAQ"


def test_an_open_gate_refuses_nothing() -> None:
    gate = TradingGate()

    assert not gate.closed
    assert gate.refusal("SIM", "sma", AAPL) == ""


def test_a_halt_of_all_stops_every_order_and_tells_why_and_since_when() -> None:
    gate = TradingGate()
    gate.halt("operator: fat finger", START)

    told = "HALTED: all trading is halted since 2024-01-02 00:00:00 UTC: operator: fat finger"
    assert gate.refusal("SIM", "sma", AAPL) == told
    assert gate.refusal("SIM", "", AAPL, closing=True) == told


def test_a_halt_of_one_strategy_leaves_the_others_alone() -> None:
    gate = TradingGate()
    gate.halt("an exception", START, "sma")

    assert gate.refusal("SIM", "sma", AAPL).startswith("HALTED: strategy sma is halted since")
    assert gate.refusal("SIM", "other", AAPL) == ""
    assert gate.refusal("SIM", "", AAPL) == ""


def test_a_halt_to_flatten_lets_closing_orders_pass() -> None:
    gate = TradingGate()
    gate.halt("flatten", START, closing=True)

    assert gate.refusal("SIM", "sma", AAPL, closing=True) == ""
    assert gate.refusal("SIM", "sma", AAPL) != ""


def test_a_second_halt_keeps_the_time_of_the_first() -> None:
    gate = TradingGate()
    gate.halt("first", START)
    gate.halt("second", START + 10**12)

    assert gate.halts[""].ts == START
    assert gate.halts[""].reason == "second"


def test_trading_resumes_where_it_was_halted() -> None:
    gate = TradingGate()
    gate.halt("all", START)
    gate.halt("one", START, "sma")

    halt = gate.resume()
    assert halt is not None
    assert halt.reason == "all"
    assert gate.refusal("SIM", "other", AAPL) == ""
    assert gate.refusal("SIM", "sma", AAPL) != ""
    assert gate.resume("sma") is not None
    assert gate.resume("sma") is None
    assert not gate.closed


@pytest.mark.parametrize(
    ("block", "hit"),
    [
        (Block("SIM", AAPL, "sma"), {"SIM sma AAPL.NASDAQ"}),
        (Block("SIM", AAPL), {"SIM sma AAPL.NASDAQ", "SIM other AAPL.NASDAQ"}),
        (Block("SIM", "", "sma"), {"SIM sma AAPL.NASDAQ", "SIM sma IBM.NYSE"}),
        (Block("", AAPL, "other"), {"SIM other AAPL.NASDAQ", "LIVE other AAPL.NASDAQ"}),
    ],
)
def test_a_block_reaches_as_far_as_it_says(block: Block, hit: set[str]) -> None:
    gate = TradingGate()
    gate.block(block, "unexplained")

    refused = {
        f"{adapter} {strategy} {symbol}"
        for adapter in ("SIM", "LIVE")
        for strategy in ("sma", "other")
        for symbol in (AAPL, "IBM.NYSE")
        if gate.refusal(adapter, strategy, symbol)
    }
    assert refused == hit


def test_closing_orders_pass_a_block_and_others_are_told_why() -> None:
    gate = TradingGate()
    gate.block(Block("SIM", AAPL), "by our fills we hold 10.0, the venue says 3.0")

    assert gate.refusal("SIM", "sma", AAPL, closing=True) == ""
    assert gate.refusal("SIM", "sma", AAPL) == (
        "BLOCKED: AAPL.NASDAQ at SIM: by our fills we hold 10.0, the venue says 3.0"
    )
    assert gate.unblock(Block("SIM", AAPL))
    assert not gate.unblock(Block("SIM", AAPL))
    assert not gate.closed


def test_a_reconciliation_replaces_the_blocks_of_its_adapter() -> None:
    gate = TradingGate()
    gate.block(Block("SIM", AAPL), "old")
    gate.block(Block("LIVE", AAPL), "another adapter")

    new, over = gate.replace_blocks("SIM", {Block("SIM", "IBM.NYSE"): "new"})

    assert (new, over) == ([Block("SIM", "IBM.NYSE")], [Block("SIM", AAPL)])
    assert gate.refusal("SIM", "", AAPL) == ""
    assert gate.refusal("SIM", "", "IBM.NYSE") != ""
    assert gate.refusal("LIVE", "", AAPL) != ""
    with pytest.raises(ValueError, match="not of adapter SIM"):
        gate.replace_blocks("SIM", {Block("LIVE"): "x"})
