"""Positions as a fold of fills, held against fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import Currency
from foxtrot.accounting.position import PositionBook, divide_half_even
from foxtrot.core.errors import AccountingError
from foxtrot.testing import make_contract

FILLS = st.lists(
    st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 10**9)), min_size=1, max_size=30
)


class Oracle:
    """The same with fractions: average cost, nothing rounded."""

    def __init__(self) -> None:
        self.lots = 0
        self.cost = Fraction(0)
        self.realized = Fraction(0)

    def apply(self, lots: int, value: int) -> None:
        price = Fraction(value, abs(lots))
        closing = min(abs(lots), abs(self.lots)) if self.lots * lots < 0 else 0
        if closing:
            released = self.cost * closing / abs(self.lots)
            sign = 1 if self.lots > 0 else -1
            self.realized += sign * (price * closing - released)
            self.cost -= released
        self.cost += price * (abs(lots) - closing)
        self.lots += lots


def apply_all(fills: list[tuple[int, int]]) -> PositionBook:
    book = PositionBook()
    for lots, price in fills:
        book.apply(lots, price * abs(lots))
    return book


@given(FILLS)
def test_realised_profit_and_what_is_left_add_up_to_the_sum_of_all_fills(
    fills: list[tuple[int, int]],
) -> None:
    book = apply_all(fills)

    paid = sum(lots * price for lots, price in fills)
    held = book.cost if book.lots > 0 else -book.cost
    assert book.realized == held - paid
    assert book.lots == sum(lots for lots, _ in fills)
    assert book.cost >= 0
    assert book.lots or not book.cost
    assert book.opened - book.closed == abs(book.lots)


@given(FILLS)
def test_it_stays_within_half_a_unit_a_fill_of_exact_fractions(
    fills: list[tuple[int, int]],
) -> None:
    book, oracle = PositionBook(), Oracle()
    for lots, price in fills:
        book.apply(lots, price * abs(lots))
        oracle.apply(lots, price * abs(lots))

    assert book.lots == oracle.lots
    assert abs(book.realized - oracle.realized) <= len(fills)
    assert abs(book.cost - oracle.cost) <= len(fills)


@given(FILLS)
def test_selling_everything_for_its_value_realises_the_unrealised_profit(
    fills: list[tuple[int, int]],
) -> None:
    book = apply_all(fills)
    if book.lots == 0:
        assert book.unrealized(123) == 0
        return
    value = 1_000_003
    expected = book.unrealized(value)

    assert book.apply(-book.lots, value) == expected
    assert (book.lots, book.cost) == (0, 0)


def test_a_tenth_and_two_tenths_less_three_tenths_is_flat() -> None:
    instrument = Instrument(make_contract(min_volume=0.1), Currency("USD", 2))
    book = PositionBook()
    for volume, sign in ((0.1, 1), (0.2, 1), (0.3, -1)):
        lots = instrument.lot.to_lots(volume)
        book.apply(sign * lots, instrument.value(100.0, volume))

    assert (book.lots, book.cost, book.realized) == (0, 0, 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_flip_through_zero_closes_what_was_held_and_opens_the_rest_at_the_fills_price(
    sign: int,
) -> None:
    book = PositionBook()
    book.apply(sign * 100, 7_000)
    gain = book.apply(sign * -150, 11_250)  # at 75: 100 close, 50 open

    assert gain == sign * 500
    assert (book.lots, book.cost) == (sign * -50, 3_750)
    assert (book.opened, book.closed) == (150, 100)
    assert book.apply(sign * 50, 3_500) == sign * -1 * (3_500 - 3_750)
    assert book.lots == 0


def test_closing_a_part_releases_cost_in_proportion_and_loses_no_unit() -> None:
    book = PositionBook()
    book.apply(3, 100)  # 33 1/3 each
    gains = [book.apply(-1, 40) for _ in range(3)]
    assert gains == [7, 6, 7]  # the exact third is rounded once a fill, the rest stays
    assert (book.cost, book.realized) == (0, 20)


def test_a_position_at_a_negative_price_adds_up_as_well() -> None:
    book = PositionBook()
    book.apply(2, -10)
    assert book.apply(-2, -6) == 4
    assert book.realized == 4


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_division_rounds_half_to_even(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


def test_a_contract_that_cannot_be_booked_is_refused() -> None:
    usd = Currency("USD")
    with pytest.raises(AccountingError, match="inverse"):
        Instrument(make_contract(inverse=True), usd)
    for size in (0.0, -1.0, float("nan")):
        contract = make_contract()
        bad = type(contract)(contract.vt_symbol, size=size)
        with pytest.raises(AccountingError, match="size must be positive"):
            Instrument(bad, usd)


def test_value_and_average_price_are_each_others_inverse() -> None:
    instrument = Instrument(make_contract(size=50.0, min_volume=0.1), Currency("USD", 2))
    value = instrument.value(4_500.25, 0.3)
    assert value == 6_750_375 == instrument.value_of_lots(4_500.25, -3)
    assert instrument.price_of(value, -3) == pytest.approx(4_500.25)
    assert instrument.price_of(0, 0) == 0.0
