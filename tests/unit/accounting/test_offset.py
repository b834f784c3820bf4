"""Open or close: holdings of two sides, and requests fitted to them."""

from __future__ import annotations

import datetime as dt
import random
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.accounting.offset import (
    OffsetMode,
    OffsetRefused,
    PositionHolding,
    SideHolding,
    convert_offset,
)
from foxtrot.core.constants import Direction, Offset, OrderType, Status, TimeInForce, VolumeMode
from foxtrot.core.errors import AccountingError, OrderError
from foxtrot.core.objects import OrderData, OrderRequest, PositionData, TradeData

LONG, SHORT, NET = Direction.LONG, Direction.SHORT, Direction.NET
NONE, OPEN, CLOSE = Offset.NONE, Offset.OPEN, Offset.CLOSE
TODAY, YESTERDAY = Offset.CLOSETODAY, Offset.CLOSEYESTERDAY
SHFE, DCE, CFFEX = "rb2405.SHFE", "i2405.DCE", "IF2405.CFFEX"
NUMBERS = count(1)


def held(
    vt_symbol: str = SHFE,
    long: tuple[int, int] = (0, 0),
    short: tuple[int, int] = (0, 0),
    min_volume: float = 1.0,
) -> PositionHolding:
    """A holding with (today, yesterday) lots on each side."""
    holding = PositionHolding(vt_symbol, min_volume)
    holding.long = SideHolding(*long)
    holding.short = SideHolding(*short)
    return holding


def lots(holding: PositionHolding) -> tuple[tuple[int, int], tuple[int, int]]:
    return (
        (holding.long.today, holding.long.yesterday),
        (holding.short.today, holding.short.yesterday),
    )


def trade(
    holding: PositionHolding, direction: Direction, offset: Offset, volume: float, **fields: Any
) -> TradeData:
    name = f"CTP.{next(NUMBERS)}"
    values = {"vt_orderid": name, "vt_symbol": holding.vt_symbol, **fields}
    return TradeData(
        vt_tradeid=name,
        direction=direction,
        price=3700.0,
        volume=volume,
        ts_event=0,
        offset=offset,
        **values,
    )


def order(
    holding: PositionHolding,
    direction: Direction,
    offset: Offset,
    volume: float,
    traded: float = 0.0,
    status: Status = Status.NOTTRADED,
    vt_orderid: str = "CTP.order",
) -> OrderData:
    return OrderData(
        vt_orderid=vt_orderid,
        vt_symbol=holding.vt_symbol,
        direction=direction,
        type=OrderType.LIMIT,
        volume=volume,
        traded=traded,
        status=status,
        offset=offset,
    )


def ask(
    holding: PositionHolding,
    direction: Direction,
    volume: float,
    offset: Offset = NONE,
    mode: str = "hedge",
    **fields: Any,
) -> list[tuple[Offset, float]] | OffsetRefused:
    """Convert a request and return offset and volume of what would be sent."""
    request = OrderRequest(
        holding.vt_symbol, direction, OrderType.LIMIT, volume, 3700.0, offset=offset, **fields
    )
    parts = convert_offset(request, holding, mode)
    if isinstance(parts, OffsetRefused):
        return parts
    return [(part.offset, part.volume) for part in parts]


# -- what is held ------------------------------------------------------------------------------


def test_an_opening_trade_adds_to_today_and_the_next_day_makes_it_yesterday() -> None:
    holding = held()
    holding.roll(dt.date(2024, 2, 28))
    holding.apply_trade(trade(holding, LONG, OPEN, 3))
    holding.apply_trade(trade(holding, SHORT, OPEN, 2))
    assert lots(holding) == ((3, 0), (2, 0))
    assert not holding.roll(dt.date(2024, 2, 28))
    assert holding.roll(dt.date(2024, 2, 29))
    assert lots(holding) == ((0, 3), (0, 2))
    with pytest.raises(AccountingError, match="lies before 2024-02-29"):
        holding.roll(dt.date(2024, 2, 28))
    assert holding.trading_day == dt.date(2024, 2, 29)


@pytest.mark.parametrize(
    ("vt_symbol", "offset", "left"),
    [
        (SHFE, TODAY, (1, 4)),
        (SHFE, YESTERDAY, (3, 2)),
        (SHFE, CLOSE, (3, 2)),
        ("sc2405.INE", CLOSE, (3, 2)),
        (DCE, CLOSE, (3, 2)),
        (DCE, TODAY, (3, 2)),
        (DCE, NONE, (3, 2)),
    ],
)
def test_a_closing_trade_takes_what_the_exchange_says(
    vt_symbol: str, offset: Offset, left: tuple[int, int]
) -> None:
    holding = held(vt_symbol, long=(3, 4))
    holding.apply_trade(trade(holding, SHORT, offset, 2))
    assert lots(holding) == (left, (0, 0))


