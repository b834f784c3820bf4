"""What every adapter inherits: names, callbacks, topics."""

from __future__ import annotations

import logging

import pytest

from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.event_engine import Event, EventEngine
from foxtrot.core.objects import HistoryRequest, LogData
from foxtrot.testing import (
    ScriptedAdapter,
    make_account,
    make_bar,
    make_contract,
    make_order,
    make_position,
    make_tick,
    make_trade,
)


@pytest.mark.parametrize("name", ["", "a.b"])
def test_a_name_is_not_empty_and_has_no_dot(name: str) -> None:
    with pytest.raises(ValueError, match="must not be empty nor have a dot"):
        ScriptedAdapter(EventEngine(SimulatedClock()), name)


def test_callbacks_become_events_market_data_at_once_and_the_rest_as_reports() -> None:
    engine = EventEngine(SimulatedClock(7))
    adapter = ScriptedAdapter(engine)
    seen: list[Event] = []
    engine.register_general(seen.append)
    tick, bar, order, trade = make_tick(), make_bar(), make_order(), make_trade()
    for _ in range(2):
        adapter.on_tick(tick)
        adapter.on_bar(bar)
        adapter.on_order(order)
        adapter.on_trade(trade)
        adapter.on_position(make_position())
        adapter.on_account(make_account())
        adapter.on_contract(make_contract())
        adapter.write_log("hello")
        adapter.on_log("careful", logging.WARNING)
    engine.drain()

    expected = [
        (events.EVENT_TICK + "TEST.LOCAL", tick),
        (events.EVENT_BAR + "TEST.LOCAL", bar),
        (events.REPORT_ORDER, order),
        (events.REPORT_TRADE, trade),
        (events.REPORT_POSITION, make_position()),
        (events.REPORT_ACCOUNT, make_account()),
        (events.REPORT_CONTRACT, make_contract()),
        (events.EVENT_LOG, LogData("hello", logging.INFO, "SIM", 7)),
        (events.EVENT_LOG, LogData("careful", logging.WARNING, "SIM", 7)),
    ]
    assert [tuple(event) for event in seen] == expected * 2


def test_questions_that_a_venue_cannot_answer_have_empty_answers() -> None:
    adapter = ScriptedAdapter(EventEngine(SimulatedClock()))
    adapter.query_orders()
    adapter.query_trades()
    adapter.query_account()
    adapter.query_position()
    assert adapter.query_history(HistoryRequest("TEST.LOCAL")) == []
