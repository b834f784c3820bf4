"""Who is where in which stream: gaps, duplicates, restarts, and the splice of snapshot, replay and live messages.

Pure: envelopes go in, deliveries and reports come out by callback. The rules:

* A stream is a topic of a source (or several topics that share one count). Its messages are delivered once each, in
  order.
* The first message seen of a stream is where reading begins, unless a heartbeat has told that there were none before,
  or ``resume`` has told what is known already.
* A number that was seen is a duplicate, and so is everything of an epoch that is over.
* A gap in an ordinary stream is reported, and reading goes on behind it. A gap in a durable stream stops its delivery:
  what arrives is held back, bounded, until ``replay`` has brought the missing messages or ``resume`` a newer snapshot.
* A new epoch starts an ordinary stream at 1 again; a durable one counts on. If a durable stream stands lower than what
  was seen of it, its history was replaced: the gap is reported from number 0, and only a snapshot mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from foxtrot.bus.codec import Envelope
from foxtrot.bus.cursor import Item, Stream, StreamCounts, StreamState
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.core.events import EVENT_ACCOUNT, EVENT_ORDER, EVENT_POSITION, EVENT_TRADE

DURABLE_PREFIXES = (EVENT_ORDER, EVENT_TRADE, EVENT_POSITION, EVENT_ACCOUNT)
"""Streams whose numbers survive restarts and can be replayed."""

MAX_BUFFER = 10_000
MAX_STREAMS = 100_000


Deliver = Callable[[str, Envelope[Any]], object]
OnGap = Callable[[Stream, int, int, int], object]
OnEpoch = Callable[[str, int, int], object]


class StreamTracker:
    """Cursors of all streams of one reader.

    Args:
        deliver: called with topic and envelope of what was held back or replayed.
        on_gap: called with stream, first and last missing number (first 0: take a snapshot) and epoch.
        on_epoch: called with source, old and new epoch.
        durable: prefixes of the names of durable streams.
        stream_of: name of the stream of a topic, where topics share a count.
        max_buffer: messages held back per stream.
        max_streams: streams that are followed.
    """

    def __init__(
        self,
        deliver: Deliver,
        on_gap: OnGap | None = None,
        on_epoch: OnEpoch | None = None,
        *,
        durable: tuple[str, ...] = DURABLE_PREFIXES,
        stream_of: Callable[[str], str] | None = None,
        max_buffer: int = MAX_BUFFER,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self.counts = StreamCounts()
        self.states: dict[Stream, StreamState] = {}
        self.by_topic: dict[tuple[str, str], StreamState] = {}
        self._deliver = deliver
        self._on_gap = on_gap
        self._on_epoch = on_epoch
        self._durable = durable
        self._stream_of = stream_of
        self._max_buffer = max_buffer
        self._max_streams = max_streams
        self._epochs: dict[str, int] = {}
        self._complete: set[str] = set()

    # --- live messages --------------------------------------------------------------------------------------

    def accept(self, topic: str, envelope: Envelope[Any]) -> bool:
        """Whether a message that came in is to be delivered now; what else it means is reported."""
        state = self.by_topic.get((envelope.source, topic))
        if state is None:
            state = self._state_of(topic, envelope)
            if state is None:
                return False
        elif state.live and envelope.seq == state.seq + 1 and envelope.epoch == state.epoch:
            state.seq = envelope.seq
            state.ts = envelope.ts
            return True
        if envelope.epoch != state.epoch:
            if envelope.epoch < state.epoch:
                self.counts.old_epochs += 1
                return False
            self._enter(envelope.source, envelope.epoch)
            state.restart(envelope.epoch)
        if not state.live:
            self._hold_back(state, topic, envelope)
            return False
        return self._advance(state, topic, envelope)

    def _advance(self, state: StreamState, topic: str, envelope: Envelope[Any]) -> bool:
        seq, expected = envelope.seq, state.seq + 1
        if seq < expected:
            self.counts.duplicates += 1
            return False
        if seq > expected and state.durable:
            state.live = False
            self._hold_back(state, topic, envelope)
            self._report(state, expected, seq - 1)
            return False
        state.seq = seq
        state.ts = envelope.ts
        if seq > expected:
            self._report(state, expected, seq - 1)
        return True

    def _hold_back(self, state: StreamState, topic: str, envelope: Envelope[Any]) -> None:
        """Keep a message for the splice; what is kept has no hole, for the replay covers all before it."""
        buffer, seq = state.buffer, envelope.seq
        known = buffer[-1][1].seq if buffer else state.seq
        if seq <= known:
            self.counts.duplicates += 1
            return
        expected = max(known, state.target) + 1
        if seq > expected and (buffer or state.target > state.seq):
            self.counts.gaps += 1  # within one that is open and was reported
            self.counts.missing += seq - expected
            buffer.clear()
        elif len(buffer) >= self._max_buffer:
            self.counts.overflows += 1
            buffer.clear()
        buffer.append((topic, envelope))
        state.target = max(state.target, seq)

    def _state_of(self, topic: str, envelope: Envelope[Any]) -> StreamState | None:
        name = topic if self._stream_of is None else self._stream_of(topic)
        stream = Stream(envelope.source, name)
        state = self.states.get(stream)
        if state is None:
            if envelope.epoch < self._epochs.get(envelope.source, 0):
                self.counts.old_epochs += 1
                return None
            self._enter(envelope.source, envelope.epoch)
            # Without a heartbeat that would have listed the stream, reading begins with this message.
            begun = 0 if envelope.source in self._complete else max(0, envelope.seq - 1)
            state = self._add(stream, envelope.epoch, begun)
        if state is not None and len(self.by_topic) < self._max_streams:
            self.by_topic[envelope.source, topic] = state
        return state

    def _add(self, stream: Stream, epoch: int, seq: int) -> StreamState | None:
        if len(self.states) >= self._max_streams:
            self.counts.refused += 1
            return None
        state = StreamState(stream, stream.name.startswith(self._durable), epoch, seq)
        self.states[stream] = state
        return state

    def _enter(self, source: str, epoch: int) -> None:
        """Note a source's epoch, and tell when it is a new one."""
        known = self._epochs.get(source)
        if known is None or known < epoch:
            if known is not None or len(self._epochs) < self._max_streams:
                self._epochs[source] = epoch
            if known is not None and self._on_epoch is not None:
                self._on_epoch(source, known, epoch)

    def _report(self, state: StreamState, first: int, last: int) -> None:
        self.counts.gaps += 1
        self.counts.missing += last - first + 1
        if self._on_gap is not None:
            self._on_gap(state.stream, first, last, state.epoch)

    # --- heartbeats -----------------------------------------------------------------------------------------

    def heartbeat(self, source: str, beat: Heartbeat, wanted: Callable[[str], bool]) -> bool:
        """Compare what a source has published with what came in; returns False where its epoch is over.

        Args:
            source: who sent it.
            beat: the heartbeat.
            wanted: whether a stream is subscribed to; streams with a cursor always count.
        """
        if beat.epoch < self._epochs.get(source, 0):
            self.counts.old_epochs += 1
            return False
        self._enter(source, beat.epoch)
        for name, last in beat.streams.items():
            stream = Stream(source, name)
            state = self.states.get(stream)
            if state is None:
                if not wanted(name):
                    continue
                state = self._add(stream, beat.epoch, 0 if source in self._complete else last)
            if state is not None and beat.epoch >= state.epoch:
                self._compare(state, beat.epoch, last)
        if beat.complete and len(self._complete) < self._max_streams:
            self._complete.add(source)
        else:
            self._complete.discard(source)
        return True

    def _compare(self, state: StreamState, epoch: int, last: int) -> None:
        if epoch > state.epoch:
            state.restart(epoch)
        if epoch > state.checked:
            state.checked = epoch
            if last < state.seq:  # only a durable stream still has its number
                self._replaced(state, last)
                return
        news = last - max(state.seq, state.target)
        state.target = max(state.target, last)
        if not state.live:
            if not state.wants_snapshot:
                self.counts.missing += max(0, news)  # the gap that is open has grown
                self._splice(state)
            return
        if last <= state.seq:
            return
        first = state.seq + 1
        if state.durable:
            state.live = False
        else:
            state.seq = last
        self._report(state, first, last)

    def _replaced(self, state: StreamState, last: int) -> None:
        """A durable stream has lost messages that were seen of it: only a snapshot tells where it stands."""
        state.live = False
        state.wants_snapshot = True
        state.buffer.clear()
        state.seq = state.target = last
        self.counts.gaps += 1
        if self._on_gap is not None:
            self._on_gap(state.stream, 0, last, state.epoch)

    def joined(self) -> None:
        """Forget which streams had nothing before: a subscription was added, and what it missed is no gap."""
        self._complete.clear()

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Drop the cursors of streams that are no longer read."""
        self.states = {s: state for s, state in self.states.items() if not gone(s.name)}
        kept = set(map(id, self.states.values()))
        self.by_topic = {key: state for key, state in self.by_topic.items() if id(state) in kept}

    # --- snapshot and replay --------------------------------------------------------------------------------

    def hold(self, stream: Stream) -> None:
        """Hold back what arrives of a stream, until ``resume`` tells what a snapshot holds."""
        state = self.states.get(stream) or self._add(stream, 0, 0)
        if state is not None:
            state.live = False
            state.wants_snapshot = True

    def resume(self, stream: Stream, epoch: int, seq: int) -> bool:
        """Take up a stream behind a snapshot, dropping what that holds and delivering what came after it.

        Args:
            stream: source and name.
            epoch: the source's epoch when the snapshot was made.
            seq: last number that the snapshot holds.

        Returns:
            Whether the stream is live. If not, the gap that is left in a durable stream was reported, or the snapshot
            is of an epoch that an ordinary stream has left behind and another is needed.
        """
        state = self.states.get(stream) or self._add(stream, epoch, seq)
        if state is None:
            return False
        if epoch < state.epoch and not state.durable:
            state.live = False
            return False
        if epoch > state.epoch:
            state.restart(epoch)
        state.live = state.wants_snapshot = False
        state.target = max(state.target, state.seq)  # what was delivered is known to exist
        state.seq = seq
        state.checked = max(state.checked, epoch)
        if self._splice(state):
            return True
        last = state.last_missing()
        self._report(state, state.seq + 1, last)
        if state.durable:
            return False
        state.seq = last
        return self._splice(state)

    def replay(self, stream: Stream, items: Iterable[Item]) -> bool:
        """Deliver a page of replayed messages in order, then what was held back if that follows.

        Args:
            stream: source and name.
            items: topics and envelopes, ascending, from ``next_seq`` on.

        Returns:
            Whether the stream is live; if not, the next page is wanted from ``next_seq`` on.
        """
        state = self.states.get(stream)
        if state is None or state.wants_snapshot:
            return False
        for topic, envelope in items:
            if envelope.seq > state.seq + 1:
                break
            if envelope.seq <= state.seq:
                self.counts.duplicates += 1
                continue
            state.seq = envelope.seq
            state.ts = envelope.ts
            self._deliver(topic, envelope)
        return state.live or self._splice(state)

    def next_seq(self, stream: Stream) -> int:
        """The number that is due next in a stream; 1 where nothing is known of it."""
        state = self.states.get(stream)
        return state.seq + 1 if state is not None else 1

    def open_gaps(self) -> list[tuple[Stream, int, int, int]]:
        """Stream, first (0: take a snapshot) and last missing number and epoch of every stream that is held back."""
        return [
            (
                state.stream,
                0 if state.wants_snapshot else state.seq + 1,
                state.last_missing(),
                state.epoch,
            )
            for state in self.states.values()
            if not state.live
        ]

    def _splice(self, state: StreamState) -> bool:
        """Deliver what was held back if it follows; returns whether the stream is live again."""
        buffer = state.buffer
        while buffer and buffer[0][1].seq <= state.seq:
            buffer.popleft()
            self.counts.duplicates += 1
        if state.last_missing() > state.seq:
            return False
        while buffer:
            topic, envelope = buffer.popleft()
            state.seq = envelope.seq
            state.ts = envelope.ts
            self._deliver(topic, envelope)
        state.live = state.seq >= state.target
        return state.live