def test_a_first_in_first_out_close_runs_on_into_today() -> None:
    holding = held(DCE, short=(3, 4))
    holding.apply_trade(trade(holding, LONG, CLOSE, 6))
    assert lots(holding) == ((0, 0), (1, 0))


def test_a_trade_without_offset_nets_and_opens_the_rest() -> None:
    holding = held(SHFE, short=(1, 1))
    holding.apply_trade(trade(holding, LONG, NONE, 5))
    assert lots(holding) == ((3, 0), (0, 0))


@pytest.mark.parametrize(
    ("vt_symbol", "offset", "volume"),
    [(SHFE, TODAY, 4), (SHFE, YESTERDAY, 5), (SHFE, CLOSE, 5), (DCE, CLOSE, 8)],
)
def test_closing_more_than_is_held_raises_and_changes_nothing(
    vt_symbol: str, offset: Offset, volume: int
) -> None:
    holding = held(vt_symbol, long=(3, 4))
    with pytest.raises(AccountingError, match="closes more than is held"):
        holding.apply_trade(trade(holding, SHORT, offset, volume))
    assert lots(holding) == ((3, 4), (0, 0))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"volume": 1.5}, "not whole lots"),
        ({"volume": 0.0}, "no volume"),
        ({"volume": float("nan")}, "finite"),
        ({"volume": 1.0, "vt_symbol": "cu2405.SHFE"}, "is of cu2405.SHFE"),
        ({"volume": 1.0, "direction": NET}, "LONG or SHORT"),
    ],
)
def test_an_unfit_trade_is_refused(fields: dict[str, Any], match: str) -> None:
    holding = held()
    with pytest.raises(AccountingError, match=match):
        holding.apply_trade(trade(holding, fields.pop("direction", LONG), OPEN, **fields))
    assert lots(holding) == ((0, 0), (0, 0))


def test_tenths_of_a_coin_are_flat_after_the_sum() -> None:
    holding = held("BTC.OKX", min_volume=0.1)
    for volume in (0.1, 0.2):
        holding.apply_trade(trade(holding, LONG, OPEN, volume))
    holding.apply_trade(trade(holding, SHORT, CLOSE, 0.1 + 0.2))
    assert lots(holding) == ((0, 0), (0, 0))


def test_the_venues_word_replaces_what_was_folded() -> None:
    holding = held(SHFE, long=(9, 9), short=(9, 9))

    def report(direction: Direction, volume: float, yd_volume: float) -> None:
        holding.apply_position(
            PositionData("CTP.p", SHFE, direction, volume=volume, yd_volume=yd_volume)
        )

    report(LONG, 5, 2)
    report(SHORT, 1, 0)
    assert lots(holding) == ((3, 2), (1, 0))
    report(NET, -4, 1)
    assert lots(holding) == ((0, 0), (3, 1))
    report(NET, 4, 4)
    assert lots(holding) == ((0, 4), (0, 0))
    for direction, volume, older in ((LONG, 1, 2), (LONG, -1, 0)):
        with pytest.raises(AccountingError, match="do not fit together"):
            report(direction, volume, older)
    assert lots(holding) == ((0, 4), (0, 0))


# -- what working orders bind ------------------------------------------------------------------


def free(holding: PositionHolding, direction: Direction = LONG) -> tuple[int, int]:
    available = holding.available(direction)
    return available.today, available.yesterday


@pytest.mark.parametrize(
    ("vt_symbol", "offset", "left"),
    [
        (SHFE, TODAY, (1, 4)),
        (SHFE, YESTERDAY, (3, 2)),
        (SHFE, CLOSE, (3, 2)),
        (DCE, CLOSE, (3, 2)),
        (DCE, TODAY, (3, 2)),
        (SHFE, OPEN, (3, 4)),
        (SHFE, NONE, (3, 4)),
    ],
)
def test_a_working_close_binds_and_its_end_sets_free(
    vt_symbol: str, offset: Offset, left: tuple[int, int]
) -> None:
    holding = held(vt_symbol, long=(3, 4), short=(1, 1))
    holding.apply_order(order(holding, SHORT, offset, 2))
    assert free(holding) == left
    assert holding.frozen(LONG) == 7 - sum(left)
    assert free(holding, SHORT) == (1, 1)
    holding.apply_order(order(holding, SHORT, offset, 2, status=Status.CANCELLED))
    assert free(holding) == (3, 4)


