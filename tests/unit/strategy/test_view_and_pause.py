"""What a host keeps of its view, and how it stands still for a while."""

from __future__ import annotations

import msgspec
import pytest

from foxtrot.core.errors import StrategyError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.events import EVENT_ORDER, EVENT_TRADE
from foxtrot.strategy import Strategy
from foxtrot.strategy.host import StrategyHost, StrategyState
from foxtrot.testing import make_contract, make_order, make_trade


class Hears(Strategy):
    def on_start(self) -> None:
        self.heard = []

    def on_trade(self, trade) -> None:
        self.heard.append(trade.vt_tradeid)

    def on_order(self, order) -> None:
        self.heard.append(order.vt_orderid)


def host_of():
    contract = make_contract()
    engine = EventEngine()
    host = StrategyHost(Hears, "s", {}, engine, [contract])
    host.start()
    return engine, host, contract.vt_symbol


def test_a_view_is_taken_up_with_working_orders_and_what_is_on_its_way() -> None:
    engine, host, vt_symbol = host_of()
    host.strategy.buy(2, 50.0)
    host.strategy.buy(3)
    order = make_order(
        vt_orderid="SIM.s-1", volume=2.0, price=50.0, vt_symbol=vt_symbol, strategy="s"
    )
    engine.dispatch(engine.topic(EVENT_ORDER + "s"), order)
    engine.dispatch(engine.topic(EVENT_TRADE + "s"), make_trade(1.0, 50.0, vt_symbol=vt_symbol))
    view = msgspec.msgpack.decode(msgspec.msgpack.encode(host.view()))
    _, other, _ = host_of()
    other.restore(view)
    assert other.context.orders == {"SIM.s-1": order}
    assert list(other.context.pending) == ["SIM.s-2"]
    assert other.strategy.position().volume == 1.0
    assert other.strategy.buy(1) == "SIM.s-3"
    assert other.context.working_volume(vt_symbol) == host.context.working_volume(vt_symbol) + 1


@pytest.mark.parametrize(
    "broken", [{}, {"last_id": 1}, {"last_id": 1, "positions": {}, "orders": [3]}]
)
def test_a_view_that_cannot_be_read_is_refused(broken) -> None:
    _, host, _ = host_of()
    with pytest.raises(StrategyError, match="its stored view cannot be read"):
        host.restore(broken)


def test_a_pause_folds_and_calls_no_hook_and_hooks_can_be_told_later() -> None:
    engine, host, vt_symbol = host_of()
    host.pause()
    trade = make_trade(1.0, vt_symbol=vt_symbol)
    engine.dispatch(engine.topic(EVENT_TRADE + "s"), trade)
    assert host.strategy.position().volume == 1.0
    with pytest.raises(StrategyError, match="is not trading"):
        host.strategy.buy(1)
    host.tell(trade)
    assert host.strategy.heard == []
    host.unpause()
    host.tell(trade)
    host.tell(make_order(vt_orderid="SIM.s-9"))
    assert host.strategy.heard == [trade.vt_tradeid, "SIM.s-9"]
    assert host.strategy.is_trading
    host.pause()
    host.stop()
    assert host.state is StrategyState.STOPPED
    host.unpause()
    assert not host.strategy.is_trading
