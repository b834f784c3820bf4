"""Windows by the clock: changes of clocks, night sessions, weeks."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from foxtrot.core.constants import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from foxtrot.core.objects import BarData
from foxtrot.data.aggregation import BarGenerator
from foxtrot.data.windows import Session, Window, WindowSchedule

NEW_YORK = "America/New_York"
SHANGHAI = "Asia/Shanghai"
SPRING = dt.date(2024, 3, 10)  # New York: 02:00 EST becomes 03:00 EDT
AUTUMN = dt.date(2024, 11, 3)  # New York: 02:00 EDT becomes 01:00 EST
NIGHT = Session(dt.time(21), dt.time(15))


def at(text: str, tz: str, fold: int = 0) -> int:
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz), fold=fold)
    return int(moment.timestamp()) * NS_PER_SECOND


def day_of_windows(schedule: WindowSchedule, start: int, end: int) -> list[Window]:
    windows = []
    while start < end:
        window = schedule.find(start)
        assert window is not None and window.start == start
        windows.append(window)
        start = window.end
    return windows


def shown(window: Window, tz: str) -> tuple[str, str]:
    return tuple(  # type: ignore[return-value]
        dt.datetime.fromtimestamp(ts / NS_PER_SECOND, ZoneInfo(tz)).strftime("%a %H:%M")
        for ts in (window.start, window.end)
    )


class TestChangeOfClocks:
    @pytest.mark.parametrize(
        ("day", "hours"), [(SPRING, 23), (AUTUMN, 25), (dt.date(2024, 5, 5), 24)]
    )
    @pytest.mark.parametrize(("span", "each"), [("1h", 1), ("1m", 60), ("15m", 4), ("30s", 120)])
    def test_a_day_has_the_windows_of_its_hours(
        self, day: dt.date, hours: int, span: str, each: int
    ) -> None:
        schedule = WindowSchedule(span, tz=NEW_YORK)
        start, end = at(f"{day} 00:00", NEW_YORK), at(f"{day + dt.timedelta(1)} 00:00", NEW_YORK)

        windows = day_of_windows(schedule, start, end)

        assert len(windows) == hours * each
        assert {w.end - w.start for w in windows} == {NS_PER_HOUR // each}

    @pytest.mark.parametrize(
        ("day", "first", "hours"),
        [(SPRING, 3, [3, 4, 4, 4, 4, 4]), (AUTUMN, 5, [5, 4, 4, 4, 4, 4])],
    )
    def test_long_windows_keep_to_the_local_clock(
        self, day: dt.date, first: int, hours: list[int]
    ) -> None:
        schedule = WindowSchedule("4h", tz=NEW_YORK)
        start, end = at(f"{day} 00:00", NEW_YORK), at(f"{day + dt.timedelta(1)} 00:00", NEW_YORK)

        windows = day_of_windows(schedule, start, end)

        assert [(w.end - w.start) // NS_PER_HOUR for w in windows] == hours

    def test_a_boundary_that_the_clock_jumps_over_is_the_jump(self) -> None:
        schedule = WindowSchedule("2h", tz=NEW_YORK)
        windows = day_of_windows(
            schedule, at("2024-03-10 00:00", NEW_YORK), at("2024-03-11 00:00", NEW_YORK)
        )

        assert [shown(w, NEW_YORK) for w in windows[:3]] == [
            ("Sun 00:00", "Sun 03:00"),
            ("Sun 03:00", "Sun 04:00"),
            ("Sun 04:00", "Sun 06:00"),
        ]

    def test_a_boundary_that_the_clock_shows_twice_counts_twice(self) -> None:
        schedule = WindowSchedule("45m", tz=NEW_YORK)
        windows = day_of_windows(
            schedule, at("2024-11-03 00:00", NEW_YORK), at("2024-11-04 00:00", NEW_YORK)
        )

        lengths = [(w.end - w.start) // NS_PER_MINUTE for w in windows[:5]]
        assert lengths == [45, 45, 60, 45, 45]
        assert [shown(w, NEW_YORK)[0] for w in windows[:4]] == [
            "Sun 00:00",
            "Sun 00:45",
            "Sun 01:30",
            "Sun 01:30",
        ]

    @pytest.mark.parametrize(
        ("zone", "day"),
        [
            (NEW_YORK, "2024-03-10"),
            (NEW_YORK, "2024-11-03"),
            ("Australia/Lord_Howe", "2024-04-07"),  # by half an hour
            ("Australia/Lord_Howe", "2024-10-06"),
            ("America/Sao_Paulo", "2018-11-04"),  # at midnight
            ("America/Sao_Paulo", "2018-02-17"),
            ("America/Havana", "2024-11-03"),  # midnight is shown twice
            ("Asia/Kathmandu", "2024-05-05"),  # a quarter of an hour
        ],
    )
    @pytest.mark.parametrize("minutes", [1, 7, 15, 20, 45, 60, 90, 120, 240, 420])
    def test_boundaries_are_what_a_clock_on_the_wall_shows(
        self, zone: str, day: str, minutes: int
    ) -> None:
        schedule = WindowSchedule(f"{minutes}m", tz=zone)
        tomorrow = dt.date.fromisoformat(day) + dt.timedelta(1)
        start, end = at(f"{day} 00:00", zone), at(f"{tomorrow} 00:00", zone)

        def shown_minute(ts: int) -> int:
            local = dt.datetime.fromtimestamp(ts // NS_PER_SECOND, ZoneInfo(zone))
            return local.hour * 60 + local.minute

        expected = [start]
        for ts in range(start + NS_PER_MINUTE, end, NS_PER_MINUTE):
            before, now = shown_minute(ts - NS_PER_MINUTE), shown_minute(ts)
            passed = range(before + 1, now + 1) if now > before else [now]
            if any(minute % minutes == 0 for minute in passed):
                expected.append(ts)

        windows = day_of_windows(schedule, start, end)

        assert [window.start for window in windows] == expected
        assert windows[-1].end == end

    def test_a_clock_that_jumps_at_midnight_starts_the_day_after_the_jump(self) -> None:
        zone = "America/Sao_Paulo"  # 2018-11-04 00:00 became 01:00
        schedule = WindowSchedule("2h", tz=zone)
        start, end = at("2018-11-04 01:00", zone), at("2018-11-05 00:00", zone)

        windows = day_of_windows(schedule, start, end)

        assert [w.end - w.start for w in windows] == [NS_PER_HOUR] + [2 * NS_PER_HOUR] * 11

    def test_a_clock_that_goes_back_at_midnight_prolongs_the_day_before(self) -> None:
        zone = "America/Sao_Paulo"  # 2019-02-17 00:00 became 23:00 of the 16th
        start, end = at("2019-02-16 00:00", zone), at("2019-02-17 00:00", zone)

        assert end - start == 25 * NS_PER_HOUR
        assert len(day_of_windows(WindowSchedule("1h", tz=zone), start, end)) == 25
        assert WindowSchedule("1d", tz=zone).find(end - 1) == Window(start, end, start, end)

    @pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25)])
    def test_a_daily_bar_is_the_local_day(self, day: dt.date, hours: int) -> None:
        made: list[BarData] = []
        generator = BarGenerator("1d", made.append, tz=NEW_YORK)
        start = at(f"{day} 00:00", NEW_YORK)

        for hour in range(hours):
            opened = start + hour * NS_PER_HOUR
            generator.update_bar(BarData("A.LOCAL", opened, opened + NS_PER_HOUR, 1, 1, 1, 1, 1.0))

        assert [(b.ts_open, b.ts_event, b.volume) for b in made] == [
            (start, start + hours * NS_PER_HOUR, float(hours))
        ]

    def test_a_session_across_the_change_keeps_its_local_hours(self) -> None:
        session = Session(dt.time(18), dt.time(17), days=(0, 1, 2, 3, 4, 6))
        schedule = WindowSchedule("4h", tz=NEW_YORK, session=session, anchor="session")

        windows = day_of_windows(
            schedule, at("2024-11-02 18:00", NEW_YORK), at("2024-11-03 17:00", NEW_YORK)
        )

        assert [shown(w, NEW_YORK)[0][4:] for w in windows] == [
            "18:00",
            "22:00",
            "02:00",
            "06:00",
            "10:00",
            "14:00",
        ]


class TestSessions:
    def test_windows_from_midnight_are_cut_at_open_and_close(self) -> None:
        schedule = WindowSchedule("1h", tz=NEW_YORK, session=Session(dt.time(9, 30), dt.time(16)))
        windows = day_of_windows(
            schedule, at("2024-01-02 09:30", NEW_YORK), at("2024-01-02 16:00", NEW_YORK)
        )

        assert shown(windows[0], NEW_YORK) == ("Tue 09:30", "Tue 10:00")
        assert shown(windows[-1], NEW_YORK) == ("Tue 15:00", "Tue 16:00")
        assert schedule.find(at("2024-01-02 16:00", NEW_YORK)) is None

    def test_windows_from_the_open_end_with_a_short_one(self) -> None:
        schedule = WindowSchedule(
            "1h", tz=NEW_YORK, session=Session(dt.time(9, 30), dt.time(16)), anchor="session"
        )
        windows = day_of_windows(
            schedule, at("2024-01-02 09:30", NEW_YORK), at("2024-01-02 16:00", NEW_YORK)
        )

        assert shown(windows[0], NEW_YORK) == ("Tue 09:30", "Tue 10:30")
        assert shown(windows[-1], NEW_YORK) == ("Tue 15:30", "Tue 16:00")

    def test_seven_hour_windows_start_anew_at_the_midnight_inside_of_a_night_session(self) -> None:
        schedule = WindowSchedule("7h", tz=SHANGHAI, session=NIGHT)
        windows = day_of_windows(
            schedule, at("2024-05-13 21:00", SHANGHAI), at("2024-05-14 15:00", SHANGHAI)
        )

        assert [shown(w, SHANGHAI)[0] for w in windows] == [
            "Mon 21:00",
            "Tue 00:00",
            "Tue 07:00",
            "Tue 14:00",
        ]

    @pytest.mark.parametrize(
        ("moment", "closes"),
        [
            ("2024-05-14 21:00", "2024-05-15 15:00"),  # Tuesday night: Wednesday
            ("2024-05-15 01:00", "2024-05-15 15:00"),
            ("2024-05-15 14:59", "2024-05-15 15:00"),
            ("2024-05-17 21:00", "2024-05-20 15:00"),  # Friday night: Monday
            ("2024-05-18 02:00", "2024-05-20 15:00"),
            ("2024-05-19 22:00", "2024-05-20 15:00"),  # Sunday night: Monday
        ],
    )
    def test_a_night_session_belongs_to_the_next_trading_day(
        self, moment: str, closes: str
    ) -> None:
        schedule = WindowSchedule("1d", tz=SHANGHAI, session=NIGHT)

        window = schedule.find(at(moment, SHANGHAI))

        assert window is not None
        assert window.end == at(closes, SHANGHAI)

    def test_a_holiday_is_no_trading_day(self) -> None:
        session = Session(dt.time(21), dt.time(15), holidays=frozenset({dt.date(2024, 5, 20)}))
        schedule = WindowSchedule("1d", tz=SHANGHAI, session=session)

        window = schedule.find(at("2024-05-17 21:00", SHANGHAI))

        assert window is not None
        assert window.end == at("2024-05-21 15:00", SHANGHAI)

    def test_friday_night_and_monday_make_one_daily_bar(self) -> None:
        generator = BarGenerator("1d", tz=SHANGHAI, session=NIGHT)
        parts = ["2024-05-17 21:05", "2024-05-18 02:30", "2024-05-20 09:05", "2024-05-20 15:00"]

        made = []
        for text in parts:
            ts = at(text, SHANGHAI)
            made += generator.update_bar(
                BarData("RB.SHFE", ts - NS_PER_MINUTE, ts, 1, 1, 1, 1, 1.0)
            )

        assert [(b.ts_open, b.ts_event, b.volume) for b in made] == [
            (at("2024-05-17 21:00", SHANGHAI), at("2024-05-20 15:00", SHANGHAI), 4.0)
        ]

    def test_off_hours_inside_of_a_long_window_are_outside(self) -> None:
        generator = BarGenerator("1w", tz=SHANGHAI, session=NIGHT, outside="skip")
        for text in ("2024-05-14 14:00", "2024-05-14 18:00", "2024-05-14 22:00"):
            ts = at(text, SHANGHAI)
            generator.update_bar(BarData("RB.SHFE", ts - NS_PER_MINUTE, ts, 1, 1, 1, 1, 1.0))

        assert generator.skipped == 1
        assert generator.close()[0].volume == 2.0

    def test_a_close_at_midnight_is_the_end_of_the_day(self) -> None:
        schedule = WindowSchedule("1d", session=Session(dt.time(8), dt.time(0)))

        window = schedule.find(at("2024-05-14 23:59", "UTC"))

        assert window is not None
        assert shown(window, "UTC") == ("Tue 08:00", "Wed 00:00")


class TestWeeks:
    def daily(self, day: str) -> BarData:
        start = at(f"{day} 00:00", NEW_YORK)
        end = at(f"{dt.date.fromisoformat(day) + dt.timedelta(1)} 00:00", NEW_YORK)
        return BarData("A.LOCAL", start, end, 1, 1, 1, 1, 1.0)

    def test_a_week_is_finished_by_its_friday(self) -> None:
        generator = BarGenerator("1w", tz=NEW_YORK)
        days = [f"2024-03-{day:02}" for day in (4, 5, 6, 7, 8)]

        made = [generator.update_bar(self.daily(day)) for day in days]

        assert [len(bars) for bars in made] == [0, 0, 0, 0, 1]
        assert made[4][0].ts_open == at("2024-03-02 00:00", NEW_YORK)
        assert made[4][0].ts_event == at("2024-03-09 00:00", NEW_YORK)

    def test_a_week_whose_friday_is_a_holiday_still_ends_on_it(self) -> None:
        generator = BarGenerator("1w", tz=NEW_YORK)  # 2024-03-29 was Good Friday
        for day in (25, 26, 27, 28):
            assert generator.update_bar(self.daily(f"2024-03-{day}")) == ()

        made = generator.update_bar(self.daily("2024-04-01"))

        assert [(b.ts_event, b.volume) for b in made] == [(at("2024-03-30 00:00", NEW_YORK), 4.0)]

    def test_a_week_ends_with_the_session_of_the_chosen_day(self) -> None:
        session = Session(dt.time(9, 30), dt.time(16))
        friday = WindowSchedule("1w", tz=NEW_YORK, session=session)
        sunday = WindowSchedule("1w", tz=NEW_YORK, last_weekday=6)
        moment = at("2024-03-06 12:00", NEW_YORK)

        by_friday, by_sunday = friday.find(moment), sunday.find(moment)

        assert by_friday is not None and by_sunday is not None
        assert shown(by_friday, NEW_YORK) == ("Sat 09:30", "Fri 16:00")
        assert shown(by_sunday, NEW_YORK) == ("Mon 00:00", "Mon 00:00")
        assert by_sunday.end - by_sunday.start == (7 * 24 - 1) * NS_PER_HOUR  # clocks change

    def test_friday_night_belongs_to_the_next_week(self) -> None:
        schedule = WindowSchedule("1w", tz=SHANGHAI, session=NIGHT)

        window = schedule.find(at("2024-05-17 22:00", SHANGHAI))

        assert window is not None
        assert window.start == at("2024-05-17 21:00", SHANGHAI)
        assert window.end == at("2024-05-24 15:00", SHANGHAI)