@pytest.mark.parametrize("trade_first", [True, False])
def test_report_and_trade_in_either_order_never_free_anything_twice(trade_first: bool) -> None:
    holding = held(SHFE, long=(0, 5))
    holding.apply_order(order(holding, SHORT, YESTERDAY, 4))
    assert free(holding) == (0, 1)
    steps = [
        lambda: holding.apply_trade(trade(holding, SHORT, YESTERDAY, 3, vt_orderid="CTP.order")),
        lambda: holding.apply_order(
            order(holding, SHORT, YESTERDAY, 4, traded=3, status=Status.CANCELLED)
        ),
    ]
    seen = []
    for step in steps if trade_first else reversed(steps):
        step()
        seen.append(free(holding))
    assert seen == ([(0, 1), (0, 2)] if trade_first else [(0, 2), (0, 2)])
    assert holding.frozen(LONG) == 0
    assert not holding._working


def test_a_trade_before_the_first_report_of_its_order_is_counted() -> None:
    holding = held(SHFE, long=(0, 5))
    holding.apply_trade(trade(holding, SHORT, YESTERDAY, 1, vt_orderid="CTP.order"))
    holding.apply_order(order(holding, SHORT, YESTERDAY, 3, traded=1))
    assert free(holding) == (0, 2)


def test_the_repeated_last_word_of_an_order_binds_nothing() -> None:
    holding = held(SHFE, long=(0, 5))
    done = order(holding, SHORT, YESTERDAY, 3, traded=3, status=Status.ALLTRADED)
    holding.apply_order(order(holding, SHORT, YESTERDAY, 3))
    holding.apply_trade(trade(holding, SHORT, YESTERDAY, 3, vt_orderid="CTP.order"))
    holding.apply_order(done)
    holding.apply_order(done)
    assert free(holding) == (0, 2)


def test_an_order_restored_after_a_restart_binds_what_has_not_traded() -> None:
    holding = held(SHFE, long=(0, 5))
    holding.apply_order(order(holding, SHORT, YESTERDAY, 4, traded=3), restored=True)
    assert free(holding) == (0, 4)


def test_trades_of_unreported_orders_are_forgotten_with_the_day() -> None:
    holding = held()
    holding.roll(dt.date(2024, 2, 28))
    holding.apply_trade(trade(holding, LONG, OPEN, 1))
    assert holding._working
    holding.roll(dt.date(2024, 2, 29))
    assert not holding._working


def test_more_bound_than_held_leaves_nothing_and_never_less() -> None:
    holding = held(SHFE, long=(1, 0))
    holding.apply_order(order(holding, SHORT, TODAY, 3))
    assert free(holding) == (0, 0)
    assert holding.frozen(LONG) == 1


# -- requests ----------------------------------------------------------------------------------


def test_net_sends_one_order_and_a_close_never_flips() -> None:
    holding = held(DCE, long=(3, 4))
    request = OrderRequest(DCE, SHORT, OrderType.LIMIT, 100.0, 3700.0, offset=CLOSE)
    (sent,) = convert_offset(request, holding, OffsetMode.NET)  # type: ignore[misc]
    assert (sent.offset, sent.volume, sent.reduce_only) == (NONE, 100.0, True)
    assert ask(holding, SHORT, 100, OPEN, "net") == [(NONE, 100.0)]


@pytest.mark.parametrize("mode", ["hedge", "today_first", "lock"])
def test_an_open_goes_as_it_is(mode: str) -> None:
    assert ask(held(short=(5, 5)), LONG, 3, OPEN, mode) == [(OPEN, 3.0)]


@pytest.mark.parametrize(
    ("vt_symbol", "mode", "volume", "sent"),
    [
        (SHFE, "hedge", 2, [(YESTERDAY, 2)]),
        (SHFE, "hedge", 6, [(YESTERDAY, 4), (TODAY, 2)]),
        (SHFE, "today_first", 2, [(TODAY, 2)]),
        (SHFE, "today_first", 6, [(TODAY, 3), (YESTERDAY, 3)]),
        ("sc2405.INE", "hedge", 7, [(YESTERDAY, 4), (TODAY, 3)]),
        (DCE, "hedge", 6, [(CLOSE, 6)]),
        (DCE, "today_first", 6, [(CLOSE, 6)]),
    ],
)
def test_a_close_is_split_where_the_exchange_wants_it(
    vt_symbol: str, mode: str, volume: float, sent: list[tuple[Offset, float]]
) -> None:
    assert ask(held(vt_symbol, long=(3, 4)), SHORT, volume, CLOSE, mode) == sent


