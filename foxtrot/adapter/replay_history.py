"""Bars of the past out of what a replay plays, and nothing that it has not played yet."""

from __future__ import annotations

from foxtrot.adapter.replay_stream import ReplayStream, messages_of
from foxtrot.core.objects import BarData, HistoryRequest
from foxtrot.data.series import Series


def bars_between(
    stream: ReplayStream, request: HistoryRequest, shift: int, known_ts: int
) -> list[BarData]:
    """Bars of an instrument and interval that were known at a moment, oldest first.

    Args:
        stream: what is played.
        request: the instrument, and from which to before which ``ts_open`` (ns UTC, 0 for open).
        shift: ns that the replay adds to the data's stamps.
        known_ts: the newest stamp that has been played (ns UTC).
    """
    turns = (
        range((known_ts - shift - stream.first_ts) // stream.period + 1) if stream.loop else (0,)
    )
    found: list[BarData] = []
    for series in stream.series:
        if series.vt_symbol == request.vt_symbol and series.is_bars:
            for turn in turns:
                found += _of_turn(series, request, shift + turn * stream.period, known_ts)
    return sorted(found, key=lambda bar: bar.ts_event)


def _of_turn(series: Series, request: HistoryRequest, shift: int, known_ts: int) -> list[BarData]:
    """The bars of one time round."""
    end = request.end or known_ts + 1
    if series.last_ts + shift < request.start or series.first_ts + shift >= end:
        return []
    return [
        message
        for columns in series.chunks()
        for message in messages_of(columns, shift)
        if isinstance(message, BarData)
        and message.interval is request.interval
        and request.start <= message.ts_open < end
        and message.ts_event <= known_ts
    ]
