"""Bars out of ticks and out of smaller bars: what lies in a window, when it is finished, what is refused."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from foxtrot.core.constants import NS_PER_MINUTE, NS_PER_SECOND, Interval
from foxtrot.core.errors import ConfigError, DataError
from foxtrot.core.objects import BarData, SessionData, TickData, TradeTick
from foxtrot.data.aggregation import BarGenerator
from foxtrot.data.windows import Session

SYMBOL = "ES.CME"
NEW_YORK = "America/New_York"


def stamp(text: str, tz: str = "UTC", fold: int = 0) -> int:
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz), fold=fold)
    return int(moment.timestamp()) * NS_PER_SECOND


def bar(
    end: str | int, close: float = 1.0, tz: str = "UTC", minutes: int = 1, **more: float
) -> BarData:
    ts = stamp(end, tz) if isinstance(end, str) else end
    fields = {"open_price": close, "high_price": close, "low_price": close, "volume": 1.0} | more
    return BarData(
        SYMBOL,
        ts - minutes * NS_PER_MINUTE,
        ts,
        fields["open_price"],
        fields["high_price"],
        fields["low_price"],
        close,
        fields["volume"],
        turnover=fields.get("turnover", 0.0),
        open_interest=fields.get("open_interest", 0.0),
    )


def tick(ts: str | int, last: float = 0.0, **more: object) -> TickData:
    moment = stamp(ts) if isinstance(ts, str) else ts
    fields: dict[str, object] = {"bid_price_1": 0.0, "ask_price_1": 0.0} | more
    return TickData(SYMBOL, moment, last_price=last, **fields)  # type: ignore[arg-type]


def ends(bars: tuple[BarData, ...] | list[BarData]) -> list[int]:
    return [made.ts_event for made in bars]


class TestBarsOfBars:
    def test_five_minutes_are_finished_by_the_bar_that_ends_with_them(self) -> None:
        generator = BarGenerator("5m")
        start = stamp("2024-01-02 10:00")

        made = [
            generator.update_bar(
                bar(
                    start + k * NS_PER_MINUTE,
                    10.0 + k,
                    high_price=20.0 - k,
                    low_price=k / 10,
                    open_interest=float(k),
                    turnover=2.0,
                )
            )
            for k in range(1, 6)
        ]

        assert made[:4] == [()] * 4
        (whole,) = made[4]
        assert (whole.ts_open, whole.ts_event) == (start, start + 5 * NS_PER_MINUTE)
        assert (whole.open_price, whole.high_price, whole.low_price) == (11.0, 19.0, 0.1)
        assert (whole.close_price, whole.volume, whole.turnover) == (15.0, 5.0, 10.0)
        assert whole.open_interest == 5.0
        assert whole.interval is Interval.MINUTE_5
        assert whole.vt_symbol == SYMBOL

    def test_a_missing_minute_neither_shifts_nor_prolongs_a_window(self) -> None:
        generator = BarGenerator("5m")
        present = [1, 2, 4, 6, 8, 9, 11]  # minutes 5 and 10, the last of their windows, are missing

        made = [
            generator.update_bar(bar(f"2024-01-02 10:{minute:02}", float(minute)))
            for minute in present
        ]

        assert [len(bars) for bars in made] == [0, 0, 0, 1, 0, 0, 1]
        first, second = made[3][0], made[6][0]
        assert (first.ts_open, first.ts_event) == (
            stamp("2024-01-02 10:00"),
            stamp("2024-01-02 10:05"),
        )
        assert (first.close_price, first.volume) == (4.0, 3.0)
        assert first.ts_init == stamp("2024-01-02 10:06")
        assert (second.open_price, second.close_price, second.volume) == (6.0, 9.0, 3.0)

    def test_one_bar_may_end_a_gap_and_its_own_window(self) -> None:
        generator = BarGenerator("5m")
        generator.update_bar(bar("2024-01-02 10:03"))

        made = generator.update_bar(bar("2024-01-02 10:10"))

        assert ends(made) == [stamp("2024-01-02 10:05"), stamp("2024-01-02 10:10")]

    def test_gaps_are_filled_when_asked_for(self) -> None:
        heard: list[BarData] = []
        generator = BarGenerator("1m", heard.append, fill_gaps=True)
        generator.update_bar(bar("2024-01-02 10:01", 7.0))

        made = generator.update_bar(bar("2024-01-02 10:04", 9.0))
        flushed = generator.flush(stamp("2024-01-02 10:06") + 1)

        assert [(b.close_price, b.volume) for b in made] == [(7.0, 0.0), (7.0, 0.0), (9.0, 1.0)]
        assert [(b.open_price, b.volume) for b in flushed] == [(9.0, 0.0), (9.0, 0.0)]
        assert ends(heard) == [stamp(f"2024-01-02 10:0{k}") for k in range(1, 7)]

    def test_gaps_are_filled_inside_of_sessions_only(self) -> None:
        session = Session(dt.time(9, 30), dt.time(16))
        generator = BarGenerator("1h", session=session, fill_gaps=True)
        generator.update_bar(bar("2024-01-05 15:00", 7.0))  # a Friday

        made = generator.update_bar(bar("2024-01-08 11:00", 9.0))

        assert ends(made) == [
            stamp("2024-01-05 16:00"),
            stamp("2024-01-08 10:00"),
            stamp("2024-01-08 11:00"),
        ]

    def test_the_timer_finishes_a_window_only_after_its_last_bar_may_have_come(self) -> None:
        generator = BarGenerator("5m")
        generator.update_bar(bar("2024-01-02 10:03"))
        end = stamp("2024-01-02 10:05")

        assert generator.flush(end) == ()
        assert ends(generator.flush(end + 1)) == [end]
        with pytest.raises(DataError, match=r"10:05:00.*came after.*10:05:00"):
            generator.update_bar(bar("2024-01-02 10:05"))

    def test_close_gives_the_unfinished_bar_and_the_rest_does_not_overlap(self) -> None:
        generator = BarGenerator("5m")
        generator.update_bar(bar("2024-01-02 10:03"))

        (partial,) = generator.close()
        (rest,) = generator.update_bar(bar("2024-01-02 10:05"))

        assert generator.close() == ()
        assert (partial.ts_open, partial.ts_event) == (
            stamp("2024-01-02 10:00"),
            stamp("2024-01-02 10:03"),
        )
        assert (rest.ts_open, rest.ts_event) == (partial.ts_event, stamp("2024-01-02 10:05"))

    def test_generators_chain_through_callbacks(self) -> None:
        hours: list[BarData] = []
        hour = BarGenerator("1h", hours.append)
        five = BarGenerator("5m", hour.update_bar)

        for minute in range(1, 61):
            five.update_bar(bar(stamp("2024-01-02 10:00") + minute * NS_PER_MINUTE))

        assert [(b.volume, b.interval) for b in hours] == [(60.0, Interval.HOUR)]

    def test_input_out_of_order_is_refused_with_both_stamps(self) -> None:
        generator = BarGenerator("5m")
        generator.update_bar(bar("2024-01-02 10:03"))

        with pytest.raises(DataError, match=r"2024-01-02T10:02:00.*after 2024-01-02T10:03:00"):
            generator.update_bar(bar("2024-01-02 10:02"))
        with pytest.raises(DataError, match="each stamp of a bar once"):
            generator.update_bar(bar("2024-01-02 10:03"))

    def test_another_instrument_nan_and_straddling_bars_are_refused(self) -> None:
        generator = BarGenerator("5m")
        generator.update_bar(bar("2024-01-02 10:03"))

        with pytest.raises(DataError, match="was given NQ"):
            generator.update_bar(
                BarData("NQ.CME", 0, stamp("2024-01-02 10:04"), 1.0, 1.0, 1.0, 1.0)
            )
        with pytest.raises(DataError, match="NaN"):
            generator.update_bar(bar("2024-01-02 10:04", float("nan")))
        with pytest.raises(DataError, match="begins before the window"):
            generator.update_bar(bar("2024-01-02 10:07", minutes=5))
        assert generator.close()[0].volume == 1.0


class TestTicks:
    def test_left_closed_windows_are_finished_by_the_next_tick(self) -> None:
        generator = BarGenerator("1m")
        generator.update_tick(tick("2024-01-02 10:00:00", 5.0, volume=100.0))
        generator.update_tick(tick("2024-01-02 10:00:59", 6.0, volume=103.0))

        (made,) = generator.update_tick(tick("2024-01-02 10:01:00", 7.0, volume=110.0))

        assert (made.open_price, made.close_price, made.volume) == (5.0, 6.0, 3.0)
        assert made.ts_event == stamp("2024-01-02 10:01:00")
        assert ends(generator.flush(stamp("2024-01-02 10:02:00"))) == [stamp("2024-01-02 10:02:00")]

    def test_right_closed_windows_are_finished_by_the_tick_at_their_end(self) -> None:
        generator = BarGenerator("1m", closed="right", price="mid")
        quotes = [("10:00:00", 1.0), ("10:00:01", 2.0), ("10:01:00", 3.0), ("10:01:00", 4.0)]

        made = [
            generator.update_tick(
                tick(f"2024-01-02 {at}", bid_price_1=price - 0.5, ask_price_1=price + 0.5)
            )
            for at, price in quotes
        ]

        assert [b.open_price for b in made[0]] == [1.0]  # 10:00:00 ends the window before
        assert [(b.open_price, b.close_price) for b in made[2]] == [(2.0, 3.0)]
        assert made[3] == ()
        assert generator.flush(stamp("2024-01-02 10:02:00")) == ()
        assert generator.flush(stamp("2024-01-02 10:02:00") + 1)[0].open_price == 4.0

    def test_right_closed_windows_are_finished_by_a_later_tick_too(self) -> None:
        generator = BarGenerator("1m", closed="right")
        generator.update_tick(tick("2024-01-02 10:00:01", 2.0))

        assert ends(generator.update_tick(tick("2024-01-02 10:01:01", 3.0))) == [
            stamp("2024-01-02 10:01:00")
        ]

    @pytest.mark.parametrize(("price", "expected"), [("bid", 9.0), ("ask", 11.0), ("mid", 10.0)])
    def test_the_price_is_chosen(self, price: str, expected: float) -> None:
        generator = BarGenerator("1m", price=price)
        generator.update_tick(tick("2024-01-02 10:00", 5.0, bid_price_1=9.0, ask_price_1=11.0))

        assert generator.close()[0].close_price == expected

    def test_a_tick_without_price_only_moves_the_clock_and_its_volume_is_kept(self) -> None:
        generator = BarGenerator("1m", volume="last", price="bid")
        generator.update_tick(tick("2024-01-02 10:00", bid_price_1=1.0, last_volume=1.0))

        (first,) = generator.update_tick(tick("2024-01-02 10:01", last_volume=2.0))
        generator.update_tick(tick("2024-01-02 10:01:30", bid_price_1=3.0, last_volume=4.0))

        assert first.volume == 1.0
        assert generator.close()[0].volume == 6.0

    def test_a_fall_of_the_cumulative_volume_starts_a_new_day(self) -> None:
        generator = BarGenerator("1h")
        day = [(50.0, 500.0), (60.0, 620.0), (4.0, 40.0), (5.0, 52.0)]
        for minute, (volume, turnover) in enumerate(day):
            session = SessionData(turnover=turnover, open_interest=float(minute))
            generator.update_tick(
                tick(f"2024-01-02 10:0{minute}", 10.0, volume=volume, session=session)
            )

        (made,) = generator.close()

        assert (made.volume, made.turnover, made.open_interest) == (15.0, 172.0, 3.0)

    def test_turnover_is_only_that_of_the_ticks_that_tell_it(self) -> None:
        generator = BarGenerator("1h")
        for minute, turnover in enumerate([100.0, None, 130.0]):
            session = None if turnover is None else SessionData(turnover=turnover)
            generator.update_tick(tick(f"2024-01-02 10:0{minute}", 1.0, session=session))

        assert generator.close()[0].turnover == 30.0

    def test_trades_make_bars(self) -> None:
        generator = BarGenerator("1s", closed="right")
        start = stamp("2024-01-02 10:00")
        generator.update_trade(TradeTick(SYMBOL, start + 1, 10.0, 2.0))

        (made,) = generator.update_trade(TradeTick(SYMBOL, start + NS_PER_SECOND, 11.0, 3.0))

        assert (made.volume, made.turnover, made.interval) == (5.0, 53.0, Interval.SECOND)

    def test_ticks_may_share_a_stamp_but_not_go_back(self) -> None:
        generator = BarGenerator("1m")
        generator.update_tick(tick("2024-01-02 10:00:02", 1.0))
        generator.update_tick(tick("2024-01-02 10:00:02", 2.0))

        with pytest.raises(DataError, match=r"10:00:01.*after.*10:00:02"):
            generator.update_tick(tick("2024-01-02 10:00:01", 3.0))
        with pytest.raises(DataError, match="NaN"):
            generator.update_tick(tick("2024-01-02 10:00:03", float("nan")))
        with pytest.raises(DataError, match="NaN"):
            generator.update_trade(
                TradeTick(SYMBOL, stamp("2024-01-02 10:00:03"), 1.0, float("inf"))
            )

    def test_ticks_outside_of_the_session_are_refused_or_counted(self) -> None:
        session = Session(dt.time(9, 30), dt.time(16))
        strict = BarGenerator("1h", session=session, tz=NEW_YORK)
        lenient = BarGenerator("1h", session=session, tz=NEW_YORK, outside="skip")
        early = tick(stamp("2024-01-02 09:29", NEW_YORK), 1.0, volume=5.0)
        inside = tick(stamp("2024-01-02 09:31", NEW_YORK), 2.0, volume=7.0)
        late = tick(stamp("2024-01-02 16:00", NEW_YORK), 3.0, volume=9.0)

        with pytest.raises(DataError, match="outside of the session"):
            strict.update_tick(early)
        made = [lenient.update_tick(one) for one in (early, inside, late)]

        assert [len(bars) for bars in made] == [0, 0, 1]
        assert made[2][0].volume == 2.0
        assert made[2][0].ts_open == stamp("2024-01-02 09:30", NEW_YORK)
        assert lenient.skipped == 2

    def test_trades_and_bars_outside_of_the_session_are_counted_too(self) -> None:
        generator = BarGenerator("1h", session=Session(dt.time(9), dt.time(16)), outside="skip")

        generator.update_trade(TradeTick(SYMBOL, stamp("2024-01-02 08:00"), 1.0, 1.0))
        generator.update_bar(bar("2024-01-02 08:30"))

        assert generator.skipped == 2
        assert generator.close() == ()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"span": "5"}, "30s, 5m"),
        ({"span": "2d"}, "1d or 1w"),
        ({"span": "tick"}, "window of time"),
        ({"span": "0m"}, "window of time"),
        ({"span": "25h"}, "longer than a day"),
        ({"tz": "Mars/Olympus"}, "IANA"),
        ({"anchor": "noon"}, "anchor"),
        ({"last_weekday": 7}, "last_weekday"),
        ({"closed": "both"}, "closed"),
        ({"price": "high"}, "price"),
        ({"volume": "all"}, "volume"),
        ({"outside": "drop"}, "outside"),
        ({"span": "1d", "fill_gaps": True}, "fill_gaps"),
    ],
)
def test_a_wrong_setting_is_named(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        BarGenerator(**({"span": "1m"} | arguments))  # type: ignore[arg-type]


def test_weekdays_of_a_session_are_checked() -> None:
    with pytest.raises(ConfigError, match="weekdays"):
        Session(dt.time(9), dt.time(16), days=(7,))
