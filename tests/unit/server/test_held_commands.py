"""Commands of a paced replay wait for their round, in order, over restarts and failures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.objects import CancelRequest, OrderData, OrderRequest
from foxtrot.server.bridge.held_commands import HELD, HeldCommands
from foxtrot.server.oms.risk_gate import TradingGate
from foxtrot.testing import make_order, make_order_request


class Route:
    """Takes commands when it is told to."""

    adapter = "SIM"

    def __init__(self) -> None:
        self.carried: list[tuple[Any, Any]] = []
        self.given_up: list[tuple[str, Status]] = []

    def carry(self, command: Any, done: Any) -> None:
        self.carried.append((command, done))

    def give_up(self, request: OrderRequest, status: Status, _reason: str) -> None:
        self.given_up.append((request.vt_orderid, status))

    @property
    def ids(self) -> list[str]:
        return [command.vt_orderid for command, _ in self.carried]

    def answer(self, taken: bool = True) -> None:
        self.carried[-1][1](taken)


class World:
    """An OMS's rows, and what goes out."""

    def __init__(self, stored: Any = None) -> None:
        self.rows: dict[str, Any] = {} if stored is None else {HELD: stored}
        self.orders: dict[str, OrderData] = {}
        self.route = Route()
        self.clock = SimulatedClock(0)
        self.gate = TradingGate()
        step = SimpleNamespace(rows={})

        def flush() -> None:
            self.rows |= msgspec.to_builtins(step.rows)
            step.rows = {}

        oms: Any = SimpleNamespace(
            step=step,
            flush=flush,
            gate=self.gate,
            orders=SimpleNamespace(orders=self.orders),
            persistence=SimpleNamespace(load=self.rows.get),
        )
        routes: Any = {"SIM": self.route}
        self.held = HeldCommands(oms, routes, self.clock)
        self.held.load()
        self.flush = flush

    def hold(self, *commands: Any) -> None:
        for command in commands:
            self.held.hold(command)
        self.flush()


def order(number: int) -> OrderRequest:
    return make_order_request(vt_orderid=f"SIM.s-{number}", strategy="s")


@pytest.fixture
def world() -> World:
    return World()


def test_commands_wait_for_their_round_and_go_one_after_the_other(world: World) -> None:
    world.hold(order(1), CancelRequest("SIM.s-0"))
    assert (world.held.waiting, world.held.is_going, world.route.ids) == (2, False, [])
    world.held.release()
    world.hold(order(2))  # decided meanwhile: for the next round
    assert (world.held.waiting, world.route.ids) == (1, ["SIM.s-1"])
    world.route.answer()
    world.route.answer()
    assert world.route.ids == ["SIM.s-1", "SIM.s-0"]
    assert (world.held.waiting, world.held.is_going) == (1, False)
    world.held.release()
    assert world.route.ids[-1] == "SIM.s-2"


def test_one_whose_outcome_is_not_known_is_sent_again_before_the_next(world: World) -> None:
    world.hold(order(1), order(2))
    world.held.release()
    world.route.answer(False)
    assert world.route.ids == ["SIM.s-1"]
    assert world.held.is_going
    world.clock.advance(NS_PER_SECOND)
    assert world.route.ids == ["SIM.s-1", "SIM.s-1"]
    world.route.answer()
    assert world.route.ids[-1] == "SIM.s-2"


def test_after_a_restart_what_was_not_taken_waits_again(world: World) -> None:
    world.hold(order(1), order(2), CancelRequest("SIM.s-1"))
    world.held.release()
    world.route.answer()
    after = World(world.rows[HELD])
    assert after.held.waiting == 2
    assert after.held.holds_order("SIM.s-2")
    assert not after.held.holds_order("SIM.s-1")
    after.held.release()
    assert after.route.carried[0][0] == order(2)
    after.route.answer()
    assert after.route.carried[1][0] == CancelRequest("SIM.s-1")


def test_an_order_that_has_ended_meanwhile_is_not_sent(world: World) -> None:
    world.orders["SIM.s-1"] = make_order(vt_orderid="SIM.s-1", status=Status.REJECTED)
    world.hold(order(1), order(2))
    world.held.release()
    assert world.route.ids == ["SIM.s-2"]


def test_a_halt_keeps_new_orders_back_and_lets_cancellations_out(world: World) -> None:
    world.hold(order(1), CancelRequest("SIM.s-0"))
    world.gate.halt("enough", 1)
    world.held.release()
    assert world.route.given_up == [("SIM.s-1", Status.REJECTED)]
    assert world.route.ids == ["SIM.s-0"]


def test_an_order_that_may_have_been_sent_before_a_halt_is_unknown(world: World) -> None:
    world.hold(order(1))
    world.held.release()
    after = World(world.rows[HELD])
    after.gate.halt("enough", 1)
    after.held.release()
    assert after.route.given_up == [("SIM.s-1", Status.UNKNOWN)]
