"""The OMS's way to an adapter of another process: until when a command may still arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from foxtrot.bus.rpc_messages import Outcome, Unknown
from foxtrot.core.clock import NEVER, SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND, Direction, OrderType
from foxtrot.core.objects import OrderRequest
from foxtrot.server.bridge.routes import RemoteRoute


class Client:
    """Keeps what is to be told of each outcome."""

    def __init__(self) -> None:
        self.replies: list[Callable[[Outcome], object]] = []

    def send(
        self, _method: str, _body: Any, *, on_reply: Callable[[Outcome], object], **_: Any
    ) -> None:
        self.replies.append(on_reply)


def request(number: int) -> OrderRequest:
    return OrderRequest(
        "A.LOCAL", Direction.LONG, OrderType.MARKET, 1.0, vt_orderid=f"SIM.s-{number}"
    )


def test_a_command_may_arrive_until_it_is_answered_or_given_up() -> None:
    clock, client, asked = SimulatedClock(), Client(), []
    clock.ns = 5 * NS_PER_SECOND
    route = RemoteRoute(
        "SIM",
        client,  # type: ignore[arg-type]
        lambda _vt_orderid: None,
        lambda _report: None,
        asked.append,
        asked.append,
        clock,
    )
    route.send_order(request(1))
    assert route.settled("SIM.s-1") == NEVER
    clock.ns = 9 * NS_PER_SECOND
    client.replies[0](Unknown("1", "order.send", "no answer"))
    assert route.settled("SIM.s-1") == 9 * NS_PER_SECOND
    assert asked == ["SIM"]

    # of a former life nobody knows more than that it has ended
    assert route.settled("SIM.s-0") == 5 * NS_PER_SECOND

    # what is long past is forgotten
    route.send_order(request(2))
    clock.ns = 3_600 * NS_PER_SECOND
    client.replies[1](Unknown("1", "order.send", "no answer"))
    assert route.settled("SIM.s-1") == 5 * NS_PER_SECOND
    assert route.settled("SIM.s-2") == clock.ns
