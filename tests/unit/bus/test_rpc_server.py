"""The server answers whatever comes, keeps itself bounded, and carries a request out once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foxtrot.bus.rpc_calls import CallLimits
from foxtrot.bus.rpc_messages import RpcError
from foxtrot.bus.rpc_methods import Incoming, Pending, ServerLimits
from foxtrot.bus.rpc_peers import QueueLimits
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.core.errors import BusError
from tests.unit.bus.rpc_desk import Desk, Ping, Pong, codec, plain, pong, unpack


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


PING = ["Request", "id-1", "q.ping", ["Ping", 41]]


def test_plain_req_with_plain_msgpack_is_answered(desk: Desk) -> None:
    desk.server().register("q.ping", pong, Ping)
    req = desk.raw(zmq.REQ)
    for number in (1, 2):
        message = ["Request", f"id-{number}", "q.ping", ["Ping", number]]
        (frame,) = desk.ask(req, plain("q.ping", message))
        topic, _, payload = frame.partition(b"\0")
        schema, source, epoch, _seq, ts, reply = msgpack.unpackb(payload)
        assert (topic, schema, source, epoch) == (b"q.ping", 1, "oms", 1)
        assert ts > 1_600_000_000 * 10**9
        assert reply == ["Reply", f"id-{number}", True, ["Pong", number + 1, ""], "", ""]


def test_plain_dealer_is_answered_with_and_without_a_delimiter(desk: Desk) -> None:
    desk.server().register("q.ping", pong, Ping)
    dealer = desk.raw(zmq.DEALER)
    bare = desk.ask(dealer, plain("q.ping", PING))
    delimited = desk.ask(dealer, b"", plain("q.ping", PING))
    assert len(bare) == 1 and unpack(bare[0])[3] == ["Pong", 42, ""]
    assert delimited[0] == b"" and unpack(delimited[1])[3] == ["Pong", 42, ""]


def test_a_request_that_comes_again_is_carried_out_once(desk: Desk) -> None:
    calls: list[Incoming] = []
    server = desk.server()
    server.register("q.ping", lambda request, _: calls.append(request) or Pong(len(calls)), Ping)
    first, second = desk.raw(zmq.DEALER), desk.raw(zmq.DEALER)  # the same asker after a reconnect
    replies = [desk.ask(socket, plain("q.ping", PING))[0] for socket in (first, first, second)]
    assert [unpack(reply)[3][1] for reply in replies] == [1, 1, 1]
    assert len(calls) == 1
    assert server.status()["repeated"] == 2


def test_replies_that_are_not_kept_are_made_anew(desk: Desk) -> None:
    calls: list[Incoming] = []
    server = desk.server()
    server.register(
        "q.ping", lambda request, _: calls.append(request) or Pong(len(calls)), keep=False
    )
    dealer = desk.raw(zmq.DEALER)
    for expected in (1, 2):
        assert unpack(desk.ask(dealer, plain("q.ping", PING))[0])[3][1] == expected
    assert server.status()["kept_replies"] == 0


def test_kept_replies_are_bounded_in_number_and_size(desk: Desk) -> None:
    limits = ServerLimits(calls=CallLimits(replies=5, reply_bytes=4_000))
    server = desk.server(limits=limits)
    server.register("q.ping", lambda request, _: Pong(0, "x" * request.body.number), Ping)
    dealer = desk.raw(zmq.DEALER)
    for number in range(20):
        desk.ask(dealer, plain("q.ping", ["Request", f"a{number}", "q.ping", ["Ping", 1]]))
    assert server.status()["kept_replies"] == 5
    for number in range(20):
        desk.ask(dealer, plain("q.ping", ["Request", f"b{number}", "q.ping", ["Ping", 1_000]]))
    assert server.status()["kept_replies"] == 2
    assert server.status()["kept_bytes"] <= 4_000


def test_an_id_that_stands_for_something_else_is_refused(desk: Desk) -> None:
    desk.server().register("q.ping", pong, Ping)
    dealer = desk.raw(zmq.DEALER)
    desk.ask(dealer, plain("q.ping", PING))
    (frame,) = desk.ask(dealer, plain("q.ping", ["Request", "id-1", "q.ping", ["Ping", 7]]))
    assert unpack(frame)[1:5] == ["id-1", False, None, "ID_REUSED"]
    (frame,) = desk.ask(
        dealer, plain("q.ping", ["Request", "id-1", "q.ping", ["Ping", 7]], "other")
    )
    assert unpack(frame)[3] == ["Pong", 8, ""], "another source may use the same id"


def test_an_answer_that_comes_later_is_acknowledged_first(desk: Desk) -> None:
    promises: list[Pending] = []
    server = desk.server()
    server.register("q.ping", lambda _request, later: promises.append(later()), Ping)
    dealer, req = desk.raw(zmq.DEALER), desk.raw(zmq.REQ)
    assert unpack(desk.ask(dealer, plain("q.ping", PING))[0]) == ["Ack", "id-1"]
    assert unpack(desk.ask(dealer, plain("q.ping", PING))[0]) == ["Ack", "id-1"], (
        "and when it comes again"
    )
    req.send(plain("q.ping", ["Request", "id-2", "q.ping", ["Ping", 1]]))
    desk.pump(lambda: len(promises) == 2)
    assert not req.poll(20), "a REQ gets one message only"
    assert promises[0].answer(Pong(5)) and promises[1].fail("DENIED", "too large")
    assert not promises[0].answer(Pong(6)) and not promises[0].fail("x", "y"), "answered once"
    assert promises[0].done
    desk.pump(lambda: dealer.poll(0) and req.poll(0))
    assert unpack(dealer.recv())[3] == ["Pong", 5, ""]
    assert unpack(req.recv())[2:] == [False, None, "DENIED", "too large"]
    assert server.status()["pending"] == 0


def test_answering_a_peer_that_is_gone_is_harmless(desk: Desk) -> None:
    promises: list[Pending] = []
    server = desk.server()
    server.register("q.ping", lambda _request, later: promises.append(later()), Ping)
    dealer = desk.raw(zmq.DEALER)
    desk.ask(dealer, plain("q.ping", PING))
    dealer.close()

    def noticed() -> bool:
        desk.ask(desk.raw(zmq.DEALER), plain("q.no", ["Request", "x", "q.no"]))
        return True

    desk.pump(noticed)
    assert promises[0].answer(Pong(1))
    again = desk.raw(zmq.DEALER)
    assert unpack(desk.ask(again, plain("q.ping", PING))[0])[3] == ["Pong", 1, ""]
    later = desk.raw(zmq.DEALER)
    desk.ask(later, plain("q.ping", ["Request", "id-9", "q.ping", ["Ping", 1]]))
    server.close()
    assert promises[1].answer(Pong(1)), "after the server's end, too"


def test_promises_that_are_never_kept_make_room_in_the_end(desk: Desk) -> None:
    limits = ServerLimits(calls=CallLimits(pending=2, pending_age=0))
    busy = ServerLimits(calls=CallLimits(pending=2))
    for limit, expected in ((busy, "BUSY"), (limits, None)):
        server = desk.server(limits=limit)
        server.register("q.ping", lambda _request, later: later() and None, Ping)
        dealer = desk.raw(zmq.DEALER)
        for number in range(3):
            message = ["Request", f"id-{number}", "q.ping", ["Ping", number]]
            (frame,) = desk.ask(dealer, plain("q.ping", message))
        told = unpack(frame)
        assert (told[4] if told[0] == "Reply" else None) == expected
        assert server.status()["pending"] == 2
        dealer.close()
        server.close()


@pytest.mark.parametrize(
    ("frame", "id_", "code"),
    [
        (b"", "", "TOPIC"),
        (b"no topic at all", "", "TOPIC"),
        (b"q.ping\0\xc1", "", "MALFORMED"),
        (b"q.ping\0" + msgpack.packb([9, "me", 1, 0, 5, PING]), "id-1", "SCHEMA"),
        (plain("q.ping", ["What", 1]), "", "UNKNOWN_KIND"),
        (plain("q.ping", ["Request", "id-1"]), "id-1", "INVALID"),
        (plain("q.ping", ["Request", "", "q.ping"]), "", "INVALID"),
        (plain("q.ping", ["Ping", 1]), "", "WRONG_KIND"),
        (plain("q.ping", ["Request", "id-1", "q.ping", ["Ping", "x"]]), "id-1", "WRONG_BODY"),
        (plain("q.ping", ["Request", "id-1", "q.ping", ["Never", 1]]), "id-1", "WRONG_BODY"),
        (plain("q.ping", ["Request", "id-1", "q.ping", ["Pong", 1]]), "id-1", "WRONG_BODY"),
        (plain("q.ping", ["Request", "id-1", "q.ping"]), "id-1", "WRONG_BODY"),
        (plain("q.none", ["Request", "id-1", "q.none"]), "id-1", "UNKNOWN_METHOD"),
        (plain("q.ping", ["Request", "id-1", "q.none"]), "id-1", "WRONG_TOPIC"),
        (plain("q.ping", ["Report", 1, 1, None]), "", "UNKNOWN_METHOD"),
        (plain("q.ping", [*PING[:3], ["Ping", 1, "x" * 2_500]]), "", "OVERSIZED"),
    ],
)
def test_what_cannot_be_served_is_answered_with_an_error(
    desk: Desk, frame: bytes, id_: str, code: str
) -> None:
    server = desk.server(codec_=codec(max_frame=2_000))
    server.register("q.ping", pong, Ping)
    for kind in (zmq.REQ, zmq.DEALER):
        socket = desk.raw(kind)
        told = unpack(desk.ask(socket, frame)[0])
        assert told[:5] == ["Reply", id_, False, None, code]
        assert told[5]
        good = ["Request", f"next-{kind}", "q.ping", ["Ping", 1]]
        told = unpack(desk.ask(socket, plain("q.ping", good))[0])
        assert told[2] is True, "the next request is served"
    assert sum(v for k, v in server.status().items() if k.startswith(("bad_", "refused_"))) == 2


def test_an_error_reply_and_other_echoes_are_not_answered(desk: Desk) -> None:
    server = desk.server()
    dealer = desk.raw(zmq.DEALER)
    for message in (["Reply", "a", False], ["Ack", "a"], ["ReportAck", 1, 1, 1]):
        dealer.send(plain("q.ping", message))
    desk.pump(lambda: server.status().get("echoes") == 3)
    assert not dealer.poll(20)


def test_a_message_of_many_parts_is_refused(desk: Desk) -> None:
    server = desk.server()
    dealer = desk.raw(zmq.DEALER)
    told = unpack(desk.ask(dealer, *[b"x"] * 50)[0])
    assert told[4] == "MALFORMED"
    assert server.quarantine.total == 1


def test_handlers_that_raise_are_answered_for_and_logged_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: Incoming, _later: Any) -> Pong:
        raise [RpcError("DENIED", "no"), BusError("mend it so"), ZeroDivisionError("by 0")][
            request.body.number
        ]

    server = desk.server()
    server.register("q.ping", broken, Ping)
    server.register("q.odd", lambda _request, _later: object())  # type: ignore[arg-type,return-value]
    server.register("q.long", lambda _request, _later: Pong(0, "x" * (1 << 20)))
    dealer = desk.raw(zmq.DEALER)
    told = []
    for number in (0, 1, 2, 1, 2):
        message = ["Request", f"id-{len(told)}", "q.ping", ["Ping", number]]
        told.append(unpack(desk.ask(dealer, plain("q.ping", message))[0])[4:])
    assert told[:3] == [
        ["DENIED", "no"],
        ["HANDLER_ERROR", "mend it so"],
        ["HANDLER_ERROR", "ZeroDivisionError: by 0"],
    ]
    assert len([r for r in caplog.records if "q.ping failed" in r.getMessage()]) == 2
    for method, part in (("q.odd", "object cannot be a body"), ("q.long", "too long")):
        told = unpack(desk.ask(dealer, plain(method, ["Request", method, method]))[0])
        assert told[4] == "HANDLER_ERROR" and part in told[5]


def test_a_peer_that_never_reads_costs_a_bounded_queue_and_nobody_else(desk: Desk) -> None:
    queues = QueueLimits(frames=50, bytes=1 << 20, age=200_000_000)
    server = desk.server(limits=ServerLimits(queues=queues))
    server.register("q.ping", lambda _request, _later: Pong(0, "x" * 8_000), keep=False)
    deaf = desk.raw(zmq.DEALER, RCVHWM=1, RCVBUF=4_096)
    sent = 0

    def full() -> bool:
        nonlocal sent
        for _ in range(50):
            deaf.send(plain("q.ping", ["Request", f"id-{sent}", "q.ping"]))
            sent += 1
        return server.status()["dropped"] > 0

    desk.pump(full)
    status = server.status()
    assert status["waiting_peers"] == 1 and status["waiting_frames"] <= 50
    other = desk.raw(zmq.DEALER)
    assert unpack(desk.ask(other, plain("q.ping", ["Request", "a", "q.ping"]))[0])[2] is True
    desk.pump(lambda: server.status()["waiting_peers"] == 0)  # its patience has ended


def test_a_slow_peer_gets_what_waited_for_it_in_order(desk: Desk) -> None:
    server = desk.server()
    server.register("q.ping", lambda request, _later: Pong(request.body.number, "x" * 4_000), Ping)
    slow = desk.raw(zmq.DEALER, RCVHWM=1, RCVBUF=4_096)
    for number in range(600):
        slow.send(plain("q.ping", ["Request", f"id-{number}", "q.ping", ["Ping", number]]))
    desk.pump(lambda: server.counters["requests"] == 600)
    assert server.status()["waiting_frames"] > 0, "more than the pipe holds"
    got: list[int] = []

    def read() -> bool:
        while slow.poll(0):
            got.append(unpack(slow.recv())[3][1])
        return len(got) == 600

    desk.pump(read)
    assert got == list(range(600))
    assert server.status()["dropped"] == 0 and server.status()["waiting_peers"] == 0


def test_the_number_of_peers_that_are_waited_for_is_bounded(desk: Desk) -> None:
    server = desk.server(limits=ServerLimits(queues=QueueLimits(frames=10, peers=2)))
    server.register("q.ping", lambda _request, _later: Pong(0, "x" * 60_000), keep=False)
    peers = [desk.raw(zmq.DEALER, RCVHWM=1, RCVBUF=4_096) for _ in range(4)]
    for number in range(120):
        for peer in peers:
            peer.send(plain("q.ping", ["Request", f"id-{number}", "q.ping"]))
    desk.pump(lambda: server.counters["requests"] == 480)
    assert server.status()["waiting_peers"] == 2
    peers[0].close(linger=0)
    for peer in peers:
        peer.close(linger=0)
    desk.pump(lambda: server.status()["waiting_peers"] == 0)
    assert server.status()["gone"] > 0


def test_an_identity_is_taken_over_by_the_connection_that_came_last(desk: Desk) -> None:
    promises: list[Pending] = []
    server = desk.server()
    server.register("q.ping", lambda _request, later: promises.append(later()), Ping)
    old = desk.raw(zmq.DEALER, IDENTITY=b"runner-1")
    desk.ask(old, plain("q.ping", PING))
    new = desk.raw(zmq.DEALER, IDENTITY=b"runner-1")
    desk.ask(new, plain("q.ping", ["Request", "id-2", "q.ping", ["Ping", 1]]))
    promises[0].answer(Pong(1))
    promises[1].answer(Pong(2))
    desk.pump(lambda: new.poll(0))
    assert [unpack(new.recv())[3][1] for _ in range(2)] == [1, 2]
    assert not old.poll(20)


def test_work_per_poll_is_bounded(desk: Desk) -> None:
    server = desk.server(limits=ServerLimits(batch=10))
    server.register("q.ping", pong, Ping)
    dealer = desk.raw(zmq.DEALER)
    for number in range(100):
        dealer.send(plain("q.ping", ["Request", f"id-{number}", "q.ping", ["Ping", 1]]))
    desk.pump(lambda: server.socket.poll(0))
    before = server.counters["received"]
    server.on_readable()
    assert server.counters["received"] - before <= 10
    desk.pump(lambda: server.counters["requests"] == 100)


def test_names_are_given_once_and_endpoints_must_bind(desk: Desk) -> None:
    server = desk.server()
    server.register("q.ping", pong)
    with pytest.raises(BusError, match="handler already"):
        server.register("q.ping", pong)
    with pytest.raises(BusError, match="no endpoint"):
        RpcServer("nowhere", codec(), source="x", epoch=1, clock=desk.clock, context=desk.context)
    server.close()
    server.close()
    server.on_readable()


def test_two_thousand_random_messages_leave_the_server_whole(desk: Desk) -> None:
    server = desk.server()
    server.register("q.ping", pong, Ping)
    chance = random.Random(7)
    dealer, good = desk.raw(zmq.DEALER), plain("q.ping", PING)
    for number in range(2_000):
        frame = bytearray(good if number % 2 else chance.randbytes(chance.randrange(200)))
        for _ in range(chance.randrange(1, 4) if frame else 0):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        parts = (
            [bytes(frame)]
            if chance.random() < 0.9
            else [b"", bytes(frame), b"x"][: chance.randrange(1, 4)]
        )
        dealer.send_multipart(parts)
        if number % 50 == 0:
            desk.step(0)
            while dealer.poll(0):
                dealer.recv_multipart()
    desk.pump(lambda: server.counters["received"] == 2_000)
    assert server.quarantine.total > 1_000 and len(server.quarantine.ring) <= 64
    assert desk.loop.errors == 0
    assert unpack(desk.ask(desk.raw(zmq.REQ), plain("q.ping", PING, "fresh"))[0])[2] is True


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)
KINDS = st.sampled_from(
    ["Request", "Reply", "Ack", "Report", "ReportHello", "ReportAck", "Ping", "No"]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=KINDS, fields=st.lists(VALUES, max_size=5), topic=st.sampled_from(["q.ping", "q.no"]))
def test_well_formed_nonsense_never_raises(
    tmp_path: Path, kind: str, fields: list[Any], topic: str
) -> None:
    desk = Desk(tmp_path)
    try:
        server = desk.server()
        server.register("q.ping", pong, Ping)
        server._take([b"nobody", plain(topic, [kind, *fields])])
        server._take([b"nobody", plain(topic, ["Request", "id", topic, *fields])])
        assert server.counters["received"] == 2
    finally:
        desk.close()
