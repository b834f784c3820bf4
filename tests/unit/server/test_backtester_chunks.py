"""A history that is read in chunks gives the same run as one in memory, and what is held of it stays flat."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from foxtrot.core.constants import NS_PER_DAY, NS_PER_HOUR, Interval
from foxtrot.core.errors import DataError
from foxtrot.data.catalog import Catalog
from foxtrot.data.columns import BarColumns
from foxtrot.data.series import CHUNK_ROWS, CatalogSeries
from foxtrot.indicators import SMA
from foxtrot.server.backtest import marks
from foxtrot.server.backtest.equity import bucketed, price_series
from foxtrot.server.backtest.marks import Marks, RecentBars
from foxtrot.strategy import Strategy
from tests.unit.server.test_backtester import Flips
from tests.unit.strategy.strategy_helpers import MINUTE, START, A, B, bars, engine, ticks, walk

pytest.importorskip("pyarrow")


class Remembers(Flips):
    """Trades, asks for history on the way, and declares an indicator."""

    def on_start(self) -> None:
        super().on_start()
        self.told = []
        self.indicator(SMA(20), vt_symbol=A)

    def on_bar(self, bar) -> None:
        super().on_bar(bar)
        if self.seen % 97 == 0:
            count = 700 if self.seen % 5 == 0 else 10
            past = self.history(count, vt_symbol=bar.vt_symbol)
            self.told.append((past[0].ts_event, past[-1].ts_event, len(past), past[-1].close_price))


def stored(tmp_path, *data):
    catalog = Catalog(tmp_path / "catalog")
    for columns in data:
        cut = len(columns) // 3
        catalog.write(columns.slice(0, cut))
        catalog.write(columns.slice(cut, len(columns)))
    return catalog


def ran(strategy_class, data, catalog=None, *, rows=None, **options):
    """Run on columns, or on the same rows of the catalog."""
    backtest = engine(**options)
    for columns in data:
        if catalog is None:
            backtest.load_data(columns)
        else:
            interval = columns.interval if isinstance(columns, BarColumns) else Interval.TICK
            backtest.load_data(catalog, vt_symbol=columns.vt_symbol, interval=interval)
    for loaded in backtest.series:
        if rows is not None and isinstance(loaded.series, CatalogSeries):
            loaded.series.rows = rows
    backtest.set_strategy(strategy_class, name="one")
    backtest.run_backtest()
    return backtest


def assert_same(one, other):
    first, second = one.result, other.result
    assert first.log_sha256 == second.log_sha256
    assert len(first.trades) > 10
    assert first.first_decision == second.first_decision
    assert first.events == second.events
    for name in ("ts", "equity", "exposure", "gross"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()
    for mine, yours in zip(first.prices, second.prices, strict=True):
        for name in ("ts_open", "ts_event", "open_price", "high_price", "low_price", "volume"):
            assert getattr(mine, name).tolist() == getattr(yours, name).tolist()
        assert mine.close_price.tolist() == yours.close_price.tolist()
    assert one.calculate_statistics().to_frame().equals(other.calculate_statistics().to_frame())


@pytest.mark.parametrize("warmup_until", [None, START + 700 * MINUTE, START + 900 * MINUTE + 1])
@pytest.mark.parametrize(
    "data",
    [
        (bars(walk(3000)),),
        (bars(walk(3000)), bars(walk(900, 2), B, step=3 * MINUTE)),
        (bars(walk(1500)), ticks(walk(6000, 1)), bars(walk(1500, 2), B)),
    ],
    ids=["one", "two", "bars and quotes"],
)
def test_a_run_in_chunks_is_the_run_in_memory(tmp_path, monkeypatch, data, warmup_until) -> None:
    monkeypatch.setattr(marks, "HISTORY_BARS", 300)
    catalog = stored(tmp_path, *data)
    whole = ran(Remembers, data, warmup_until=warmup_until)
    chunked = ran(Remembers, data, catalog, rows=137, warmup_until=warmup_until)
    assert_same(whole, chunked)
    told = [backtest.world.hosts[0].strategy.told for backtest in (whole, chunked)]
    assert len(told[0]) > 10
    assert told[0] == told[1]


def test_a_long_history_runs_through_a_bounded_number_of_rows(tmp_path, monkeypatch) -> None:
    """400,000 bars: at no moment are more than five chunks of them held, nor more points than allowed kept."""
    catalog = Catalog(tmp_path)
    catalog.write(bars(walk(400_000, price=10_000.0)))
    alive: dict[int, int] = {}
    most = 0
    read = Catalog.chunks

    def watched(self, *args, **options):
        nonlocal most
        for number, chunk in enumerate(read(self, *args, **options)):
            copy = chunk.take(np.arange(len(chunk)))
            alive[number] = len(copy)
            most = max(most, sum(alive.values()))
            weakref.finalize(copy.ts_event, alive.pop, number)
            yield copy

    monkeypatch.setattr(Catalog, "chunks", watched)
    monkeypatch.setattr(marks, "MAX_POINTS", 10_000)
    backtest = engine()
    backtest.load_data(catalog, vt_symbol=A, interval="1m")
    assert not alive
    backtest.set_strategy(Strategy)
    result = backtest.run_backtest()
    assert result.events == 400_000
    assert most <= 5 * CHUNK_ROWS
    assert 400_000 // 60 <= len(result.prices[0]) == len(result.ts) <= 400_000 // 60 + 2
    assert "one point an hour" in result.conventions[f"Marks {A} bars"]


@pytest.mark.parametrize(("limit", "bucket"), [(60, NS_PER_HOUR), (20, NS_PER_DAY)])
def test_marks_of_a_long_history_are_by_the_hour_or_the_day(tmp_path, monkeypatch, limit, bucket):
    data = bars(walk(3000))
    monkeypatch.setattr(marks, "MAX_POINTS", limit)
    whole, chunked = ran(Flips, (data,)), ran(Flips, (data,), stored(tmp_path, data), rows=137)
    assert whole.result.log_sha256 == chunked.result.log_sha256
    expected = bucketed(price_series(data), (data.ts_event - 1) // bucket)
    (found,) = chunked.result.prices
    for name in ("ts_open", "ts_event", "open_price", "high_price", "low_price", "close_price"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert found.volume.sum() == data.volume.sum()
    at = np.searchsorted(whole.result.ts, chunked.result.ts)
    assert chunked.result.equity.tolist() == whole.result.equity[at].tolist()


def test_quotes_cut_anywhere_make_the_same_minutes() -> None:
    data = ticks(walk(500))
    expected = price_series(data)
    for step in (1, 3, 7, 64, 500):
        found = Marks(data, 1000)
        for start in range(0, 500, step):
            found.add(data.slice(start, start + step))
        prices = found.prices()
        assert prices.high_price.tolist() == expected.high_price.tolist()
        assert prices.ts_open.tolist() == expected.ts_open.tolist()
        assert prices.ts_event.tolist() == expected.ts_event.tolist()


def test_history_beyond_what_is_kept_is_read_anew(monkeypatch) -> None:
    monkeypatch.setattr(marks, "HISTORY_BARS", 50)
    data = bars(walk(1000))
    recent = RecentBars(data)
    assert recent.newest(5, START, None) == []
    for start in range(0, 900, 10):
        recent.add(data.slice(start, start + 10))
    now = int(data.ts_event[894])
    for count in (1, 40, 51, 700, 895, 5000):
        found = recent.newest(count, now, Interval.MINUTE)
        assert [bar.ts_event for bar in found] == data.ts_event[max(0, 895 - count) : 895].tolist()
    assert recent.newest(5, now, Interval.HOUR) == []


def test_a_catalog_that_changes_after_loading_is_noticed(tmp_path) -> None:
    data = bars(walk(100))
    catalog = stored(tmp_path, data.slice(0, 90))
    backtest = engine()
    backtest.load_data(catalog, vt_symbol=A, interval="1m")
    backtest.set_strategy(Strategy)
    catalog.write(data.slice(90, 100))
    with pytest.raises(DataError, match="have changed since they were loaded; load them again"):
        backtest.run_backtest()


def test_an_empty_range_of_a_catalog_names_what_there_is(tmp_path) -> None:
    catalog = stored(tmp_path, bars(walk(100)))
    with pytest.raises(DataError, match="it holds 2023-11-14T22:14:00Z to"):
        engine().load_data(catalog, "2030-01-01", vt_symbol=A, interval="1m")
    loaded = engine().load_data(catalog, "2023-11-14T22:20:00Z", vt_symbol=A, interval="1m")
    assert len(loaded.columns) == len(loaded.series) == 94
