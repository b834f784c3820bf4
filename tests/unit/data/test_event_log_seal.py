"""Sealing: recorded ticks and bars as Parquet by day and instrument, again and again with one result."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.core.constants import NS_PER_DAY, NS_PER_MINUTE, Interval
from foxtrot.core.errors import MissingExtraError
from foxtrot.core.objects import BarData, LogData, TickData
from foxtrot.data import Catalog, TickColumns
from foxtrot.data.event_log import EventLogWriter, Segment, segments_of
from foxtrot.data.event_log_seal import SealReport, seal_market_data

pytest.importorskip("pyarrow")

T0 = 1_704_153_600_000_000_000
MILLI = 1_000_000
AAPL = "AAPL.NASDAQ"
Message = TickData | BarData | LogData

_DECODE = msgspec.msgpack.Decoder(TickData | BarData | LogData).decode


def decode(frame: bytes) -> object:
    _topic, _, payload = frame.partition(b"\0")
    return _DECODE(payload)


def tick(at: int, bid: float = 100.0, vt_symbol: str = AAPL, **fields: Any) -> TickData:
    return TickData(vt_symbol, T0 + at * MILLI, bid, bid + 1.0, 5.0, 6.0, **fields)


def bar(minute: int, close: float = 10.0, vt_symbol: str = AAPL) -> BarData:
    opened = T0 + minute * NS_PER_MINUTE
    return BarData(vt_symbol, opened, opened + NS_PER_MINUTE, close, close, close, close, 7.0)


def record(folder: Path, *segments: Iterable[Message]) -> list[Segment]:
    """Append messages, one segment after the other; returns all segments."""
    with EventLogWriter(folder) as log:
        for messages in segments:
            for message in messages:
                log.append(T0, b"topic\0" + msgspec.msgpack.encode(message))
            log.rotate()
    return segments_of(folder)


def seal(tmp_path: Path, segments: Iterable[Segment], **options: Any) -> SealReport:
    return seal_market_data(segments, tmp_path / "data", decode, **options)


def ticks_in(tmp_path: Path, vt_symbol: str = AAPL) -> list[tuple[int, float]]:
    columns = Catalog(tmp_path / "data").read(vt_symbol, "tick")
    assert isinstance(columns, TickColumns)
    times = ((columns.ts_event - T0) // MILLI).tolist()
    return list(zip(times, columns.bid_price_1.tolist(), strict=True))


def files(tmp_path: Path) -> dict[str, bytes]:
    root = tmp_path / "data"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_ticks_and_bars_are_read_by_the_catalog(tmp_path: Path) -> None:
    messages: list[Message] = [tick(0), bar(0), LogData("hello"), tick(5, last_price=3.0), bar(1)]
    report = seal(tmp_path, record(tmp_path / "log", messages))

    assert (report.rows, report.complete, report.undecodable) == (4, True, 0)
    assert ticks_in(tmp_path) == [(0, 100.0), (5, 100.0)]
    catalog = Catalog(tmp_path / "data")
    bars = catalog.read(AAPL, Interval.MINUTE)
    assert bars.ts_event.tolist() == [bar(0).ts_event, bar(1).ts_event]
    assert [(e.vt_symbol, e.interval, e.source) for e in catalog.list()] == [
        (AAPL, Interval.MINUTE, "recorded"),
        (AAPL, Interval.TICK, "recorded"),
    ]


def test_there_is_one_file_a_day_and_instrument(tmp_path: Path) -> None:
    day = NS_PER_DAY // MILLI
    messages = [tick(0), tick(day - 1), tick(day), tick(3, vt_symbol="IBM.NYSE")]
    report = seal(tmp_path, record(tmp_path / "log", messages))

    names = {path.relative_to(tmp_path / "data").parts for path in report.files}
    assert names == {
        ("ticks", AAPL, f"{T0}_{T0 + NS_PER_DAY - MILLI}.parquet"),
        ("ticks", AAPL, f"{T0 + NS_PER_DAY}_{T0 + NS_PER_DAY}.parquet"),
        ("ticks", "IBM.NYSE", f"{T0 + 3 * MILLI}_{T0 + 3 * MILLI}.parquet"),
    }


def test_sealing_again_changes_nothing(tmp_path: Path) -> None:
    segments = record(tmp_path / "log", [tick(0), bar(0), tick(0), tick(1)], [tick(1, 99.0)])
    seal(tmp_path, segments)
    before = files(tmp_path)

    for again in (segments, segments[:1], segments[1:], reversed(segments)):
        assert seal(tmp_path, again).complete
        assert files(tmp_path) == before


def test_segments_that_overlap_in_time_lose_nothing(tmp_path: Path) -> None:
    first, second = record(
        tmp_path / "log", [tick(0), tick(10), tick(20)], [tick(5), tick(20), tick(20, 99.0)]
    )
    seal(tmp_path, [first])
    seal(tmp_path, [second])

    assert ticks_in(tmp_path) == [(0, 100), (5, 100), (10, 100), (20, 100), (20, 99)]
    assert len(list((tmp_path / "data").rglob("*.parquet"))) == 1


def test_equal_ticks_of_one_segment_are_all_kept(tmp_path: Path) -> None:
    segments = record(tmp_path / "log", [tick(1), tick(1), tick(1)])
    for _ in range(2):
        seal(tmp_path, segments)

    assert ticks_in(tmp_path) == [(1, 100.0)] * 3


def test_a_tick_is_there_as_often_as_one_segment_has_it(tmp_path: Path) -> None:
    once, twice = record(tmp_path / "log", [tick(1)], [tick(1), tick(1)])
    for segment in (once, twice, once):
        seal(tmp_path, [segment])

    assert ticks_in(tmp_path) == [(1, 100.0)] * 2


def test_of_bars_with_one_open_the_last_stays(tmp_path: Path) -> None:
    segments = record(tmp_path / "log", [bar(0, 10.0), bar(0, 11.0)], [bar(1), bar(0, 12.0)])
    seal(tmp_path, segments[:1])
    seal(tmp_path, segments[1:])

    bars: Any = Catalog(tmp_path / "data").read(AAPL, "1m")
    assert bars.close_price.tolist() == [12.0, 10.0]


def test_a_seal_that_was_cut_off_is_mended_by_the_next(tmp_path: Path) -> None:
    segments = record(tmp_path / "log", [tick(2), tick(4)], [tick(1), tick(3)])
    seal(tmp_path, segments[:1])
    old = next((tmp_path / "data").rglob("*.parquet"))
    content = old.read_bytes()
    seal(tmp_path, segments)
    whole = files(tmp_path)
    old.write_bytes(content)  # the new file was there, and the old one not yet gone

    seal(tmp_path, segments[1:])

    assert files(tmp_path) == whole
    assert [at for at, _ in ticks_in(tmp_path)] == [1, 2, 3, 4]


def test_impossible_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    crossed = TickData(AAPL, T0, 10.0, 9.0)
    endless = tick(2, vt_symbol="IBM.NYSE", last_price=float("nan"))
    far = TickData("FAR.LOCAL", 2**63, 1.0, 2.0)
    report = seal(tmp_path, record(tmp_path / "log", [crossed, tick(1), endless, far]))

    assert dict(report.refused) == {
        f"{AAPL}: impossible values": 1,
        "IBM.NYSE: no good row": 1,
        "FAR.LOCAL: a time beyond the years 1678 to 2262": 1,
    }
    assert not report.complete
    assert ticks_in(tmp_path) == [(1, 100.0)]


def test_negative_prices_are_kept_where_they_are_accepted(tmp_path: Path) -> None:
    segments = record(tmp_path / "log", [tick(0, -30.0)])

    assert not seal(tmp_path, segments).complete
    for _ in range(2):
        assert seal(tmp_path, segments, allow_negative=True).complete
    assert ticks_in(tmp_path) == [(0, -30.0)]


def test_what_cannot_be_written_holds_up_nothing_else(tmp_path: Path) -> None:
    few = [np.array([1.0]) for _ in range(4)]
    Catalog(tmp_path / "data").write(TickColumns(AAPL, np.array([T0], np.int64), *few))
    report = seal(tmp_path, record(tmp_path / "log", [tick(5), tick(5, vt_symbol="IBM.NYSE")]))

    assert len(report.failed) == 1
    assert report.failed[0].startswith(f"{AAPL} tick: {AAPL}: files hold different columns")
    assert ticks_in(tmp_path, "IBM.NYSE") == [(5, 100.0)]


def test_frames_that_cannot_be_decoded_and_damage_are_told(tmp_path: Path) -> None:
    segments = record(tmp_path / "log", [tick(0), tick(1), tick(2)])
    path = segments[0].path
    data = bytearray(path.read_bytes())
    data[data.rindex(b"topic") - 3] ^= 1  # the last tick's record
    path.write_bytes(data)
    with EventLogWriter(tmp_path / "log") as log:
        log.append(T0, b"topic\0junk")

    report = seal(tmp_path, segments_of(tmp_path / "log"))

    assert (report.rows, report.undecodable, len(report.damage)) == (2, 1, 1)
    assert ticks_in(tmp_path) == [(0, 100.0), (1, 100.0)]


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), min_size=1, max_size=20),
    st.lists(st.integers(0, 20), max_size=3),
    st.integers(1, 7),
)
def test_however_it_is_cut_into_segments_and_pieces_every_tick_is_there(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int]],
    cuts: list[int],
    most_rows: int,
) -> None:
    tmp_path = tmp_path_factory.mktemp("seal")
    unique = [tick(at, bid + number / 100) for number, (at, bid) in enumerate(rows)]
    edges = sorted({0, len(unique), *(cut for cut in cuts if cut < len(unique))})
    parts = [unique[a:b] for a, b in pairwise(edges)]
    segments = record(tmp_path / "log", *parts)

    for segment in segments:
        seal(tmp_path, [segment], most_rows=most_rows)
    seal(tmp_path, segments)

    expected = sorted((at, bid + number / 100) for number, (at, bid) in enumerate(rows))
    assert sorted(ticks_in(tmp_path)) == expected


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = record(tmp_path / "log", [tick(0)])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(MissingExtraError, match=r"\[parquet\]"):
        seal(tmp_path, segments)
