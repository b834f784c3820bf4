"""Accounts: booked by fills, opened and corrected by the venue."""

from __future__ import annotations

import pytest

from foxtrot.server.oms.account_manager import AccountManager
from foxtrot.testing import make_account


def test_the_first_report_opens_the_account_and_later_ones_correct_it() -> None:
    accounts = AccountManager({"USD": 2})
    assert accounts.fold_report(make_account(1_000.0)) == 0.0
    accounts.book("SIM", "USD", 5_000, 100)
    assert accounts.balance("SIM", "USD") == 1_049.0
    assert accounts.fold_report(make_account(1_048.5)) == -0.5

    balance, opening, realized, fees, corrected, digits, opened = accounts.state("SIM", "USD")
    assert balance == opening + realized - fees + corrected == 104_850
    assert (opening, corrected, digits, opened) == (100_000, -50, 2, 1)


def test_what_was_booked_before_the_first_report_is_part_of_its_figure() -> None:
    accounts = AccountManager()
    accounts.currency("SIM", "USD")
    accounts.book("SIM", "USD", 500_000_000, 0)
    assert accounts.fold_report(make_account(1_005.0)) == 0.0
    assert accounts.state("SIM", "USD")[1] == 1_000 * 10**8


def test_accounts_are_apart_by_adapter_and_currency() -> None:
    accounts = AccountManager()
    accounts.fold_report(make_account(10.0))
    accounts.fold_report(make_account(20.0, "EUR"))
    accounts.fold_report(make_account(30.0, vt_accountid="IB.DU123"))
    assert accounts.balance("IB", "USD") == 30.0
    assert accounts.balance("IB", "EUR") == accounts.balance("XX", "USD") == 0.0
    ids = [account.vt_accountid for account in accounts.snapshots(1)]
    assert ids == ["SIM.USD", "SIM.EUR", "IB.USD"]


def test_a_report_without_a_currency_takes_it_from_its_id() -> None:
    accounts = AccountManager()
    accounts.fold_report(make_account(5.0, "", vt_accountid="SIM.BTC"))
    assert accounts.balance("SIM", "BTC") == 5.0


def test_frozen_and_margin_are_the_venues() -> None:
    accounts = AccountManager()
    accounts.fold_report(make_account(100.0, frozen=10.0, margin=20.0))
    snapshot = accounts.snapshot("SIM", "USD", 9)
    assert (snapshot.available, snapshot.ts_event) == (70.0, 9)


@pytest.mark.parametrize("reported", [True, False])
def test_an_account_comes_back_in_the_digits_it_was_counted_in(reported: bool) -> None:
    before, after = AccountManager({"USD": 2}), AccountManager({"USD": 4})
    before.currency("SIM", "USD")
    if reported:
        before.fold_report(make_account(1_000.0))
    before.book("SIM", "USD", 1, 0)

    after.restore("SIM", "USD", before.state("SIM", "USD"))

    assert after.state("SIM", "USD") == before.state("SIM", "USD")
    assert after.balance("SIM", "USD") == before.balance("SIM", "USD")
    difference = after.fold_report(make_account(1_000.0))
    assert difference == (-0.01 if reported else 0.0)
