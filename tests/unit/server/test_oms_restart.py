"""A restart from the file finds everything, mints no id twice, and writes to no file that it has not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from foxtrot.core.constants import Offset, Status
from foxtrot.core.errors import OmsError
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery
from foxtrot.testing import make_account, make_contract, make_order_request, make_trade
from tests.unit.server.oms_desk import Desk

FUTURE = make_contract("rb2410.SHFE", net_position=False, size=10.0, pricetick=1.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "oms.db"


def start(file: Path) -> Desk:
    return Desk(SqlitePersistence(file, lock_timeout=5.0), contracts=())


def first_life(file: Path, *, close: bool) -> Desk:
    desk = Desk(SqlitePersistence(file), contracts=(make_contract(), FUTURE))
    desk.venue.on_account(make_account(1_000.0, frozen=5.0))
    done = desk.send(volume=3.0, strategy="sma", reference="entry")
    desk.fill(done, 1.0, 100.0, commission=0.1)
    desk.fill(done, 2.0, 103.0)
    working = desk.send(volume=5.0, price=99.0)
    desk.venue.report(working, Status.NOTTRADED, venue_orderid="V7")
    opened = desk.send(volume=4.0, price=3_500.0, vt_symbol="rb2410.SHFE", offset=Offset.OPEN)
    desk.fill(opened, 2.0, 3_500.0)
    desk.oms.roll_day()
    desk.send(volume=1.0)  # no word of it from the venue
    desk.send(volume=0.5)  # denied
    if close:
        desk.main.close()
    else:  # as after a crash: nothing is saved at the end, the file is just let go
        desk.oms.persistence.close()
    return desk


@pytest.mark.parametrize("close", [True, False], ids=["closed", "crashed"])
def test_everything_is_there_again(file: Path, close: bool) -> None:
    old = first_life(file, close=close)
    new = start(file)
    new.oms.load_state()

    before = {order.vt_orderid: order for order in old.main.get_all_orders()}
    pages = new.oms.orders_page(PageQuery()).items
    after = {order.vt_orderid: order for order in pages}
    assert after.keys() == before.keys()
    assert all(new.main.get_order(key) == order for key, order in after.items())
    in_flight = "SIM.oms-4"
    assert before.pop(in_flight).status is Status.SUBMITTING
    unknown = after.pop(in_flight)
    assert (unknown.status, unknown.reason) == (Status.UNKNOWN, "in flight when the OMS ended")
    assert after == before
    active = [order.vt_orderid for order in new.main.get_all_active_orders()]
    assert active == ["SIM.oms-2", "SIM.oms-3", "SIM.oms-4"]
    assert new.oms.trades_page(PageQuery()).items == old.main.get_all_trades()
    assert [trade.vt_orderid for trade in new.main.get_all_trades()] == ["SIM.oms-3"]
    assert new.main.get_all_positions() == sorted(
        old.main.get_all_positions(), key=lambda p: p.vt_positionid
    )
    assert new.main.get_all_contracts() == old.main.get_all_contracts()
    assert [a.balance for a in new.main.get_all_accounts()] == [999.9]
    new.main.close()


def test_life_goes_on_after_a_restart(file: Path) -> None:
    first_life(file, close=True)
    new = start(file)
    new.venue.on_trade(make_trade(2.0, 3_501.0, vt_orderid="SIM.oms-3", vt_symbol="rb2410.SHFE",
                                  vt_tradeid="SIM.new-1", offset=Offset.OPEN))  # fmt: skip
    old_fill = new.oms.get_trade("SIM.1")
    new.drain()
    assert old_fill is None  # nothing was read before the first message

    order = new.main.get_order("SIM.oms-3")
    assert order is not None
    assert (order.status, order.traded, order.average_price) == (Status.ALLTRADED, 4.0, 3_500.5)
    position = new.main.get_position("SIM.rb2410.SHFE.LONG")
    assert position is not None
    assert (position.volume, position.yd_volume, position.price) == (4.0, 2.0, 3_500.5)

    known = new.main.get_trade("SIM.1")
    assert known is not None
    new.venue.on_trade(known)
    new.drain()
    assert new.oms.duplicates == 1
    new.venue.on_account(make_account(999.0))
    new.drain()
    assert "differs from ours by -0.9 USD" in new.logs  # also right after a restart
    new.main.close()


def test_unknown_orders_stay_unknown_on_the_next_restart_too(file: Path) -> None:
    first_life(file, close=False)
    for _ in range(2):
        new = start(file)
        new.oms.load_state()
        assert new.main.get_order("SIM.oms-4").status is Status.UNKNOWN  # type: ignore[union-attr]
        new.oms.persistence.close()


def test_no_id_is_minted_twice_not_even_one_that_was_never_written(file: Path) -> None:
    minted: list[str] = []
    for life in range(3):
        desk = Desk(SqlitePersistence(file))
        minted += [desk.send(), desk.send()]
        lost = desk.main.send_order(make_order_request(), "SIM")
        minted.append(lost)  # returned to the caller, and then the process dies
        desk.oms.persistence.close()
        assert len(set(minted)) == len(minted) == 3 * (life + 1)
    assert minted[0] == "SIM.oms-1"


def test_an_oms_that_never_read_its_file_leaves_it_alone(file: Path) -> None:
    first_life(file, close=True)
    idle = start(file)
    idle.main.close()

    new = start(file)
    new.oms.load_state()
    assert len(new.oms.orders_page(PageQuery()).items) == 5
    new.main.close()


def test_loading_twice_is_loading_once(file: Path) -> None:
    first_life(file, close=True)
    new = start(file)
    new.oms.load_state()
    vt_orderid = new.send(volume=1.0, strategy="other")
    new.oms.load_state()
    assert new.main.get_order(vt_orderid).status is Status.SUBMITTING  # type: ignore[union-attr]
    new.main.close()


def test_a_damaged_row_halts_the_oms_and_nothing_is_overwritten(file: Path) -> None:
    first_life(file, close=True)
    with SqlitePersistence(file) as store:
        store.save("orders/SIM.oms-3", ["Bar", "not an order"])
    new = start(file)
    with pytest.raises(OmsError, match=r"loading the saved state failed.*orders/SIM\.oms-3"):
        new.oms.load_state()
    new.main.close()
    with SqlitePersistence(file) as store:
        assert len(list(store.keys("orders/"))) == 5


def test_a_position_is_read_in_the_units_that_it_was_saved_in(file: Path) -> None:
    first_life(file, close=True)
    with SqlitePersistence(file) as store:
        store.save("contracts/TEST.LOCAL", make_contract(min_volume=0.001))
    new = start(file)
    new.oms.load_state()
    position = new.main.get_position("SIM.TEST.LOCAL.NET")
    assert position is not None
    assert (position.volume, position.price) == (3.0, 102.0)
    new.main.close()


def test_an_order_of_a_whole_number_written_without_its_point_is_known_again(file: Path) -> None:
    desk = Desk(SqlitePersistence(file))
    vt_orderid = desk.send(volume=10, price=100)
    desk.venue.report(vt_orderid, Status.NOTTRADED)
    desk.drain()
    desk.oms.persistence.close()
    new = start(file)
    new.oms.load_state()
    assert new.main.get_order(vt_orderid).volume == 10.0  # type: ignore[union-attr]
    new.main.close()
