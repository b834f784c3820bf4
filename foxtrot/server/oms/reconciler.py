"""Reconciliation: what a venue says of an account against what we hold, as a pure function.

Theory. Our state is a fold of facts. It can differ from the venue's for three reasons only: facts did not reach
us (a lost acknowledgement, a fill during a disconnect), facts were never ours (an order sent by hand, a holding
older than the first run), or one of the two is wrong. The first two are mended by *folding the facts that are
missing*, through the very path that live reports take; no state is ever set. What cannot be explained by facts
is not guessed at: it blocks trading, as narrowly as it can, and says why.

The order of work is that of trust. A client's order id is minted once and known to both sides, so orders come
first; fills hang on orders; positions are the sum of fills; balances are what positions realised. Each step
takes the one before as mended.

1. Orders by ``vt_orderid`` (``reconcile_listed``), then their fills (``reconcile_fills``), then the orders of
   ours that the venue does not list (``reconcile_unlisted``), since fills may explain them.
2. Positions (``reconcile_positions``), then balances (``reconcile_accounts``).

Rules that hold throughout:

* An ambiguous submit is never read as a reject; silence closes an order only under the conditions of
  ``reconcile_unlisted``.
* An order of somebody else is adopted as ``EXTERNAL`` and never cancelled.
* A fill that the venue owes us gets an id that depends on the order and its cumulated volume alone, and gives
  way to the real one (``reconcile_synthetic.absorb``; the path of live fills must call it too).
* What is newer on our side than the snapshot is left to the next one (``deferred``).
* Idempotent: once the reports are folded, the same snapshot yields no reports and the same blocks.

The caller folds ``reports`` in their order in one step, replaces the adapter's blocks by ``blocks``, and shows
``discrepancies``.
"""

from __future__ import annotations

from foxtrot.server.oms.reconcile_accounts import reconcile_accounts
from foxtrot.server.oms.reconcile_fills import reconcile_fills
from foxtrot.server.oms.reconcile_intake import read_fills, read_listed
from foxtrot.server.oms.reconcile_listed import reconcile_listed
from foxtrot.server.oms.reconcile_positions import reconcile_positions
from foxtrot.server.oms.reconcile_synthetic import Absorption, absorb, is_synthetic
from foxtrot.server.oms.reconcile_types import (
    Block,
    CashFlow,
    Code,
    Discrepancy,
    OwnState,
    ReconcilePolicy,
    Reconciliation,
    Report,
    VenueSnapshot,
)
from foxtrot.server.oms.reconcile_unlisted import (
    NEVER_ARRIVED,
    mark_doubtful,
    reconcile_unlisted,
)
from foxtrot.server.oms.reconcile_work import open_work

__all__ = [
    "NEVER_ARRIVED",
    "Absorption",
    "Block",
    "CashFlow",
    "Code",
    "Discrepancy",
    "OwnState",
    "ReconcilePolicy",
    "Reconciliation",
    "Report",
    "VenueSnapshot",
    "absorb",
    "is_synthetic",
    "reconcile",
]

DEFAULT_POLICY = ReconcilePolicy()


def reconcile(
    venue: VenueSnapshot, own: OwnState, policy: ReconcilePolicy = DEFAULT_POLICY
) -> Reconciliation:
    """Compare one adapter's account at its venue with ours.

    Args:
        venue: what the venue says, and how much of it it can tell.
        own: what we hold, as values and lookups.
        policy: how patient and how strict to be.

    Returns:
        The missing facts to fold, every difference in words with what it blocks, and the orders that are clear now.

    Raises:
        OmsError: the snapshot holds ids of another adapter.
    """
    work = open_work(venue, own, policy)
    read_fills(work)
    read_listed(work)
    reconcile_listed(work)
    reconcile_fills(work)
    reconcile_unlisted(work)
    mark_doubtful(work)
    reconcile_positions(work)
    reconcile_accounts(work)
    return work.result()
