"""Balances: ours, with the fills to be folded, against the venue's.

Invariants: a difference is never kept silent; the venue's figure is taken over as a fact after the fills,
unless the difference is unexplained and above the configured limit: then it stays and blocks the adapter.
Whenever fills are folded the venue's figure follows them, so a second pass finds nothing.
"""

from __future__ import annotations

from math import isfinite

from foxtrot.accounting.ledger import Currency
from foxtrot.accounting.position import PositionBook
from foxtrot.core.constants import Direction
from foxtrot.core.objects import AccountData, PositionData
from foxtrot.server.oms.reconcile_positions import leg_of, signed_lots
from foxtrot.server.oms.reconcile_types import Code
from foxtrot.server.oms.reconcile_work import Work


def reconcile_accounts(work: Work) -> None:
    """Compare every balance that the venue tells of; put off while our fills are newer than the snapshot."""
    if work.deferred:
        return
    prefix = work.adapter + "."
    ours = {
        account.currency: account
        for account in work.own.accounts
        if account.vt_accountid.startswith(prefix)
    }
    booked = _effect_of_fills(work)
    for theirs in work.venue.accounts:
        own = ours.get(theirs.currency)
        if not isfinite(theirs.balance):
            work.note(
                Code.BALANCE_LIMIT,
                theirs.vt_accountid,
                repr(own.balance if own is not None else 0.0),
                repr(theirs.balance),
                f"account {theirs.vt_accountid}: the venue's balance {theirs.balance!r} is not a number",
                work.block(""),
            )
        elif own is None:
            if theirs.balance or theirs.currency in booked:
                work.accounts.append(theirs)
        else:
            _compare(work, own, theirs, booked.get(theirs.currency))


def _compare(work: Work, own: AccountData, theirs: AccountData, booked: int | None) -> None:
    currency = work.currency(theirs.currency)
    expected = currency.to_minor(own.balance) + (booked or 0)
    difference = currency.to_minor(theirs.balance) - expected
    if abs(difference) > work.policy.balance_tolerance:
        flows = [flow for flow in work.venue.cash_flows if flow.currency == theirs.currency]
        unexplained = difference - sum(currency.to_minor(flow.amount) for flow in flows)
        if not flows or abs(unexplained) > work.policy.balance_tolerance:
            limit = work.policy.balance_limits.get(theirs.currency)
            if limit is not None and abs(unexplained) > currency.to_minor(limit):
                _note(work, currency, theirs, expected, f"is above the limit of {limit!r}", True)
                return
            _note(work, currency, theirs, expected, "is not explained", False)
        else:
            what = ", ".join(sorted({flow.what or "a cash flow" for flow in flows}))
            _note(work, currency, theirs, expected, f"is explained by {what}", False)
        work.accounts.append(theirs)
    elif booked is not None:
        work.accounts.append(theirs)


def _note(
    work: Work, currency: Currency, theirs: AccountData, expected: int, verdict: str, blocks: bool
) -> None:
    ours = currency.to_amount(expected)
    difference = currency.to_amount(currency.to_minor(theirs.balance) - expected)
    done = "it is not taken over and the account is blocked" if blocks else "it is taken over"
    work.note(
        Code.BALANCE_LIMIT if blocks else Code.BALANCE,
        theirs.vt_accountid,
        repr(ours),
        repr(theirs.balance),
        f"account {theirs.vt_accountid}: the venue's balance {theirs.balance!r} differs from ours, {ours!r}, by "
        f"{difference:+.10g}, which {verdict}; {done}",
        work.block("") if blocks else None,
    )


def _effect_of_fills(work: Work) -> dict[str, int]:
    """Minor units by currency that folding openings and fills will book: realised profit less commissions."""
    books: dict[tuple[str, Direction], PositionBook] = {}
    prefix = work.adapter + "."
    for position in (*work.own.positions, *work.openings):
        if position.vt_positionid.startswith(prefix) and position.volume:
            books[position.vt_symbol, position.direction] = _book(work, position)
    effect: dict[str, int] = {}
    for fill in work.fills:
        instrument = work.instrument(fill.vt_symbol)
        book = books.setdefault((fill.vt_symbol, leg_of(work, fill)), PositionBook())
        lots = signed_lots(work, fill)
        gain = book.apply(lots, instrument.value(fill.price, fill.volume))
        code = instrument.currency.code
        fee = instrument.currency.to_minor(fill.commission)
        effect[code] = effect.get(code, 0) + gain - fee
    return effect


def _book(work: Work, position: PositionData) -> PositionBook:
    """A leg as the ``PositionManager`` holds it, but for what it has realised."""
    instrument = work.instrument(position.vt_symbol)
    lots = instrument.lot.to_lots(position.volume)
    signed = -lots if position.direction is Direction.SHORT else lots
    return PositionBook(signed, instrument.value_of_lots(position.price, signed))
