"""What every Persistence does: one suite over the SQLite file and the in-memory form."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.persistence import MemoryPersistence, Persistence, SqlitePersistence
from foxtrot.server.persistence_query import PageQuery

Reopen = Callable[[], Persistence]


class Store:
    """One store and the means to close and open it again."""

    def __init__(self, form: str, folder: Path) -> None:
        self._path = folder / "state.db"
        self._rows: dict[str, Any] = {}
        self._form = form
        self.db = self._open()

    def _open(self) -> Persistence:
        if self._form == "sqlite":
            return SqlitePersistence(self._path, lock_timeout=0)
        return MemoryPersistence(self._rows)

    def reopen(self) -> Persistence:
        self.db.close()
        self.db = self._open()
        return self.db


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = Store(request.param, tmp_path)
    yield made
    made.db.close()


@pytest.fixture
def db(store: Store) -> Persistence:
    return store.db


ORDER = OrderData(
    vt_orderid="SIM.1",
    vt_symbol="AAPL.NASDAQ",
    direction=Direction.LONG,
    type=OrderType.LIMIT,
    volume=100.0,
    price=0.1 + 0.2,
    status=Status.PARTTRADED,
    ts_event=2**62 + 1,
)


def test_a_row_comes_back_as_builtins_after_a_restart(store: Store) -> None:
    store.db.save("orders/SIM.1", {"volume": 1.0, "tags": ("a", "b"), "note": None})
    row = store.reopen().load("orders/SIM.1")
    assert row == {"volume": 1.0, "tags": ["a", "b"], "note": None}


def test_a_struct_comes_back_as_itself_or_as_a_list(store: Store) -> None:
    store.db.save("orders/SIM.1", ORDER)
    db = store.reopen()
    assert db.load_as("orders/SIM.1", OrderData) == ORDER
    assert db.load("orders/SIM.1") == msgspec.json.decode(msgspec.json.encode(ORDER))


def test_a_row_of_another_kind_is_refused_with_its_key(db: Persistence) -> None:
    db.save("orders/SIM.1", ORDER)
    with pytest.raises(PersistenceError, match=r"orders/SIM\.1.*TradeData"):
        db.load_as("orders/SIM.1", TradeData)
    with pytest.raises(PersistenceError, match=r"orders/SIM\.1"):
        list(db.load_prefix_as("orders/", TradeData))


def test_a_missing_row_is_none(db: Persistence) -> None:
    assert db.load("orders/none") is None
    assert db.load_as("orders/none", OrderData) is None
    db.delete("orders/none")


def test_the_last_save_wins_and_delete_removes(store: Store) -> None:
    store.db.save("k", 1)
    store.db.save("k", 2)
    store.db.save("gone", 3)
    store.db.delete("gone")
    db = store.reopen()
    assert db.load("k") == 2
    assert list(db.keys()) == ["k"]


def test_what_is_loaded_is_not_the_saved_object(db: Persistence) -> None:
    row = {"a": [1]}
    db.save("k", row)
    loaded = db.load("k")
    assert loaded == row
    assert loaded is not row


def test_whole_numbers_are_exact_beyond_doubles(db: Persistence) -> None:
    numbers = [2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 10**30]
    db.save("k", numbers)
    assert db.load("k") == numbers


def test_keys_by_prefix_are_in_order(db: Persistence) -> None:
    for key in (
        "trades/1",
        "orders/b",
        "orders/a",
        "orders",
        "orders0",
        "orders/",
        "orders/\U0010ffff",
    ):
        db.save(key, key)
    expected = ["orders/", "orders/a", "orders/b", "orders/\U0010ffff"]
    assert list(db.keys("orders/")) == expected
    assert list(db.load_prefix("orders/")) == [(key, key) for key in expected]
    assert list(db.keys("nothing")) == []
    assert list(db.keys("orders/\U0010ffff")) == expected[-1:]
    assert len(list(db.keys(""))) == 7


def test_more_rows_than_a_page_can_be_changed_while_they_are_read(db: Persistence) -> None:
    db.save_many((f"orders/{n:05}", n) for n in range(2_500))
    seen = []
    for key, row in db.load_prefix("orders/"):
        seen.append(row)
        db.delete(key)
        db.save(f"done/{row}", row)
    assert seen == list(range(2_500))
    assert list(db.keys("orders/")) == []


def test_structs_are_loaded_by_prefix(db: Persistence) -> None:
    db.save("orders/SIM.1", ORDER)
    assert dict(db.load_prefix_as("orders/", OrderData)) == {"orders/SIM.1": ORDER}


def test_a_transaction_saves_all(store: Store) -> None:
    with store.db.transaction():
        assert store.db.in_transaction
        store.db.save("a", 1)
        store.db.save("b", 2)
        store.db.delete("a")
        assert store.db.load("a") is None
        assert list(store.db.load_prefix("")) == [("b", 2)]
    assert not store.db.in_transaction
    assert list(store.reopen().load_prefix("")) == [("b", 2)]


def test_an_error_undoes_the_transaction(store: Store) -> None:
    store.db.save("kept", 1)
    store.db.save("back", 1)
    with pytest.raises(ZeroDivisionError), store.db.transaction():
        store.db.save("kept", 2)
        store.db.delete("back")
        store.db.save("new", 1 / 0)
    assert dict(store.db.load_prefix("")) == {"kept": 1, "back": 1}
    assert dict(store.reopen().load_prefix("")) == {"kept": 1, "back": 1}


def test_a_nested_transaction_joins_the_outer_one(db: Persistence) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction():
        with db.transaction():
            db.save("inner", 1)
        assert db.in_transaction
        raise ZeroDivisionError
    assert db.load("inner") is None


def test_a_swallowed_inner_error_saves_nothing_and_says_so(db: Persistence) -> None:
    with pytest.raises(PersistenceError, match="nothing of this transaction"), db.transaction():
        db.save("outer", 1)
        try:
            with db.transaction():
                db.save("inner", 1)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
    assert list(db.keys()) == []
    with db.transaction():
        db.save("next", 1)
    assert list(db.keys()) == ["next"]


def test_save_many_is_all_or_nothing(db: Persistence) -> None:
    def items() -> Iterator[tuple[str, int]]:
        yield "a", 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.save_many(items())
    assert list(db.keys()) == []
    db.save_many([("a", 1), ("b", 2)])
    assert list(db.keys()) == ["a", "b"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_with_key_and_place(db: Persistence, bad: float) -> None:
    with pytest.raises(PersistenceError, match=r"accounts/SIM\.USD.*at \.cash\[1\]"):
        db.save("accounts/SIM.USD", {"cash": [1.0, bad], "none": None})
        db.load("accounts/SIM.USD")
    with pytest.raises(PersistenceError, match=r"orders/SIM\.1"):
        db.save("orders/SIM.1", msgspec.structs.replace(ORDER, price=bad))
        db.load("orders/SIM.1")


def test_a_type_that_json_cannot_carry_is_refused_with_its_key(db: Persistence) -> None:
    for bad in (object(), "\ud800", 1j):
        with pytest.raises(PersistenceError, match="'k'"):
            db.save("k", bad)
            db.load("k")


def test_after_close_every_use_is_refused(db: Persistence) -> None:
    db.save("k", 1)
    db.close()
    db.close()
    for use in (
        lambda: db.save("k", 1),
        lambda: db.save_many([("k", 1)]),
        lambda: db.load("k"),
        lambda: db.delete("k"),
        lambda: list(db.keys()),
        lambda: db.transaction().__enter__(),
    ):
        with pytest.raises(PersistenceError, match="closed"):
            use()


def test_close_inside_a_transaction_is_refused(db: Persistence) -> None:
    with db.transaction():
        with pytest.raises(PersistenceError, match="inside a transaction"):
            db.close()
        db.save("k", 1)
    assert db.load("k") == 1


def test_it_closes_itself_as_a_context_manager(db: Persistence) -> None:
    with db as same:
        assert same is db
    with pytest.raises(PersistenceError, match="closed"):
        db.load("k")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.dictionaries(keys, json_values, max_size=8), prefix=st.just("") | keys)
def test_any_json_survives_the_round_trip(
    db: Persistence, rows: dict[str, Any], prefix: str
) -> None:
    with db.transaction():
        for key in list(db.keys()):
            db.delete(key)
        db.save_many(rows.items())
    found = dict(db.load_prefix(""))
    assert found == rows
    assert repr(dict(sorted(found.items()))) == repr(dict(sorted(rows.items())))  # -0.0, 1 vs 1.0
    assert list(db.keys(prefix)) == sorted(key for key in rows if key.startswith(prefix))


def test_the_memory_form_keeps_references_for_the_sake_of_speed() -> None:
    db = MemoryPersistence()
    row = [1]
    db.save("k", row)
    row.append(2)
    assert db.load("k") == [1, 2]


def test_the_contract_loads_no_database() -> None:
    code = (
        "import sys, foxtrot.server.persistence as p; p.MemoryPersistence().save('k', 1);"
        "bad = {'sqlite3', 'fcntl'} & sys.modules.keys(); sys.exit(', '.join(bad) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_an_unknown_name_of_the_module_is_an_attribute_error() -> None:
    import foxtrot.server.persistence as module

    with pytest.raises(AttributeError, match="VoidPersistence"):
        module.VoidPersistence  # noqa: B018


# -- a step of the OMS -------------------------------------------------------------------------


def test_a_step_is_committed_and_found_again(store: Store) -> None:
    closed = msgspec.structs.replace(ORDER, vt_orderid="SIM.2", status=Status.CANCELLED)
    trade = TradeData("SIM.t1", "SIM.1", "AAPL.NASDAQ", Direction.LONG, 0.5, 10.0, 7)
    rows = [("orders/SIM.1", ORDER), ("orders/SIM.2", closed), ("trades/SIM.t1", trade)]
    store.db.commit(rows, [("s/", ORDER), ("s/", closed), ("s/", trade)])
    db = store.reopen()
    assert db.load_active_orders() == [ORDER]
    assert db.load_fills("SIM.1") == [trade]
    assert db.load_fills("SIM.2") == []
    assert (db.find_order("SIM.2"), db.find_trade("SIM.t1")) == (closed, trade)
    assert not db.is_archived("orders/SIM.1")
    assert db.orders_page(PageQuery(vt_symbol="AAPL.NASDAQ")).items == [ORDER, closed]
    assert db.trades_page(PageQuery(start=8)).items == []


def test_a_commit_in_a_transaction_that_fails_is_undone(db: Persistence) -> None:
    with pytest.raises(RuntimeError), db.transaction():
        db.commit([("orders/SIM.1", ORDER)], [("s/", ORDER)])
        raise RuntimeError
    assert db.find_order("SIM.1") is None
    assert db.load_active_orders() == []
