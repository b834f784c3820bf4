"""A runner among services: how its strategies start, what they hear, and what survives."""

from __future__ import annotations

import pytest

from foxtrot.core.constants import Status
from foxtrot.core.errors import FoxtrotError
from foxtrot.testing import make_tick
from tests.unit.client.runner_world import START, A, Box, bar


def test_a_bar_becomes_an_order_and_its_fill_a_position(world) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    assert [r.vt_orderid for r in world.sent()] == ["SIM.s-1"]
    assert box.user().position().volume == 1
    assert box.user().heard == [("SIM.s-1", "NOTTRADED"), ("SIM.s-1", "ALLTRADED")]
    world.pump(lambda: box["s"].outbox.is_quiet)
    info = world.infos()["s"]
    assert (info.state, info.cursor, info.error) == ("RUNNING", 3, "")
    assert info.variables["position A.LOCAL"] == "1"
    assert box.process.state == "READY"


def test_what_was_folded_and_saved_survives_a_kill_and_ids_go_on(world) -> None:
    box = Box(world).live()
    world.show(bar(0, 1), bar(1, 1))
    world.pump(lambda: len(box.user().fills) == 2)
    world.fills = False
    world.show(bar(2, 3))
    world.pump(lambda: len(box.user().heard) == 5)
    world.run_for(0.05)
    box.crash()
    box = Box(world).live()
    user = box.user()
    assert user.position().volume == 2
    assert user.fills == ["SIM.t1", "SIM.t2"]
    assert [o.vt_orderid for o in user.orders()] == ["SIM.s-3"]
    assert user.loaded["fills"] == user.fills
    world.show(bar(3, 1))
    world.pump(lambda: len(world.sent()) == 4)
    assert world.sent()[-1].vt_orderid == "SIM.s-4"


def test_fills_of_the_time_when_it_was_down_reach_the_hook_once(world) -> None:
    world.fills = False
    box = Box(world).live()
    world.show(bar(0, 3))
    world.pump(lambda: len(world.orders) == 1 and box.user().heard)
    box.crash()
    world.fill("SIM.s-1")
    box = Box(world).live()
    assert box.user().fills == ["SIM.t1"]
    assert box.user().position().volume == 1
    assert box.user().orders() == []
    box.crash()
    box = Box(world).live()
    assert box.user().fills == ["SIM.t1"]


def test_a_strategy_whose_file_is_lost_takes_its_view_from_the_oms(world) -> None:
    box = Box(world).live()
    for number in range(9):
        world.show(bar(number, 1))
    world.pump(lambda: len(box.user().fills) == 9)
    world.fills = False
    world.show(bar(9, 3))
    world.pump(lambda: len(world.orders) == 10)
    box.crash()
    for file in world.installation.folder("state").glob("s.db*"):
        file.unlink()
    box = Box(world).live()
    user = box.user()
    assert user.position().volume == 9
    assert user.fills == []  # they are history: no hook is called
    assert [o.vt_orderid for o in user.orders()] == ["SIM.s-10"]
    world.show(bar(10, 1))
    world.pump(lambda: len(world.orders) == 11)
    assert world.sent()[-1].vt_orderid == "SIM.s-11"


def test_lost_publications_are_replayed_also_at_the_end_of_the_stream(world) -> None:
    box = Box(world).live()
    world.lost = 2
    world.show(bar(0, 1))
    world.pump(lambda: len(world.trades_of()) == 1)
    world.pump(lambda: len(box.user().fills) == 1)
    world.lost = 3
    world.show(bar(1, 1))
    world.pump(lambda: len(box.user().fills) == 2)
    assert box.user().heard == [
        ("SIM.s-1", "NOTTRADED"),
        ("SIM.s-1", "ALLTRADED"),
        ("SIM.s-2", "NOTTRADED"),
        ("SIM.s-2", "ALLTRADED"),
    ]


def test_a_restart_of_the_oms_is_survived_and_what_it_did_meanwhile_is_replayed(world) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    world.close_oms()
    world.show(bar(1, 1))
    world.run_for(0.3)
    world.epoch += 1
    world.open_oms()
    world.pump(lambda: len(box.user().fills) == 2)
    assert len(world.sent()) == 2


def test_an_oms_whose_history_was_replaced_is_believed(world) -> None:
    box = Box(world).live()
    for number in range(4):
        world.show(bar(number, 1))
    world.pump(lambda: len(box.user().fills) == 4)
    world.close_oms()
    del world.journal["s"][6:]
    world.epoch += 1
    world.open_oms()
    world.pump(lambda: box.user().position().volume == 2 and box["s"].is_settled)
    assert box["s"].stored.cursor == 6


