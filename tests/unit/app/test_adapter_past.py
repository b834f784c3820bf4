"""The past of a paced replay: what was shown, whoever was killed when."""

from __future__ import annotations

from pathlib import Path

from foxtrot.adapter.replay_stream import ReplayStream
from foxtrot.app.adapter_past import ShownEvents
from foxtrot.core.constants import Interval
from foxtrot.core.objects import HistoryRequest
from tests.unit.adapter.paper_helpers import START, bar_columns

A, B = "A.LOCAL", "B.LOCAL"
MINUTE = 60_000_000_000


def closes(past: ShownEvents, vt_symbol: str = A) -> list[int]:
    bars = past.bars(HistoryRequest(vt_symbol, interval=Interval.MINUTE))
    return [(bar.ts_event - START) // MINUTE for bar in bars]


def stream() -> ReplayStream:
    """Bars 1 to 9 of two instruments with the same stamps: events 1 and 2, 3 and 4 ..."""
    return ReplayStream([bar_columns(range(1, 10), A), bar_columns(range(1, 10), B)])


def open_at(path: Path, done: int, begin: int = START) -> ShownEvents:
    past = ShownEvents(stream(), begin, path / "x.shown")
    past.open(done)
    return past


def test_before_the_first_event_only_what_lies_before_the_begin_is_past(tmp_path: Path) -> None:
    past = open_at(tmp_path, 0)
    assert closes(past) == []
    past.close()
    past = open_at(tmp_path, 6, START + 3 * MINUTE)
    assert closes(past) == [1, 2, 3]
    past.close()


def test_of_two_instruments_with_one_stamp_only_the_one_that_was_shown_is_past(
    tmp_path: Path,
) -> None:
    past = open_at(tmp_path, 0)
    for number, message in list(stream().messages())[:3]:
        past.note(number, message)
    assert (closes(past, A), closes(past, B)) == ([1, 2], [1])
    past.close()


def test_what_was_shown_before_a_kill_is_past_and_what_was_not_is_not(tmp_path: Path) -> None:
    past = open_at(tmp_path, 0)
    for number, message in list(stream().messages())[:5]:
        past.note(number, message)
    past.close()
    again = open_at(tmp_path, 4)  # event 5 is played once more, and had been shown
    assert (closes(again, A), closes(again, B)) == ([1, 2, 3], [1, 2])
    again.close()
    later = open_at(tmp_path, 5)  # event 6 is played, and had not been shown
    assert (closes(later, A), closes(later, B)) == ([1, 2, 3], [1, 2])
    later.close()


def test_a_file_of_another_replay_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "x.shown").write_text(f"{12:020d}")
    past = open_at(tmp_path, 2)
    assert (closes(past, A), closes(past, B)) == ([1], [1])
    past.close()
    (tmp_path / "x.shown").write_text("torn")
    past = open_at(tmp_path, 2)
    assert closes(past) == [1]
    past.close()
