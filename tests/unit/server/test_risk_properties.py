"""Whatever orders come: limits hold for what was let pass, and a restart changes no decision."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.core.constants import Status
from foxtrot.server.oms.risk import RiskManager
from foxtrot.server.oms.risk_limits import OrderRate, RiskSettings
from foxtrot.server.oms.risk_window import RateWindow
from tests.unit.server.risk_desk import LONG, SECOND, SHORT, RiskDesk

SIDES = st.sampled_from([LONG, SHORT])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "fill", "cancel"]),
        SIDES,
        st.integers(1, 60),
        st.booleans(),
        st.integers(0, 50),
    ),
    max_size=40,
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(STEPS)
def test_no_order_of_fills_leads_beyond_the_position_limit(
    steps: list[tuple[str, str, int, bool, int]],
) -> None:
    desk = RiskDesk(max_position=100.0)
    for kind, side, volume, reduce_only, pick in steps:
        active = list(desk.orders.active.values())
        if kind == "send":
            desk.send(volume, 120, direction=side, reduce_only=reduce_only)
        elif not active:
            continue
        elif kind == "cancel":
            desk.end(active[pick % len(active)])
        else:
            order = active[pick % len(active)]
            units = min(volume, order.remaining)
            if order.reduce_only:  # the venue cuts it to what is held
                held = desk.held.units("SIM", "", order.vt_symbol)
                units = min(units, max(0.0, -held if order.direction is LONG else held))
            if units:
                desk.fill(units, direction=order.direction, vt_orderid=order.vt_orderid)
        assert abs(desk.held.units("SIM", "", "AAPL.NASDAQ")) <= 100.0


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 3), SIDES), max_size=30), st.data())
def test_a_restart_at_any_time_changes_no_decision(
    orders: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    limits = RiskSettings(order_rate=OrderRate(orders=4), duplicate_window=0.4, max_open_orders=20)
    desk = RiskDesk(limits)
    restart = data.draw(st.integers(0, len(orders)))
    other = RiskManager(limits)
    for number, (wait, volume, side) in enumerate(orders):
        desk.wait(wait / 1_000)
        if number == restart:
            other = RiskManager(limits)
            other.restore(desk.orders.orders.values())
        request = desk.request(volume, 120, direction=side)
        if number >= restart:
            now = desk.clock.now()
            assert other.check(request, desk, now) == desk.risk.check(request, desk, now)
        if not desk.send(volume, 120, direction=side) and number >= restart:
            other.count(request, desk.clock.now())


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.integers(1, 5),
    st.lists(st.integers(0, SECOND // 2), max_size=60),
)
def test_no_window_ever_holds_more_orders_than_allowed(most: int, waits: list[int]) -> None:
    window, now, passed = RateWindow(most, SECOND), 0, []
    for wait in waits:
        now += wait
        left = window.wait(now)
        recent = sum(ts > now - SECOND for ts in passed)
        assert (left > 0) == (recent >= most)
        if not left:
            window.add(now)
            passed.append(now)


def test_open_orders_are_those_that_are_not_over() -> None:
    desk = RiskDesk(max_open_orders=1)
    desk.send(1)
    for status in (Status.NOTTRADED, Status.UNKNOWN):
        desk.end(next(iter(desk.orders.active.values())), status)
        assert desk.ask(1).startswith("MAX_OPEN_ORDERS")
