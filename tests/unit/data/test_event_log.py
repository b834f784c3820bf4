"""The event log: appending, rotation, syncing, and what is left after a crash."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.core.errors import DataError, PersistenceError
from foxtrot.data import event_log
from foxtrot.data.event_log import EventLogReader, EventLogWriter, prune_segments, segments_of
from foxtrot.data.event_log_format import FOOTER_SIZE, scan, segment_of

T0 = 1_704_153_600_000_000_000
SECOND = 1_000_000_000


def frame(number: int) -> bytes:
    return b"eTick.AAPL.NASDAQ\0" + bytes(range(number % 40)) + str(number).encode()


def fill(folder: Path, count: int, first: int = 0, **options: Any) -> None:
    with EventLogWriter(folder, **options) as log:
        for number in range(first, first + count):
            log.append(T0 + number * SECOND, frame(number))


def read(folder: Path, **options: Any) -> list[bytes]:
    return [data for _, data in EventLogReader(folder, **options).frames()]


def crashed(folder: Path, count: int = 3) -> Path:
    """The segment of a writer that was killed after a flush."""
    log = EventLogWriter(folder)
    for number in range(count):
        log.append(T0 + number, frame(number))
    log.flush()
    assert log.segment is not None
    os.close(log._fd)
    os.close(log._lock)
    log._fd = log._lock = -1
    return log.segment.path


# --- writing and reading --------------------------------------------------------------------------------------


def test_frames_are_read_as_they_were_appended(tmp_path: Path) -> None:
    fill(tmp_path / "log", 5)

    records = list(EventLogReader(tmp_path / "log").records())
    assert [(r.ts, r.frame, r.seq) for r in records] == [
        (T0 + n * SECOND, frame(n), n + 1) for n in range(5)
    ]


def test_any_msgpack_reader_can_walk_a_segment(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    data = segments_of(tmp_path)[0].path.read_bytes()

    found = [(chr(one.code), msgpack.unpackb(one.data[4:])) for one in _walk(data)]
    assert found == [
        ("H", ["foxtrot events", 1, 1, T0]),
        ("R", [1, T0, frame(0)]),
        ("R", [2, T0 + SECOND, frame(1)]),
        ("Z", [2, 2, T0, T0 + SECOND]),
    ]


def _walk(data: bytes) -> msgpack.Unpacker:
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    unpacker.feed(data)
    return unpacker


def test_files_are_private_and_named_by_time(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    fill(folder, 4, segment_bytes=1)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    names = [segment.path.name for segment in segments_of(folder)]
    assert names == sorted(names)
    assert names[0] == f"0{T0}-0000000000000001.events"


def test_bounds_are_from_start_to_before_end(tmp_path: Path) -> None:
    fill(tmp_path, 10, segment_bytes=150)
    reader = EventLogReader(tmp_path)

    assert len(reader.segments()) > 3
    assert [d for _, d in reader.frames(T0 + 3 * SECOND, T0 + 6 * SECOND)] == [
        frame(3),
        frame(4),
        frame(5),
    ]
    assert [d for _, d in reader.frames(start=T0 + 8 * SECOND)] == [frame(8), frame(9)]


def test_a_log_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    with EventLogWriter(tmp_path) as log:
        log.append(T0, frame(0))
        assert read(tmp_path) == []
        log.flush()
        assert read(tmp_path) == [frame(0)]


def test_a_frame_may_be_as_large_as_several_pieces_of_the_file(tmp_path: Path) -> None:
    large = os.urandom(1 << 20) * 3
    with EventLogWriter(tmp_path) as log:
        for data in (b"a", large, b"b", large):
            log.append(T0, data)

    assert read(tmp_path) == [b"a", large, b"b", large]


def test_a_frame_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foxtrot.data.event_log_format.MOST_BODY", 1_000)
    with EventLogWriter(tmp_path) as log:
        log.append(T0, b"a")
        with pytest.raises(DataError, match="a frame of 1,000 bytes is too large"):
            log.append(T0, bytes(1_000))
        assert log.append(T0, b"b") == 2

    assert read(tmp_path) == [b"a", b"b"]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=300)), max_size=20),
    st.integers(1, 900),
    st.lists(st.integers(0, 20), max_size=3),
)
def test_whatever_is_appended_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    frames: list[tuple[int, bytes]],
    size: int,
    reopened: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = EventLogWriter(folder, segment_bytes=size)
    for number, (ts, data) in enumerate(frames):
        if number in reopened:
            log.close()
            log = EventLogWriter(folder, segment_bytes=size)
        assert log.append(ts, data) == number + 1
    log.close()

    assert list(EventLogReader(folder).frames()) == frames
    names = [segment.first_seq for segment in segments_of(folder)]
    assert names == sorted(names)


# --- rotation and syncing -------------------------------------------------------------------------------------


def test_a_new_segment_begins_by_size(tmp_path: Path) -> None:
    fill(tmp_path, 30, segment_bytes=500)

    sizes = [segment.path.stat().st_size - FOOTER_SIZE for segment in segments_of(tmp_path)]
    assert len(sizes) > 2
    assert max(sizes) <= 500
    assert read(tmp_path) == [frame(n) for n in range(30)]


def test_a_new_segment_begins_by_time_even_when_nothing_comes(tmp_path: Path) -> None:
    with EventLogWriter(tmp_path, segment_span=10 * SECOND) as log:
        log.append(T0, b"a")
        log.tick(T0 + 9 * SECOND)
        assert log.segment is not None
        log.tick(T0 + 10 * SECOND)
        assert log.segment is None
        assert segments_of(tmp_path)[0].footer() is not None
        log.append(T0 + 30 * SECOND, b"b")

    assert [s.created for s in segments_of(tmp_path)] == [T0, T0 + 30 * SECOND]


def test_where_the_clock_steps_back_names_still_sort_as_the_frames_came(tmp_path: Path) -> None:
    with EventLogWriter(tmp_path, segment_bytes=1) as log:
        for ts in (T0, T0 - 50 * SECOND, T0 - 60 * SECOND):
            log.append(ts, str(ts).encode())

    frames = list(EventLogReader(tmp_path).frames())
    assert [ts for ts, _ in frames] == [T0, T0 - 50 * SECOND, T0 - 60 * SECOND]
    assert [s.created for s in segments_of(tmp_path)] == [T0, T0 + 1, T0 + 2]
    bounded = EventLogReader(tmp_path).frames(T0 - 55 * SECOND, T0 - 45 * SECOND)
    assert [ts for ts, _ in bounded] == [T0 - 50 * SECOND]


def test_syncing_follows_its_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd)))
    log = EventLogWriter(tmp_path, sync_interval=SECOND)
    log.append(T0, b"a")
    before = len(synced)

    log.tick(T0 + SECOND - 1)
    assert len(synced) == before
    log.tick(T0 + SECOND)
    assert len(synced) == before + 1
    log.tick(T0 + 9 * SECOND)  # nothing new
    assert len(synced) == before + 1
    log.append(T0 + 9 * SECOND, b"b")
    log.tick(T0)  # a clock that stepped back does not hold it up
    log.tick(T0 + SECOND)
    assert len(synced) == before + 2
    log.close()
    assert len(synced) == before + 3


def test_one_process_writes(tmp_path: Path) -> None:
    with EventLogWriter(tmp_path), pytest.raises(PersistenceError, match="another process writes"):
        EventLogWriter(tmp_path)
    EventLogWriter(tmp_path).close()


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = EventLogWriter(tmp_path)
    log.close()
    log.close()

    with pytest.raises(PersistenceError, match="was closed"):
        log.append(T0, b"a")


# --- crashes --------------------------------------------------------------------------------------------------


def test_a_cut_at_any_byte_of_the_last_record_loses_only_that_record(tmp_path: Path) -> None:
    whole = crashed(tmp_path / "first").read_bytes()
    shorter = crashed(tmp_path / "second", 2).read_bytes()
    assert whole.startswith(shorter)
    name = segments_of(tmp_path / "first")[0].path.name

    for length in range(len(shorter), len(whole)):
        folder = tmp_path / f"cut-{length}"
        folder.mkdir()
        (folder / name).write_bytes(whole[:length])

        assert read(folder) == [frame(0), frame(1)]
        with EventLogWriter(folder) as log:
            assert log.recovery.truncated == length - len(shorter)
            assert log.recovery.records == 2
            assert log.recovery.damage == ()
            assert log.append(T0 + 9, b"after") == 3
        assert read(folder) == [frame(0), frame(1), b"after"]
        assert len(segments_of(folder)) == 1


def test_a_cut_at_any_byte_of_the_header_or_footer_loses_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "first", 1)
    segment = segments_of(tmp_path / "first")[0]
    data = segment.path.read_bytes()

    for length in (*range(30), *range(len(data) - FOOTER_SIZE, len(data))):
        folder = tmp_path / f"cut-{length}"
        folder.mkdir()
        (folder / segment.path.name).write_bytes(data[:length])
        kept = [frame(0)] if length >= len(data) - FOOTER_SIZE else []

        assert read(folder) == kept
        with EventLogWriter(folder) as log:
            log.append(T0 + 9, b"after")
        assert read(folder) == [*kept, b"after"]


def test_any_changed_bit_of_a_record_is_found_and_the_others_are_read(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    path = segments_of(tmp_path)[0].path
    data = path.read_bytes()
    ends = [end for end, _ in _scan(path)]

    for position in range(ends[0], ends[1]):
        for bit in (0, 3, 7):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)

            reader = EventLogReader(tmp_path, strict=False)
            assert [f for _, f in reader.frames()] == [frame(0), frame(2)]
            assert [(d.offset, d.length) for d in reader.damage] == [(ends[0], ends[1] - ends[0])]
    with pytest.raises(DataError, match=rf"{path}: is damaged at byte {ends[0]}, .* strict=False"):
        read(tmp_path)


def test_a_changed_bit_of_the_header_hides_no_record(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    path = segments_of(tmp_path)[0].path
    data = path.read_bytes()

    for position in range(20):
        changed = bytearray(data)
        changed[position] ^= 1
        path.write_bytes(changed)

        reader = EventLogReader(tmp_path, strict=False)
        assert [f for _, f in reader.frames()] == [frame(0), frame(1)]
        assert reader.damaged == 1


def test_damage_with_good_records_behind_it_is_kept_at_reopening(tmp_path: Path) -> None:
    path = crashed(tmp_path, 5)
    ends = [end for end, _ in _scan(path)]
    data = bytearray(path.read_bytes())
    data[ends[1] + 12] ^= 1
    path.write_bytes(data + b"\xc9\x00torn")

    with EventLogWriter(tmp_path) as log:
        assert log.recovery.truncated == 6
        assert [one.offset for one in log.recovery.damage] == [ends[1]]
        assert log.append(T0 + 9, b"after") == 6

    assert read(tmp_path, strict=False) == [frame(0), frame(1), frame(3), frame(4), b"after"]


def test_a_record_inside_of_a_frame_is_never_taken_for_one(tmp_path: Path) -> None:
    fill(tmp_path / "inner", 3)
    inner = segments_of(tmp_path / "inner")[0].path.read_bytes()
    folder = tmp_path / "outer"
    with EventLogWriter(folder) as log:
        for data in (b"a", inner, b"b"):
            log.append(T0 + 1, data)
    path = segments_of(folder)[0].path
    data = bytearray(path.read_bytes())
    data[data.index(inner[:20]) - 2] ^= 1
    path.write_bytes(data)

    assert read(folder, strict=False) == [b"a", b"b"]


def test_what_a_crash_left_half_made_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "0-0.events.partial").write_bytes(b"x")
    fill(tmp_path, 1)

    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".events"]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with EventLogWriter(tmp_path) as log:
        assert log.next_seq == 4
        log.append(T0 - 1, b"later, by a clock that stepped back")

    assert [r.seq for r in EventLogReader(tmp_path).records()] == [1, 2, 3, 4]


@pytest.mark.parametrize("written", [0, 1, 7, 40])
def test_a_full_disk_takes_nothing_halfway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    log = EventLogWriter(tmp_path)
    log.append(T0, frame(0))
    log.flush()
    log.append(T0, frame(30))
    real = os.write
    full = [True]

    def write(fd: int, data: Any) -> int:
        if not full[0]:
            return real(fd, data)
        if written and len(data) > written:
            real(fd, data[:written])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(event_log.os, "write", write)
    for _ in range(2):
        with pytest.raises(PersistenceError, match="could not be written: No space left"):
            log.flush()
    assert read(tmp_path) == [frame(0)]

    full[0] = False
    log.append(T0, frame(2))
    log.close()
    assert read(tmp_path) == [frame(0), frame(30), frame(2)]


def test_a_segment_that_cannot_be_finished_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLogWriter(tmp_path)
    log.append(T0, b"a")
    log.sync()
    real = os.fsync

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(event_log.os, "fsync", fail)
    with pytest.raises(PersistenceError, match="could not be synced"):
        log.rotate()
    monkeypatch.setattr(event_log.os, "fsync", real)
    log.append(T0, b"b")
    log.close()

    assert read(tmp_path) == [b"a", b"b"]
    footer = segments_of(tmp_path)[0].footer()
    assert footer is not None
    assert footer.records == 2


# --- what is no log, and what is too old ----------------------------------------------------------------------


def test_a_later_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("foxtrot.data.event_log_format.VERSION", 2)
        fill(tmp_path, 1)

    with pytest.raises(DataError, match=r"of version 2; this program reads .* up to version 1"):
        read(tmp_path)


def test_a_file_of_another_name_is_no_segment(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not named as a segment"):
        segment_of(tmp_path / "copy.events")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match="cannot be read"):
        read(tmp_path / "none")


def test_old_segments_are_deleted_by_number_and_by_age(tmp_path: Path) -> None:
    fill(tmp_path, 6, segment_bytes=1)
    all_ = segments_of(tmp_path)

    assert prune_segments(tmp_path) == []
    assert prune_segments(tmp_path, keep=4) == all_[:2]
    now = T0 + 10 * SECOND  # the third ended when the fourth began, 7 s before
    assert prune_segments(tmp_path, max_age=7 * SECOND, now=now) == []
    assert prune_segments(tmp_path, max_age=6 * SECOND, now=now) == all_[2:3]
    assert prune_segments(tmp_path, keep=0, max_age=0, now=now) == all_[3:5]
    assert read(tmp_path) == [frame(5)]
    with EventLogWriter(tmp_path) as log:
        assert log.next_seq == 7


def _scan(path: Path) -> list[tuple[int, Any]]:
    return list(scan(segment_of(path)))
