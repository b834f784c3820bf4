"""The client asks until it is answered, never takes silence for failure, and is never wedged by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from foxtrot.bus.codec import Codec
from foxtrot.bus.rpc_calls import CallLimits
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Bodies, Outcome, Unknown
from foxtrot.bus.rpc_methods import Incoming, Pending, ServerLimits
from foxtrot.bus.rpc_open import ClientLimits
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import BusError, FrameError
from tests.unit.bus.rpc_desk import SECOND, Desk, Ping, Pong, codec, plain, pong, unpack

MS = 1_000_000


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def router(desk: Desk) -> zmq.Socket[bytes]:
    """A server that says only what the test says."""
    socket = desk.context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.bind(desk.endpoint)
    desk.closing.append(socket)
    return socket


def test_a_request_is_answered_with_a_typed_body(desk: Desk) -> None:
    desk.server(epoch=3).register("q.ping", pong, Ping)
    client, outcomes = desk.client(), []
    id_ = client.send("q.ping", Ping(1), on_reply=outcomes.append)
    desk.pump(lambda: outcomes)
    assert outcomes == [Answer(id_, "q.ping", True, Pong(2), "", "", "oms", 3)]
    assert client.server_epoch == 3 and client.open == 0


def test_requests_without_a_body_and_errors_are_told(desk: Desk) -> None:
    server = desk.server()
    server.register("q.none", lambda _request, _later: None, None)
    client, outcomes = desk.client(), []
    client.send("q.none", on_reply=outcomes.append)
    client.send("q.unknown", on_reply=outcomes.append)
    desk.pump(lambda: len(outcomes) == 2)
    assert outcomes[0].ok and outcomes[0].body is None
    assert not outcomes[1].ok and outcomes[1].error_code == "UNKNOWN_METHOD"


def test_a_silent_server_makes_it_unknown_and_its_late_reply_is_dropped(desk: Desk) -> None:
    promises: list[Pending] = []
    server = desk.server()
    server.register("q.slow", lambda _request, later: promises.append(later()), Ping)
    server.register("q.ping", pong, Ping)
    client, outcomes = desk.client(), []
    client.send("q.slow", Ping(1), on_reply=outcomes.append, timeout=300 * MS)
    desk.pump(lambda: outcomes)
    unknown = outcomes[0]
    assert isinstance(unknown, Unknown)
    assert unknown.acknowledged and unknown.attempts >= 1 and unknown.waited >= 300 * MS
    promises[0].answer(Pong(1))
    desk.pump(lambda: client.counters["late"] == 1)
    client.send("q.ping", Ping(1), on_reply=outcomes.append)
    desk.pump(lambda: len(outcomes) == 2)
    assert outcomes[1].body == Pong(2)
    assert len(promises) == 1, "resent under the same id, carried out once"


def test_a_blocking_call_that_times_out_does_not_wedge_the_next(desk: Desk) -> None:
    mute = router(desk)
    client = desk.client()
    first = client.socket
    outcome = client.call("q.ping", Ping(1), timeout=200 * MS)
    assert isinstance(outcome, Unknown) and not outcome.acknowledged and outcome.attempts >= 1
    assert client.socket is not first and first.closed, "opened anew"
    late = mute.recv_multipart()
    mute.send_multipart([late[0], plain("q.ping", ["Reply", outcome.id, True, ["Pong", 9]])])

    def serve() -> None:
        while True:
            identity, frame = mute.recv_multipart()
            request = unpack(frame)
            if request[3] == ["Ping", 2, ""]:
                mute.send_multipart(
                    [identity, plain("q.ping", ["Reply", request[1], True, ["Pong", 3]])]
                )
                return

    thread = threading.Thread(target=serve)
    thread.start()
    answer = client.call("q.ping", Ping(2), timeout=5 * SECOND)
    thread.join()
    assert isinstance(answer, Answer) and answer.body == Pong(3)


def test_a_call_needs_no_server_to_come_back(desk: Desk) -> None:
    client = desk.client()
    outcome = client.call("q.ping", Ping(1), timeout=100 * MS)
    assert isinstance(outcome, Unknown) and outcome.attempts == 0
    simulated = RpcClient(
        desk.endpoint, codec(), source="x", epoch=1, clock=SimulatedClock(), context=desk.context
    )
    with pytest.raises(BusError, match="LiveClock"):
        simulated.call("q.ping")
    simulated.close()


def test_a_server_that_comes_later_or_dies_in_between_answers_in_the_end(desk: Desk) -> None:
    handled: list[str] = []  # stands for the service's own durable records
    client = desk.client()
    outcomes: list[Outcome] = []
    client.send("q.do", Ping(1), on_reply=outcomes.append, timeout=20 * SECOND)
    desk.run_for(0.05)
    first = desk.server(epoch=1)
    received: list[Incoming] = []
    first.register(
        "q.do", lambda request, later: received.append(request) or (later() and None), Ping
    )
    desk.pump(lambda: received)  # it has the request, and dies before it has done anything
    first.close()
    desk.run_for(0.02)

    def do(request: Incoming, _later: object) -> Pong:
        if request.id not in handled:
            handled.append(request.id)
        return Pong(len(handled))

    second = desk.server(epoch=2)
    second.register("q.do", do, Ping)
    desk.pump(lambda: handled)
    desk.pump(lambda: outcomes)
    assert outcomes[0].body == Pong(1)
    assert second.counters["requests"] == 1
    second.close()  # a third life: what was done is in the records
    third = desk.server(epoch=3)
    third.register("q.do", do, Ping)
    client.send(
        "q.do", Ping(1), on_reply=outcomes.append, request_id=handled[0], timeout=20 * SECOND
    )
    desk.pump(lambda: len(outcomes) == 2)
    assert len(handled) == 1


def test_a_restart_is_noticed_and_everything_open_is_sent_again_at_once(desk: Desk) -> None:
    told: list[tuple[str, int]] = []
    slow = ClientLimits(interval=50 * MS, max_interval=30 * SECOND)
    client = desk.client(limits=slow, on_epoch=lambda *what: told.append(what))
    first = desk.server(epoch=1)
    first.register("q.ping", pong, Ping)
    outcomes: list[Outcome] = []
    client.send("q.ping", Ping(0), on_reply=outcomes.append)
    desk.pump(lambda: outcomes)
    first.register("q.slow", lambda _request, later: later() and None)
    for _ in range(3):
        client.send("q.slow", on_reply=outcomes.append, timeout=60 * SECOND)
    desk.pump(lambda: first.status().get("repeated") == 3)  # from now on they wait for 30 s
    first.close()
    second = desk.server(epoch=2)
    second.register("q.ping", pong, Ping)
    second.register("q.slow", lambda _request, _later: Pong(7))
    client.send("q.ping", Ping(1), on_reply=outcomes.append, timeout=60 * SECOND)
    desk.pump(lambda: len(outcomes) == 5)
    assert told == [("oms", 2)] and client.counters["server_restarts"] == 1


def test_a_busy_server_is_asked_again(desk: Desk) -> None:
    promises: list[Pending] = []
    server = desk.server(limits=ServerLimits(calls=CallLimits(pending=1)))
    server.register("q.slow", lambda _request, later: promises.append(later()))
    client, outcomes = desk.client(), []
    for _ in range(2):
        client.send("q.slow", on_reply=outcomes.append)
    desk.pump(lambda: client.counters["busy"])
    promises[0].answer()
    desk.pump(lambda: len(promises) == 2)
    promises[1].answer()
    desk.pump(lambda: len(outcomes) == 2)
    assert all(isinstance(outcome, Answer) and outcome.ok for outcome in outcomes)


def test_what_is_open_is_bounded_and_ids_are_unique(desk: Desk) -> None:
    client = desk.client(limits=ClientLimits(open=2))
    outcomes: list[Outcome] = []
    client.send("q.ping", on_reply=outcomes.append, request_id="a")
    with pytest.raises(BusError, match="in use"):
        client.send("q.ping", on_reply=outcomes.append, request_id="a")
    client.send("q.ping", on_reply=outcomes.append)
    with pytest.raises(BusError, match="limit"):
        client.send("q.ping", on_reply=outcomes.append)
    client.close()
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown]
    assert outcomes[0].reason == "the client was closed"  # type: ignore[union-attr]
    with pytest.raises(BusError, match="closed"):
        client.send("q.ping", on_reply=outcomes.append)
    client.close()


def test_bodies_that_cannot_travel_are_refused_to_the_caller(desk: Desk) -> None:
    client = desk.client()
    with pytest.raises(FrameError, match="cannot be a body"):
        client.send("q.ping", object(), on_reply=print)  # type: ignore[arg-type]
    with pytest.raises(BusError, match="RPC_TYPES"):
        Bodies(Codec())
    with pytest.raises(BusError, match="connect"):
        RpcClient("nowhere", codec(), source="x", epoch=1, clock=desk.clock, context=desk.context)


def test_junk_from_the_server_and_callbacks_that_raise_are_survived(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    server = router(desk)
    client, outcomes = desk.client(), []

    def raising(_outcome: Outcome) -> None:
        raise ZeroDivisionError

    for on_reply in (raising, raising, outcomes.append):
        client.send("q.ping", on_reply=on_reply, timeout=20 * SECOND)
    frames = []
    for _ in range(3):
        desk.pump(lambda: server.poll(0))
        identity, frame = server.recv_multipart()
        frames.append(unpack(frame))
    for junk in (b"", b"\xff" * 100, plain("q.ping", ["Ping", 1]), plain("q.ping", ["Ack", "no"])):
        server.send_multipart([identity, junk])
    for request in frames[:2]:
        server.send_multipart([identity, plain("q.ping", ["Reply", request[1], True])])
    server.send_multipart([identity, plain("q.ping", ["Reply", frames[2][1], True, ["Never", 1]])])
    desk.pump(lambda: outcomes)
    assert isinstance(outcomes[0], Unknown) and "cannot be read here" in outcomes[0].reason
    assert client.quarantine.total == 2 and client.counters["strange"] == 2
    assert client.counters["callback_errors"] == 2
    assert len([r for r in caplog.records if "on_reply of q.ping failed" in r.getMessage()]) == 1
    server.send_multipart([identity, plain("q.ping", ["Reply", frames[0][1], True])])
    desk.pump(lambda: client.counters["repeated"] == 1)


def test_a_flood_of_requests_is_answered_one_by_one(desk: Desk) -> None:
    server = desk.server()
    server.register("q.ping", pong, Ping)
    client = desk.client()
    outcomes: list[Outcome] = []
    for number in range(2_000):
        client.send("q.ping", Ping(number), on_reply=outcomes.append, timeout=20 * SECOND)
    desk.pump(lambda: len(outcomes) == 2_000)
    assert {outcome.body.number for outcome in outcomes} == set(range(1, 2_001))  # type: ignore[union-attr]
    assert server.counters["requests"] == 2_000
