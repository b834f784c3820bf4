"""What seldom happens: an OMS that is halted or has archived its past, an old file, an instrument that was given up."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

import foxtrot.client
from foxtrot.bus.rpc_messages import RpcError
from foxtrot.core.constants import Status
from tests.unit.client.runner_world import Box, World, bar


def test_an_order_to_an_oms_that_is_not_ready_waits_and_is_sent_under_its_own_id(world) -> None:
    box = Box(world).live()
    world.refuse = ("NOT_READY", "the venue was not compared yet")
    world.show(bar(0, 1))
    world.pump(lambda: len(world.came) >= 2)
    assert box["s"].state == "RUNNING"
    world.refuse = None
    world.pump(lambda: box.user().fills == ["SIM.t1"])
    assert {body.vt_orderid for _, _, body in world.came} == {"SIM.s-1"}
    assert len({id_ for id_, _, _ in world.came}) == len(world.came)  # kept answers are asked anew


def test_a_cancellation_waits_for_the_end_of_a_halt(world, monkeypatch) -> None:
    world.fills = False
    box = Box(world).live()
    world.show(bar(0, 3))
    world.pump(box.user().orders)
    plain, halted = world._cancel, [True, True]

    def cancel(asked, later):
        if halted:
            halted.pop()
            raise RpcError("HALTED", "the journal is broken")
        return plain(asked, later)

    world.close_oms()
    monkeypatch.setattr(world, "_cancel", cancel)
    world.epoch += 1
    world.open_oms()
    world.show(bar(1, 4))
    world.pump(lambda: world.orders["SIM.s-1"].status is Status.CANCELLED)
    world.pump(lambda: box["s"].outbox.is_quiet and not box.user().orders())


def test_when_the_past_is_archived_the_snapshot_must_do(world, caplog) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    world.run_for(0.05)
    box.crash()
    world.fills = False
    world.show(bar(1, 1))
    for file in world.installation.folder("state").glob("s.db*"):
        file.unlink()
    world.archived = 3
    box = Box(world).live()
    assert box["s"].stored.cursor == 3
    assert box.user().position().is_flat  # those fills are nowhere to be had: it is told
    assert "its position begins with the fills of its working orders" in caplog.text


def test_an_old_copy_of_the_file_leads_to_no_second_order_under_an_id(world) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    world.run_for(0.05)
    box.crash()
    folder = world.installation.folder("state")
    for file in list(folder.glob("s.db*")):
        shutil.copy(file, folder / f"copy.{file.name}")
    box = Box(world).live()
    world.show(bar(1, 1), bar(2, 1))
    world.pump(lambda: len(box.user().fills) == 3)
    box.crash()
    for file in list(folder.glob("s.db*")):
        file.unlink()
    for file in list(folder.glob("copy.s.db*")):
        file.rename(folder / file.name.removeprefix("copy."))
    box = Box(world).live()
    assert box.user().fills == ["SIM.t1", "SIM.t2", "SIM.t3"]
    world.show(bar(3, 1))
    world.pump(lambda: len(world.orders) == 4)
    assert world.sent()[-1].vt_orderid == "SIM.s-4"
    assert box["s"].state == "RUNNING"


def test_a_position_in_an_instrument_that_is_traded_no_longer_is_told(world, caplog) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    box.crash()
    config = world.installation.path
    config.write_text(config.read_text().replace("A.LOCAL", "B.LOCAL"))
    world.reread()
    box = Box(world).live()
    assert "A.LOCAL was held" in caplog.text
    assert box.user().position().is_flat


def test_in_its_first_life_a_strategy_may_send_from_on_start_and_later_not(
    make_world, tmp_path
) -> None:
    (tmp_path / "eager.py").write_text(
        "from foxtrot.strategy import Strategy\nclass Eager(Strategy):\n"
        "    def on_start(self):\n        if self.is_trading: self.buy(1)\n"
    )
    world = make_world(path="eager.py:Eager")
    box = Box(world).live()
    world.pump(lambda: box["s"].running.strategy.position().volume == 1)
    world.run_for(0.05)
    box.crash()
    Box(world).live()
    world.run_for(0.1)
    assert len(world.orders) == 1


def test_a_reload_whose_old_class_cannot_save_leaves_an_error_and_the_last_good_state(
    world, tmp_path
) -> None:
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: len(box.user().fills) == 1)
    world.run_for(0.05)
    box.user().fills = object()
    world.control("reload")
    box.live()
    assert box["s"].state == "ERROR"
    world.control("resume")
    box.live()
    assert box.user().fills == ["SIM.t1"]


def test_several_strategies_trade_the_same_instrument_apart(make_world) -> None:
    world: World = make_world("s", "t")
    box = Box(world).live()
    world.show(bar(0, 1))
    world.pump(lambda: box.user("s").fills and box.user("t").fills)
    world.control("pause", "t")
    world.show(bar(1, 1))
    world.pump(lambda: len(box.user("s").fills) == 2)
    assert box.user("t").position().volume == 1
    assert sorted(world.orders) == ["SIM.s-1", "SIM.s-2", "SIM.t-1"]
    assert set(world.infos()) == {"s", "t"}


def test_the_packages_names_are_loaded_when_they_are_used() -> None:
    for name in foxtrot.client.__all__:
        assert getattr(foxtrot.client, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        _ = foxtrot.client.Nonsense


def test_a_runner_loads_neither_numpy_nor_pandas() -> None:
    script = "import sys, foxtrot.client.runner; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "pandas", "foxtrot.server"} & set(done.stdout.split())