@pytest.mark.parametrize(
    ("vt_symbol", "volume", "sent"),
    [
        (SHFE, 9, [(YESTERDAY, 4), (TODAY, 3), (OPEN, 2)]),
        (DCE, 9, [(CLOSE, 7), (OPEN, 2)]),
        (DCE, 7, [(CLOSE, 7)]),
    ],
)
def test_without_offset_the_other_side_is_closed_and_the_rest_opened(
    vt_symbol: str, volume: float, sent: list[tuple[Offset, float]]
) -> None:
    assert ask(held(vt_symbol, long=(3, 4)), SHORT, volume) == sent
    assert ask(held(vt_symbol), SHORT, volume) == [(OPEN, volume)]


@pytest.mark.parametrize(
    ("vt_symbol", "long", "offset", "sent"),
    [
        (SHFE, (3, 4), CLOSE, [(YESTERDAY, 4), (OPEN, 2)]),
        (SHFE, (3, 4), NONE, [(YESTERDAY, 4), (OPEN, 2)]),
        (DCE, (3, 4), NONE, [(CLOSE, 4), (OPEN, 2)]),
        (CFFEX, (3, 4), NONE, [(OPEN, 6)]),
        (CFFEX, (0, 4), NONE, [(CLOSE, 4), (OPEN, 2)]),
        (SHFE, (9, 0), CLOSE, [(OPEN, 6)]),
    ],
)
def test_locking_never_pays_the_close_today_fee(
    vt_symbol: str, long: tuple[int, int], offset: Offset, sent: list[tuple[Offset, float]]
) -> None:
    assert ask(held(vt_symbol, long=long), SHORT, 6, offset, "lock") == sent


def test_what_working_orders_bind_is_not_closed_again() -> None:
    holding = held(SHFE, long=(3, 4))
    holding.apply_order(order(holding, SHORT, YESTERDAY, 3))
    assert ask(holding, SHORT, 4, CLOSE) == [(YESTERDAY, 1), (TODAY, 3)]
    refused = ask(holding, SHORT, 5, CLOSE)
    assert isinstance(refused, OffsetRefused)
    assert refused.available == 4.0
    assert "only 4.0 of the LONG position" in refused.reason
    assert "3 of these bound by working orders" in refused.reason


@pytest.mark.parametrize(
    ("vt_symbol", "long", "offset", "volume", "sent"),
    [
        (SHFE, (3, 4), TODAY, 3, [(TODAY, 3)]),
        (SHFE, (3, 4), YESTERDAY, 4, [(YESTERDAY, 4)]),
        (DCE, (3, 4), YESTERDAY, 4, [(CLOSE, 4)]),
        (DCE, (3, 0), TODAY, 3, [(CLOSE, 3)]),
        (SHFE, (3, 4), TODAY, 4, "only 3.0"),
        (SHFE, (3, 4), YESTERDAY, 5, "only 4.0"),
        (DCE, (3, 4), TODAY, 1, "closes the oldest first"),
    ],
)
def test_a_close_that_names_its_day_gets_just_that_or_nothing(
    vt_symbol: str,
    long: tuple[int, int],
    offset: Offset,
    volume: float,
    sent: list[tuple[Offset, float]] | str,
) -> None:
    answer = ask(held(vt_symbol, long=long), SHORT, volume, offset)
    if isinstance(answer, OffsetRefused):
        assert isinstance(sent, str)
        assert sent in answer.reason
    else:
        assert answer == sent


def test_reduce_only_is_cut_to_what_is_held_and_never_opens() -> None:
    holding = held(SHFE, long=(3, 4))
    assert ask(holding, SHORT, 9, reduce_only=True) == [(YESTERDAY, 4), (TODAY, 3)]
    assert ask(holding, SHORT, 9, TODAY, reduce_only=True) == [(TODAY, 3)]
    assert ask(holding, SHORT, 9, mode="lock", reduce_only=True) == [(YESTERDAY, 4)]
    for offset in (NONE, CLOSE, TODAY, OPEN):
        assert isinstance(ask(held(), SHORT, 1, offset, reduce_only=True), OffsetRefused)


