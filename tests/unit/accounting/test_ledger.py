"""Ledgers add up to the last minor unit; the small published accounts come out to the digit."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import DEFAULT_DIGITS, Currency, Ledger
from foxtrot.accounting.position import PositionBook
from foxtrot.core.errors import AccountingError
from foxtrot.simulation.models import FeeModel
from foxtrot.testing import make_contract

CASE = (
    Path(__file__).resolve().parents[3].parent / "shared/cases/accounting-micro" / "expected.json"
)


def test_a_ledger_has_what_was_opened_and_says_so() -> None:
    ledger = Ledger()
    ledger.open(Currency("USD", 2), 1_000.0)
    ledger.open(Currency("BTC"), 0.5)

    assert ledger.codes() == ("USD", "BTC")
    assert (ledger.balance("USD"), ledger.balance("BTC")) == (1_000.0, 0.5)
    assert ledger.currency("BTC").digits == DEFAULT_DIGITS
    with pytest.raises(AccountingError, match="already has the currency USD"):
        ledger.open(Currency("USD"))
    with pytest.raises(AccountingError, match=r"has no EUR \(it has: USD, BTC\)"):
        ledger.balance("EUR")
    with pytest.raises(AccountingError, match="it has: none"):
        Ledger().currency("USD")


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(-(10**6), 10**6))))
def test_the_balance_is_opening_plus_profits_less_fees_plus_corrections(
    bookings: list[tuple[int, int]],
) -> None:
    ledger = Ledger()
    ledger.open(Currency("USD", 2), 100.0)
    for number, (realized, fee) in enumerate(bookings):
        if number % 5 == 4:
            before = ledger.balances["USD"]
            assert ledger.correct("USD", realized, opening=number % 2 == 0) == realized - before
        else:
            ledger.book("USD", realized, fee)

    assert ledger.balances["USD"] == (
        ledger.opening["USD"]
        + ledger.realized["USD"]
        - ledger.fees["USD"]
        + ledger.corrected["USD"]
    )


@given(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9),
    st.integers(0, 8),
)
def test_amounts_are_rounded_as_their_decimals_half_to_even(amount: float, digits: int) -> None:
    exact = Decimal(repr(amount)).scaleb(digits).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert Currency("USD", digits).to_minor(amount) == int(exact)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_cannot_be_booked(bad: float) -> None:
    with pytest.raises(AccountingError, match=r"USD: cannot book the amount .* must be finite"):
        Currency("USD").to_minor(bad)


def test_digits_have_bounds() -> None:
    with pytest.raises(AccountingError, match="between 0 and 12, got 13"):
        Currency("USD", 13)


def test_a_thousand_cents_make_ten_dollars() -> None:
    usd = Currency("USD", 2)
    assert usd.to_amount(sum(usd.to_minor(0.01) for _ in range(1_000))) == 10.0


# --- the published accounts -------------------------------------------------------------------------------

SCENARIOS: list[tuple[str, str, int, dict[str, float]]] = [
    ("fx_margin_round_trip", "USD", 2, {"rate": 0.00002}),
    ("perpetual_taker_fee", "USDT", 8, {"taker_rate": 0.0005}),
    ("netting_flips", "USD", 2, {"rate": 0.00002}),
]


@pytest.mark.skipif(
    not CASE.exists(), reason="the folder of shared cases is not beside the project"
)
@pytest.mark.parametrize(("name", "code", "digits", "rates"), SCENARIOS, ids=lambda x: str(x)[:22])
def test_a_published_account_comes_out_to_the_digit(
    name: str, code: str, digits: int, rates: dict[str, float]
) -> None:
    scenario: dict[str, Any] = json.loads(CASE.read_text())["scenarios"][name]
    currency, fees = Currency(code, digits), FeeModel(**rates)
    instrument = Instrument(make_contract(min_volume=1e-3, currency=code), currency)
    ledger, book = Ledger(), PositionBook()
    ledger.open(currency, 1_000_000.0)

    for fill in scenario["fills"]:
        value = instrument.value(fill["price"], fill["quantity"])
        lots = instrument.lot.to_lots(fill["quantity"])
        realized = book.apply(lots if fill["side"] == "BUY" else -lots, value)
        fee = currency.to_minor(fees.fee(currency.to_amount(value), fill["quantity"], taker=True))
        assert currency.to_amount(fee) == pytest.approx(fill["commission"], abs=1e-9)
        ledger.book(code, realized, fee)

    assert ledger.balance(code) == pytest.approx(scenario["final"][code], abs=1e-8)
    assert book.lots == 0
