"""An exchange that forgets what has ended answers as one that keeps it."""

from __future__ import annotations

import pytest

from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import Direction, OrderType
from foxtrot.core.market import MarketView
from foxtrot.core.objects import BarData, CancelRequest, ContractData, ModifyRequest, OrderRequest
from foxtrot.simulation.exchange import AccountSettings, Reports, SimulatedExchange
from foxtrot.simulation.models import ExecutionModel

SYMBOL = "A.LOCAL"


def reports_of(*, keep_closed: bool) -> tuple[list[object], SimulatedExchange]:
    told: list[object] = []
    clock, market = SimulatedClock(0), MarketView()
    exchange = SimulatedExchange(
        "SIM",
        clock,
        market,
        AccountSettings(),
        ExecutionModel(),
        Reports(told.append, told.append, told.append),
        keep_closed=keep_closed,
    )
    book = exchange.list_contract(ContractData(SYMBOL), on_ticks=False)
    requests = [
        ("1", OrderType.MARKET, 0.0, 98.0),
        ("2", OrderType.LIMIT, 90.0, 0.0),
        ("3", OrderType.LIMIT, 80.0, 0.0),
    ]
    for key, type_, price, stop_loss in requests:
        exchange.submit(
            OrderRequest(
                SYMBOL,
                Direction.LONG,
                type_,
                1.0,
                price,
                stop_loss=stop_loss,
                vt_orderid=f"SIM.{key}",
            )
        )
    exchange.cancel(CancelRequest("SIM.3"))
    for start, (open_, high, low, close) in enumerate([(100, 101, 99, 100), (100, 101, 89, 90)]):
        clock.ns = (start + 1) * 60
        exchange.on_bar(
            book,
            BarData(
                SYMBOL, start * 60, clock.ns, float(open_), float(high), float(low), float(close)
            ),
        )
    for key in ("1", "2", "3"):
        exchange.modify(ModifyRequest(f"SIM.{key}", price=85.0))
        exchange.cancel(CancelRequest(f"SIM.{key}"))
    return told, exchange


def test_reports_are_the_same_and_only_working_orders_are_held() -> None:
    kept, keeping = reports_of(keep_closed=True)
    told, forgetting = reports_of(keep_closed=False)

    assert told == kept
    assert len(keeping.orders) == 4
    assert forgetting.orders == {}
    assert forgetting.state() == keeping.state()


@pytest.mark.parametrize("keep_closed", [True, False])
def test_a_working_order_can_be_cancelled(keep_closed: bool) -> None:
    _, exchange = reports_of(keep_closed=keep_closed)
    exchange.submit(
        OrderRequest(SYMBOL, Direction.LONG, OrderType.LIMIT, 1.0, 50.0, vt_orderid="SIM.9")
    )
    assert exchange.orders["SIM.9"].live

    exchange.cancel(CancelRequest("SIM.9"))

    assert "SIM.9" not in exchange.orders or not exchange.orders["SIM.9"].live