def test_the_parts_share_the_rest_of_the_request() -> None:
    request = OrderRequest(
        DCE,
        SHORT,
        OrderType.LIMIT,
        9.0,
        3700.0,
        vt_orderid="CTP.7",
        stop_loss=3800.0,
        take_profit=3500.0,
        display_volume=5.0,
        strategy="trend",
    )
    close, opened = convert_offset(request, held(DCE, long=(3, 4)))  # type: ignore[misc]
    assert (close.vt_orderid, opened.vt_orderid) == ("CTP.7", "CTP.7-2")
    assert (close.stop_loss, close.take_profit, close.display_volume) == (0.0, 0.0, 5.0)
    assert (opened.stop_loss, opened.take_profit, opened.display_volume) == (3800.0, 3500.0, 2.0)
    assert {close.price, opened.price, close.strategy, opened.strategy} == {3700.0, "trend"}


def test_what_cannot_be_split_is_refused_with_its_reason() -> None:
    holding = held(SHFE, long=(3, 4))
    refused = ask(holding, SHORT, 6, CLOSE, time_in_force=TimeInForce.FOK)
    assert isinstance(refused, OffsetRefused)
    assert "CLOSEYESTERDAY 4 and CLOSETODAY 2" in refused.reason
    assert ask(holding, SHORT, 4, CLOSE, time_in_force=TimeInForce.FOK) == [(YESTERDAY, 4)]
    refused = ask(holding, SHORT, 0.5, volume_mode=VolumeMode.EQUITY)
    assert isinstance(refused, OffsetRefused)
    assert "in units" in refused.reason


def test_a_malformed_request_is_an_error() -> None:
    holding = held()
    with pytest.raises(OrderError, match=r"nearest good values are 1\.0 and 2\.0"):
        ask(holding, LONG, 1.5)
    with pytest.raises(OrderError, match="must be positive"):
        ask(holding, LONG, 0)
    with pytest.raises(OrderError, match="direction is NET"):
        ask(holding, NET, 1)
    with pytest.raises(OrderError, match=r"i2405\.DCE"):
        convert_offset(OrderRequest(DCE, LONG, OrderType.LIMIT, 1.0), holding)
    with pytest.raises(ValueError, match="fancy"):
        ask(holding, LONG, 1, mode="fancy")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    vt_symbol=st.sampled_from([SHFE, DCE, CFFEX]),
    mode=st.sampled_from(["hedge", "today_first", "lock"]),
)
def test_whatever_is_sent_can_be_filled_and_keeps_the_net(
    seed: int, vt_symbol: str, mode: str
) -> None:
    """Random requests, fills and cancels: nothing raises, and the net is what was traded."""
    rng = random.Random(seed)
    holding, net, working, number = held(vt_symbol), 0, [], 0
    day = dt.date(2024, 2, 28)
    for _ in range(40):
        action = rng.random()
        if action < 0.5:
            request = OrderRequest(
                vt_symbol,
                rng.choice([LONG, SHORT]),
                OrderType.LIMIT,
                float(rng.randint(1, 8)),
                offset=rng.choice([NONE, OPEN, CLOSE]),
            )
            parts = convert_offset(request, holding, mode)
            if isinstance(parts, OffsetRefused):
                assert request.offset is CLOSE
                continue
            assert sum(part.volume for part in parts) == request.volume
            for part in parts:
                number += 1
                sent = order(
                    holding, part.direction, part.offset, part.volume, vt_orderid=f"CTP.{number}"
                )
                holding.apply_order(sent)
                working.append(sent)
        elif action < 0.95 and working:
            done = working.pop(rng.randrange(len(working)))
            filled = rng.random() < 0.7
            if filled:
                fill = trade(
                    holding, done.direction, done.offset, done.volume, vt_orderid=done.vt_orderid
                )
                holding.apply_trade(fill)
                net += int(done.volume) if done.direction is LONG else -int(done.volume)
            holding.apply_order(
                order(
                    holding,
                    done.direction,
                    done.offset,
                    done.volume,
                    traded=done.volume if filled else 0.0,
                    status=Status.ALLTRADED if filled else Status.CANCELLED,
                    vt_orderid=done.vt_orderid,
                )
            )
        elif not working:  # venues cancel day orders before the roll
            day += dt.timedelta(days=1)
            holding.roll(day)
        assert holding.long.total - holding.short.total == net
        for side in (LONG, SHORT):
            assert 0 <= holding.available(side).total <= holding.side(side).total
