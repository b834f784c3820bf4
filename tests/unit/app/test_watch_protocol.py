"""What a supervisor says to its event listener, however it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.app.watch_protocol import EventReader, SupervisorEvent
from foxtrot.core.errors import BusError


def event(name: str, payload: str) -> bytes:
    data = payload.encode()
    head = (
        f"ver:3.0 server:supervisor serial:21 pool:watch poolserial:10 eventname:{name} "
        f"len:{len(data)}\n"
    )
    return head.encode() + data


EXITED = event(
    "PROCESS_STATE_EXITED",
    "processname:oms groupname:oms from_state:RUNNING expected:0 pid:2766",
)
STOPPING = event("SUPERVISOR_STATE_CHANGE_STOPPING", "")


def test_an_event_tells_whom_it_is_about() -> None:
    (told,) = EventReader().feed(EXITED)

    assert told.name == "PROCESS_STATE_EXITED"
    assert (told.process, told.pid, told.fields["expected"]) == ("oms", 2766, "0")


def test_an_event_without_a_payload_is_one() -> None:
    assert EventReader().feed(STOPPING) == [SupervisorEvent("SUPERVISOR_STATE_CHANGE_STOPPING", {})]


@given(st.lists(st.integers(1, 40), max_size=30))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    stream = EXITED + STOPPING + EXITED
    reader = EventReader()
    found = []
    start = 0
    for cut in [*cuts, len(stream)]:
        found += reader.feed(stream[start : start + cut])
        start += cut

    assert [one.name for one in found] == [
        "PROCESS_STATE_EXITED",
        "SUPERVISOR_STATE_CHANGE_STOPPING",
        "PROCESS_STATE_EXITED",
    ]


@pytest.mark.parametrize(
    "line", [b"hello\n", b"eventname:X len:many\n", b"len:4\nabcd", b"eventname:X len:99999999\n"]
)
def test_what_no_supervisor_says_is_refused(line: bytes) -> None:
    with pytest.raises(BusError, match="no event of a supervisor"):
        EventReader().feed(line)


def test_bytes_without_end_are_refused() -> None:
    with pytest.raises(BusError, match="without an event"):
        EventReader().feed(b"x" * 2_000_001)


def test_a_pid_that_is_no_number_is_none() -> None:
    (told,) = EventReader().feed(event("PROCESS_STATE_RUNNING", "processname:oms pid:x"))

    assert told.pid == 0
