"""Messages: keys, times, what follows from their fields."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import msgspec
import pytest

from foxtrot.core import objects
from foxtrot.core.constants import Direction, Exchange, OrderType, Status
from foxtrot.core.errors import FoxtrotError, MissingExtraError
from foxtrot.core.ids import IdSource
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    ACTIVE_STATUSES,
    BarData,
    ContractData,
    OrderData,
    TickData,
    ns_to_datetime,
    split_vt_id,
    split_vt_symbol,
)
from foxtrot.testing import make_account, make_bar, make_order, make_tick, make_trade

MESSAGES = [
    value
    for value in vars(objects).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
]


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_is_a_frozen_tagged_array_without_inheritance(
    kind: type[msgspec.Struct],
) -> None:
    config = kind.__struct_config__
    assert config.frozen
    assert config.array_like
    assert not config.gc
    assert config.tag_field == "_kind"
    assert kind.__bases__ == (msgspec.Struct,)


def test_no_two_messages_share_a_kind() -> None:
    tags = [kind.__struct_config__.tag for kind in MESSAGES]
    assert len(set(tags)) == len(tags)


def test_symbols_split_at_the_last_dot_and_ids_at_the_first() -> None:
    assert split_vt_symbol("BRK.B.NYSE") == ("BRK.B", Exchange.NYSE)
    assert split_vt_id("SIM.a.b") == ("SIM", "a.b")
    assert make_bar(vt_symbol="BRK.B.NYSE").symbol == "BRK.B"


@pytest.mark.parametrize("bad", ["AAPL", ".NASDAQ", "AAPL.NOWHERE", ""])
def test_a_malformed_symbol_is_refused_with_a_hint(bad: str) -> None:
    with pytest.raises(ValueError, match=r"SYMBOL\.EXCHANGE|no known exchange"):
        split_vt_symbol(bad)


@pytest.mark.parametrize("bad", ["SIM", ".1", ""])
def test_a_malformed_id_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"is not ADAPTER\.id"):
        split_vt_id(bad)


def test_nanoseconds_become_aware_datetimes_in_any_zone() -> None:
    ts = 1_704_153_600_123_456_789
    assert ns_to_datetime(ts) == dt.datetime(2024, 1, 2, 0, 0, 0, 123456, dt.UTC)
    there = ns_to_datetime(ts, zoneinfo.ZoneInfo("America/New_York"))
    assert there.isoformat() == "2024-01-01T19:00:00.123456-05:00"
    assert ns_to_datetime(-1).isoformat() == "1969-12-31T23:59:59.999999+00:00"


def test_what_follows_from_an_orders_fields() -> None:
    order = make_order(Status.PARTTRADED, 10.0, traded=4.0, vt_orderid="SIM.a.b")
    assert (order.adapter_name, order.orderid, order.remaining) == ("SIM", "a.b", 6.0)
    assert (order.symbol, order.exchange) == ("TEST", Exchange.LOCAL)
    assert order.datetime.year == 2024


@pytest.mark.parametrize("status", list(Status))
def test_an_order_is_active_while_it_can_trade(status: Status) -> None:
    order = OrderData("SIM.1", "A.LOCAL", Direction.LONG, OrderType.MARKET, 1.0, status=status)
    assert order.is_active() is (status in ACTIVE_STATUSES)


def test_the_middle_of_a_quote_with_and_without_both_sides() -> None:
    assert make_tick(99.0, 101.0).mid_price == 100.0
    assert make_tick(0.0, 101.0).mid_price == 101.0
    assert make_tick(99.0, 0.0).mid_price == 99.0
    assert make_tick(0.0, 0.0, last_price=98.5).mid_price == 98.5


def test_every_message_with_an_instrument_names_symbol_and_exchange() -> None:
    for message in (make_bar(), make_tick(), make_trade(), ContractData("TEST.LOCAL")):
        assert (message.symbol, message.exchange) == ("TEST", Exchange.LOCAL)
    assert make_bar().datetime > make_bar().datetime_open
    assert make_tick().datetime == make_trade().datetime
    assert make_trade().adapter_name == make_account().adapter_name == "SIM"
    assert make_account(100.0, frozen=20.0, margin=30.0).available == 50.0


def test_market_records_keep_the_newest_bar_and_the_newest_tick() -> None:
    market = MarketView()
    record = market.record("TEST.LOCAL")
    assert (record.price(), record.ts(), market.price("TEST.LOCAL")) == (0.0, 0, 0.0)
    assert market.price("NONE.LOCAL") == 0.0
    bar: BarData = make_bar(10.0)
    tick: TickData = make_tick(11.0, 13.0, ts_event=bar.ts_event + 1)

    market.update(bar)
    assert (market.price("TEST.LOCAL"), record.ts()) == (10.0, bar.ts_event)
    market.update(tick)
    assert (market.price("TEST.LOCAL"), record.ts()) == (12.0, tick.ts_event)
    assert (record.bar, record.tick) == (bar, tick)


def test_ids_count_on_from_the_last() -> None:
    ids = IdSource("sma", last=41)
    assert [ids.next(), ids.next()] == ["sma-42", "sma-43"]
    assert ids.last == 43


def test_a_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtraError("plotly", "report", "the HTML report")
    assert isinstance(error, FoxtrotError)
    assert isinstance(error, ImportError)
    assert "pip install 'foxtrot-trading[report]'" in str(error)


def test_an_unknown_exchange_is_told_where_the_known_ones_are() -> None:
    with pytest.raises(
        ValueError, match=r"'NASDQ' is no known exchange; use one of foxtrot\.Exchange, LOCAL"
    ):
        split_vt_symbol("AAPL.NASDQ")
