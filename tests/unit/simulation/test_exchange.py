"""What the exchange refuses, how it ends, and how it describes its conventions."""

from __future__ import annotations

import pytest

from foxtrot.core.constants import OrderType, Status, TimeInForce
from foxtrot.core.errors import AccountingError, ConfigError
from foxtrot.core.objects import ContractData
from foxtrot.simulation.models import (
    ExecutionModel,
    FeeModel,
    Finalize,
    GapFill,
    IntrabarPath,
    LimitFill,
    MarketFill,
    SlippageModel,
)
from tests.unit.simulation.sim_helpers import BAR_NS, SYMBOL, Venue


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": OrderType.TRAILING_STOP}, "order type TRAILING_STOP is not supported"),
        ({"time_in_force": TimeInForce.IOC}, "time in force IOC is not supported"),
        ({"post_only": True}, "post_only, display_volume and trailing_offset"),
        ({"display_volume": 1.0}, "post_only, display_volume and trailing_offset"),
        ({"vt_symbol": "X.LOCAL"}, "no such instrument here"),
    ],
)
def test_what_it_cannot_do_is_rejected_with_the_reason(fields, reason) -> None:
    venue = Venue()
    venue.buy(1, **fields)
    (report,) = venue.orders
    assert report.status is Status.REJECTED
    assert reason in report.reason
    venue.bar(100, 101, 99, 100)
    assert venue.fills == []


@pytest.mark.parametrize(
    ("contract", "error", "text"),
    [
        (ContractData(SYMBOL, currency="EUR"), ConfigError, "is in EUR, the simulated account in"),
        (ContractData(SYMBOL, net_position=False), ConfigError, "net_position=True"),
        (ContractData(SYMBOL, inverse=True), AccountingError, "inverse"),
        (ContractData(SYMBOL, size=0.0), AccountingError, "size must be positive"),
    ],
)
def test_contracts_that_it_cannot_book_are_refused(contract, error, text) -> None:
    with pytest.raises(error, match=text):
        Venue(contracts=[contract])


@pytest.mark.parametrize(
    ("finalize", "price", "ts"),
    [(Finalize.LAST_CLOSE, 104, 2 * BAR_NS), (Finalize.LAST_OPEN, 102, BAR_NS)],
)
def test_the_end_closes_positions_and_orders_as_asked(finalize, price, ts) -> None:
    venue = Venue(finalize=finalize, fees=FeeModel(per_trade=1.0))
    venue.buy(3, strategy="a")
    venue.short(1, strategy="b")
    venue.bar(100, 101, 99, 100)
    waiting = venue.buy(1, 50)
    venue.bar(102, 105, 101, 104)
    venue.exchange.finalize()
    assert venue.fills[2:] == [(-3, price), (1, price)]
    assert venue.stamps[2:] == [ts, ts]
    assert venue.reason(waiting) == "end of data"
    assert venue.balance == 100_000 + 2 * (price - 100) - 4
    assert {t.vt_orderid for t in venue.trades[2:]} == {
        f"SIM.a-final-{SYMBOL}",
        f"SIM.b-final-{SYMBOL}",
    }
    late = venue.buy(1)
    assert venue.reason(late) == "the data has ended"


def test_the_end_leaves_everything_as_it_is_by_default() -> None:
    venue = Venue()
    venue.buy(3)
    venue.bar(100, 101, 99, 100)
    waiting = venue.buy(1, 50)
    venue.exchange.finalize()
    assert venue.fills == [(3, 100)]
    assert venue.status(waiting) is Status.NOTTRADED


def test_the_end_on_quotes_closes_at_the_middle_and_on_no_data_does_nothing() -> None:
    venue = Venue(on_ticks=True, finalize=Finalize.LAST_OPEN)
    venue.exchange.finalize()
    assert venue.orders == []
    venue = Venue(on_ticks=True, finalize=Finalize.LAST_CLOSE)
    venue.tick(99, 101)
    venue.buy(1)
    venue.exchange.finalize()
    assert venue.fills == [(1, 101), (-1, 100)]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ({"leverage": 0.0}, "leverage"),
        ({"leverage": float("inf")}, "leverage"),
        ({"volume_share": 0.0}, "volume_share"),
        ({"volume_share": 1.5}, "volume_share"),
    ],
)
def test_conventions_out_of_range_are_refused(model, text) -> None:
    with pytest.raises(ConfigError, match=text):
        ExecutionModel(**model)


def test_every_convention_is_told_in_words() -> None:
    plain = ExecutionModel().describe()
    assert plain["Commission"] == plain["Slippage"] == "none"
    assert plain["Volume per fill"] == "unlimited"
    other = ExecutionModel(
        market_fill=MarketFill.SAME_CLOSE,
        intrabar_path=IntrabarPath.HIGH_FIRST,
        limit_fill=LimitFill.CROSS,
        gap_fill=GapFill.TRIGGER,
        volume_share=0.25,
        fees=FeeModel(0.001, 0.5, 1.0, 2.0, -0.0001, 0.0005),
        slippage=SlippageModel(1, 0.001),
        leverage=3,
        finalize=Finalize.LAST_OPEN,
    ).describe()
    assert all(other[key] != plain[key] for key in plain)
    assert "maker -0.0001" in other["Commission"]
    assert "at least 2 per fill" in other["Commission"]
    assert "optimistic" in other["Stop orders fill"]
