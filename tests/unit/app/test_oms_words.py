"""Facts and differences in words."""

from __future__ import annotations

from typing import Any

import pytest

from foxtrot.app.oms_words import describe, describe_mark, explain, moment_text, number
from foxtrot.core.constants import Direction, Offset, OrderType, Status
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData
from foxtrot.server.journal import (
    FACT_TYPES,
    Archived,
    Blocked,
    Counting,
    DayRolled,
    Halted,
    HighWater,
    MarkState,
    Note,
    Reconciled,
    Resumed,
    Unblocked,
)
from foxtrot.server.rebuild import Difference

ORDER = OrderData("SIM.7", "ES.CME", Direction.SHORT, OrderType.LIMIT, 10.0, 99.5)
FACTS: list[tuple[Any, str]] = [
    (ORDER, "SIM.7: SHORT 10 LIMIT 99.5 ES.CME → SUBMITTING"),
    (
        OrderData(
            *("SIM.8", "ES.CME", Direction.LONG, OrderType.STOP, 1.0, 0.0, 101.25),
            status=Status.CANCELLED,
            traded=0.5,
            average_price=101.5,
            offset=Offset.CLOSE,
            reason="by the user",
        ),
        "SIM.8: LONG CLOSE 1 STOP trigger 101.25 ES.CME → CANCELLED, traded 0.5 at 101.5: by the user",
    ),
    (
        TradeData("SIM.t1", "SIM.7", "ES.CME", Direction.SHORT, 99.5, 2.0, 0, commission=0.1),
        "SIM.t1 of SIM.7: SHORT 2 ES.CME at 99.5, commission 0.1",
    ),
    (
        PositionData("SIM.ES.CME.NET", "ES.CME", Direction.NET, -3.0, price=50.0),
        "SIM.ES.CME.NET: holding -3 at 50, as the venue says",
    ),
    (AccountData("SIM.USD", 10.5, currency="USD"), "SIM.USD: balance 10.5 USD, as the venue says"),
    (ContractData("ES.CME", pricetick=0.25), "ES.CME: EQUITY, size 1, tick 0.25, lot 1, USD"),
    (Halted("disk full"), "trading of all halted: disk full"),
    (Resumed("by hand", 0, "trend"), "trading of trend resumed: by hand"),
    (Blocked("SIM", "ES.CME", "", "unknown"), "anybody on ES.CME at SIM may not trade: unknown"),
    (Unblocked("", "", "trend"), "trend on anything at any venue may trade again"),
    (
        Reconciled("SIM", 2, 1),
        "reconciled with SIM: 2 facts were missing, 1 differences unexplained",
    ),
    (DayRolled("2024-01-02"), "the trading day 2024-01-02 began"),
    (Counting({"USD": 2}), "money is counted in USD to 2 places"),
    (Note("hello"), "hello"),
    (Archived(7, "", "", "m.json"), "rows up to 7 moved to the archive m.json"),
]


@pytest.mark.parametrize(("fact", "words"), FACTS)
def test_a_fact_is_a_line(fact: Any, words: str) -> None:
    assert describe(fact) == words


def test_every_kind_of_fact_has_words() -> None:
    assert {type(fact) for fact, _ in FACTS} == set(FACT_TYPES.values())


def test_fields_that_differ_are_named() -> None:
    stored = ["Order", "SIM.7", "ES.CME", "SHORT", "LIMIT", 10.0, 99.5, 0.0, "ALLTRADED"]
    rebuilt = [*stored[:8], "PARTTRADED"]
    assert explain(Difference("orders/SIM.7", stored, rebuilt, "they differ")) == [
        "order SIM.7:",
        "  status: stored ALLTRADED, by the journal PARTTRADED",
    ]


def test_money_is_said_to_be_in_minor_units_and_times_are_times() -> None:
    account = [100, 0, 0, 0, 0, 2, 1]
    assert explain(Difference("accounts/SIM.USD", [99, *account[1:]], account))[1] == (
        "  balance (minor units): stored 99, by the journal 100"
    )
    leg = [1, 0, 0, 0, 1, 0, 0, 1_700_000_000_000_000_000, 1.0, 1.0, "USD"]
    late = [*leg[:7], 1_700_000_001_000_000_000, *leg[8:]]
    assert explain(Difference("positions/SIM.A.B.NET", late, leg))[1] == (
        "  ts_event: stored 2023-11-14 22:13:21.000, by the journal 2023-11-14 22:13:20.000"
    )


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (
            Difference("orders/SIM.7", None, ["Order", "SIM.7", "ES.CME"], "the row is missing"),
            "order SIM.7: missing; by the journal it is vt_orderid SIM.7, vt_symbol ES.CME",
        ),
        (
            Difference("active_orders/SIM.7", ("SIM.7",), None, "the index is wrong"),
            "list of working orders, entry SIM.7: stored, but the journal knows nothing of it: vt_orderid SIM.7",
        ),
        (
            Difference("trades/SIM.t", detail="it came a second time"),
            "fill SIM.t: it came a second time",
        ),
        (Difference("seal", detail="it is another one"), "seal: it is another one"),
    ],
)
def test_what_is_missing_or_too_much_is_said(difference: Difference, words: str) -> None:
    assert explain(difference) == [words]


def test_what_has_no_fields_is_shown_as_it_is() -> None:
    shown = explain(Difference("orders/SIM.7", "[1", ["Order", "SIM.7"], "they differ"))
    assert shown == [
        "order SIM.7: they differ",
        "  stored      [1",
        "  by journal  ['Order', 'SIM.7']",
    ]
    assert explain(Difference("orders/SIM.7", 3.0, 4.0, "its fills come to more"))[1:] == [
        "  stored      3",
        "  by journal  4",
    ]


def test_numbers_are_short_and_exact() -> None:
    assert [number(value) for value in (10.0, 0.1, 1e-9, -2.5, 0.1 + 0.2)] == [
        "10",
        "0.1",
        "1e-09",
        "-2.5",
        "0.30000000000000004",
    ]
    assert moment_text(0) == ""


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        (HighWater(MarkState.FRESH), "none yet; nothing was journaled"),
        (HighWater(MarkState.MATCHED, 1_000, 1_000), "agrees, at row 1,000"),
        (HighWater(MarkState.BEHIND, 9, 7), "row 9 was committed, and the journal ends at row 7"),
        (HighWater(MarkState.DIFFERENT, 9, 9), "row 9 is not the one that was committed"),
        (HighWater(MarkState.TORN, 0, 9, "cannot be read"), "cannot be read"),
    ],
)
def test_the_mark_is_said_without_advice(mark: HighWater, words: str) -> None:
    assert describe_mark(mark) == words
