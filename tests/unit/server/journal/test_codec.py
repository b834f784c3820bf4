"""Facts as bytes, and what the chain tells apart."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.core.constants import Direction, OrderType
from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import ContractData, OrderData, TickData, TradeData
from foxtrot.server.journal import (
    FACT_TYPES,
    GENESIS,
    Archived,
    Blocked,
    Counting,
    DayRolled,
    Halted,
    Note,
    Reconciled,
    Resumed,
    Unblocked,
    control_key,
    decode_fact,
    encode_fact,
)
from foxtrot.server.journal.codec import base_digest, chain

FACTS = [
    OrderData("SIM.1", "A.LOCAL", Direction.LONG, OrderType.LIMIT, 1.0, ts_event=5, ts_init=4),
    TradeData("SIM.t", "SIM.1", "A.LOCAL", Direction.LONG, 2.0, 1.0, 5),
    ContractData("A.LOCAL", ts_init=5),
    Halted("disk", 5),
    Resumed("by hand", 5),
    Blocked("SIM", "A.LOCAL", "trend", "unexplained", 5),
    Unblocked("SIM", "A.LOCAL", "trend", ts_event=5),
    Reconciled("SIM", 1, 0, 5),
    DayRolled("2024-02-29", 5),
    Counting({"USD": 2}, 5),
    Note("hello", 5),
    Archived(10, "00", "00", "m.json", 5),
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_comes_back_as_itself_with_its_time_and_kind(fact: object) -> None:
    ts, kind, payload = encode_fact(fact)
    assert ts == 5
    assert msgspec.msgpack.decode(payload)[0] == kind
    assert decode_fact(1, kind, payload) == fact


def test_every_fact_has_its_own_kind() -> None:
    assert len(FACT_TYPES) == 14
    assert {type(fact) for fact in FACTS} <= set(FACT_TYPES.values())


def test_what_is_no_fact_is_refused_by_name() -> None:
    with pytest.raises(PersistenceError, match="TickData is no fact"):
        encode_fact(TickData("A.LOCAL", 1, 1.0, 2.0))


def test_an_unknown_kind_is_an_error_that_names_the_row() -> None:
    payload = encode_fact(Note("x"))[2]
    with pytest.raises(PersistenceError, match="row 7 is of the unknown kind 'Later'"):
        decode_fact(7, "Later", payload)
    with pytest.raises(PersistenceError, match="row 7 says Halted and holds Note"):
        decode_fact(7, "Halted", payload)
    with pytest.raises(PersistenceError, match="row 7 is not a valid Note"):
        decode_fact(7, "Note", payload[:-1])


rows = st.tuples(
    st.binary(min_size=16, max_size=16),
    st.integers(1, 2**40),
    st.text(max_size=4),
    st.integers(1, 2**40),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=4),
    st.binary(max_size=4),
)


@given(rows, rows)
def test_two_rows_have_one_checksum_only_if_they_are_equal(a: tuple, b: tuple) -> None:
    assert (chain(*a) == chain(*b)) == (a == b)


def test_columns_cannot_be_moved_into_one_another() -> None:
    assert chain(GENESIS, 1, "ab", 1, 0, "c", b"d") != chain(GENESIS, 1, "a", 1, 0, "bc", b"d")
    assert chain(GENESIS, 1, "a", 1, 0, "bc", b"d") != chain(GENESIS, 1, "a", 1, 0, "b", b"cd")


def test_the_digest_of_a_base_knows_keys_from_values() -> None:
    assert base_digest([]) == b""
    assert base_digest([("ab", "c")]) != base_digest([("a", "bc")])
    assert base_digest([("a", "b")]) != base_digest([("a", "b"), ("", "")])


def test_control_facts_of_one_thing_share_a_row() -> None:
    assert control_key(Halted("x")) == control_key(Resumed()) == "control/halt/"
    assert control_key(Blocked("SIM", "A.LOCAL", "s", "x")) == control_key(
        Unblocked("SIM", "A.LOCAL", "s")
    )
    assert control_key(Reconciled("SIM")) == "control/reconciled/SIM"
    assert control_key(Note("x")) is control_key(DayRolled()) is None
