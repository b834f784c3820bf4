"""A strategy that fails stands still, with its policy and its traceback; its neighbours go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from foxtrot.core.constants import Status
from foxtrot.core.objects import OrderRequest
from tests.unit.client.runner_world import Box, bar


def test_an_exception_stops_one_strategy_and_is_told(make_world) -> None:
    world = make_world()
    box = Box(world).live()
    world.show(bar(0, 5))
    world.pump(lambda: box.process.state == "DEGRADED")
    info = world.infos()["s"]
    assert info.state == "ERROR"
    assert "RuntimeError: five" in info.error
    assert "probe.py" in info.error
    assert "RuntimeError: five" in box.runner.details()["s"]


def test_a_neighbour_of_a_failed_strategy_goes_on(make_world, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import nothing_of_that_name\n")
    world = make_world("s", "t")
    config = world.installation.path
    config.write_text(config.read_text().replace("probe.py:Probe", "bad.py:Bad", 1))
    world.reread()
    box = Box(world).live()
    assert world.infos()["s"].state == "ERROR"
    assert "nothing_of_that_name" in world.infos()["s"].error
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user("t").fills) == 1)
    assert world.position("t") == 1


def test_an_error_survives_a_kill_and_events_are_folded_meanwhile(world) -> None:
    world.fills = False
    box = Box(world).live()
    world.show(bar(0, 3))
    world.pump(lambda: box.user().orders())
    world.show(bar(1, 5))
    world.pump(lambda: box["s"].stored.mode == "ERROR")
    world.run_for(0.05)
    box.crash()
    world.fill("SIM.s-1")
    box = Box(world).live()
    assert box["s"].state == "ERROR"
    assert "RuntimeError: five" in box["s"].stored.error
    assert box["s"].host.context.legs["A.LOCAL"].position.volume == 1
    assert type(box.user()).__name__ == "Strategy"  # none of the user's code runs
    assert world.control("resume").ok
    box.live()
    assert box["s"].state == "RUNNING"
    assert box["s"].stored.error == ""
    assert box.user().fills == ["SIM.t1"]  # told now, once
    assert box.user().position().volume == 1
    box.crash()
    assert Box(world).live().user().fills == ["SIM.t1"]


def test_the_policy_keep_leaves_orders_alone(world) -> None:
    world.fills = False
    box = Box(world).live()
    world.show(bar(0, 3), bar(1, 5))
    world.pump(lambda: box["s"].stored.mode == "ERROR" and world.orders)
    world.run_for(0.2)
    assert world.orders["SIM.s-1"].status is Status.NOTTRADED


@pytest.mark.parametrize("price", [5, 6])
def test_the_policy_cancel_takes_back_what_works(make_world, price) -> None:
    world = make_world(s='on_error = "cancel"')
    world.fills = False
    box = Box(world).live()
    world.show(bar(0, 3), bar(1, price))
    count = 1 + (price == 6)
    world.pump(lambda: box["s"].stored.mode == "ERROR" and len(world.orders) == count)
    world.pump(lambda: all(o.status is Status.CANCELLED for o in world.orders.values()))
    world.pump(lambda: not box["s"].host.context.working_ids())


def test_the_policy_flatten_closes_what_is_held_also_over_a_kill(make_world) -> None:
    world = make_world(s='on_error = "flatten"')
    box = Box(world).live()
    world.show(bar(0, 1), bar(1, 1))
    world.pump(lambda: len(box.user().fills) == 2)
    world.fills = False
    world.show(bar(2, 3), bar(3, 5))
    world.pump(lambda: len(world.orders) == 4)  # the closing one, after the cancellation
    closing = world.sent()[-1]
    assert (closing.volume, closing.reduce_only, closing.reference) == (2, True, "on_error")
    world.run_for(0.05)
    box.crash()
    box = Box(world).live()
    world.run_for(0.2)
    assert len(world.orders) == 4
    world.fill(closing.vt_orderid)
    world.pump(lambda: box["s"].host.context.legs["A.LOCAL"].position.is_flat)
    world.run_for(0.2)
    assert len(world.orders) == 4
    assert box["s"].state == "ERROR"


def test_a_closing_order_that_is_refused_is_not_sent_for_ever(make_world) -> None:
    world = make_world(s='on_error = "flatten"')
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    world.refuse = ("REFUSED", "no")
    world.show(bar(1, 5))
    world.run_for(0.8)
    tried = [body for _, _, body in world.came if isinstance(body, OrderRequest)]
    assert len(tried) == 1 + 3


def test_an_order_that_the_oms_refuses_is_an_error(world) -> None:
    world.refuse = ("REFUSED", "its id was used before for another order")
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: box["s"].state == "ERROR")
    assert "its id was used before for another order" in world.infos()["s"].error
    assert box["s"].host.context.pending == {}
    world.pump(lambda: box["s"].outbox.is_quiet)


def test_a_cancellation_that_comes_too_late_is_no_error(world) -> None:
    world.fills = False
    box = Box(world).live()
    world.show(bar(0, 3))
    world.pump(lambda: box.user().orders())
    world.lost = 2  # the strategy does not know yet
    world.fill("SIM.s-1")
    box["s"].running.strategy.cancel_order("SIM.s-1")
    world.pump(lambda: any(method == "order.cancel" for _, method, _ in world.came))
    world.pump(lambda: box.user().fills == ["SIM.t1"] and box["s"].outbox.is_quiet)
    assert box["s"].state == "RUNNING"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("def on_save(self): return {'x': object()}", "TypeError"),
        ("def on_save(self): raise ValueError('cannot save')", "cannot save"),
        ("def on_start(self): raise ValueError('cannot start')", "cannot start"),
        ("def __init__(self): pass", "has an __init__ of its own"),
        ("def on_trade(self, trade): self.buy('x')", "volume"),
    ],
)
def test_faults_of_the_users_code_are_told(make_world, tmp_path: Path, body, told) -> None:
    (tmp_path / "fault.py").write_text(
        "from foxtrot.strategy import Strategy\nclass Fault(Strategy):\n    "
        f"{body}\n    def on_bar(self, bar): self.buy(1)\n"
    )
    world = make_world(path="fault.py:Fault")
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: box["s"].state == "ERROR")
    assert told in box["s"].stored.error


# --- control ------------------------------------------------------------------------------------------------


def test_pause_calls_no_hook_folds_on_and_resume_tells_what_was_missed(world) -> None:
    world.fills = False
    box = Box(world).live()
    world.show(bar(0, 3))
    world.pump(lambda: box.user().orders())
    answer = world.control("pause")
    assert (answer.ok, answer.body.text) == (True, "s is paused")
    world.fill("SIM.s-1")
    world.show(bar(1, 1))
    world.pump(lambda: box.user().position().volume == 1)
    world.run_for(0.1)
    assert box.user().fills == []
    assert len(world.orders) == 1
    box.crash()
    box = Box(world).live()
    assert box["s"].state == "PAUSED"
    assert box.user().position().volume == 1
    assert box.user().fills == []
    assert world.control("resume", "s").body.text == "s goes on"
    assert box.user().fills == ["SIM.t1"]
    world.show(bar(2, 3))
    world.pump(lambda: len(world.orders) == 2)


def test_stop_lasts_over_a_restart_until_start(world) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    user = box.user()
    assert world.control("stop").body.text == "s is stopped"
    assert user.ended
    box.crash()
    box = Box(world).live()
    assert box["s"].state == "STOPPED"
    assert box.process.state == "READY"
    world.show(bar(1, 1))
    world.run_for(0.1)
    assert len(world.orders) == 1
    assert world.control("start").ok
    box.live()
    assert box.user().fills == ["SIM.t1"]
    world.show(bar(2, 1))
    world.pump(lambda: len(box.user().fills) == 2)


def test_reload_takes_the_new_class_and_keeps_the_state(world, tmp_path: Path) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    file = tmp_path / "probe.py"
    file.write_text(
        file.read_text().replace("if price == 1: self.buy(1)", "if price == 1: self.buy(3)")
    )
    assert world.control("reload").ok
    box.live()
    assert box.user().fills == ["SIM.t1"]
    assert box.user().position().volume == 1
    world.show(bar(1, 1))
    world.pump(lambda: len(box.user().fills) == 2)
    assert box.user().position().volume == 4
    file.write_text("class Probe: pass\n")
    answer = world.control("reload", "s")
    assert not answer.ok
    assert "not a subclass" in answer.error_text
    assert box["s"].state == "RUNNING"


@pytest.mark.parametrize(
    ("verb", "name", "code"),
    [("jump", "", "UNKNOWN_VERB"), ("stop", "nobody", "UNKNOWN_STRATEGY")],
)
def test_what_cannot_be_done_is_refused(world, verb, name, code) -> None:
    Box(world).live()
    answer = world.control(verb, name)
    assert (answer.ok, answer.error_code) == (False, code)


def test_verbs_that_do_not_fit_say_so(world) -> None:
    Box(world).live()
    assert world.control("start").body.text == "s is RUNNING: nothing to start"
    assert world.control("resume").body.text == "s is RUNNING: nothing to resume"
    world.control("stop")
    assert world.control("stop").body.text == "s is stopped already"
    assert world.control("pause").body.text == "s is STOPPED: nothing to pause"