def test_without_an_answer_a_command_is_sent_again_under_its_ids_after_a_kill(world) -> None:
    world.silent = True
    box = Box(world).live()
    world.show(bar(0, 1), bar(1, 3))
    world.pump(lambda: len(world.came) >= 2)
    box.crash()
    came = {(id_, body) for id_, _, body in world.came}
    assert len(came) == 2
    world.restart_oms()
    world.silent = False
    box = Box(world)
    world.pump(lambda: len(box["s"].outbox.rows) == 0 and box["s"].is_settled)
    assert {(id_, body) for id_, _, body in world.came} == came
    assert len(world.orders) == 2
    world.pump(lambda: len(box.user().fills) == 2)
    assert box.user()._context.pending == {}


def test_services_may_come_in_any_order(world) -> None:
    contracts, world.contracts = world.contracts, {}
    world.close_adapter()
    world.close_oms()
    box = Box(world)
    world.run_for(0.2)
    assert box.process.state == "STARTING"
    world.open_oms()
    world.run_for(0.5)
    assert box.process.state == "STARTING"
    assert "contract of A.LOCAL" in box.process.detail
    world.contracts = contracts
    world.open_adapter()
    box.live()
    world.pump(lambda: box.process.state == "READY" and world.subscribed == [A])


def test_an_oms_that_is_not_ready_is_asked_again(world) -> None:
    world.works = False
    box = Box(world)
    world.run_for(0.5)
    world.show(bar(0, 1))  # comes too early to be traded on, and is kept
    world.run_for(0.2)
    assert box.infos()[0].state in ("CATCHING_UP", "WARMING")
    world.works = True
    box.live()
    world.pump(lambda: len(box.user().fills) == 1)


def test_an_adapter_that_restarts_is_told_again_what_is_wanted(world) -> None:
    Box(world).live()
    world.pump(lambda: world.subscribed == [A])
    world.run_for(0.5)
    world.close_adapter()
    world.epoch += 1
    world.open_adapter()
    world.pump(lambda: world.subscribed == [A, A])


def test_history_feeds_indicators_and_no_hook_and_can_be_asked_for(make_world) -> None:
    world = make_world(s="warmup_bars = 5", path="probe.py:Warm")
    world.history[A] = [bar(n, 10.0 + n) for n in range(8)]
    box = Box(world).live()
    user = box.user()
    assert user.bars == []
    assert user.sma.value == 16.0
    assert [b.close_price for b in user.history(2)] == [16.0, 17.0]
    world.show(bar(8, 18.0))
    world.pump(lambda: len(user.bars) == 1)
    assert user.sma.value == 17.0
    assert [b.close_price for b in user.history(2)] == [17.0, 18.0]


def test_quotes_are_conflated_when_it_is_behind_and_bars_never(world) -> None:
    box = Box(world).live()
    for n in range(50):
        world.show(make_tick(vt_symbol=A, ts_event=START + n), bar(n))
    world.pump(lambda: len(box.user().bars) == 50)
    assert len(box.user().ticks) < 50
    assert box.user().ticks[-1] == START + 49


def test_stale_prices_are_told_once(make_world, caplog) -> None:
    caplog.set_level("INFO", "foxtrot.runner")
    world = make_world(s="stale = 0.2")
    box = Box(world).live()
    world.show(bar(0))
    world.pump(lambda: "are stale" in caplog.text)
    world.run_for(1.2)
    assert caplog.text.count("are stale") == 1
    world.show(bar(1))
    world.pump(lambda: "fresh again" in caplog.text)
    assert len(box.user().bars) == 2


def test_an_orderly_end_calls_on_stop_saves_and_the_next_start_goes_on(world) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    user = box.user()
    box.stop()
    assert user.ended
    box = Box(world).live()
    assert box.user().fills == user.fills
    assert box.user().bars == user.bars
    assert box["s"].stored.mode == "RUNNING"


def test_a_file_belongs_to_one_process(world) -> None:
    box = Box(world).live()
    path = box["s"].store.path
    from foxtrot.client.runner_store import RunnerStore
    from foxtrot.server.persistence_lock import DatabaseInUseError, OwnerLock

    with pytest.raises(DatabaseInUseError, match=r"s\.db is in use"):
        RunnerStore(path, "s", 1, OwnerLock(path.with_name(path.name + ".lock"), path), 0.0)
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_a_file_that_cannot_be_written_ends_the_process_and_nothing_leaves(world) -> None:
    box = Box(world).live()
    box["s"].store._db.execute("PRAGMA query_only = 1")
    world.show(bar(0, 1))
    world.pump(lambda: box.process.exit_code == 70)
    world.run_for(0.1)
    assert world.came == []
    with pytest.raises(FoxtrotError):
        box["s"].close()


def test_modify_and_cancel_follow_their_order(world, tmp_path) -> None:
    world.fills = False
    box = Box(world).live()
    user = box.user()
    world.show(bar(0, 3))
    world.pump(user.orders)
    user.modify_order("SIM.s-1", price=51.0)
    world.show(bar(1, 4))
    world.pump(lambda: world.orders["SIM.s-1"].status is Status.CANCELLED and not user.orders())
    assert [method for _, method, _ in world.came] == ["order.send", "order.modify", "order.cancel"]
    assert len({id_ for id_, _, _ in world.came}) == 3
