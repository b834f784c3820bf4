"""What holds for any stream of orders on any prices: no look ahead, no better than asked, and every unit adds up."""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.core.constants import Direction, Interval, OrderType
from foxtrot.core.objects import ContractData, TradeData
from foxtrot.data.columns import BarColumns, TickColumns
from foxtrot.server import backtester
from foxtrot.simulation.models import (
    ExecutionModel,
    FeeModel,
    Finalize,
    IntrabarPath,
    LimitFill,
    MarketFill,
)
from foxtrot.strategy import Strategy
from tests.unit.strategy.strategy_helpers import START, A, B, engine

STEP = 60_000_000_000
LONG = Direction.LONG


@pytest.fixture(autouse=True, scope="module")
def _no_full_collections():
    """A run begins with a full garbage collection; many tiny ones would do little else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backtester, "_tuned_collector", nullcontext)
        yield


prices = st.integers(8_000, 12_000).map(lambda cents: cents / 100)
near = st.integers(-300, 300).map(lambda cents: cents / 100)


@st.composite
def bar_columns(draw, vt_symbol, rows):
    """Any bars: gaps, flat ones, no volume."""
    quads = draw(st.lists(st.tuples(prices, prices, prices, prices), min_size=rows, max_size=rows))
    table = np.array(quads)
    ts = START + STEP * np.arange(rows, dtype=np.int64)
    volume = draw(st.lists(st.integers(0, 40), min_size=rows, max_size=rows))
    return BarColumns(
        vt_symbol,
        Interval.MINUTE,
        ts,
        ts + STEP,
        table[:, 0].copy(),
        table.max(axis=1),
        table.min(axis=1),
        table[:, 3].copy(),
        np.array(volume, dtype=np.float64),
    )


ACTIONS = ("market", "limit", "stop", "stop_limit", "equity", "close", "target", "cancel", "modify")
action = st.tuples(
    st.sampled_from(ACTIONS),
    st.booleans(),
    st.integers(1, 30),
    near,
    near,
    st.booleans(),
    st.sampled_from(["a", "b"]),
)
plans = st.dictionaries(st.integers(0, 23), st.lists(action, max_size=3), max_size=14)

models = st.builds(
    ExecutionModel,
    market_fill=st.sampled_from(MarketFill),
    intrabar_path=st.sampled_from(IntrabarPath),
    limit_fill=st.sampled_from(LimitFill),
    volume_share=st.sampled_from([None, 0.1, 0.5]),
    fees=st.builds(
        FeeModel,
        rate=st.sampled_from([0.0, 0.001]),
        per_trade=st.sampled_from([0.0, 1.01]),
        minimum=st.sampled_from([0.0, 2.0]),
        maker_rate=st.sampled_from([None, -0.0002]),
    ),
    leverage=st.sampled_from([1.0, 4.0]),
    finalize=st.sampled_from([Finalize.NONE, Finalize.LAST_CLOSE]),
)


class Planned(Strategy):
    """Does what the plan says for each event; some of it in answer to fills."""

    plan: dict[int, list] = {}  # noqa: RUF012 - a parameter
    label: str = "a"

    def on_start(self) -> None:
        self.count = 0
        self.ids = []

    def on_bar(self, bar) -> None:
        self.act(bar.vt_symbol, bar.close_price)

    def on_tick(self, tick) -> None:
        self.act(tick.vt_symbol, tick.mid_price)

    def on_trade(self, trade) -> None:
        if self.count % 5 == 0:
            self.order_target(0, vt_symbol=trade.vt_symbol)

    def act(self, symbol, price) -> None:
        for kind, long, volume, first, second, bracket, label in self.plan.get(self.count, ()):
            if label == self.label:
                self.one(symbol, price, kind, long, volume, first, second, bracket)
        self.count += 1

    def one(  # noqa: C901 - one case an action
        self, symbol, price, kind, long, volume, first, second, bracket
    ) -> None:
        enter = self.buy if long else self.short
        level = round(price + first, 2)
        extra = {"vt_symbol": symbol}
        if bracket:
            sign = 1 if long else -1
            gap = abs(second) + 0.5
            entry = price if kind in ("market", "equity") else level
            extra["stop_loss"] = round(entry - sign * gap, 2)
            extra["take_profit"] = round(entry + sign * gap, 2)
        match kind:
            case "market":
                self.ids.append(enter(volume, **extra))
            case "limit":
                self.ids.append(enter(volume, level, **extra))
            case "stop":
                self.ids.append(enter(volume, stop=level, **extra))
            case "stop_limit":
                self.ids.append(enter(volume, round(level + second, 2), stop=level, **extra))
            case "equity":
                self.ids.append(enter(equity=min(1.0, volume / 40), **extra))
            case "close":
                self.close(symbol)
            case "target":
                self.order_target(volume if long else -volume, vt_symbol=symbol)
            case "cancel":
                self.cancel_all(symbol)
            case "modify":
                for order in self.orders(symbol)[:1]:
                    self.modify_order(order.vt_orderid, volume=float(volume))


def run_plan(data, plan, model, capital=20_000.0):
    backtest = engine(*data, capital=capital)
    backtest.configure(model=model)
    backtest.set_strategy(Planned, {"plan": plan}, name="a")
    backtest.add_strategy(Planned, {"plan": plan, "label": "b"}, name="b")
    backtest.run_backtest()
    return backtest


def books_agree(backtest) -> None:
    """OMS, venue and strategies hold the same lots, costs and money; the curve ends there."""
    world, result = backtest.world, backtest.result
    exchange = world.adapter.exchange
    legs = {leg.instrument.vt_symbol: leg.book for leg in world.oms.positions.legs.values()}
    realized = commission = floating = 0
    for symbol, book in exchange.books.items():
        own, venue = legs.get(symbol), book.position
        if own is None:
            assert venue.lots == 0
            continue
        assert (own.lots, own.cost, own.realized) == (venue.lots, venue.cost, venue.realized)
        assert sum(book.held.values()) == venue.lots
        for host in world.hosts:
            held = book.instrument.lot.from_lots(book.held.get(host.name, 0))
            assert host.strategy.position(symbol).volume == held
        realized += own.realized
        commission += own.commission
        value = book.instrument.value_of_lots(book.market.price(), venue.lots)
        floating += venue.unrealized(value)
    capital = 20_000 * 10**8
    assert exchange.account.balance == capital + realized - commission
    assert exchange.account.balance == world.oms.accounts.ledgers["SIM"].balances["USD"]
    assert result.equity[-1] == pytest.approx(
        (capital + realized - commission + floating) / 10**8, abs=1e-5
    )
    bound = sum(
        exchange.account._bound(b, b.position.lots, b.position.cost)
        for b in exchange.books.values()
    )
    assert exchange.account.used == bound


def orders_add_up(backtest) -> None:
    filled = defaultdict(float)
    for trade in backtest.result.trades:
        filled[trade.vt_orderid] += trade.volume
    for order in backtest.result.orders:
        assert order.traded == pytest.approx(filled[order.vt_orderid])
        assert order.traded <= order.volume or not order.volume
        if not order.is_active() and order.status != "ALLTRADED":
            assert order.status == "CANCELLED" or order.reason
    ids = [trade.vt_tradeid for trade in backtest.result.trades]
    assert len(ids) == len(set(ids))


@settings(max_examples=60)
@given(st.data(), plans, models, st.booleans())
def test_bars(data, plan, model, two) -> None:  # noqa: C901 - one property after the other
    columns = [data.draw(bar_columns(A, 12))]
    if two:
        columns.append(data.draw(bar_columns(B, 12)))
    backtest = run_plan(columns, plan, model)
    books_agree(backtest)
    orders_add_up(backtest)

    orders = {order.vt_orderid: order for order in backtest.result.orders}
    sent = {}
    for record in backtest.world.log.records:
        sent.setdefault(record.vt_orderid, record.ts_init)
    by_symbol = {c.vt_symbol: c for c in columns}
    budget = defaultdict(float)
    for trade in backtest.result.trades:
        if trade.reference == "end of data":
            continue
        bars = by_symbol[trade.vt_symbol]
        row = int(np.searchsorted(bars.ts_event, trade.ts_init, side="left"))
        order = orders[trade.vt_orderid]
        # it fills inside of the bar that was matched then, at a price of that bar
        assert bars.ts_open[row] <= trade.ts_event <= bars.ts_event[row] == trade.ts_init
        assert bars.low_price[row] <= trade.price <= bars.high_price[row]
        # it was there when the bar opened; a child since its parent's fill; same-close, at the close
        first = sent[order.parent_orderid or order.vt_orderid]
        if model.market_fill is MarketFill.NEXT_OPEN:
            assert first <= bars.ts_open[row]
        else:
            assert first <= bars.ts_open[row] or trade.price == bars.close_price[row]
        if order.parent_orderid:
            assert sent[order.vt_orderid] <= trade.ts_init
        if order.type is OrderType.LIMIT or order.type is OrderType.STOP_LIMIT:
            if trade.direction is LONG:
                assert trade.price <= order.price
            else:
                assert trade.price >= order.price
        budget[trade.vt_symbol, row] += trade.volume
    if model.volume_share is not None:
        for (symbol, row), volume in budget.items():
            assert volume <= by_symbol[symbol].volume[row] * model.volume_share + 1e-9


@st.composite
def tick_columns(draw, rows):
    mids = draw(st.lists(prices, min_size=rows, max_size=rows))
    sides = draw(
        st.lists(st.sampled_from(["both", "both", "bid", "ask"]), min_size=rows, max_size=rows)
    )
    volume = draw(st.lists(st.integers(0, 40), min_size=rows, max_size=rows))
    mid = np.array(mids)
    bid = np.where([s != "ask" for s in sides], np.round(mid - 0.5, 2), 0.0)
    ask = np.where([s != "bid" for s in sides], np.round(mid + 0.5, 2), 0.0)
    size = np.array(volume, dtype=np.float64)
    ts = START + STEP * np.arange(1, rows + 1, dtype=np.int64)
    return TickColumns(A, ts, bid, ask, size, size.copy())


@settings(max_examples=50)
@given(tick_columns(20), plans, models)
def test_quotes(columns, plan, model) -> None:
    backtest = run_plan([columns], plan, model)
    books_agree(backtest)
    orders_add_up(backtest)
    orders = {order.vt_orderid: order for order in backtest.result.orders}
    rows = {int(ts): row for row, ts in enumerate(columns.ts_event.tolist())}
    taken = defaultdict(float)
    for trade in backtest.result.trades:
        if trade.reference == "end of data":
            continue
        order, row = orders[trade.vt_orderid], rows[trade.ts_event]
        assert trade.ts_event == trade.ts_init
        long = trade.direction is LONG
        touch = columns.ask_price_1[row] if long else columns.bid_price_1[row]
        assert touch > 0.0
        if trade.liquidity == "TAKER":
            assert trade.price == touch
        else:  # it rested at its price, and the other side came to it
            assert trade.price == order.price
            assert touch <= trade.price if long else touch >= trade.price
        if order.type is OrderType.LIMIT:
            assert trade.price <= order.price if long else trade.price >= order.price
        taken[row, long] += trade.volume
    if model.volume_share is not None:
        for (row, long), volume in taken.items():
            quoted = columns.ask_volume_1[row] if long else columns.bid_volume_1[row]
            assert volume <= quoted * model.volume_share + 1e-9


@settings(max_examples=10)
@given(st.data(), plans, models)
def test_the_same_run_twice(data, plan, model) -> None:
    columns = [data.draw(bar_columns(A, 10)), data.draw(bar_columns(B, 10))]
    first, second = (run_plan(columns, plan, model).result for _ in range(2))
    assert first.log_sha256 == second.log_sha256
    assert first.equity.tobytes() == second.equity.tobytes()


@settings(max_examples=25)
@given(bar_columns(A, 10), plans)
def test_what_comes_later_never_changes_what_was(columns, plan) -> None:
    """The run on the first rows is the begin of the run on all of them: nothing looks ahead."""
    model = ExecutionModel()
    whole = run_plan([columns], plan, model).world.log.records
    cut = START + 7 * STEP
    part = run_plan([columns.slice(0, 7)], plan, model).world.log.records
    assert part == whole[: len(part)]
    rest = [record for record in whole[len(part) :] if isinstance(record, TradeData)]
    assert all(trade.ts_init > cut for trade in rest)


def test_the_plan_reaches_every_kind_of_fill() -> None:
    """The properties above would hold of nothing at all; here something happens."""
    rng = np.random.default_rng(3)
    mid = np.round(100 + np.cumsum(rng.normal(0, 0.7, 200)), 2)
    ts = START + STEP * np.arange(200, dtype=np.int64)
    columns = BarColumns(
        A, Interval.MINUTE, ts, ts + STEP, mid, mid + 1, mid - 1, mid + 0.2, np.full(200, 90.0)
    )
    plan = {
        n: [(ACTIONS[n % 9], n % 2 == 0, 1 + n % 5, (n % 7 - 3) / 2, 0.5, n % 3 == 0, "ab"[n % 2])]
        for n in range(200)
    }
    backtest = run_plan([columns], plan, ExecutionModel(volume_share=0.1))
    kinds = {o.type for o in backtest.result.orders if o.traded}
    assert kinds == {OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT}
    assert len(backtest.result.trades) > 50
    assert isinstance(backtest.series[0].contract, ContractData)
